"""The stack: follows what predicts, returns to the crowd where nothing does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.stack import STACK_PRIOR, stack_proba, stack_weights


@given(seed=st.integers(0, 10_000), n=st.integers(0, 20))
def test_weights_and_mixtures_are_distributions(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    log_prior = np.log(rng.dirichlet(np.ones(4), size=n) * 0.96 + 0.01)
    shift = rng.normal(size=(n, 4))
    weight = stack_weights(log_prior, shift, rng.integers(0, 4, n))
    assert weight.sum() == pytest.approx(1)
    assert (weight >= 0).all()
    if n == 0:
        np.testing.assert_allclose(weight, STACK_PRIOR)
    mixture = stack_proba(log_prior, shift, weight)
    np.testing.assert_allclose(mixture.sum(axis=1), 1, atol=1e-9)


def test_bayes_rule_by_hand() -> None:
    log_prior = np.log(np.full((2, 2), 0.5))
    shift = np.array([[1.0, 0.0], [0.0, 2.0]])
    label = np.array([0, 0])
    likely = [0.25]
    for step in (0.5, 1.0):
        likely.append(1 / (1 + np.exp(-step)) / (1 + np.exp(2 * step)))
    expected = np.array(likely) * [0.5, 0.25, 0.25]
    weight = stack_weights(log_prior, shift, label, prior=(0.5, 0.25, 0.25))
    np.testing.assert_allclose(weight, expected / expected.sum(), atol=1e-12)


def test_harm_is_bounded_where_the_shift_is_wrong() -> None:
    rng = np.random.default_rng(0)
    prior = rng.dirichlet(np.ones(4), size=400) * 0.96 + 0.01
    label = (rng.random(400)[:, None] > prior.cumsum(axis=1)[:, :-1]).sum(axis=1)
    noise = rng.normal(size=(400, 4))
    weight = stack_weights(np.log(prior[:200]), noise[:200], label[:200])
    rows = np.arange(200)
    test = stack_proba(np.log(prior[200:]), noise[200:], weight)[rows, label[200:]]
    all_the_way = stack_proba(np.log(prior[200:]), noise[200:], np.array([0, 0, 1.0]))[rows, label[200:]]
    crowd = -np.log(prior[200:][rows, label[200:]]).mean()
    assert weight[0] > 0.99
    assert -np.log(test).mean() - crowd < 0.005
    assert -np.log(all_the_way).mean() - crowd > 0.1


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.5, 0.6, 0.2), (1.5, -0.5, 0.0)])
def test_a_prior_must_be_shares(prior: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError, match="shares sum to 1"):
        stack_weights(np.zeros((1, 2)), np.zeros((1, 2)), np.array([0]), prior=prior)
