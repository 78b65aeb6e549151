"""Many listeners in bounded memory: what is dropped comes back as it was, nobody waits for another, nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dissensus import Committee, Pool, Session
from dissensus.errors import ParameterError, StoreError
from dissensus.personalisation import CommitteeLearner, SessionKeeper, SessionState

RNG = np.random.default_rng(2)
Y = np.tile(["calm", "loud", "sad"], 40)
X = RNG.normal(size=(120, 4)) + 1.5 * (Y[:, None] == ["calm", "loud", "sad", ""])
POOL = Pool(RNG.normal(size=(200, 4)) + 0.5, [f"t{i}" for i in range(200)])


def learner(seed: int = 0) -> CommitteeLearner:
    return CommitteeLearner(
        Committee.pretrain(X, Y, np.arange(120), kinds=("gnb", "sgd"), n_folds=2, random_state=seed), POOL
    )


SHARED = learner()


def make(who: Hashable, state: SessionState | None) -> Session:
    return Session(None, POOL, model=SHARED, listener=who, state=state)


class Texts:
    """A store that keeps states as JSON text, as a table would."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, str] = {}
        self.fails = False

    def load(self, listener: Hashable) -> SessionState | None:
        return SessionState.from_json(self.kept[listener]) if listener in self.kept else None

    def save(self, listener: Hashable, state: SessionState) -> None:
        if self.fails:
            raise StoreError("the disk is full; make room")
        self.kept[listener] = state.to_json()


def step(keeper: SessionKeeper, who: str, said: str = "sad") -> list[str]:
    with keeper.session(who) as session:
        query = session.ask(3)
        session.tell(dict.fromkeys(query, said))
        return list(query)


def test_a_listener_who_was_dropped_goes_on_as_one_who_stayed() -> None:
    tight, roomy = SessionKeeper(Texts(), make, limit_bytes=0), SessionKeeper(Texts(), make, limit_bytes=1 << 30)
    for turn in range(3):
        for who in ("ann", "bob", "eve"):
            assert step(tight, who, "calm" if turn else "loud") == step(roomy, who, "calm" if turn else "loud")
    with tight.session("bob") as one, roomy.session("bob") as other:
        np.testing.assert_array_equal(one.predict_proba(), other.predict_proba())
    assert (tight.stats.hits, tight.stats.misses, tight.stats.n_live, tight.stats.nbytes) == (0, 10, 0, 0)
    assert (roomy.stats.hits, roomy.stats.misses, roomy.stats.evictions) == (7, 3, 0)


def test_the_least_recently_used_goes_first_and_the_limit_holds() -> None:
    one = SessionKeeper(Texts(), make, limit_bytes=1 << 30)
    step(one, "ann")
    keeper = SessionKeeper(Texts(), make, limit_bytes=int(2.5 * one.stats.nbytes))
    for who in ("ann", "bob", "ann", "eve"):
        step(keeper, who)
        assert keeper.stats.nbytes <= keeper.limit_bytes
    assert keeper.stats.evictions >= 1
    before = keeper.stats
    with keeper.session("eve"):
        pass
    assert keeper.stats.hits == before.hits + 1
    with keeper.session("bob"):
        pass
    assert keeper.stats.misses == before.misses + 1


def test_one_in_use_is_not_dropped_and_a_look_saves_nothing() -> None:
    store = Texts()
    keeper = SessionKeeper(store, make, limit_bytes=0)
    with keeper.session("ann") as ann:
        step(keeper, "bob")
        assert keeper.stats.n_live == 1
        assert ann.predict_proba().shape == (200, 3)
    assert set(store.kept) == {"bob"}


def test_where_saving_fails_the_next_use_starts_from_what_was_saved() -> None:
    store = Texts()
    keeper = SessionKeeper(store, make, limit_bytes=1 << 30)
    step(keeper, "ann")
    store.fails = True
    with pytest.raises(StoreError, match="make room"):
        step(keeper, "ann")
    store.fails = False
    with keeper.session("ann") as session:
        assert session.n_answers == 3


def test_an_error_in_the_block_keeps_the_steps_before_it() -> None:
    keeper = SessionKeeper(Texts(), make, limit_bytes=0)

    def broken() -> None:
        with keeper.session("ann") as session:
            session.tell(dict.fromkeys(session.ask(2), "sad"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    with keeper.session("ann") as session:
        assert session.n_answers == 2
    with pytest.raises(ParameterError, match="limit_bytes"):
        SessionKeeper(Texts(), make, limit_bytes=-1)


def test_threads_lose_no_answer_and_different_listeners_do_not_wait_for_each_other() -> None:
    keeper = SessionKeeper(Texts(), make, limit_bytes=40_000)
    names = [f"listener {i % 8}" for i in range(64)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda who: step(keeper, who), names))
    for who in set(names):
        with keeper.session(who) as session:
            assert session.n_answers == 24
    with keeper.session("ann"):
        other = threading.Thread(target=step, args=(keeper, "bob"))
        other.start()
        other.join(timeout=30)
        assert not other.is_alive()


def test_a_refit_moves_sessions_to_the_new_start_and_nobody_waits() -> None:
    keeper, tonight = SessionKeeper(Texts(), make, limit_bytes=1 << 30), learner(seed=7)
    for who in ("ann", "bob"):
        step(keeper, who)

    def renewed(who: Hashable, state: SessionState | None) -> Session:
        return Session(None, POOL, model=tonight, listener=who, state=state)

    done = []
    with keeper.session("bob") as bob:  # in use: it keeps answering as it did, and comes over at its next use
        before = bob.predict_proba()
        thread = threading.Thread(target=lambda: done.append(keeper.refit(renewed)))
        thread.start()
        thread.join(timeout=30)
        assert done == [1]
        np.testing.assert_array_equal(bob.predict_proba(), before)
    for who in ("ann", "bob", "eve"):
        with keeper.session(who) as session:
            fresh = Session(None, POOL, model=tonight, answers=session.answers)
            np.testing.assert_array_equal(session.predict_proba(), fresh.predict_proba())


def test_a_dropped_session_is_loaded_again() -> None:
    store = Texts()
    keeper = SessionKeeper(store, make, limit_bytes=1 << 30)
    step(keeper, "ann")
    keeper.drop("ann")
    assert keeper.stats.n_live == keeper.stats.nbytes == 0
    with keeper.session("ann") as session:
        assert session.n_answers == 3


@pytest.mark.slow
def test_ten_thousand_listeners_stay_under_a_gigabyte() -> None:
    store, shared = Texts(), learner()
    keeper = SessionKeeper(
        store, lambda who, state: Session(None, POOL, model=shared, listener=who, state=state), limit_bytes=100 << 20
    )
    traffic = np.random.default_rng(0).zipf(1.3, 20_000) % 10_000
    for who in [*range(10_000), *traffic.tolist()]:
        step(keeper, str(who))
    assert keeper.stats.nbytes <= 100 << 20
    assert len(store.kept) == 10_000
