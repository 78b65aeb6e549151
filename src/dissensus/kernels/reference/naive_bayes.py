"""Slow twins of ``kernels/naive_bayes.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_moments", "merge_moments"]


def class_moments(
    X: NDArray[Any],
    index: NDArray[np.int64],
    weight: NDArray[np.float64],
    count: NDArray[np.float64],
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
) -> None:
    """Weight, weighted mean and weighted variance of every class, in two passes; zeros for a class without weight."""
    count[:], mean[:], var[:] = 0.0, 0.0, 0.0
    for c in range(len(count)):
        rows, share = X[index == c].astype(np.float64), weight[index == c]
        count[c] = share.sum()
        if count[c] > 0:
            mean[c] = share @ rows / count[c]
            var[c] = share @ (rows - mean[c]) ** 2 / count[c]


def merge_moments(
    known: NDArray[np.float64],
    theta: NDArray[np.float64],
    var: NDArray[np.float64],
    count: NDArray[np.float64],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """Merge the moments of a batch into those of several models, in place; a class without weight stays as it is."""
    for c in np.flatnonzero(count > 0):
        share = (count[c] / (known[:, c] + count[c]))[:, None]
        step = mean[c] - theta[:, c]
        theta[:, c] += share * step
        var[:, c] = (1 - share) * var[:, c] + share * spread[c] + share * (1 - share) * step**2
        known[:, c] += count[c]
