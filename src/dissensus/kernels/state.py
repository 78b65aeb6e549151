"""The running mean of a committee in whole numbers: sums that do not depend on the order in which shares are replaced."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel
from dissensus.kernels.entropy import ENTROPY, entropy_block, margin_block, score_track, slack
from dissensus.kernels.topk import excluded, finish, offer, offer_nan

__all__ = ["replace_share", "state_ceilings", "state_top", "state_utility"]

_FLOATS = 4096
_SHARED = 256  # tracks that share a ceiling
_UNIT = 2.0**30
_ZERO = np.float32(0.0)
_MOST = np.float32(1.5)
_HALF = np.float32(0.5)


@kernel(exact=True)
def _share(p: Any, factor: Any) -> Any:
    fit = p if p >= _ZERO and p <= _MOST else _ZERO
    return np.int32(fit * factor + _HALF)


@kernel(exact=True)
def _odd(rows: NDArray[Any], i: int) -> bool:
    for c in range(rows.shape[1]):
        p = np.float32(rows[i, c])
        if not (p >= _ZERO and p <= _MOST):
            return True
    return False


@kernel(exact=True)
def _most(total: NDArray[np.int32], odd: NDArray[np.uint16], low: int, high: int) -> tuple[float, float]:
    """The most that tracks ``low:high`` can score, by entropy and by margin; infinity if one must be looked at.

    With ``y = C p / sum`` and ``d = y - 1``, ``y log y >= d + d**2 / 2 - d**3 / 6`` and ``y log y >= d``; the ``d`` add up
    to nothing, so no logarithm is needed. In float64: what rounding adds is far below what a query leaves as room.
    """
    n_classes = total.shape[1]
    spread, lead = np.inf, np.inf
    for i in range(low, high):
        sum_ = 0.0
        for c in range(n_classes):
            sum_ += total[i, c]
        if odd[i] > 0 or not sum_ > _UNIT / 32.0:
            return np.inf, np.inf
        wide, first, second = 0.0, 0.0, 0.0
        for c in range(n_classes):
            y = total[i, c] / sum_
            d = n_classes * y - 1.0
            wide += d * d * max(3.0 - d, 0.0)
            second = max(second, min(first, y))
            first = max(first, y)
        spread = min(spread, wide)
        lead = min(lead, first - second)
    return math.log(n_classes) - spread / (6.0 * n_classes) + 1e-6, 1.0 - lead + 1e-6


@kernel(exact=True)
def state_ceilings(
    total: NDArray[np.int32], odd: NDArray[np.uint16], ceiling: NDArray[np.float32], start: int, stop: int
) -> None:
    """Write what the tracks ``start:stop`` can score at most, and those that share a ceiling with them."""
    for block in range(start // _SHARED, (stop + _SHARED - 1) // _SHARED):
        entropy, margin = _most(total, odd, block * _SHARED, min((block + 1) * _SHARED, odd.size))
        ceiling[block, 0] = entropy
        ceiling[block, 1] = margin


@kernel(exact=True)
def replace_share(
    total: NDArray[np.int32],
    odd: NDArray[np.uint16],
    ceiling: NDArray[np.float32],
    held: NDArray[Any],
    member: int,
    rows: NDArray[Any],
    first: bool,
    factor: float,
    start: int,
    stop: int,
) -> None:
    """Replace a member's rows of ``start:stop`` in ``held``, and its share of the totals.

    ``first``: it had none, and the ceilings are to be written by ``state_ceilings`` when all members are there.
    """
    small = np.float32(factor)
    before = held[member]
    for i in range(start, stop):
        if not first and odd[i] > 0 and _odd(before, i):
            odd[i] -= np.uint16(1)
        strange = False
        for c in range(rows.shape[1]):
            p = np.float32(rows[i, c])
            strange |= not (p >= _ZERO and p <= _MOST)
            less = np.int32(0) if first else _share(np.float32(before[i, c]), small)
            total[i, c] += _share(p, small) - less
            before[i, c] = rows[i, c]
        if strange:
            odd[i] += np.uint16(1)
    if not first and stop > start:
        for block in range(start // _SHARED, (stop + _SHARED - 1) // _SHARED):
            low, high = max(start, block * _SHARED), min(stop, (block + 1) * _SHARED)
            entropy, margin = _most(total, odd, low, high)
            # of a block in part, what its other tracks come to stays as it was
            whole = high - low == _SHARED or (high == odd.size and low == block * _SHARED)
            ceiling[block, 0] = entropy if whole else max(entropy, ceiling[block, 0])
            ceiling[block, 1] = margin if whole else max(margin, ceiling[block, 1])


@kernel(exact=True)
def _block(
    total: NDArray[np.int32],
    odd: NDArray[np.uint16],
    held: NDArray[Any],
    weight: NDArray[np.float64],
    measure: int,
    low: int,
    high: int,
    mean: NDArray[np.float32],
    exact: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    n_classes = total.shape[1]
    flat = total.reshape(total.size)
    unit = np.float32(1.0 / _UNIT)
    offset = low * n_classes
    for j in range((high - low) * n_classes):
        mean[j] = np.float32(flat[offset + j]) * unit
    if measure == ENTROPY:
        entropy_block(mean, high - low, n_classes, out)
    else:
        margin_block(mean, high - low, n_classes, out)
    for i in range(high - low):
        if odd[low + i] > 0 or not out[i] < np.inf:
            out[i] = np.float32(score_track(measure, held, weight, low + i, exact))


@kernel(exact=True)
def state_utility(
    total: NDArray[np.int32],
    odd: NDArray[np.uint16],
    ceiling: NDArray[np.float32],
    held: NDArray[Any],
    weight: NDArray[np.float64],
    measure: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Write the utility of the members' mean into ``out[start:stop]``."""
    n_classes = total.shape[1]
    size = max(1, _FLOATS // n_classes)
    mean, exact = np.empty(size * n_classes, np.float32), np.empty(n_classes)
    for low in range(start, stop, size):
        high = min(low + size, stop)
        _block(total, odd, held, weight, measure, low, high, mean, exact, out[low:high])


@kernel(exact=True)
def state_top(
    total: NDArray[np.int32],
    odd: NDArray[np.uint16],
    ceiling: NDArray[np.float32],
    held: NDArray[Any],
    weight: NDArray[np.float64],
    measure: int,
    exclude: NDArray[np.int64],
    start: int,
    stop: int,
    index: NDArray[np.int64],
    score: NDArray[np.float64],
) -> int:
    """As ``query_top``, on the running mean."""
    n_members, n_classes, k = held.shape[0], total.shape[1], index.size
    if k == 0:
        return 0
    size = max(1, _FLOATS // n_classes)
    mean, exact = np.empty(size * n_classes, np.float32), np.empty(n_classes)
    utility = np.empty(size, np.float32)
    held_count = np.zeros(2, np.int64)
    rounding = n_members / (2.0 * _UNIT)
    near = slack(n_members, n_classes) + 4.0 * n_classes * rounding * (1.0 - math.log(rounding))
    size = min(size, _SHARED)
    which = 0 if measure == ENTROPY else 1
    low = start
    while low < stop:
        block = low // _SHARED
        end = min((block + 1) * _SHARED, stop)
        if held_count[0] == k and ceiling[block, which] < score[0] - near:
            low = end
            continue
        high = min(low + size, end)
        _block(total, odd, held, weight, measure, low, high, mean, exact, utility)
        for i in range(high - low):
            if held_count[0] < k or utility[i] >= score[0] - near:
                if excluded(exclude, low + i):
                    continue
                value = score_track(measure, held, weight, low + i, exact)
                if value != value:
                    offer_nan(index, held_count, low + i)
                else:
                    offer(score, index, held_count, value, low + i)
        low = high
    return finish(score, index, held_count)  # type: ignore[no-any-return]
