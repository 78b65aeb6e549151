"""The blocked pass over linear members and the scorer that keeps a pool ready: equal to asking every member, in every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from dissensus._backend import resolve
from dissensus.committee import BoostedTrees, Committee, GaussianNaiveBayes, LogisticSGD, TrackScorer
from dissensus.committee.linear_votes import TILE, add_votes, scratch, stack_members, tile_tracks
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
    for row, first, n_tracks in tile_tracks(start):
        end = min(row + TILE, start[first + n_tracks])
        covered[row:end] += 1
        if n_tracks > 1 or lengths[first] <= TILE:
            assert row == start[first]
            assert start[first + n_tracks] - row <= TILE
        else:
            assert (row - start[first]) % TILE == 0
    assert (covered == 1).all()


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
    assert 1000 * 40 * 4 < held < 1000 * 120 * 4


@pytest.mark.parametrize("n_classes", [2, 3, 4, 7])
def test_kernels_equal_their_references(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    X, _, track = pool(30, 21)
    X = ((X - 20) / 3).astype(np.float32)
    classes = np.arange(n_classes)
    members: list[Any] = []
    for _ in range(3):
        y = rng.integers(n_classes, size=len(X))
        members += [GaussianNaiveBayes().fit_classes(X, y, classes), LogisticSGD(max_iter=5).fit_classes(X, y, classes)]
    stack = stack_members(members, [None] * 6)
    padded = np.concatenate([X, np.zeros((3, 21), dtype=np.float32)])
    start = np.searchsorted(track, np.arange(31))
    tiles = tile_tracks(start)
    sums = {backend: np.zeros((6, 30, n_classes)) for backend in ("numba", "reference")}
    for backend, total in sums.items():
        add_votes(stack, padded, start, tiles, total, backend=backend)
    np.testing.assert_allclose(sums["numba"], sums["reference"], atol=2e-5)
    np.testing.assert_allclose(sums["numba"].sum(axis=2), np.tile(np.bincount(track), (6, 1)), rtol=1e-6)

    full = stack_members(members, [None] * 6, base=members)
    small = np.ascontiguousarray(padded[:, :5])
    move = np.zeros((len(full.straight), 5), dtype=np.float32)
    move[: 3 * n_classes] = rng.normal(size=(3 * n_classes, 5)) * 0.1
    results = []
    for backend in ("numba", "reference"):
        bent = np.zeros((len(tiles), len(full.bent), TILE), dtype=np.float32)
        bend, straight = np.zeros_like(bent), np.zeros((len(tiles), len(full.straight), TILE), dtype=np.float32)
        hold = resolve("held_scores", backend)
        none = np.zeros((0, 21), dtype=np.float32)
        columns = rng.permutation(len(full.bent)) if backend == "numba" else np.arange(len(full.bent))
        score = np.empty((len(full.bent), TILE), dtype=np.float32)
        hold(padded, start, tiles, 0, len(tiles), full.bent[columns], none, columns, score, bent)
        flat = np.zeros_like(full.bend)
        hold(padded, start, tiles, 0, len(tiles), flat, full.bend[columns], columns, score, bend)
        score = np.empty((len(full.straight), TILE), dtype=np.float32)
        hold(padded, start, tiles, 0, len(tiles), full.straight, none, np.arange(len(full.straight)), score, straight)
        total = np.zeros((6, 30, n_classes))
        n_rows = max(len(full.bent), len(full.straight))
        resolve("held_votes", backend)(
            bent,
            bend,
            straight,
            small,
            move,
            start,
            tiles,
            0,
            len(tiles),
            full.offset,
            3,
            *scratch(n_rows, n_classes),
            total,
        )
        results.append(total)
    np.testing.assert_allclose(results[0], results[1], atol=2e-5)


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
    X = np.zeros((8, 4), dtype=np.float32)
    X[:5] = rng.normal(size=(5, 4))
    member = LogisticSGD().know_nothing(CLASSES, 4)
    member.coef_ = rng.normal(size=(4, 4)) * scale
    stack = stack_members([member], [None])
    start = np.arange(6)
    sums = {backend: np.zeros((1, 5, 4)) for backend in ("numba", "reference")}
    for backend, total in sums.items():
        add_votes(stack, X, start, tile_tracks(start), total, backend=backend)
    assert np.isfinite(sums["numba"]).all()
    np.testing.assert_allclose(sums["numba"].sum(axis=2), 1, atol=1e-5)
    if scale < 100:
        np.testing.assert_allclose(sums["numba"], sums["reference"], atol=1e-5)


@pytest.mark.parametrize("n_rows", [4, 40, 512])
def test_bound_descent_equals_its_reference_and_finds_the_minimum(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    X = rng.normal(size=(n_rows, 8)).astype(np.float32)
    start = rng.normal(size=(12, n_rows)).astype(np.float32)
    target = rng.uniform(size=(12, n_rows)).astype(np.float32)
    weight = rng.uniform(0.1, 2, size=n_rows).astype(np.float32)
    penalty = np.full(8, 3.0, dtype=np.float32)
    inverse = np.linalg.inv((X.T * (0.25 * weight)) @ X + np.diag(penalty)).astype(np.float32)
    moves = []
    for backend in ("numba", "reference"):
        move = np.zeros((12, 8), dtype=np.float32)
        scores = np.empty((2, 12, n_rows), dtype=np.float32)
        resolve("logistic_bound", backend)(
            X, np.ascontiguousarray(X.T), start, target, weight, inverse, penalty, 200, 1e-6,
            scores[0], scores[1], np.empty(12 * n_rows, dtype=np.int32), np.empty((3, 12, 8), dtype=np.float32), move,
        )  # fmt: skip
        moves.append(move.astype(np.float64))
    np.testing.assert_allclose(moves[0], moves[1], atol=1e-5)
    for move in moves:
        error = weight * (1 / (1 + np.exp(-(start + move @ X.T.astype(np.float64)))) - target)
        assert np.abs(error @ X + penalty * move).max() < 1e-3 * max(1.0, float(weight.sum()))
