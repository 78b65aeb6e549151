"""What one listener hears differently: residual models on top of the crowd prior, refitted from it at every answer.

Each takes the kernel between the answered tracks, their prior probabilities and the answers, and gives coefficients: the
shift of any track is ``kernel(track, answered) @ coefficient``. All are functions of the set of answers alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LogisticFit",
    "fit_logistic_gp",
    "fit_residual_gp",
    "loo_logistic_gp",
    "loo_residual_gp",
    "sigmoid",
    "softmax",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def softmax(scores: Floats) -> Floats:
    """Rows of ``scores`` as probabilities along the last axis."""
    shifted: Floats = scores - scores.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted


def sigmoid(x: Floats) -> Floats:
    """``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)


def fit_residual_gp(kernel: Floats, prior: Floats, label: Ints, noise: float = 1.0) -> Floats:
    """Coefficients ``(n, n_classes)`` of a Gaussian process on ``onehot - prior``.

    Parameters
    ----------
    kernel : (n, n) ndarray
        Between the answered tracks.
    prior : (n, n_classes) ndarray
        Their prior probabilities; the shift is added to these.
    label : (n,) ndarray of int64
        Answers.
    """
    residual = np.eye(prior.shape[1])[label] - prior
    return np.asarray(np.linalg.solve(kernel + noise * np.eye(len(label)), residual), dtype=np.float64)


def loo_residual_gp(kernel: Floats, prior: Floats, label: Ints, noise: float = 1.0) -> Floats:
    """What :func:`fit_residual_gp` predicts of each answer from the others ``(n, n_classes)``, in closed form."""
    residual = np.eye(prior.shape[1])[label] - prior
    inverse = np.linalg.inv(kernel + noise * np.eye(len(label)))
    held_out = prior + residual - (inverse @ residual) / np.diag(inverse)[:, None]
    return np.asarray(held_out, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """The Laplace approximation at its mode.

    Attributes
    ----------
    coefficient : (n, n_classes) ndarray
        ``kernel(track, answered) @ coefficient`` is the shift of a track's log probabilities.
    curvature : (n_classes, n, n) ndarray
        One block a class of the inverse of kernel plus inverse curvature, before classes are coupled.
    coupling : (n, n) ndarray
        Inverse of the sum of ``curvature`` over classes.
    """

    coefficient: Floats
    curvature: Floats
    coupling: Floats

    def covariance(self, own: Floats, cross: Floats) -> Floats:
        """Posterior covariance of the classes' shifts, track by track.

        Parameters
        ----------
        own : (m,) ndarray
            Prior variance of each track.
        cross : (m, n) ndarray
            Kernel between the tracks and the answered ones.

        Returns
        -------
        (m, n_classes, n_classes) ndarray
        """
        n_classes = len(self.curvature)
        part = cross @ self.curvature  # (n_classes, m, n)
        coupled = part @ self.coupling
        within: Floats = np.einsum("cmn,dmn->mcd", coupled, part, optimize=True)
        each = np.einsum("cmn,mn->mc", part, cross, optimize=True)
        rows = np.arange(n_classes)
        within[:, rows, rows] += own[:, None] - each
        return within


def fit_logistic_gp(kernel: Floats, log_prior: Floats, label: Ints, *, max_iter: int = 50) -> LogisticFit:
    """Multinomial logistic Gaussian process with the crowd's log probabilities as its mean.

    Newton's method as in Rasmussen and Williams, algorithm 3.3, with one kernel for all classes.

    Parameters
    ----------
    kernel : (n, n) ndarray
        Between the answered tracks.
    log_prior : (n, n_classes) ndarray
        Log of the prior probabilities; the shift is added to these.
    label : (n,) ndarray of int64
        Answers.

    References
    ----------
    .. [1] Rasmussen and Williams, "Gaussian processes for machine learning", MIT Press, 2006, section 3.5.
    """
    n, n_classes = log_prior.shape
    target = np.eye(n_classes)[label]
    identity = np.eye(n)
    shift = np.zeros((n, n_classes))
    coefficient = np.zeros((n, n_classes))
    curvature, coupling = np.zeros((n_classes, n, n)), np.zeros((n, n))
    value = _log_posterior(coefficient, shift, log_prior, label)
    for _ in range(max_iter):
        proba = softmax(log_prior + shift)
        curvature, coupling = _curvature(kernel, proba, identity)
        slope = proba * shift + target - proba
        slope -= proba * (proba * shift).sum(axis=1, keepdims=True)
        image = np.einsum("cij,jc->ic", curvature, kernel @ slope)
        fresh = slope - image + np.einsum("cij,j->ic", curvature, coupling @ image.sum(axis=1))
        for _ in range(30):  # a full Newton step, or a part of it where it would overshoot
            moved = kernel @ fresh
            gained = _log_posterior(fresh, moved, log_prior, label)
            if gained >= value - 1e-9 * (1.0 + abs(value)):
                break
            fresh = 0.5 * (fresh + coefficient)
        change = np.abs(moved - shift).max(initial=0.0)
        coefficient, shift, value = fresh, moved, gained
        if change < 1e-6:  # Newton squares what is left: the coefficients are right to 1e-11, the curvature to 1e-6
            break
    return LogisticFit(coefficient, curvature, coupling)


def _log_posterior(coefficient: Floats, shift: Floats, log_prior: Floats, label: Ints) -> float:
    scores = log_prior + shift
    top = scores.max(axis=1)
    total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    likely = (scores[np.arange(len(label)), label] - total).sum()
    return float(likely - 0.5 * np.einsum("nc,nc->", coefficient, shift))


def _curvature(kernel: Floats, proba: Floats, identity: Floats) -> tuple[Floats, Floats]:
    root = np.sqrt(proba).T
    curvature = root[:, :, None] * kernel * root[:, None, :]
    curvature += identity
    for block in curvature:
        block[:] = _inverse(block)
    curvature *= root[:, :, None]
    curvature *= root[:, None, :]
    return curvature, _inverse(curvature.sum(axis=0))


def _inverse(matrix: Floats) -> Floats:
    """Inverse of a symmetric matrix, positive definite but for rounding."""
    from scipy.linalg.lapack import dpotrf, dpotri

    factor, failed = dpotrf(matrix, lower=1, clean=1)
    if failed:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    lower = dpotri(factor, lower=1)[0]  # above the diagonal are the zeros that `clean` left
    both = np.asarray(lower + lower.T, dtype=np.float64)
    both.reshape(-1)[:: len(both) + 1] *= 0.5
    return both


def loo_logistic_gp(fit: LogisticFit, kernel: Floats, log_prior: Floats) -> Floats:
    """Shift ``(n, n_classes)`` that the other answers give to each answered track.

    One step from the mode: the answer's own term is taken out of the Gaussian posterior of its track. No refit; exact for
    the Laplace approximation.
    """
    n_classes = log_prior.shape[1]
    shift = kernel @ fit.coefficient
    proba = softmax(log_prior + shift)
    posterior = fit.covariance(np.diag(kernel), kernel)
    hessian = proba[:, :, None] * (np.eye(n_classes) - proba[:, None, :])
    # covariance without the answer: (posterior^-1 - hessian)^-1, written without inverting a nearly singular matrix
    cavity = np.linalg.solve(np.eye(n_classes) - posterior @ hessian, posterior)
    left: Floats = shift - np.einsum("ncd,nd->nc", cavity, fit.coefficient)
    return left
