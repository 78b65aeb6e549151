"""Numba twins of the IS13 kernels that need 20 ms frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel
from dissensus.kernels.is13_fft import spectra
from dissensus.kernels.log import log_normal

__all__ = ["is13_auditory", "is13_spectral"]

_BLOCK = 32
_FLOOR = np.float32(1e-7)


@kernel
def _statistics(power, before, table, channel, logs, row):  # type: ignore[no-untyped-def]
    """Bands and statistics of one power spectrum; ``before`` is the magnitude of the last frame and becomes this one's."""
    n = power.shape[0]
    m = n - 1
    for j in range(26):
        row[j] = 0.0
    for k in range(n):
        c = channel[k]
        if c >= 0:
            p, r = power[k], table[k, 2]
            if c < 26:
                row[c] += np.float32(r * p)
            if c > 0:
                row[c - 1] += np.float32((1.0 - r) * p)
    total, weighted, low, high, sharp, flux = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    surprise, mass = 0.0, 0.0
    for k in range(1, n):
        p = power[k]
        total += p
        weighted += p * table[k, 0]
        sharp += p * table[k, 1]
        low += p * table[k, 3]
        high += p * table[k, 4]
    for k in range(1, n):
        logs[k] = log_normal(max(power[k], _FLOOR))
    for k in range(1, n):
        p = max(power[k], _FLOOR)
        mass += p
        surprise += p * logs[k]
        magnitude = math.sqrt(power[k])
        d = magnitude - before[k]
        flux += d * d
        before[k] = magnitude
    row[27], row[28] = low, high
    row[33] = math.sqrt(flux / m)
    cumulated, k = 0.0, 1
    for j in range(4):
        share = (0.25 if j == 0 else 0.5 if j == 1 else 0.75 if j == 2 else 0.9) * total
        while k < m and cumulated + power[k] < share:
            cumulated += power[k]
            k += 1
        row[29 + j] = table[k, 0]
    for j in range(34, 42):
        row[j] = 0.0
    if not total > 0.0:
        return
    centroid = weighted / total
    second, third, fourth = 0.0, 0.0, 0.0
    for k in range(1, n):
        d = table[k, 0] - centroid
        p = power[k] * d * d
        second += p
        third += p * d
        fourth += p * d * d
    second /= total
    row[34] = centroid
    row[35] = max((mass * math.log(total) - surprise) / (total * math.log(2.0)), 0.0)
    row[36] = second
    if second > 0.0:
        row[37] = third / total / second**1.5
        row[38] = fourth / total / second**2
    middle = 0.5 * (table[1, 0] + table[m, 0])
    spread = table[1, 0] ** 2 * m * (float(m) * m - 1.0) / 12.0
    row[39] = (weighted - middle * total) / spread * (m - 1)
    row[40] = sharp / total
    last, steps, some = 0.0, 0.0, False
    for k in range(3, n - 2):
        p = power[k]
        a, b, c, d = power[k - 2], power[k - 1], power[k + 1], power[k + 2]
        if (p > max(max(a, b), max(c, d))) or (p < min(min(a, b), min(c, d))):
            if some:
                steps += abs(p - last)
            last, some = p, True
    row[41] = steps / (2 * m)


@kernel
def _rows(power, signal, n, hop, first, skip, table, channel, before, logs, out):  # type: ignore[no-untyped-def]
    for t in range(power.shape[0]):
        if t < skip:  # the frame before the block, for the flux
            for k in range(power.shape[1]):
                before[k] = math.sqrt(power[t, k])
            continue
        row = out[first + t]
        _statistics(power[t], before, table, channel, logs, row)
        if first + t == 0:
            row[33] = 0.0
        energy = 0.0
        frame = signal[(first + t) * hop : (first + t) * hop + n]
        for i in range(n):
            energy += np.float64(frame[i]) * frame[i]
        row[26] = math.sqrt(energy / n)


def is13_spectral(
    signal: NDArray[np.float32],
    window: NDArray[np.float64],
    table: NDArray[np.float64],
    channel: NDArray[np.int64],
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """As :func:`dissensus.kernels.reference.is13_spectral.is13_spectral`."""
    n_bins = len(table)
    before, logs = np.zeros(n_bins), np.zeros(n_bins, dtype=np.float32)
    power = np.empty((_BLOCK + 1, n_bins), dtype=np.float32)
    for first in range(start, stop, _BLOCK):
        skip = 1 if first == start and start > 0 else 0
        rows = power[: min(_BLOCK, stop - first) + skip]
        spectra(signal, (first - skip) * hop, hop, window, False, rows)
        _rows(rows, signal, len(window), hop, first - skip, skip, table, channel, before, logs, out)


@kernel
def is13_auditory(bands, loudness, rasta, cosines, start, state, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.is13_spectral.is13_auditory`."""
    full_scale = 32767.0 * 32767.0
    logs, filtered = state[:5], state[5]
    for row in range(bands.shape[0]):
        t = start + row
        here = logs[t % 5]
        loud, loud_filtered = 0.0, 0.0
        for j in range(26):
            here[j] = math.log(max(np.float64(bands[row, j]), 1.0 / full_scale))
        for j in range(26):
            if t >= 5:
                total = rasta[5] * filtered[j]
                for i in range(5):
                    total += rasta[i] * logs[(t - i) % 5, j]
                filtered[j] = total
            weight = loudness[j] ** 0.33
            loud += weight * math.exp(0.33 * here[j])
            band = weight * math.exp(0.33 * filtered[j])
            loud_filtered += band
            out[row, 2 + j] = band
        out[row, 0], out[row, 1] = loud / 26.0, loud_filtered / 26.0
        for i in range(14):
            total = 0.0
            for j in range(26):
                total += cosines[i, j] * here[j]
            out[row, 28 + i] = total
