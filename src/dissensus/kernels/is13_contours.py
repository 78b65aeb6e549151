"""Numba twins of the IS13 kernels over contours: smoothing, deltas, windows."""

from __future__ import annotations

import math

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["is13_contours", "is13_windows"]


@kernel
def is13_contours(raw, n_voicing, running, start, stop, state, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.is13_contours.is13_contours`."""
    n_frames, n = raw.shape
    end = n_frames - 1
    base = max(start - 2, 0)
    smooth = np.empty((min(stop + 2, n_frames) - base, n), dtype=np.float32)
    for t in range(base, base + smooth.shape[0]):
        a, b, c = raw[max(t - 1, 0)], raw[t], raw[min(t + 1, end)]
        for j in range(n_voicing):
            x, y, z = np.float64(a[j]), np.float64(b[j]), np.float64(c[j])
            some = (1 if x != 0.0 else 0) + 1 + (1 if z != 0.0 else 0)
            smooth[t - base, j] = 0.0 if y == 0.0 else (x + y + z) / some
        for j in range(n_voicing, n):
            smooth[t - base, j] = (np.float64(a[j]) + np.float64(b[j]) + np.float64(c[j])) / 3.0
    divisor = state[0]
    for t in range(start, stop):
        row = out[t - start]
        row[:n] = smooth[t - base]
        a, b = smooth[max(t - 2, 0) - base], smooth[max(t - 1, 0) - base]
        c, d = smooth[min(t + 1, end) - base], smooth[min(t + 2, end) - base]
        for j in range(n_voicing):
            total, pairs = 0.0, 0.0
            if b[j] != 0.0 and c[j] != 0.0:
                total += np.float64(c[j]) - b[j]
                pairs += 1.0
            if a[j] != 0.0 and d[j] != 0.0:
                total += 2.0 * (np.float64(d[j]) - a[j])
                pairs += 4.0
            divisor += pairs
            row[n + j] = total / (divisor if running else max(2.0 * pairs, 1.0))
        for j in range(n_voicing, n):
            row[n + j] = (np.float64(c[j]) - b[j] + 2.0 * (np.float64(d[j]) - a[j])) / 10.0
    state[0] = divisor


@kernel
def is13_windows(contours, length, hop, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.is13_contours.is13_windows`."""
    n_frames, n = contours.shape
    mean, square = np.zeros(n), np.zeros(n)
    for k in range(out.shape[0]):
        first, last = k * hop, min(k * hop + length, n_frames)
        for j in range(n):
            mean[j], square[j] = 0.0, 0.0
        for t in range(first, last):
            for j in range(n):
                mean[j] += contours[t, j]
        for j in range(n):
            mean[j] /= last - first
        for t in range(first, last):
            for j in range(n):
                d = contours[t, j] - mean[j]
                square[j] += d * d
        for j in range(n):
            out[k, 2 * j] = math.sqrt(square[j] / (last - first))
            out[k, 2 * j + 1] = mean[j]
