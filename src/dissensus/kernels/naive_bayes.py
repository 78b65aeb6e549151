"""Sufficient statistics of Gaussian naive Bayes."""

from __future__ import annotations

from dissensus.kernels._jit import kernel

__all__ = ["class_moments"]


@kernel
def class_moments(X, index, weight, count, mean, var):  # type: ignore[no-untyped-def]
    """Weight, weighted mean and weighted variance of every class, in two passes; zeros for a class without weight.

    X float (N,F), index i8 (N,), weight f8 (N,), count f8 (C,), mean and var f8 (C,F).
    """
    n_classes, n_features = mean.shape
    for c in range(n_classes):
        count[c] = 0.0
        for f in range(n_features):
            mean[c, f] = 0.0
            var[c, f] = 0.0
    for i in range(X.shape[0]):
        c, w = index[i], weight[i]
        count[c] += w
        for f in range(n_features):
            mean[c, f] += w * X[i, f]
    for c in range(n_classes):
        if count[c] > 0.0:
            for f in range(n_features):
                mean[c, f] /= count[c]
    for i in range(X.shape[0]):
        c, w = index[i], weight[i]
        for f in range(n_features):
            away = X[i, f] - mean[c, f]
            var[c, f] += w * away * away
    for c in range(n_classes):
        if count[c] > 0.0:
            for f in range(n_features):
                var[c, f] /= count[c]
