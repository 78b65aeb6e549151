"""Slow twin of the log-mel kernel: float64 numpy, any size of transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_mel_frames"]

_BLOCK = 256  # frames at a time


def log_mel_frames(
    signal: NDArray[Any],
    first: int,
    hop: int,
    window: NDArray[Any],
    band: NDArray[np.int64],
    weight: NDArray[Any],
    level: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Write log-mel frames; frame f is ``signal[first + f * hop :][: len(window)]``.

    Parameters
    ----------
    signal : (n,) float32
        Every frame lies inside it.
    first, hop : int
        Start of the first frame, and samples from one to the next.
    window : (n_fft,) float64
        Multiplied into each frame.
    band : (n_mels, 3) int64
        First bin, first weight and number of weights of each mel band.
    weight : (n_weights,) float32
        The non-zero weights of the filter bank, band after band.
    level : (5,) float64
        power (1 or 2), floor, offset, scale, shift: ``scale * ln(max(sum, floor) + offset) + shift``; the plain sum where
        scale is 0.
    out : (n_frames, n_mels) float32
        Written.
    """
    power, floor, offset, scale, shift = level
    n_fft = len(window)
    for begin in range(0, len(out), _BLOCK):
        rows = out[begin : begin + _BLOCK]
        start = first + (begin + np.arange(len(rows))) * hop
        samples = signal[start[:, None] + np.arange(n_fft)].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(samples * window, axis=1)) ** power
        for m, (bin_, at, count) in enumerate(band):
            total = spectrum[:, bin_ : bin_ + count] @ weight[at : at + count].astype(np.float64)
            if scale != 0.0:
                total = scale * np.log(np.where(total < floor, floor, total) + offset) + shift
            rows[:, m] = total
