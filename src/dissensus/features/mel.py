"""Log-mel spectra: a plan of every choice, the transform of whole signals, batches and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.features._mel_filters import mel_filters

__all__ = ["MelPlan", "MelStream", "log_mel", "log_mel_batch", "mel_filters"]

_FRAMES_A_JOB: Final = 1024
_FAST_SIZES: Final = frozenset({256, 512, 1024, 2048, 4096})


@dataclass(frozen=True)
class MelPlan:
    """Every choice of a log-mel front end.

    The defaults are those of the short-chunk CNN. librosa's usual ones are ``MelPlan(sr=22050, n_fft=2048,
    hop_length=512, htk=False, norm="slaney", pad_mode="constant", top_db=80.0)``.

    Attributes
    ----------
    sr, n_fft, hop_length, n_mels : int
        Sample rate (Hz), transform length, step between frames (samples), number of bands. Transforms of 256, 512, 1024,
        2048 and 4096 samples are fast; others work through the reference kernel.
    win_length : int, optional
        Periodic Hann window of this length, centred in the transform; None is ``n_fft``.
    fmin, fmax : float
        Edges of the bands in Hz; ``fmax=None`` is half the sample rate.
    htk : bool
        HTK mel scale, or Slaney's.
    norm : {"slaney", None}
        Equal-area filters, or peaks of 1.
    power : {1.0, 2.0}
        Magnitude or power spectrum.
    center : bool
        Frame f is centred on sample ``f * hop_length``; False starts it there.
    pad_mode : {"reflect", "constant", "edge"}
        How a centred signal is continued at its ends.
    log : {"db", "natural", None}
        ``10 log10`` (``20 log10`` of magnitudes), natural logarithm, or the plain sums.
    floor : float, optional
        Smaller sums are raised to it before the logarithm; None is 1e-10 for power, 1e-5 for magnitude.
    offset : float
        Added to the sums before the logarithm.
    ref : float
        The value of 0 dB (a power or magnitude, as ``power`` says).
    top_db : float, optional
        Raise everything to within this many dB of the loudest value of the signal.

    Raises
    ------
    ParameterError
        A choice out of range, or two that contradict each other.
    """

    sr: int = 16000
    n_fft: int = 512
    hop_length: int = 256
    n_mels: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = True
    norm: Literal["slaney"] | None = None
    power: float = 2.0
    win_length: int | None = None
    center: bool = True
    pad_mode: Literal["reflect", "constant", "edge"] = "reflect"
    log: Literal["db", "natural"] | None = "db"
    floor: float | None = None
    offset: float = 0.0
    ref: float = 1.0
    top_db: float | None = None

    def __post_init__(self) -> None:
        for name in ("sr", "hop_length", "n_mels"):
            check_count(getattr(self, name), name)
        if check_count(self.n_fft, "n_fft", minimum=16) % 2:
            raise ParameterError(f"n_fft={self.n_fft}: must be even")
        if self.win_length is not None and check_count(self.win_length, "win_length") > self.n_fft:
            raise ParameterError(f"win_length={self.win_length} is longer than n_fft={self.n_fft}")
        top = self.sr / 2 if self.fmax is None else self.fmax
        if not 0 <= self.fmin < top <= self.sr / 2:
            raise ParameterError(f"fmin={self.fmin}, fmax={self.fmax}: need 0 <= fmin < fmax <= {self.sr / 2:g} Hz")
        choices: dict[str, tuple[Any, ...]] = {
            "norm": ("slaney", None),
            "power": (1.0, 2.0),
            "pad_mode": ("reflect", "constant", "edge"),
            "log": ("db", "natural", None),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}={getattr(self, name)!r}; choose one of {', '.join(map(repr, allowed))}")
        floor = self._floor()
        if self.log and not (floor >= 0 and self.offset >= 0 and floor + self.offset >= 1e-37 and self.ref > 0):
            raise ParameterError(
                f"floor={floor:g}, offset={self.offset:g}, ref={self.ref:g}: a logarithm needs ref above zero and a floor "
                "or an offset of at least 1e-37"
            )
        if self.top_db is not None and (self.log != "db" or self.top_db < 0):
            raise ParameterError(f"top_db={self.top_db}: must be zero or more, and needs log='db'")

    def _floor(self) -> float:
        if self.floor is not None:
            return self.floor
        return 0.0 if self.offset else (1e-10 if self.power == 2.0 else 1e-5)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All choices, as JSON can hold them; part of a pool's fingerprint."""
        return {"features": "logmel", **asdict(self)}

    def n_frames(self, n_samples: int) -> int:
        """Frames of a signal of ``n_samples``."""
        if self.center:
            return 1 + n_samples // self.hop_length
        return max(0, 1 + (n_samples - self.n_fft) // self.hop_length)

    def __call__(self, signal: ArrayLike, *, n_threads: int | None = 1, backend: str = "auto") -> NDArray[np.float32]:
        """Log-mel of one signal, (n_frames, n_mels); see :func:`log_mel`."""
        return self.batch([signal], n_threads=n_threads, backend=backend)[0]

    def batch(
        self, signals: Sequence[ArrayLike], *, n_threads: int | None = 1, backend: str = "auto"
    ) -> list[NDArray[np.float32]]:
        """Log-mel of many signals of any lengths, in parallel; one array a signal, the same for any ``n_threads``."""
        tables = _tables(self)
        kernel = resolve("log_mel_frames", _backend_for(self.n_fft, backend))
        outs: list[NDArray[np.float32]] = []
        jobs: list[tuple[NDArray[np.float32], int, NDArray[np.float32]]] = []
        for signal in signals:
            x = _as_signal(signal)
            out = np.empty((self._checked_frames(len(x)), self.n_mels), dtype=np.float32)
            outs.append(out)
            for piece, first, start, stop in _pieces(self, x, len(out)):
                for at in range(start, stop, _FRAMES_A_JOB):
                    until = min(at + _FRAMES_A_JOB, stop)
                    jobs.append((piece, first + (at - start) * self.hop_length, out[at:until]))

        def work(start: int, stop: int) -> None:
            for piece, first, out in jobs[start:stop]:
                kernel(piece, first, self.hop_length, *tables, out)

        run_blocks(work, len(jobs), n_threads=resolve_threads(n_threads), block_size=1)
        if self.top_db is not None:
            for out in outs:
                np.maximum(out, out.max() - np.float32(self.top_db), out=out)
        return outs

    def _checked_frames(self, n_samples: int) -> int:
        if n_samples == 0:
            raise ParameterError("the signal is empty")
        frames = self.n_frames(n_samples)
        if frames < 1:
            raise ParameterError(
                f"{n_samples} samples are less than one frame of {self.n_fft}; use center=True or pad it"
            )
        return frames


def _backend_for(n_fft: int, backend: str) -> str:
    return "reference" if backend == "auto" and n_fft not in _FAST_SIZES else backend


def _as_signal(signal: ArrayLike) -> NDArray[np.float32]:
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiu":
        raise ParameterError(f"signal must be a mono waveform (n_samples,) of numbers; got shape {x.shape}, {x.dtype}")
    return np.ascontiguousarray(x, dtype=np.float32)


@lru_cache(maxsize=32)
def _tables(plan: MelPlan) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
    """Window, bands, weights and level, as the kernel takes them."""
    length = plan.win_length or plan.n_fft
    window = np.zeros(plan.n_fft)
    left = (plan.n_fft - length) // 2
    window[left : left + length] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    filters = mel_filters(
        plan.sr, plan.n_fft, plan.n_mels, fmin=plan.fmin, fmax=plan.fmax, htk=plan.htk, norm=plan.norm
    ).astype(np.float32)
    band = np.zeros((plan.n_mels, 3), dtype=np.int64)
    weights: list[NDArray[np.float32]] = []
    for m, row in enumerate(filters):
        inside = np.flatnonzero(row)
        if len(inside):
            band[m] = inside[0], sum(len(w) for w in weights), inside[-1] + 1 - inside[0]
            weights.append(row[inside[0] : inside[-1] + 1])
    weight = np.concatenate(weights) if weights else np.zeros(1, dtype=np.float32)
    scale = {"db": 20.0 / plan.power / np.log(10.0), "natural": 1.0, None: 0.0}[plan.log]
    shift = -scale * np.log(plan.ref) if plan.log == "db" else 0.0
    level = np.array([plan.power, plan._floor(), plan.offset, scale, shift])
    tables = window, band, np.ascontiguousarray(weight), level
    for table in tables:
        table.flags.writeable = False
    return tables


def _pieces(
    plan: MelPlan, x: NDArray[np.float32], n_frames: int
) -> Iterator[tuple[NDArray[np.float32], int, int, int]]:
    """(array, first sample, first frame, last frame): the ends in small padded copies, the middle on the signal itself."""
    n, hop, n_fft = len(x), plan.hop_length, plan.n_fft
    if not plan.center:
        yield x, 0, 0, n_frames
        return
    pad = n_fft // 2
    begin = min(-(-pad // hop), n_frames)  # first frame that lies inside on the left
    end = max(begin, min(n_frames, (n + pad - n_fft) // hop + 1 if n + pad >= n_fft else 0))
    if end == begin:
        yield _padded(x, pad, pad, plan.pad_mode), 0, 0, n_frames
        return
    if begin:
        reach = (begin - 1) * hop - pad + n_fft
        source = x[: max(reach, pad + 1)] if n >= max(reach, pad + 1) else None
        if source is None:
            yield _padded(x, pad, pad, plan.pad_mode), 0, 0, n_frames
            return
        yield _padded(source, pad, 0, plan.pad_mode), 0, 0, begin
    yield x, begin * hop - pad, begin, end
    if end < n_frames:
        start = min(end * hop - pad, n - pad - 1)
        yield _padded(x[start:], 0, pad, plan.pad_mode), end * hop - pad - start, end, n_frames


def _padded(
    x: NDArray[np.float32], left: int, right: int, mode: Literal["reflect", "constant", "edge"]
) -> NDArray[np.float32]:
    if mode == "reflect" and len(x) == 1:
        mode = "edge"
    return np.pad(x, (left, right), mode=mode)


class MelStream:
    """Log-mel of a signal that arrives in parts: exactly the frames of the whole signal, whatever the parts.

    Parameters
    ----------
    plan : MelPlan
        Without ``top_db``, which needs the whole signal.

    Examples
    --------
    >>> import numpy as np
    >>> signal = np.sin(np.arange(4000) * 0.1)
    >>> stream = MelStream(MelPlan())
    >>> parts = [stream.push(signal[:1000]), stream.push(signal[1000:]), stream.finish()]
    >>> np.array_equal(np.concatenate(parts), log_mel(signal))
    True
    """

    def __init__(self, plan: MelPlan, *, backend: str = "auto") -> None:
        if plan.top_db is not None:
            raise ParameterError("top_db needs the whole signal; stream without it")
        self.plan = plan
        self._backend = backend
        self._kernel: Callable[..., None] = resolve("log_mel_frames", _backend_for(plan.n_fft, backend))
        self._pad = plan.n_fft // 2 if plan.center else 0
        self._kept = np.zeros(0, dtype=np.float32)  # samples from self._origin on
        self._origin = 0
        self._done = 0  # frames given out

    @property
    def n_samples(self) -> int:
        """Samples pushed so far."""
        return self._origin + len(self._kept)

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Add samples; returns the frames that are complete now, (n, n_mels)."""
        self._kept = np.concatenate([self._kept, _as_signal(samples)])
        plan, pad = self.plan, self._pad
        if self._origin == 0 and self.n_samples < plan.n_fft + pad + plan.hop_length:
            return np.empty((0, plan.n_mels), dtype=np.float32)
        until = (self.n_samples + pad - plan.n_fft) // plan.hop_length + 1
        frames = self._frames(max(until, self._done))
        # Keep what the next frame needs, and enough to reflect at the end.
        keep_from = max(0, min(self._done * plan.hop_length - pad, self.n_samples - pad - 1))
        if keep_from > self._origin:
            self._kept = self._kept[keep_from - self._origin :].copy()
            self._origin = keep_from
        return frames

    def finish(self) -> NDArray[np.float32]:
        """The frames at the end of the signal. The stream is then used up."""
        if self._done == 0:
            return self.plan(self._kept, backend=self._backend)
        n_frames = self.plan.n_frames(self.n_samples)
        self._kept = _padded(self._kept, 0, self._pad, self.plan.pad_mode)
        return self._frames(n_frames)

    def _frames(self, until: int) -> NDArray[np.float32]:
        plan = self.plan
        out = np.empty((max(0, until - self._done), plan.n_mels), dtype=np.float32)
        if len(out):
            first, piece = self._done * plan.hop_length - self._pad - self._origin, self._kept
            if first < 0:  # only before anything was dropped: the left end of the signal
                piece, first = _padded(piece, self._pad, 0, plan.pad_mode), first + self._pad
            self._kernel(np.ascontiguousarray(piece), first, plan.hop_length, *_tables(plan), out)
            self._done = until
        return out


def log_mel(
    signal: ArrayLike,
    *,
    sr: int = 16000,
    n_fft: int = 512,
    hop_length: int = 256,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = True,
    norm: Literal["slaney"] | None = None,
    power: float = 2.0,
    n_threads: int | None = 1,
    backend: str = "auto",
    **more: Any,
) -> NDArray[np.float32]:
    """Log-mel spectrum of a signal.

    The defaults are those of the short-chunk CNN: 16 kHz, 512-sample Hann frames every 256 samples, centred and reflected
    at the ends, 128 HTK mel bands of the power spectrum, ``10 log10`` with a floor of 1e-10.

    Parameters
    ----------
    signal : (n_samples,) array_like of float
        Mono. NaN or infinity spoils the frames that hold it, and those alone.
    sr, n_fft, hop_length, n_mels, fmin, fmax, htk, norm, power
        See :class:`MelPlan`.
    n_threads : int or None
        Threads; None takes the budget of ``set_threads``. The result does not depend on it.
    backend : {"auto", "native", "numba", "reference"}
        Who computes.
    **more
        The other choices of :class:`MelPlan`: ``win_length``, ``center``, ``pad_mode``, ``log``, ``floor``, ``offset``,
        ``ref``, ``top_db``.

    Returns
    -------
    (n_frames, n_mels) ndarray of float32
        dB, or what ``log`` says.

    Raises
    ------
    ParameterError
        A choice out of range, an empty signal, or one that is not mono.

    Examples
    --------
    >>> import numpy as np
    >>> log_mel(np.zeros(16000)).shape
    (63, 128)
    """
    try:
        plan = MelPlan(sr, n_fft, hop_length, n_mels, fmin, fmax, htk, norm, power, **more)
    except TypeError as error:
        raise ParameterError(f"log_mel: {str(error).removeprefix('MelPlan.__init__() ')}") from None
    return plan(signal, n_threads=n_threads, backend=backend)


def log_mel_batch(
    signals: Sequence[ArrayLike], plan: MelPlan | None = None, *, n_threads: int | None = 1, backend: str = "auto"
) -> list[NDArray[np.float32]]:
    """Log-mel of many signals of any lengths, in parallel.

    Parameters
    ----------
    signals : sequence of (n_samples,) arrays
        Mono.
    plan : MelPlan, optional
        The choices; default those of the short-chunk CNN.

    Returns
    -------
    list of (n_frames, n_mels) ndarray of float32
        One a signal, in order.
    """
    return (plan or MelPlan()).batch(signals, n_threads=n_threads, backend=backend)
