"""Residual models: stationary points, held-out predictions in closed form, posterior covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from dissensus.personalisation.listener.map_logistic import centred_log, fit_map_logistic, map_predict
from dissensus.personalisation.listener.residual import (
    fit_logistic_gp,
    fit_residual_gp,
    loo_logistic_gp,
    loo_residual_gp,
    softmax,
)


def answers(seed: int, n: int = 12) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    kernel = 0.3 * np.exp(-0.5 * ((points[:, None] - points) ** 2).sum(axis=2)) + 0.1 + 1e-9 * np.eye(n)
    prior = rng.dirichlet(np.full(4, 2.0), size=n) * 0.96 + 0.01
    return kernel, prior, rng.integers(0, 4, n)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_residual_predictions_are_those_of_refitting(seed: int) -> None:
    kernel, prior, label = answers(seed)
    held_out = loo_residual_gp(kernel, prior, label)
    for i in range(len(label)):
        rest = np.arange(len(label)) != i
        solved = fit_residual_gp(kernel[np.ix_(rest, rest)], prior[rest], label[rest])
        np.testing.assert_allclose(held_out[i], prior[i] + kernel[i, rest] @ solved, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_logistic_process_is_at_its_mode(seed: int) -> None:
    kernel, prior, label = answers(seed)
    fit = fit_logistic_gp(kernel, np.log(prior), label)
    residual = np.eye(4)[label] - softmax(np.log(prior) + kernel @ fit.coefficient)
    np.testing.assert_allclose(fit.coefficient, residual, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_shifts_are_close_to_refitting(seed: int) -> None:
    kernel, prior, label = answers(seed)
    log_prior = np.log(prior)
    fit = fit_logistic_gp(kernel, log_prior, label)
    held_out = loo_logistic_gp(fit, kernel, log_prior)
    own = kernel @ fit.coefficient
    for i in range(len(label)):
        rest = np.arange(len(label)) != i
        again = fit_logistic_gp(kernel[np.ix_(rest, rest)], log_prior[rest], label[rest])
        exact = kernel[i, rest] @ again.coefficient
        assert np.abs(held_out[i] - exact).max() < 0.03
        assert np.abs(held_out[i] - exact).max() < 0.3 * np.abs(own[i] - exact).max()


def test_posterior_covariance_by_brute_force() -> None:
    kernel, prior, label = answers(3, n=6)
    fit = fit_logistic_gp(kernel[:5, :5], np.log(prior[:5]), label[:5])
    proba = softmax(np.log(prior[:5]) + kernel[:5, :5] @ fit.coefficient)
    hessian = np.zeros((20, 20))  # class-major, as a full system
    for c in range(4):
        for d in range(4):
            hessian[c * 5 : c * 5 + 5, d * 5 : d * 5 + 5] = np.diag(proba[:, c] * ((c == d) - proba[:, d]))
    full = np.kron(np.eye(4), kernel)
    seen = np.concatenate([np.arange(5) + 6 * c for c in range(4)])
    new = np.array([5 + 6 * c for c in range(4)])
    joint, cross = full[np.ix_(seen, seen)], full[np.ix_(new, seen)]
    expected = full[np.ix_(new, new)] - cross @ hessian @ np.linalg.solve(np.eye(20) + joint @ hessian, cross.T)
    found = fit.covariance(kernel[5:, 5], kernel[5:, :5])[0]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.linalg.eigvalsh(found).min() > 0
    assert np.trace(found) < 4 * kernel[5, 5]


def test_logistic_regression_finds_the_minimum_in_every_fold() -> None:
    _, prior, label = answers(8, n=40)
    inputs = centred_log(prior)
    keep = np.vstack([np.ones(40), np.arange(40) % 2])
    mean = np.vstack([np.eye(4), np.zeros(4)])
    penalty = np.array([15.0, 15.0, 15.0, 15.0, 10.0])
    weight = fit_map_logistic(inputs, label, keep, prior_mean=mean, penalty=penalty)

    def loss(flat: Any, use: Any) -> float:
        w = flat.reshape(5, 4)
        p = map_predict(inputs, w)
        likely = -(use * np.log(p[np.arange(40), label])).sum()
        return float(likely + 0.5 * (penalty[:, None] * (w - mean) ** 2).sum())

    for fitted, use in zip(weight, keep, strict=True):
        best = minimize(loss, mean.ravel(), args=(use,), method="BFGS", options={"gtol": 1e-7})
        np.testing.assert_allclose(fitted.ravel(), best.x, atol=1e-4)
    alone = fit_map_logistic(inputs[1::2], label[1::2], np.ones((1, 20)), prior_mean=mean, penalty=penalty)
    np.testing.assert_allclose(weight[1], alone[0], atol=1e-10)


def test_newton_does_not_overshoot_from_extreme_opinions() -> None:
    rng = np.random.default_rng(0)
    log_prior = 15.0 * rng.normal(size=(30, 4))
    label = rng.integers(0, 4, 30)
    kernel = 20.0 * np.eye(30) + 5.0
    log_prior -= np.log(np.exp(log_prior - log_prior.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
    fit = fit_logistic_gp(kernel, log_prior, label)
    residual = np.eye(4)[label] - softmax(log_prior + kernel @ fit.coefficient)
    np.testing.assert_allclose(fit.coefficient, residual, atol=1e-6)
    inputs = log_prior - log_prior.mean(axis=1, keepdims=True)
    mean, penalty = np.vstack([np.eye(4), np.zeros(4)]), np.full(5, 0.1)
    weight = fit_map_logistic(inputs, label, np.ones((1, 30)), prior_mean=mean, penalty=penalty)[0]
    slope = np.column_stack([inputs, np.ones(30)]).T @ (map_predict(inputs, weight) - np.eye(4)[label])
    np.testing.assert_allclose(slope + penalty[:, None] * (weight - mean), 0, atol=1e-6)


def test_without_answers_the_prior_stays() -> None:
    mean = np.vstack([np.eye(4), np.zeros(4)])
    weight = fit_map_logistic(
        np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.ones((1, 0)), prior_mean=mean, penalty=np.ones(5)
    )
    np.testing.assert_array_equal(weight[0], mean)
    prior = np.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(map_predict(centred_log(prior), weight[0]), prior)
