"""Slow twins of ``kernels/small_trees.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["grow_trees", "predict_trees"]


def _best_split(
    bins: NDArray[Any],
    n_bins: NDArray[np.int64],
    column: NDArray[np.int64],
    G: NDArray[Any],
    H: NDArray[Any],
    penalty: float,
    least: float,
) -> tuple[int, int]:
    """Feature and last bin of the left side of the best split of these rows; −1 where none helps."""
    n_classes = G.shape[1]
    whole = (G.sum(axis=0) ** 2 / (H.sum(axis=0) + penalty)).sum() if len(G) else 0.0
    best, found = 1e-6, (-1, 0)
    for f in column.tolist():
        for b in range(int(n_bins[f]) - 1):
            left = bins[:, f] <= b
            if min(H[left].sum(), H[~left].sum()) < least * n_classes:
                continue
            gain = -whole
            for side in (left, ~left):
                gain += (G[side].sum(axis=0) ** 2 / (H[side].sum(axis=0) + penalty)).sum()
            if gain > best * (1.0 + 1e-9):
                best, found = gain, (f, b)
    return found


def grow_trees(
    bins: NDArray[np.uint8],
    n_bins: NDArray[np.int64],
    column: NDArray[np.int64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    margin: NDArray[np.float64],
    settings: NDArray[np.float64],
    feature: NDArray[np.int64],
    split: NDArray[np.int64],
    leaf: NDArray[np.float64],
    node: NDArray[np.int64],
    gradient: NDArray[np.float64],
    histogram: NDArray[np.float64],
) -> None:
    """Row by row what the kernel does with histograms; the work arrays are left alone."""
    del gradient, histogram
    rate, penalty, least = settings
    n_inner = feature.shape[1]
    for tree in range(len(feature)):
        p = np.exp(margin - margin.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        G = weight[:, None] * (p - target)
        H = np.maximum(2.0 * weight[:, None] * p * (1.0 - p), 1e-16)
        node[:] = 0
        for at in range(n_inner):
            mine = node == at
            f, b = _best_split(bins[mine], n_bins, column[tree], G[mine], H[mine], penalty, least)
            feature[tree, at], split[tree, at] = f, b
            right = mine & (bins[:, f] > b) if f >= 0 else np.zeros_like(mine)
            node[mine] = 2 * at + 1
            node[right] = 2 * at + 2
        node -= n_inner
        for k in range(n_inner + 1):
            mine = node == k
            leaf[tree, k] = -rate * G[mine].sum(axis=0) / (H[mine].sum(axis=0) + penalty)
        margin += leaf[tree, node]


def predict_trees(
    X: NDArray[np.float32],
    feature: NDArray[np.int64],
    threshold: NDArray[np.float32],
    leaf: NDArray[np.float32],
    margin: NDArray[np.float32],
) -> None:
    """One row and one tree at a time."""
    n_inner = feature.shape[1]
    for i in range(len(X)):
        for tree in range(len(feature)):
            at = 0
            while at < n_inner:
                f = int(feature[tree, at])
                at = 2 * at + (2 if f >= 0 and X[i, f] >= threshold[tree, at] else 1)
            margin[i] += leaf[tree, at - n_inner]
