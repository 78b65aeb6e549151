"""What the committee knows before it meets a listener: never a held-out track, never the listener's own answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.committee import Committee
from dissensus.datasets._types import Annotations, Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.splits import child_seed
from dissensus.features.pool import Pool

__all__ = ["majority_label", "pretrain", "pretrain_on_crowd", "pretrain_on_weak", "weak_tracks"]

#: Fewer tracks than this times the classes are no basis for a committee.
_ENOUGH = 10


def weak_tracks(dataset: Dataset) -> NDArray[np.int64] | None:
    """Positions of the tracks that nobody annotated and that have a label from elsewhere; None where they are too few."""
    if dataset.weak_label is None:
        return None
    free = dataset.weak_label >= 0
    free[dataset.pool.index_of(np.unique(dataset.annotations.track_id))] = False
    tracks = np.flatnonzero(free)
    return tracks if len(tracks) >= _ENOUGH * len(dataset.classes) else None


def majority_label(annotations: Annotations, pool: Pool) -> NDArray[np.int64]:
    """Most frequent label of each track of the pool, the lowest index on ties, −1 without a label."""
    n_classes = len(annotations.classes)
    named = annotations.label >= 0
    at = pool.index_of(annotations.track_id[named])
    votes = np.bincount(at * n_classes + annotations.label[named], minlength=pool.n_tracks * n_classes)
    votes = votes.reshape(pool.n_tracks, n_classes)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)


def pretrain(pool: Pool, label: NDArray[np.int64], classes: tuple[str, ...], protocol: Protocol) -> Committee:
    """Pre-train a committee on the tracks whose label is not −1; the scaler sees these tracks alone.

    Raises
    ------
    ParameterError
        Too few tracks have a label.
    """
    n_tracks = int((label >= 0).sum())
    if n_tracks < max(2 * protocol.n_folds, len(classes)):
        raise ParameterError(
            f"{n_tracks} tracks are left to pre-train on; give a weak label for more of them, or fewer folds"
        )
    of_window = label[pool.groups]
    rows = np.flatnonzero(of_window >= 0)
    return Committee.pretrain(
        pool.X[rows],
        np.array(classes)[of_window[rows]],
        pool.groups[rows],
        kinds=protocol.classic_kinds,
        n_folds=protocol.n_folds,
        classes=classes,
        random_state=int(child_seed(protocol.seed, "pretrain").generate_state(1)[0]),
        feature_names=pool.feature_names,
        fingerprint=pool.fingerprint,
    )


def pretrain_on_weak(dataset: Dataset, protocol: Protocol) -> Committee | None:
    """Pre-train on the tracks that nobody annotated; None where they are too few, or where no kind is to be trained."""
    weak = weak_tracks(dataset) if protocol.classic_kinds else None
    if weak is None or dataset.weak_label is None:
        return None
    label = np.full(dataset.pool.n_tracks, -1, dtype=np.int64)
    label[weak] = dataset.weak_label[weak]
    return pretrain(dataset.pool, label, dataset.classes, protocol)


def pretrain_on_crowd(
    pool: Pool, annotations: Annotations, listener: Any, held_out: NDArray[np.int64], protocol: Protocol
) -> Committee:
    """Pre-train on what most of the others said, without this listener and without the held-out tracks."""
    label = majority_label(annotations.without(listener), pool)
    label[held_out] = -1
    return pretrain(pool, label, annotations.classes, protocol)
