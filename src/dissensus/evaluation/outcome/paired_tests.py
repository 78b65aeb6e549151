"""Tests of strategies, listener by listener. The published ones are in :mod:`dissensus.evaluation.outcome.published_tests`.

The listeners are the sample. A value per listener is the mean over that listener's repeats (splits): members, folds and
splits of one person are no further people.

References
----------
.. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
.. [2] D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science", Frontiers in Psychology 4, 2013.
.. [3] D. S. Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.evaluation.curves import Columns, curves_of
from dissensus.evaluation.intervals import (
    Interval,
    area_under_curve,
    bootstrap_interval,
    holm,
    paired_differences,
    signed_rank_p,
)

__all__ = [
    "MEASURES",
    "PairedTests",
    "as_columns",
    "cohens_dz",
    "compare_strategies",
    "listener_values",
    "paired_tests",
    "rank_biserial",
    "sign_flip_p",
]

#: What a learning curve is summarised by.
MEASURES: Final = ("start", "end", "gain", "aulc")


def as_columns(table: Any) -> Columns:
    """Columns of a tidy table: a mapping as it is, a pyarrow table or a data frame column by column."""
    if isinstance(table, Mapping):
        return {str(name): np.asarray(values) for name, values in table.items()}
    if hasattr(table, "column_names"):
        return {name: np.asarray(table.column(name).to_pylist()) for name in table.column_names}
    if hasattr(table, "columns"):
        return {str(name): np.asarray(table[name].tolist()) for name in table.columns}
    raise ParameterError(f"a table of scores is a mapping of columns or a pyarrow table; got {type(table).__name__}")


def listener_values(
    table: Any, *, update: str, member: str, measure: str = "aulc", score: str = "f1_weighted"
) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
    """One value per listener and strategy, the mean over repeats.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``: a mapping of columns or a pyarrow table.
    update, member : str
        Which curves.
    measure : {"start", "end", "gain", "aulc"}
        Score before any answer, at the end, the difference, or the mean height of the curve.
    score : str
        Column.

    Returns
    -------
    listeners : (n_listeners,) ndarray
        Sorted.
    values : dict of str to (n_listeners,) ndarray

    Raises
    ------
    ParameterError
        An unknown measure, no such curves, or strategies with different listeners.
    """
    if measure not in MEASURES:
        raise ParameterError(f"measure={measure!r}: must be one of {', '.join(MEASURES)}")
    curves = curves_of(as_columns(table), score)
    at = curves.pick(update=update, member=member)
    if not len(at):
        raise ParameterError(
            f"no curve of update {update!r} and member {member!r}; there are "
            f"{sorted(set(curves.update.tolist()))} and {sorted(set(curves.member.tolist()))}"
        )
    of_curve = np.zeros(len(curves.score))
    for i in at:
        one = curves.score[i]
        of_curve[i] = {
            "start": one[0],
            "end": one[-1],
            "gain": one[-1] - one[0],
            "aulc": float(area_under_curve(curves.n_labels[i], one)) if measure == "aulc" else 0.0,
        }[measure]
    listeners = np.unique(curves.listener[at])
    values = {}
    for strategy in dict.fromkeys(curves.strategy[at].tolist()):
        mine = curves.pick(update=update, member=member, strategy=strategy)
        if not np.array_equal(np.unique(curves.listener[mine]), listeners):
            raise ParameterError(f"strategy {strategy!r} does not have the same listeners as the others")
        values[str(strategy)] = curves.by_listener(of_curve, mine)
    return listeners, values


def _sample(difference: ArrayLike) -> NDArray[np.float64]:
    d = np.asarray(difference, dtype=np.float64)
    if d.ndim != 1 or len(d) < 2 or not np.isfinite(d).all():
        raise ParameterError(f"differences must be finite, one per listener, two or more; got shape {d.shape}")
    return np.where(np.abs(d) > 1e-12, d, 0.0)


def cohens_dz(difference: ArrayLike) -> float:
    """Mean of paired differences in units of their standard deviation; 0 where nobody differs, NaN where all differ alike.

    Examples
    --------
    >>> round(cohens_dz([1.0, 2.0, 3.0]), 3)
    2.0
    """
    d = _sample(difference)
    scale = float(d.std(ddof=1))
    if scale < 1e-12:
        return 0.0 if not d.any() else math.nan
    return float(d.mean()) / scale


def rank_biserial(difference: ArrayLike) -> float:
    """Share of the rank sum for less the share against, in [-1, 1]; listeners without a difference do not count.

    Examples
    --------
    >>> round(rank_biserial([0.1, 0.2, -0.05, 0.0]), 3)
    0.667
    """
    from scipy.stats import rankdata

    d = _sample(difference)
    moved = d[d != 0]
    if not len(moved):
        return 0.0
    ranks = rankdata(np.abs(moved))
    return float((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())


def sign_flip_p(difference: ArrayLike, *, n_permutations: int = 10_000, random_state: int = 0) -> float:
    """Two-sided permutation test: had the two treatments been swapped in some listeners, how often as large a mean?

    Parameters
    ----------
    difference : (n_listeners,) array_like of float
    n_permutations : int
        Random flips of signs; all of them, exactly, where there are no more than that.
    random_state : int

    Returns
    -------
    float
        At least ``1 / (n_permutations + 1)``.

    Examples
    --------
    >>> sign_flip_p([0.1, 0.3, 0.2, 0.4])
    0.125
    """
    d = _sample(difference)
    check_count(n_permutations, "n_permutations")
    n = len(d)
    limit = abs(d.mean()) - 1e-12
    if n < 60 and 2**n <= n_permutations:
        sign = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(sign @ d / n) >= limit).mean())
    rng = np.random.default_rng(random_state)
    sign = 1 - 2 * rng.integers(0, 2, (n_permutations, n), dtype=np.int8)
    return float((1 + (np.abs(sign @ d / n) >= limit).sum()) / (1 + n_permutations))


@dataclass(frozen=True)
class PairedTests:
    """Two treatments of the same listeners, ``a`` minus ``b``, by three tests.

    Attributes
    ----------
    a, b : str
    difference, dz : Interval
        Mean difference and Cohen's dz, bootstrapped over listeners.
    rank_biserial : float
    p_t, p_wilcoxon, p_permutation : float
        Two-sided.
    holm_t, holm_wilcoxon, holm_permutation : float
        Adjusted for all comparisons of the call.
    update, member : str
        Where this was compared; empty outside :func:`compare_strategies`.
    """

    a: str
    b: str
    difference: Interval
    dz: Interval
    rank_biserial: float
    p_t: float
    p_wilcoxon: float
    p_permutation: float
    holm_t: float = math.nan
    holm_wilcoxon: float = math.nan
    holm_permutation: float = math.nan
    update: str = ""
    member: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.a} - {self.b}: {self.difference}, dz {self.dz.mean:+.2f} [{self.dz.low:+.2f}, {self.dz.high:+.2f}], "
            f"r {self.rank_biserial:+.2f}, p (Holm) t {self.holm_t:.3f}, Wilcoxon {self.holm_wilcoxon:.3f}, "
            f"permutation {self.holm_permutation:.3f}"
        )


def _one_pair(
    a: str, b: str, difference: NDArray[np.float64], n_permutations: int, n_boot: int, random_state: int
) -> PairedTests:
    from scipy.stats import t

    d = _sample(difference)
    n = len(d)
    scale = float(d.std(ddof=1))
    alike = scale < 1e-12
    p_t = float(not d.any()) if alike else float(2 * t.sf(abs(d.mean()) / scale * math.sqrt(n), n - 1))
    rng = np.random.default_rng(random_state)
    drawn = d[rng.integers(0, n, (n_boot, n))]
    spread = drawn.std(axis=1, ddof=1)
    effect = drawn.mean(axis=1)[spread > 1e-12] / spread[spread > 1e-12]
    dz = cohens_dz(d)
    low, high = np.percentile(effect, (2.5, 97.5)) if len(effect) else (dz, dz)
    return PairedTests(
        a,
        b,
        bootstrap_interval(d, n_boot=n_boot, random_state=random_state),
        Interval(dz, float(low), float(high), n),
        rank_biserial(d),
        p_t,
        signed_rank_p(d),
        sign_flip_p(d, n_permutations=n_permutations, random_state=random_state),
    )


def _adjusted(tests: Sequence[PairedTests]) -> list[PairedTests]:
    columns = [holm([getattr(test, name) for test in tests]) for name in ("p_t", "p_wilcoxon", "p_permutation")]
    return [
        replace(test, holm_t=float(x), holm_wilcoxon=float(y), holm_permutation=float(z))
        for test, x, y, z in zip(tests, *columns, strict=True)
    ]


def paired_tests(
    by_treatment: Mapping[str, ArrayLike],
    *,
    against: str | None = None,
    n_permutations: int = 10_000,
    n_boot: int = 4000,
    random_state: int = 0,
) -> list[PairedTests]:
    """Compare treatments listener by listener: t, Wilcoxon and permutation tests, effect sizes, Holm's adjustment.

    Parameters
    ----------
    by_treatment : mapping of str to (n_listeners,) array_like
        The same listeners in the same order.
    against : str, optional
        Compare all with this one; default: every pair.
    n_permutations, n_boot, random_state
        Flips of signs, bootstrap draws, seed.

    Returns
    -------
    list of PairedTests

    Raises
    ------
    ParameterError
        Different numbers of listeners, fewer than two, values that are not finite, or ``against`` is none of them.

    Examples
    --------
    >>> (found,) = paired_tests({"mc": [0.5, 0.6, 0.7, 0.6], "rand": [0.4, 0.4, 0.6, 0.4]})
    >>> print(found.difference, found.p_permutation)
    +0.150 [+0.100, +0.200] 0.125
    """
    return _adjusted(
        [
            _one_pair(a, b, difference, n_permutations, n_boot, random_state)
            for a, b, difference in paired_differences(by_treatment, against)
        ]
    )


def compare_strategies(
    table: Any,
    *,
    update: str,
    measure: str = "aulc",
    score: str = "f1_weighted",
    members: Sequence[str] | None = None,
    random_state: int = 0,
) -> list[PairedTests]:
    """Every pair of strategies for every member, Holm over all of them.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``.
    update : str
    measure, score
        As in :func:`listener_values`.
    members : sequence of str, optional
        Default: all of the table.
    random_state : int

    Returns
    -------
    list of PairedTests
    """
    columns = as_columns(table)
    chosen = members if members is not None else [str(m) for m in dict.fromkeys(columns["member"].tolist())]
    found: list[PairedTests] = []
    for member in chosen:
        _, values = listener_values(columns, update=update, member=member, measure=measure, score=score)
        found += [
            replace(test, update=update, member=member) for test in paired_tests(values, random_state=random_state)
        ]
    return _adjusted(found)
