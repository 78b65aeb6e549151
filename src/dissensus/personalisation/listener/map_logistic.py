"""Multinomial logistic regression whose prior mean is "leave the crowd's probabilities as they are"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dissensus.personalisation.listener.residual import softmax

__all__ = ["centred_log", "fit_map_logistic", "map_predict"]

Floats = NDArray[np.float64]


def centred_log(proba: Floats) -> Floats:
    """Log probabilities less their mean over classes: the inputs of the model."""
    logs = np.log(proba)
    centred: Floats = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def map_predict(inputs: Floats, weight: Floats) -> Floats:
    """Probabilities of ``inputs`` ``(..., n, n_inputs)`` under ``weight`` ``(..., n_inputs + 1, n_classes)``, bias last."""
    return softmax(inputs @ weight[..., :-1, :] + weight[..., -1:, :])


def fit_map_logistic(
    inputs: Floats,
    label: NDArray[np.int64],
    sample_weight: Floats,
    *,
    prior_mean: Floats,
    penalty: Floats,
    max_iter: int = 30,
) -> Floats:
    """Most probable weights of several models at once: same answers, different sample weights (one row per fold).

    Newton's method on ``-sum_i s_i log p_i(y_i) + 1/2 sum_j penalty_j (W_j - prior_j)^2``; convex, so the end does not
    depend on the start beyond rounding.

    Parameters
    ----------
    inputs : (n, n_inputs) ndarray
        Centred log probabilities of the prior, and whatever stands beside them.
    label : (n,) ndarray of int64
        Classes.
    sample_weight : (n_models, n) ndarray
        Weight of each answer in each model; zero leaves it out.
    prior_mean : (n_inputs + 1, n_classes) ndarray
        Mean of the prior, bias last.
    penalty : (n_inputs + 1,) ndarray
        Precision of the prior of each row of weights, above zero.

    Returns
    -------
    (n_models, n_inputs + 1, n_classes) ndarray
    """
    n_models, n = sample_weight.shape
    n_rows, n_classes = prior_mean.shape
    design = np.column_stack([inputs, np.ones(n)])
    onehot = np.eye(n_classes)[label]
    weight = np.repeat(prior_mean[None], n_models, axis=0)
    if n == 0:
        return weight
    size = n_rows * n_classes
    pull = np.diag(np.repeat(penalty, n_classes))
    outer = (design[:, :, None] * design[:, None, :]).reshape(n, -1)
    same = np.eye(n_classes)
    value = np.full(n_models, np.inf)
    step: Floats = np.zeros_like(weight)
    for _ in range(max_iter):
        scores, value = _descend(design, label, sample_weight, prior_mean, penalty, weight, step, value)
        weight = weight - step
        proba = softmax(scores)
        residual = sample_weight[:, :, None] * (proba - onehot)
        gradient = design.T @ residual + penalty[:, None] * (weight - prior_mean)
        curve = sample_weight[:, :, None, None] * (
            proba[..., :, None] * same - proba[..., :, None] * proba[..., None, :]
        )
        hessian = (outer.T @ curve.reshape(n_models, n, -1)).reshape(n_models, n_rows, n_rows, n_classes, n_classes)
        hessian = hessian.transpose(0, 1, 3, 2, 4).reshape(n_models, size, size) + pull
        solved = np.asarray(np.linalg.solve(hessian, gradient.reshape(n_models, size, 1)), dtype=np.float64)
        step = solved.reshape(weight.shape)
        if np.abs(step).max() < 1e-12:
            break
    return weight - step


def _descend(
    design: Floats,
    label: NDArray[np.int64],
    sample_weight: Floats,
    prior_mean: Floats,
    penalty: Floats,
    weight: Floats,
    step: Floats,
    value: Floats,
) -> tuple[Floats, Floats]:
    """Shorten ``step`` in place, model by model, until no objective rises; scores and objectives after it."""
    rows = np.arange(len(label))
    for _ in range(30):
        scores = design @ (weight - step)
        total = np.logaddexp.reduce(scores, axis=-1)
        ridge = 0.5 * np.einsum("j,mjc->m", penalty, (weight - step - prior_mean) ** 2)
        fresh = np.asarray(
            np.einsum("mn,mn->m", sample_weight, total - scores[:, rows, label]) + ridge, dtype=np.float64
        )
        worse = fresh > value + 1e-9 * (1.0 + np.abs(value))
        if not worse.any():
            break
        step[worse] *= 0.5
    return scores, fresh
