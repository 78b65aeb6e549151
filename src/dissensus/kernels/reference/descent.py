"""Slow twins of ``kernels/descent.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["anchored_descent", "project_rows"]

Array = NDArray[np.float64]


def project_rows(
    X: NDArray[np.float32], row: NDArray[np.int64], basis: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write the products of the rows X[row] with the columns of a basis, column by column."""
    columns = basis.astype(np.float64).transpose(0, 2, 1).reshape(-1, X.shape[1])
    out[:] = columns @ X[row].astype(np.float64).T


def anchored_descent(
    known_by_row: NDArray[np.float32],
    known_by_weight: NDArray[np.float32],
    known_start: NDArray[np.float32],
    known_target: NDArray[np.float32],
    known_weight: NDArray[np.float32],
    told: NDArray[np.float32],
    label: NDArray[np.int64],
    told_weight: NDArray[np.float32],
    metric: Array,
    penalty: NDArray[np.float32],
    n_classes: int,
    first: int,
    max_steps: int,
    tol: float,
    work: NDArray[np.float32],
    room: Array,
    move: NDArray[np.float32],
) -> int:
    """Minimise the log loss over a move of the weights by Newton's method; return the most steps that a model took."""
    del known_by_weight, metric, work, room
    n_models, n_weights = move.shape
    rows = known_by_row.astype(np.float64).transpose(0, 2, 1).reshape(-1, n_weights)
    rows = np.concatenate([rows, told[:n_weights].T.astype(np.float64)])
    weight = np.concatenate([known_weight, told_weight]).astype(np.float64)
    steps = np.zeros(n_models, dtype=np.int64)
    for k in range(n_models):
        start = np.concatenate([known_start[k], told[n_weights + first + k]]).astype(np.float64)
        target = np.concatenate([known_target[k], label == (first + k) % n_classes]).astype(np.float64)

        def slope(at: Array, start: Array = start, target: Array = target) -> tuple[Array, Array]:
            proba = 1.0 / (1.0 + np.exp(-(start + rows @ at)))
            return (weight * (proba - target)) @ rows + penalty * at, proba * (1.0 - proba)

        at = np.zeros(n_weights)
        while steps[k] < max_steps:
            steps[k] += 1
            gradient, spread = slope(at)
            step = np.linalg.solve((rows.T * (weight * spread)) @ rows + np.diag(penalty.astype(np.float64)), gradient)
            if gradient @ step <= tol * weight.sum():
                at -= step
                break
            far = 1.0
            while slope(at - far * step)[0] @ step < -0.5 * (gradient @ step) and far > 1e-12:  # past the valley
                far /= 2.0
            at -= far * step
        move[k] = at
    return int(steps.max(initial=0))
