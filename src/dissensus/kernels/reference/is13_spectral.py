"""Slow twins of the IS13 kernels that need 20 ms frames: spectrum, auditory bands, cepstra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]

__all__ = ["is13_auditory", "is13_spectral"]


def _frames(signal: NDArray[np.float32], length: int, hop: int, start: int, stop: int) -> F:
    at = np.arange(start, stop)[:, None] * hop + np.arange(length)
    return np.asarray(signal[at], dtype=np.float64)


def _extremes(power: F) -> float:
    """Sum of the steps between consecutive extremes among five neighbours."""
    i = np.arange(3, len(power) - 2)
    around = np.stack([power[i - 2], power[i - 1], power[i + 1], power[i + 2]])
    at = i[(power[i] > around.max(0)) | (power[i] < around.min(0))]
    return float(np.abs(np.diff(power[at])).sum())


def is13_spectral(
    signal: NDArray[np.float32],
    window: F,
    table: F,
    channel: NDArray[np.int64],
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Write 26 mel bands, RMS and 15 statistics of the spectra of the frames ``start:stop`` into those rows of ``out``."""
    n, n_bins = len(window), len(table)
    n_fft = 2 * (n_bins - 1)
    hz, sharp, rise = table[1:, 0], table[1:, 1], table[:, 2]
    bank = np.zeros((28, n_bins))
    inside = np.flatnonzero(channel >= 0)
    bank[channel[inside] + 1, inside] = rise[inside]
    bank[channel[inside], inside] += 1.0 - rise[inside]
    centred = hz - hz.mean()
    before = np.abs(np.fft.rfft(_frames(signal, n, hop, start - 1, start)[0] * window, n_fft)) if start else None
    for t in range(start, stop):
        frame = _frames(signal, n, hop, t, t + 1)[0]
        magnitude = np.abs(np.fft.rfft(frame * window, n_fft))
        power = magnitude**2
        row = out[t]
        row[:26] = (bank @ power)[1:27]
        row[26] = np.sqrt(np.mean(frame**2))
        row[27:29] = power @ table[:, 3:5]
        ac = power[1:]
        total = ac.sum()
        cumulated = np.cumsum(ac)
        for j, share in enumerate((0.25, 0.5, 0.75, 0.9)):
            row[29 + j] = hz[np.argmax(cumulated >= share * total)]
        row[33] = 0.0 if before is None else np.sqrt(np.mean((magnitude - before)[1:] ** 2))
        before = magnitude
        row[34:42] = 0.0
        if total > 0.0:
            share = ac / total
            centroid = share @ hz
            variance = share @ (hz - centroid) ** 2
            row[34] = centroid
            floored = np.maximum(ac, 1e-7) / total
            row[35] = max(-np.sum(floored * np.log2(floored)), 0.0)
            row[36] = variance
            if variance > 0.0:
                row[37] = share @ (hz - centroid) ** 3 / variance**1.5
                row[38] = share @ (hz - centroid) ** 4 / variance**2
            row[39] = (ac @ centred) / (centred @ centred) * (len(ac) - 1)
            row[40] = share @ sharp
            row[41] = _extremes(power) / n_fft


def is13_auditory(
    bands: NDArray[np.float32], loudness: F, rasta: F, cosines: F, start: int, state: F, out: NDArray[np.float32]
) -> None:
    """Write loudness, filtered loudness, 26 filtered bands and 14 cepstra of the mel bands ``(n_frames, >=26)`` into ``out``.

    The first row is frame ``start`` of the signal. ``state`` (6, 26) carries the filter from call to call: the logs of the
    last five frames, frame ``t`` in row ``t % 5``, and the last output.
    """
    mel = bands[:, :26].astype(np.float64)
    full_scale = 32767.0**2
    log_mel = np.log(np.maximum(mel, 1.0 / full_scale))
    log_weight = np.log(loudness)
    filtered = np.zeros_like(log_mel)
    for row in range(len(mel)):
        t = start + row
        state[t % 5] = log_mel[row]
        if t >= 5:
            state[5] = rasta[:5] @ state[[(t - i) % 5 for i in range(5)]] + rasta[5] * state[5]
        filtered[row] = state[5]
    out[:, 0] = np.exp(0.33 * (log_mel + log_weight)).mean(1)
    bands_out = np.exp(0.33 * (filtered + log_weight))
    out[:, 1] = bands_out.mean(1)
    out[:, 2:28] = bands_out
    out[:, 28:42] = (log_mel + np.log(full_scale)) @ cosines.T
