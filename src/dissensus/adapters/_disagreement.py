"""Disagreement by name, from members' probabilities."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.strategies import consensus_entropy, margin, mean_kl, mutual_information, vote_entropy

__all__ = ["MEASURES", "aligned", "disagreement"]

#: Names of what can be measured; see :mod:`dissensus.strategies`.
MEASURES: Final = ("consensus_entropy", "vote_entropy", "mean_kl", "mutual_information", "margin")

_OF_PROBA: Final = {
    "consensus_entropy": consensus_entropy,
    "mean_kl": mean_kl,
    "mutual_information": mutual_information,
    "margin": margin,
}


def disagreement(proba: NDArray[Any], measure: str) -> NDArray[np.float64]:
    """``(n_samples,)`` how much the members disagree; ``proba`` is ``(n_members, n_samples, n_classes)``."""
    if measure not in MEASURES:
        raise ParameterError(f"method={measure!r}; choose one of {', '.join(map(repr, MEASURES))}")
    if proba.shape[1] == 0:
        return np.zeros(0)
    if measure == "vote_entropy":
        return vote_entropy(proba.argmax(axis=2), n_classes=proba.shape[2]).astype(np.float64)
    return _OF_PROBA[measure](np.ascontiguousarray(proba)).astype(np.float64)


def aligned(tables: list[NDArray[Any]], classes: list[NDArray[Any]]) -> NDArray[np.float64]:
    """``(n_members, n_samples, n_classes)``: a class that a member does not know has probability 0 there."""
    known = np.unique(np.concatenate(classes))
    out = np.zeros((len(tables), len(tables[0]), len(known)))
    for member, table, names in zip(out, tables, classes, strict=True):
        member[:, np.searchsorted(known, names)] = table
    return out
