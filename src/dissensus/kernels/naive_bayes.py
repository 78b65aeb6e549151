"""Sufficient statistics of Gaussian naive Bayes."""

from __future__ import annotations

from dissensus.kernels._jit import kernel

__all__ = ["class_moments", "merge_moments"]


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


@kernel
def merge_moments(known, theta, var, count, mean, spread):  # type: ignore[no-untyped-def]
    """Merge the moments of a batch into those of several models, in place (Chan, Golub and LeVeque).

    known f8 (M,C) weights, theta and var f8 (M,C,F); count f8 (C,), mean and spread f8 (C,F) of the batch. A class without
    weight in the batch stays as it is.
    """
    n_models, n_classes, n_features = theta.shape
    for m in range(n_models):
        for c in range(n_classes):
            if count[c] > 0.0:
                share = count[c] / (known[m, c] + count[c])
                for f in range(n_features):
                    step = mean[c, f] - theta[m, c, f]
                    theta[m, c, f] += share * step
                    var[m, c, f] = (1.0 - share) * (var[m, c, f] + share * step * step) + share * spread[c, f]
                known[m, c] += count[c]
