"""The blocked pass over linear members and the scorer that keeps a pool ready: equal to asking every member, in every backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from dissensus.committee import BoostedTrees, Committee, GaussianNaiveBayes, LogisticSGD, TrackScorer
from dissensus.committee.linear_votes import LANES, TILE, count_panels, tile_tracks
from dissensus.errors import ParameterError
from dissensus.personalisation.update import personalise
from dissensus.strategies import machine_consensus

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


def test_a_pass_that_broke_off_leaves_no_scores_behind(committee: Committee, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the tiles are scored for the new weights when memory runs out: the next pass scores them all again."""
    import dissensus.committee.scorer as module

    X, y, track = pool()
    scorer, fresh = TrackScorer(committee, X, track), TrackScorer(committee, X, track)
    taught = personalise(committee, X[track < 2], y[track < 2], track[track < 2])
    genuine = module.resolve

    def breaking(name: str, backend: str = "auto") -> Any:
        kernel = genuine(name, backend)

        def half(*arguments: Any) -> Any:
            kernel(*arguments[:10], arguments[10], (arguments[10] + arguments[11]) // 2, *arguments[12:])
            raise MemoryError

        return half if name == "panel_votes" else kernel

    monkeypatch.setattr(module, "resolve", breaking)
    with pytest.raises(MemoryError):
        scorer.predict_proba(taught)
    monkeypatch.setattr(module, "resolve", genuine)
    for asked in (committee, taught):
        np.testing.assert_array_equal(scorer.predict_proba(asked), fresh.predict_proba(asked))


def test_threads_that_ask_at_once_get_what_each_would_get_alone() -> None:
    X, track = pool(n_tracks=200)[::2]
    y = CLASSES[track % 4]
    base = Committee.pretrain(X, y, track, kinds=("gnb", "sgd", BoostedTrees(n_rounds=3)), n_folds=2)
    taught = [personalise(base, X[track == t], y[track == t], track[track == t]) for t in range(6)]
    alone = [TrackScorer(base, X, track).predict_proba(one) for one in taught]
    scorer = TrackScorer(base, X, track)
    with ThreadPoolExecutor(6) as threads:
        for _ in range(3):
            for found, wanted in zip(threads.map(scorer.predict_proba, taught), alone, strict=True):
                np.testing.assert_array_equal(found, wanted)
    with scorer._kept:  # somebody else has it: nobody waits
        np.testing.assert_array_equal(scorer.predict_proba(taught[0]), alone[0])
        np.testing.assert_array_equal(scorer.consensus(taught[1]), machine_consensus(alone[1]))
