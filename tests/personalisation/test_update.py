"""Replay is a function of the set of answers; incremental is the published baseline; both leave their input alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus._threads import run_blocks
from dissensus.committee import BoostedTrees, Committee
from dissensus.committee.members import anchored
from dissensus.errors import FeatureMismatchError, LabelError, ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation import update as rules
from dissensus.personalisation.update import PREPARED_BYTES, Updates, personalise, prepare_tracks, replay

CLASSES = np.array(["Q1", "Q2", "Q3", "Q4"])
KINDS = ("gnb", "sgd", BoostedTrees(n_rounds=10))


def tracks(n: int, seed: int, n_windows: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows, population quadrant per window, track number."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(n, 2)) * 0.8 + rng.choice([-0.6, 0.6], size=(n, 2))
    X = np.pad(place, ((0, 0), (0, 4)))[:, None] + 0.4 * rng.normal(size=(n, n_windows, 6))
    return X.reshape(-1, 6), np.repeat(quadrant(place), n_windows), np.repeat(np.arange(n), n_windows)


def quadrant(place: np.ndarray) -> np.ndarray:
    return CLASSES[np.where(place[:, 0] > 0, np.where(place[:, 1] > 0, 0, 1), np.where(place[:, 1] > 0, 3, 2))]


def other_ear(X: np.ndarray) -> np.ndarray:
    """What a listener with shifted borders says, from the noisy windows."""
    return quadrant(X[:, :2] + [0.9, -0.7])


@pytest.fixture(scope="module")
def committee() -> Committee:
    return Committee.pretrain(*tracks(120, 0), kinds=KINDS, n_folds=2, rehearsal_size=200)


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X, _, track = tracks(40, 1)
    said = other_ear(X.reshape(40, 4, 6).mean(axis=1))
    return X, said[track], track


@settings(max_examples=12)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_order_of_answers_and_names_of_tracks_do_not_matter(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray], random: object, n: int
) -> None:
    X, y, track = answers
    order = list(range(n))
    random.shuffle(order)  # type: ignore[attr-defined]
    rows = np.concatenate([np.flatnonzero(track == t) for t in order])
    kept = track < n
    ordered = personalise(committee, X[kept], y[kept], track[kept])
    shuffled = personalise(committee, X[rows], y[rows], [f"song-{n - t}" for t in track[rows]])
    np.testing.assert_array_equal(shuffled.predict_proba(X, track), ordered.predict_proba(X, track))


def test_deleting_an_answer_is_exact(committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Answers 0..7 then forget 3 == never having answered 3, bit for bit, also when the committee was personal before."""
    X, y, track = answers
    everything = personalise(committee, X[track < 8], y[track < 8], track[track < 8])
    kept = (track < 8) & (track != 3)
    forgot = personalise(everything, X[kept], y[kept], track[kept])
    never = personalise(committee, X[kept], y[kept], track[kept])
    np.testing.assert_array_equal(forgot.predict_proba(X, track), never.predict_proba(X, track))
    assert not np.array_equal(forgot.predict_proba(X, track), everything.predict_proba(X, track))


def test_threads_share_the_models_and_change_no_bit(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, track = answers
    alone = personalise(committee, X, y, track)
    shares: list[tuple[int, int]] = []

    def recorded(task: Callable[[int, int], None], n_items: int, **options: int) -> None:
        def noted(a: int, b: int) -> None:
            shares.append((a, b))
            task(a, b)

        run_blocks(noted, n_items, **options)

    for name, value in (("run_blocks", recorded), ("thread_budget", lambda: 3), ("_SHARED", 1), ("_MODELS_A_TASK", 3)):
        monkeypatch.setattr(anchored, name, value)
    shared = personalise(committee, X, y, track)
    assert sorted(shares) == [(0, 3), (3, 6), (6, 8)]
    np.testing.assert_array_equal(shared.predict_proba(X, track), alone.predict_proba(X, track))


def test_what_was_heard_once_serves_every_later_replay(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """Tracks prepared one by one, for a committee that was personal before, and replayed: the same bits as all at once."""
    X, y, track = answers
    mine = personalise(committee, X[track < 9], y[track < 9], track[track < 9])
    prepared = [prepare_tracks(mine, committee.scale(X[track == t]), np.array([0, 4]))[0] for t in range(9)]
    label = np.searchsorted(CLASSES, y[track < 9][::4])
    for chosen in ([4, 2, 7], [8, 1, 0, 2, 3, 4, 5, 6, 7]):
        again = replay(mine, [prepared[t] for t in chosen], label[chosen], n0=100.0)
        kept = np.isin(track, chosen)
        fresh = personalise(committee, X[kept], y[kept], track[kept])
        np.testing.assert_array_equal(again.predict_proba(X, track), fresh.predict_proba(X, track))
        assert again.base is committee


def test_forgetting_everything_is_the_start(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    X, y, track = answers
    mine = personalise(committee, X, y, track)
    nobody = personalise(mine, X[:0], y[:0], track[:0])
    np.testing.assert_allclose(nobody.predict_proba(X, track), committee.predict_proba(X, track), atol=1e-6)


@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_input_is_left_alone(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray], update: str
) -> None:
    X, y, track = answers
    before = committee.predict_proba(X, track)
    kept = [part.copy() for part in answers]
    once = personalise(committee, X, y, track, update=update)
    again = personalise(committee, X, y, track, update=update)
    np.testing.assert_array_equal(committee.predict_proba(X, track), before)
    np.testing.assert_array_equal(once.predict_proba(X, track), again.predict_proba(X, track))
    for now, then in zip(answers, kept, strict=True):
        np.testing.assert_array_equal(now, then)
    assert once.base is committee


def accuracy(committee: Committee, kind: str, X: np.ndarray, said: np.ndarray, track: np.ndarray) -> float:
    mine = [i for i, name in enumerate(committee.member_kinds) if name == kind]
    best = committee.predict_proba(X, track)[mine].argmax(axis=2)
    return float((CLASSES[best] == said).mean())


@pytest.mark.parametrize("kind", ["gnb", "sgd", "xgb"])
def test_replay_learns_a_listener_and_keeps_the_rest(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray], kind: str
) -> None:
    X, y, track = answers
    mine = personalise(committee, X, y, track, n0=30)
    new, _, new_track = tracks(300, 2)
    said = other_ear(new.reshape(300, 4, 6).mean(axis=1))
    assert accuracy(mine, kind, new, said, new_track) > accuracy(committee, kind, new, said, new_track) + 0.05
    stubborn = personalise(committee, X, y, track, n0=1e6)
    np.testing.assert_allclose(stubborn.predict_proba(X, track), committee.predict_proba(X, track), atol=0.05)


@pytest.mark.parametrize("n0", [20.0, 100.0])
def test_a_listener_like_everyone_is_not_harmed_by_replay(committee: Committee, n0: float) -> None:
    """T8: 100 rounds on the last batch alone collapse; replay must not."""
    X, y, track = tracks(24, 5)
    new, said, new_track = tracks(300, 6)
    replayed = personalise(committee, X, y, track, n0=n0)
    for kind in ("gnb", "sgd", "xgb"):
        start = accuracy(committee, kind, new, said[::4], new_track)
        assert accuracy(replayed, kind, new, said[::4], new_track) > start - 0.03


def test_incremental_boosting_forgets_what_replay_keeps(committee: Committee) -> None:
    X, y, track = tracks(24, 5)
    only = y == "Q2"
    new, said, new_track = tracks(300, 6)
    forgot = personalise(committee, X[only], y[only], track[only], update="incremental")
    kept = personalise(committee, X[only], y[only], track[only], update="replay")
    start = accuracy(committee, "xgb", new, said[::4], new_track)
    assert accuracy(forgot, "xgb", new, said[::4], new_track) < start - 0.3
    assert accuracy(kept, "xgb", new, said[::4], new_track) > start - 0.1


@pytest.mark.parametrize("limit", [PREPARED_BYTES, 400])
def test_prepared_tracks_give_the_same_bits_and_are_bounded(
    committee: Committee, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PREPARED_BYTES", limit)
    X, y, track = tracks(12, 7)
    index = np.searchsorted(CLASSES, y[::4])
    updates, told = Updates(committee, Pool(X, track)), ()
    for i in (3, 1, 8, 3 + 2, 11, 0):
        told = (*told, ((i, int(index[i])),))
        kept = np.isin(track, [batch[0][0] for batch in told])
        fresh = personalise(committee, X[kept], y[kept], track[kept])
        np.testing.assert_array_equal(updates.taught(told).predict_proba(X), fresh.predict_proba(X))
    held = list(updates._prepared.values())
    assert updates._prepared_bytes == sum(one.nbytes for one in held) <= limit
    assert (len(held) == 6) == (limit == PREPARED_BYTES)


def test_incremental_takes_the_last_tracks_and_stops_at_its_cap() -> None:
    X, y, track = tracks(40, 0)
    start = Committee.pretrain(
        X, y, track, kinds=("gnb", "sgd", BoostedTrees(n_rounds=3, continue_rounds=4, max_rounds=9)), n_folds=1
    )
    alone = personalise(start, X[-8:], y[-8:], track[-8:], update="incremental")
    index = np.searchsorted(CLASSES, y[::4])
    told = tuple(((i, int(index[i])), (i + 1, int(index[i + 1]))) for i in (30, 34, 38))
    updates = Updates(start, Pool(X, track), update="incremental")
    last = updates.taught(told[2:])
    np.testing.assert_array_equal(last.predict_proba(X), alone.predict_proba(X))
    first = updates.taught(told[:2])
    on, anew = updates.taught(told, first, told[:2]), updates.taught(told, last, told[2:])
    np.testing.assert_array_equal(on.predict_proba(X), anew.predict_proba(X))
    assert not np.array_equal(on.predict_proba(X), last.predict_proba(X))
    rounds = []
    for _ in range(3):
        start = personalise(start, X[-8:], y[-8:], track[-8:], update="incremental")
        rounds.append(start.members[2].n_rounds_)
    assert rounds == [7, 9, 9]


def test_incremental_update_of_single_window_tracks_is_felt_by_boosting() -> None:
    """With weight 1 a row no leaf is heavy enough, and 100 rounds change nothing without a word."""
    X, y, _ = tracks(80, 0, n_windows=1)
    start = Committee.pretrain(X, y, np.arange(80), kinds=("xgb",), n_folds=1)
    told = personalise(start, X[:4], ["Q1", "Q1", "Q3", "Q3"], update="incremental")
    assert np.abs(told.predict_proba(X) - start.predict_proba(X)).max() > 0.2


@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_an_answer_of_one_class_renumbers_nothing(
    committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray], update: str
) -> None:
    X, _, track = answers
    told = personalise(committee, X[:40], ["Q3"] * 40, track[:40], update=update)
    assert told.classes_.tolist() == CLASSES.tolist()
    change = told.predict_proba(X[:40], track[:40]) - committee.predict_proba(X[:40], track[:40])
    assert (change.mean(axis=1).argmax(axis=1) == 2).all()


def test_a_cold_committee_learns_from_answers_alone(answers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, y, track = answers
    cold = Committee.cold_start(CLASSES, 6, X=X)
    new, _, new_track = tracks(300, 2)
    said = other_ear(new.reshape(300, 4, 6).mean(axis=1))
    told = personalise(cold, X, y, track)
    for kind in ("gnb", "sgd", "xgb"):
        assert accuracy(told, kind, new, said, new_track) > 0.45
    first = personalise(cold, X[:4], y[:4], track[:4]).predict_proba(X, track)
    assert np.isfinite(first).all()
    assert (first > 0).all()


def test_what_does_not_fit_is_refused(committee: Committee, answers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, y, track = answers
    with pytest.raises(LabelError, match="Q7"):
        personalise(committee, X[:4], ["Q7"] * 4, track[:4])
    with pytest.raises(FeatureMismatchError):
        personalise(committee, X[:, :3], y, track)
    with pytest.raises(ParameterError, match="one answer per track"):
        personalise(committee, X[:4], ["Q1", "Q1", "Q2", "Q1"], track[:4])
    with pytest.raises(ParameterError, match="update"):
        personalise(committee, X, y, track, update="sometimes")
    with pytest.raises(ParameterError, match="n0"):
        personalise(committee, X, y, track, n0=0)
    with pytest.raises(ParameterError, match="y must label"):
        personalise(committee, X, y[:-1], track)
