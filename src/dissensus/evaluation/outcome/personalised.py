"""Who was personalised? By the published slope, and by a criterion that cannot be met by recovering from a collapse.

The published criterion fits a line to the scores *after* the first answers and calls a listener personalised where it does
not fall. An update that ruins a model and slowly mends it passes. Here the start belongs to the curve, the gain must lie
above it with its whole interval, and the same criteria are applied to listeners whose answers were permuted.

References
----------
.. [1] Gómez-Cañón et al., "Let's agree to disagree", ISMIR 2021, Figure 3.
.. [2] C. Nadeau & Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.agreement.groups import GroupAgreement, RatingTable, group_agreement
from dissensus.errors import ParameterError
from dissensus.evaluation.curves import Curves, curves_of, slopes
from dissensus.evaluation.outcome.paired_tests import as_columns

__all__ = [
    "ALL",
    "EffectivePersonalisation",
    "agreement_of_groups",
    "effective_personalisation",
    "listener_gains",
    "listener_groups",
    "repeat_interval",
    "share_interval",
    "slopes",
]

#: In place of a strategy: the mean over all of them.
ALL: Final = "all"

#: A listener who gains more than all but this share of the permuted ones is beyond them.
_CHANCE: Final = 0.05

#: Fewer permuted repeats have no intervals worth a share.
_FEWEST: Final = 5


def repeat_interval(
    values: ArrayLike, *, test_share: float = 0.15, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of one listener's repeats and its interval, wider than a naive one because the splits share tracks.

    Parameters
    ----------
    values : (n_repeats,) array_like of float
        One number a split, such as the gain.
    test_share : float
        Share of the tracks that each split held out: the variance of the mean is taken as
        ``var * (1 / n_repeats + test_share / (1 - test_share))``.
    confidence : float

    Returns
    -------
    mean, low, high : float
        Infinite ends for one repeat: it says nothing about the spread.

    Examples
    --------
    >>> mean, low, high = repeat_interval([0.02, 0.06, 0.04, 0.05])
    >>> round(mean, 4), low < 0.03 < 0.055 < high
    (0.0425, True)
    >>> repeat_interval([0.1])
    (0.1, -inf, inf)
    """
    from scipy.stats import t

    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or not len(v) or not np.isfinite(v).all():
        raise ParameterError(f"values must be finite, one a repeat; got shape {v.shape}")
    if not 0 < test_share < 1 or not 0 < confidence < 1:
        raise ParameterError(f"test_share={test_share!r} and confidence={confidence!r} must lie between 0 and 1")
    mean = float(v.mean())
    if len(v) == 1:
        return mean, -math.inf, math.inf
    error = math.sqrt(float(v.var(ddof=1)) * (1 / len(v) + test_share / (1 - test_share)))
    half = float(t.ppf(0.5 + confidence / 2, len(v) - 1)) * error
    return mean, mean - half, mean + half


def share_interval(count: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of listeners.

    Parameters
    ----------
    count, n : int
        So many of so many listeners.
    confidence : float

    Returns
    -------
    low, high : float
        In [0, 1].

    Raises
    ------
    ParameterError
        ``n`` below 1, a count outside 0..n, or a confidence outside (0, 1).

    Examples
    --------
    >>> low, high = share_interval(17, 35)
    >>> round(low, 3), round(high, 3)
    (0.33, 0.644)
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= count <= n or not 0 < confidence < 1:
        raise ParameterError(f"count={count!r} of n={n!r} at confidence={confidence!r} is no share")
    low, high = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True)
class EffectivePersonalisation:
    """How many listeners were personalised, by each criterion, with the null beside.

    Attributes
    ----------
    update, member, strategy : str
        ``strategy`` is ``"all"`` for the mean over the strategies.
    n_listeners : int
    published : int
        Slope not negative, the start left out: the published criterion.
    above_start : int
        Mean end above the mean start.
    rising : int
        Slope positive with the start in the curve.
    surely_above, surely_below : int
        The whole interval of the gain over the repeats on that side of zero, and rising or not so. With one repeat nobody is.
    null_published, null_above_start, null_rising : float
        Shares under permuted answers; NaN without such runs.
    same_published, same_above_start, same_rising : float
        Shares of the true answers on the repeats that were permuted, to be compared with the null.
    null_surely_above, same_surely_above : float
        The same for the whole interval; NaN below five permuted repeats, whose intervals would decide nobody.
    beyond_null : float
        Share whose gain on those repeats is larger than that of 95 % of the permuted listeners: 5 % by chance.
    """

    update: str
    member: str
    strategy: str
    n_listeners: int
    published: int
    above_start: int
    rising: int
    surely_above: int
    surely_below: int
    null_published: float = math.nan
    null_above_start: float = math.nan
    null_rising: float = math.nan
    same_published: float = math.nan
    same_above_start: float = math.nan
    same_rising: float = math.nan
    null_surely_above: float = math.nan
    same_surely_above: float = math.nan
    beyond_null: float = math.nan

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _curves(table: Any, score: str) -> Curves:
    """Curves that are cut already are taken as they are."""
    return table if isinstance(table, Curves) else curves_of(as_columns(table), score)


def _gains(curves: Curves) -> NDArray[np.float64]:
    return np.array([score[-1] - score[0] for score in curves.score])


@dataclass(frozen=True, eq=False)
class _Moved:
    """What became of every curve: its slopes with and without the start, and its gain."""

    curves: Curves
    after: NDArray[np.float64]
    rising: NDArray[np.float64]
    gain: NDArray[np.float64]

    @classmethod
    def of(cls, curves: Curves) -> _Moved:
        return cls(curves, slopes(curves, with_start=False), slopes(curves, with_start=True), _gains(curves))

    def sure(self, at: NDArray[np.int64], test_share: float) -> tuple[int, int]:
        """Listeners whose whole interval of the gain lies above, and below, and whose slope agrees."""
        rising = self.curves.by_listener(self.rising, at) > 1e-12
        mine = _per_listener(self.curves, at)
        spans = [repeat_interval(_by_repeat(self.curves, self.gain, one), test_share=test_share) for one in mine]
        above = sum(bool(up) and low > 0 for up, (_, low, _) in zip(rising, spans, strict=True))
        return above, sum(not up and high < 0 for up, (_, _, high) in zip(rising, spans, strict=True))

    def shares(self, at: NDArray[np.int64]) -> dict[str, float]:
        """Share of listeners who pass each criterion."""
        of = self.curves.by_listener
        return {
            "published": float((of(self.after, at) >= 0).mean()),
            "above_start": float((of(self.gain, at) > 1e-12).mean()),
            "rising": float((of(self.rising, at) > 1e-12).mean()),
        }


def effective_personalisation(
    table: Any, null: Any = None, *, test_share: float = 0.15, score: str = "f1_weighted", overall: bool = False
) -> list[EffectivePersonalisation]:
    """Count the listeners who were personalised, for every update, member and strategy.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``, or the :class:`~dissensus.evaluation.curves.Curves` cut out of it.
    null
        The same of runs whose answers were permuted among the tracks (``details/permuted.parquet``).
    test_share : float
        Of the protocol; see :func:`repeat_interval`.
    score : str
    overall : bool
        After the strategies of a member, a row ``"all"`` for the mean over them.

    Returns
    -------
    list of EffectivePersonalisation
    """
    curves = _curves(table, score)
    permuted = None if null is None else _curves(null, score)
    chance = None if permuted is None or not len(permuted.listener) else _Moved.of(permuted)
    moved = _Moved.of(curves)
    out = []
    for where in _cells(curves, overall=overall):
        at = curves.pick(**{name: value for name, value in where.items() if value != ALL})
        above, below = moved.sure(at, test_share)
        counts: dict[str, Any] = {
            "published": int((curves.by_listener(moved.after, at) >= 0).sum()),
            "above_start": int((curves.by_listener(moved.gain, at) > 1e-12).sum()),
            "rising": int((curves.by_listener(moved.rising, at) > 1e-12).sum()),
            "surely_above": above,
            "surely_below": below,
        }
        beside: dict[str, Any] = {} if chance is None else _beside(moved, chance, at, where, test_share)
        key = (where["update"], where["member"], where["strategy"])
        out.append(replace(EffectivePersonalisation(*key, len(np.unique(curves.who[at])), **counts), **beside))
    return out


def _cells(curves: Curves, *, overall: bool) -> list[dict[str, str]]:
    """Update, member and strategy of every row: the strategies of a member first, then all of them at once."""
    keys = zip(curves.update.tolist(), curves.member.tolist(), curves.strategy.tolist(), strict=True)
    strategies: dict[tuple[str, str], list[str]] = {}
    for update, member, strategy in dict.fromkeys(keys):
        strategies.setdefault((update, member), []).append(strategy)
    return [
        {"update": update, "member": member, "strategy": strategy}
        for (update, member), names in strategies.items()
        for strategy in ([*names, ALL] if overall else names)
    ]


def _beside(
    moved: _Moved, chance: _Moved, at: NDArray[np.int64], where: Mapping[str, str], test_share: float
) -> dict[str, float]:
    """The same criteria under permuted answers, and for the true answers on the same repeats."""
    there = chance.curves.pick(**{name: value for name, value in where.items() if value != ALL})
    same = at[np.isin(moved.curves.repeat[at], chance.curves.repeat)]
    if not len(there) or not len(same):
        return {}
    out = {f"null_{name}": share for name, share in chance.shares(there).items()}
    out |= {f"same_{name}": share for name, share in moved.shares(same).items()}
    if len(np.unique(chance.curves.repeat[there])) >= _FEWEST:
        for name, one, rows in (("null", chance, there), ("same", moved, same)):
            out[f"{name}_surely_above"] = one.sure(rows, test_share)[0] / len(np.unique(one.curves.who[rows]))
    limit = float(np.quantile(chance.curves.by_listener(chance.gain, there), 1 - _CHANCE, method="higher"))
    out["beyond_null"] = float((moved.curves.by_listener(moved.gain, same) > max(limit, 1e-12)).mean())
    return out


def _by_repeat(curves: Curves, values: NDArray[np.float64], mine: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of one listener's values in each repeat: strategies and members of one split are no further splits."""
    _, of = np.unique(curves.repeat[mine], return_inverse=True)
    of = of.reshape(-1)
    return np.asarray(np.bincount(of, values[mine]) / np.bincount(of))


def _per_listener(curves: Curves, at: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    who = curves.who[at]
    return [at[who == one] for one in np.unique(who)]


def listener_gains(
    table: Any, *, update: str, member: str | None = None, test_share: float = 0.15, score: str = "f1_weighted"
) -> dict[str, tuple[float, float, float]]:
    """Gain of every listener from the own start: mean over strategies (and members), with the interval over repeats.

    Returns
    -------
    dict of str to (mean, low, high)
        Listeners sorted by id.
    """
    curves = _curves(table, score)
    at = curves.pick(update=update) if member is None else curves.pick(update=update, member=member)
    if not len(at):
        raise ParameterError(f"no curve of update {update!r}" + ("" if member is None else f" and member {member!r}"))
    gain = _gains(curves)
    out = {}
    for mine in _per_listener(curves, at):
        by_repeat = _by_repeat(curves, gain, mine)
        out[str(curves.listener[mine[0]])] = repeat_interval(by_repeat, test_share=test_share)
    return out


RULES: Final = ("interval", "published")


def listener_groups(
    table: Any,
    *,
    update: str,
    rule: str = "interval",
    member: str | None = None,
    test_share: float = 0.15,
    score: str = "f1_weighted",
) -> dict[str, str]:
    """Groups of listeners by how well they personalise.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``, or the :class:`~dissensus.evaluation.curves.Curves` cut out of it.
    update : str
    rule : {"interval", "published"}
        ``"interval"``: ``gains``, ``loses`` or ``undecided`` by the interval of :func:`listener_gains`. ``"published"``:
        by the number of slopes that do not fall over members and strategies, ``high`` more than a standard deviation above
        the mean, ``low`` more than one below, ``medium`` strictly between; ``boundary`` are those exactly on an edge, whom
        the published grouping lost.
    member : str, optional
        Look at this one only; default: all.
    test_share, score
        As in :func:`effective_personalisation`.

    Returns
    -------
    dict of str to str
        Listener to group.
    """
    if rule not in RULES:
        raise ParameterError(f"rule={rule!r}: must be 'interval' or 'published'")
    curves = _curves(table, score)
    if rule == "interval":
        gains = listener_gains(curves, update=update, member=member, test_share=test_share, score=score)
        return {
            who: "gains" if low > 0 else "loses" if high < 0 else "undecided" for who, (_, low, high) in gains.items()
        }
    slope = slopes(curves, with_start=False)
    at = curves.pick(update=update) if member is None else curves.pick(update=update, member=member)
    if not len(at):
        raise ParameterError(f"no curve of update {update!r}")
    count: dict[str, int] = {}
    for mine in _per_listener(curves, at):
        keys = np.array([f"{m}\0{s}" for m, s in zip(curves.member[mine], curves.strategy[mine], strict=True)])
        _, of = np.unique(keys, return_inverse=True)
        of = of.reshape(-1)
        count[str(curves.listener[mine[0]])] = int((np.bincount(of, slope[mine]) / np.bincount(of) >= 0).sum())
    numbers = np.array(list(count.values()), dtype=np.float64)
    low, high = numbers.mean() - numbers.std(), numbers.mean() + numbers.std()
    return {
        who: "high" if n > high else "low" if n < low else "medium" if low < n < high else "boundary"
        for who, n in count.items()
    }


def agreement_of_groups(
    ratings: RatingTable,
    groups: Mapping[str, str],
    columns: Sequence[str],
    *,
    level: str = "nominal",
    n_draws: int = 0,
    n_random: int = 0,
) -> list[GroupAgreement]:
    """How far the listeners of each group agree among themselves, beside random groups of as many listeners.

    Random groups are drawn from the grouped listeners only.
    """
    known = ratings.subset(np.isin(ratings.rater.astype(str), list(groups)))
    of = np.array([groups[str(who)] for who in known.rater.tolist()])
    out: list[GroupAgreement] = []
    for name in sorted(set(groups.values())):
        out += group_agreement(known, columns, of == name, level=level, name=name, n_draws=n_draws, n_random=n_random)
    return out
