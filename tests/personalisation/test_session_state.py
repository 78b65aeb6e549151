"""A session that is brought back from its state, by value, JSON, pickle or copy, is the one that was left."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from crowds import draw_crowd
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dissensus import Committee, Pool, Session
from dissensus.errors import DataFormatError, ParameterError, SessionError
from dissensus.personalisation import (
    AskingPool,
    ListenerModel,
    SessionState,
    StopWhenLearnt,
    StopWhenStable,
)

CLASSES = ["a", "b", "c"]
RNG = np.random.default_rng(0)
TRACK = np.repeat(np.arange(60), 2)
X = RNG.normal(size=(120, 4)) + 1.5 * (TRACK[:, None] % 3 == np.arange(4))
COMMITTEE = Committee.pretrain(X, np.array(CLASSES)[TRACK % 3], TRACK, kinds=("gnb", "sgd"), n_folds=2)
CATALOG = Pool(RNG.normal(size=(72, 4)) + 0.5, np.repeat([f"t{i}" for i in range(24)], 3))
NUMBERED = Pool(CATALOG.X, np.repeat(np.arange(24), 3))
PLACES = [CATALOG, NUMBERED, AskingPool(CATALOG, [f"t{i}" for i in (20, 3, 5, 7, 11, 2, 0, 17, 8, 9, 4, 1)])]
CROWD = (RNG.dirichlet(np.ones(3), 24).astype(np.float32), RNG.integers(0, 4, 24))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301


def outcome(call: Any) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        return shown(call())
    except SessionError as error:
        return type(error).__name__, str(error)


def shown(value: Any) -> Any:
    if hasattr(value, "track_ids") and hasattr(value, "reason"):
        shape = value.track_ids.tolist(), value.utility.tolist(), value.reason, value.tie_size.tolist()
        return (*shape, value.strategy, value.stopped, value.at_random.tolist())
    return value.tolist() if isinstance(value, np.ndarray) else value


def everything(session: Session) -> dict[str, Any]:
    """All that can be seen of a session."""
    return {
        "answers": list(session.answers.items()),
        "queries": [shown(query) for query in session.queries],
        "finished": session.finished,
        "proba": session.member_proba().tobytes(),
        "scores": session.scores(session.catalog.track_ids[[3, 0, 23]]).tobytes(),
        "ranked": shown(session.rank(session.catalog.track_ids, "b", k=7).track_ids),
        "state": session.state,
    }


class Kept(RuleBasedStateMachine):
    """One session lives; another is brought back from its state before every step. Both must say and do the same."""

    made: ClassVar[dict[str, Any]] = {}

    @initialize(
        place=st.sampled_from(PLACES),
        strategy=st.sampled_from(["mc", "hc", "mix", "mix-stack", "rand", "rand-balanced"]),
        update=st.sampled_from(["replay", "incremental"]),
        more=st.fixed_dictionaries(
            {},
            optional={
                "balanced": st.booleans(),
                "budget": st.integers(1, 9),
                "random_share": st.sampled_from([0.0, 0.3, 1.0]),
                "stopping": st.sampled_from(
                    [StopWhenStable(answers=2, changed=0.1), StopWhenStable(answers=3, changed=0.0)]
                ),
                "listener": st.sampled_from(["ann", 7, None]),
                "random_state": st.sampled_from([3, np.random.SeedSequence(5, spawn_key=(1, 2))]),
                "n0": st.sampled_from([3.0, 20.0]),
            },
        ),
        cold=st.booleans(),
        given=st.integers(0, 2),
    )
    def begin(self, place: Any, strategy: str, update: str, more: dict[str, Any], cold: bool, given: int) -> None:
        self.place = place
        self.committee = Committee.cold_start(CLASSES, 4, kinds=("gnb", "sgd")) if cold else COMMITTEE
        n_tracks = place.pool.n_tracks if isinstance(place, AskingPool) else place.n_tracks
        self.crowd = tuple(part[:n_tracks] for part in CROWD)
        catalog = place.catalog if isinstance(place, AskingPool) else place
        answers = {catalog.track_ids[i]: "c" for i in range(given)} or None
        self.live = Session(
            self.committee, place, strategy=strategy, update=update, crowd=self.crowd, answers=answers, **more
        )

    def back(self, how: str) -> Session:
        state = self.live.state
        if how == "pickle":
            return pickled(self.live)
        if how == "copy":
            return copy.deepcopy(self.live)
        if how == "json":
            state = SessionState.from_json(state.to_json())
            assert state == self.live.state
        return Session(self.committee, self.place, crowd=self.crowd, state=state)

    def both(self, how: str, step: Any) -> None:
        again = self.back(how)
        assert everything(again) == everything(self.live)
        assert outcome(lambda: step(again)) == outcome(lambda: step(self.live))
        assert everything(again) == everything(self.live)

    hows = st.sampled_from(["state", "json", "json", "copy", "pickle"])

    @rule(how=hows, k=st.integers(1, 4))
    def ask(self, how: str, k: int) -> None:
        self.both(how, lambda s: s.ask(k))

    @precondition(lambda self: self.live.queries)
    @rule(how=hows, data=st.data())
    def tell(self, how: str, data: st.DataObject) -> None:
        asked = [t for query in self.live.queries[-2:] for t in query]
        some = data.draw(st.lists(st.sampled_from(asked), min_size=1, max_size=3, unique=True)) if asked else []
        labels = data.draw(st.lists(st.sampled_from(CLASSES), min_size=len(some), max_size=len(some)))
        self.both(how, lambda s: s.tell(dict(zip(some, labels, strict=True))))

    @precondition(lambda self: self.live.queries)
    @rule(how=hows, data=st.data())
    def skip(self, how: str, data: st.DataObject) -> None:
        asked = [t for query in self.live.queries for t in query]
        track = data.draw(st.sampled_from(asked)) if asked else "t0"
        self.both(how, lambda s: s.skip(track))

    @precondition(lambda self: self.live.answers)
    @rule(how=hows, data=st.data())
    def undo(self, how: str, data: st.DataObject) -> None:
        track = data.draw(st.sampled_from(sorted(self.live.answers, key=str)))
        self.both(how, lambda s: s.undo(track))


Kept.TestCase.settings = settings(max_examples=25, stateful_step_count=10, deadline=None)
test_after_any_history_a_session_comes_back_as_it_was = Kept.TestCase


def test_a_listener_models_session_comes_back_with_its_open_query_and_stops_alike() -> None:
    crowd = draw_crowd(4, n_tracks=40)
    pool, said = crowd.pool(), crowd.annotations()
    model = ListenerModel(pool, said)
    session = Session(
        None, pool, model=model, listener="listener 3", crowd=said, strategy="mix", stopping=StopWhenLearnt(answers=6)
    )
    for step in range(3):
        query = session.ask(3)
        session.skip(query.track_ids[0])
        session.tell(dict.fromkeys(list(query)[1:], said.classes[step]))
    query = session.ask(4)
    state = SessionState.from_json(session.state.to_json())
    again = Session(None, pool, model=model, crowd=said, state=state)
    assert (again.listener, again.strategy, again.stopping) == ("listener 3", "mix", StopWhenLearnt(answers=6))
    for other in (again, pickled(session), copy.deepcopy(session)):
        assert shown(other.ask(9)) == shown(query)
        np.testing.assert_array_equal(other.member_proba(), session.member_proba())
        other.tell(dict.fromkeys(query, said.classes[0]))
    session.tell(dict.fromkeys(query, said.classes[0]))
    assert shown(again.ask(3)) == shown(session.ask(3))


def test_integer_ids_and_answers_survive_json() -> None:
    session = Session(COMMITTEE, NUMBERED)
    session.tell(dict.fromkeys(session.ask(3), "a"))
    told = json.loads(json.dumps(session.answers))
    assert all(isinstance(track, str) for track in told)
    again = Session(COMMITTEE, NUMBERED, answers=told)
    assert shown(again.ask(2)) == shown(session.ask(2))


def test_a_state_is_refused_where_it_does_not_fit() -> None:
    session = Session(COMMITTEE, CATALOG, strategy="rand", listener="ann")
    session.tell(dict.fromkeys(session.ask(2), "a"))
    state = session.state
    with pytest.raises(ParameterError, match="strategy='mix', but the state is of a session with 'rand'"):
        Session(COMMITTEE, CATALOG, strategy="mix", crowd=CROWD, state=state)
    with pytest.raises(ParameterError, match="listener='bob'"):
        Session(COMMITTEE, CATALOG, listener="bob", state=state)
    with pytest.raises(ParameterError, match="another committee"):
        Session(_other(), CATALOG, state=state)
    with pytest.raises(ParameterError, match="not both"):
        Session(COMMITTEE, CATALOG, state=state, answers={})
    assert Session(COMMITTEE, CATALOG, strategy="rand", listener="ann", state=state).answers == session.answers
    twice = replace(state, told=(*state.told, state.told[0]))
    with pytest.raises(ParameterError, match="answers a track twice"):
        Session(COMMITTEE, CATALOG, state=twice)


def _other() -> Committee:
    return Committee.pretrain(X, np.array(CLASSES)[TRACK % 3], TRACK, kinds=("gnb",), n_folds=2)


def test_damaged_states_are_refused_by_what_they_are() -> None:
    session = Session(COMMITTEE, CATALOG)
    session.ask(2)
    good = json.loads(session.state.to_json())
    for change, words in (
        ({"version": 2}, "version 2; this release reads version 1"),
        ({"told": 3}, "not a session state"),
        ({"queries": [{"track_ids": ["t1"]}]}, "not a session state"),
        ({"queries": [good["queries"][0] | {"utility": [1.0]}]}, "differ in number"),
    ):
        with pytest.raises(DataFormatError, match=words):
            SessionState.from_json(json.dumps(good | change))
    for text in ("", "[]", "null", "{}"):
        with pytest.raises(DataFormatError, match="not a session state"):
            SessionState.from_json(text)
    for broken in ({"seed": 3}, {"stopping": {"rule": "never"}}, {"colour": 1}):
        state = replace(session.state, settings=session.state.settings | broken)
        with pytest.raises(DataFormatError, match="settings of this state"):
            Session(COMMITTEE, CATALOG, state=state)
    with pytest.raises(ParameterError, match="cannot be written as JSON"):
        Session(COMMITTEE, CATALOG, listener=object()).state.to_json()


def test_a_copy_goes_on_by_itself_and_shares_what_never_changes() -> None:
    session = Session(COMMITTEE, CATALOG)
    session.tell(dict.fromkeys(session.ask(2), "a"))
    copied = copy.deepcopy(session)
    assert copied.pool is session.pool
    copied.tell(dict.fromkeys(copied.ask(2), "b"))
    assert (copied.n_answers, session.n_answers) == (4, 2)


def test_a_learner_pickles_with_what_it_was_told() -> None:
    session = Session(COMMITTEE, CATALOG)
    session.tell(dict.fromkeys(session.ask(2), "a"))
    again = pickled(session.learner)
    np.testing.assert_array_equal(again.pool_proba(), session.learner.pool_proba())
    assert again.told == session.learner.told
    assert copy.deepcopy(session.learner) is session.learner
