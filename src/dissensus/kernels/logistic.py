"""Logistic regression by stochastic gradient descent, all classes in one pass over a row."""

from __future__ import annotations

import math

from dissensus.kernels._jit import kernel

__all__ = ["logistic_sgd"]


@kernel
def logistic_sgd(X, target, weight, order, coef, intercept, mean_coef, mean_intercept, alpha, eta0, t, n_averaged):  # type: ignore[no-untyped-def]
    """Take one averaged SGD step per row of ``order``; update the four parameter arrays in place.

    X (N,F), target (N,C), weight f8 (N,), order i8 (M,), coef (C,F), intercept (C,), their running means of the same shapes,
    alpha f8 (L2 penalty), eta0 f8 (first step), t i8 (steps taken so far), n_averaged i8 (iterates in the running means; a
    negative number leaves the means alone). Returns the sum of the weighted losses seen before each step.
    """
    n_classes, n_features = coef.shape
    total = 0.0
    for step in range(order.shape[0]):
        i = order[step]
        eta = eta0 / (1.0 + alpha * eta0 * (t + step)) ** 0.75
        w = weight[i]
        keep = 1.0 - eta * alpha * w
        for c in range(n_classes):
            score = 0.0
            for f in range(n_features):
                score += coef[c, f] * X[i, f]
            score += intercept[c]
            if score >= 0.0:
                e = math.exp(-score)
                p = 1.0 / (1.0 + e)
                total += w * (math.log1p(e) + (1.0 - target[i, c]) * score)
            else:
                e = math.exp(score)
                p = e / (1.0 + e)
                total += w * (math.log1p(e) - target[i, c] * score)
            move = eta * w * (target[i, c] - p)
            for f in range(n_features):
                coef[c, f] = keep * coef[c, f] + move * X[i, f]
            intercept[c] += move
        if n_averaged >= 0:
            share = 1.0 / (n_averaged + step + 1.0)
            for c in range(n_classes):
                for f in range(n_features):
                    mean_coef[c, f] += share * (coef[c, f] - mean_coef[c, f])
                mean_intercept[c] += share * (intercept[c] - mean_intercept[c])
    return total
