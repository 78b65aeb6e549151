"""Reference twins of the ratings kernels."""

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


def count_ratings(
    ratings: NDArray[Any], rows_are_units: bool, base: int, table: NDArray[Any], scratch: NDArray[Any]
) -> bool:
    """Add every rating to ``table[unit, rating - base]``; False where one has no column there, and the table is of no use."""
    row, column = np.nonzero(~np.isnan(ratings))
    value = ratings[row, column].astype(np.float64)
    code = value - base
    if not ((value == np.floor(value)) & (code >= 0) & (code < table.shape[1])).all():
        return False
    np.add.at(table, (row if rows_are_units else column, code.astype(np.int64)), 1)
    return True


def count_totals(table: NDArray[Any], frequency: NDArray[Any]) -> int:
    """Add the rows of a table of counts that sum to 2 or more to ``frequency``; return the largest sum."""
    size = table.sum(axis=1, dtype=np.int64)
    frequency += table[size >= 2].sum(axis=0, dtype=np.int64)
    return int(size.max(initial=0))


def count_disagreement(table: NDArray[Any], x: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> None:
    """Add m Σ count x² − (Σ count x)² of every unit of m >= 2 ratings to place m: lower 32 bits to low, the rest to high."""
    count = table.astype(np.int64)
    size = count.sum(axis=1)
    term = (size * (count @ (x * x)) - (count @ x) ** 2)[size >= 2]
    np.add.at(low, size[size >= 2], term & 0xFFFFFFFF)
    np.add.at(high, size[size >= 2], term >> 32)
