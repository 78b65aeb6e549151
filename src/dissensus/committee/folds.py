"""Folds cut by track, stratified by what most of a track's windows say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError

__all__ = ["group_folds", "majority"]


def majority(y: NDArray[np.int64], track: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Most frequent class of each track; the earliest class on ties."""
    n_tracks = int(track.max()) + 1 if len(track) else 0
    votes = np.bincount(track * n_classes + y, minlength=n_tracks * n_classes).reshape(n_tracks, n_classes)
    result: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return result


def group_folds(
    y: NDArray[np.int64], track: NDArray[np.int64], *, n_classes: int, n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Fold of each track: sizes differ by one at most, and every class is spread as evenly as it can be.

    Tracks are shuffled within their class and dealt round after round, so a class of at least ``n_folds`` tracks is in
    every fold.
    """
    stratum = majority(y, track, n_classes)
    if len(stratum) < n_folds:
        raise ParameterError(f"n_folds={n_folds} needs at least as many tracks; got {len(stratum)}")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    shuffled = rng.permutation(len(stratum))
    dealt = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    fold = np.empty(len(stratum), dtype=np.int64)
    fold[dealt] = np.arange(len(stratum)) % n_folds
    return fold
