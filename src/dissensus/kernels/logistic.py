"""Logistic regression by stochastic gradient descent, all classes in one pass over a row."""

from __future__ import annotations

import math

import numpy as np

from dissensus.kernels._jit import kernel
from dissensus.kernels.member_votes import panel_rows

__all__ = ["bound_descent", "logistic_sgd"]


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


@kernel
def _sigmoid(x, power, out):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) of float32, within 1e-6."""
    bits = out.view(np.int32)
    for t in range(x.shape[0]):
        scaled = min(max(x[t] * np.float32(-1.4426950408889634), np.float32(-125.0)), np.float32(125.0))
        whole = np.rint(scaled)
        r = (scaled - whole) * np.float32(0.6931471805599453)
        p = np.float32(1.0 / 5040.0)
        p = p * r + np.float32(1.0 / 720.0)
        p = p * r + np.float32(1.0 / 120.0)
        p = p * r + np.float32(1.0 / 24.0)
        p = p * r + np.float32(1.0 / 6.0)
        p = p * r + np.float32(0.5)
        p = p * r + np.float32(1.0)
        out[t] = p * r + np.float32(1.0)
        power[t] = np.int32(whole)
    for t in range(x.shape[0]):
        bits[t] += power[t] << 23
    for t in range(x.shape[0]):
        out[t] = np.float32(1.0) / (np.float32(1.0) + out[t])


@kernel
def _products(panels, rows, out, spare):  # type: ignore[no-untyped-def]
    """rows f4 (K,F) times the matrix whose columns lie in panels f4 (P,F,32), to out f4 (K,32P)."""
    for p in range(panels.shape[0]):
        here = slice(32 * p, 32 * (p + 1))
        for k in range(0, rows.shape[0], 2):
            m = min(k + 1, rows.shape[0] - 1)
            panel_rows(panels[p], rows, rows[:0], k, m, out[k, here], out[m, here] if m > k else spare)


@kernel
def bound_descent(by_row, by_weight, start, target, weight, inverse, penalty, max_steps, tol, score, work, move):  # type: ignore[no-untyped-def]
    """Minimise the log loss over a move of the weights by accelerated bound optimisation; return the steps taken.

    The loss is sum_n weight_n (log(1 + exp(s)) - target s) + penalty/2 move², s = start + X move, for every model k by
    itself. X (N,F) comes twice, by_row f4 (N/32,F,32) with 32 rows side by side and by_weight f4 (F/32,N,32) with 32
    weights; start and target f4 (K,N), weight f4 (N,), inverse f4 (F/32,F,32) of a symmetric matrix that bounds the
    curvature, penalty f4 (F,), score f4 (3,K,N) and work f4 (4,K,F) scratch, move f4 (K,F) zero at first and the result at
    last. N and F are multiples of 32. A model whose momentum carries it uphill begins anew without (O'Donoghue and Candès,
    "Adaptive restart for accelerated gradient schemes", 2015).
    """
    n_models, n_rows = start.shape
    n_features = move.shape[1]
    ahead, gradient, step, momentum = work[0], work[1], work[2], work[3]
    spare = np.empty(32, dtype=np.float32)
    proba, power = score[1], score[2].view(np.int32).reshape(n_models * n_rows)
    for k in range(n_models):
        for f in range(n_features):
            ahead[k, f] = move[k, f]
        momentum[k, 0] = np.float32(1.0)
    for count in range(max_steps):
        _products(by_row, ahead, score[0], spare)
        for k in range(n_models):
            for n in range(n_rows):
                score[0, k, n] += start[k, n]
        _sigmoid(score[0].reshape(n_models * n_rows), power, proba.reshape(n_models * n_rows))
        for k in range(n_models):
            for n in range(n_rows):
                proba[k, n] = weight[n] * (proba[k, n] - target[k, n])
        _products(by_weight, proba, gradient, spare)
        for k in range(n_models):
            for f in range(n_features):
                gradient[k, f] += penalty[f] * ahead[k, f]
        _products(inverse, gradient, step, spare)
        largest = np.float32(0.0)
        for k in range(n_models):
            uphill = np.float32(0.0)
            for f in range(n_features):
                uphill += step[k, f] * (ahead[k, f] - step[k, f] - move[k, f])
            before = momentum[k, 0]
            carry = np.float32(0.0)
            momentum[k, 0] = np.float32(1.0)
            if uphill <= np.float32(0.0):
                momentum[k, 0] = np.float32(0.5 * (1.0 + math.sqrt(1.0 + 4.0 * before * before)))
                carry = (before - np.float32(1.0)) / momentum[k, 0]
            for f in range(n_features):
                to = ahead[k, f] - step[k, f]
                change = to - move[k, f]
                largest = max(largest, abs(change))
                ahead[k, f] = to + carry * change
                move[k, f] = to
        if largest < tol:
            return count + 1
    return max_steps
