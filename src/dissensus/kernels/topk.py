"""The best few of many: a heap whose root is the worst of the best, by score, then by position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel

__all__ = ["excluded", "finish", "offer", "offer_nan", "top_k"]

_CHUNK = 512


@kernel(exact=True)
def excluded(exclude: NDArray[np.int64], i: int) -> bool:
    """Whether the sorted ``exclude`` holds ``i``."""
    low, high = 0, exclude.size
    while low < high:
        middle = (low + high) >> 1
        if exclude[middle] < i:
            low = middle + 1
        else:
            high = middle
    return low < exclude.size and exclude[low] == i


@kernel(exact=True)
def _worse(score: NDArray[np.float64], index: NDArray[np.int64], a: int, b: int) -> bool:
    return score[a] < score[b] or (score[a] == score[b] and index[a] > index[b])  # type: ignore[no-any-return]


@kernel(exact=True)
def _swap(score: NDArray[np.float64], index: NDArray[np.int64], a: int, b: int) -> None:
    score[a], score[b] = score[b], score[a]
    index[a], index[b] = index[b], index[a]


@kernel(exact=True)
def _sink(score: NDArray[np.float64], index: NDArray[np.int64], at: int, size: int) -> None:
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and _worse(score, index, child + 1, child):
            child += 1
        if not _worse(score, index, child, at):
            return
        _swap(score, index, child, at)
        at = child


@kernel(exact=True)
def offer(score: NDArray[np.float64], index: NDArray[np.int64], held: NDArray[np.int64], value: float, i: int) -> None:
    """Take in ``(value, i)`` if it is among the best; ``held`` counts numbers (from the front) and NaN (from the back)."""
    size = held[0]
    if size < index.size:
        score[size] = value
        index[size] = i
        held[0] = size + 1
        held[1] = min(held[1], index.size - held[0])
        at = size
        while at > 0 and _worse(score, index, at, (at - 1) >> 1):
            _swap(score, index, at, (at - 1) >> 1)
            at = (at - 1) >> 1
    elif value > score[0] or (value == score[0] and i < index[0]):
        score[0] = value
        index[0] = i
        _sink(score, index, 0, size)


@kernel(exact=True)
def offer_nan(index: NDArray[np.int64], held: NDArray[np.int64], i: int) -> None:
    """Remember a NaN at the back of ``index`` while there is room for it."""
    if held[0] + held[1] < index.size:
        index[index.size - 1 - held[1]] = i
        held[1] += 1


@kernel(exact=True)
def finish(score: NDArray[np.float64], index: NDArray[np.int64], held: NDArray[np.int64]) -> int:
    """Sort what is held, best first, NaN after it; return how many there are."""
    size, missing = held[0], held[1]
    for i in range(missing // 2):
        low, high = index.size - missing + i, index.size - 1 - i
        index[low], index[high] = index[high], index[low]
    for i in range(missing):
        index[size + i] = index[index.size - missing + i]
        score[size + i] = np.nan
    for end in range(size - 1, 0, -1):
        _swap(score, index, 0, end)
        _sink(score, index, 0, end)
    return size + missing  # type: ignore[no-any-return]


@kernel(exact=True)
def top_k(utility: NDArray[Any], exclude: NDArray[np.int64], index: NDArray[np.int64]) -> int:
    """Write the positions of the best ``len(index)`` utilities, best first; return how many there are."""
    k = index.size
    if k == 0:
        return 0
    score = np.empty(k)
    held = np.zeros(2, np.int64)
    for start in range(0, utility.size, _CHUNK):
        stop = min(start + _CHUNK, utility.size)
        if held[0] == k:
            above = 0
            for i in range(start, stop):
                above += utility[i] > score[0]
            if above == 0:  # what ties with the worst comes later than it
                continue
        for i in range(start, stop):
            value = np.float64(utility[i])
            if value != value:
                if not excluded(exclude, i):
                    offer_nan(index, held, i)
            elif (held[0] < k or value > score[0]) and not excluded(exclude, i):
                offer(score, index, held, value, i)
    return finish(score, index, held)  # type: ignore[no-any-return]
