"""From a sparse matrix of ratings to what alpha is made of: how often every unit was rated how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._threads import run_blocks
from dissensus.errors import ParameterError

__all__ = ["Cells", "Counts", "count_ratings", "distinct"]

#: With more distinct values than this, ratings stay a list.
MOST_COLUMNS = 64

#: Ratings that are converted at a time where the matrix cannot be read as it lies.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Counts:
    """Few distinct values: a table of how often each was given to each unit, (n_units, n_values) int32."""

    values: NDArray[np.float64]
    table: NDArray[np.int32]


@dataclass(frozen=True)
class Cells:
    """Many distinct values: unit and value of every rating of the units with two or more; ``code`` numbers the values."""

    values: NDArray[np.float64]
    code: NDArray[np.int64]
    unit: NDArray[np.int32]
    frequency: NDArray[np.int64]
    n_units: int


def count_ratings(ratings: ArrayLike, *, backend: str = "auto", n_threads: int = 1) -> Counts | Cells:
    """Read a matrix of ratings once, in the order in which it lies in memory, without a copy of its size.

    Parameters
    ----------
    ratings : (n_raters, n_units) array_like of float
        NaN where a rating is missing. Whole numbers within 16 consecutive ones, as rating scales have, are counted on the
        way; all others are gathered first.
    backend : {"auto", "native", "numba", "reference"}
    n_threads : int

    Raises
    ------
    ParameterError
        Another rank, values that are not numbers, infinite ratings.
    """
    array = np.asarray(ratings)
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"ratings must hold real numbers; got dtype {array.dtype}")
    if array.ndim != 2:
        raise ParameterError(
            f"ratings must be (n_raters, n_units), NaN where a rating is missing; got shape {array.shape}"
        )
    by_unit = array.flags.f_contiguous and not array.flags.c_contiguous
    rows = array.T if by_unit else array
    sample = np.asarray(rows[: 1 + 16384 // max(rows.shape[1], 1)], dtype=np.float64).reshape(-1)[:16384]
    scale = _scale([sample]) or _scale(_blocks(rows))
    if scale is not None:
        table = _count(rows, by_unit, *scale, backend, n_threads)
        if table is None and (wider := _scale(_blocks(rows))) is not None:
            scale = wider
            table = _count(rows, by_unit, *scale, backend, n_threads)
        if table is not None:
            return Counts(np.arange(scale[0], scale[0] + scale[1], dtype=np.float64), table)
    value, unit = _gather(rows, by_unit, backend)
    return _sorted_out(value, unit, array.shape[1])


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """The matrix as float64, some rows at a time; float64 that lies row after row is not copied."""
    step = max(1, _BLOCK // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step], dtype=np.float64)


def _scale(blocks: Any) -> tuple[int, int] | None:
    """First of 8 or 16 consecutive whole numbers that hold all ratings, and which of the two; None where none do."""
    low, high = np.inf, -np.inf
    for block in blocks:
        given = block[block == block]
        if not len(given):
            continue
        low, high = min(low, given.min()), max(high, given.max())
        if not (abs(low) < 2**31 and high - low < 16 and (given == np.floor(given)).all()):
            return None
    if low > high:
        return None
    span = int(high - low) + 1
    width = 8 if span <= 8 else 16
    return int(low) - (width - span) // 2, width  # room on both sides: the ratings may be a sample


def _count(
    rows: NDArray[Any], by_unit: bool, base: int, width: int, backend: str, n_threads: int
) -> NDArray[np.int32] | None:
    """Table of counts, or None where a rating lies off the scale."""
    n_rows, n_columns = rows.shape
    table = np.zeros((n_rows if by_unit else n_columns, width), dtype=np.int32)
    kernel = resolve("count_ratings", backend)
    as_it_lies = rows.flags.c_contiguous and (rows.dtype == np.float64 or rows.dtype == np.float32)
    step = n_rows if as_it_lies else max(1, _BLOCK // max(n_columns, 1))
    lock = Lock()
    off: list[int] = []

    def task(start: int, stop: int) -> None:
        own = table[start:stop] if by_unit else table if stop - start == n_rows else np.zeros_like(table)
        scratch = np.empty(0 if by_unit else n_columns * width // 8, dtype=np.uint64)
        for a in range(start, stop, step):
            b = min(a + step, stop)
            block = rows[a:b] if as_it_lies else np.ascontiguousarray(rows[a:b], dtype=np.float64)
            if not kernel(block, by_unit, base, own[a - start : b - start] if by_unit else own, scratch):
                off.append(a)
                return
        if not by_unit and own is not table:
            with lock:
                np.add(table, own, out=table)

    run_blocks(task, n_rows, n_threads=n_threads, block_size=max(1, -(-n_rows // n_threads)))
    return None if off else table


def _gather(rows: NDArray[Any], by_unit: bool, backend: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Value and unit of every rating."""
    kernel = resolve("compact_ratings", backend)
    values: list[NDArray[np.float64]] = []
    units: list[NDArray[np.int32]] = []
    value, unit, start = np.empty(0), np.empty(0, dtype=np.int32), 0
    for block in _blocks(rows):
        if len(value) < block.size + 16:
            value, unit = np.empty(block.size + 16), np.empty(block.size + 16, dtype=np.int32)
        n = int(kernel(np.ascontiguousarray(block.T) if by_unit else block, value, unit))
        values.append(value[:n].copy())
        units.append(unit[:n] + np.int32(start if by_unit else 0))
        start += len(block)
    if not values:
        return np.empty(0), np.empty(0, dtype=np.int32)
    found = np.concatenate(values)
    if len(found) and not np.isfinite(found.sum()) and not np.isfinite(found).all():
        raise ParameterError("ratings hold infinity; use NaN for a missing rating")
    return found, np.concatenate(units)


def _sorted_out(value: NDArray[np.float64], unit: NDArray[np.int32], n_units: int) -> Counts | Cells:
    keep = np.bincount(unit, minlength=n_units)[unit] >= 2
    if not keep.all():
        value, unit = value[keep], unit[keep]
    values, code, frequency = distinct(value)
    if len(values) <= MOST_COLUMNS:
        at = unit.astype(np.int64) * len(values) + code
        table = np.bincount(at, minlength=n_units * len(values)).astype(np.int32)
        return Counts(values, table.reshape(n_units, len(values)))
    return Cells(values, code, unit, frequency, n_units)


def distinct(value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct values in order, the number of each rating's value, and how often each occurs; no sort for small integers."""
    if len(value):
        low = value.min()
        code = (value - low).astype(np.int64)
        if code.max() < 4096 and (code == value - low).all():
            count = np.bincount(code)
            used = np.flatnonzero(count)
            number = np.zeros(len(count), dtype=np.int64)
            number[used] = np.arange(len(used))
            return low + used, number[code], count[used]
    values, inverse, counts = np.unique(value, return_inverse=True, return_counts=True)
    return values, inverse.reshape(-1), counts
