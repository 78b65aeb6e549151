"""The committee: folds, scaling, the probability slab, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from dissensus.committee import BoostedTrees, Committee, GaussianNaiveBayes, LogisticSGD, Scaler
from dissensus.committee.folds import group_folds
from dissensus.committee.rehearsal import draw_rehearsal
from dissensus.errors import ClassMismatchError, FeatureMismatchError, LabelError, ParameterError

QUADRANTS = np.array(["Q1", "Q2", "Q3", "Q4"])
KINDS = ("gnb", "sgd", BoostedTrees(n_rounds=8))


def music(n_tracks: int = 80, n_windows: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raw features far from zero, labels, track names."""
    rng = np.random.default_rng(seed)
    quadrant = np.arange(n_tracks) % 4
    centre = np.stack(
        [np.where(quadrant < 2, 1.0, -1.0), np.where((quadrant == 0) | (quadrant == 3), 1.0, -1.0)], axis=1
    )
    X = rng.normal(size=(n_tracks, n_windows, 5)) + np.pad(centre, ((0, 0), (0, 3)))[:, None]
    X = X * [1, 10, 100, 1e-3, 1] + [5, -300, 1e4, 0, 0]
    names = np.array([f"track-{i * 7919 % 1000:03d}" for i in range(n_tracks)])
    return X.reshape(-1, 5), np.repeat(QUADRANTS[quadrant], n_windows), np.repeat(names, n_windows)


@pytest.fixture(scope="module")
def committee() -> Committee:
    X, y, track = music()
    return Committee.pretrain(X, y, track, kinds=KINDS, n_folds=3, random_state=4, fingerprint="plan-1")


def test_pretraining_gives_k_members_of_each_kind_that_know_something(committee: Committee) -> None:
    assert committee.member_kinds == ("gnb",) * 3 + ("sgd",) * 3 + ("xgb",) * 3
    X, y, track = music(seed=1)
    proba = committee.predict_proba(X, track)
    assert proba.shape == (9, 80, 4)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=2), 1, atol=1e-5)
    right = proba.argmax(axis=2) == np.arange(80) % 4
    assert right.mean(axis=1).min() > 0.8
    assert all(not np.array_equal(proba[0], other) for other in proba[1:3])  # folds differ


def test_pretraining_twice_is_the_same_and_order_of_rows_does_not_matter() -> None:
    X, y, track = music(40)
    first, second = (Committee.pretrain(X, y, track, kinds=KINDS, n_folds=2, random_state=9) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X, track), second.predict_proba(X, track))
    other = Committee.pretrain(X, y, track, kinds=KINDS, n_folds=2, random_state=10)
    assert not np.array_equal(first.predict_proba(X, track), other.predict_proba(X, track))


@given(st.lists(st.integers(0, 3), min_size=6, max_size=60), st.integers(2, 6), st.integers(0, 9))
def test_folds_are_even_and_spread_every_class(labels: list[int], n_folds: int, seed: int) -> None:
    y = np.repeat(labels, 2)
    fold = group_folds(y, np.repeat(np.arange(len(labels)), 2), n_classes=4, n_folds=n_folds, seed=seed)
    sizes = np.bincount(fold, minlength=n_folds)
    assert sizes.max() - sizes.min() <= 1
    for c in range(4):
        spread = np.bincount(fold[np.array(labels) == c], minlength=n_folds)
        assert spread.max() - spread.min() <= 1


def test_no_track_is_on_both_sides_of_a_fold() -> None:
    """Windows of one track share a fold: the member's own training tracks are never the ones it is spared."""
    seen: list[set[float]] = []

    class Spy(DecisionTreeClassifier):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Any:
            seen.append(set(X[:, 0].tolist()))
            return super().fit(X, y)

    X, y, track = music(12, 3)
    X[:, 0] = np.unique(track, return_inverse=True)[1]
    Committee.pretrain(X, y, track, kinds=(Spy(),), n_folds=3)
    everyone = set.union(*seen)
    assert len(everyone) == 12
    spared = [everyone - trained for trained in seen]
    assert [len(part) for part in spared] == [4, 4, 4]
    assert set.union(*spared) == everyone


def test_scaler_is_that_of_the_training_side_and_ignores_what_is_predicted(committee: Committee) -> None:
    """T4: the original standardised test tracks, playlists and even single tracks by themselves."""
    X, _, track = music()
    assert committee.scaler_ is not None
    stored = X.astype(np.float32).astype(float)  # what a pool on disk holds
    np.testing.assert_allclose(committee.scaler_.mean, stored.mean(axis=0))
    np.testing.assert_allclose(committee.scaler_.scale, stored.std(axis=0), rtol=1e-9)
    together = committee.predict_proba(X, track)
    alone = committee.predict_proba(X[:5], track[:5])
    np.testing.assert_allclose(alone[:, 0], together[:, 0], atol=1e-6)
    shifted = committee.predict_proba(X + [0, 100, 0, 0, 0], track)
    assert np.abs(shifted - together).max() > 0.2


def test_constant_features_do_no_harm() -> None:
    X, y, track = music(20)
    X[:, 3] = 0.1
    member = Committee.pretrain(X, y, track, kinds=("gnb", "sgd"), n_folds=2)
    assert np.isfinite(member.predict_proba(X, track)).all()
    assert Scaler.fit(X).scale[3] == 1.0


def test_tracks_come_in_order_of_first_appearance_wherever_their_windows_lie(committee: Committee) -> None:
    X, _, track = music()
    tidy = committee.predict_proba(X, track)
    shuffled = np.random.default_rng(0).permutation(len(X))
    mixed = committee.predict_proba(X[shuffled], track[shuffled])
    _, first = np.unique(track[shuffled], return_index=True)
    names = track[shuffled][np.sort(first)]
    position = {name: i for i, name in enumerate(dict.fromkeys(track.tolist()))}
    np.testing.assert_allclose(mixed, tidy[:, [position[name] for name in names.tolist()]], atol=1e-6)


def test_track_probability_is_the_mean_of_its_windows(committee: Committee) -> None:
    X, _, track = music()
    windows = committee.predict_proba(X)
    assert windows.shape == (9, len(X), 4)
    np.testing.assert_allclose(committee.predict_proba(X, track), windows.reshape(9, 80, 5, 4).mean(axis=2), atol=1e-6)


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_blocks_and_threads_change_nothing(committee: Committee, chunk_size: int, n_threads: int) -> None:
    X, _, track = music()
    reference = committee.predict_proba(X, track)
    np.testing.assert_array_equal(
        committee.predict_proba(X, track, chunk_size=chunk_size, n_threads=n_threads), reference
    )


def test_no_tracks_no_rows(committee: Committee) -> None:
    assert committee.predict_proba(np.empty((0, 5)), []).shape == (9, 0, 4)


def test_other_features_are_refused(committee: Committee) -> None:
    X, y, track = music()
    with pytest.raises(FeatureMismatchError, match="4 features"):
        committee.predict_proba(X[:, :4], track)
    with pytest.raises(FeatureMismatchError, match="plan-2"):
        committee.check_features(5, fingerprint="plan-2")
    named = Committee.pretrain(X, y, track, kinds=("gnb",), n_folds=1, feature_names=list("abcde"))
    with pytest.raises(FeatureMismatchError, match="feature 4 is 'f'"):
        named.check_features(5, feature_names=list("abcdf"))
    named.check_features(5, feature_names=list("abcde"))
    X[3, 2] = np.nan
    with pytest.raises(ParameterError, match="finite"):
        committee.predict_proba(X, track)
    with pytest.raises(ParameterError, match="groups"):
        committee.predict_proba(X, track[:-1])


def test_labels_outside_the_classes_are_refused() -> None:
    X, y, track = music(12)
    with pytest.raises(LabelError, match="Q4"):
        Committee.pretrain(X, y, track, classes=["Q1", "Q2", "Q3"])
    with pytest.raises(ParameterError, match="tracks"):
        Committee.pretrain(X[:5], y[:5], track[:5], n_folds=5)
    with pytest.raises(ParameterError, match="no kind"):
        Committee.pretrain(X, y, track, kinds=("svm",))


def test_a_fold_without_a_class_keeps_its_column() -> None:
    X, y, track = music(12, 3)
    rare = np.where(track == track[0], "Q1", np.where(y == "Q1", "Q2", y))
    committee = Committee.pretrain(X, rare, track, kinds=KINDS, n_folds=3, classes=QUADRANTS)
    assert all(member.classes_.tolist() == QUADRANTS.tolist() for member in committee.members)
    assert committee.predict_proba(X, track).shape == (9, 12, 4)


def test_members_that_are_not_ours_vote_in_our_order_of_classes() -> None:
    X, y, track = music()
    theirs = LogisticRegression().fit(Scaler.fit(X).transform(X), y)
    ours = Committee([theirs], QUADRANTS[::-1], scaler=Scaler.fit(X))
    np.testing.assert_allclose(
        ours.predict_proba(X)[0], theirs.predict_proba(Scaler.fit(X).transform(X))[:, ::-1], atol=1e-6
    )
    assert ours.member_kinds == ("LogisticRegression",)


def test_members_that_know_other_classes_or_features_are_refused() -> None:
    X, y, _ = music(12)
    model = GaussianNaiveBayes().fit(X, y)
    with pytest.raises(ClassMismatchError, match="Q5"):
        Committee([model], ["Q1", "Q2", "Q3", "Q5"])
    with pytest.raises(ClassMismatchError, match="knows"):
        Committee([model], ["Q1", "Q2", "Q3", "Q4", "Q5"])
    narrow = LogisticSGD().fit(X[:, :3], y)
    with pytest.raises(FeatureMismatchError, match="member 1"):
        Committee([model, narrow], QUADRANTS)
    with pytest.raises(ParameterError, match="at least one"):
        Committee([], QUADRANTS)
    with pytest.raises(ParameterError, match="member_kinds"):
        Committee([model], QUADRANTS, member_kinds=("gnb", "sgd"))


def test_cold_start_is_uniform() -> None:
    X, _, track = music(12)
    cold = Committee.cold_start(QUADRANTS, 5, X=X)
    np.testing.assert_allclose(cold.predict_proba(X, track), 0.25, atol=1e-6)
    assert cold.member_kinds == ("gnb", "sgd", "xgb")


def test_rehearsal_has_every_class_alike_and_as_many_tracks_as_it_can() -> None:
    rng = np.random.default_rng(0)
    track = np.repeat(np.arange(60), 10)
    y = np.repeat(rng.choice(4, p=[0.6, 0.2, 0.15, 0.05], size=60), 10)
    X = np.arange(600, dtype=np.float32)[:, None]
    drawn = draw_rehearsal(X, y, track, n_classes=4, size=80, random_state=1)
    held = drawn.X[:, 0].astype(int)
    assert len(set(held.tolist())) == len(held)
    for c in range(4):
        mine = held[y[held] == c]
        assert len(mine) == min(20, int((y == c).sum()))
        n_tracks = len(np.unique(track[y == c]))
        assert len(np.unique(track[mine])) == min(len(mine), n_tracks)
    weight = drawn.weight(4, 100.0)
    assert weight.sum() == pytest.approx(100)
    np.testing.assert_allclose(np.bincount(drawn.y, weights=weight), 25)
