"""The best few of many: a stable sort."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["top_k"]


def top_k(utility: NDArray[Any], exclude: NDArray[np.int64], index: NDArray[np.int64]) -> int:
    """Write the positions of the best ``len(index)`` utilities, best first; return how many there are.

    Ties go to the lowest position, NaN comes last, positions in ``exclude`` (sorted) never.
    """
    allowed = np.setdiff1d(np.arange(len(utility)), exclude, assume_unique=True)
    best = allowed[np.argsort(-utility[allowed].astype(np.float64), kind="stable")][: len(index)]
    index[: len(best)] = best
    return len(best)
