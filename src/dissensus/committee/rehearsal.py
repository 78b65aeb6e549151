"""The rehearsal buffer: windows of the pre-training set that a personalised member must not forget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dissensus.committee._memo import Memo

__all__ = ["Rehearsal", "draw_rehearsal", "thin"]


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """Windows drawn once at pre-training, the same number of every class as far as they last.

    Attributes
    ----------
    X : (n_windows, n_features) ndarray of float32
        Standardised.
    y : (n_windows,) ndarray of int64
        Class indices.
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def memo(self) -> Memo:
        """What members worked out from this buffer, for next time."""
        return Memo()

    def weight(self, n_classes: int, total: float) -> NDArray[np.float64]:
        """Weight per window: ``total`` in all, the same for every class that is present."""

        def count() -> tuple[int, NDArray[np.int64]]:
            count = np.bincount(self.y, minlength=n_classes)
            return max(int((count > 0).sum()), 1), np.maximum(count, 1)[self.y]

        present, sharers = self.memo.get(("weight", n_classes), (), count)
        result: NDArray[np.float64] = total / present / sharers
        return result


def draw_rehearsal(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    n_classes: int,
    size: int,
    random_state: int,
) -> Rehearsal:
    """Draw ``size // n_classes`` windows of every class, spread over as many tracks as possible.

    Parameters
    ----------
    X, y, groups : ndarray
        Standardised windows, class indices, track indices.
    n_classes, size : int
        Number of classes; windows wanted in all.
    random_state : int
        The committee's seed.
    """
    rng = np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=(2,)))
    shuffled = rng.permutation(len(y))
    # turn[i]: how many windows of the same track and class come before window i in the shuffled order
    key = groups[shuffled] * n_classes + y[shuffled]
    by_key = np.argsort(key, kind="stable")
    _, start, count = np.unique(key[by_key], return_index=True, return_counts=True)
    turn = np.empty(len(y), dtype=np.int64)
    turn[by_key] = np.arange(len(y)) - np.repeat(start, count)
    deal = shuffled[np.argsort(turn, kind="stable")]  # one window of every track, then a second one, and so on
    chosen = np.sort(np.concatenate([deal[y[deal] == c][: size // n_classes] for c in range(n_classes)]))
    return Rehearsal(np.ascontiguousarray(X[chosen], dtype=np.float32), y[chosen].astype(np.int64))


def thin(
    weight: NDArray[np.float64], start: NDArray[np.int64], n_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most ``n_windows`` evenly spaced windows of every track, and their weights, which keep each track's total."""
    length = np.diff(start)
    taken = np.minimum(length, n_windows)
    turn = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    rows = np.repeat(start[:-1], taken) + turn * np.repeat(length, taken) // np.repeat(taken, taken)
    return rows, np.repeat(np.add.reduceat(weight, start[:-1]) / taken, taken)
