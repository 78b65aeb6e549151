"""The 260 emotion features: 65 ComParE descriptors and their deltas, mean and spread over windows of a second.

Written from the published definitions; the names and their order are those of the IS13 feature files. Agreement with
openSMILE's ComParE_2016 is tabulated in ``docs/is13_parity.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import as_float, check_count
from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features.is13_plan import HOP_S, LONG_S, IS13Plan, plan_for

__all__ = ["IS13_DESCRIPTORS", "IS13_NAMES", "is13", "is13_descriptors"]

_SPECTRUM = (
    "fband250-650",
    "fband1000-4000",
    "spectralRollOff25.0",
    "spectralRollOff50.0",
    "spectralRollOff75.0",
    "spectralRollOff90.0",
    "spectralFlux",
    "spectralCentroid",
    "spectralEntropy",
    "spectralVariance",
    "spectralSkewness",
    "spectralKurtosis",
    "spectralSlope",
    "psySharpness",
    "spectralHarmonicity",
)
_STEMS = (
    *(
        f"{name}_sma{{}}"
        for name in ("F0final", "voicingFinalUnclipped", "jitterLocal", "jitterDDP", "shimmerLocal", "logHNR")
    ),
    *(f"{name}_sma{{}}" for name in ("audspec_lengthL1norm", "audspecRasta_lengthL1norm", "pcm_RMSenergy", "pcm_zcr")),
    *(f"audSpec_Rfilt_sma{{}}[{i}]" for i in range(26)),
    *(f"pcm_fftMag_{name}_sma{{}}" for name in _SPECTRUM),
    *(f"mfcc_sma{{}}[{i}]" for i in range(1, 15)),
)
#: Names of the 65 smoothed descriptors and their 65 deltas, in the order of the columns of :func:`is13_descriptors`.
IS13_DESCRIPTORS: tuple[str, ...] = tuple(stem.format(delta) for delta in ("", "_de") for stem in _STEMS)
#: Names of the 260 features, in the order of the columns of :func:`is13`.
IS13_NAMES: tuple[str, ...] = tuple(f"{name}_{kind}" for name in IS13_DESCRIPTORS for kind in ("stddev", "amean"))

#: Local, voiced-voiced, voiced-unvoiced, threshold, range, unvoiced-unvoiced, voicing threshold, least RMS.
_PATH_WEIGHTS = np.array([2.0, 10.0, 10.0, 4.0, 1.0, 1.0, 0.7, 0.001])
_PATH_LAG = 30
_SEARCH = 0.25
_N_VOICING = 6
_BLOCK = 512


def _as_signal(signal: ArrayLike, sr: int) -> NDArray[np.float32]:
    x = as_float(signal, "signal")
    if x.ndim != 1:
        raise ParameterError(f"signal must be (n_samples,) mono; got shape {x.shape}: downmix it first")
    if x.size == 0:
        raise EmptyAudioError("signal holds no samples")
    if not np.isfinite(x).all():
        at = int(np.argmin(np.isfinite(x)))
        raise NonFiniteAudioError(f"signal[{at}] is not finite: repair or drop such samples first")
    return np.ascontiguousarray(x, dtype=np.float32)


def _rate(sr: int) -> int:
    rate = check_count(sr, "sr")
    if not 8000 <= rate <= 192000:
        raise ParameterError(f"sr={sr}: the descriptors are defined from 8000 to 192000 Hz; resample the signal first")
    return rate


def _raw(x: NDArray[np.float32], plan: IS13Plan, n_threads: int, backend: str) -> tuple[NDArray[np.float32], int]:
    """The 65 descriptors before smoothing, and how many rows of them count; up to two more lend their spectra to deltas."""
    n_frames = (len(x) - len(plan.long_window)) // plan.hop + 1
    n_rows = min((len(x) - len(plan.short_window)) // plan.hop + 1, n_frames + 3)
    x = np.concatenate([x, np.zeros(2 * len(plan.left), dtype=np.float32)])  # transforms are longer than frames
    spectrum = np.empty((n_rows, 42), dtype=np.float32)
    candidates = np.empty((n_frames, 15), dtype=np.float32)
    spectral, pitches = resolve("is13_spectral", backend), resolve("is13_candidates", backend)

    def block(start: int, stop: int) -> None:
        spectral(x, plan.short_window, plan.spectral_table, plan.mel_channel, plan.hop, start, stop, spectrum)
        tables = (plan.knots, plan.targets, plan.left, plan.shifts, plan.axis)
        pitches(x, plan.long_window, *tables, plan.hop, start, min(stop, n_frames), candidates)

    run_blocks(block, n_rows, n_threads=n_threads, block_size=_BLOCK)
    auditory = np.empty((n_rows, 42), dtype=np.float32)
    resolve("is13_auditory", backend)(spectrum, plan.loudness, plan.rasta, plan.cosines, auditory)
    path = np.empty((n_frames, 2), dtype=np.float32)
    resolve("is13_pitch_path", backend)(candidates, _PATH_WEIGHTS, _PATH_LAG, path)
    periods = np.empty((n_frames, 4), dtype=np.float32)
    rate = len(plan.long_window) / LONG_S
    resolve("is13_periods", backend)(x, path[:, 0].copy(), rate, plan.hop, len(plan.long_window), _SEARCH, periods)
    out = np.empty((n_rows, 65), dtype=np.float32)
    out[:n_frames, :2], out[:n_frames, 2:6], out[:n_frames, 9] = path, periods, candidates[:, 0]
    out[n_frames:, :6], out[n_frames:, 9] = out[n_frames - 1, :6], out[n_frames - 1, 9]
    out[:, 6:8], out[:, 8], out[:, 10:36] = auditory[:, :2], spectrum[:, 26], auditory[:, 2:28]
    out[:, 36:51], out[:, 51:] = spectrum[:, 27:], auditory[:, 28:]
    return out, n_frames + 1


def is13_descriptors(
    signal: ArrayLike, sr: int, *, voiced_deltas: str = "running", n_threads: int = 1, backend: str = "auto"
) -> NDArray[np.float32]:
    r"""The 65 smoothed descriptors and their deltas, one row every 10 ms.

    Parameters
    ----------
    signal : (n_samples,) array_like of float
        Mono samples, full scale +-1; at least 60 ms.
    sr : int
        Sample rate in Hz, 8000 to 192000. Frame sizes are rounded to whole samples.
    voiced_deltas : {"running", "pairs"}
        How the deltas of the six voicing contours are scaled. ``"running"`` divides by a count that grows from the start
        of the signal, as openSMILE does and models trained on its values expect; ``"pairs"`` is the plain regression over
        the pairs of voiced frames at hand, the same anywhere in the signal.
    n_threads : int, optional
        Threads that share the frames; the result does not depend on it.
    backend : {"auto", "native", "numba", "reference"}
        Which kernels do the work.

    Returns
    -------
    (n_frames, 130) ndarray of float32
        Columns named by :data:`IS13_DESCRIPTORS`; frame ``t`` starts at sample ``t * hop``, where ``hop`` is 10 ms rounded
        to samples. There is one row more than whole 60 ms frames, as in openSMILE's files: it repeats the last voicing.

    Raises
    ------
    ParameterError
        Not one channel, a sample rate out of range, shorter than 60 ms, or an unknown ``voiced_deltas``.
    EmptyAudioError, NonFiniteAudioError
        No samples, or NaN or infinity among them.

    References
    ----------
    .. [1] Schuller et al., "The INTERSPEECH 2013 computational paralinguistics challenge", 2013.
    .. [2] Weninger et al., "On the acoustics of emotion in audio", Frontiers in Psychology 4, 2013.
    .. [3] Hermes, "Measurement of pitch by subharmonic summation", JASA 83, 1988.
    .. [4] Hermansky, "Perceptual linear predictive analysis of speech", JASA 87, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from dissensus.features.is13 import IS13_DESCRIPTORS, is13_descriptors
    >>> tone = np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)
    >>> rows = is13_descriptors(tone, 16000)
    >>> rows.shape
    (96, 130)
    >>> round(float(rows[40, IS13_DESCRIPTORS.index("F0final_sma")]))
    220
    """
    rate = _rate(sr)
    x = _as_signal(signal, rate)
    if voiced_deltas not in ("running", "pairs"):
        raise ParameterError(f"voiced_deltas={voiced_deltas!r}; choose 'running' or 'pairs'")
    plan = plan_for(rate)
    if len(x) < len(plan.long_window):
        raise ParameterError(
            f"signal has {len(x)} samples, the descriptors need {len(plan.long_window)} (60 ms at {rate} Hz)"
        )
    raw, n_frames = _raw(x, plan, resolve_threads(n_threads), backend)
    out = np.empty((len(raw), 130), dtype=np.float32)
    resolve("is13_contours", backend)(raw, _N_VOICING, voiced_deltas == "running", out)
    return out[:n_frames]


def is13(
    signal: ArrayLike,
    sr: int,
    *,
    window_s: float = 1.0,
    overlap: float = 0.5,
    voiced_deltas: str = "running",
    n_threads: int = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""The 260 IS13 features: population sd and mean of 130 descriptors over sliding windows.

    Window ``k`` covers the frames ``[k h, k h + n)`` of 10 ms, with ``n`` frames in ``window_s`` and
    ``h = n (1 - overlap)``; a window that is not whole at the end of the signal is kept when at least half of it is there,
    and a signal shorter than half a window gives one window of all it has.

    Parameters
    ----------
    signal : (n_samples,) array_like of float
        Mono samples, full scale +-1; at least 60 ms.
    sr : int
        Sample rate in Hz, 8000 to 192000.
    window_s : float
        Length of a window in seconds, at least 0.02.
    overlap : float
        Share of a window that its successor repeats, in ``[0, 1)``.
    voiced_deltas, n_threads, backend
        As in :func:`is13_descriptors`.

    Returns
    -------
    (n_windows, 260) ndarray of float32
        Columns named by :data:`IS13_NAMES`: for each descriptor the sd, then the mean.

    Raises
    ------
    ParameterError
        As in :func:`is13_descriptors`, or a window that is too short or overlaps whole.
    EmptyAudioError, NonFiniteAudioError
        No samples, or NaN or infinity among them.

    Examples
    --------
    >>> import numpy as np
    >>> from dissensus.features.is13 import IS13_NAMES, is13
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=3 * 16000)
    >>> features = is13(noise, 16000)
    >>> features.shape, IS13_NAMES[0], IS13_NAMES[-1]
    ((5, 260), 'F0final_sma_stddev', 'mfcc_sma_de[14]_amean')
    """
    length = round(float(window_s) / HOP_S) if np.isfinite(window_s) else 0
    if length < 2:
        raise ParameterError(f"window_s={window_s!r}: a window must be at least 0.02 s")
    if not 0.0 <= overlap < 1.0:
        raise ParameterError(f"overlap={overlap!r}: must be in [0, 1)")
    hop = max(round(length * (1.0 - overlap)), 1)
    rows = is13_descriptors(signal, sr, voiced_deltas=voiced_deltas, n_threads=n_threads, backend=backend)
    out = np.empty((window_count(len(rows), length, hop), 2 * rows.shape[1]), dtype=np.float32)
    resolve("is13_windows", backend)(rows, length, hop, out)
    return out


def window_count(n_frames: int, length: int, hop: int) -> int:
    """Windows of ``length`` every ``hop`` frames that hold at least half their frames; at least one."""
    return max(1, (n_frames - (length + 1) // 2) // hop + 1)
