"""Walking through a sparse matrix of ratings, once."""

from __future__ import annotations

from typing import Any

from dissensus.kernels._jit import kernel


@kernel
def compact_ratings(ratings: Any, value: Any, unit: Any) -> int:
    """Write the ratings that are not NaN and their units, in order, into ``value`` and ``unit``; return how many there are.

    Whole runs of missing ratings are skipped by the sum of sixteen tests, so a nearly empty matrix is read at the speed of
    memory. ``value`` and ``unit`` need 16 places more than there are ratings.
    """
    n_raters, n_units = ratings.shape
    found = 0
    for r in range(n_raters):
        u = 0
        while u + 16 <= n_units:
            present = 0
            for j in range(16):
                present += ratings[r, u + j] == ratings[r, u + j]
            if present:
                for j in range(16):
                    x = ratings[r, u + j]
                    if x == x:
                        value[found] = x
                        unit[found] = u + j
                        found += 1
            u += 16
        while u < n_units:
            x = ratings[r, u]
            if x == x:
                value[found] = x
                unit[found] = u
                found += 1
            u += 1
    return found


@kernel(exact=True)
def pair_moments(code: Any, unit: Any, count: Any, total: Any, square: Any) -> None:
    """Per unit: number of values, their sum and the sum of their squares, as int64 (exact) or float64."""
    for i in range(len(code)):
        u = unit[i]
        x = code[i]
        count[u] += 1
        total[u] += x
        square[u] += x * x


@kernel(exact=True)
def count_ratings(ratings: Any, rows_are_units: Any, base: Any, table: Any, scratch: Any) -> bool:
    """Add every rating to ``table[unit, rating - base]``; False where one has no column there, and the table is of no use.

    Rows are raters and columns units, or the reverse; ``scratch`` is for the compiled twin.
    """
    n_rows, n_columns = ratings.shape
    width = table.shape[1]
    for r in range(n_rows):
        i = 0
        while i < n_columns:
            stop = min(i + 16, n_columns)
            given = 0
            for j in range(i, stop):
                given += ratings[r, j] == ratings[r, j]
            if given:
                for j in range(i, stop):
                    x = ratings[r, j]
                    if x == x:
                        if not (x >= base and x < base + width):
                            return False
                        code = int(x) - base
                        if code + base != x:
                            return False
                        table[r if rows_are_units else j, code] += 1
            i = stop
    return True


@kernel(exact=True)
def count_totals(table: Any, frequency: Any) -> int:
    """Add the rows of a table of counts that sum to 2 or more to ``frequency``; return the largest sum."""
    largest = 0
    for u in range(table.shape[0]):
        size = 0
        for k in range(table.shape[1]):
            size += table[u, k]
        largest = max(largest, size)
        if size >= 2:
            for k in range(table.shape[1]):
                frequency[k] += table[u, k]
    return largest


@kernel(exact=True)
def count_disagreement(table: Any, x: Any, low: Any, high: Any) -> None:
    """Add m Σ count x² − (Σ count x)² of every unit of m >= 2 ratings to place m: lower 32 bits to low, the rest to high."""
    for u in range(table.shape[0]):
        size = 0
        total = 0
        square = 0
        for k in range(table.shape[1]):
            weighted = table[u, k] * x[k]
            size += table[u, k]
            total += weighted
            square += weighted * x[k]
        if size >= 2:
            term = size * square - total * total
            low[size] += term & 0xFFFFFFFF
            high[size] += term >> 32
