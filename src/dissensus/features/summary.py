"""A plain set of descriptors per window: level, spectrum, timbre, harmony and pulse, with numpy and scipy alone.

Each window's row depends on its own samples only, so a stream gives the rows that the whole signal gives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError

__all__ = ["SUMMARY_NAMES", "summary"]

_N_MFCC: Final = 12
_N_BANDS: Final = 7

#: Names of the columns of :func:`summary`.
SUMMARY_NAMES: Final[tuple[str, ...]] = (
    "level_db",
    "level_sd_db",
    "crest_db",
    "gap_share",
    "attack_db",
    "tremolo_share",
    "zero_crossings",
    "centroid_oct",
    "centroid_sd_oct",
    "spread_oct",
    "rolloff_oct",
    "flatness_db",
    "flux_db",
    "flux_sd_db",
    "onset_rate_hz",
    "pulse_bpm",
    "pulse_clarity",
    "pitch_oct",
    "pitch_sd_oct",
    "major_minus_minor",
    "key_clarity",
    "chroma_entropy",
    *(f"band_{i}_db" for i in range(1, _N_BANDS + 1)),
    *(f"mfcc_{i}" for i in range(1, _N_MFCC + 1)),
)

# Probe-tone ratings of Krumhansl & Kessler (1982), major and minor.
_MAJOR: Final = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR: Final = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
_FLOOR: Final = 1e-10


def summary(signal: ArrayLike, sr: float, *, window_s: float = 1.0, overlap: float = 0.5) -> NDArray[np.float32]:
    """Descriptors of each window of a mono signal.

    Parameters
    ----------
    signal : (n,) array_like of float
        Mono samples in [-1, 1]. Shorter than a window: one window of what is there.
    sr : float
        Sampling rate, Hz, at least 4000.
    window_s : float
        Length of a window, s, at least 0.3.
    overlap : float
        Share of a window that the next one repeats, in [0, 1).

    Returns
    -------
    (n_windows, n_features) ndarray of float32
        Finite; columns as ``SUMMARY_NAMES``. Levels in dB, frequencies in octaves above 55 Hz, rates in Hz.

    Raises
    ------
    EmptyAudioError
        No samples.
    NonFiniteAudioError
        NaN or infinity among them.
    ParameterError
        Not mono, or a parameter outside its range.

    Notes
    -----
    Frames of about 32 ms (half of it the step) give level and spectrum, frames of about 256 ms pitch and harmony.
    ``major_minus_minor`` is the difference of the best correlations of the pitch-class profile with the major and
    minor probe-tone profiles [1]_; ``gap_share`` the share of frames 12 dB under the window's loudest (articulation);
    ``tremolo_share`` the share of the level's variance at 4 to 9 Hz; ``pulse_*`` the strongest lag of the onset curve
    between 0.25 and 1 s.

    References
    ----------
    .. [1] Krumhansl & Kessler, "Tracing the dynamic changes in perceived tonal organization", Psych. Review 89, 1982.

    Examples
    --------
    >>> t = np.arange(32000) / 16000
    >>> X = summary(0.5 * np.sin(2 * np.pi * 440 * t), 16000)
    >>> X.shape == (3, len(SUMMARY_NAMES))
    True
    >>> round(float(X[0, SUMMARY_NAMES.index("pitch_oct")]), 1)  # 440 Hz is three octaves above 55 Hz
    3.0
    """
    samples = _checked(signal, sr, window_s, overlap)
    size = round(window_s * sr)
    step = max(1, round(size * (1 - overlap)))
    if len(samples) < size:
        size = len(samples)
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
    short = 1 << round(np.log2(0.032 * sr))
    long = 1 << round(np.log2(0.256 * sr))
    padded = windows if size >= long else np.pad(windows, ((0, 0), (0, long - size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, short, axis=1)[:, :: short // 2]
    power = _power(frames)
    columns = [*_levels(frames, sr, short), *_spectrum(power, sr, short), *_pulse(power, sr, short)]
    columns += [*_harmony(padded, sr, long), *_timbre(power, sr, short)]
    columns.insert(6, np.mean(padded[:, 1:] * padded[:, :-1] < 0, axis=1))
    return np.stack(columns, axis=1).astype(np.float32)


def _checked(signal: ArrayLike, sr: float, window_s: float, overlap: float) -> NDArray[np.float64]:
    samples = np.asarray(signal, dtype=np.float64)
    if samples.ndim != 1:
        raise ParameterError(f"signal must be mono, (n_samples,); got shape {samples.shape}")
    if not sr >= 4000:
        raise ParameterError(f"sr={sr!r}: must be at least 4000 Hz")
    if not window_s >= 0.3:
        raise ParameterError(f"window_s={window_s!r}: must be at least 0.3 s")
    if not 0 <= overlap < 1:
        raise ParameterError(f"overlap={overlap!r}: must be in [0, 1)")
    if len(samples) == 0:
        raise EmptyAudioError("the signal has no samples")
    if not np.isfinite(samples).all():
        raise NonFiniteAudioError(f"sample {int(np.flatnonzero(~np.isfinite(samples))[0])} is not finite")
    return samples


def _db(power: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(10 * np.log10(np.maximum(power, _FLOOR)))


def _power(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power spectra scaled so that a full-scale sine has about 0 dB."""
    taper = np.hanning(frames.shape[-1])
    spectrum = np.fft.rfft(frames * taper, axis=-1)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) * (2 / taper.sum()) ** 2)


def _levels(frames: NDArray[np.float64], sr: float, size: int) -> list[NDArray[np.float64]]:
    level = _db(np.mean(frames**2, axis=-1))
    whole = _db(np.mean(frames**2, axis=(1, 2)))
    peak = _db(np.max(frames**2, axis=(1, 2)))
    loudest = level.max(axis=1, keepdims=True)
    curve = np.maximum(level, loudest - 40)
    wobble = np.abs(np.fft.rfft(curve - curve.mean(axis=1, keepdims=True), axis=1)) ** 2
    rate = np.fft.rfftfreq(level.shape[1], size / 2 / sr)
    tremolo = wobble[:, (rate >= 4) & (rate <= 9)].sum(axis=1) / np.maximum(wobble.sum(axis=1), _FLOOR)
    rise = np.diff(curve, axis=1) if level.shape[1] > 1 else np.zeros((len(level), 1))
    gaps = np.mean(level < loudest - 12, axis=1)
    return [whole, curve.std(axis=1), peak - whole, gaps, np.quantile(rise, 0.95, axis=1), tremolo]


def _spectrum(power: NDArray[np.float64], sr: float, size: int) -> list[NDArray[np.float64]]:
    octave, use = _octaves(sr, size)
    inside = power[:, :, use] + _FLOOR
    share = inside / inside.sum(axis=2, keepdims=True)
    centroid = share @ octave
    spread = np.sqrt(np.maximum(share @ octave**2 - centroid**2, 0))
    rolloff = octave[np.argmax(np.cumsum(share, axis=2) >= 0.85, axis=2)]
    flatness = np.mean(_db(inside), axis=2) - _db(inside.mean(axis=2))
    weight = inside.sum(axis=2)
    weight = weight / weight.sum(axis=1, keepdims=True)
    means = [np.sum(weight * value, axis=1) for value in (centroid, spread, rolloff, flatness)]
    return [means[0], centroid.std(axis=1), *means[1:]]


def _pulse(power: NDArray[np.float64], sr: float, size: int) -> list[NDArray[np.float64]]:
    """Spectral flux, onsets and the strongest lag of the onset curve."""
    bands = _db(np.add.reduceat(power, _edges(sr, size), axis=2))
    floor = bands.max(axis=(1, 2), keepdims=True) - 40
    rise = np.maximum(np.diff(np.maximum(bands, floor), axis=1), 0).mean(axis=2)
    mean, sd = rise.mean(axis=1), rise.std(axis=1)
    middle = rise[:, 1:-1]
    peaks = (middle > rise[:, :-2]) & (middle >= rise[:, 2:]) & (middle > np.maximum(mean + sd, 0.5)[:, None])
    hop = size / 2 / sr
    centred = rise - mean[:, None]
    n = centred.shape[1]
    power_spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=1)) ** 2
    correlation = np.fft.irfft(power_spectrum, axis=1)[:, :n]
    lags = np.arange(n) * hop
    use = np.flatnonzero((lags >= 0.25) & (lags <= 1.0))
    if not len(use):
        zero = np.zeros(len(rise))
        return [mean, sd, peaks.sum(axis=1) / (n * hop), zero, zero]
    best = use[np.argmax(correlation[:, use], axis=1)]
    clarity = correlation[np.arange(len(best)), best] / np.maximum(correlation[:, 0], _FLOOR)
    return [mean, sd, peaks.sum(axis=1) / (n * hop), 60 / lags[best], np.maximum(clarity, 0)]


def _harmony(windows: NDArray[np.float64], sr: float, size: int) -> list[NDArray[np.float64]]:
    frames = np.lib.stride_tricks.sliding_window_view(windows, size, axis=1)[:, :: size // 2]
    octave, use = _octaves(sr, size, top=min(2200.0, 0.45 * sr))
    inside = _power(frames)[:, :, use] + _FLOOR
    strongest = octave[np.argmax(inside, axis=2)]
    profile = np.sqrt(inside).sum(axis=1) @ _pitch_classes(sr, size)
    profile = profile / np.maximum(profile.sum(axis=1, keepdims=True), _FLOOR)
    centred = profile - profile.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _FLOOR)
    major, minor = ((unit @ _rotations(kind)).max(axis=1) for kind in ("major", "minor"))
    entropy = -np.sum(profile * np.log(np.maximum(profile, _FLOOR)), axis=1)
    pitch = strongest.mean(axis=1)
    return [pitch, strongest.std(axis=1), major - minor, np.maximum(major, minor), entropy]


def _timbre(power: NDArray[np.float64], sr: float, size: int) -> list[NDArray[np.float64]]:
    """Octave bands relative to the whole, and cepstral coefficients of a mel spectrum."""
    from scipy.fft import dct

    mean = power.mean(axis=1)
    octave, use = _octaves(sr, size)
    band = np.clip(octave.astype(int), 0, _N_BANDS - 1)
    inside = mean[:, use]
    total = _db(inside.sum(axis=1))
    bands = [_db(inside[:, band == i].sum(axis=1)) - total for i in range(_N_BANDS)]
    mel = _db(power @ _mel(sr, size))
    return [*bands, *dct(mel, type=2, norm="ortho", axis=2).mean(axis=1)[:, 1 : _N_MFCC + 1].T]


def _octaves(sr: float, size: int, *, top: float | None = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Octaves above 55 Hz of the bins in use, and which these are."""
    hz = np.fft.rfftfreq(size, 1 / sr)
    use = (hz >= 50) & (hz <= (top or sr / 2))
    return np.log2(hz[use] / 55), use


def _edges(sr: float, size: int) -> NDArray[np.int64]:
    """First bins of bands, a third of an octave wide or one bin."""
    return np.unique((50 * 2 ** (np.arange(0, np.log2(sr / 2 / 50), 1 / 3)) * size / sr).astype(np.int64))


@lru_cache(maxsize=8)
def _pitch_classes(sr: float, size: int) -> NDArray[np.float64]:
    """(n_bins, 12): which pitch classes a bin's energy goes to."""
    octave, _ = _octaves(sr, size, top=min(2200.0, 0.45 * sr))
    distance = (12 * octave)[:, None] - np.arange(12)
    distance = (distance + 6) % 12 - 6
    return np.asarray(np.exp(-0.5 * (distance / 0.35) ** 2))


@lru_cache(maxsize=2)
def _rotations(kind: str) -> NDArray[np.float64]:
    """(12, 12): the probe-tone profile of each key, centred, of unit length."""
    profile = _MAJOR if kind == "major" else _MINOR
    centred = profile - profile.mean()
    return np.asarray(np.stack([np.roll(centred, k) for k in range(12)], axis=1) / np.linalg.norm(centred))


@lru_cache(maxsize=8)
def _mel(sr: float, size: int, n_mels: int = 26) -> NDArray[np.float64]:
    """(n_bins, n_mels) triangles, evenly spaced on the HTK mel scale from 50 Hz to half the rate."""
    hz = np.fft.rfftfreq(size, 1 / sr)
    mel = 2595 * np.log10(1 + hz / 700)
    centre = np.linspace(2595 * np.log10(1 + 50 / 700), mel[-1], n_mels + 2)
    width = centre[1] - centre[0]
    return np.asarray(np.maximum(0, 1 - np.abs(mel[:, None] - centre[1:-1]) / width))
