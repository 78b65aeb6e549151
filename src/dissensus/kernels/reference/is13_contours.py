"""Slow twins of the IS13 kernels over contours: smoothing, deltas, windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]

__all__ = ["is13_contours", "is13_windows"]


def is13_contours(
    raw: NDArray[np.float32], n_voicing: int, running: bool, start: int, stop: int, state: F, out: NDArray[np.float32]
) -> None:
    """Write the smoothed descriptors and their deltas of the frames ``start:stop`` into ``out`` ``(stop - start, 2 * n)``.

    The first ``n_voicing`` columns are smoothed over non-zero frames alone, and their deltas use pairs of non-zero frames;
    with ``running`` their divisor grows along the signal, as openSMILE's does, else it is that of the pairs used. ``state``
    (1,) carries that divisor from call to call; it begins at 10. A frame needs the three raw ones on either side; where
    there are none the signal ends.
    """
    n_frames, n = raw.shape
    padded = np.pad(raw.astype(np.float64), ((1, 1), (0, 0)), mode="edge")
    triple = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    smooth = triple.mean(0)
    voiced = triple[:, :, :n_voicing]
    some = np.maximum((voiced != 0.0).sum(0), 1)
    smooth[:, :n_voicing] = np.where(voiced[1] != 0.0, voiced.sum(0) / some, 0.0)
    smooth = smooth.astype(np.float32).astype(np.float64)
    out[:, :n] = smooth[start:stop]
    padded = np.pad(smooth, ((2, 2), (0, 0)), mode="edge")
    at = np.arange(n_frames) + 2
    delta = np.zeros((n_frames, n))
    divisor = np.zeros((n_frames, n_voicing))
    for k in (1, 2):
        ahead, behind = padded[at + k], padded[at - k]
        step = k * (ahead - behind)
        both = (ahead[:, :n_voicing] != 0.0) & (behind[:, :n_voicing] != 0.0)
        step[:, :n_voicing] *= both
        divisor += both * float(k * k)
        delta += step
    delta[:, n_voicing:] /= 10.0
    delta, divisor = delta[start:stop], divisor[start:stop]
    if running:
        divisor = state[0] + np.cumsum(divisor.ravel()).reshape(divisor.shape)
        state[0] = divisor[-1, -1] if divisor.size else state[0]
    else:
        divisor *= 2.0
    delta[:, :n_voicing] /= np.maximum(divisor, 1.0)
    out[:, n:] = delta


def is13_windows(contours: NDArray[np.float32], length: int, hop: int, out: NDArray[np.float32]) -> None:
    """Write population sd and mean, in that order, of each column over the windows ``[k * hop, k * hop + length)``."""
    for k in range(len(out)):
        window = contours[k * hop : k * hop + length].astype(np.float64)
        out[k, 0::2] = window.std(0)
        out[k, 1::2] = window.mean(0)
