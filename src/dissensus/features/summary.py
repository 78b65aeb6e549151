"""A small set of descriptors that a person can read: level, spectrum, onsets and tempo, pitch, mode and key.

What each column means is told in ``docs/explanation/summary_features.md``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._validate import as_float
from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features._samples import as_sixteen_bits

__all__ = ["SUMMARY_NAMES", "SummaryStream", "summary"]

_N_MELS: Final = 40
_PIECE_S: Final = 30.0  # what is worked on at a time

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
    "tempo_bpm",
    "tempo_clarity",
    "pitch_oct",
    "pitch_sd_oct",
    "major_minus_minor",
    "key_strength",
    "chroma_entropy",
    *(f"band_{i}_db" for i in range(1, 8)),
)

# Probe-tone ratings of Krumhansl & Kessler (1982), as printed in Krumhansl, Cognitive Foundations of Musical Pitch (1990).
_MAJOR: Final = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR: Final = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


class _Tables(NamedTuple):
    """What the kernels need to know about one sample rate."""

    short: NDArray[np.float64]  # taper of the short frames
    bins: NDArray[np.float32]
    bands: NDArray[np.int64]
    channels: NDArray[np.int64]
    long: NDArray[np.float64]  # taper of the long frames
    classes: NDArray[np.float32]
    low: int
    profiles: NDArray[np.float64]


@lru_cache(maxsize=8)
def _tables(sr: float) -> _Tables:
    short, long = (1 << round(float(np.log2(seconds * sr))) for seconds in (0.032, 0.256))
    hz = np.fft.rfftfreq(short, 1 / sr)
    mel = 2595 * np.log10(1 + hz / 700)
    edges = np.linspace(2595 * np.log10(1 + 50 / 700), mel[-1], _N_MELS + 2)
    channel = np.clip(np.searchsorted(edges, mel, side="right") - 1, 0, _N_MELS)
    rise = np.clip((mel - edges[channel]) / (edges[channel + 1] - edges[channel]), 0, 1)
    octave = np.log2(np.maximum(hz, 1.0) / 55)
    begin = int(np.argmax(hz >= 50))
    band = np.clip(octave.astype(np.int64), 0, 6)
    bands, channels = (
        begin + np.searchsorted(place[begin:], np.arange(count + 1))
        for place, count in ((band, 7), (channel, _N_MELS + 1))
    )
    fine = np.fft.rfftfreq(long, 1 / sr)
    low, high = int(np.argmax(fine >= 50)), int(np.searchsorted(fine, min(2200.0, 0.45 * sr)))
    semitone = 12 * np.log2(fine[low:high] / 440) + 9  # C is 0
    distance = (semitone[:, None] - np.arange(12) + 6) % 12 - 6
    classes = np.exp(-0.5 * (distance / 0.4) ** 2)
    classes[(fine[low:high] < 60) | (fine[low:high] > 1200)] = 0.0  # above, overtones outweigh the notes
    centred = [profile - profile.mean() for profile in (_MAJOR, _MINOR)]
    profiles = np.array([np.roll(key / np.linalg.norm(key), tonic) for key in centred for tonic in range(12)])
    return _Tables(
        np.hanning(short),
        np.stack([octave, rise]).astype(np.float32),
        bands.astype(np.int64),
        channels.astype(np.int64),
        np.hanning(long),
        classes.astype(np.float32),
        low,
        profiles,
    )


def summary(
    signal: ArrayLike,
    sr: float,
    *,
    window_s: float = 1.0,
    overlap: float = 0.5,
    context_s: float = 8.0,
    backend: str = "auto",
) -> NDArray[np.float32]:
    """Descriptors of each window of a mono signal.

    Parameters
    ----------
    signal : (n,) array_like of float
        Mono samples in [-1, 1], taken as a 16-bit file holds them (rounded to steps of ``2**-15``, clipped), so that the
        noise a decoder leaves in silence changes nothing. Shorter than a window: one window of what is there.
    sr : float
        Sampling rate, Hz, at least 4000.
    window_s : float
        Length of a window, s, at least 0.3.
    overlap : float
        Share of a window that the next one repeats, in [0, 1).
    context_s : float
        Tempo, mode and key take longer than a window to hear: they are those of this many seconds around it, shifted
        inwards at the ends of the signal.
    backend : {"auto", "numba", "reference"}
        Who computes.

    Returns
    -------
    (n_windows, 29) ndarray of float32
        Finite; columns as ``SUMMARY_NAMES``. Levels in dB, frequencies in octaves above 55 Hz, rates in Hz, tempo in beats
        a minute.

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
    Frames of about 32 ms (half of it the step) give level, spectrum and onsets, frames of about 256 ms pitch and harmony.
    The onset strength is the mean rise of 40 log-mel bands. ``tempo_bpm`` maximises the autocorrelation of it, averaged
    over a lag and its double, times a log-normal prior (one octave wide, centred on 120 beats a minute, as in [1]_); it may
    be the half or the double of what a listener taps, and is 120 with clarity 0 where there is no onset.
    ``major_minus_minor`` and ``key_strength`` come from the correlations of the pitch-class profile with the probe-tone
    profiles of the 24 keys [2]_.

    References
    ----------
    .. [1] Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36, 2007.
    .. [2] Krumhansl & Kessler, "Tracing the dynamic changes in perceived tonal organization", Psych. Review 89, 1982.

    Examples
    --------
    >>> t = np.arange(32000) / 16000
    >>> X = summary(0.5 * np.sin(2 * np.pi * 440 * t), 16000)
    >>> X.shape == (3, len(SUMMARY_NAMES))
    True
    >>> round(float(X[0, SUMMARY_NAMES.index("pitch_oct")]), 1)  # 440 Hz is three octaves above 55 Hz
    3.0
    """
    stream = SummaryStream(sr, window_s=window_s, overlap=overlap, context_s=context_s, backend=backend)
    return np.concatenate([stream.push(signal), stream.finish()])


class SummaryStream:
    """:func:`summary` of a signal that arrives in parts: exactly the windows of the whole signal, in bounded memory.

    Parameters
    ----------
    sr, window_s, overlap, context_s, backend
        As in :func:`summary`.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=12 * 16000)
    >>> stream = SummaryStream(16000)
    >>> parts = [stream.push(noise[:100000]), stream.push(noise[100000:]), stream.finish()]
    >>> np.array_equal(np.concatenate(parts), summary(noise, 16000))
    True
    """

    def __init__(
        self,
        sr: float,
        *,
        window_s: float = 1.0,
        overlap: float = 0.5,
        context_s: float = 8.0,
        backend: str = "auto",
    ) -> None:
        if not 4000 <= sr <= 384_000:
            raise ParameterError(f"sr={sr!r}: must be 4000 to 384000 Hz")
        if not 0.3 <= window_s <= 3600:
            raise ParameterError(f"window_s={window_s!r}: must be 0.3 to 3600 s")
        if not 0 <= overlap < 1:
            raise ParameterError(f"overlap={overlap!r}: must be in [0, 1)")
        if not 1.0 <= context_s <= 3600:
            raise ParameterError(f"context_s={context_s!r}: must be 1 to 3600 s")
        self._sr, self._tables = sr, _tables(sr)
        self._size = round(window_s * sr)
        self._step = max(1, round(self._size * (1 - overlap)))
        self._context = round(context_s * sr)
        self._backend = backend
        self._signal = np.zeros(0, dtype=np.float32)
        self._origin = 0  # sample that the kept signal begins with
        tables = self._tables
        self._short = _Frames("summary_frames", (tables.short, tables.bins, tables.bands, tables.channels), 16, backend)
        self._long = _Frames("summary_chroma", (tables.long, tables.classes, tables.low), 14, backend)
        self._done = 0  # windows given out
        self.n_samples = 0  #: pushed so far

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Add samples; returns the windows that are complete now, (n_windows, 29)."""
        x = as_float(samples, "signal")
        if x.ndim != 1:
            raise ParameterError(f"signal must be mono, (n_samples,); got shape {x.shape}")
        piece = round(_PIECE_S * self._sr)
        parts = [self._take(x[start : start + piece]) for start in range(0, len(x), piece)]
        return np.concatenate(parts) if parts else np.empty((0, len(SUMMARY_NAMES)), dtype=np.float32)

    def finish(self) -> NDArray[np.float32]:
        """The windows at the end of the signal. The stream is then used up."""
        if self.n_samples == 0:
            raise EmptyAudioError("the signal has no samples")
        if self.n_samples < self._long.size:
            self._signal = np.pad(self._signal, (0, self._long.size - self.n_samples))
        self._analyse()
        self._size = min(self._size, self.n_samples)
        return self._windows(1 + (self.n_samples - self._size) // self._step, final=True)

    def _take(self, part: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(part)
        if not finite.all():
            raise NonFiniteAudioError(f"sample {self.n_samples + int(np.argmin(finite))} is not finite")
        self._signal = np.concatenate([self._signal, as_sixteen_bits(part)])
        self.n_samples += len(part)
        self._analyse()
        # Complete: the window is there, and the frames around it up to half a context on.
        behind = min(self._frames_in(kind, self.n_samples) * kind.hop for kind in (self._short, self._long))
        reach = max(self._size, self._size // 2 + self._context - self._context // 2 + self._long.size)
        ready = (behind - reach) // self._step + 1 if behind >= max(reach, self._context + self._long.size) else 0
        return self._windows(max(ready, self._done), final=False)

    @staticmethod
    def _frames_in(kind: _Frames, n_samples: int) -> int:
        return max(0, (n_samples - kind.size) // kind.hop + 1)

    def _analyse(self) -> None:
        end = self._origin + len(self._signal)
        for kind in (self._short, self._long):
            kind.advance(self._signal, self._origin, self._frames_in(kind, end))
        keep = min((kind.n - 1) * kind.hop for kind in (self._short, self._long))
        if keep > self._origin:
            self._signal, self._origin = self._signal[keep - self._origin :].copy(), keep

    def _windows(self, until: int, *, final: bool) -> NDArray[np.float32]:
        """Features of the windows up to ``until``, and forget what no later one needs."""
        start = np.arange(self._done, until, dtype=np.int64) * self._step
        out = np.empty((len(start), len(SUMMARY_NAMES)), dtype=np.float32)
        spans = np.concatenate([self._spans(kind, start, final) for kind in (self._short, self._long)], axis=1)
        rate, bin_hz = self._sr / self._short.hop, self._sr / self._long.size
        compute = resolve("summary_windows", self._backend)
        compute(self._short.rows, self._long.rows, spans, rate, bin_hz, self._tables.profiles, out)
        self._done = until
        middle = until * self._step + self._size // 2 - self._context // 2
        for kind in (self._short, self._long):
            kind.forget(min(middle, until * self._step) // kind.hop, self._context // kind.hop)
        return out

    def _spans(self, kind: _Frames, start: NDArray[np.int64], final: bool) -> NDArray[np.int64]:
        """Rows of the frames inside each window, and of those around it."""
        first = np.minimum(-(-start // kind.hop), kind.n - 1)
        last = np.clip((start + self._size - kind.size) // kind.hop + 1, first + 1, kind.n)
        length = max(1, self._context // kind.hop)
        low = -(-(start + self._size // 2 - self._context // 2) // kind.hop)
        if final:
            low = np.minimum(low, kind.n - length)
        low = np.maximum(low, 0)
        high = np.minimum(low + length, kind.n)
        return np.stack([first, last, low, high], axis=1) - kind.origin


class _Frames:
    """Frames of one size: computed as the signal comes, kept as long as a window needs them."""

    def __init__(self, name: str, arguments: tuple[object, ...], n_columns: int, backend: str) -> None:
        self.size = len(arguments[0])  # type: ignore[arg-type]
        self.hop = self.size // 2
        self.n = 0  # frames computed
        self.origin = 0  # first frame that is kept
        self.rows = np.empty((0, n_columns), dtype=np.float32)
        self._kernel, self._arguments = resolve(name, backend), arguments

    def advance(self, signal: NDArray[np.float32], origin: int, until: int) -> None:
        """Compute the frames up to ``until`` of the signal that ``signal`` is a part of, from sample ``origin`` on."""
        if until <= self.n:
            return
        lead = 1 if self.n else 0  # the rise needs the frame before
        out = np.empty((until - self.n + lead, self.rows.shape[1]), dtype=np.float32)
        x = signal[(self.n - lead) * self.hop - origin :]
        self._kernel(x, *self._arguments, self.hop, lead, len(out), out)
        self.rows = np.concatenate([self.rows, out[lead:]])
        self.n = until

    def forget(self, before: int, least: int) -> None:
        """Drop the frames before a place, but keep the last ``least``."""
        keep = min(before, self.n - least) - self.origin
        if keep > 0:
            self.rows, self.origin = self.rows[keep:].copy(), self.origin + keep
