"""Slow twins of ``kernels/logistic.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bound_descent", "logistic_sgd"]

Array = NDArray[np.float64]


def logistic_sgd(
    X: Array,
    target: Array,
    weight: Array,
    order: NDArray[np.int64],
    coef: Array,
    intercept: Array,
    mean_coef: Array,
    mean_intercept: Array,
    alpha: float,
    eta0: float,
    t: int,
    n_averaged: int,
) -> float:
    """One averaged SGD step per row of ``order``; parameters are updated in place. Returns the sum of the losses."""
    total = 0.0
    for step, i in enumerate(order):
        eta = eta0 / (1.0 + alpha * eta0 * (t + step)) ** 0.75
        score = coef @ X[i] + intercept
        total += weight[i] * float((np.logaddexp(0.0, score) - target[i] * score).sum())
        move = eta * weight[i] * (target[i] - 1.0 / (1.0 + np.exp(-score)))
        coef *= 1.0 - eta * alpha * weight[i]
        coef += move[:, None] * X[i]
        intercept += move
        if n_averaged >= 0:
            share = 1.0 / (n_averaged + step + 1.0)
            mean_coef += share * (coef - mean_coef)
            mean_intercept += share * (intercept - mean_intercept)
    return total


def bound_descent(
    by_row: NDArray[np.float32],
    by_weight: NDArray[np.float32],
    start: NDArray[np.float32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    inverse: NDArray[np.float32],
    penalty: NDArray[np.float32],
    max_steps: int,
    tol: float,
    score: NDArray[np.float32],
    work: NDArray[np.float32],
    move: NDArray[np.float32],
) -> int:
    """Minimise the log loss over a move of the weights by accelerated bound optimisation; return the steps taken."""
    del by_weight, score, work
    rows = by_row.astype(np.float64).transpose(0, 2, 1).reshape(len(weight), -1)
    bound = inverse.astype(np.float64).transpose(1, 0, 2).reshape(len(penalty), -1)
    begun = start.astype(np.float64)
    at = ahead = move.astype(np.float64)
    momentum, steps = np.ones(len(move)), 0
    while steps < max_steps:
        steps += 1
        error = weight * (1.0 / (1.0 + np.exp(-(begun + ahead @ rows.T))) - target)
        step = (error @ rows + penalty * ahead) @ bound
        to = ahead - step
        change = to - at
        uphill = (step * change).sum(axis=1) > 0
        before, momentum = momentum, np.where(uphill, 1.0, 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)))
        carry = np.where(uphill, 0.0, (before - 1.0) / momentum)
        ahead, at = to + carry[:, None] * change, to
        if np.abs(change).max() < tol:
            break
    move[:] = at
    return steps
