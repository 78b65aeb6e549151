"""For whom does personalisation help? By where a listener starts, and by how far the listener agrees with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import Interval, bootstrap_interval
from dissensus.evaluation.outcome.results import Results

__all__ = ["Third", "agreement_with_others", "thirds_by_agreement", "thirds_by_start"]

_NAMES: Final = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True)
class Third:
    """A third of the listeners.

    Attributes
    ----------
    name : str
        ``"lowest third"``, ``"middle third"`` or ``"highest third"``.
    n : int
    by : float
        Mean of what they were sorted by.
    start, gain : Interval
        Over these listeners.
    null_gain : Interval or None
        Their gain under permuted answers; None without such runs.
    """

    name: str
    n: int
    by: float
    start: Interval
    gain: Interval
    null_gain: Interval | None


def _moved(
    results: Results, update: str, member: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    curves = results.curves
    at = curves.pick(update=update, member=member)
    if not len(at):
        raise ParameterError(f"no curve of update {update!r} and member {member!r}")
    start = np.array([score[0] for score in curves.score])
    return at, start, np.array([score[-1] for score in curves.score]) - start


def _null_gain(results: Results, update: str, member: str) -> NDArray[np.float64] | None:
    curves = results.null_curves
    if curves is None:
        return None
    at = curves.pick(update=update, member=member)
    gain = np.array([score[-1] - score[0] for score in curves.score])
    return curves.by_listener(gain, at) if len(at) else None


def _thirds(
    by: NDArray[np.float64], start: NDArray[np.float64], gain: NDArray[np.float64], null: NDArray[np.float64] | None
) -> list[Third]:
    parts = np.array_split(np.argsort(by, kind="stable"), len(_NAMES))
    return [
        Third(
            name,
            len(part),
            float(by[part].mean()),
            bootstrap_interval(start[part]),
            bootstrap_interval(gain[part]),
            None if null is None else bootstrap_interval(null[part]),
        )
        for name, part in zip(_NAMES, parts, strict=True)
        if len(part)
    ]


def thirds_by_start(results: Results, *, update: str, member: str) -> list[Third]:
    """Gain of the thirds of listeners by the score before any answer.

    Listeners are sorted by the start of the even repeats; start and gain are of the odd ones, so that a start which is low
    by chance does not become a gain.

    Parameters
    ----------
    results : Results
    update, member : str

    Returns
    -------
    list of Third
        Empty with a single repeat or fewer than three listeners.

    Raises
    ------
    ParameterError
        No such curve.
    """
    at, start, gain = _moved(results, update, member)
    curves = results.curves
    odd = curves.repeat[at] % 2 == 1
    if len(results.listeners) < len(_NAMES) or not odd.any():
        return []
    sorted_by = curves.by_listener(start, at[~odd])
    return _thirds(
        sorted_by,
        curves.by_listener(start, at[odd]),
        curves.by_listener(gain, at[odd]),
        _null_gain(results, update, member),
    )


def agreement_with_others(dataset: Dataset) -> dict[str, float]:
    """Share of a listener's tracks on which the listener says what most of the others say.

    Parameters
    ----------
    dataset : Dataset
        The newest label of each listener and track counts.

    Returns
    -------
    dict of str to float
        By listener; in [0, 1]. Tracks that nobody else rated do not count; where k classes are tied among the others, one
        of them counts 1 / k. Listeners without a shared track are left out.
    """
    named = dataset.annotations.subset(dataset.annotations.label >= 0).newest()
    track = dataset.pool.index_of(named.track_id)
    votes = np.zeros((dataset.pool.n_tracks, len(dataset.classes)))
    np.add.at(votes, (track, named.label), 1.0)
    others = votes[track]
    others[np.arange(len(named)), named.label] -= 1.0
    shared = others.any(axis=1)
    most = others == others.max(axis=1, keepdims=True)
    agrees = most[np.arange(len(named)), named.label] / most.sum(axis=1)
    listeners, who = np.unique(named.listener_id, return_inverse=True)
    who = who.reshape(-1)
    n = np.bincount(who[shared], minlength=len(listeners))
    total = np.bincount(who[shared], agrees[shared], minlength=len(listeners))
    return {str(i): float(s / k) for i, s, k in zip(listeners.tolist(), total, n, strict=True) if k}


def thirds_by_agreement(results: Results, agreement: Mapping[str, float], *, update: str, member: str) -> list[Third]:
    """Gain of the thirds of listeners by how far they agree with others.

    Parameters
    ----------
    results : Results
    agreement : mapping of str to float
        From :func:`agreement_with_others`.
    update, member : str

    Returns
    -------
    list of Third
        Empty where a listener has no agreement, or with fewer than three listeners.
    """
    if len(results.listeners) < len(_NAMES) or any(who not in agreement for who in results.listeners):
        return []
    at, start, gain = _moved(results, update, member)
    curves = results.curves
    return _thirds(
        np.array([agreement[who] for who in results.listeners]),
        curves.by_listener(start, at),
        curves.by_listener(gain, at),
        _null_gain(results, update, member),
    )
