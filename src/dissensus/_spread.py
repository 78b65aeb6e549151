"""Spread of columns of any scale, and what counts as constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_deviation"]

_ROUNDING = (
    1e-12  # of the largest value; float32 values that differ at all vary by more, sums in float64 are off by less
)


def column_deviation(table: NDArray[Any], *, constant: float) -> NDArray[np.float64]:
    """Population standard deviation of each column, ``constant`` where a column varies by no more than rounding.

    Parameters
    ----------
    table : (n, n_columns) ndarray of float
        Finite.
    constant : float
        What constant columns get: 1 leaves what is divided by it, infinity makes it 0.

    Returns
    -------
    (n_columns,) ndarray of float64
        Columns of any scale are measured alike: one of 1e-30 as one of 1e30.

    Examples
    --------
    >>> column_deviation(np.array([[2.0**-99, 2.0**99, 0.1], [2.0**-97, 2.0**101, 0.1]]), constant=1.0) / [2.0**-99, 2.0**99, 1]
    array([1.5, 1.5, 1. ])
    """
    peak = np.abs(table).max(axis=0, initial=0.0).astype(np.float64)
    _, exponent = np.frexp(peak)
    unit = np.ldexp(1.0, np.clip(exponent, -1000, 1000))  # a power of two: dividing by it rounds nothing
    inside = table / unit
    deviation = np.sqrt(np.square(inside - inside.mean(axis=0, dtype=np.float64)).mean(axis=0, dtype=np.float64))
    return np.where(deviation > _ROUNDING * (peak / unit), deviation * unit, constant)
