"""Tables of the IS13 descriptors for one sample rate: windows, filter banks, axes, filters.

Everything that depends on the sample rate alone is computed here once, in float64, and handed to the kernels as arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["HOP_S", "LONG_S", "IS13Plan", "plan_for"]

HOP_S = 0.010
SHORT_S = 0.020
LONG_S = 0.060

N_BANDS = 26
N_CEPSTRA = 14
BAND_RANGE_HZ = (20.0, 8000.0)
ENERGY_BANDS_HZ = ((250.0, 650.0), (1000.0, 4000.0))
SCALE_MIN_HZ = 25.0
PITCH_RANGE_HZ = (52.0, 620.0)
N_HARMONICS = 15


@dataclass(frozen=True)
class IS13Plan:
    """What the kernels of the IS13 descriptors need to know about one sample rate."""

    sr: int
    hop: int  #: samples between frames
    short_window: NDArray[np.float64]  #: (n_short,) Hamming
    spectral_table: NDArray[np.float64]  #: (n_bins, 5) Hz, sharpness weight, mel rise, two energy bands
    mel_channel: NDArray[np.int64]  #: (n_bins,) band whose rising side holds the bin, -1 outside
    loudness: NDArray[np.float64]  #: (26,) equal-loudness weight of each band
    rasta: NDArray[np.float64]  #: (6,) five feed-forward taps and the pole
    cosines: NDArray[np.float64]  #: (14, 26) liftered cosine transform
    long_window: NDArray[np.float64]  #: (n_long,) Gaussian
    knots: NDArray[np.float64]  #: (n_points, 3) spline elimination: spacing, factor, inverse pivot
    targets: NDArray[np.float64]  #: (n_points, 4) spline evaluation times auditory weight
    left: NDArray[np.int64]  #: (n_points,) knot on the left of each target
    shifts: NDArray[np.int64]  #: (15,) harmonics on the octave axis, in points
    axis: NDArray[np.float64]  #: (4,) log2 of the first target, octaves a point, lowest and highest pitch in log2 Hz


def _mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0))


def _fft_size(n: int) -> int:
    return 1 << max(n - 1, 1).bit_length()


def _samples(seconds: float, sr: int) -> int:
    return int(np.floor(seconds * sr + 0.5 + 1e-9))


def _mel_bank(n_fft: int, rate: float) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Triangles on the mel axis as the HTK book lays them: channel and rising weight of each bin, centres in Hz."""
    low, high = BAND_RANGE_HZ[0], min(BAND_RANGE_HZ[1], rate / 2.0)
    edges = np.linspace(float(_mel(low)), float(_mel(high)), N_BANDS + 2)
    bins = np.arange(n_fft // 2 + 1)
    position = _mel(bins * rate / n_fft)
    channel = np.searchsorted(edges, position, side="right") - 1
    inside = (channel >= 0) & (channel <= N_BANDS)
    first = max(1, int(low * n_fft / rate + 1.5))
    last = min(n_fft // 2 - 1, int(high * n_fft / rate - 0.5))
    inside &= (bins >= first) & (bins <= last)
    channel = np.where(inside, channel, -1)
    k = np.clip(channel, 0, N_BANDS)
    rise = np.where(inside, (position - edges[k]) / (edges[k + 1] - edges[k]), 0.0)
    centres = 700.0 * np.expm1(edges[1:-1] / 1127.0)
    return channel.astype(np.int64), rise, centres


def _equal_loudness(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hermansky's equal-loudness curve (JASA 1990) with a steep fall above 5 kHz, as ComParE scales it."""
    w2 = (2.0 * np.pi * hz) ** 2
    curve = w2**2 * (w2 + 56.8e6) / ((w2 + 6.3e6) ** 2 * (w2 + 0.38e9))
    return np.asarray(1e32 * curve / (1.7e31 + w2**3.5))


def _band_weights(n_fft: int, rate: float, low: float, high: float) -> NDArray[np.float64]:
    """Share of each bin in the band; the bins at its edges count by the part inside, the sum is a mean over all bins."""
    bins = np.arange(n_fft // 2 + 1, dtype=np.float64)
    a, b = low * n_fft / rate, high * n_fft / rate
    weight = ((bins > np.floor(a)) & (bins < np.floor(b))).astype(np.float64)
    if np.floor(a) < len(bins):
        weight[int(a)] = np.floor(a) + 1.0 - a
    if np.floor(b) < len(bins):
        weight[int(b)] = b - np.floor(b) if b > np.floor(b) else 1.0
    weight[0] = 0.0
    return np.asarray(weight / (len(bins) - 1))


def _sharpness(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Critical band rate (Traunmueller 1990) times von Bismarck's weight: 1 up to 16 Bark, then rising to 4 at 24 Bark."""
    bark = 26.81 * hz / (1960.0 + hz) - 0.53
    bark = np.where(bark < 2.0, bark + 0.15 * (2.0 - bark), np.where(bark > 20.1, bark + 0.22 * (bark - 20.1), bark))
    return np.asarray(0.11 * bark * (1.0 + np.maximum(bark - 16.0, 0.0) ** np.log2(3.0) / 9.0))


def _rasta() -> NDArray[np.float64]:
    """Band-pass of the modulation spectrum: zeros at 0 and 29 Hz, a pole near 1 Hz, at 100 frames a second."""
    c = 2.0 * np.cos(2.0 * np.pi * 29.0 * HOP_S)
    taps = np.array([1.0, -c, 0.0, c, -1.0])
    taps *= np.sqrt(0.1 / (taps @ taps))
    return np.asarray(np.append(taps, 1.0 - np.sin(2.0 * np.pi * HOP_S)))


def _cosines() -> NDArray[np.float64]:
    i = np.arange(1, N_CEPSTRA + 1)[:, None]
    lifter = 1.0 + 11.0 * np.sin(np.pi * i / 22.0)
    return np.asarray(lifter * np.sqrt(2.0 / N_BANDS) * np.cos(np.pi * i * (np.arange(N_BANDS) + 0.5) / N_BANDS))


def _octave_scale(
    n_fft: int, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Natural cubic spline from the linear to a log2 frequency axis of as many points, with Terhardt's arctan weight."""
    n = n_fft // 2 + 1
    at = np.log2(np.arange(1, n) * rate / n_fft)
    at = np.concatenate([[at[0] - 1.0], at])
    low, high = np.log2(SCALE_MIN_HZ), np.log2(rate / 2.0)
    step = (high - low) / (n - 1)
    per_octave = n / (high - low)
    gap = np.diff(at)
    factor, inverse = np.zeros(n), np.zeros(n)
    for i in range(1, n - 1):  # Thomas elimination of the spline's tridiagonal system, once for all frames
        factor[i] = gap[i - 1] * inverse[i - 1]
        inverse[i] = 1.0 / (2.0 * (gap[i - 1] + gap[i]) - factor[i] * (gap[i - 1] if i > 1 else 0.0))
    target = low + step * np.arange(n)
    left = np.clip(np.searchsorted(at, target, side="right") - 1, 0, n - 2).astype(np.int64)
    b = (target - at[left]) / gap[left]
    a = 1.0 - b
    weight = 0.5 + np.arctan(3.0 * ((np.arange(n) + 2.0) / per_octave - np.log2(1.3))) / np.pi
    square = gap[left] ** 2 / 6.0
    values = np.column_stack([a, b, (a**3 - a) * square, (b**3 - b) * square]) * weight[:, None]
    knots = np.column_stack([np.append(gap, 1.0), factor, inverse])
    shifts = np.floor(per_octave * np.log2(np.arange(1, N_HARMONICS + 1))).astype(np.int64)
    axis = np.array([low, step, np.log2(PITCH_RANGE_HZ[0]), np.log2(PITCH_RANGE_HZ[1])])
    return knots, values, left, shifts, axis


@lru_cache(maxsize=8)
def plan_for(sr: int) -> IS13Plan:
    """The plan for the sample rate ``sr``; computed once, then remembered."""
    n_short, n_long = _samples(SHORT_S, sr), _samples(LONG_S, sr)
    short_rate, long_rate = n_short / SHORT_S, n_long / LONG_S
    n_fft = _fft_size(n_short)
    channel, rise, centres = _mel_bank(n_fft, short_rate)
    hz = np.arange(n_fft // 2 + 1) * short_rate / n_fft
    bands = [_band_weights(n_fft, short_rate, low, high) for low, high in ENERGY_BANDS_HZ]
    centre = (n_long - 1) / 2.0
    knots, targets, left, shifts, axis = _octave_scale(_fft_size(n_long), long_rate)
    return IS13Plan(
        sr=sr,
        hop=_samples(HOP_S, sr),
        short_window=np.hamming(n_short),
        spectral_table=np.column_stack([hz, _sharpness(hz), rise, *bands]),
        mel_channel=channel,
        loudness=_equal_loudness(centres),
        rasta=_rasta(),
        cosines=_cosines(),
        long_window=np.exp(-0.5 * ((np.arange(n_long) - centre) / (0.4 * centre)) ** 2),
        knots=knots,
        targets=targets,
        left=left,
        shifts=shifts,
        axis=axis,
    )
