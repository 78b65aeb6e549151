"""Linear members' kernels: every twin against the reference, with windows in lanes and tracks longer than a tile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from dissensus._backend import resolve
from dissensus.committee.linear_votes import LANES, TILE, Stack, add_votes, count_panels, scratch, tile_tracks

Twin = Callable[..., Callable[..., Any]]


def windows(n_features: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raw features far from zero, where each track begins, and its tiles."""
    rng = np.random.default_rng(n_features)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    X = rng.normal(size=(start[-1], n_features)) * 3 + 20
    return X, start, tile_tracks(start)


def stack(n_classes: int, n_features: int, *, skip: bool) -> Stack:
    """Two softmax members, less their first class or whole, and three sigmoid members."""
    rng = np.random.default_rng(n_classes)
    shape = (2 * (n_classes - skip), n_features)
    return Stack(
        np.arange(5),
        2,
        rng.normal(size=(5, n_classes)).astype(np.float32),
        (rng.normal(size=shape) / n_features**0.5).astype(np.float32),
        (rng.normal(size=shape) / n_features).astype(np.float32),
        (rng.normal(size=(3 * n_classes, n_features)) / n_features**0.5).astype(np.float32),
    )


def tile_sums(
    kernel: Callable[..., int], members: Stack, X: np.ndarray, scaling: tuple[Any, Any], start: np.ndarray
) -> np.ndarray:
    """What ``tile_votes`` adds up for all tiles."""
    tiles, n_scores = tile_tracks(start), len(members.bent) + len(members.straight)
    sums = np.zeros((5, len(start) - 1, members.offset.shape[1]))
    panels, held = (np.empty((TILE // LANES, n, LANES), np.float32) for n in (X.shape[1], n_scores))
    bad = kernel(
        X, *scaling, start, tiles, 0, len(tiles), members.bent, members.bend, members.straight, members.offset,
        members.n_softmax, panels, held, scratch(members), sums,
    )  # fmt: skip
    assert bad == -1
    return sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_classes", "n_features"), [(2, 1), (3, 21), (4, 5), (4, 70), (7, 16)])
def test_votes_equal_the_reference(twin: Twin, n_classes: int, n_features: int, dtype: Any) -> None:
    lengths = [3, 1, 40, TILE + 9]
    X, start, _ = windows(n_features, lengths)
    X = X.astype(dtype)
    scaling = X.mean(axis=0, dtype=np.float64), 1 / X.std(axis=0, dtype=np.float64)
    members = stack(n_classes, n_features, skip=True)
    sums = tile_sums(twin("tile_votes"), members, X, scaling, start)
    expected = tile_sums(resolve("tile_votes", "reference"), members, X, scaling, start)
    np.testing.assert_allclose(sums / np.array(lengths)[:, None], expected / np.array(lengths)[:, None], atol=2e-6)
    np.testing.assert_allclose(sums.sum(axis=2), np.tile(lengths, (5, 1)), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4, 7])
def test_held_votes_equal_the_reference(twin: Twin, n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    X, start, tiles = windows(21, [30, 7, 1, 2 * TILE + 40])
    X = (X - 20) / 3
    members = stack(n_classes, 21, skip=False)
    move = (rng.normal(size=(3 * n_classes, 5)) * 0.1).astype(np.float32)
    axes = np.eye(21, dtype=np.float32)[:5]
    reference: Twin = partial(resolve, backend="reference")
    results = []
    for named in (twin, reference):
        panels = np.full((count_panels(tiles), 21, LANES), np.nan, dtype=np.float32)
        assert named("lay_panels")(X, np.zeros(21), np.ones(21), start, tiles, 0, len(tiles), panels) == -1
        n_bent, n_straight = len(members.bent), len(members.straight)
        bent, straight, small = (np.zeros((len(panels), n, LANES), np.float32) for n in (n_bent, n_straight, 5))
        hold, column = named("panel_scores"), rng.permutation(n_bent)
        before, after = column[: n_bent // 2], column[n_bent // 2 :]
        hold(panels, 0, len(panels), members.bent[before], members.bend[before], before, bent)
        hold(panels, 0, len(panels), members.straight, members.straight[:0], np.arange(n_straight), straight)
        hold(panels, 0, len(panels), axes, axes[:0], np.arange(5), small)
        sums = np.zeros((5, 4, n_classes))
        named("panel_votes")(
            panels, members.bent[after], members.bend[after], after, bent, straight, small, move, start, tiles, 0, len(tiles),
            members.offset, 2, scratch(members), sums,
        )  # fmt: skip
        results.append((panels, bent, straight, small, sums))
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-5, rtol=1e-5)


def test_a_score_is_the_same_whatever_is_asked_beside_it(twin: Twin) -> None:
    rng = np.random.default_rng(0)
    panels = rng.normal(size=(2, 70, LANES)).astype(np.float32)
    linear, bend = (rng.normal(size=(13, 70)).astype(np.float32) for _ in range(2))
    hold = twin("panel_scores")
    whole, alone = np.zeros((2, 13, LANES), np.float32), np.zeros((2, 13, LANES), np.float32)
    hold(panels, 0, 2, linear, bend, np.arange(13), whole)
    for k in range(13):
        hold(panels, 0, 2, linear[k : k + 1], bend[k : k + 1], np.array([k]), alone)
    np.testing.assert_array_equal(whole, alone)
    hold(np.roll(panels, 5, axis=2), 0, 2, linear, bend, np.arange(13), alone)
    np.testing.assert_array_equal(np.roll(whole, 5, axis=2), alone)


def test_votes_of_a_track_do_not_depend_on_its_neighbours(twin: Twin) -> None:
    X, start, _ = windows(6, [13, 50, 9, TILE + 3])
    scaling = np.full(6, 20.0), np.full(6, 0.3)
    members = stack(4, 6, skip=True)
    together = tile_sums(twin("tile_votes"), members, X, scaling, start)
    for i in range(4):
        rows = X[start[i] : start[i + 1]].copy()
        alone = tile_sums(twin("tile_votes"), members, rows, scaling, np.array([0, len(rows)]))
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_laying_standardises_and_finds_the_first_row_that_is_not_finite(twin: Twin, dtype: Any, scale: float) -> None:
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(75, 19)) * scale + 1000.0).astype(dtype)
    mean, inverse = X.mean(axis=0, dtype=np.float64), 1 / X.std(axis=0, dtype=np.float64)
    start = np.array([0, 40, 75])
    tiles = tile_tracks(start)
    lay, panels = twin("lay_panels"), np.full((count_panels(tiles), 19, LANES), np.nan, dtype=np.float32)
    assert lay(X, mean, inverse, start, tiles, 0, 1, panels) == -1
    laid = panels.transpose(0, 2, 1).reshape(-1, 19)
    np.testing.assert_allclose(laid[:75], (X - mean) * inverse, rtol=1e-6, atol=1e-6)
    assert not laid[75:].any()
    for value, column in ((np.nan, 0), (np.inf, 16), (-np.inf, 18)):
        bad = X.copy()
        bad[69, 0] = bad[41, column] = value
        assert lay(bad, mean, inverse, start, tiles, 0, 1, panels) == 41


def test_scales_beyond_float32_are_standardised_in_float64(twin: Twin) -> None:
    X = np.array([[1e-42, 1.0], [3e-42, 3.0]], dtype=np.float32)
    start, panels = np.array([0, 2]), np.zeros((1, 2, LANES), dtype=np.float32)
    mean, inverse = np.array([2e-42, 2.0]), np.array([1e42, 1.0])
    assert twin("lay_panels")(X, mean, inverse, start, tile_tracks(start), 0, 1, panels) == -1
    np.testing.assert_allclose(panels[0, :, :2], [[-1, 1], [-1, 1]], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardise_finds_the_first_row_that_is_not_finite(dtype: Any) -> None:
    X = np.random.default_rng(0).normal(size=(9, 5)).astype(dtype)
    mean, inverse = X.mean(axis=0, dtype=np.float64), np.full(5, 0.5)
    out = {backend: np.empty((9, 5), dtype=np.float32) for backend in ("numba", "reference")}
    for backend, target in out.items():
        assert resolve("standardise", backend)(X, mean, inverse, target) == -1
    np.testing.assert_allclose(out["numba"], out["reference"], rtol=1e-6, atol=1e-7)
    for value in (np.nan, np.inf, -np.inf):
        bad = X.copy()
        bad[7, 0] = bad[4, 3] = value
        for backend, target in out.items():
            with np.errstate(invalid="ignore"):
                assert resolve("standardise", backend)(bad, mean, inverse, target) == 4


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_exponentials_hold_far_out(twin: Twin, scale: float) -> None:
    """Scores of any size: probabilities are finite, in [0, 1], and right to 1e-5."""
    X, start, _ = windows(4, [1] * 40)
    members = stack(4, 4, skip=True)
    members = members._replace(bent=members.bent * np.float32(scale), straight=members.straight * np.float32(scale))
    scaling = np.full(4, 20.0), np.full(4, 1 / 3)
    sums = tile_sums(twin("tile_votes"), members, X, scaling, start)
    assert np.isfinite(sums).all()
    assert sums.min() >= 0
    np.testing.assert_allclose(sums.sum(axis=2), 1, atol=1e-5)
    if scale < 100:
        expected = tile_sums(resolve("tile_votes", "reference"), members, X, scaling, start)
        np.testing.assert_allclose(sums, expected, atol=1e-5)


def test_compiled_kernels_refuse_arrays_that_do_not_fit() -> None:
    pytest.importorskip("dissensus._native")
    X, mean, start = np.zeros((4, 3), np.float32), np.zeros(3), np.array([0, 4])
    tiles, panels = tile_tracks(start), np.zeros((1, 3, LANES), np.float32)
    lay, hold = resolve("lay_panels", "native"), resolve("panel_scores", "native")
    beyond = tiles.copy()
    beyond[0, 1] = 5
    with pytest.raises(ValueError, match="beyond the windows"):
        lay(X, mean, mean, start, beyond, 0, 1, panels)
    beyond[0, 1], beyond[0, 4] = 4, 1
    with pytest.raises(ValueError, match="beyond the panels"):
        lay(X, mean, mean, start, beyond, 0, 1, panels)
    with pytest.raises(ValueError, match="as many features"):
        lay(X, mean[:2], mean, start, tiles, 0, 1, panels)
    with pytest.raises(ValueError, match="column is not in out"):
        hold(panels, 0, 1, X[:1], X[:0], np.array([2]), np.zeros((1, 2, LANES), np.float32))
    with pytest.raises(ValueError, match="fewer panels"):
        hold(panels, 0, 2, X[:1], X[:0], np.array([0]), np.zeros((1, 2, LANES), np.float32))


def test_the_first_window_that_is_not_finite_is_named() -> None:
    X, start, tiles = windows(5, [40, 300])
    X[311, 2] = np.inf
    members = stack(4, 5, skip=True)
    for backend in ("auto", "reference"):
        sums = np.zeros((5, 2, 4))
        assert add_votes(members, X, np.zeros(5), np.ones(5), start, tiles, sums, backend=backend) == 311
