"""The 260 emotion features: 65 ComParE descriptors and their deltas, mean and spread over windows of a second.

Written from the published definitions; the names and their order are those of the IS13 feature files. Agreement with
openSMILE's ComParE_2016 is tabulated in ``docs/explanation/is13_parity.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.features.is13_stream import DescriptorStream, IS13Stream

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


def is13_descriptors(
    signal: ArrayLike, sr: int, *, voiced_deltas: str = "running", n_threads: int = 1, backend: str = "auto"
) -> NDArray[np.float32]:
    r"""The 65 smoothed descriptors and their deltas, one row every 10 ms.

    Parameters
    ----------
    signal : (n_samples,) array_like of float
        Mono samples, full scale +-1; at least 60 ms. They are taken as a 16-bit file holds them, rounded to steps of
        ``2**-15`` and clipped at full scale: what a decoder leaves in silence under -96 dB changes nothing.
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
    stream = DescriptorStream(sr, voiced_deltas=voiced_deltas, n_threads=n_threads, backend=backend)
    return np.concatenate([stream.push(signal), stream.finish()])


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
        Mono samples, full scale +-1, taken as a 16-bit file holds them; at least 60 ms.
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
    stream = IS13Stream(
        sr, window_s=window_s, overlap=overlap, voiced_deltas=voiced_deltas, n_threads=n_threads, backend=backend
    )
    return np.concatenate([stream.push(signal), stream.finish()])
