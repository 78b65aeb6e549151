"""The triangular mel filter bank, in both scales."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["mel_filters"]


def _hz_to_mel(hz: NDArray[np.float64], htk: bool) -> NDArray[np.float64]:
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    linear = hz / (200.0 / 3.0)
    with np.errstate(divide="ignore"):
        above = 15.0 + np.log(np.maximum(hz, 1e-300) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz >= 1000.0, above, linear)


def _mel_to_hz(mel: NDArray[np.float64], htk: bool) -> NDArray[np.float64]:
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)), mel * (200.0 / 3.0))


def mel_filters(
    sr: int,
    n_fft: int,
    n_mels: int,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = True,
    norm: Literal["slaney"] | None = None,
) -> NDArray[np.float64]:
    """Triangular filters, equally spaced in mel, (n_mels, 1 + n_fft // 2).

    Parameters
    ----------
    sr, n_fft, n_mels : int
        Sample rate (Hz), transform length, number of filters.
    fmin, fmax : float
        Edges in Hz; ``fmax=None`` is half the sample rate.
    htk : bool
        The HTK mel scale; False is Slaney's, linear below 1 kHz.
    norm : {"slaney", None}
        ``"slaney"`` divides each filter by half its width in Hz (equal area).

    Examples
    --------
    >>> mel_filters(16000, 512, 128).shape
    (128, 257)
    """
    top = sr / 2.0 if fmax is None else float(fmax)
    low, high = _hz_to_mel(np.array([fmin, top]), htk).tolist()
    edges = _mel_to_hz(np.linspace(low, high, n_mels + 2), htk)
    bins = np.linspace(0.0, sr / 2.0, 1 + n_fft // 2)
    width = np.diff(edges)
    rising = (bins - edges[:-2, None]) / width[:-1, None]
    falling = (edges[2:, None] - bins) / width[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if norm == "slaney":
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return np.asarray(filters)
