"""Cumulative logistic regression, the likelihood of ordered answers, with any Gaussian prior on what moves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.residual import sigmoid

__all__ = ["CumulativeFit", "fit_cumulative"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CumulativeFit:
    """The Laplace approximation at its mode.

    Attributes
    ----------
    mode : (n_parameters,) ndarray
        Most probable parameters.
    covariance : (n_parameters, n_parameters) ndarray
        Their posterior covariance there.
    """

    mode: Floats
    covariance: Floats


def fit_cumulative(
    upper: Floats,
    lower: Floats,
    offset: tuple[Floats, Floats],
    precision: Floats,
    *,
    start: Floats | None = None,
    max_iter: int = 50,
) -> CumulativeFit:
    r"""Most probable parameters of :math:`P(y) = \sigma(u) - \sigma(l)`, bounds linear in the parameters.

    ``u = offset[0] + upper @ q`` is the distance from a track's value to the upper bound of the level given, ``l`` that to
    its lower bound; ``q`` has the prior ``N(0, precision^-1)``. Log-concave, so Newton's method ends at the one mode.

    Parameters
    ----------
    upper, lower : (n, n_parameters) ndarray
        One row an answer.
    offset : two (n,) ndarray
        Of both bounds; 40 and −40 stand for no bound.
    precision : (n_parameters, n_parameters) ndarray
        Of the prior.
    start : (n_parameters,) ndarray, optional
        Where to begin; every level must have room there. Default: zeros.

    Raises
    ------
    ParameterError
        A level has no room at the start.

    References
    ----------
    .. [1] McCullagh, "Regression models for ordinal data", JRSS B 42, 1980.
    """
    q: Floats = np.zeros(len(precision)) if start is None else start.astype(np.float64)

    def look(q: Floats) -> tuple[float, Floats, Floats, Floats]:
        u, low = offset[0] + upper @ q, offset[1] + lower @ q
        if (u <= low).any():
            return np.inf, u, low, np.zeros_like(u)
        p = np.maximum(sigmoid(u) - sigmoid(low), 1e-300)
        return float(-np.log(p).sum() + 0.5 * q @ precision @ q), u, low, p

    value, u, low, p = look(q)
    if not np.isfinite(value):
        raise ParameterError("a level has no room at the start: bounds must rise")
    for _ in range(max_iter):
        gradient, hessian = _slope(upper, lower, u, low, p)
        gradient = gradient + precision @ q
        step = np.asarray(np.linalg.solve(hessian + precision, gradient), dtype=np.float64)
        for _ in range(40):
            fresh = look(q - step)
            if fresh[0] <= value + 1e-10 * (1.0 + abs(value)):
                break
            step = np.asarray(0.5 * step, dtype=np.float64)
        q = np.asarray(q - step, dtype=np.float64)
        value, u, low, p = fresh
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    hessian = np.asarray(_slope(upper, lower, u, low, p)[1] + precision, dtype=np.float64)
    covariance = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
    return CumulativeFit(q, np.asarray(0.5 * (covariance + covariance.T), dtype=np.float64))


def _slope(upper: Floats, lower: Floats, u: Floats, low: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Gradient and Hessian of the negative log-likelihood."""
    above, below = sigmoid(u), sigmoid(low)
    du, dl = above * (1.0 - above), below * (1.0 - below)
    uu = (du**2 - du * (1.0 - 2.0 * above) * p) / p**2
    ll = (dl**2 + dl * (1.0 - 2.0 * below) * p) / p**2
    ul = -du * dl / p**2
    cross = (upper.T * ul) @ lower
    hessian = (upper.T * uu) @ upper + (lower.T * ll) @ lower + cross + cross.T
    return lower.T @ (dl / p) - upper.T @ (du / p), hessian
