"""A session: ask, tell, undo; every step whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dissensus.committee import Committee
from dissensus.datasets.synthetic import Panel, latent_listeners
from dissensus.errors import (
    AlreadyAnsweredError,
    BudgetExhaustedError,
    ClassMismatchError,
    FeatureMismatchError,
    LabelError,
    NotAskedError,
    ParameterError,
    SessionError,
    UnknownTrackError,
)
from dissensus.features import Pool
from dissensus.personalisation import CommitteeLearner, Session, StopWhenStable
from dissensus.personalisation.listener.model import ListenerModel
from dissensus.personalisation.stopping import Progress
from dissensus.personalisation.told import Told, columns_of
from dissensus.strategies import consensus_entropy

CLASSES = np.array(["Q1", "Q2", "Q3", "Q4"])
DATA = latent_listeners(
    120, 3, panel=Panel(tracks_per_listener=30, n_rated=40, crowd_per_track=4), n_features=8, seed=5
)
POOL = DATA.pool.subset(np.unique(DATA.annotations.track_id))
LISTENER = "listener-000"


@pytest.fixture(scope="module")
def committee() -> Committee:
    rest = DATA.pool.subset([t for t in DATA.pool.track_ids.tolist() if t not in POOL])
    assert DATA.weak_label is not None
    label = CLASSES[DATA.weak_label[DATA.pool.index_of(rest.track_ids)]]
    return Committee.pretrain(rest.X, label[rest.groups], rest.groups, kinds=("gnb", "sgd"), n_folds=2, random_state=1)


def truth(track: str) -> str:
    """What this listener says about any track (made up where they said nothing)."""
    return str(CLASSES[sum(map(ord, track)) % 4])


def answer(session: Session, rounds: int, k: int = 4) -> None:
    for _ in range(rounds):
        session.tell({track: truth(track) for track in session.ask(k)})


def fingerprint(session: Session) -> tuple[Any, ...]:
    asked = [(q.track_ids.tolist(), q.utility.tolist(), q.reason) for q in session.queries]
    return asked, session.answers, session.finished, session.predict_proba().tobytes(), session.committee


# ---- the happy path -----------------------------------------------------------------------------------------------


def test_asks_where_the_committee_is_least_sure(committee: Committee) -> None:
    session = Session(committee, POOL)
    query = session.ask(5)
    entropy = consensus_entropy(session.member_proba())
    assert query.utility.tolist() == pytest.approx(np.sort(entropy)[::-1][:5].tolist(), rel=1e-5)
    assert query.utility.tolist() == pytest.approx(entropy[POOL.index_of(query.track_ids)].tolist(), rel=1e-5)
    assert list(query) == query.track_ids.tolist()
    assert all("nats" in why for why in query.reason)
    assert "Q1" in " ".join(query.reason)


def test_answers_change_the_opinions_and_leave_the_given_committee_alone(committee: Committee) -> None:
    before = committee.predict_proba(POOL.X, POOL.groups)
    session = Session(committee, POOL, strategy="machine")
    start = session.predict_proba()
    answer(session, 3)
    np.testing.assert_array_equal(committee.predict_proba(POOL.X, POOL.groups), before)
    assert (session.predict_proba() != start).any()
    assert session.n_answers == 12
    assert session.committee is not committee
    np.testing.assert_allclose(session.predict_proba().sum(axis=1), 1, atol=1e-5)
    some = POOL.track_ids[[7, 2]]
    np.testing.assert_array_equal(session.predict_proba(some), session.predict_proba()[[7, 2]])
    assert set(session.predict(some)) <= set(CLASSES)


def test_learning_moves_predictions_towards_the_answers(committee: Committee) -> None:
    session = Session(committee, POOL, n0=5.0)
    answer(session, 6)
    said = session.answers
    index = [int(np.flatnonzero(label == CLASSES)[0]) for label in said.values()]
    after = session.predict_proba(said)[np.arange(len(said)), index]
    start = Session(committee, POOL).predict_proba(said)[np.arange(len(said)), index]
    assert after.mean() > start.mean() + 0.05


def test_asking_again_repeats_the_open_query_and_partial_answers_shorten_it(committee: Committee) -> None:
    session = Session(committee, POOL)
    query = session.ask(4)
    assert session.ask(9).track_ids.tolist() == query.track_ids.tolist()
    second = list(query)[1]
    session.tell({second: "Q2"})
    left = session.ask(4)
    assert list(left) == [t for t in query if t != second]
    assert left.reason == tuple(why for t, why in zip(query, query.reason, strict=True) if t != second)
    session.tell(dict.fromkeys(left, "Q1"))
    assert not set(session.ask(4)) & set(query)


def test_no_track_is_asked_twice_and_the_pool_ends(committee: Committee) -> None:
    small = POOL.subset(POOL.track_ids[:10])
    session = Session(committee, small, strategy="rand", balanced=True)
    asked: list[str] = []
    while not session.finished:
        query = session.ask(4)
        asked += list(query)
        session.tell({track: truth(track) for track in query})
    assert sorted(asked) == sorted(small.track_ids.tolist())
    assert session.finished == "pool"
    assert [len(q) for q in session.queries] == [4, 4, 2]
    assert session.queries[-1].stopped == "pool"
    empty = session.ask(4)
    assert len(empty) == 0
    assert not empty
    assert empty.stopped == "pool"


def test_budget(committee: Committee) -> None:
    session = Session(committee, POOL, budget=6)
    answer(session, 1)
    last = session.ask(4)
    assert len(last) == 2
    assert last.stopped == "budget"
    session.tell(dict.fromkeys(last, "Q3"))
    assert session.finished == "budget"
    with pytest.raises(BudgetExhaustedError, match="6 answers"):
        session.ask(1)
    session.undo(next(iter(last)))
    assert session.finished is None
    assert list(session.ask(4)) == [next(iter(last))]


def test_stops_when_predictions_are_stable(committee: Committee) -> None:
    calm = Session(committee, POOL, n0=1e9, stopping=StopWhenStable(answers=8, changed=0.0))
    answer(calm, 1)
    assert calm.finished is None
    answer(calm, 1)
    assert calm.finished == "stable"
    assert calm.ask(4).stopped == "stable"
    moving = Session(committee, POOL, n0=0.5, stopping=StopWhenStable(answers=8, changed=0.0))
    answer(moving, 2)
    assert moving.finished is None
    with pytest.raises(ParameterError, match="changed"):
        StopWhenStable(changed=2.0)


def test_stability_looks_back_as_far_as_it_says() -> None:
    stop = StopWhenStable(answers=4, changed=0.25)

    def rule(history: list[tuple[int, np.ndarray]]) -> bool:
        return stop(Progress(6, history, Tally(np.zeros(4)), np.arange(3)))

    a, b = np.array([0, 0, 0, 0]), np.array([1, 1, 0, 0])
    assert not rule([])
    assert not rule([(0, a), (2, a)])
    assert rule([(0, b), (2, a), (4, a), (6, a)])  # the change before answer 2 is too long ago
    assert not rule([(0, a), (2, b), (4, a), (6, a)])
    assert rule([(0, a), (4, np.array([0, 0, 0, 1]))])


def test_skipped_tracks_are_not_asked_again_but_may_be_answered(committee: Committee) -> None:
    session = Session(committee, POOL)
    first, *others = session.ask(3)
    session.skip(first)
    assert list(session.ask(3)) == others
    session.tell(dict.fromkeys(others, "Q1"))
    assert first not in session.ask(3)
    session.tell({first: "Q4"})
    assert session.answers[first] == "Q4"
    session.undo(first)
    session.tell(dict.fromkeys(session.ask(1), "Q1"))
    assert first in session.ask(POOL.n_tracks)


# ---- errors leave the state as it was -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda asked, done, other: {asked[0]: "Q1", "nowhere": "Q1"}, UnknownTrackError),
        (lambda asked, done, other: {asked[0]: "Q1", other: "Q1"}, NotAskedError),
        (lambda asked, done, other: {asked[0]: "Q1", done: "Q1"}, AlreadyAnsweredError),
        (lambda asked, done, other: {asked[0]: "Q1", asked[1]: "happy"}, LabelError),
        (lambda asked, done, other: {asked[0]: "Q1", asked[1]: 1}, LabelError),
        (lambda asked, done, other: {asked[0]: "Q1", asked[1]: None}, LabelError),
        (lambda asked, done, other: {asked[0]: "Q1", asked[1]: ["Q1"]}, LabelError),
        (lambda asked, done, other: [asked[0]], ParameterError),
    ],
)
def test_a_wrong_answer_changes_nothing(
    committee: Committee, wrong: Callable[..., Any], error: type[Exception]
) -> None:
    session = Session(committee, POOL)
    answer(session, 1)
    done = next(iter(session.answers))
    asked = list(session.ask(3))
    other = next(t for t in POOL.track_ids.tolist() if t not in asked and t not in session.answers)
    before = fingerprint(session)
    with pytest.raises(error):
        session.tell(wrong(asked, done, other))
    assert fingerprint(session) == before
    session.tell(dict.fromkeys(asked, "Q1"))


def test_an_update_that_fails_changes_nothing(committee: Committee, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(committee, POOL)
    query = session.ask(2)
    before = fingerprint(session)

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("dissensus.personalisation.update.replay", fail)
        with pytest.raises(MemoryError):
            session.tell(dict.fromkeys(query, "Q1"))
    assert fingerprint(session) == before
    session.tell(dict.fromkeys(query, "Q1"))
    assert session.n_answers == 2


def test_other_wrong_steps(committee: Committee) -> None:
    session = Session(committee, POOL)
    query = list(session.ask(2))
    session.tell({query[0]: "Q1"})
    before = fingerprint(session)
    for step, track, error in (
        (session.undo, "nowhere", UnknownTrackError),
        (session.undo, query[1], NotAskedError),
        (session.skip, "nowhere", UnknownTrackError),
        (session.skip, query[0], AlreadyAnsweredError),
    ):
        with pytest.raises(error):
            step(track)
    with pytest.raises(UnknownTrackError):
        session.predict_proba(["nowhere"])
    with pytest.raises(ParameterError, match="k=0"):
        session.ask(0)
    assert fingerprint(session) == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strategy": "best"}, ParameterError),
        ({"strategy": "hc"}, ParameterError),
        ({"update": "online"}, ParameterError),
        ({"budget": 0}, ParameterError),
        ({"crowd": (np.zeros((2, 4)), np.zeros(2))}, ParameterError),
        ({"model": object()}, ParameterError),
    ],
)
def test_combinations_that_cannot_work_are_refused(committee: Committee, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Session(committee, POOL, **options)


def test_a_pool_of_other_features_is_refused(committee: Committee) -> None:
    with pytest.raises(FeatureMismatchError):
        Session(committee, Pool(POOL.X[:, :-1], POOL.track_ids[POOL.groups]))


# ---- exactness ----------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.permutations(range(8)), st.integers(0, 7))
def test_undo_is_as_if_never_answered_in_any_order(committee: Committee, order: list[int], gone: int) -> None:
    first = Session(committee, POOL)
    tracks = list(first.ask(8))
    for i in order:
        first.tell({tracks[i]: truth(tracks[i])})
    first.undo(tracks[gone])
    never = Session(committee, POOL)
    never.tell({t: truth(t) for i, t in enumerate(never.ask(8)) if i != gone})
    assert first.member_proba().tobytes() == never.member_proba().tobytes()
    assert list(first.ask(4)) == list(never.ask(4)) == [tracks[gone]]
    for session in (first, never):
        session.tell({tracks[gone]: "Q1"})
    assert first.member_proba().tobytes() == never.member_proba().tobytes()
    assert list(first.ask(4)) == list(never.ask(4))


def test_undoing_everything_gives_the_start_back(committee: Committee) -> None:
    for update in ("replay", "incremental"):
        session = Session(committee, POOL, update=update)
        start = session.member_proba()
        answer(session, 2, k=2)
        for track in list(session.answers):
            session.undo(track)
        assert session.answers == {}
        np.testing.assert_array_equal(session.member_proba(), start)


def test_incremental_undo_learns_the_other_batches_anew(committee: Committee) -> None:
    session = Session(committee, POOL, update="incremental", strategy="rand")
    answer(session, 3, k=2)
    batches = [list(q) for q in session.queries]
    session.undo(batches[1][0])
    again = Session(committee, POOL, update="incremental", strategy="rand")
    for batch in batches:
        assert list(again.ask(2)) == batch
        again.tell({t: truth(t) for t in batch if t != batches[1][0]})
        if batch is batches[1]:
            again.skip(batch[0])
    np.testing.assert_array_equal(session.member_proba(), again.member_proba())


def test_an_answer_is_changed_by_undo_and_tell(committee: Committee) -> None:
    session = Session(committee, POOL)
    answer(session, 2)
    track = next(iter(session.answers))
    with pytest.raises(AlreadyAnsweredError, match="undo"):
        session.tell({track: "Q4"})
    session.undo(track)
    session.tell({track: "Q4"})
    assert session.answers[track] == "Q4"


def test_the_same_seed_repeats_a_session_whatever_the_order_of_the_pool(committee: Committee) -> None:
    perm = np.random.default_rng(4).permutation(POOL.n_windows)
    shuffled = Pool(POOL.X[perm], POOL.track_ids[POOL.groups][perm])
    for strategy in ("mc", "rand"):
        asked = []
        for pool in (POOL, shuffled):
            session = Session(committee, pool, strategy=strategy, balanced=True, random_state=9, listener="ann")
            answer(session, 3)
            asked.append([list(q) for q in session.queries])
        assert asked[0] == asked[1]
    other = Session(committee, POOL, strategy="rand", random_state=10, listener="ann")
    assert list(other.ask(4)) != asked[0][0]
    bob = Session(committee, POOL, strategy="rand", random_state=9, listener="bob")
    assert list(bob.ask(4)) != asked[0][0]


def test_labels_of_unasked_tracks_are_never_read(committee: Committee) -> None:
    """Two listeners who agree on what they were asked are asked the same, whatever they think of the rest."""
    own = DATA.annotations.listener_id == LISTENER
    changed = DATA.annotations.label.copy()
    changed[own] = (changed[own] + 1) % 4
    twisted = type(DATA.annotations)(DATA.annotations.listener_id, DATA.annotations.track_id, changed, DATA.classes)
    for strategy in ("hc", "mix", "mix-stack"):
        asked = []
        for crowd in (DATA.annotations, twisted):
            session = Session(committee, POOL, strategy=strategy, crowd=crowd, listener=LISTENER, balanced=True)
            answer(session, 3)
            asked.append([(list(q), q.reason) for q in session.queries])
        assert asked[0] == asked[1]


def test_own_vote_in_the_crowd_would_be_noticed(committee: Committee) -> None:
    """The test above can fail: without the listener's name their votes do count."""
    named = Session(committee, POOL, strategy="hc", crowd=DATA.annotations, listener=LISTENER)
    unnamed = Session(committee, POOL, strategy="hc", crowd=DATA.annotations)
    assert list(named.ask(40)) != list(unnamed.ask(40))


def test_the_crowd_may_come_ready_made_and_in_another_order_of_classes(committee: Committee) -> None:
    swapped = type(DATA.annotations)(
        DATA.annotations.listener_id, DATA.annotations.track_id, 3 - DATA.annotations.label, ("Q4", "Q3", "Q2", "Q1")
    )
    straight = Session(committee, POOL, strategy="hc", crowd=DATA.annotations, listener=LISTENER).ask(6)
    turned = Session(committee, POOL, strategy="hc", crowd=swapped, listener=LISTENER).ask(6)
    assert (list(straight), straight.reason) == (list(turned), turned.reason)
    proba = np.full((POOL.n_tracks, 4), 0.25)
    ready = Session(committee, POOL, strategy="hc", crowd=(proba, np.ones(POOL.n_tracks))).ask(2)
    assert ready.tie_size.tolist() == [POOL.n_tracks] * 2
    foreign = type(swapped)(swapped.listener_id, swapped.track_id, swapped.label, ("a", "b", "c", "d"))
    with pytest.raises(ClassMismatchError, match="other classes"):
        Session(committee, POOL, strategy="hc", crowd=foreign)


def test_a_session_goes_on_where_an_earlier_one_stopped(committee: Committee) -> None:
    first = Session(committee, POOL, balanced=True, listener="ann", budget=16)
    answer(first, 2)
    later = Session(committee, POOL, balanced=True, listener="ann", budget=16, answers=first.answers)
    assert later.answers == first.answers
    assert later.member_proba().tobytes() == first.member_proba().tobytes()
    for session in (first, later):
        answer(session, 2)
    assert [list(q) for q in later.queries] == [list(q) for q in first.queries[2:]]
    assert later.finished == first.finished == "budget"
    old = next(iter(first.answers))
    later.undo(old)
    later.tell({old: "Q1"})
    assert later.answers[old] == "Q1"
    assert "16 answers" in repr(later)
    with pytest.raises(LabelError):
        Session(committee, POOL, answers={POOL.track_ids[0]: "Q9"})


# ---- cold start, other models, threads ----------------------------------------------------------------------------


def test_cold_start_goes_by_diversity_until_there_are_answers() -> None:
    cold = Committee.cold_start(CLASSES, POOL.n_features, kinds=("gnb", "sgd"))
    session = Session(cold, POOL, strategy="mc")
    query = session.ask(4)
    assert query.strategy == "diverse"
    assert all("nothing is known yet" in why for why in query.reason)
    session.tell(dict(zip(query, CLASSES, strict=True)))
    follow = session.ask(4)
    assert follow.strategy == "mc"
    assert "nats" in follow.reason[0]
    assert not np.allclose(session.predict_proba(), 0.25)


def test_integer_classes_understand_quadrant_names() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 10)
    X = rng.normal(size=(40, 3)) + y[:, None]
    numbers = Committee.pretrain(X, y, np.arange(40), kinds=("gnb",), n_folds=2)
    session = Session(numbers, Pool(X, np.arange(40)))
    first, second, third = session.ask(3)
    session.tell({first: "Q2", second: 3, np.int64(third): np.int64(0)})
    assert session.answers == {first: 1, second: 3, third: 0}
    with pytest.raises(LabelError):
        session.tell({session.ask(1).track_ids[0]: True})


class Tally:
    """The least that a session can learn with: Laplace counts of the answers, the same for every track."""

    classes_ = CLASSES

    def __init__(self, counts: NDArray[np.float64]) -> None:
        self.counts = counts
        self.informed = True

    def pool_proba(self) -> NDArray[np.float32]:
        row = (self.counts + 1) / (self.counts.sum() + 4)
        return np.tile(row, (1, POOL.n_tracks, 1)).astype(np.float32)

    def update(self, told: Told) -> Tally:
        return Tally(np.bincount(columns_of(told)[1], minlength=4).astype(np.float64))


def test_any_learner_will_do() -> None:
    session = Session(None, POOL, model=Tally(np.zeros(4)))
    session.tell(dict.fromkeys(session.ask(4), "Q3"))
    assert session.predict_proba()[0].tolist() == pytest.approx([1 / 8, 1 / 8, 5 / 8, 1 / 8])
    with pytest.raises(SessionError, match="no committee"):
        _ = session.committee
    session.undo(next(iter(session.answers)))
    assert session.predict_proba()[0, 2] == pytest.approx(4 / 7)


def test_sessions_share_one_scoring_of_the_pool(committee: Committee) -> None:
    shared = CommitteeLearner(committee, POOL)
    scored = shared.pool_proba()
    ann, bob = (Session(None, POOL, model=shared, listener=who) for who in ("ann", "bob"))
    assert ann.learner.pool_proba() is bob.learner.pool_proba() is scored
    answer(ann, 1)
    assert ann.learner.pool_proba() is not scored
    np.testing.assert_array_equal(bob.member_proba(), scored)
    with pytest.raises(ValueError, match="read-only"):
        scored[0, 0, 0] = 1.0


def test_a_model_of_another_pool_is_refused() -> None:
    with pytest.raises(ParameterError, match="for this pool"):
        Session(None, POOL.subset(POOL.track_ids[:5]), model=Tally(np.zeros(4)))


def test_the_crowd_and_its_listener_model_can_be_asked_through_a_session() -> None:
    everybody = ListenerModel(POOL, DATA.annotations)
    session = Session(
        None, POOL, model=everybody.for_listener(LISTENER), strategy="mix", crowd=DATA.annotations, listener=LISTENER
    )
    start = session.predict_proba()
    tracks = list(session.ask(4))
    session.tell(dict.fromkeys(tracks, "Q3"))
    assert session.predict_proba(tracks)[:, 2].mean() > start[POOL.index_of(tracks), 2].mean()
    for track in tracks:
        session.undo(track)
    np.testing.assert_array_equal(session.predict_proba(), start)


def test_two_threads_tell_without_losing_or_doubling_an_answer(committee: Committee) -> None:
    session = Session(committee, POOL)
    tracks = list(session.ask(12))
    refused: list[str] = []
    start = threading.Barrier(3)

    def work(mine: list[str]) -> None:
        start.wait()
        for track in mine:
            session.ask(5)
            try:
                session.tell({track: truth(track)})
            except AlreadyAnsweredError:
                refused.append(track)
            assert session.predict_proba(mine).shape == (len(mine), 4)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (tracks, tracks[::-1], tracks[::2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 12 + 6
    alone = Session(committee, POOL)
    alone.tell({track: truth(track) for track in alone.ask(12)})
    assert session.answers == dict(sorted(alone.answers.items(), key=lambda kv: list(session.answers).index(kv[0])))
    assert session.member_proba().tobytes() == alone.member_proba().tobytes()
