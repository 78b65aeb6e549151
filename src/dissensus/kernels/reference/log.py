"""Natural logarithm, numpy's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_into"]


def log_into(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write ``log(x)`` into ``out``: any float32; -inf at zero, NaN below."""
    with np.errstate(all="ignore"):
        out[: len(x)] = np.log(x.astype(np.float64))
