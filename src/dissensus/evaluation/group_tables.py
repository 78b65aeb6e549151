"""Tables 3 and 4 of ISMIR 2020: how well the ratings of each group cluster, and the sets of emotions it gives the clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._read import number, read_table
from dissensus.datasets._types import Dataset
from dissensus.datasets.ismir2020 import EMOTIONS
from dissensus.errors import DataFormatError
from dissensus.evaluation.agreement_tables import TABLE_1_GROUPS, rating_table
from dissensus.evaluation.clusters import cluster_agreement, embed, intrinsic_dimension
from dissensus.evaluation.groups import GroupSpec, RatingTable, random_masks
from dissensus.evaluation.multilabel import FOLDS, classify_windows, jaccard, label_sets

__all__ = ["ismir2020_table_3", "ismir2020_table_4", "read_windows"]


def _groups(table: RatingTable) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Everybody, then both sides of every item and score, strictly."""
    yield "all", np.ones(len(table.rater), dtype=bool)
    for name, (column, middle) in TABLE_1_GROUPS.items():
        for sign, op in (("+", ">"), ("-", "<")):
            yield f"{name} {sign}", GroupSpec(column, op, middle).mask(table.columns)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def ismir2020_table_3(
    dataset: Dataset, *, embedding: str = "raw", n_seeds: int = 5, n_random: int = 0, random_state: int = 0
) -> str:
    """How far k-means on the ratings of each group finds the quadrants that the clips were chosen for.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    embedding : {"raw", "pca", "mds", "tsne", "umap"}
        Of all standardised ratings, in as many dimensions as Minka's likelihood chooses (three for t-SNE).
    n_seeds, n_random : int
        Seeds of k-means; random groups of the same size beside each.
    random_state : int

    Returns
    -------
    str
        Means over the seeds, and how far these lie apart.
    """
    table = rating_table(dataset)
    quadrant = np.asarray(dataset.track_table["quadrant"])[dataset.pool.index_of(table.unit)]
    ratings = np.stack([table.columns[name] for name in EMOTIONS], axis=1)
    n_components, share = intrinsic_dimension(ratings)
    size = min(n_components, 3) if embedding == "tsne" else n_components
    points = embed(ratings, embedding, n_components=size, random_state=1987 + random_state)
    seeds = range(random_state, random_state + n_seeds)
    rows = [["group", "ratings", "ARI", "AMI", "ARI, seeds apart", "ARI of random groups of that size"]]
    for name, mask in _groups(table):
        random = None if mask.all() or not n_random else random_masks(table, mask, n_random, random_state=random_state)
        found = cluster_agreement(points, quadrant, mask, seeds=seeds, random_masks=random)
        beside = ""
        if found.random_ari:
            low, high = np.quantile(found.random_ari, (0.025, 0.975))
            beside = f"{np.mean(found.random_ari):.3f} [{low:.3f}, {high:.3f}]"
        line = [
            name,
            str(found.n),
            f"{np.mean(found.ari):.3f}",
            f"{np.mean(found.ami):.3f}",
            f"{np.ptp(found.ari):.3f}",
        ]
        rows.append([*line, beside])
    title = (
        f"k-means (k = 4) on {len(ratings)} vectors of {len(EMOTIONS)} ratings, {embedding}; "
        f"Minka's likelihood: {n_components} components, {share:.1%} of the variance"
    )
    return "\n".join([title, *_aligned(rows)])


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


def ismir2020_table_4(dataset: Dataset, *, windows: str | Path | None = None, random_state: int = 0) -> str:
    """The emotions that each group gives the clips, against single labels and everybody's, and what sound tells of them.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    windows : path, optional
        Features of windows, see :func:`read_windows`; without them there are the label sets only.
    random_state : int

    Returns
    -------
    str
        Jaccard indices; with features macro F1 twice: folds over windows as published, where windows of one clip are on
        both sides, and folds over clips, which is the number to trust; and the same with the labels shuffled among clips.

    Raises
    ------
    DataFormatError
        A clip of the ratings has no window.
    """
    table = rating_table(dataset)
    sound = None if windows is None else read_windows(windows)
    emotion = np.asarray(dataset.track_table["emotion"])
    single = emotion[:, None] == np.array(EMOTIONS)
    clips, every = label_sets(table, EMOTIONS)
    rows = [["labels", "labels a clip", "Jaccard with single", "Jaccard with all"]]
    if sound is not None:
        rows[0] += ["F1, folds over windows (paper)", "F1, folds over clips", "the same, labels shuffled"]
        absent = clips[~np.isin(clips, sound[1])]
        if len(absent):
            raise DataFormatError(f"{windows}: no window of clip {absent[0]!r}")
    rng = np.random.default_rng(random_state)
    sets = [
        ("single emotion", single),
        *((name, label_sets(table, EMOTIONS, mask)[1]) for name, mask in _groups(table)),
    ]
    for name, labels in sets:
        line = [
            name,
            f"{labels.sum(axis=1).mean():.1f}",
            f"{jaccard(labels, single):.3f}",
            f"{jaccard(labels, every):.3f}",
        ]
        if sound is not None:
            X, of = sound
            keep = np.isin(of, clips)
            at = np.searchsorted(clips, of[keep])
            scores = [
                classify_windows(X[keep], of[keep], labels[at], folds=f, random_state=random_state) for f in FOLDS
            ]
            null = classify_windows(
                X[keep], of[keep], rng.permutation(labels)[at], folds="clips", random_state=random_state
            )
            line += [f"{found.f1:.3f}" for found in (*scores, null)]
        rows.append(line)
    return "\n".join(_aligned(rows))
