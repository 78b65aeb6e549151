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
