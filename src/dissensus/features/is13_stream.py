"""The IS13 descriptors of a signal that arrives in parts, in memory that does not grow with it.

A pitch is decided 30 frames late, a delta needs three frames ahead: what waits for them is carried from block to block, so
the rows are exactly those of the whole signal, whatever the parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import as_float, check_count
from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features._samples import as_sixteen_bits
from dissensus.features.is13_plan import HOP_S, LONG_S, plan_for

__all__ = ["DescriptorStream", "IS13Stream", "window_count", "window_frames"]

#: Local, voiced-voiced, voiced-unvoiced, threshold, range, unvoiced-unvoiced, voicing threshold, least RMS.
_PATH_WEIGHTS = np.array([2.0, 10.0, 10.0, 4.0, 1.0, 1.0, 0.7, 0.001])
_PATH_LAG = 30
_SEARCH = 0.25
_N_VOICING = 6
_BLOCK = 512  # frames that one thread takes
_STEP = 8 * _BLOCK  # frames between hand-overs: 41 s


def _empty(n_columns: int) -> NDArray[np.float32]:
    return np.empty((0, n_columns), dtype=np.float32)


class DescriptorStream:
    """The 65 smoothed descriptors and their deltas of a signal that arrives in parts.

    Parameters
    ----------
    sr, voiced_deltas, n_threads, backend
        As in :func:`~dissensus.features.is13_descriptors`.
    """

    def __init__(
        self, sr: int, *, voiced_deltas: str = "running", n_threads: int | None = 1, backend: str = "auto"
    ) -> None:
        rate = check_count(sr, "sr")
        if not 8000 <= rate <= 192000:
            raise ParameterError(
                f"sr={sr}: the descriptors are defined from 8000 to 192000 Hz; resample the signal first"
            )
        if voiced_deltas not in ("running", "pairs"):
            raise ParameterError(f"voiced_deltas={voiced_deltas!r}; choose 'running' or 'pairs'")
        self.plan = plan_for(rate)
        self.n_samples = 0  #: pushed so far
        self.step = _STEP * self.plan.hop  #: samples that are worked on at a time
        self._running = voiced_deltas == "running"
        self._n_threads = resolve_threads(n_threads)
        self._backend = backend
        self._signal = np.zeros(0, dtype=np.float32)
        self._origin = 0  # frame that the kept signal begins with
        self._frames = 0  # frames whose spectra are known
        self._decided = 0  # frames whose pitch is known
        self._written = 0  # frames given out
        self._filter = np.zeros((6, 26))
        self._path = np.zeros(22)
        self._walk = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -100.0])
        self._divisor = np.full(1, 10.0)
        self._candidates, self._back = _empty(15), np.zeros((0, 7), dtype=np.int8)  # of the frames not decided yet
        self._waiting = _empty(65)  # the same frames' descriptors, without pitch
        self._raw = _empty(65)  # descriptors of the last frames, for smoothing and deltas
        self._raw_origin = 0

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Add samples; returns the rows that are complete now, (n_frames, 130)."""
        x = as_float(samples, "signal")
        if x.ndim != 1:
            raise ParameterError(f"signal must be (n_samples,) mono; got shape {x.shape}: downmix it first")
        parts = [rows for start in range(0, len(x), self.step) for rows in self._take(x[start : start + self.step])]
        return np.concatenate(parts) if parts else _empty(130)

    def _take(self, part: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
        finite = np.isfinite(part)
        if not finite.all():
            at = self.n_samples + int(np.argmin(finite))
            raise NonFiniteAudioError(f"signal[{at}] is not finite: repair or drop such samples first")
        self._signal = np.concatenate([self._signal, as_sixteen_bits(part)])
        self.n_samples += len(part)
        # A whole step and more: at least one frame is left for ``finish``.
        while (self.n_samples - len(self.plan.long_window)) // self.plan.hop + 1 > self._frames + _STEP:
            yield self._advance(self._frames + _STEP, self._frames + _STEP, final=False)

    def finish(self) -> NDArray[np.float32]:
        """The rows at the end of the signal. The stream is then used up."""
        n, hop, length = self.n_samples, self.plan.hop, len(self.plan.long_window)
        if n == 0:
            raise EmptyAudioError("signal holds no samples")
        if n < length:
            raise ParameterError(f"signal has {n} samples, the descriptors need {length} (60 ms at {self.plan.sr} Hz)")
        n_frames = (n - length) // hop + 1
        # Up to three more rows lend their spectra to deltas; the first of them counts, with the last voicing repeated.
        n_rows = min((n - len(self.plan.short_window)) // hop + 1, n_frames + 3)
        return self._advance(n_frames, n_rows, final=True)[: n_frames + 1 - self._written]

    def _advance(self, n_frames: int, n_rows: int, *, final: bool) -> NDArray[np.float32]:
        """Go on to ``n_frames`` frames, ``n_rows`` spectra; returns the rows that are complete then."""
        spectral, candidates = self._analyse(n_frames, n_rows)
        first = len(self._candidates)
        candidates = np.concatenate([self._candidates, candidates])
        back = np.concatenate([self._back, np.zeros((len(candidates) - first, 7), dtype=np.int8)])
        path = np.empty((len(candidates), 2), dtype=np.float32)
        track = resolve("is13_pitch_path", self._backend)
        track(candidates, _PATH_WEIGHTS, _PATH_LAG, first, final, back, self._path, path)
        ready = int(self._path[21])
        periods = self._periods(path[:ready, 0].copy())
        rows = np.concatenate([self._waiting, spectral])
        rows[:ready, :2], rows[:ready, 2:6], rows[:ready, 9] = path[:ready], periods, candidates[:ready, 0]
        if final:
            rows[ready:, :6], rows[ready:, 9] = rows[ready - 1, :6], rows[ready - 1, 9]
            ready = len(rows)
        self._frames, self._decided = n_rows, self._decided + ready
        self._candidates, self._back = candidates[ready:].copy(), back[ready:].copy()
        self._waiting = rows[ready:].copy()
        self._forget_signal()
        return self._contours(rows[:ready], final)

    def _analyse(self, n_frames: int, n_rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """New rows without voicing, (n, 65), and the pitch candidates of new frames, (m, 15)."""
        plan = self.plan
        lead = 1 if self._frames else 0  # the flux needs the frame before
        x = self._signal[(self._frames - lead - self._origin) * plan.hop :]
        n, n_long = n_rows - self._frames + lead, n_frames - self._frames + lead
        spectrum, found = np.empty((n, 42), dtype=np.float32), np.empty((max(n_long, lead), 15), dtype=np.float32)
        spectral, pitches = resolve("is13_spectral", self._backend), resolve("is13_candidates", self._backend)

        def block(start: int, stop: int) -> None:
            start, stop = start + lead, stop + lead
            spectral(x, plan.short_window, plan.spectral_table, plan.mel_channel, plan.hop, start, stop, spectrum)
            tables = (plan.knots, plan.targets, plan.left, plan.shifts, plan.axis)
            pitches(x, plan.long_window, *tables, plan.hop, start, min(stop, n_long), found)

        run_blocks(block, n - lead, n_threads=self._n_threads, block_size=_BLOCK)
        spectrum = spectrum[lead:]
        auditory = np.empty((len(spectrum), 42), dtype=np.float32)
        listen = resolve("is13_auditory", self._backend)
        listen(spectrum, plan.loudness, plan.rasta, plan.cosines, self._frames, self._filter, auditory)
        rows = np.empty((len(spectrum), 65), dtype=np.float32)
        rows[:, 6:8], rows[:, 8], rows[:, 10:36] = auditory[:, :2], spectrum[:, 26], auditory[:, 2:28]
        rows[:, 36:51], rows[:, 51:] = spectrum[:, 27:], auditory[:, 28:]
        return rows, found[lead:]

    def _periods(self, pitch: NDArray[np.float32]) -> NDArray[np.float32]:
        plan = self.plan
        out = np.empty((len(pitch), 4), dtype=np.float32)
        rate, length = len(plan.long_window) / LONG_S, len(plan.long_window)
        walk = resolve("is13_periods", self._backend)
        start = self._decided - self._origin
        walk(self._signal, pitch, rate, plan.hop, length, _SEARCH, start, self._walk, out)
        return out

    def _forget_signal(self) -> None:
        """Drop the samples that no frame to come, and no period under way, will ask for."""
        mark = self._origin + int(self._walk[0]) // self.plan.hop if self._walk[1] > 0.0 else self._decided
        origin = max(min(mark, self._decided, self._frames - 1), self._origin)
        shift = (origin - self._origin) * self.plan.hop
        if shift:
            self._signal = self._signal[shift:].copy()
            self._walk[0] -= shift
            self._origin = origin

    def _contours(self, rows: NDArray[np.float32], final: bool) -> NDArray[np.float32]:
        """Smooth and differentiate what has all its neighbours."""
        raw = np.concatenate([self._raw, rows])
        start = self._written - self._raw_origin
        stop = len(raw) if final else max(len(raw) - 3, start)
        out = np.empty((stop - start, 130), dtype=np.float32)
        resolve("is13_contours", self._backend)(raw, _N_VOICING, self._running, start, stop, self._divisor, out)
        keep = max(stop - 3, 0)
        self._raw, self._raw_origin = raw[keep:].copy(), self._raw_origin + keep
        if not final:
            self._written += stop - start
        return out


def window_frames(window_s: float, overlap: float) -> tuple[int, int]:
    """Frames of 10 ms in a window, and between windows."""
    length = round(float(window_s) / HOP_S) if np.isfinite(window_s) else 0
    if length < 2:
        raise ParameterError(f"window_s={window_s!r}: a window must be at least 0.02 s")
    if not 0.0 <= overlap < 1.0:
        raise ParameterError(f"overlap={overlap!r}: must be in [0, 1)")
    return length, max(round(length * (1.0 - overlap)), 1)


def window_count(n_frames: int, length: int, hop: int) -> int:
    """Windows of ``length`` every ``hop`` frames that hold at least half their frames; at least one."""
    return max(1, (n_frames - (length + 1) // 2) // hop + 1)


class IS13Stream:
    """The 260 IS13 features of a signal that arrives in parts: exactly the windows of the whole signal.

    Memory does not grow with the signal: some 40 s of it are held.

    Parameters
    ----------
    sr, window_s, overlap, voiced_deltas, n_threads, backend
        As in :func:`~dissensus.features.is13`.

    Raises
    ------
    ParameterError
        A parameter out of range; from ``finish``, a signal shorter than 60 ms.
    NonFiniteAudioError
        From ``push``: NaN or infinity among the samples.
    EmptyAudioError
        From ``finish``: nothing was pushed.

    Examples
    --------
    >>> import numpy as np
    >>> from dissensus.features import IS13Stream, is13
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=3 * 16000)
    >>> stream = IS13Stream(16000)
    >>> parts = [stream.push(noise[:20000]), stream.push(noise[20000:]), stream.finish()]
    >>> np.array_equal(np.concatenate(parts), is13(noise, 16000))
    True
    """

    def __init__(
        self,
        sr: int,
        *,
        window_s: float = 1.0,
        overlap: float = 0.5,
        voiced_deltas: str = "running",
        n_threads: int | None = 1,
        backend: str = "auto",
    ) -> None:
        self._length, self._hop = window_frames(window_s, overlap)
        self._descriptors = DescriptorStream(sr, voiced_deltas=voiced_deltas, n_threads=n_threads, backend=backend)
        self._describe = resolve("is13_windows", backend)
        self._rows = _empty(130)
        self._done = 0

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Add samples; returns the windows that are complete now, (n_windows, 260)."""
        x, parts, step = np.asarray(samples), [], self._descriptors.step
        for start in range(0, len(x) if x.ndim == 1 else 1, step):  # in pieces: their rows need not be held together
            self._keep(self._descriptors.push(x[start : start + step] if x.ndim == 1 else x))
            parts.append(self._windows(max(0, (len(self._rows) - self._length) // self._hop + 1)))
        return np.concatenate(parts) if parts else _empty(260)

    def finish(self) -> NDArray[np.float32]:
        """The windows at the end of the signal. The stream is then used up."""
        self._keep(self._descriptors.finish())
        total = window_count(self._done * self._hop + len(self._rows), self._length, self._hop)
        return self._windows(total - self._done)

    def _keep(self, rows: NDArray[np.float32]) -> None:
        self._rows = np.concatenate([self._rows, rows]) if len(self._rows) else rows

    def _windows(self, count: int) -> NDArray[np.float32]:
        out = np.empty((count, 260), dtype=np.float32)
        self._describe(self._rows, self._length, self._hop, out)
        self._rows = self._rows[count * self._hop :].copy()
        self._done += count
        return out
