"""Slow twins of the kernels of the summary features: short frames, long frames, windows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]

__all__ = ["summary_chroma", "summary_frames", "summary_windows"]

FLOOR, SILENCE = 1e-10, 1e-6


def _db(power: F) -> F:
    return np.asarray(10.0 * np.log10(power))


def summary_frames(
    signal: NDArray[np.float32],
    taper: F,
    bins: NDArray[np.float32],
    bands: NDArray[np.int64],
    channels: NDArray[np.int64],
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Write what short frames say into the rows ``start:stop`` of ``out`` (n_frames, 16).

    Power, centroid, spread, roll-off (octaves), flatness (dB), power of seven octave bands, onset strength (mean rise of the
    mel bands over the frame before, dB), mean square, peak, share of zero crossings. ``bins`` (2, n_bins) are octaves above
    55 Hz and rising weight of each bin; ``bands`` (8,) and ``channels`` (n_mels + 2,) the first bins of the octave bands and
    of the stretches between the mel centres, and the end; bins before the first are left out.
    """
    size, n_mels, begin = len(taper), len(channels) - 2, int(channels[0])
    octave, rise = bins[:, begin:].astype(np.float64)
    channel = np.repeat(np.arange(n_mels + 1), np.diff(channels))
    bank = np.zeros((n_mels + 2, len(octave)))
    at = np.arange(len(octave))
    bank[channel + 1, at] = rise
    bank[channel, at] += 1.0 - rise
    bank = bank[1:-1]
    before = None
    for t in range(max(start - 1, 0), stop):
        frame = signal[t * hop : t * hop + size].astype(np.float64)
        power = np.abs(np.fft.rfft(frame * taper)) ** 2 * (2.0 / taper.sum()) ** 2
        power = power[begin:] + FLOOR
        mel = _db(bank @ power + SILENCE)
        flux = 0.0 if before is None else float(np.maximum(mel - before, 0.0).mean())
        before = mel
        if t < start:
            continue
        total = power.sum()
        centroid = power @ octave / total
        row = out[t]
        row[0], row[1] = total, centroid
        row[2] = np.sqrt(max(power @ octave**2 / total - centroid**2, 0.0))
        row[3] = octave[np.argmax(np.cumsum(power) >= 0.85 * total)]
        row[4] = _db(power).mean() - _db(power.mean())
        row[5:12] = [power[a - begin : b - begin].sum() for a, b in pairwise(bands.tolist())]
        row[12], row[13], row[14] = flux, np.mean(frame**2), np.abs(frame).max()
        row[15] = np.mean(frame[1:] * frame[:-1] < 0.0)


def summary_chroma(
    signal: NDArray[np.float32],
    taper: F,
    classes: NDArray[np.float32],
    begin: int,
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Write what long frames say into the rows ``start:stop`` of ``out`` (n_frames, 14).

    The magnitudes of the spectrum's peaks by pitch class, the strongest bin and its power. ``classes`` tells the pitch
    classes that a bin from ``begin`` on counts for.
    """
    end = begin + len(classes)
    for t in range(start, stop):
        frame = signal[t * hop : t * hop + len(taper)] * taper
        power = np.abs(np.fft.rfft(frame)) ** 2 * (2.0 / taper.sum()) ** 2
        part, left, right = power[begin:end], power[begin - 1 : end - 1], power[begin + 1 : end + 1]
        peaks = np.where((part >= left) & (part > right), np.sqrt(part), 0.0)
        out[t, :12] = peaks @ classes
        out[t, 12], out[t, 13] = begin + np.argmax(part), part.max()


def _tempo(onset: F, rate: float) -> tuple[float, float]:
    n = len(onset)
    smooth = np.convolve(onset - onset.mean(), [0.25, 0.5, 0.25], "same") if n > 2 else np.zeros(n)
    n_lags = min(int(4.0 * rate) + 2, n)
    r = np.array([smooth[: n - lag] @ smooth[lag:] / (n - lag) for lag in range(n_lags)])
    if not r[0] > 1e-6:
        return 120.0, 0.0
    octaves = np.arange(200) / 60.0 - 2.0
    at = rate * 0.5 * 2.0 ** -octaves[:, None] * np.array([1, 2])
    inside = (at < 0.75 * n) & (at.astype(int) + 1 < n_lags)
    values = np.where(inside, np.interp(at, np.arange(n_lags), r), 0.0)
    clarity = values.sum(1) / np.maximum(inside.sum(1), 1) / r[0]
    weighted = clarity * np.exp(-0.5 * octaves**2)
    i = int(np.argmax(weighted))
    return (float(120.0 * 2.0 ** octaves[i]), float(clarity[i])) if weighted[i] > 0.0 else (120.0, 0.0)


def _level(frames: F, rate: float) -> list[float]:
    n = len(frames)
    level = _db(np.maximum(frames[:, 13], 1e-10))
    whole, peak = (float(_db(np.maximum(v, 1e-10))) for v in (frames[:, 13].mean(), frames[:, 14].max() ** 2))
    gaps = float(np.mean(level < level.max() - 12.0))
    level = np.maximum(level, level.max() - 40.0)
    wobble = np.abs(np.fft.rfft(level - level.mean())) ** 2
    k = np.arange(len(wobble))
    band = (k >= np.ceil(4.0 * n / rate)) & (k <= int(9.0 * n / rate)) & (k <= (n - 1) // 2)
    tremolo = 2.0 * wobble[band].sum() / (n * n * level.var()) if level.var() > 1e-6 else 0.0
    attack = float(np.quantile(np.diff(level), 0.95)) if n > 1 else 0.0
    return [whole, level.std(), peak - whole, gaps, attack, tremolo, frames[:, 15].mean()]


def _shape(frames: F, rate: float) -> tuple[list[float], list[float]]:
    weight = frames[:, 0] / frames[:, 0].sum()
    centroid, spread, rolloff, flatness = weight @ frames[:, 1:5]
    flux = frames[:, 12]
    middle, least = flux[1:-1], max(flux.mean() + flux.std(), 0.5)
    onsets = np.sum((middle > least) & (middle > flux[:-2]) & (middle >= flux[2:]))
    shape = [
        centroid,
        frames[:, 1].std(),
        spread,
        rolloff,
        flatness,
        flux.mean(),
        flux.std(),
        onsets * rate / len(flux),
    ]
    return shape, list(_db(np.maximum(frames[:, 5:12].sum(0) / frames[:, 0].sum(), 1e-10)))


def _harmony(inside: F, around: F, bin_hz: float, profiles: F) -> list[float]:
    pitch = np.log2(inside[:, 12] * bin_hz / 55.0)
    total = around[:, :12].sum(0)
    if not total.sum() > 1e-4 * len(around):
        return [pitch.mean(), pitch.std(), 0.0, 0.0, np.log(12.0)]
    share = total / total.sum()
    entropy = float(-np.sum(share * np.log(np.maximum(share, 1e-10))))
    centred = share - 1.0 / 12.0
    if centred @ centred < 1e-12:
        return [pitch.mean(), pitch.std(), 0.0, 0.0, entropy]
    match = profiles @ centred / np.linalg.norm(centred)
    major, minor = match[:12].max(), match[12:].max()
    return [pitch.mean(), pitch.std(), major - minor, max(major, minor), entropy]


def summary_windows(
    frames: NDArray[np.float32],
    chroma: NDArray[np.float32],
    spans: NDArray[np.int64],
    rate: float,
    bin_hz: float,
    profiles: F,
    out: NDArray[np.float32],
) -> None:
    """Write the features of windows into ``out`` (n_windows, 29).

    ``spans`` (n_windows, 8): first and last row of the window's short frames, of those around it, of its long frames, of those
    around it. ``rate`` is short frames a second; ``profiles`` are the 24 keys, 12 major ones first, centred, of unit length.
    """
    for k, (a, b, c, d, e, f, g, h) in enumerate(spans.tolist()):
        inside = frames[a:b].astype(np.float64)
        shape, bands = _shape(inside, rate)
        harmony = _harmony(chroma[e:f].astype(np.float64), chroma[g:h].astype(np.float64), bin_hz, profiles)
        pulse = _tempo(frames[c:d, 12].astype(np.float64), rate)
        out[k] = [*_level(inside, rate), *shape, *pulse, *harmony, *bands]
