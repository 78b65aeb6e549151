"""The listener model: exact deletion, no leak of own answers, nulls on made-up listeners, life in a session."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from crowds import Crowd, draw_crowd
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.committee import Committee
from dissensus.datasets import QUADRANTS, Annotations
from dissensus.errors import DataFormatError, LabelError, ParameterError, UnknownTrackError
from dissensus.features.pool import Pool
from dissensus.personalisation import Session, StopWhenLearnt
from dissensus.personalisation.asking_pool import AskingPool
from dissensus.personalisation.listener.asked import COLUMN_BYTES
from dissensus.personalisation.listener.coratings import CoRatings
from dissensus.personalisation.listener.model import ListenerModel, TrackInfo
from dissensus.personalisation.listener.personal_kernel import (
    JOINT_WEIGHTS,
    PersonalKernel,
    PersonalWeights,
)
from dissensus.personalisation.listener.personal_model import PersonalModel
from dissensus.personalisation.listener.prior import MODELS, Prior
from dissensus.personalisation.listener.ratings import Ratings
from dissensus.personalisation.listener.unrated import UnratedTrees

answer_sets = st.dictionaries(st.integers(0, 29), st.integers(0, 3), min_size=1, max_size=12)


def with_extras(crowd: Crowd, seed: int = 0) -> tuple[Annotations, TrackInfo]:
    rng = np.random.default_rng(seed)
    words = np.eye(3)[rng.integers(0, 3, len(crowd.track))]
    group = np.array(["choir", "folk"])[np.arange(crowd.n_tracks) % 2]
    return crowd.annotations(), TrackInfo(group=group, descriptors=words)


def model_of(crowd: Crowd, **options: Any) -> ListenerModel:
    annotations, info = with_extras(crowd)
    return ListenerModel(crowd.pool(), annotations, info=info, **options)


@pytest.mark.parametrize("kind", MODELS)
@given(seed=st.integers(0, 200), answers=answer_sets, extra=st.tuples(st.integers(0, 29), st.integers(0, 3)))
@settings(max_examples=15)
def test_an_answer_taken_back_was_never_given(
    kind: str, seed: int, answers: dict[int, int], extra: tuple[int, int]
) -> None:
    answers.pop(extra[0], None)
    crowd = draw_crowd(seed)
    there_and_back = model_of(crowd, model=kind).for_listener("listener 1").with_answers(dict([extra]))
    there_and_back = there_and_back.with_answers(answers).without(extra[0])
    never = model_of(crowd, model=kind).for_listener("listener 1").with_answers(answers)
    assert there_and_back.answers == never.answers
    np.testing.assert_allclose(there_and_back.proba, never.proba, rtol=0, atol=1e-10)
    np.testing.assert_allclose(there_and_back.stack_weight, never.stack_weight, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", MODELS)
def test_the_order_of_answers_does_not_matter(kind: str) -> None:
    start = model_of(draw_crowd(3), model=kind).for_listener("listener 0")
    pairs = [(4, 1), (20, 3), (9, 1), (17, 0), (2, 2)]
    one = start
    for pair in pairs:
        one = one.with_answers(dict([pair]))
    other = model_of(draw_crowd(3), model=kind).for_listener("listener 0").with_answers(dict(reversed(pairs)))
    np.testing.assert_allclose(one.proba, other.proba, rtol=0, atol=1e-10)
    assert np.abs(one.proba - start.proba).max() > 1e-3


@given(seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_nothing_a_listener_ever_said_is_in_their_start(seed: int) -> None:
    crowd, other = draw_crowd(seed), draw_crowd(seed)
    own = other.listener == 2
    rng = np.random.default_rng(seed)
    other.label[own] = rng.integers(0, 4, own.sum())
    annotations, info = with_extras(crowd)
    changed = np.array(info.descriptors)
    changed[own] = np.eye(3)[rng.integers(0, 3, own.sum())]
    answers = {1: 0, 5: 3, 12: 2}
    one = ListenerModel(crowd.pool(), annotations, info=info).for_listener("listener 2")
    two = ListenerModel(
        other.pool(), other.annotations(), info=TrackInfo(group=info.group, descriptors=changed)
    ).for_listener("listener 2")
    np.testing.assert_allclose(one.proba, two.proba, rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.with_answers(answers).proba, two.with_answers(answers).proba, rtol=0, atol=1e-10)
    keep = ~own  # nor does it matter that they were there at all
    kept = TrackInfo(group=info.group, descriptors=np.array(info.descriptors)[keep])
    three = ListenerModel(crowd.pool(), annotations.subset(keep), info=kept).for_listener("listener 2")
    np.testing.assert_allclose(one.with_answers(answers).proba, three.with_answers(answers).proba, rtol=0, atol=1e-10)


def test_tracks_left_out_for_evaluation_leave_no_trace() -> None:
    crowd = draw_crowd(5)
    gone = np.array([3, 8, 9])
    annotations, info = with_extras(crowd)
    keep = ~np.isin(crowd.track, gone)
    kept = TrackInfo(group=info.group, descriptors=np.array(info.descriptors)[keep])
    one = model_of(crowd).for_listener("listener 1", without_tracks=gone)
    two = ListenerModel(crowd.pool(), annotations.subset(keep), info=kept).for_listener("listener 1")
    answers = {0: 1, 7: 2}
    np.testing.assert_allclose(one.with_answers(answers).proba, two.with_answers(answers).proba, atol=1e-10)


def listeners_gain(personal: float, *, permuted: bool = False, from_prior: bool = False) -> np.ndarray:
    """Change of held-out NLL by 40 answers, for listeners of a crowd with so much personal taste."""
    crowd = draw_crowd(11, n_tracks=90, n_listeners=24, share=0.8, personal=personal, unrated=0)
    model = ListenerModel(crowd.pool(), crowd.annotations())
    gains = []
    for who in range(crowd.n_listeners):
        rng = np.random.default_rng(who)
        own = crowd.listener == who
        track, label = crowd.track[own], crowd.label[own]
        start = model.for_listener(f"listener {who}")
        if from_prior:
            label = (rng.random(len(track))[:, None] > start.proba[track].cumsum(axis=1)[:, :-1]).sum(axis=1)
        order = rng.permutation(len(track))
        train, test = order[:40], order[40:]
        answers = rng.permutation(label[train]) if permuted else label[train]
        told = start.with_answers(dict(zip(track[train].tolist(), answers.tolist(), strict=True)))
        likely = [-np.log(m.proba[track[test], label[test]]).mean() for m in (told, start)]
        gains.append(likely[0] - likely[1])
    return np.array(gains)


def test_personal_taste_is_learnt_and_nulls_stay_null() -> None:
    personal = listeners_gain(1.5)
    assert personal.mean() < -0.1
    assert (personal < 0).mean() > 0.7
    null = listeners_gain(1.5, from_prior=True)
    assert null.mean() < 0.03  # nothing personal: next to no harm
    assert null.mean() > -0.01  # and no gain out of nothing
    assert listeners_gain(0.0, permuted=True).mean() > 0.0  # shuffled answers must hurt


def test_the_stack_follows_only_listeners_who_differ() -> None:
    crowd = draw_crowd(12, n_tracks=60, n_listeners=16, share=0.9, unrated=0)
    start = ListenerModel(crowd.pool(), crowd.annotations()).for_listener("somebody new")
    leader = start.proba.argmax(axis=1)
    odd = start.with_answers({t: int((leader[t] + 2) % 4) for t in range(30)})
    assert odd.stack_weight[0] < 0.01
    turned = odd.proba[30:].argmax(axis=1)
    assert (turned != leader[30:]).mean() > 0.6


def test_coratings_by_brute_force() -> None:
    crowd = draw_crowd(2)
    proba = np.random.default_rng(0).dirichlet(np.ones(4), size=crowd.n_tracks)
    none = np.zeros(len(crowd.track), dtype=np.int64)
    ratings = Ratings.of(crowd.track, crowd.listener, crowd.label, none, crowd.n_tracks, crowd.n_listeners)
    coratings = CoRatings(ratings)
    residual = np.zeros((crowd.n_listeners, crowd.n_tracks, 4))
    seen = np.zeros((crowd.n_listeners, crowd.n_tracks))
    residual[crowd.listener, crowd.track] = np.eye(4)[crowd.label] - proba[crowd.track]
    seen[crowd.listener, crowd.track] = 1
    expected = np.einsum("vtc,vsc->ts", residual, residual) / 4 / (seen.T @ seen + 5)
    found = np.stack([coratings.column(t, proba) for t in range(crowd.n_tracks)])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(coratings.diagonal(proba), np.diag(expected), atol=1e-12)


def test_every_part_is_optional() -> None:
    crowd = draw_crowd(7)
    bare = ListenerModel(crowd.pool(), crowd.annotations(), weights=PersonalWeights(corating=0)).for_listener()
    assert bare.with_answers({0: 3, 4: 3, 9: 3}).proba[20, 3] > bare.proba[20, 3]
    nothing = PersonalWeights(bias=0, opinion=0, features=0, descriptors=0, group=0, corating=0)
    silent = ListenerModel(crowd.pool(), crowd.annotations(), weights=nothing).for_listener()
    np.testing.assert_allclose(silent.with_answers({0: 3, 4: 3}).proba, silent.proba, atol=1e-6)


def test_draws_surround_the_probabilities() -> None:
    start = model_of(draw_crowd(8)).for_listener("listener 3")
    draws = start.draws(n_draws=64, random_state=1)
    np.testing.assert_allclose(draws.sum(axis=2), 1, atol=1e-9)
    assert draws.std(axis=0).mean() > 0.01
    assert np.abs(draws.mean(axis=0) - start.proba).max() < 0.2
    np.testing.assert_array_equal(start.draws(np.array([4, 2]))[:, 0], start.draws()[:, 4])
    gain = start.expected_gain()
    assert ((gain > 0) & (gain < np.log(4))).all()
    sceptic = model_of(draw_crowd(8), stack_prior=(1.0, 0.0, 0.0)).for_listener("listener 3")
    np.testing.assert_allclose(sceptic.expected_gain(), 0, atol=1e-12)
    with pytest.raises(ParameterError, match="model='logistic'"):
        model_of(draw_crowd(8), model="map").for_listener().draws()


def test_a_session_with_the_listener_model() -> None:
    crowd = draw_crowd(9)
    start = model_of(crowd).for_listener("listener 4")
    session = Session(None, crowd.pool(), model=start, strategy="mc", balanced=True, budget=12)
    assert session.classes_.tolist() == ["Q1", "Q2", "Q3", "Q4"]
    while not session.finished:
        session.tell(dict.fromkeys(session.ask(4), "Q2"))
    told = start.with_answers({int(crowd.pool().index_of([t])[0]): 1 for t in session.answers})
    np.testing.assert_allclose(session.predict_proba(), told.proba, atol=1e-6)
    last = list(session.answers)[-1]
    session.undo(last)
    again = told.without(int(crowd.pool().index_of([last])[0]))
    np.testing.assert_allclose(session.predict_proba(), again.proba, atol=1e-6)


def test_a_session_starts_from_the_crowd_where_there_is_one() -> None:
    crowd = draw_crowd(9)
    pool, annotations = crowd.pool(), crowd.annotations()
    session = Session(None, pool, crowd=annotations, listener="listener 4", budget=20)
    assert session.balanced
    shared = Session(None, pool, model=ListenerModel(pool, annotations), listener="listener 4", budget=20)
    named = Session(None, pool, model="listener", crowd=annotations, listener="listener 4")
    own = ListenerModel(pool, annotations.without("listener 4")).for_listener()
    for started in (session, shared, named):
        np.testing.assert_allclose(started.predict_proba(), own.proba, atol=1e-6)
    random = 0
    while not session.finished:
        query = session.ask(5)
        assert query.track_ids.tolist() == shared.ask(5).track_ids.tolist()
        random += int(query.at_random.sum())
        for one in (session, shared):
            one.tell(dict.fromkeys(query, "Q1"))
    assert random == 4
    assert Session(None, pool, crowd=annotations, random_share=0).ask(20).at_random.sum() == 0
    with pytest.raises(ParameterError, match="annotations of many listeners"):
        Session(None, pool)
    with pytest.raises(ParameterError, match="model='crowd'"):
        Session(None, pool, crowd=annotations, model="crowd")  # type: ignore[arg-type]


def test_of_repeated_annotations_the_newest_counts_and_strangers_are_left_out() -> None:
    crowd = draw_crowd(2)
    pool, said = crowd.pool(), crowd.annotations()
    n = len(said)
    again = Annotations(
        np.concatenate([said.listener_id, said.listener_id[:3], ["eve"]]),
        np.concatenate([said.track_id, said.track_id[:3], ["elsewhere"]]),
        np.concatenate([said.label, (said.label[:3] + 1) % 4, [0]]),
        said.classes,
        np.concatenate([np.full(n, 5), [4, 4, 4, 4]]),
    )
    one = Session(None, pool, crowd=again).predict_proba()
    np.testing.assert_allclose(one, Session(None, pool, crowd=said).predict_proba(), atol=1e-7)


def test_asking_keeps_a_random_share_and_stops_when_little_is_left_to_learn() -> None:
    crowd = draw_crowd(10, n_tracks=60)
    model = model_of(crowd)
    never = StopWhenLearnt(gain=0, answers=0)
    session = Session(None, model.pool, model=model, listener="listener 5", stopping=never)
    random, asked = 0, set[str]()
    for _ in range(10):
        query = session.ask(4)
        assert not asked & set(query)
        asked |= set(query)
        random += int(query.at_random.sum())
        session.tell(dict.fromkeys(query, session.classes_[0]))
    assert (random, session.finished) == (8, None)
    told = session.answers
    for gain, answers, end in ((10.0, 20, "stable"), (10.0, 41, None), (1e-6, 20, None)):
        stopping = StopWhenLearnt(gain=gain, answers=answers)
        again = Session(None, model.pool, model=model, listener="listener 5", answers=told, stopping=stopping)
        assert again.finished == end
    few = Session(None, model.pool, model=model, listener="listener 5", answers=told, stopping=StopWhenLearnt(tracks=3))
    assert few.finished in ("stable", None)
    random_only = Session(None, model.pool, model=model, listener="listener 5", random_share=1.0)
    assert random_only.ask(2).at_random.all()


def test_explanations_say_where_a_probability_comes_from() -> None:
    crowd = draw_crowd(3)
    model = model_of(crowd)
    told = model.for_listener("listener 0").with_answers({1: 2, 2: 2})
    said = model.explain(told, "track 29")
    assert (said["source"], said["n_raters"], said["n_answers"]) == ("features", 0, 2)
    assert sum(said["listener"].values()) == pytest.approx(1)
    assert sum(said["trust"]) == pytest.approx(1)


def test_several_windows_a_track_count_as_their_mean() -> None:
    crowd = draw_crowd(4)
    pool = crowd.pool()
    from dissensus.features.pool import Pool

    shift = np.random.default_rng(0).normal(size=crowd.features.shape)
    ids = np.concatenate([pool.track_ids, pool.track_ids])
    twice = Pool(np.vstack([crowd.features + shift, crowd.features - shift]), ids)
    one = ListenerModel(pool, crowd.annotations()).for_listener().proba
    two = ListenerModel(twice, crowd.annotations()).for_listener().proba
    np.testing.assert_allclose(one, two, atol=1e-10)


def test_bad_input_is_named() -> None:
    crowd = draw_crowd(1)
    pool, annotations = crowd.pool(), crowd.annotations()
    with pytest.raises(ParameterError, match="group must name"):
        ListenerModel(pool, annotations, info=TrackInfo(group=["a"]))
    with pytest.raises(DataFormatError, match="one row an annotation"):
        ListenerModel(pool, annotations, info=TrackInfo(descriptors=np.zeros((2, 3))))
    with pytest.raises(DataFormatError, match="between 0 and 1"):
        ListenerModel(pool, annotations, info=TrackInfo(descriptors=np.full((len(annotations), 1), 2.0)))
    with pytest.raises(ParameterError, match="bias"):
        PersonalWeights(bias=-1)
    start = ListenerModel(pool, annotations).for_listener()
    with pytest.raises(ParameterError, match=r"class 4\.\.4"):
        start.with_answers({0: 4})
    with pytest.raises(ParameterError, match=r"track 99\.\.99"):
        start.with_answers({99: 0})
    with pytest.raises(ParameterError, match="model='best'"):
        Prior(start.prior.belief, start.prior.kernel, start.classes_, "best")
    with pytest.raises(ParameterError, match="random_share"):
        Session(None, pool, crowd=annotations, random_share=2)
    with pytest.raises(ParameterError, match="gain=-1"):
        StopWhenLearnt(gain=-1)
    committee = Committee.cold_start(["a", "b"], pool.n_features, kinds=("gnb",))
    with pytest.raises(ParameterError, match="StopWhenStable works with every learner"):
        Session(committee, pool, stopping=StopWhenLearnt())
    assert isinstance(start, PersonalModel)


def test_coratings_count_for_half_where_as_many_rated_both_as_the_shrinkage_says() -> None:
    """Two tracks, all raters in common and of one mind: n / (n + shrink) of what endless raters would say."""
    n = 12
    track, listener = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    none = np.zeros(2 * n, dtype=np.int64)
    coratings = CoRatings(Ratings.of(track, listener, none, none, 2, n))
    proba = np.full((2, 4), 0.25)
    endless = (0.75**2 + 3 * 0.25**2) / 4
    for shrink in (1.0, 5.0, 12.0, 100.0):
        kernel = PersonalKernel(
            proba, PersonalWeights(0, 0, 0, 0, 0, corating=2.0, corating_shrink=shrink), coratings=coratings
        )
        share = n / (n + shrink)
        np.testing.assert_allclose(kernel.column(0), np.full(2, 2.0 * endless * share))
        np.testing.assert_allclose(kernel.diagonal(), np.full(2, 2.0 * endless * share))


def test_the_joint_weights_follow_shared_deviations_where_many_rated() -> None:
    """Two camps that hear the tracks in opposite ways: a listener of one camp is learnt from few answers."""
    rng = np.random.default_rng(0)
    n_tracks, n_listeners = 40, 60
    side = rng.integers(0, 2, n_tracks)
    camp = rng.integers(0, 2, n_listeners)
    track, listener = np.divmod(np.arange(n_tracks * n_listeners), n_listeners)
    flip = rng.random(len(track)) < 0.15
    label = (side[track] + camp[listener] + flip) % 2 * 2  # Q1 or Q3
    pool = Pool(np.zeros((n_tracks, 1)), [f"track {i}" for i in range(n_tracks)])
    who = np.array([f"listener {i}" for i in range(n_listeners)])[listener]
    said = Annotations(who, pool.track_ids[track], label, QUADRANTS)
    truth = (side + camp[0]) % 2 * 2
    found = {}
    for name, weights in (("usual", PersonalWeights()), ("joint", JOINT_WEIGHTS)):
        start = ListenerModel(pool, said, weights=weights).for_listener("listener 0")
        told = start.with_answers({t: int(truth[t]) for t in range(8)})
        found[name] = told.proba[np.arange(8, 40), truth[8:]].mean()
    assert found["joint"] > found["usual"] + 0.05
    assert found["joint"] > 0.6


def test_a_part_of_the_catalogue_is_asked_about_as_within_the_whole() -> None:
    crowd = draw_crowd(14, n_tracks=60, n_listeners=12)
    model = model_of(crowd)
    some = np.array([5, 40, 3, 58, 22, 17])
    part = crowd.pool().subset([f"track {i}" for i in some])
    rows = np.array([int(t.split()[1]) for t in part.track_ids])
    whole = model.for_listener("listener 2").with_answers({int(rows[1]): 3, int(rows[4]): 0})
    few = model.for_listener("listener 2", asked=part).with_answers({1: 3, 4: 0})
    np.testing.assert_allclose(few.proba, whole.proba[rows], rtol=0, atol=1e-12)
    np.testing.assert_allclose(few.stack_weight, whole.stack_weight, rtol=0, atol=1e-12)
    np.testing.assert_allclose(few.draws(), whole.draws(rows), rtol=0, atol=1e-10)
    session = Session(None, part, model=model, listener="listener 2", answers={part.track_ids[1]: "Q4"})
    told = model.for_listener("listener 2", asked=part).with_answers({1: 3})
    np.testing.assert_allclose(session.predict_proba(), told.proba, atol=1e-6)
    with pytest.raises(UnknownTrackError, match="elsewhere"):
        model.for_listener("listener 2", asked=Pool(np.zeros((1, 5)), ["elsewhere"]))


def test_a_pool_too_large_to_be_held_gives_the_same_and_holds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    from dissensus.personalisation.listener import model as module

    crowd = draw_crowd(15, n_tracks=300, n_listeners=12)
    model, answers = model_of(crowd), {3: 1, 200: 2, 30: 0}
    held = model.for_listener("listener 2").with_answers(answers)
    expected, gain = held.proba, held.expected_gain(np.arange(5))
    monkeypatch.setattr(module, "MAX_HELD_TRACKS", 100)
    told = model.for_listener("listener 2").with_answers(answers)
    np.testing.assert_allclose(told.proba, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(told.expected_gain(np.arange(5)), gain, rtol=0, atol=1e-10)
    assert told.nbytes < held.nbytes / 2
    assert model.shared_bytes <= module.RECENT_BYTES + COLUMN_BYTES


def test_many_answers_do_not_make_a_listener_large() -> None:
    crowd = draw_crowd(16, n_tracks=150, n_listeners=20)
    start = ListenerModel(crowd.pool(), crowd.annotations()).for_listener("listener 2")
    few, many = (start.with_answers({t: t % 4 for t in range(n)}) for n in (20, 110))
    few.proba, many.proba  # noqa: B018
    assert many.nbytes < few.nbytes + (1 << 17)
    np.testing.assert_allclose(many.draws(np.array([140])).sum(axis=2), 1)


@pytest.mark.parametrize("trees", [0, 5])
def test_annotations_that_come_and_go_by_id_are_those_of_a_fit(trees: int) -> None:
    crowd = draw_crowd(17, n_tracks=40, n_listeners=10)
    annotations, info = with_extras(crowd)
    live = ListenerModel(crowd.pool(), annotations, info=info, unrated_trees=trees)
    before, stranger = live.for_listener("listener 1").proba, live.for_listener("nobody").proba
    tracks = crowd.pool().track_ids[[1, 2, 3]]
    version = live.add(["somebody new"] * 3, tracks, [2, 2, 2])
    assert (version.number, len(version.ratings)) == (1, len(annotations) + 3)
    assert np.abs(live.for_listener("listener 1").proba - before).max() > 1e-3
    own = live.for_listener("somebody new").proba  # their votes are not in their own start
    np.testing.assert_allclose(own, stranger, rtol=0, atol=0.2 if trees else 1e-10)
    assert live.remove_listener("somebody new") == 3
    assert live.remove_listener("nobody") == 0
    assert live.remove_listener("listener 4") == (crowd.listener == 4).sum()
    keep = crowd.listener != 4
    kept = TrackInfo(group=info.group, descriptors=np.array(info.descriptors)[keep])
    fresh = ListenerModel(crowd.pool(), annotations.subset(keep), info=kept, unrated_trees=trees)
    if trees:
        return  # the folds of the listeners are other ones
    for who in ("listener 1", "listener 4", None):
        one, two = (m.for_listener(who).with_answers({0: 1, 7: 2}).proba for m in (live, fresh))
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-10)


def test_ids_are_compared_by_value_or_refused_when_annotations_come_and_go() -> None:
    crowd = draw_crowd(18)
    said = crowd.annotations()
    numbered = Annotations(crowd.listener.astype(str), said.track_id, said.label, QUADRANTS)
    model = ListenerModel(crowd.pool(), numbered)
    assert model.add([3], ["track 0"], [1]).n_listeners == crowd.n_listeners
    assert model.add([300, "400"], ["track 0", "track 1"], [1, 2]).n_listeners == crowd.n_listeners + 2
    assert model.remove_listener("300") == model.remove_listener(400) == 1
    for wrong in ("03", None, float("nan")):
        with pytest.raises(ParameterError, match="listener"):
            model.add([wrong], ["track 0"], [1])
    with pytest.raises(ParameterError, match="looks like it"):
        model.remove_listener(" 3")
    version = model.crowd.version
    with pytest.raises(UnknownTrackError):
        model.add([301], ["track 99"], [1])
    with pytest.raises(LabelError):
        model.add([301], ["track 1"], [9])
    assert model.crowd.version is version


def test_trees_forget_ratings_that_are_taken_out() -> None:
    crowd = draw_crowd(19, n_tracks=60, n_listeners=20, unrated=10)
    model = ListenerModel(crowd.pool(), crowd.annotations(), unrated_trees=5)
    before = model.for_listener("somebody").proba
    for who in range(0, 20, 2):
        model.remove_listener(f"listener {who}")
    assert model.trees is not None
    fresh = UnratedTrees(model.crowd, n_trees=5)
    np.testing.assert_array_equal(model.trees.proba(None), fresh.proba(None))
    assert np.abs(model.for_listener("somebody").proba[50:] - before[50:]).max() > 0.01


def test_a_model_goes_to_another_process_and_is_copied() -> None:
    crowd = draw_crowd(20)
    model = model_of(crowd)
    there: ListenerModel
    for there in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # noqa: S301
        one, two = (m.for_listener("listener 3").with_answers({1: 2}) for m in (model, there))
        np.testing.assert_array_equal(one.proba, two.proba)
        there.remove_listener("listener 0")
        assert there.crowd.version.number == 1
    assert model.crowd.version.number == 0


@pytest.mark.parametrize("kind", MODELS)
def test_a_session_over_an_asking_pool_takes_and_scores_any_track_of_the_catalog(kind: str) -> None:
    crowd = draw_crowd(21, n_tracks=60, n_listeners=12)
    model = model_of(crowd, model=kind)
    asking = AskingPool(model.pool, [f"track {i}" for i in (5, 40, 3, 58, 22, 17)])
    answers = {"track 40": "Q4", "track 9": "Q1", "track 33": "Q2"}  # two of them are not asked about
    session = Session(None, asking, model=model, listener="listener 2", answers=answers)
    whole = model.for_listener("listener 2").with_answers({40: 3, 9: 0, 33: 1})
    np.testing.assert_allclose(session.predict_proba(), whole.proba[asking.index], rtol=0, atol=1e-6)
    assert session.learner.shape == session.learner.pool_proba().shape == (1, 6, 4)
    everywhere = [f"track {i}" for i in (0, 59, 22, 33)]
    np.testing.assert_allclose(session.scores(everywhere), whole.proba[[0, 59, 22, 33]], rtol=0, atol=1e-6)
    alone = np.concatenate([session.scores([t]) for t in everywhere])
    np.testing.assert_allclose(session.scores(everywhere), alone, rtol=0, atol=1e-6)
    assert set(session.ask(5)) <= set(asking.pool.track_ids)  # one of the six has an answer
    again = Session(None, asking, model=model, listener="listener 2", state=session.state)
    np.testing.assert_array_equal(again.predict_proba(), session.predict_proba())
    if kind == "logistic":
        few = session.learner.draws()
        np.testing.assert_allclose(few, whole.draws(asking.index), rtol=0, atol=1e-9)
    explained = model.explain(session.learner, "track 58")
    np.testing.assert_allclose(list(explained["listener"].values()), whole.proba[58], atol=1e-9)
    with pytest.raises(ParameterError, match="not among the 6 tracks"):
        model.explain(session.learner, "track 0")


def test_a_catalog_of_another_order_is_told_by_its_own_positions() -> None:
    crowd = draw_crowd(22, n_tracks=30, n_listeners=12)
    model = model_of(crowd)
    order = np.random.default_rng(0).permutation(30)
    other = Pool(crowd.features[order], [f"track {i}" for i in order])
    asking = AskingPool(other, [f"track {i}" for i in (4, 11, 8)])
    session = Session(None, asking, model=model, listener="listener 1", answers={"track 8": "Q2", "track 20": "Q3"})
    whole = model.for_listener("listener 1").with_answers({8: 1, 20: 2})
    np.testing.assert_allclose(session.predict_proba(), whole.proba[[4, 11, 8]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(session.scores(["track 29"]), whole.proba[[29]], rtol=0, atol=1e-6)


def test_a_session_is_made_without_working_out_a_belief(monkeypatch: pytest.MonkeyPatch) -> None:
    from dissensus.personalisation.listener.crowd_version import Remaining

    crowd = draw_crowd(23)
    model, made = model_of(crowd), []
    belief = Remaining.belief
    monkeypatch.setattr(Remaining, "belief", lambda self, *given: (made.append(1), belief(self, *given))[1])
    session = Session(None, crowd.pool(), model=model, listener="listener 1")
    assert not made
    session.ask(2)
    assert made
