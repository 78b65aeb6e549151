"""Reference twin of the ratings kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def compact_ratings(ratings: NDArray[Any], value: NDArray[Any], unit: NDArray[Any]) -> int:
    """Write the ratings that are not NaN and their units, in order, into ``value`` and ``unit``; return how many there are."""
    rows, columns = np.nonzero(~np.isnan(ratings))
    value[: len(rows)] = ratings[rows, columns]
    unit[: len(rows)] = columns
    return len(rows)


def pair_moments(
    code: NDArray[Any], unit: NDArray[Any], count: NDArray[Any], total: NDArray[Any], square: NDArray[Any]
) -> None:
    """Per unit: number of values, their sum and the sum of their squares, as int64 (exact) or float64."""
    np.add.at(count, unit, 1)
    np.add.at(total, unit, code)
    np.add.at(square, unit, code * code)
