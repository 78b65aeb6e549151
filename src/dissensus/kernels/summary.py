"""Numba twins of the kernels of the summary features: short frames, long frames, windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel
from dissensus.kernels.is13_fft import spectra
from dissensus.kernels.log import log_normal

__all__ = ["summary_chroma", "summary_frames", "summary_windows"]

_BLOCK = 64
_FLOOR = np.float32(1e-10)
_SILENCE = np.float32(1e-6)
_DB = np.float32(10.0 / math.log(10.0))


@kernel
def _frame(power, octave, rise, bands, channels, logs, mel, before, row):  # type: ignore[no-untyped-def]
    """Shape of one power spectrum, and its rise over the frame before."""
    n, first, n_mels = power.shape[0], channels[0], mel.shape[0]
    total, weighted, square, level = 0.0, 0.0, 0.0, 0.0
    for k in range(first, n):
        power[k] += _FLOOR
        logs[k] = log_normal(power[k])
    for k in range(first, n):
        p = np.float64(power[k])
        total += p
        weighted += p * octave[k]
        square += p * octave[k] * octave[k]
        level += np.float64(logs[k])
    for j in range(7):
        inside = np.float32(0.0)
        for k in range(bands[j], bands[j + 1]):
            inside += power[k]
        row[5 + j] = inside
    falling = np.float32(0.0)
    for c in range(n_mels + 1):  # the bins between two centres belong to both channels
        whole, rising = np.float32(0.0), np.float32(0.0)
        for k in range(channels[c], channels[c + 1]):
            whole += power[k]
            rising += rise[k] * power[k]
        if c > 0:
            mel[c - 1] = falling + (whole - rising) + _SILENCE
        falling = rising
    centroid = weighted / total
    row[0], row[1] = total, centroid
    row[2] = math.sqrt(max(square / total - centroid * centroid, 0.0))
    k, cumulated = first, np.float64(power[first])
    while k < n - 1 and cumulated < 0.85 * total:
        k += 1
        cumulated += power[k]
    row[3] = octave[k]
    row[4] = 10.0 / math.log(10.0) * (level / (n - first) - math.log(total / (n - first)))
    flux = np.float32(0.0)
    for j in range(mel.shape[0]):
        here = _DB * log_normal(mel[j])
        flux += max(here - before[j], np.float32(0.0))
        before[j] = here
    row[12] = flux / mel.shape[0]


@kernel
def _frames(power, signal, size, hop, first, skip, scale, bins, bands, channels, work, spare, out):  # type: ignore[no-untyped-def]
    logs, octave, rise, mel, before = work[0], bins[0], bins[1], work[1, : len(channels) - 2], work[2]
    for t in range(power.shape[0]):
        row = spare if t < skip else out[first + t]
        for k in range(power.shape[1]):
            power[t, k] *= scale
        _frame(power[t], octave, rise, bands, channels, logs, mel, before, row)
        if first + t == 0:
            row[12] = 0.0
        frame = signal[(first + t) * hop : (first + t) * hop + size]
        energy, peak, crossings = np.float32(0.0), np.float32(0.0), 0
        for i in range(size):
            energy += frame[i] * frame[i]
            peak = max(peak, abs(frame[i]))
        for i in range(size - 1):
            crossings += 1 if frame[i] * frame[i + 1] < np.float32(0.0) else 0
        row[13], row[14], row[15] = energy / size, peak, crossings / (size - 1)


def summary_frames(
    signal: NDArray[np.float32],
    taper: NDArray[np.float64],
    bins: NDArray[np.float32],
    bands: NDArray[np.int64],
    channels: NDArray[np.int64],
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """As :func:`dissensus.kernels.reference.summary.summary_frames`."""
    n_bins = bins.shape[1]
    work, spare = np.zeros((3, n_bins + 2), dtype=np.float32), np.zeros(16, dtype=np.float32)
    power = np.empty((_BLOCK + 1, n_bins), dtype=np.float32)
    scale = np.float32((2.0 / taper.sum()) ** 2)
    for first in range(start, stop, _BLOCK):
        skip = 1 if first == start and start > 0 else 0
        rows = power[: min(_BLOCK, stop - first) + skip]
        spectra(signal, (first - skip) * hop, hop, taper, False, rows)
        _frames(rows, signal, len(taper), hop, first - skip, skip, scale, bins, bands, channels, work, spare, out)


@kernel
def _chroma(power, scale, begin, end, classes, out):  # type: ignore[no-untyped-def]
    for t in range(power.shape[0]):
        row = out[t]
        for j in range(14):
            row[j] = np.float32(0.0)
        best, top = begin, np.float32(0.0)
        for k in range(begin, end):
            p = power[t, k]
            if p > top:
                best, top = k, p
            if p >= power[t, k - 1] and p > power[t, k + 1]:
                magnitude = np.sqrt(scale * p)
                for j in range(12):
                    row[j] += magnitude * classes[k - begin, j]
        row[12], row[13] = best, scale * top


def summary_chroma(
    signal: NDArray[np.float32],
    taper: NDArray[np.float64],
    classes: NDArray[np.float32],
    begin: int,
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """As :func:`dissensus.kernels.reference.summary.summary_chroma`."""
    size = 1 << (len(taper) - 1).bit_length()
    power = np.empty((min(_BLOCK, stop - start), size // 2 + 1), dtype=np.float32)
    scale = np.float32((2.0 / taper.sum()) ** 2)
    for first in range(start, stop, _BLOCK):
        rows = power[: min(_BLOCK, stop - first)]
        spectra(signal, first * hop, hop, taper, False, rows)
        _chroma(rows, scale, begin, begin + len(classes), classes, out[first : first + len(rows)])


@kernel
def _level(frames, rate, level, out):  # type: ignore[no-untyped-def]
    """Level, its spread, crest, gaps, attack, tremolo, zero crossings of one window."""
    n = frames.shape[0]
    energy, peak, crossings, loudest = 0.0, 0.0, 0.0, -1e30
    for t in range(n):
        energy += frames[t, 13]
        peak = max(peak, np.float64(frames[t, 14]))
        crossings += frames[t, 15]
        level[t] = 10.0 * math.log10(max(np.float64(frames[t, 13]), 1e-10))
        loudest = max(loudest, level[t])
    whole = 10.0 * math.log10(max(energy / n, 1e-10))
    gaps, mean, square = 0, 0.0, 0.0
    for t in range(n):
        gaps += 1 if level[t] < loudest - 12.0 else 0
        level[t] = max(level[t], loudest - 40.0)
        mean += level[t]
    mean /= n
    for t in range(n):
        square += (level[t] - mean) ** 2
    out[0], out[1] = whole, math.sqrt(square / n)
    out[2] = 10.0 * math.log10(max(peak * peak, 1e-10)) - whole
    out[3], out[4], out[5], out[6] = gaps / n, 0.0, 0.0, crossings / n
    if n > 1:
        rise = np.sort(level[1:n] - level[: n - 1])
        at = 0.95 * (n - 2)
        low = int(at)
        out[4] = rise[low] + (at - low) * (rise[min(low + 1, n - 2)] - rise[low])
    if square > 1e-6 * n:
        wobble = 0.0
        for k in range(math.ceil(4.0 * n / rate), min(int(9.0 * n / rate), (n - 1) // 2) + 1):
            real, imaginary = 0.0, 0.0
            for t in range(n):
                angle = 2.0 * math.pi * ((k * t) % n) / n
                real += (level[t] - mean) * math.cos(angle)
                imaginary += (level[t] - mean) * math.sin(angle)
            wobble += real * real + imaginary * imaginary
        out[5] = 2.0 * wobble / (n * square)


@kernel
def _shape(frames, rate, out):  # type: ignore[no-untyped-def]
    """Means of the spectra's shape weighted by their power, bands, flux and onsets of one window."""
    n = frames.shape[0]
    total = 0.0
    sums, bands = np.zeros(4), np.zeros(7)
    centre, flux, square = 0.0, 0.0, 0.0
    for t in range(n):
        weight = np.float64(frames[t, 0])
        total += weight
        for j in range(4):
            sums[j] += weight * frames[t, 1 + j]
        for j in range(7):
            bands[j] += frames[t, 5 + j]
        centre += frames[t, 1]
        flux += frames[t, 12]
    centre /= n
    flux /= n
    for t in range(n):
        square += (frames[t, 1] - centre) ** 2
    out[7], out[8] = sums[0] / total, math.sqrt(square / n)
    out[9], out[10], out[11] = sums[1] / total, sums[2] / total, sums[3] / total
    square = 0.0
    for t in range(n):
        square += (frames[t, 12] - flux) ** 2
    out[12], out[13] = flux, math.sqrt(square / n)
    least, onsets = max(out[12] + out[13], 0.5), 0
    for t in range(1, n - 1):
        here = frames[t, 12]
        onsets += 1 if here > least and here > frames[t - 1, 12] and here >= frames[t + 1, 12] else 0
    out[14] = onsets * rate / n
    for j in range(7):
        out[22 + j] = 10.0 * math.log10(max(bands[j] / total, 1e-10))


@kernel
def _tempo(onset, rate, out):  # type: ignore[no-untyped-def]
    """Tempo (beats a minute) and clarity: the best mean of the autocorrelation at a lag and its double, under the prior."""
    n = onset.shape[0]
    out[15], out[16] = 120.0, 0.0
    smooth = np.empty(n)
    mean = 0.0
    for t in range(n):
        mean += onset[t]
    mean /= n
    for t in range(n):
        before = onset[t - 1] - mean if t > 0 else 0.0
        after = onset[t + 1] - mean if t + 1 < n else 0.0
        smooth[t] = 0.25 * (before + after) + 0.5 * (onset[t] - mean)
    n_lags = min(int(4.0 * rate) + 2, n)
    r = np.zeros(n_lags)
    for lag in range(n_lags):
        total = 0.0
        head, tail = smooth[: n - lag], smooth[lag:]
        for i in range(n - lag):
            total += head[i] * tail[i]
        r[lag] = total / (n - lag)
    if not r[0] > 1e-6:
        return
    best = 0.0
    for i in range(200):
        octaves = i / 60.0 - 2.0  # from 30 beats a minute to 300
        lag = rate * 0.5 * 2.0**-octaves
        found, count = 0.0, 0
        for multiple in range(1, 3):
            at = lag * multiple
            k = int(at)
            if at < 0.75 * n and k + 1 < n_lags:
                found += r[k] + (at - k) * (r[k + 1] - r[k])
                count += 1
        if count > 0:
            clarity = found / count / r[0]
            if clarity * math.exp(-0.5 * octaves * octaves) > best:
                best = clarity * math.exp(-0.5 * octaves * octaves)
                out[15], out[16] = 120.0 * 2.0**octaves, clarity


@kernel
def _harmony(inside, around, bin_hz, profiles, out):  # type: ignore[no-untyped-def]
    """Strongest pitch of one window; mode, key strength and entropy of the pitch classes around it."""
    mean, square = 0.0, 0.0
    for t in range(inside.shape[0]):
        mean += math.log2(inside[t, 12] * bin_hz / 55.0)
    mean /= inside.shape[0]
    for t in range(inside.shape[0]):
        square += (math.log2(inside[t, 12] * bin_hz / 55.0) - mean) ** 2
    out[17], out[18] = mean, math.sqrt(square / inside.shape[0])
    profile = np.zeros(12)
    total = 0.0
    for t in range(around.shape[0]):
        for j in range(12):
            profile[j] += around[t, j]
            total += around[t, j]
    out[19], out[20], out[21] = 0.0, 0.0, math.log(12.0)
    if not total > 1e-4 * around.shape[0]:  # 80 dB under full scale
        return
    entropy, norm = 0.0, 0.0
    for j in range(12):
        share = profile[j] / total
        entropy -= share * math.log(max(share, 1e-10))
        profile[j] = share - 1.0 / 12.0
        norm += profile[j] ** 2
    out[21] = entropy
    if norm < 1e-12:
        return
    best = np.full(2, -1.0)
    for key in range(24):
        match = 0.0
        for j in range(12):
            match += profile[j] * profiles[key, j]
        best[key // 12] = max(best[key // 12], match / math.sqrt(norm))
    out[19], out[20] = best[0] - best[1], max(best[0], best[1])


@kernel
def summary_windows(frames, chroma, spans, rate, bin_hz, profiles, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.summary.summary_windows`."""
    level, row = np.empty(frames.shape[0]), np.empty(29)
    for k in range(spans.shape[0]):
        inside = frames[spans[k, 0] : spans[k, 1]]
        _level(inside, rate, level, row)
        _shape(inside, rate, row)
        _tempo(frames[spans[k, 2] : spans[k, 3], 12], rate, row)
        _harmony(chroma[spans[k, 4] : spans[k, 5]], chroma[spans[k, 6] : spans[k, 7]], bin_hz, profiles, row)
        for j in range(29):
            out[k, j] = row[j]
