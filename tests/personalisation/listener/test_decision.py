"""The decision rule, the two axes and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.calibration import Recalibration, calibration_curve
from dissensus.personalisation.listener.decision import axis_proba, choose_exponent, decide

tables = nps.arrays(np.float64, st.tuples(st.integers(1, 8), st.just(4)), elements=st.floats(0.01, 1)).map(
    lambda a: a / a.sum(axis=1, keepdims=True)
)


@given(proba=tables)
def test_without_an_exponent_or_with_even_shares_it_is_argmax(proba: np.ndarray) -> None:
    np.testing.assert_array_equal(decide(proba, exponent=0), proba.argmax(axis=1))
    np.testing.assert_array_equal(decide(proba, np.full(4, 0.25), exponent=0.7), (proba / 0.25**0.7).argmax(axis=1))


@given(proba=tables, scale=st.floats(0.1, 10))
def test_shares_count_up_to_a_factor(proba: np.ndarray, scale: float) -> None:
    share = np.array([0.4, 0.3, 0.2, 0.1])
    ratio = np.sort(proba / np.sqrt(share), axis=1)
    clear = ratio[:, -1] > ratio[:, -2] * (1 + 1e-9)
    one, two = decide(proba, share), decide(proba, scale * share)
    np.testing.assert_array_equal(one[clear], two[clear])


@given(proba=tables)
def test_a_rare_class_never_loses_by_a_larger_exponent(proba: np.ndarray) -> None:
    share = np.array([0.4, 0.35, 0.2, 0.05])
    chosen = [decide(proba, share, exponent=a) == 3 for a in (0.0, 0.5, 1.0)]
    assert (chosen[0] <= chosen[1]).all()
    assert (chosen[1] <= chosen[2]).all()


def test_the_rule_is_one_for_any_leading_shape_and_ties_go_to_the_first() -> None:
    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 5))
    share = np.array([0.2, 0.3, 0.5])
    np.testing.assert_array_equal(decide(proba, share)[1], decide(proba[1], share))
    assert decide([[0.5, 0.5]], [0.5, 0.5]).tolist() == [0]


@pytest.mark.parametrize("share", [[0.5, 0.5], [0.5, 0.5, 0.0, 0.0]])
def test_shares_must_fit(share: list[float]) -> None:
    with pytest.raises(ParameterError, match="frequency"):
        decide(np.full((2, 4), 0.25), share)


def test_the_exponent_is_chosen_where_it_helps_others() -> None:
    rng = np.random.default_rng(1)
    share = np.array([0.7, 0.1, 0.1, 0.1])
    label = rng.choice(4, 600, p=share)
    evidence = np.full((600, 4), 0.1) + 0.25 * np.eye(4)[label] + 0.3 * rng.random((600, 4))
    proba = evidence * share
    proba /= proba.sum(axis=1, keepdims=True)
    assert choose_exponent([(proba, label, share)] * 3) > 0
    perfect = [(np.eye(4)[label] * 0.96 + 0.01, label, share)]
    assert choose_exponent(perfect) == 0
    with pytest.raises(ParameterError, match="other listeners"):
        choose_exponent([])


@given(proba=tables)
def test_axes_are_sums_of_quadrants(proba: np.ndarray) -> None:
    arousal, valence = axis_proba(proba)
    np.testing.assert_allclose(arousal, proba[:, :2].sum(axis=1))
    np.testing.assert_allclose(1 - valence, proba[:, 1:3].sum(axis=1), atol=1e-12)


def test_axes_need_four_quadrants() -> None:
    with pytest.raises(ParameterError, match=r"\(\.\.\., 4\)"):
        axis_proba(np.full((2, 3), 1 / 3))


def test_a_calibrated_crowd_has_no_error_and_a_boastful_one_is_recalibrated() -> None:
    rng = np.random.default_rng(2)
    proba = rng.dirichlet(np.ones(4), size=20_000) * 0.96 + 0.01
    label = (rng.random(20_000)[:, None] > proba.cumsum(axis=1)[:, :-1]).sum(axis=1)
    assert calibration_curve(proba, label).error < 0.02
    boastful = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    assert calibration_curve(boastful, label).error > 0.15
    half = 10_000
    humble = Recalibration(boastful[:half], label[:half])(boastful[half:])
    assert calibration_curve(humble, label[half:]).error < 0.03


def test_a_curve_needs_predictions() -> None:
    with pytest.raises(ParameterError, match="at least one row"):
        calibration_curve(np.zeros((0, 4)), np.zeros(0, dtype=int))
    curve = calibration_curve([[0.9, 0.1], [1.0, 0.0]], [0, 0], n_bins=2)
    assert curve.count.tolist() == [0, 2]
    assert np.isnan(curve.accuracy[0])
