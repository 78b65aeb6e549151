"""Numba twin of the IS13 kernel that compares neighbouring pitch periods."""

from __future__ import annotations

import math

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["is13_periods"]


@kernel
def _correlations(signal, at, low, high, out):  # type: ignore[no-untyped-def]
    """Pearson correlation of ``signal[at : at + lag]`` with the stretch after it, for lags ``low..high``."""
    first, first_square, both, both_square = 0.0, 0.0, 0.0, 0.0
    for i in range(low - 1):
        x = np.float64(signal[at + i])
        first += x
        first_square += x * x
    for i in range(2 * (low - 1)):
        x = np.float64(signal[at + i])
        both += x
        both_square += x * x
    for lag in range(low, high + 1):
        x = np.float64(signal[at + lag - 1])
        y, z = np.float64(signal[at + 2 * lag - 2]), np.float64(signal[at + 2 * lag - 1])
        first += x
        first_square += x * x
        both += y + z
        both_square += y * y + z * z
        product = 0.0
        head, tail = signal[at : at + lag], signal[at + lag : at + 2 * lag]
        for i in range(lag):
            product += np.float64(head[i]) * np.float64(tail[i])
        second = both - first
        power = (first_square - first * first / lag) * (both_square - first_square - second * second / lag)
        out[lag - low] = (product - first * second / lag) / math.sqrt(power) if power > 0.0 else 0.0


@kernel
def _span(signal, at, n):  # type: ignore[no-untyped-def]
    low, high = signal[at], signal[at]
    for i in range(1, n):
        low, high = min(low, signal[at + i]), max(high, signal[at + i])
    return np.float64(high) - np.float64(low)


@kernel
def _noise(signal, starts, count, n, mean):  # type: ignore[no-untyped-def]
    """Mean squares of the average of the cycles and of what they differ from it."""
    harmonic, noise = 0.0, 0.0
    for i in range(n):
        mean[i] = 0.0
    for k in range(count):
        cycle = signal[starts[k] : starts[k] + n]
        for i in range(n):
            mean[i] += cycle[i]
    for i in range(n):
        mean[i] /= count
        harmonic += mean[i] * mean[i]
    for k in range(count):
        cycle = signal[starts[k] : starts[k] + n]
        for i in range(n):
            noise += (cycle[i] - mean[i]) * (cycle[i] - mean[i])
    return harmonic / n, noise / (n * count)


@kernel
def is13_periods(signal, pitch, rate, hop, length, search, start, state, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.is13_periods.is13_periods`."""
    scores, mean = np.empty(length), np.empty(length)
    starts = np.empty(length, dtype=np.int64)
    at, voiced = int(state[0]), state[1] > 0.0
    last_period, last_change = state[2], state[3]
    jitter, difference, shimmer, ratio = state[4], state[5], state[6], state[7]
    for row in range(pitch.shape[0]):
        t = start + row
        if not pitch[row] > 0.0:
            voiced = False
            out[row, 0], out[row, 1], out[row, 2], out[row, 3] = 0.0, 0.0, 0.0, -100.0
            continue
        if not voiced:
            voiced, at = True, t * hop
            last_period, last_change = 0.0, 0.0
            jitter, difference, shimmer, ratio = 0.0, 0.0, 0.0, -100.0
        period = rate / np.float64(pitch[row])
        low, high = max(int(period * (1.0 - search)), 2), int(period * (1.0 + search))
        need = 2 * high + 4
        limit = min(max((t + 1) * hop, at + need), t * hop + length)
        count, accepted, shortest = 0, 0, length
        periods, changes, second, n_changes, n_second, spans, steps = 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0
        while at + need <= limit:
            _correlations(signal, at, low, high, scores)
            best, score = -1, -2.0
            for i in range(1, high - low):
                if scores[i] > scores[i - 1] and scores[i] >= scores[i + 1] and scores[i] > score:
                    best, score = i, scores[i]
            lag, exact, score = int(period), period, 0.0
            if best > 0:
                a, b, c = scores[best - 1], scores[best], scores[best + 1]
                offset = 0.5 * (a - c) / (a - 2.0 * b + c)
                lag, exact, score = low + best, low + best + offset, b - 0.25 * (a - c) * offset
            starts[count] = at
            starts[count + 1] = at + lag
            count += 1
            shortest = min(shortest, lag)
            if score >= 0.5:
                accepted += 1
                periods += exact
                x, y = _span(signal, at, lag), _span(signal, at + lag, lag)
                spans += 0.5 * (x + y)
                steps += abs(x - y)
                if last_period > 0.0:
                    change = abs(exact - last_period)
                    change = 0.0 if change < 1e-9 * exact else change  # the same stretch, compared again
                    changes += change
                    n_changes += 1
                    if last_change > 0.0:
                        second += abs(change - last_change)
                        n_second += 1
                    last_change = change
                last_period = exact
            if at + lag >= (t + 1) * hop - 1:
                break
            at += lag
        out[row, 0], out[row, 1] = jitter, difference
        if accepted > 0:
            average = periods / accepted
            out[row, 0], out[row, 1] = 0.0, 0.0
            if n_changes > 0:
                jitter = min(changes / n_changes / average, 1.0)
                out[row, 0] = jitter
            if n_second > 0:
                difference = min(second / n_second / average, 1.0)
                out[row, 1] = difference
            shimmer = steps / spans if spans > 0.0 else 0.0
        if count > 0:
            harmonic, noise = _noise(signal, starts, count + 1, shortest, mean)
            ratio = 10.0 * math.log10(max(harmonic, 1e-30) / max(noise, 1e-10 * harmonic, 1e-30))
        out[row, 2], out[row, 3] = shimmer, max(ratio, -100.0)
    state[0], state[1], state[2], state[3] = at, 1.0 if voiced else 0.0, last_period, last_change
    state[4], state[5], state[6], state[7] = jitter, difference, shimmer, ratio
