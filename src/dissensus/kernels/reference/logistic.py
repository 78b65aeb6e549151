"""Slow twins of ``kernels/logistic.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["logistic_sgd"]

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
