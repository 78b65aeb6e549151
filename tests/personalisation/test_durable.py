"""Sessions in a store: any history folds to the live state, in any process, and nothing counts before it is on disk."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import Committee, Pool, Session
from dissensus.errors import (
    AlreadyAnsweredError,
    ConsentError,
    KeyReusedError,
    NotAskedError,
    ParameterError,
    StoreError,
    UnknownListenerError,
)
from dissensus.personalisation.durable import DurableSession, fold
from dissensus.personalisation.stopping import StopWhenStable
from dissensus.store import Consent, open_store
from dissensus.store.sql import SqlStore

RNG = np.random.default_rng(5)
LABELS = np.tile(["calm", "loud"], 40)
X = RNG.normal(size=(80, 3)) + 1.5 * (LABELS == "loud")[:, None]
COMMITTEE = Committee.pretrain(X, LABELS, np.arange(80), kinds=("gnb", "sgd"), n_folds=2)
POOL = Pool(RNG.normal(size=(24, 3)), [f"track {i}" for i in range(24)])
NUMBERED = Pool(RNG.normal(size=(24, 3)), list(range(100, 124)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with open_store(tmp_path / "s.db") as made:
        yield made


def listener(store: SqlStore) -> str:
    return store.create([Consent("personalise", "1")], seed=11)


def opened(store: SqlStore, who: str, pool: Pool = POOL, **more: object) -> DurableSession:
    return Session.open(store, who, COMMITTEE, pool, **more)  # type: ignore[arg-type]


def same(one: Session, other: Session) -> None:
    assert one.state == other.state
    np.testing.assert_array_equal(one.predict_proba(), other.predict_proba())
    assert one.finished == other.finished


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "tell", "tell all", "skip", "undo"]), st.integers(0, 5)), max_size=14
)


@pytest.mark.parametrize("pool", [POOL, NUMBERED], ids=["texts", "numbers"])
@pytest.mark.parametrize(
    "more", [{}, {"update": "incremental"}, {"stopping": StopWhenStable(answers=4, changed=0.2)}], ids=str
)
@given(steps=STEPS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_history_folds_to_the_live_state(
    store: SqlStore, pool: Pool, more: dict[str, object], steps: list[tuple[str, int]]
) -> None:
    who = listener(store)
    live = opened(store, who, pool, **more)
    for step, number in steps:
        try:
            waiting = list(live.ask(3))
            if step == "tell":
                live.tell({waiting[number % len(waiting)]: ["calm", "loud"][number % 2]})
            elif step == "tell all":
                live.tell({track: ["calm", "loud"][(number + i) % 2] for i, track in enumerate(waiting)})
            elif step == "skip":
                live.skip(waiting[number % len(waiting)])
            elif step == "undo" and live.answers:
                live.undo(list(live.answers)[number % len(live.answers)])
        except (NotAskedError, AlreadyAnsweredError, ZeroDivisionError):
            pass
    again = opened(store, who, pool, **more)
    same(live, again)
    log = store.events(who)
    folded = fold(log, live.state.settings, live.state.base)
    assert Session(COMMITTEE, pool, state=folded).state == live.state
    assert list(again.ask(2)) == list(live.ask(2))


def test_two_processes_about_one_listener_see_each_other(store: SqlStore) -> None:
    who = listener(store)
    one, other = opened(store, who), opened(store, who)
    query = one.ask(3)
    assert list(other.ask(3)) == list(query)
    other.tell({query.track_ids[0]: "loud"})
    with pytest.raises(AlreadyAnsweredError):
        one.tell({query.track_ids[0]: "calm"})
    one.tell({query.track_ids[1]: "calm"})
    assert other.refresh() and not other.refresh()
    same(one, other)


def test_of_sessions_that_answer_at_once_each_answer_counts_once(store: SqlStore) -> None:
    who = listener(store)
    sessions = [opened(store, who) for _ in range(3)]
    query = sessions[0].ask(12)
    won: list[object] = []

    def answer(session: DurableSession) -> None:
        for track in query:
            try:
                session.tell({track: "loud"})
                won.append(track)
            except AlreadyAnsweredError:
                pass

    threads = [threading.Thread(target=answer, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, won)) == sorted(map(str, query))
    assert opened(store, who).n_answers == 12


def test_a_step_that_the_store_refuses_did_not_happen(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(store, listener(store))
    query = session.ask(2)
    before = session.state

    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "append", fail)
    for step in (
        lambda: session.tell({query.track_ids[0]: "loud"}),
        lambda: session.skip(query.track_ids[0]),
    ):
        with pytest.raises(StoreError, match="full"):
            step()
        assert session.state == before


def test_a_request_that_is_sent_twice_counts_once(store: SqlStore) -> None:
    who = listener(store)
    session = opened(store, who)
    first, second = session.ask(2)
    session.tell({first: "loud"}, key="k", detail={first: {"word": "heimelig"}})
    session.tell({first: "loud"}, key="k")
    opened(store, who).tell({first: "loud"}, key="k")
    assert session.n_answers == 1 and store.version(who) == 2
    assert store.events(who)[1].detail["word"] == "heimelig"
    with pytest.raises(KeyReusedError):
        session.tell({second: "loud"}, key="k")


def test_other_settings_strangers_and_no_consent_are_refused(store: SqlStore) -> None:
    who = listener(store)
    session = opened(store, who)
    session.ask(1)
    with pytest.raises(ParameterError, match="other settings \\(update\\)"):
        opened(store, who, update="incremental")
    with pytest.raises(ParameterError, match="in the store"):
        opened(store, who, answers={"track 1": "loud"})
    with pytest.raises(UnknownListenerError):
        opened(store, "00" * 16)
    store.withdraw_consent(who, "personalise")
    with pytest.raises(ConsentError):
        session.skip(session.ask(1).track_ids[0])


def test_copies_do_not_write_and_erasure_ends_it(store: SqlStore) -> None:
    who = listener(store)
    session = opened(store, who)
    session.tell({session.ask(1).track_ids[0]: "loud"})
    for copying in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="session of a store"):
            copying(session)
    free = Session(COMMITTEE, POOL, state=session.state)
    np.testing.assert_array_equal(free.predict_proba(), session.predict_proba())
    assert store.erase(who).complete
    with pytest.raises(UnknownListenerError, match="erased"):
        session.ask(1)
