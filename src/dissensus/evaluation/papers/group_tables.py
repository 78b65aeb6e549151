"""Tables 3 and 4 of ISMIR 2020: how well the ratings of each group cluster, and the sets of emotions it gives the clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.agreement.groups import GroupSpec, RatingTable, random_masks
from dissensus.datasets._read import number, read_table
from dissensus.datasets._types import Dataset
from dissensus.datasets.ismir2020 import EMOTIONS
from dissensus.errors import DataFormatError, MissingDependencyError, ParameterError
from dissensus.evaluation.papers.agreement_tables import TABLE_1_GROUPS, rating_table, signed
from dissensus.evaluation.papers.clusters import cluster_agreement, embed, intrinsic_dimension
from dissensus.evaluation.papers.multilabel import FOLDS, classify_windows, jaccard, label_sets
from dissensus.evaluation.papers.printed import TABLE_3, TABLE_4_JACCARD
from dissensus.evaluation.text_table import aligned

__all__ = ["TABLE_3_EMBEDDINGS", "ismir2020_table_3", "ismir2020_table_4", "made_up_windows", "read_windows"]


#: Embedding → its name in print, and its dimensions; None: as many as Minka's likelihood chooses. The paper says "2-D/3-D"
#: for Table 3; metric scaling in two and t-SNE in three come nearest to its numbers.
_EMBEDDED: Final[Mapping[str, tuple[str, int | None]]] = {
    "raw": ("raw standardised ratings", None),
    "pca": ("principal components", None),
    "mds": ("metric multidimensional scaling", 2),
    "tsne": ("t-SNE", 3),
    "umap": ("UMAP", 2),
}

TABLE_3_EMBEDDINGS: Final = ("raw", "mds", "tsne", "umap")


def _groups(table: RatingTable, *, strict: bool) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Everybody, then both sides of every item and score; where not strict, neutral answers are on both sides."""
    yield "all", np.ones(len(table.rater), dtype=bool)
    for name, (column, middle) in TABLE_1_GROUPS.items():
        for sign, op in (("+", ">"), ("-", "<")):
            yield f"{name} {sign}", GroupSpec(column, op, middle, strict=strict).mask(table.columns)


def ismir2020_table_3(
    dataset: Dataset,
    *,
    embeddings: Sequence[str] = TABLE_3_EMBEDDINGS,
    n_seeds: int = 5,
    n_random: int = 0,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> str:
    """How far k-means on the ratings of each group finds the quadrants that the clips were chosen for.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    embeddings : sequence of {"raw", "pca", "mds", "tsne", "umap"}
        Of all standardised ratings; groups are cut out of one embedding, as published. UMAP says so where umap-learn is
        not installed.
    n_seeds, n_random : int
        Seeds of k-means; random groups of the same size beside each.
    random_state : int
    progress : callable, optional
        Told what is done next.

    Returns
    -------
    str
        For every embedding and group the printed value, the mean over the seeds with the least and the largest, and the
        difference; groups as published (neutral answers on both sides), the index of the strict groups beside.

    Raises
    ------
    ParameterError
        Another embedding.
    """
    table = rating_table(dataset)
    quadrant = np.asarray(dataset.track_table["quadrant"])[dataset.pool.index_of(table.unit)]
    ratings = np.stack([table.columns[name] for name in EMOTIONS], axis=1)
    n_components, share = intrinsic_dimension(ratings)
    wrong = [name for name in embeddings if name not in _EMBEDDED]
    if wrong or not embeddings:
        raise ParameterError(f"embeddings={tuple(embeddings)}: choose of {', '.join(_EMBEDDED)}")
    head = (
        f"k-means (k = 4) on {len(ratings)} vectors of {len(EMOTIONS)} ratings, {n_seeds} seeds: mean [least, largest]. "
        f"Minka's likelihood: {n_components} components, {share:.1%} of the variance."
    )
    text = [head]
    groups = list(zip(_groups(table, strict=False), _groups(table, strict=True), strict=True))
    drawn = {
        name: random_masks(table, mask, n_random, random_state=random_state)
        for (name, mask), _ in groups
        if n_random and not mask.all()
    }
    for method in embeddings:
        label, dimensions = _EMBEDDED[method]
        size = dimensions or n_components
        title = label if method == "raw" else f"{label}, {size} dimensions"
        if progress is not None:
            progress(title)
        try:
            points = embed(ratings, method, n_components=size, random_state=1987 + random_state)
        except MissingDependencyError:
            text.append(f"{title}: not installed (pip install umap-learn)")
            continue
        rows = [["group", "ratings"]]
        for index in ("ARI", "AMI"):
            rows[0] += [f"{index} published", "ours", "over seeds", "difference"]
        rows[0] += ["ARI, strict group", *(["ARI of random groups of that size"] if n_random else [])]
        for (name, mask), (_, strictly) in groups:
            if min(mask.sum(), strictly.sum()) < 4:
                rows.append([name, str(int(mask.sum())), *([""] * 4 + ["too few"] + [""] * (4 + bool(n_random)))])
                continue
            seeds = range(random_state, random_state + n_seeds)
            found = cluster_agreement(points, quadrant, mask, seeds=seeds, random_masks=drawn.get(name))
            line = [name, str(found.n)]
            for index, values in (("ARI", found.ari), ("AMI", found.ami)):
                printed = TABLE_3.get((name, f"{method} {index}"), math.nan)
                ours = float(np.mean(values))
                line += [
                    "" if math.isnan(printed) else f"{printed:.3f}",
                    f"{ours:.3f}",
                    f"[{min(values):.3f}, {max(values):.3f}]",
                    signed(ours - printed),
                ]
            differs = not np.array_equal(mask, strictly)
            line.append(
                f"{np.mean(cluster_agreement(points, quadrant, strictly, seeds=seeds).ari):.3f}" if differs else ""
            )
            if n_random:
                line.append("")
            if found.random_ari:
                low, high = np.quantile(found.random_ari, (0.025, 0.975))
                line[-1] = f"{np.mean(found.random_ari):.3f} [{low:.3f}, {high:.3f}]"
            rows.append(line)
        text.append("\n".join([title, *aligned(rows)]))
    return "\n\n".join(text)


def made_up_windows(
    dataset: Dataset, *, duration_s: float = 31.5, random_state: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Windows of music made on the spot for every clip, in the quadrant it was chosen for, as the published ones were cut.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    duration_s : float
        31.5 s give 24 windows of 5 s with 75 % overlap: 528 for the 22 clips, as published.
    random_state : int

    Returns
    -------
    X : (n_windows, 260) ndarray of float64
        IS13 features.
    track_id : (n_windows,) ndarray of str
    """
    from dissensus.datasets.synthetic import Clips, Music
    from dissensus.features.is13 import is13

    rng = np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=(2020,)))
    centre = np.array([[0.6, 0.6], [0.6, -0.6], [-0.6, -0.6], [-0.6, 0.6]])
    quadrant = np.asarray(dataset.track_table["quadrant"])
    latent = centre[quadrant] + 0.25 * rng.standard_normal((len(quadrant), 2))
    clips = Clips(latent, Music(duration_s=duration_s), random_state)
    windows = [is13(clips.render(i), clips.music.sr, window_s=5.0, overlap=0.75) for i in range(len(clips))]
    names = np.repeat(dataset.pool.track_ids.astype(str), [len(w) for w in windows])
    return np.concatenate(windows).astype(np.float64), names


def read_windows(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Windows of sound from a CSV: a column ``track_id``, and numbers in all others.

    Raises
    ------
    DataFormatError
        Not such a file.
    """
    table = read_table(Path(path), required=("track_id",))
    names = [name for name in table if name != "track_id"]
    if not names or table.n_rows == 0:
        raise DataFormatError(f"{path}: expected a column track_id, columns of numbers, and rows below the header")
    return np.stack([number(table, name) for name in names], axis=1), np.array(table["track_id"])


def ismir2020_table_4(
    dataset: Dataset,
    *,
    windows: str | Path | tuple[ArrayLike, ArrayLike] | None = None,
    random_state: int = 0,
) -> str:
    """The emotions that each group gives the clips, against single labels and everybody's, and what sound tells of them.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    windows : path or (X, track_id), optional
        Features of windows, see :func:`read_windows` and :func:`made_up_windows`; without them there are the label sets
        only.
    random_state : int

    Returns
    -------
    str
        Jaccard indices beside the printed ones; with features macro F1 twice: folds over windows as published, where
        windows of one clip are on both sides, and folds over clips, which is the number to trust; and the same with the
        labels shuffled among clips.

    Raises
    ------
    DataFormatError
        A clip of the ratings has no window.
    """
    table = rating_table(dataset)
    sound = read_windows(windows) if isinstance(windows, (str, Path)) else windows
    emotion = np.asarray(dataset.track_table["emotion"])
    single = emotion[:, None] == np.array(EMOTIONS)
    clips, every = label_sets(table, EMOTIONS)
    sets = [("single", single), *((n, label_sets(table, EMOTIONS, mask)[1]) for n, mask in _groups(table, strict=True))]
    rows = [["labels", "labels a clip", "Jaccard with single", "published", "Jaccard with all", "published"]]
    for name, labels in sets:
        line = [name, f"{labels.sum(axis=1).mean():.1f}"]
        for other, them in (("single", single), ("all", every)):
            printed = TABLE_4_JACCARD.get((name, other))
            line += [f"{jaccard(labels, them):.3f}", "" if printed is None else f"{printed:.3f}"]
        rows.append(line)
    if sound is None:
        return "\n".join(aligned(rows))
    X, of = np.asarray(sound[0], dtype=np.float64), np.asarray(sound[1])
    absent = clips[~np.isin(clips, of)]
    if len(absent):
        raise DataFormatError(
            f"no window of clip {absent[0]!r}; windows must have a column track_id with the clips' names"
        )
    keep = np.isin(of, clips)
    at = np.searchsorted(clips, of[keep])
    rng = np.random.default_rng(random_state)
    rows[0] += [
        "F1, folds over windows (paper)",
        "F1, folds over clips",
        "the same, labels shuffled",
        "what the leak adds",
    ]
    for line, (_, labels) in zip(rows[1:], sets, strict=True):
        leaking, sound_f1, null = (
            classify_windows(X[keep], of[keep], given[at], folds=folds, random_state=random_state).f1
            for folds, given in (*((f, labels) for f in FOLDS), ("clips", rng.permutation(labels)))
        )
        line += [f"{leaking:.3f}", f"{sound_f1:.3f}", f"{null:.3f}", signed(leaking - sound_f1)]
    return "\n".join(aligned(rows)) + f"\n\n{keep.sum()} windows of {len(clips)} clips, {X.shape[1]} features."
