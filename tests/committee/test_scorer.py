"""The blocked pass over linear members and the scorer that keeps a pool ready: equal to asking every member, in every backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from dissensus._backend import available, resolve
from dissensus.committee import BoostedTrees, Committee, GaussianNaiveBayes, LogisticSGD, TrackScorer
from dissensus.committee.linear_votes import (
    LANES,
    TILE,
    Stack,
    add_votes,
    common_weights,
    count_panels,
    scratch,
    stack_members,
    tile_tracks,
)
from dissensus.errors import ParameterError
from dissensus.personalisation.update import personalise

CLASSES = np.array(["Q1", "Q2", "Q3", "Q4"])


def pool(n_tracks: int = 60, n_features: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tracks of 1 to 12 windows."""
    rng = np.random.default_rng(seed)
    track = np.repeat(np.arange(n_tracks), rng.integers(1, 13, n_tracks))
    quadrant = (np.arange(n_tracks) % 4)[track]
    X = rng.normal(size=(len(track), 8)) @ rng.normal(size=(8, n_features)) + rng.normal(size=(len(track), n_features))
    X[:, :4] += 1.5 * np.eye(4)[quadrant]
    return X * 3 + 20, CLASSES[quadrant], track


@pytest.fixture(scope="module")
def committee() -> Committee:
    return Committee.pretrain(*pool(), kinds=("gnb", "sgd", BoostedTrees(n_rounds=4)), n_folds=2, rehearsal_size=80)


def asked_one_by_one(committee: Committee, X: np.ndarray, track: np.ndarray) -> np.ndarray:
    windows = np.stack(
        [committee.in_order(m, member.predict_proba(committee.scale(X))) for m, member in enumerate(committee.members)]
    )
    return np.stack([windows[:, track == t].mean(axis=1) for t in dict.fromkeys(track.tolist())], axis=1)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 3 * TILE), min_size=1, max_size=12))
def test_tiles_hold_whole_tracks_or_parts_of_long_ones(lengths: list[int]) -> None:
    start = np.concatenate([[0], np.cumsum(lengths)])
    covered = np.zeros(start[-1], dtype=int)
    panel = 0
    for row, windows, first, n_tracks, place in tile_tracks(start):
        end = row + windows
        assert end == min(row + TILE, start[first + n_tracks])
        assert place == panel
        panel += -(-windows // LANES)
        covered[row:end] += 1
        if n_tracks > 1 or lengths[first] <= TILE:
            assert row == start[first]
            assert start[first + n_tracks] - row <= TILE
        else:
            assert (row - start[first]) % TILE == 0
    assert (covered == 1).all()
    assert panel == count_panels(tile_tracks(start))


def test_ten_linear_members_equal_scikit_learn() -> None:
    X, y, track = pool(200, 60)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    theirs, ours = [], []
    for j in range(5):
        train = track % 5 != j
        bayes = GaussianNB().fit(X[train], y[train])
        model = GaussianNaiveBayes().fit(X[train], y[train])
        sgd = SGDClassifier(loss="log_loss", random_state=j).fit(X[train], y[train])
        linear = LogisticSGD().know_nothing(sgd.classes_, X.shape[1])
        linear.coef_, linear.intercept_ = sgd.coef_, sgd.intercept_
        theirs += [bayes, sgd]
        ours += [model, linear]
    expected = np.stack([member.predict_proba(X) for member in theirs])
    start = np.flatnonzero(np.diff(track, prepend=-1))
    expected = np.add.reduceat(expected, start, axis=1) / np.bincount(track)[:, None]
    np.testing.assert_allclose(Committee(ours, CLASSES).predict_proba(X, track), expected, atol=1e-5)


def test_the_pass_equals_asking_members_one_by_one(committee: Committee) -> None:
    X, _, track = pool(seed=3)
    np.testing.assert_allclose(committee.predict_proba(X, track), asked_one_by_one(committee, X, track), atol=2e-6)


def test_tracks_longer_than_a_tile_and_single_windows() -> None:
    rng = np.random.default_rng(0)
    committee = Committee.pretrain(*pool(), kinds=("gnb", "sgd"), n_folds=2)
    track = np.repeat(np.arange(5), [1, 2 * TILE + 7, 3, TILE, 1])
    X = rng.normal(size=(len(track), 40)) * 3 + 20
    np.testing.assert_allclose(committee.predict_proba(X, track), asked_one_by_one(committee, X, track), atol=2e-6)
    np.testing.assert_allclose(
        TrackScorer(committee, X, track, n_threads=2).predict_proba(committee),
        committee.predict_proba(X, track),
        atol=2e-6,
    )


@pytest.mark.parametrize("classes", [["Q4", "Q3", "Q2", "Q1"], ["Q2", "Q1", "Q4", "Q3"]])
def test_members_with_another_order_of_classes(classes: list[str]) -> None:
    X, y, track = pool()
    members = [
        GaussianNaiveBayes().fit(X, y),
        LogisticSGD().fit((X - 20) / 3, y),
        DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, y),
    ]
    committee = Committee(members, classes)
    np.testing.assert_allclose(committee.predict_proba(X, track), asked_one_by_one(committee, X, track), atol=2e-5)
    np.testing.assert_allclose(
        TrackScorer(committee, X, track).predict_proba(committee), committee.predict_proba(X, track), atol=2e-6
    )


def test_a_class_never_seen_has_no_probability() -> None:
    X, y, track = pool()
    known = y != "Q2"
    committee = Committee([GaussianNaiveBayes().fit_classes(X[known], y[known], CLASSES)], CLASSES)
    proba = committee.predict_proba(X, track)
    assert np.isfinite(proba).all()
    assert proba[..., 1].max() < 1e-6
    np.testing.assert_allclose(TrackScorer(committee, X, track).predict_proba(committee), proba, atol=2e-6)


@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_scorer_follows_a_listener_and_forgets_how_it_got_there(committee: Committee, update: str) -> None:
    X, _, track = pool(seed=5)
    scorer = TrackScorer(committee, X, track)
    np.testing.assert_allclose(scorer.predict_proba(committee), committee.predict_proba(X, track), atol=2e-6)
    current = committee
    for n in (1, 2, 5, 3):
        rows = track < n
        base = committee if update == "replay" else current
        current = personalise(base, X[rows], CLASSES[track[rows] % 3], track[rows], update=update)
        proba = scorer.predict_proba(current)
        np.testing.assert_allclose(proba, current.predict_proba(X, track), atol=2e-6)
        np.testing.assert_array_equal(TrackScorer(committee, X, track).predict_proba(current), proba)
        np.testing.assert_array_equal(TrackScorer(committee, X, track, n_threads=3).predict_proba(current), proba)
    np.testing.assert_array_equal(
        scorer.predict_proba(committee), TrackScorer(committee, X, track).predict_proba(committee)
    )


def test_scorer_with_few_features_cold_members_and_scattered_windows() -> None:
    X, y, track = pool(n_features=6)
    cold = Committee.cold_start(CLASSES, 6, X=X)
    mixed = np.random.default_rng(0).permutation(len(X))
    scorer = TrackScorer(cold, X[mixed], track[mixed])
    np.testing.assert_allclose(scorer.predict_proba(cold), 0.25, atol=1e-6)
    told = personalise(cold, X[track < 8], y[track < 8], track[track < 8])
    np.testing.assert_allclose(scorer.predict_proba(told), told.predict_proba(X[mixed], track[mixed]), atol=2e-6)


def test_scorer_refuses_strangers_and_takes_empty_pools(committee: Committee) -> None:
    X, y, track = pool()
    stranger = Committee.pretrain(X, y, track, kinds=("gnb",), n_folds=1)
    with pytest.raises(ParameterError, match="another committee"):
        TrackScorer(committee, X, track).predict_proba(stranger)
    assert TrackScorer(committee, X[:0], []).predict_proba(committee).shape == (6, 0, 4)
    held = TrackScorer.bytes_for(committee, 1000)
    assert 1000 * (40 + 40) * 4 < held < 1000 * 150 * 4  # linear members and trees: both layouts


def linear_stack(n_classes: int, n_features: int, *, skip: bool) -> Stack:
    """Three members of each kind; naive Bayes less its first class, or with a row for every class."""
    rng = np.random.default_rng(n_classes)
    X, _, _ = pool(30, n_features)
    X = ((X - 20) / 3).astype(np.float32)
    classes = np.arange(n_classes)
    members: list[Any] = []
    for _ in range(3):
        y = rng.integers(n_classes, size=len(X))
        members += [GaussianNaiveBayes().fit_classes(X, y, classes), LogisticSGD(max_iter=5).fit_classes(X, y, classes)]
    return stack_members(members, [None] * 6, common=None if skip else common_weights(members))


def others(kernel: str) -> list[str]:
    """The twins of a kernel beside its reference."""
    return [backend for backend in available(kernel) if backend != "reference"]


@pytest.fixture(params=["avx512", "avx2", "baseline"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every path of the compiled kernels, chosen by the mask."""
    native = pytest.importorskip("dissensus._native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISSENSUS_CAPS", request.param)
        native.refresh_instruction_set()
        yield request.param
    native.refresh_instruction_set()


@pytest.mark.parametrize("n_features", [5, 21, 64, 133])
@pytest.mark.parametrize("n_classes", [2, 3, 4, 7])
def test_votes_equal_their_references(n_classes: int, n_features: int) -> None:
    check_votes(n_classes, n_features)


@pytest.mark.parametrize("n_features", [5, 21, 133])
def test_votes_equal_their_references_on_every_instruction_set(instruction_set: str, n_features: int) -> None:
    check_votes(4, n_features)


def check_votes(n_classes: int, n_features: int) -> None:
    X, _, track = pool(30, n_features)
    lengths = np.concatenate([np.bincount(track), [TILE + 45]])  # the last track is longer than a tile
    X = np.concatenate([X, X, X])[: lengths.sum()]
    start = np.concatenate([[0], np.cumsum(lengths)])
    tiles = tile_tracks(start)
    mean, inverse = X.mean(axis=0), 1 / X.std(axis=0)
    stack = linear_stack(n_classes, n_features, skip=True)
    sums = {}
    for backend in available("tile_votes"):
        for dtype in (np.float64, np.float32):
            total = sums[backend, dtype] = np.zeros((6, 31, n_classes))
            assert add_votes(stack, X.astype(dtype), mean, inverse, start, tiles, total, backend=backend) == -1
    for (_, dtype), total in sums.items():
        np.testing.assert_allclose(total / lengths[:, None], sums["reference", dtype] / lengths[:, None], atol=2e-6)
        np.testing.assert_allclose(total.sum(axis=2), np.tile(lengths, (6, 1)), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4, 7])
def test_held_votes_equal_their_references(n_classes: int) -> None:
    check_held(n_classes)


def test_held_votes_equal_their_references_on_every_instruction_set(instruction_set: str) -> None:
    check_held(4)


def check_held(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    X, _, track = pool(30, 21)
    X = ((X - 20) / 3).astype(np.float32)
    start = np.searchsorted(track, np.arange(31))
    tiles = tile_tracks(start)
    stack = linear_stack(n_classes, 21, skip=False)
    move = (rng.normal(size=(3 * n_classes, 5)) * 0.1).astype(np.float32)
    axes = np.eye(21, dtype=np.float32)[:5]
    results: dict[str, tuple[np.ndarray, ...]] = {}
    for backend in available("panel_votes"):
        panels = np.full((count_panels(tiles), 21, LANES), np.nan, dtype=np.float32)
        lay = resolve("lay_panels", backend)
        assert lay(X, np.zeros(21), np.ones(21), start, tiles, 0, len(tiles), panels) == -1
        bent, straight, small = (
            np.zeros((len(panels), n, LANES), np.float32) for n in (3 * n_classes, 3 * n_classes, 5)
        )
        hold = resolve("panel_scores", backend)
        column = np.arange(3 * n_classes) if backend == "reference" else rng.permutation(3 * n_classes)
        hold(panels, 0, len(panels), stack.bent[column], stack.bend[column], column, bent)
        hold(panels, 0, len(panels), stack.straight, stack.straight[:0], np.arange(3 * n_classes), straight)
        hold(panels, 0, len(panels), axes, axes[:0], np.arange(5), small)
        total = np.zeros((6, 30, n_classes))
        resolve("panel_votes", backend)(
            bent, straight, small, move, start, tiles, 0, len(tiles), stack.offset, 3, scratch(stack), total
        )
        results[backend] = panels, bent, straight, small, total
    for backend in others("panel_votes"):
        for ours, expected in zip(results[backend], results["reference"], strict=True):
            np.testing.assert_allclose(ours, expected, atol=5e-5, rtol=1e-5)


def test_a_score_is_the_same_whatever_is_asked_beside_it() -> None:
    rng = np.random.default_rng(0)
    panels = rng.normal(size=(3, 70, LANES)).astype(np.float32)
    linear, bend = (rng.normal(size=(13, 70)).astype(np.float32) for _ in range(2))
    for backend in others("panel_scores"):
        hold = resolve("panel_scores", backend)
        whole, alone = np.zeros((3, 13, LANES), np.float32), np.zeros((3, 13, LANES), np.float32)
        hold(panels, 0, 3, linear, bend, np.arange(13), whole)
        for k in range(13):
            hold(panels, 0, 3, linear[k : k + 1], bend[k : k + 1], np.array([k]), alone)
        np.testing.assert_array_equal(whole, alone)
        shifted = np.roll(panels, 5, axis=2)
        hold(shifted, 0, 3, linear, bend, np.arange(13), alone)
        np.testing.assert_array_equal(np.roll(whole, 5, axis=2), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_laying_standardises_and_finds_the_first_row_that_is_not_finite(dtype: Any, scale: float) -> None:
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(75, 37)) * scale + 1000.0).astype(dtype)
    mean, inverse = X.mean(axis=0, dtype=np.float64), 1 / X.std(axis=0, dtype=np.float64)
    start = np.array([0, 40, 75])
    tiles = tile_tracks(start)
    expected = ((X - mean) * inverse).astype(np.float32)
    for backend in available("lay_panels"):
        lay = resolve("lay_panels", backend)
        panels = np.full((count_panels(tiles), 37, LANES), np.nan, dtype=np.float32)
        assert lay(X, mean, inverse, start, tiles, 0, 1, panels) == -1
        laid = panels.transpose(0, 2, 1).reshape(-1, 37)
        np.testing.assert_allclose(laid[:75], expected, rtol=1e-6, atol=1e-6)
        assert not laid[75:].any()
        for value in (np.nan, np.inf, -np.inf):
            for column in (0, 20, 36):
                bad = X.copy()
                bad[69, 0] = bad[41, column] = value
                assert lay(bad, mean, inverse, start, tiles, 0, 1, panels) == 41


def test_scales_beyond_float32_are_standardised_in_float64() -> None:
    X = np.array([[1e-42, 1.0], [3e-42, 3.0]], dtype=np.float32)
    mean, inverse = np.array([2e-42, 2.0]), np.array([1e42, 1.0])
    for backend in available("lay_panels"):
        panels = np.zeros((1, 2, LANES), dtype=np.float32)
        tiles = tile_tracks(np.array([0, 2]))
        assert resolve("lay_panels", backend)(X, mean, inverse, np.array([0, 2]), tiles, 0, 1, panels) == -1
        np.testing.assert_allclose(panels[0, :, :2], [[-1, 1], [-1, 1]], rtol=1e-3)


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
            assert resolve("standardise", backend)(bad, mean, inverse, target) == 4


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_exponentials_hold_far_out(scale: float) -> None:
    """Scores of any size: probabilities are finite, in [0, 1], and right to 1e-5."""
    rng = np.random.default_rng(0)
    X: Any = rng.normal(size=(5, 4)).astype(np.float32)
    member = LogisticSGD().know_nothing(CLASSES, 4)
    member.coef_ = rng.normal(size=(4, 4)) * scale
    stack = stack_members([member], [None])
    start = np.arange(6)
    sums = {backend: np.zeros((1, 5, 4)) for backend in ("reference", *others("tile_votes"))}
    for backend, total in sums.items():
        add_votes(stack, X, np.zeros(4), np.ones(4), start, tile_tracks(start), total, backend=backend)
        assert np.isfinite(total).all()
        np.testing.assert_allclose(total.sum(axis=2), 1, atol=1e-5)
        if scale < 100:
            np.testing.assert_allclose(total, sums["reference"], atol=1e-5)


@pytest.mark.parametrize("n_rows", [32, 64, 512])
@pytest.mark.parametrize("n_models", [1, 12])
def test_bound_descent_equals_its_reference_and_finds_the_minimum(n_rows: int, n_models: int) -> None:
    check_descent(n_rows, n_models)


def test_bound_descent_on_every_instruction_set(instruction_set: str) -> None:
    check_descent(64, 7)


def check_descent(n_rows: int, n_models: int) -> None:
    rng = np.random.default_rng(n_rows)
    X = np.zeros((n_rows, 32), dtype=np.float32)
    X[:, :8] = rng.normal(size=(n_rows, 8))
    start = rng.normal(size=(n_models, n_rows)).astype(np.float32)
    target = rng.uniform(size=(n_models, n_rows)).astype(np.float32)
    weight = rng.uniform(0.1, 2, size=n_rows).astype(np.float32)
    penalty = np.full(32, 3.0, dtype=np.float32)
    inverse = np.linalg.inv((X.T * (0.25 * weight)) @ X + np.diag(penalty)).astype(np.float32)
    by_row = np.ascontiguousarray(X.T.reshape(32, -1, LANES).transpose(1, 0, 2))
    moves: dict[str, np.ndarray] = {}
    for backend in available("bound_descent"):
        move = np.zeros((n_models, 32), dtype=np.float32)
        score, work = np.empty((3, n_models, n_rows), np.float32), np.empty((4, n_models, 32), np.float32)
        steps = resolve("bound_descent", backend)(
            by_row, X[None], start, target, weight, inverse[None], penalty, 200, 1e-6, score, work, move
        )
        assert 1 <= steps <= 200
        moves[backend] = move.astype(np.float64)
    for found in moves.values():
        np.testing.assert_allclose(found, moves["reference"], atol=1e-5)
        error = weight * (1 / (1 + np.exp(-(start + found @ X.T.astype(np.float64)))) - target)
        assert np.abs(error @ X + penalty * found).max() < 1e-3 * max(1.0, float(weight.sum()))
