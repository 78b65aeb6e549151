"""Tiny inputs for every kernel, in the types its callers use: what ``dissensus.warmup`` compiles with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXAMPLES"]

Arguments = tuple[Any, ...]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _rows(dtype: str) -> NDArray[Any]:
    return _frozen(np.full((2, 3, 4), 0.25, dtype))


def _nothing() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


def _utility() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield _rows(dtype), np.ones(2), 0, 3, np.empty(3, np.float32)


def _query() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield _rows(dtype), np.ones(2), 0, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1)


def _top_k() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield _frozen(np.zeros(3, dtype)), _nothing(), np.empty(1, np.int64)


def _votes() -> NDArray[np.uint8]:
    return _frozen(np.zeros((2, 3), np.uint8))


def _state(dtype: str) -> tuple[NDArray[Any], ...]:
    held = np.zeros((2, 4, 4), dtype)[:, :3]
    return np.zeros((3, 4), np.int32), np.zeros(3, np.uint16), np.zeros((1, 2), np.float32), held


def _share_replace() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield *_state(dtype), 0, _frozen(np.full((3, 4), 0.25, dtype)), False, 2.0**29, 0, 3


def _state_ceilings() -> Iterator[Arguments]:
    yield *_state("f4")[:3], 0, 3


def _state_utility() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield *_state(dtype), np.ones(2), 0, 0, 3, np.empty(3, np.float32)


def _state_top() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield *_state(dtype), np.ones(2), 0, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1)


#: Kernel name -> its argument lists, one for each combination of types that callers use.
EXAMPLES: dict[str, Callable[[], Iterator[Arguments]]] = {
    "consensus_entropy": _utility,
    "log_into": lambda: iter([(_frozen(np.ones(3, np.float32)), np.empty(3, np.float32))]),
    "margin": _utility,
    "mean_kl": _utility,
    "query_top": _query,
    "share_replace": _share_replace,
    "state_ceilings": _state_ceilings,
    "state_top": _state_top,
    "state_utility": _state_utility,
    "top_k": _top_k,
    "vote_entropy": lambda: iter([(_votes(), 4, 0, 3, np.empty(3, np.float32))]),
    "vote_top": lambda: iter([(_votes(), 4, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1))]),
}
