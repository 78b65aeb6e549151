"""The crowd prior: leave-out in closed form is refitting, no own vote in one's own prior, fallbacks say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crowds import Crowd, draw_crowd
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.errors import LabelError, ParameterError
from dissensus.personalisation.listener.crowd_inducing import pivoted_features
from dissensus.personalisation.listener.crowd_prior import SOURCES, CrowdPrior, CrowdSettings, rbf_kernel

KINDS: dict[str, dict[str, Any]] = {"exact": {}, "inducing": {"n_inducing": 12}}


def fitted(crowd: Crowd, keep: Any = None, *, settings: CrowdSettings | None = None, **options: Any) -> CrowdPrior:
    keep = np.ones(len(crowd.track), dtype=bool) if keep is None else keep
    track, listener, label = crowd.rows(keep)
    return CrowdPrior(settings, **options).fit(
        track, listener, label, n_tracks=crowd.n_tracks, n_classes=4, features=crowd.features
    )


def textbook(crowd: Crowd, keep: Any, settings: CrowdSettings) -> Any:
    """Gaussian process regression over all ratings, as it is written down: one n x n solve."""
    track, listener, label = crowd.rows(keep)
    smooth = settings.feature_weight * rbf_kernel(crowd.features, crowd.features, settings.length)
    smooth += settings.track_weight * np.eye(crowd.n_tracks)
    covariance = smooth[np.ix_(track, track)] + settings.listener_weight * (listener[:, None] == listener)
    share = np.maximum(np.bincount(label, minlength=4), 0.5)
    share = share / share.sum()
    solved = np.linalg.solve(covariance + settings.noise * np.eye(len(track)), np.eye(4)[label] - share)
    proba = np.maximum(share + smooth[:, track] @ solved, settings.floor)
    return proba / proba.sum(axis=1, keepdims=True)


@given(seed=st.integers(0, 10_000), who=st.integers(0, 7))
@settings(max_examples=25)
def test_the_crowd_without_a_listener_is_the_textbook_regression_without_them(seed: int, who: int) -> None:
    crowd = draw_crowd(seed)
    belief = fitted(crowd).belief(without_listener=who)
    expected = textbook(crowd, crowd.listener != who, CrowdSettings())
    np.testing.assert_allclose(belief.proba, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), who=st.integers(0, 7), gone=st.sets(st.integers(0, 29), max_size=6))
@settings(max_examples=25)
def test_leaving_out_in_closed_form_is_fitting_without(kind: str, seed: int, who: int, gone: set[int]) -> None:
    crowd = draw_crowd(seed)
    tracks = np.array(sorted(gone), dtype=np.int64)
    belief = fitted(crowd, **KINDS[kind]).belief(without_listener=who, without_tracks=tracks)
    keep = (crowd.listener != who) & ~np.isin(crowd.track, tracks)
    again = fitted(crowd, keep, **KINDS[kind]).belief()
    np.testing.assert_allclose(belief.proba, again.proba, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(belief.n_raters, again.n_raters)
    np.testing.assert_array_equal(belief.source, again.source)
    np.testing.assert_allclose(belief.class_frequency, again.class_frequency, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), who=st.integers(0, 7))
@settings(max_examples=25)
def test_no_own_vote_in_ones_own_prior(kind: str, seed: int, who: int) -> None:
    crowd = draw_crowd(seed)
    other = draw_crowd(seed)
    own = other.listener == who
    other.label[own] = np.random.default_rng(seed + 1).integers(0, 4, own.sum())
    few = CrowdSettings(many_raters=3)  # the shortcut must not leak either
    one, two = (fitted(c, settings=few, **KINDS[kind]).belief(without_listener=who) for c in (crowd, other))
    np.testing.assert_allclose(one.proba, two.proba, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(one.class_frequency, two.class_frequency)


def test_a_vote_does_change_the_priors_of_the_others() -> None:
    crowd, other = draw_crowd(1), draw_crowd(1)
    row = int(np.flatnonzero(other.listener == 2)[0])
    other.label[row] = (other.label[row] + 1) % 4
    one, two = (fitted(c).belief(without_listener=0).proba for c in (crowd, other))
    assert np.abs(one - two).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_an_annotation_taken_in_at_once_is_the_next_nightly_fit(kind: str) -> None:
    crowd = draw_crowd(4)
    last = np.zeros(len(crowd.track), dtype=bool)
    last[[3, 11, 19]] = True
    updated = fitted(crowd, ~last, **KINDS[kind])
    for row in np.flatnonzero(last):
        updated.update(int(crowd.track[row]), int(crowd.listener[row]), int(crowd.label[row]))
    updated.update(5, crowd.n_listeners + 2, 1)  # somebody new
    updated.update(5, crowd.n_listeners + 2, 3)  # who changes their mind
    assert updated.remove(5, crowd.n_listeners + 2) == 1
    assert updated.remove(5, crowd.n_listeners + 2) == 0
    nightly = fitted(crowd, **KINDS[kind])
    for who in (None, 0, 3):
        one, two = updated.belief(without_listener=who), nightly.belief(without_listener=who)
        np.testing.assert_allclose(one.proba, two.proba, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(one.n_raters, two.n_raters)


def test_with_every_track_an_inducing_point_the_approximation_is_exact() -> None:
    crowd = draw_crowd(5, n_tracks=60)
    assert not hasattr(fitted(crowd).posterior_, "basis")
    exact = fitted(crowd)
    errors = []
    for n_inducing in (5, 20, 60):
        rough = fitted(crowd, n_inducing=n_inducing)
        errors.append(np.abs(rough.belief(without_listener=1).proba - exact.belief(without_listener=1).proba).max())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-10


def test_inducing_features_leave_no_variance_unaccounted_for() -> None:
    features = np.random.default_rng(0).normal(size=(40, 3))
    basis, left = pivoted_features(features, 0.2, 1.0, 10)
    np.testing.assert_allclose((basis**2).sum(axis=1) + left, 0.2, atol=1e-12)
    twice = np.repeat(features[:4], 3, axis=0)  # four distinct tracks: four points explain everything
    basis, left = pivoted_features(twice, 0.2, 1.0, 10)
    assert basis.shape == (12, 4)
    assert left.max() < 1e-12


def test_tracks_without_votes_fall_back_to_features_and_say_so() -> None:
    crowd = draw_crowd(6, n_tracks=80, n_listeners=20, unrated=20)
    weak = np.full(80, -1)
    weak[70:] = 2
    prior = CrowdPrior().fit(
        crowd.track, crowd.listener, crowd.label, n_tracks=80, n_classes=4, features=crowd.features, weak_label=weak
    )
    belief = prior.belief()
    assert [SOURCES[s] for s in belief.source[[0, 65, 75]]] == ["ratings", "features", "features and weak label"]
    assert (belief.n_raters[60:] == 0).all()
    bare = fitted(crowd).belief().proba
    assert (belief.proba[70:, 2] > bare[70:, 2]).all()
    np.testing.assert_array_equal(belief.proba[:70], bare[:70])
    likely = -np.log(np.take_along_axis(bare[60:], crowd.truth[60:].argmax(axis=1)[:, None], axis=1)).mean()
    assert likely < -np.log(belief.class_frequency[crowd.truth[60:].argmax(axis=1)]).mean()  # features do tell
    blind = CrowdPrior().fit(crowd.track, crowd.listener, crowd.label, n_tracks=80, n_classes=4).belief()
    assert np.ptp(blind.proba[60:], axis=0).max() < 1e-12  # without features: one opinion about all of them


def test_tracks_with_many_raters_are_counted_within_their_instrument() -> None:
    track = np.repeat([0, 1], [60, 3])
    listener = np.concatenate([np.arange(60), np.arange(3)])
    label = np.concatenate([np.repeat([0, 3], 30), [1, 1, 1]])
    instrument = np.concatenate([np.repeat([0, 1], 30), [0, 0, 0]])
    prior = CrowdPrior().fit(track, listener, label, n_tracks=2, n_classes=4, instrument=instrument)
    first, second = prior.belief(), prior.belief(instrument=[1, 0])
    assert [SOURCES[s] for s in first.source] == ["counts", "ratings"]
    assert first.proba[0].argmax() == 0
    assert second.proba[0].argmax() == 3
    own = prior.belief(without_listener=0)
    assert own.n_raters.tolist() == [59, 2]
    share = np.maximum(np.bincount(label[(listener != 0) & (instrument == 0)], minlength=4), 0.5)
    expected = np.maximum((np.array([29, 0, 0, 0]) + 2 * share / share.sum()) / 31, 0.01)
    np.testing.assert_allclose(own.proba[0], expected / expected.sum(), atol=1e-12)


def test_an_empty_crowd_finds_everything_equally_likely() -> None:
    belief = CrowdPrior().fit([], [], [], n_tracks=3, n_classes=4, features=np.eye(3)).belief(without_listener=9)
    np.testing.assert_allclose(belief.proba, 0.25)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"label": [0, 9]}, LabelError, "label holds 0..9"),
        ({"track": [0, 5]}, ParameterError, "track holds 0..5"),
        ({"listener": [0]}, ParameterError, "listener has 1 entries"),
        ({"features": np.full((3, 2), np.nan)}, ParameterError, "not finite"),
        ({"features": np.zeros((2, 2))}, ParameterError, "one row for each of the 3 tracks"),
        ({"weak_label": [0, 4, 0]}, ParameterError, "weak_label"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], says: str) -> None:
    given_: dict[str, Any] = {"track": [0, 1], "listener": [0, 1], "label": [0, 1], **change}
    with pytest.raises(error, match=says):
        CrowdPrior().fit(**given_, n_tracks=3, n_classes=4)


@pytest.mark.parametrize("name", ["noise", "track_weight", "listener_weight", "length", "floor"])
def test_settings_must_make_sense(name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        CrowdSettings(**{name: 0.0})


def test_an_unfitted_prior_says_so() -> None:
    with pytest.raises(ParameterError, match="call fit first"):
        CrowdPrior().belief()
