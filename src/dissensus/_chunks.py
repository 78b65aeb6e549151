"""How a waveform is cut into the chunks that the CNN hears: shared by training, export and scoring."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError

__all__ = ["CHUNK_SAMPLES", "SAMPLE_RATE", "all_chunks", "reflect_to"]

SAMPLE_RATE = 16_000
#: 3.69 s: with a hop of 256 this makes 231 frames, which seven poolings reduce to one.
CHUNK_SAMPLES = 59_049


def reflect_to(signal: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """The signal itself, or reflected at its ends until it has ``n_samples``.

    Examples
    --------
    >>> reflect_to(np.array([1.0, 2.0, 3.0], dtype=np.float32), 7)
    array([1., 2., 3., 2., 1., 2., 3.], dtype=float32)
    """
    if len(signal) >= n_samples:
        return signal
    return np.pad(signal, (0, n_samples - len(signal)), mode="reflect" if len(signal) > 1 else "edge")


def all_chunks(signal: ArrayLike, n_samples: int = CHUNK_SAMPLES) -> NDArray[np.float32]:
    """All non-overlapping chunks of a waveform, in order; what is left at the end is dropped.

    Parameters
    ----------
    signal : (n,) array_like of float
        Mono, 16 kHz. A signal shorter than one chunk is reflected at its ends.
    n_samples : int
        Length of a chunk.

    Returns
    -------
    (n_chunks, n_samples) ndarray of float32

    Raises
    ------
    ParameterError
        Not a non-empty mono waveform.
    """
    x = np.asarray(signal, dtype=np.float32)
    if x.ndim != 1 or len(x) == 0:
        raise ParameterError(f"signal must be a non-empty mono waveform (n,); got shape {x.shape}")
    x = reflect_to(x, n_samples)
    n = len(x) // n_samples
    return x[: n * n_samples].reshape(n, n_samples)
