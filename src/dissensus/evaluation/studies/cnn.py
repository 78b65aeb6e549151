"""How well a trained CNN hears clips it has never heard, beside baselines: printed by ``dissensus pretrain cnn``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dissensus.catalog import embed_clips
from dissensus.datasets import Dataset, synthetic
from dissensus.errors import ParameterError
from dissensus.evaluation.text_table import aligned

if TYPE_CHECKING:
    from dissensus.committee.cnn import CnnModel
    from dissensus.training.clips import ClipSet
    from dissensus.training.fit import Epoch, TrainedMember

__all__ = ["CnnStudy", "baselines", "check_unheard", "embedded_music", "study_synthetic", "synthetic_clips"]

Features = Callable[[NDArray[np.float32], int], NDArray[Any]]
Row = tuple[list[float], list[float]]
Rows = dict[str, Row]

#: Sounds of the synthesiser that no member hears in training.
UNSEEN_SETTINGS = ("organ", "bell")


@dataclass(frozen=True)
class CnnStudy:
    """Song-level macro F1 of every member and of the baselines, on unseen clips and on unseen sounds.

    Attributes
    ----------
    rows : dict of str to (seen, unseen)
        ``seen``: one value per fold, on the fold's held-out clips; ``unseen``: on clips of settings nobody trained on.
    members : list of TrainedMember
    clips : ClipSet
    device, precision : str
        Where and in what precision the members were trained.
    shared_trunk : bool
        The members are heads of one network.
    """

    rows: Rows
    members: list[TrainedMember]
    clips: ClipSet
    device: str
    precision: str
    shared_trunk: bool = False

    def __str__(self) -> str:
        rows = [["macro F1, song level", "unseen clips", "unseen sounds"]]
        for name, (seen, unseen) in self.rows.items():
            rows.append([name, *(f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in (seen, unseen))])
        lines = aligned(rows)
        over = "heads of one trunk, on clips no part has heard" if self.shared_trunk else "song-level folds"
        lines.append(f"(mean ± sd over {len(self.members)} {over}; trained on {self.device}, {self.precision})")
        return "\n".join(lines)


def synthetic_clips(n: int, *, settings: tuple[str, ...], seed: int, duration_s: float = 10.0) -> tuple[ClipSet, Any]:
    """Made-up music as training clips, labelled with the quadrant of the point it was made from."""
    from dissensus.training.clips import ClipSet

    music = synthetic.Music(duration_s=duration_s, settings=settings)
    data = synthetic.make(n, 1, music=music, panel=synthetic.Panel(tracks_per_listener=4), features=None, seed=seed)
    signals = [data.clip(track) for track in data.pool.track_ids]
    assert data.weak_label is not None
    return ClipSet(signals, data.weak_label, data.pool.track_ids), data


def embedded_music(
    model: CnnModel,
    n_clips: int,
    n_listeners: int,
    *,
    personal: float,
    seed: int,
    duration_s: float = 8.0,
    tracks_per_listener: int = 60,
) -> Dataset:
    """Made-up music and listeners, with the CNN's embeddings of the clips as features: for members of kind ``"cnn"``.

    Parameters
    ----------
    model : CnnModel
    n_clips, n_listeners : int
        Clips, a third of which nobody annotates; listeners, who annotate ``tracks_per_listener`` clips each.
    personal : float
        Spread of the listeners' boundaries; 0 = all hear alike and there is nothing to learn.
    seed : int
        Other than the one the model was trained on.

    Raises
    ------
    ParameterError
        The seed made the music that the model was trained on.
    """
    from dataclasses import replace

    check_unheard(model, seed)
    panel = synthetic.Panel(tracks_per_listener=tracks_per_listener, rho=personal, n_rated=n_clips * 2 // 3)
    music = synthetic.Music(duration_s=duration_s)
    data = synthetic.make(n_clips, n_listeners, music=music, panel=panel, features=None, seed=seed)
    done = embed_clips(model, ((track, data.clip(track)) for track in data.pool.track_ids.tolist()))
    return replace(data, name="synthetic music, embedded", pool=done.pool)


def check_unheard(model: CnnModel, seed: int) -> None:
    """Refuse to test a model on the made-up music that it was trained on.

    Raises
    ------
    ParameterError
        Both come from the same seed.
    """
    trained = model.metadata.get("training", {}).get("seed")
    if trained is not None and trained == seed and "synthetic" in str(model.metadata.get("data_id")):
        raise ParameterError(f"seed={seed} made the music that the CNN was trained on; choose another")


def _macro_f1(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, labels=list(range(n_classes)), average="macro", zero_division=0))


def _features(clips: ClipSet, features: Features) -> NDArray[np.float64]:
    rows = [np.asarray(features(clips.signal(i), 16_000), dtype=np.float64) for i in range(len(clips))]
    return np.stack([np.concatenate([r.mean(axis=0), r.std(axis=0)]) for r in rows])


def _clip_sets(n_clips: int, seed: int) -> tuple[ClipSet, ClipSet]:
    """Clips to train on and to hold out of, and clips of sounds nobody trains on."""
    heard = tuple(name for name in synthetic.SETTINGS if name not in UNSEEN_SETTINGS)
    clips, _ = synthetic_clips(n_clips, settings=heard, seed=seed)
    strange, _ = synthetic_clips(max(8, n_clips // 4), settings=UNSEEN_SETTINGS, seed=seed + 1)
    return clips, strange


def baselines(
    clips: ClipSet,
    strange: ClipSet,
    features: Mapping[str, Features],
    splits: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> Rows:
    """Macro F1 of a logistic regression on each kind of features, and of the most frequent class, on given splits.

    Parameters
    ----------
    clips, strange : ClipSet
        What the splits are of, and clips of sounds nobody trains on.
    features : mapping of str to callable
        ``(signal, sr) -> (n_windows, n_features)``; the regression sees mean and deviation over windows.
    splits : sequence of (rows to train on, rows to score)

    Returns
    -------
    dict of str to (seen, unseen)
        As in :class:`CnnStudy`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    label, strange_label = clips.target.argmax(axis=1), strange.target.argmax(axis=1)
    k = clips.n_classes
    rows: Rows = {}
    for name, extract in features.items():
        X, X_strange = _features(clips, extract), _features(strange, extract)
        seen, unseen = rows.setdefault(f"logistic regression on {name}", ([], []))
        for inside, outside in splits:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            model.fit(X[inside], label[inside])
            seen.append(_macro_f1(label[outside], model.predict(X[outside]), k))
            unseen.append(_macro_f1(strange_label, model.predict(X_strange), k))
    seen, unseen = rows.setdefault("majority class", ([], []))
    for inside, outside in splits:
        top = int(np.bincount(label[inside], minlength=k).argmax())
        seen.append(_macro_f1(label[outside], np.full(len(outside), top), k))
        unseen.append(_macro_f1(strange_label, np.full(len(strange), top), k))
    return rows


def study_synthetic(
    n_clips: int,
    features: Mapping[str, Features],
    *,
    n_folds: int = 5,
    shared_trunk: bool = False,
    seed: int = 0,
    out: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
    **options: Any,
) -> CnnStudy:
    """Train members on made-up music and score them where it counts.

    Parameters
    ----------
    n_clips : int
        Clips to train on and to hold folds out of; a quarter as many again, played by settings that are never trained on,
        make the second test.
    features : mapping of str to callable
        Of the logistic baselines, see :func:`baselines`.
    n_folds : int
        Members. Each is scored on the fold it has not heard.
    shared_trunk : bool
        Members as heads of one network, scored one by one and together on the fifth of the clips that no part of them has
        heard (see ``train_shared_trunk``).
    seed, out, progress, **options
        As in ``train_committee``.

    Returns
    -------
    CnnStudy
    """
    from dissensus.training.fit import choose_device, predict_clips, train_committee
    from dissensus.training.heads import train_shared_trunk

    clips, strange = _clip_sets(n_clips, seed)
    given: dict[str, Any] = {"random_state": seed, "out": out, "progress": progress, **options}
    if shared_trunk:
        done = train_shared_trunk(clips, n_members=n_folds, **given)
        trained = [(member, done.held_out) for member in done.members]
    else:
        trained = train_committee(clips, n_folds=n_folds, **given)
    device = choose_device(options.get("device", "auto"))
    label, strange_label = clips.target.argmax(axis=1), strange.target.argmax(axis=1)
    k, every = clips.n_classes, np.arange(len(strange))
    members: Row = ([], [])
    votes: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for member, outside in trained:
        heard = predict_clips(member.model, clips, outside, device=device)
        other = predict_clips(member.model, strange, every, device=device)
        members[0].append(_macro_f1(label[outside], heard.argmax(axis=1), k))
        members[1].append(_macro_f1(strange_label, other.argmax(axis=1), k))
        votes.append((heard, other))
        member.model.cpu()
    width = trained[0][0].model.width
    splits = [(np.setdiff1d(np.arange(len(clips)), outside), outside) for _, outside in trained]
    rows: Rows = {f"short-chunk CNN, width {width}": members}
    if shared_trunk:
        splits = splits[:1]
        mean = [np.mean([vote[side] for vote in votes], axis=0).argmax(axis=1) for side in (0, 1)]
        rows["its heads together"] = (
            [_macro_f1(label[trained[0][1]], mean[0], k)],
            [_macro_f1(strange_label, mean[1], k)],
        )
    rows |= baselines(clips, strange, features, splits)
    first = trained[0][0]
    return CnnStudy(
        rows, [member for member, _ in trained], clips, first.device, first.precision, shared_trunk=shared_trunk
    )
