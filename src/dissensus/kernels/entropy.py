"""How far a committee disagrees, per track: blocks of tracks in float32, and float64 for whatever could be among the best.

A block's mean stays in the first cache while the members' rows stream past it once. Tracks whose probabilities make no
distribution (a sum that is tiny, huge or infinite, something negative) are scored in float64, one by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._measures import Measure
from dissensus.kernels._jit import kernel
from dissensus.kernels.log import TINY, log_normal
from dissensus.kernels.topk import excluded, finish, offer, offer_nan

__all__ = [
    "consensus_entropy",
    "entropy_block",
    "margin",
    "margin_block",
    "mean_kl",
    "query_top",
    "score_track",
    "slack",
]

#: What the kernels call measures by.
ENTROPY, KL, MARGIN = int(Measure.consensus_entropy), int(Measure.mean_kl), int(Measure.margin)

_FLOATS = 4096  # of one block's mean: 16 KB
_SMALL = np.float32(1e-30)
_LARGE = np.float32(1e30)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@kernel(exact=True)
def _block_size(n_classes: int) -> int:
    return max(1, _FLOATS // n_classes)


@kernel(exact=True)
def _mean_rows(proba: NDArray[Any], weight: NDArray[np.float64], track: int, mean: NDArray[np.float64]) -> float:
    """Weighted mean member of a track, float64, in the reference's order; returns its sum, NaN if something is negative."""
    n_members, _, n_classes = proba.shape
    total_weight = 0.0
    for m in range(n_members):
        total_weight += weight[m]
    total = 0.0
    negative = False
    for c in range(n_classes):
        value = 0.0
        for m in range(n_members):
            value += weight[m] * np.float64(proba[m, track, c])
        mean[c] = value / total_weight
        negative |= mean[c] < 0.0
        total += mean[c]
    return np.nan if negative else total


@kernel(exact=True)
def _entr(x: float) -> float:
    return -x * math.log(x) if x > 0.0 else (0.0 if x == 0.0 else x + np.nan)


@kernel(exact=True)
def _score_kl(proba: NDArray[Any], weight: NDArray[np.float64], track: int, mean: NDArray[np.float64]) -> float:
    n_members, _, n_classes = proba.shape
    total_weight = 0.0
    for c in range(n_classes):
        mean[c] = 0.0
    for m in range(n_members):
        total_weight += weight[m]
        total = 0.0
        for c in range(n_classes):
            if proba[m, track, c] < 0.0:
                return np.nan
            total += np.float64(proba[m, track, c])
        for c in range(n_classes):
            mean[c] += weight[m] * (np.float64(proba[m, track, c]) / total)
    for c in range(n_classes):
        mean[c] /= total_weight
    result = 0.0
    for m in range(n_members):
        total = 0.0
        for c in range(n_classes):
            total += np.float64(proba[m, track, c])
        divergence = 0.0
        for c in range(n_classes):
            if mean[c] != 0.0:
                divergence += -mean[c] * _entr(np.float64(proba[m, track, c]) / total / mean[c])
        result += weight[m] * divergence
    result /= total_weight
    return result if not result < 0.0 else 0.0


@kernel(exact=True)
def score_track(
    measure: int, proba: NDArray[Any], weight: NDArray[np.float64], track: int, mean: NDArray[np.float64]
) -> float:
    """One track in float64, operation by operation as the reference does it."""
    if measure == KL:
        return _score_kl(proba, weight, track, mean)  # type: ignore[no-any-return]
    n_classes = proba.shape[2]
    total = _mean_rows(proba, weight, track, mean)
    if measure == ENTROPY:
        result = 0.0
        for c in range(n_classes):
            result += _entr(mean[c] / total)
        return result
    first, second, bad = -1.0, -1.0, False
    for c in range(n_classes):
        p = mean[c] / total
        bad |= p != p
        if p > first:
            first, second = p, first
        elif p > second:
            second = p
    if bad:
        return np.nan
    return 1.0 - first if n_classes == 1 else 1.0 - (first - second)


@kernel(exact=True)
def _mean_block(
    proba: NDArray[Any], weight: NDArray[np.float64], start: int, stop: int, mean: NDArray[np.float32]
) -> None:
    n_members, n_tracks, n_classes = proba.shape
    flat = proba.reshape(n_members, n_tracks * n_classes)
    total_weight = 0.0
    for m in range(n_members):
        total_weight += weight[m]
    size = (stop - start) * n_classes
    for j in range(size):
        mean[j] = _ZERO
    for m in range(n_members):
        w = np.float32(weight[m] / total_weight)
        row = flat[m, start * n_classes : stop * n_classes]
        for j in range(size):
            mean[j] += w * np.float32(row[j])


@kernel(exact=True)
def entropy_block(mean: NDArray[np.float32], n: int, n_classes: int, out: NDArray[np.float32]) -> None:
    """Entropy of ``n`` rows of ``mean``, which is overwritten; infinity where float64 must look."""
    for i in range(n):
        total, low = _ZERO, _ZERO
        for c in range(n_classes):
            value = mean[i * n_classes + c]
            total += value
            low = min(low, value)
        fit = total >= _SMALL and total <= _LARGE and low >= _ZERO
        out[i] = _ZERO if fit else np.float32(np.inf)
        scale = _ONE / total if fit else _ZERO
        for c in range(n_classes):
            mean[i * n_classes + c] *= scale
    for j in range(n * n_classes):
        p = mean[j]
        mean[j] = p * log_normal(p if p > TINY else TINY)
    for i in range(n):
        total = _ZERO
        for c in range(n_classes):
            total -= mean[i * n_classes + c]
        out[i] += total if total > _ZERO else _ZERO


@kernel(exact=True)
def margin_block(mean: NDArray[np.float32], n: int, n_classes: int, out: NDArray[np.float32]) -> None:
    for i in range(n):
        total, low, first, second = _ZERO, _ZERO, _ZERO, _ZERO
        for c in range(n_classes):
            value = mean[i * n_classes + c]
            total += value
            low = min(low, value)
            second = max(second, min(first, value))
            first = max(first, value)
        fit = total >= _SMALL and total <= _LARGE and low >= _ZERO
        out[i] = _ONE - (first - second) / total if fit else np.float32(np.inf)


@kernel(exact=True)
def _kl_block(
    proba: NDArray[Any],
    weight: NDArray[np.float64],
    start: int,
    stop: int,
    scratch: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Entropy of the mean less the mean entropy, rows scaled to one; infinity where float64 must look."""
    n_members, n_tracks, n_classes = proba.shape
    flat = proba.reshape(n_members, n_tracks * n_classes)
    total_weight = 0.0
    for m in range(n_members):
        total_weight += weight[m]
    n = stop - start
    size = n * n_classes
    mean, p, less = scratch[0, :size], scratch[1, :size], scratch[2, :n]
    mean[:] = _ZERO
    less[:] = _ZERO
    for m in range(n_members):
        w = np.float32(weight[m] / total_weight)
        row = flat[m, start * n_classes : stop * n_classes]
        for i in range(n):
            total, low = _ZERO, _ZERO
            for c in range(n_classes):
                value = np.float32(row[i * n_classes + c])
                total += value
                low = min(low, value)
            fit = total >= _SMALL and total <= _LARGE and low >= _ZERO
            less[i] += _ZERO if fit else np.float32(np.inf)
            scale = _ONE / total if fit else _ZERO
            for c in range(n_classes):
                p[i * n_classes + c] = np.float32(row[i * n_classes + c]) * scale
        for j in range(size):
            mean[j] += w * p[j]
            p[j] = p[j] * log_normal(p[j] if p[j] > TINY else TINY)
        for i in range(n):
            total = _ZERO
            for c in range(n_classes):
                total += p[i * n_classes + c]
            less[i] += w * total
    entropy_block(mean, n, n_classes, out)
    for i in range(n):
        value = out[i] + less[i]
        out[i] = _ZERO if value <= _ZERO else value


@kernel(exact=True)
def _block(
    measure: int,
    proba: NDArray[Any],
    weight: NDArray[np.float64],
    start: int,
    stop: int,
    scratch: NDArray[np.float32],
    exact: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Utility of tracks ``start:stop`` into ``out[: stop - start]``."""
    n, n_classes = stop - start, proba.shape[2]
    if measure == KL:
        _kl_block(proba, weight, start, stop, scratch, out)
    else:
        _mean_block(proba, weight, start, stop, scratch[0])
        if measure == ENTROPY:
            entropy_block(scratch[0], n, n_classes, out)
        else:
            margin_block(scratch[0], n, n_classes, out)
    for i in range(n):
        if not out[i] < np.inf:
            out[i] = np.float32(score_track(measure, proba, weight, start + i, exact))


@kernel(exact=True)
def _all(
    measure: int, proba: NDArray[Any], weight: NDArray[np.float64], start: int, stop: int, out: NDArray[np.float32]
) -> None:
    n_classes = proba.shape[2]
    size = _block_size(n_classes)
    scratch = np.empty((3, size * n_classes), np.float32)
    exact = np.empty(n_classes)
    for low in range(start, stop, size):
        high = min(low + size, stop)
        _block(measure, proba, weight, low, high, scratch, exact, out[low:high])


@kernel(exact=True)
def consensus_entropy(
    proba: NDArray[Any], weight: NDArray[np.float64], start: int, stop: int, out: NDArray[np.float32]
) -> None:
    """Write the entropy (nats) of the weighted mean member into ``out[start:stop]``."""
    _all(ENTROPY, proba, weight, start, stop, out)


@kernel(exact=True)
def mean_kl(proba: NDArray[Any], weight: NDArray[np.float64], start: int, stop: int, out: NDArray[np.float32]) -> None:
    """Write the weighted mean divergence (nats) of the members from their mean into ``out[start:stop]``."""
    _all(KL, proba, weight, start, stop, out)


@kernel(exact=True)
def margin(proba: NDArray[Any], weight: NDArray[np.float64], start: int, stop: int, out: NDArray[np.float32]) -> None:
    """Write one minus the lead of the first class over the second, in the mean member, into ``out[start:stop]``."""
    _all(MARGIN, proba, weight, start, stop, out)


@kernel(exact=True)
def slack(n_members: int, n_classes: int) -> float:
    """More than a float32 utility can be off: rounding of sums, products and logarithms, term by term."""
    return 1.2e-7 * (n_members + n_classes + 16.0) * (2.0 + math.log(n_classes))


@kernel(exact=True)
def query_top(
    proba: NDArray[Any],
    weight: NDArray[np.float64],
    measure: int,
    exclude: NDArray[np.int64],
    start: int,
    stop: int,
    index: NDArray[np.int64],
    score: NDArray[np.float64],
) -> int:
    """Write the best ``len(index)`` tracks of ``start:stop`` and their float64 scores, best first; return how many."""
    n_members, _, n_classes = proba.shape
    k = index.size
    if k == 0:
        return 0
    size = _block_size(n_classes)
    scratch = np.empty((3, size * n_classes), np.float32)
    exact = np.empty(n_classes)
    utility = np.empty(size, np.float32)
    held = np.zeros(2, np.int64)
    near = slack(n_members, n_classes)
    for low in range(start, stop, size):
        high = min(low + size, stop)
        _block(measure, proba, weight, low, high, scratch, exact, utility)
        for i in range(high - low):
            if held[0] < k or utility[i] >= score[0] - near:
                if excluded(exclude, low + i):
                    continue
                value = score_track(measure, proba, weight, low + i, exact)
                if value != value:
                    offer_nan(index, held, low + i)
                else:
                    offer(score, index, held, value, low + i)
    return finish(score, index, held)  # type: ignore[no-any-return]
