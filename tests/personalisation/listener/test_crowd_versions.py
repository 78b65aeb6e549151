"""A crowd that changes while it is read: whole steps, exact as a refit, old versions as they were."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from crowds import Crowd, draw_crowd
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.errors import LabelError, ParameterError
from dissensus.personalisation.listener import crowd_version
from dissensus.personalisation.listener.crowd_prior import CrowdPrior

KINDS: dict[str, dict[str, Any]] = {"exact": {}, "inducing": {"n_inducing": 12}}


def fitted(crowd: Crowd, keep: Any = slice(None), **options: Any) -> CrowdPrior:
    return CrowdPrior(**options).fit(
        crowd.track[keep],
        crowd.listener[keep],
        crowd.label[keep],
        n_tracks=crowd.n_tracks,
        n_classes=4,
        features=crowd.features,
    )


def assert_same(one: CrowdPrior, two: CrowdPrior, listeners: tuple[int | None, ...] = (None, 0, 3)) -> None:
    assert one.version.hash == two.version.hash
    for who in listeners:
        a, b = one.belief(without_listener=who), two.belief(without_listener=who)
        np.testing.assert_allclose(a.proba, b.proba, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(a.n_raters, b.n_raters)
        np.testing.assert_array_equal(a.source, b.source)
        np.testing.assert_allclose(a.class_frequency, b.class_frequency, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), who=st.integers(0, 7), late=st.integers(0, 40))
@settings(max_examples=20)
def test_any_number_in_and_out_in_one_step_is_a_fit_of_what_is_left(kind: str, seed: int, who: int, late: int) -> None:
    crowd = draw_crowd(seed)
    first = np.arange(len(crowd.track)) >= late
    prior = fitted(crowd, first, **KINDS[kind])
    prior.add(crowd.track[~first], crowd.listener[~first], crowd.label[~first])
    assert_same(prior, fitted(crowd, **KINDS[kind]))
    number = prior.version.number
    assert prior.remove_listener(who) == (crowd.listener == who).sum()
    assert prior.version.number == number + bool((crowd.listener == who).any())
    assert prior.remove_listener(who) == 0
    assert_same(prior, fitted(crowd, crowd.listener != who, **KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_that_outgrows_its_table_stays_exact(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_version, "MAX_EDITS", 5)
    crowd = draw_crowd(3)
    late = np.arange(len(crowd.track)) % 3 == 0
    prior = fitted(crowd, ~late, **KINDS[kind])
    tables = {id(prior.version.ratings.table)}
    for row in np.flatnonzero(late):
        prior.update(int(crowd.track[row]), int(crowd.listener[row]), int(crowd.label[row]))
        tables.add(id(prior.version.ratings.table))
    assert len(tables) > 3
    assert_same(prior, fitted(crowd, **KINDS[kind]))
    assert prior.remove([1, 1, 25], [0, 1, 99]) == np.isin(crowd.listener[crowd.track == 1], [0, 1]).sum()
    prior.remove_listener([2, 4])
    gone = np.isin(crowd.listener, [2, 4]) | ((crowd.track == 1) & (crowd.listener < 2))
    assert_same(prior, fitted(crowd, ~gone, **KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_does_not_add_up_over_many_steps(kind: str) -> None:
    crowd = draw_crowd(9, n_tracks=25, n_listeners=6)
    prior, tracks = fitted(crowd, **KINDS[kind]), np.arange(20)
    for _ in range(150):
        prior.add(tracks, np.full(20, 10), tracks % 4).remove_listener(10)
    np.testing.assert_allclose(prior.belief().proba, fitted(crowd, **KINDS[kind]).belief().proba, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_in_hand_does_not_change(kind: str) -> None:
    crowd = draw_crowd(5)
    prior = fitted(crowd, **KINDS[kind])
    held = prior.version
    before = held.without(np.array([1])).belief().proba
    name = held.hash
    prior.remove_listener(3)
    prior.add([0, 1], [50, 51], [1, 2])
    assert prior.version.number == 2
    assert held.number == 0
    assert held.hash == name != prior.version.hash
    np.testing.assert_allclose(held.without(np.array([1])).belief().proba, before, rtol=0, atol=1e-12)
    assert len(held.ratings) == len(crowd.track)


def test_of_several_annotations_of_a_pair_the_last_counts() -> None:
    crowd = draw_crowd(6)
    one = fitted(crowd).add([4, 4, 4], [1, 2, 1], [0, 3, 2])
    two = fitted(crowd).update(4, 2, 3).update(4, 1, 2)
    assert_same(one, two)
    assert (one.label[(one.track == 4) & (one.listener == 1)] == 2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_belief_of_some_tracks_is_that_part_of_the_belief(kind: str) -> None:
    crowd = draw_crowd(7)
    weak = np.where(np.arange(30) % 5 == 0, 2, -1)
    options = {"n_tracks": 30, "n_classes": 4, "features": crowd.features, "weak_label": weak}
    settings_ = crowd_version.CrowdSettings(many_raters=4)
    instrument = crowd.track % 2
    prior = CrowdPrior(settings_, **KINDS[kind]).fit(
        crowd.track, crowd.listener, crowd.label, instrument=instrument, **options
    )
    some, asked = np.array([29, 3, 0, 17, 8]), np.arange(30) % 2
    for who in (None, 2):
        whole = prior.belief(without_listener=who, instrument=asked)
        part = prior.belief(without_listener=who, instrument=asked, tracks=some)
        np.testing.assert_allclose(part.proba, whole.proba[some], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(part.source, whole.source[some])
        np.testing.assert_array_equal(part.n_raters, whole.n_raters[some])
    assert len(np.unique(whole.source)) > 2


@pytest.mark.parametrize("wanted", ["3", 3.0, [1, "x"], -1, None])
def test_a_listener_who_is_no_index_is_refused_not_left_in(wanted: Any) -> None:
    prior = fitted(draw_crowd(1))
    if wanted is None:
        assert (prior.belief(without_listener=None).n_raters == prior.belief().n_raters).all()
        return
    with pytest.raises(ParameterError, match="without_listener"):
        prior.belief(without_listener=wanted)
    with pytest.raises(ParameterError, match="listener"):
        prior.remove_listener(wanted)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (([0, 99], [0, 0], [0, 0]), ParameterError, "track holds 0..99"),
        (([0, 1], [0, 0], [0, 7]), LabelError, "label holds 0..7"),
        (([0, 1], [0], [0, 1]), ParameterError, "listener has 1 entries"),
    ],
)
def test_a_step_that_fails_changes_nothing(wrong: Any, error: type[Exception], says: str) -> None:
    prior = fitted(draw_crowd(2))
    before = prior.version
    with pytest.raises(error, match=says):
        prior.add(*wrong)
    assert prior.version is before
    with pytest.raises(ParameterError, match="listener has 2 entries for 1 tracks"):
        prior.remove(1, [0, 1])
    with pytest.raises(ParameterError, match="call fit first"):
        CrowdPrior().add([0], [0], [0])


@pytest.mark.parametrize("kind", KINDS)
def test_readers_see_the_crowd_before_a_step_or_after_it(kind: str) -> None:
    """Writers add and remove a listener's whole list; a reader never sees a part, and every version is its own refit."""
    crowd = draw_crowd(9, n_tracks=25, n_listeners=6)
    prior = fitted(crowd, **KINDS[kind])
    tracks = np.arange(20)
    states: dict[str, Any] = {}
    for people in ((), (10,), (11,), (10, 11)):
        other = fitted(crowd, **KINDS[kind])
        for who in people:
            other.add(tracks, np.full(20, who), tracks % 4)
        states[other.version.hash] = other.belief().proba, other.belief(without_listener=10).proba, len(other.track)
    stop, wrong, seen = threading.Event(), [], set()

    def read() -> None:
        while not stop.is_set():
            version = prior.version
            want = states.get(version.hash)
            if want is None or len(version.ratings) != want[2]:
                wrong.append("a part of a step")
                return
            seen.add(version.hash)
            for who, expected in ((None, want[0]), (np.array([10]), want[1])):
                found = version.without(who).belief().proba
                if np.abs(found - expected).max() > 1e-10:
                    wrong.append(f"{np.abs(found - expected).max()} from a refit")
                    return

    def write(who: int) -> None:
        for _ in range(25):
            prior.add(tracks, np.full(20, who), tracks % 4)
            if prior.remove_listener(who) != 20:
                wrong.append("lost annotations")

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(who,)) for who in (10, 11)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert prior.version.number == 100
    assert_same(prior, fitted(crowd, **KINDS[kind]))
