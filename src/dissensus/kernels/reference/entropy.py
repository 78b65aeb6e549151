"""How far a committee disagrees, per track: float64, from the definitions, sums in the order of members and classes.

Natural logarithms; ``0 log 0 = 0``. ``scipy.special.entr`` calls the C library's ``log``, as the compiled twins do where
they score a track again in float64, so that all of them rank alike to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from dissensus._measures import Measure

__all__ = ["consensus_entropy", "margin", "mean_kl", "query_top"]

Floats = NDArray[Any]


def _sum_in_order(values: Floats) -> Floats:
    total: Floats = np.zeros(values.shape[1:])
    for value in values:
        total += value
    return total


def _mean_member(rows: Floats, weight: Floats) -> Floats:
    """Weighted mean over members, scaled to sum to one; NaN where it is no distribution."""
    total = _sum_in_order(weight[:, None, None] * rows) / _sum_in_order(weight)
    total = np.where((total < 0).any(axis=1, keepdims=True), np.nan, total)
    return total / _sum_in_order(total.T)[:, None]


def _consensus_entropy(rows: Floats, weight: Floats) -> Floats:
    return _sum_in_order(entr(_mean_member(rows, weight)).T)


def _mean_kl(rows: Floats, weight: Floats) -> Floats:
    rows = np.where((rows < 0).any(axis=2, keepdims=True), np.nan, rows)
    rows = rows / _sum_in_order(np.moveaxis(rows, 2, 0))[:, :, None]
    mean = _sum_in_order(weight[:, None, None] * rows) / _sum_in_order(weight)
    total = np.zeros(rows.shape[1])
    for w, row in zip(weight, rows, strict=True):
        # x log(x / y) = -y entr(x / y)
        terms = np.where(mean == 0, 0.0, -mean * entr(row / np.where(mean == 0, 1.0, mean)))
        total += w * _sum_in_order(terms.T)
    return np.maximum(total / _sum_in_order(weight), 0.0)


def _margin(rows: Floats, weight: Floats) -> Floats:
    mean = _mean_member(rows, weight)
    if mean.shape[1] == 1:
        return 1.0 - mean[:, 0]
    ordered = np.sort(mean, axis=1)  # NaN sorts last
    return 1.0 - (ordered[:, -1] - ordered[:, -2])  # type: ignore[no-any-return]


_SCORES = {Measure.consensus_entropy: _consensus_entropy, Measure.mean_kl: _mean_kl, Measure.margin: _margin}


def _write(measure: int, proba: Floats, weight: Floats, start: int, stop: int, out: Floats) -> None:
    with np.errstate(all="ignore"):
        out[start:stop] = _SCORES[Measure(measure)](proba[:, start:stop].astype(np.float64), weight)


def consensus_entropy(proba: Floats, weight: Floats, start: int, stop: int, out: Floats) -> None:
    """Write the entropy (nats) of the weighted mean member into ``out[start:stop]``."""
    _write(Measure.consensus_entropy, proba, weight, start, stop, out)


def mean_kl(proba: Floats, weight: Floats, start: int, stop: int, out: Floats) -> None:
    """Write the weighted mean divergence (nats) of the members from their mean into ``out[start:stop]``."""
    _write(Measure.mean_kl, proba, weight, start, stop, out)


def margin(proba: Floats, weight: Floats, start: int, stop: int, out: Floats) -> None:
    """Write one minus the lead of the first class over the second, in the mean member, into ``out[start:stop]``."""
    _write(Measure.margin, proba, weight, start, stop, out)


def query_top(
    proba: Floats, weight: Floats, measure: int, exclude: Floats, start: int, stop: int, index: Floats, score: Floats
) -> int:
    """Write the best ``len(index)`` tracks of ``start:stop`` and their float64 scores, best first; return how many.

    Ties go to the lowest position, NaN comes last, positions in ``exclude`` (sorted) never.
    """
    utility = np.full(stop, np.nan)
    _write(measure, proba, weight, start, stop, utility)
    allowed = np.setdiff1d(np.arange(start, stop), exclude, assume_unique=True)
    best = allowed[np.argsort(-utility[allowed], kind="stable")][: len(index)]
    index[: len(best)] = best
    score[: len(best)] = utility[best]
    return len(best)
