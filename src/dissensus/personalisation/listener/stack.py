"""Do no harm: how far to follow the personal model, decided by what it predicts of answers it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.residual import softmax

__all__ = ["STACK_PRIOR", "STACK_STEPS", "stack_proba", "stack_weights"]

Floats = NDArray[np.float64]

#: How far along the personal shift the stacked models go: the prior, half way, all the way.
STACK_STEPS: Final = (0.0, 0.5, 1.0)
#: What is believed of the three before any answer.
STACK_PRIOR: Final = (1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0)


def stack_weights(
    log_prior: Floats,
    held_out_shift: Floats,
    label: NDArray[np.int64],
    *,
    steps: Sequence[float] = STACK_STEPS,
    prior: Sequence[float] = STACK_PRIOR,
) -> Floats:
    """Posterior weight of each step from held-out likelihood.

    Parameters
    ----------
    log_prior : (n, n_classes) ndarray
        Log of the crowd's probabilities of the answered tracks.
    held_out_shift : (n, n_classes) ndarray
        Personal shift of each answered track, computed without its own answer.
    label : (n,) ndarray of int64
        Answers.
    steps, prior : (n_steps,) sequence of float
        Steps in [0, 1] and what is believed of each beforehand.

    Returns
    -------
    (n_steps,) ndarray
        Sums to 1; the prior without answers.

    Examples
    --------
    >>> p = np.log([[0.5, 0.5]] * 4)
    >>> right, wrong = np.array([[1.0, -1.0]] * 4), np.array([[-1.0, 1.0]] * 4)
    >>> label = np.zeros(4, dtype=int)
    >>> stack_weights(p, right, label).round(2).tolist(), stack_weights(p, wrong, label).round(2).tolist()
    ([0.07, 0.3, 0.63], [0.92, 0.08, 0.0])
    """
    if len(steps) != len(prior) or not np.isclose(sum(prior), 1.0) or min(prior) < 0:
        raise ParameterError(
            f"prior={tuple(prior)!r} must give each of the {len(steps)} steps a share; shares sum to 1"
        )
    rows = np.arange(len(label))
    with np.errstate(divide="ignore"):
        score = np.log(np.asarray(prior, dtype=np.float64))
    for i, step in enumerate(steps):
        score[i] += np.log(softmax(log_prior + step * held_out_shift)[rows, label]).sum()
    weight: Floats = np.exp(score - score.max())
    weight /= weight.sum()
    return weight


def stack_proba(log_prior: Floats, shift: Floats, weight: Floats, *, steps: Sequence[float] = STACK_STEPS) -> Floats:
    """Mixture over the steps of ``softmax(log_prior + step * shift)``; any leading shape, classes last."""
    out = np.zeros_like(log_prior + shift)
    for step, share in zip(steps, weight, strict=True):
        if share > 1e-12:
            out += share * (softmax(log_prior + step * shift) if step else np.exp(log_prior))
    return out
