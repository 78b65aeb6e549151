"""The IS13 columns as openSMILE computes them, for those who may use it.

openSMILE is not part of dissensus and never installed by it: its licence (audEERING) allows research and private use and
forbids commercial use. ``pip install opensmile`` accepts that licence.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import MissingDependencyError, ParameterError

__all__ = ["OPENSMILE_LICENCE", "OpensmileStream", "opensmile_is13"]

OPENSMILE_LICENCE = "openSMILE (c) audEERING GmbH: research and private use only, no commercial use"


@lru_cache(maxsize=2)
def _smile(level: str) -> Any:
    try:
        import opensmile
    except ImportError:
        raise MissingDependencyError(
            f"features='opensmile' needs the package: pip install opensmile ({OPENSMILE_LICENCE})"
        ) from None
    return opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=opensmile.FeatureLevel(level))


def opensmile_is13(signal: ArrayLike, sr: int, *, window_s: float = 1.0, overlap: float = 0.5) -> NDArray[np.float32]:
    """The 65 descriptors and their deltas by openSMILE, standard deviation and mean over windows.

    Parameters
    ----------
    signal : (n,) array_like of float
        Mono.
    sr : int
        Sample rate, Hz.
    window_s, overlap : float
        Window length in seconds, and the share that the next one repeats.

    Returns
    -------
    (n_windows, 260) ndarray of float32
        Columns as ``dissensus.IS13_NAMES``; windows of fewer than half their frames are left out, but for a signal's only one.

    Raises
    ------
    MissingDependencyError
        The package is not installed.
    """
    x = np.asarray(signal, dtype=np.float32)
    if x.ndim != 1 or len(x) < 0.1 * sr:
        raise ParameterError(f"signal must be mono and at least 0.1 s long; got shape {x.shape} at {sr} Hz")
    # ComParE 2016 has the descriptors of 2013, in the same order: 65, then their deltas.
    levels = [_smile(level).process_signal(x, sr).to_numpy(np.float64) for level in ("lld", "lld_de")]
    n = min(map(len, levels))  # they end a frame or two apart
    columns = np.concatenate([level[:n] for level in levels], axis=1)
    size, step = round(window_s * 100), max(1, round(window_s * (1 - overlap) * 100))
    starts = [s for s in range(0, len(columns), step) if len(columns) - s >= size / 2] or [0]
    rows = [columns[s : s + size] for s in starts]
    out = np.empty((len(rows), 2 * columns.shape[1]), dtype=np.float32)
    out[:, 0::2] = [row.std(axis=0) for row in rows]
    out[:, 1::2] = [row.mean(axis=0) for row in rows]
    return out


class OpensmileStream:
    """The interface of our own streams over openSMILE, which needs the whole signal: it is held until ``finish``."""

    def __init__(self, sr: int, *, window_s: float = 1.0, overlap: float = 0.5) -> None:
        self._sr, self._options = sr, {"window_s": window_s, "overlap": overlap}
        self._parts: list[NDArray[np.float32]] = []
        _smile("lld")

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Keep samples; there are no windows yet."""
        self._parts.append(np.asarray(samples, dtype=np.float32))
        return np.empty((0, 260), dtype=np.float32)

    def finish(self) -> NDArray[np.float32]:
        """The windows of the signal, (n_windows, 260)."""
        return opensmile_is13(np.concatenate(self._parts), self._sr, **self._options)
