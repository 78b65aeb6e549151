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
    held = np.full((2, 4, 4), 0.25, dtype)[:, :3]
    return np.zeros((3, 4), np.int32), np.zeros(3, np.uint16), np.zeros((1, 2), np.float32), held


def _replace_share() -> Iterator[Arguments]:
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


def _log_mel() -> Iterator[Arguments]:
    band, level = np.array([[1, 0, 2]]), np.array([2.0, 1e-10, 0.0, 4.3, 0.0])
    signal, window, weight = np.zeros(1024, np.float32), np.ones(512), np.ones(2, np.float32)
    yield signal, 0, 256, _frozen(window), _frozen(band), _frozen(weight), _frozen(level), np.empty((2, 1), np.float32)


def _is13_spectral() -> Iterator[Arguments]:
    """At 16 kHz; another rate compiles once more where its transform has another length."""
    signal, places = np.zeros(960, np.float32), np.zeros(257, np.int64)
    yield signal, np.ones(320), np.zeros((257, 5)), places, 160, 0, 2, np.empty((2, 42), np.float32)


def _is13_auditory() -> Iterator[Arguments]:
    lld = np.zeros((2, 42), np.float32)
    yield lld, np.ones(26), np.zeros(6), np.zeros((14, 26)), 0, np.zeros((6, 26)), np.empty((2, 42), np.float32)


def _is13_candidates() -> Iterator[Arguments]:
    signal, out = np.zeros(1920, np.float32), np.empty((2, 15), np.float32)
    tables = np.ones((513, 3)), np.ones((513, 4)), np.zeros(513, np.int64), np.arange(15), np.ones(4)
    yield signal, np.ones(960), *tables, 160, 0, 2, out


def _is13_pitch_path() -> Iterator[Arguments]:
    candidates, back = np.zeros((4, 15), np.float32), np.zeros((4, 7), np.int8)
    yield candidates, np.ones(8), 30, 0, True, back, np.zeros(22), np.empty((4, 2), np.float32)


def _is13_periods() -> Iterator[Arguments]:
    signal, pitch = np.zeros(1920, np.float32), np.zeros(4, np.float32)
    yield signal, pitch, 16000.0, 160, 960, 0.25, 0, np.zeros(8), np.empty((4, 4), np.float32)


def _is13_contours() -> Iterator[Arguments]:
    yield np.zeros((4, 65), np.float32), 6, True, 0, 4, np.ones(1), np.empty((4, 130), np.float32)


def _is13_windows() -> Iterator[Arguments]:
    yield np.zeros((4, 130), np.float32), 2, 1, np.empty((3, 260), np.float32)


def _ratings() -> tuple[NDArray[Any], ...]:
    """Two tracks, three ratings by two listeners."""
    return np.array([0, 2, 3]), _frozen(np.array([0, 1, 1], np.uint32))


def _corated_sums() -> Iterator[Arguments]:
    start, one = np.array([0, 1, 2]), np.zeros(2, np.int64)
    theirs = start, np.zeros(2, np.int32), np.zeros(2, np.int32)
    yield (
        start,
        one,
        np.zeros(2, np.int32),
        *theirs,
        np.ones((2, 4)),
        np.ones((3, 4)),
        np.zeros((2, 3)),
        np.zeros((2, 3)),
    )


#: Kernel name -> its argument lists, one for each combination of types that callers use.
EXAMPLES: dict[str, Callable[[], Iterator[Arguments]]] = {
    "consensus_entropy": _utility,
    "corated_sums": _corated_sums,
    "couple_raters": lambda: iter([(*_ratings(), np.ones(2), np.ones((2, 4)), np.empty(4), np.zeros((2, 4)))]),
    "gather_sums": lambda: iter([(*_ratings(), np.ones((2, 4)), np.empty((2, 4)))]),
    "is13_auditory": _is13_auditory,
    "is13_candidates": _is13_candidates,
    "is13_contours": _is13_contours,
    "is13_periods": _is13_periods,
    "is13_pitch_path": _is13_pitch_path,
    "is13_spectral": _is13_spectral,
    "is13_windows": _is13_windows,
    "log_mel_frames": _log_mel,
    "log_into": lambda: iter([(_frozen(np.ones(3, np.float32)), np.empty(3, np.float32))]),
    "margin": _utility,
    "mean_kl": _utility,
    "query_top": _query,
    "replace_share": _replace_share,
    "scatter_sums": lambda: iter([(*_ratings(), np.ones((2, 4)), np.zeros((2, 4)))]),
    "state_ceilings": _state_ceilings,
    "state_top": _state_top,
    "state_utility": _state_utility,
    "top_k": _top_k,
    "vote_entropy": lambda: iter([(_votes(), 4, 0, 3, np.empty(3, np.float32))]),
    "vote_top": lambda: iter([(_votes(), 4, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1))]),
    "weighted_vote_entropy": lambda: iter([(_votes(), np.ones(2), 4, 0, 3, np.empty(3, np.float32))]),
    "weighted_vote_top": lambda: iter(
        [(_votes(), np.ones(2), 4, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1))]
    ),
}
