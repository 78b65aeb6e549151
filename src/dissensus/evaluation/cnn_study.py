"""How well a trained CNN hears clips it has never heard, beside baselines: printed by ``dissensus pretrain cnn``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dissensus.catalog import embed_clips
from dissensus.datasets import Dataset, synthetic

if TYPE_CHECKING:
    from dissensus.committee.cnn import CnnModel
    from dissensus.committee.training.clips import ClipSet
    from dissensus.committee.training.fit import Epoch, TrainedMember

__all__ = ["CnnStudy", "embedded_music", "study_synthetic", "synthetic_clips"]

#: Sounds of the synthesiser that no member hears in training.
UNSEEN_SETTINGS = ("organ", "bell")


@dataclass(frozen=True)
class CnnStudy:
    """Song-level macro F1 of every member and of the baselines, on unseen clips and on unseen sounds.

    Attributes
    ----------
    rows : dict of str to (seen, unseen)
        ``seen``: one value a fold, on the fold's held-out clips; ``unseen``: on clips of settings nobody trained on.
    members : list of TrainedMember
    clips : ClipSet
    device, precision : str
        Where and in what precision the members were trained.
    """

    rows: dict[str, tuple[list[float], list[float]]]
    members: list[TrainedMember]
    clips: ClipSet
    device: str
    precision: str

    def __str__(self) -> str:
        lines = [f"{'macro F1, song level':<34}{'unseen clips':>20}{'unseen sounds':>20}"]
        for name, (seen, unseen) in self.rows.items():
            cells = [f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in (seen, unseen)]
            lines.append(f"{name:<34}{cells[0]:>20}{cells[1]:>20}")
        lines.append(
            f"(mean ± sd over {len(self.members)} song-level folds; trained on {self.device}, {self.precision})"
        )
        return "\n".join(lines)


def synthetic_clips(n: int, *, settings: tuple[str, ...], seed: int, duration_s: float = 10.0) -> tuple[ClipSet, Any]:
    """Made-up music as training clips, labelled with the quadrant of the point it was made from."""
    from dissensus.committee.training.clips import ClipSet

    music = synthetic.Music(duration_s=duration_s, settings=settings)
    data = synthetic.make(n, 1, music=music, panel=synthetic.Panel(tracks_per_listener=4), features=None, seed=seed)
    signals = [data.clip(track) for track in data.pool.track_ids]
    assert data.weak_label is not None
    return ClipSet(signals, data.weak_label, data.pool.track_ids), data


def embedded_music(
    model: CnnModel, n_clips: int, n_listeners: int, *, personal: float, seed: int, duration_s: float = 8.0
) -> Dataset:
    """Made-up music and listeners, with the CNN's embeddings of the clips as features: for members of kind ``"cnn"``.

    Parameters
    ----------
    model : CnnModel
    n_clips, n_listeners : int
        Clips, a third of which nobody annotates; listeners, who annotate 60 clips each.
    personal : float
        Spread of the listeners' boundaries; 0 = all hear alike and there is nothing to learn.
    seed : int
        Other than the one the model was trained on.
    """
    from dataclasses import replace

    panel = synthetic.Panel(tracks_per_listener=60, rho=personal, n_rated=n_clips * 2 // 3)
    music = synthetic.Music(duration_s=duration_s)
    data = synthetic.make(n_clips, n_listeners, music=music, panel=panel, features=None, seed=seed)
    done = embed_clips(model, ((track, data.clip(track)) for track in data.pool.track_ids.tolist()))
    return replace(data, name="synthetic music, embedded", pool=done.pool)


def _macro_f1(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, labels=list(range(n_classes)), average="macro", zero_division=0))


def _features(clips: ClipSet, features: Callable[[NDArray[np.float32], int], NDArray[Any]]) -> NDArray[np.float64]:
    rows = [np.asarray(features(clips.signal(i), 16_000), dtype=np.float64) for i in range(len(clips))]
    return np.stack([np.concatenate([r.mean(axis=0), r.std(axis=0)]) for r in rows])


def study_synthetic(
    n_clips: int,
    features: Callable[[NDArray[np.float32], int], NDArray[Any]],
    *,
    n_folds: int = 5,
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
    features : callable
        ``(signal, sr) -> (n_windows, n_features)`` of the logistic baseline, which sees mean and deviation over windows.
    n_folds, seed, out, progress, **options
        As in ``train_committee``.

    Returns
    -------
    CnnStudy
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from dissensus.committee.training.fit import choose_device, predict_clips, train_committee

    heard = tuple(name for name in synthetic.SETTINGS if name not in UNSEEN_SETTINGS)
    clips, _ = synthetic_clips(n_clips, settings=heard, seed=seed)
    strange, _ = synthetic_clips(max(8, n_clips // 4), settings=UNSEEN_SETTINGS, seed=seed + 1)
    trained = train_committee(clips, n_folds=n_folds, random_state=seed, out=out, progress=progress, **options)
    device = choose_device(options.get("device", "auto"))
    label, strange_label = clips.target.argmax(axis=1), strange.target.argmax(axis=1)
    k, every = clips.n_classes, np.arange(len(strange))
    rows: dict[str, tuple[list[float], list[float]]] = {}
    cnn: tuple[list[float], list[float]] = ([], [])
    for member, outside in trained:
        cnn[0].append(
            _macro_f1(label[outside], predict_clips(member.model, clips, outside, device=device).argmax(axis=1), k)
        )
        proba = predict_clips(member.model, strange, every, device=device)
        cnn[1].append(_macro_f1(strange_label, proba.argmax(axis=1), k))
        member.model.cpu()
    rows[f"short-chunk CNN, width {trained[0][0].model.width}"] = cnn
    X, X_strange = _features(clips, features), _features(strange, features)
    majority: tuple[list[float], list[float]] = ([], [])
    logistic: tuple[list[float], list[float]] = ([], [])
    folds = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    for inside, outside in folds.split(X, label, clips.songs):
        top = int(np.bincount(label[inside], minlength=k).argmax())
        majority[0].append(_macro_f1(label[outside], np.full(len(outside), top), k))
        majority[1].append(_macro_f1(strange_label, np.full(len(strange), top), k))
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(X[inside], label[inside])
        logistic[0].append(_macro_f1(label[outside], model.predict(X[outside]), k))
        logistic[1].append(_macro_f1(strange_label, model.predict(X_strange), k))
    name = getattr(features, "__name__", "features")
    rows[f"logistic regression on {name}"] = logistic
    rows["majority class"] = majority
    first = trained[0][0]
    return CnnStudy(rows, [member for member, _ in trained], clips, first.device, first.precision)
