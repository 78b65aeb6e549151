"""Small inputs for every kernel, in the types its callers use: what ``dissensus.warmup`` compiles with."""

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


def _class_moments() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        out = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
        yield np.ones((4, 3), dtype), np.array([0, 1, 1, 0]), np.ones(4), *out


def _merge_moments() -> Iterator[Arguments]:
    for mean in (np.ones((2, 3)), np.ones((4, 3))[::2]):
        yield np.ones((2, 2)), np.ones((2, 2, 3)), np.ones((2, 2, 3)), np.ones(2), mean, np.ones((2, 3))


def _logistic_sgd() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        weights = [np.zeros(shape, dtype) for shape in ((2, 3), 2, (2, 3), 2)]
        yield np.ones((4, 3), dtype), np.zeros((4, 2), dtype), np.ones(4), np.arange(4), *weights, 1e-4, 0.1, 0, 0


def _project_rows() -> Iterator[Arguments]:
    yield np.ones((2, 3), np.float32), np.arange(2), np.ones((1, 3, 32), np.float32), np.empty((32, 2), np.float32)


def _anchored_descent() -> Iterator[Arguments]:
    """One model of 32 weights, 32 known rows and 32 answers."""
    known = np.ones((1, 32, 32), np.float32)
    start, target, told = (np.zeros(shape, np.float32) for shape in ((1, 32), (1, 32), (33, 32)))
    weight, penalty = np.ones(32, np.float32), np.ones(32, np.float32)
    work = np.empty(64 + 3 * 32 + 32 * 32 + 32 * (2 * 32 + 4 + 7) + 4 * 32, np.float32)
    settings = 4, 0, 2, 1e-6
    yield (
        known, known, start, target, weight, told, np.zeros(32, np.int64), weight, np.zeros((1, 32, 32)), penalty,
        *settings, work, np.empty((32, 32)), np.empty((1, 32), np.float32),
    )  # fmt: skip


def _standardise() -> Iterator[Arguments]:
    for X in (np.ones((2, 3), np.float32), _frozen(np.ones((2, 3), np.float32)), np.ones((2, 3))):
        yield X, np.zeros(3), np.ones(3), np.empty((2, 3), np.float32)


def _one_tile() -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Two windows of one track, in one panel: the tracks' starts, the tiles, the first and the last one."""
    return np.array([0, 2]), np.array([[0, 2, 0, 1, 0]]), 0, 1


def _lay_panels() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield np.ones((2, 3), dtype), np.zeros(3), np.ones(3), *_one_tile(), np.empty((1, 3, 32), np.float32)


def _panel_scores() -> Iterator[Arguments]:
    panels, weights = np.ones((1, 3, 32), np.float32), np.ones((2, 3), np.float32)
    for quadratic in (weights, weights[:0]):
        yield panels, 0, 1, weights, quadratic, np.arange(2), np.empty((1, 2, 32), np.float32)


def _panel_votes() -> Iterator[Arguments]:
    """One naive Bayes and one logistic member, two classes, one direction of the small space."""
    panels, weights = np.ones((1, 3, 32), np.float32), np.ones((1, 3), np.float32)
    bent, straight, small = (np.ones((1, rows, 32), np.float32) for rows in (1, 2, 1))
    start, tiles, begin, end = _one_tile()
    yield (
        panels, weights, weights, np.zeros(1, np.int64), bent, straight, small, np.ones((2, 1), np.float32), start, tiles,
        begin, end, np.zeros((2, 2), np.float32), 1, np.empty((16, 256), np.float32), np.zeros((2, 1, 2)),
    )  # fmt: skip


def _tile_votes() -> Iterator[Arguments]:
    weights = np.ones((1, 3), np.float32), np.ones((1, 3), np.float32), np.ones((2, 3), np.float32)
    for dtype in ("f4", "f8"):
        scratch = (np.empty((8, rows, 32), np.float32) for rows in (3, 3))
        yield (
            np.ones((2, 3), dtype), np.zeros(3), np.ones(3), *_one_tile(), *weights, np.zeros((2, 2), np.float32), 1,
            *scratch, np.empty((16, 256), np.float32), np.zeros((2, 1, 2)),
        )  # fmt: skip


def _grow_trees() -> Iterator[Arguments]:
    """One tree of one question, four rows of one feature in two bins, two classes."""
    bins, target = np.array([[0], [1], [0], [1]], np.uint8), np.array([[1.0, 0.0], [0.0, 1.0]] * 2)
    out = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64), np.zeros((1, 2, 2))
    work = np.zeros(4, np.int64), np.zeros((4, 4)), np.zeros((2, 2, 4))
    settings = np.array([0.3, 1.0, 0.0])
    yield bins, np.array([2]), np.array([[0]]), target, np.ones(4), np.zeros((4, 2)), settings, *out, *work


def _predict_trees() -> Iterator[Arguments]:
    for X in (np.ones((2, 3), np.float32), _frozen(np.ones((2, 3), np.float32))):
        tree = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32), np.ones((1, 2, 2), np.float32)
        yield X, *tree, np.zeros((2, 2), np.float32)


def _count_ratings() -> Iterator[Arguments]:
    for dtype in ("f4", "f8"):
        yield np.ones((2, 3), dtype), True, 0, np.zeros((2, 8), np.int32), np.zeros(3, np.uint64)


def _compact_ratings() -> Iterator[Arguments]:
    yield np.ones((2, 3)), np.empty(22), np.empty(22, np.int32)


def _count_totals() -> Iterator[Arguments]:
    yield np.ones((2, 8), np.int32), np.zeros(8, np.int64)


def _count_disagreement() -> Iterator[Arguments]:
    yield np.ones((2, 8), np.int32), np.arange(8), np.zeros(9, np.int64), np.zeros(9, np.int64)


def _pair_moments() -> Iterator[Arguments]:
    for dtype in ("i8", "f8"):
        sums = np.zeros(2, np.int64), np.zeros(2, dtype), np.zeros(2, dtype)
        yield np.ones(3, dtype), np.array([0, 1, 1], np.int32), *sums


def _summary_frames() -> Iterator[Arguments]:
    """At 16 kHz; another rate compiles once more where its transform has another length."""
    bands, channels = np.array([2, 4, 8, 16, 32, 64, 128, 257]), np.linspace(2, 257, 42).astype(np.int64)
    signal, bins = np.sin(np.arange(1024, dtype=np.float32)), np.ones((2, 257), np.float32)
    yield signal, np.hanning(512), bins, bands, channels, 256, 0, 2, np.empty((2, 16), np.float32)


def _summary_chroma() -> Iterator[Arguments]:
    signal, classes = np.sin(np.arange(8192, dtype=np.float32)), np.ones((100, 12), np.float32)
    yield signal, np.hanning(4096), classes, 13, 2048, 0, 2, np.empty((2, 14), np.float32)


def _summary_windows() -> Iterator[Arguments]:
    frames, chroma = np.ones((4, 16), np.float32), np.ones((4, 14), np.float32)
    spans, profiles = np.array([[0, 4, 0, 4, 0, 4, 0, 4]]), np.zeros((24, 12))
    yield frames, chroma, spans, 62.5, 31.25, profiles, np.empty((1, 29), np.float32)


#: Kernel name -> its argument lists, one for each combination of types that callers use.
EXAMPLES: dict[str, Callable[[], Iterator[Arguments]]] = {
    "anchored_descent": _anchored_descent,
    "class_moments": _class_moments,
    "compact_ratings": _compact_ratings,
    "consensus_entropy": _utility,
    "corated_sums": _corated_sums,
    "couple_raters": lambda: iter([(*_ratings(), np.ones(2), np.ones((2, 4)), np.empty(4), np.zeros((2, 4)))]),
    "gather_sums": lambda: iter([(*_ratings(), np.ones((2, 4)), np.empty((2, 4)))]),
    "count_disagreement": _count_disagreement,
    "count_ratings": _count_ratings,
    "count_totals": _count_totals,
    "grow_trees": _grow_trees,
    "is13_auditory": _is13_auditory,
    "is13_candidates": _is13_candidates,
    "is13_contours": _is13_contours,
    "is13_periods": _is13_periods,
    "is13_pitch_path": _is13_pitch_path,
    "is13_spectral": _is13_spectral,
    "is13_windows": _is13_windows,
    "lay_panels": _lay_panels,
    "log_into": lambda: iter([(_frozen(np.ones(3, np.float32)), np.empty(3, np.float32))]),
    "log_mel_frames": _log_mel,
    "logistic_sgd": _logistic_sgd,
    "margin": _utility,
    "mean_kl": _utility,
    "merge_moments": _merge_moments,
    "pair_moments": _pair_moments,
    "panel_scores": _panel_scores,
    "panel_votes": _panel_votes,
    "predict_trees": _predict_trees,
    "project_rows": _project_rows,
    "query_top": _query,
    "replace_share": _replace_share,
    "scatter_sums": lambda: iter([(*_ratings(), np.ones((2, 4)), np.zeros((2, 4)))]),
    "standardise": _standardise,
    "state_ceilings": _state_ceilings,
    "state_top": _state_top,
    "state_utility": _state_utility,
    "summary_chroma": _summary_chroma,
    "summary_frames": _summary_frames,
    "summary_windows": _summary_windows,
    "tile_votes": _tile_votes,
    "top_k": _top_k,
    "vote_entropy": lambda: iter([(_votes(), 4, 0, 3, np.empty(3, np.float32))]),
    "vote_top": lambda: iter([(_votes(), 4, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1))]),
    "weighted_vote_entropy": lambda: iter([(_votes(), np.ones(2), 4, 0, 3, np.empty(3, np.float32))]),
    "weighted_vote_top": lambda: iter(
        [(_votes(), np.ones(2), 4, _nothing(), 0, 3, np.empty(1, np.int64), np.empty(1))]
    ),
}
