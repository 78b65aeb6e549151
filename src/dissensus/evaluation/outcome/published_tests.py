"""The published tests, kept for comparison: their samples are not independent, and every result says ``paper``.

Gómez-Cañón et al., "Let's agree to disagree", ISMIR 2021, and TROMPA-MER, JIIS 2022. What holds is in
:mod:`dissensus.evaluation.outcome.paired_tests` and :mod:`dissensus.evaluation.outcome.mixed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dissensus.errors import ParameterError
from dissensus.evaluation.curves import curves_of
from dissensus.evaluation.outcome.mixed import import_statsmodels, last_round
from dissensus.evaluation.outcome.paired_tests import as_columns
from dissensus.strategies.strategy import published_strategies

__all__ = ["PublishedTest", "TukeyRow", "published_tests", "tukey"]


@dataclass(frozen=True)
class PublishedTest:
    """The published test of ``a`` above ``b``: one-sided, as of independent samples. Kept for comparison.

    Listeners are the same people under both strategies, and the repeats of one listener count as if they were people: do
    not read ``p`` as evidence.
    """

    a: str
    b: str
    n: int
    df: int
    t: float
    p: float
    p_bonferroni: float
    label: str = "paper"


def published_tests(
    table: Any, *, update: str, member: str, score: str = "f1_weighted", family: int | None = None
) -> list[PublishedTest]:
    """One-sided t-tests of independent samples at the last round, with Bonferroni's correction: as published.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``. A sample is a listener and repeat; the published ones were a listener and fold.
    update, member, score : str
    family : int, optional
        By how many p is multiplied; default: the number of pairs. The published threshold .0125 is ``family=4``.

    Returns
    -------
    list of PublishedTest
        In the order hc, mix, mc, rand, each pair in this direction only; every one is labelled ``paper``.
    """
    from scipy.stats import ttest_ind

    curves = curves_of(as_columns(table), score)
    last = {}
    for strategy in published_strategies():
        at = curves.pick(update=update, member=member, strategy=strategy)
        if len(at) > 1:
            last[strategy] = np.array([curves.score[i][-1] for i in at])
    pairs = [(a, b) for i, a in enumerate(last) for b in list(last)[i + 1 :]]
    if not pairs:
        raise ParameterError(f"update {update!r} and member {member!r} have no two strategies with two curves each")
    out = []
    for a, b in pairs:
        n = len(last[a]) + len(last[b])
        if np.ptp(last[a]) == np.ptp(last[b]) == 0:
            raise ParameterError(f"{a} and {b} do not vary; a t-test says nothing")
        found = ttest_ind(last[a], last[b], alternative="greater")
        p = float(found.pvalue)
        out.append(PublishedTest(a, b, n, n - 2, float(found.statistic), p, min(1.0, p * (family or len(pairs)))))
    return out


@dataclass(frozen=True)
class TukeyRow:
    """One pair of levels by Tukey's honestly significant difference, rows taken as independent, as published."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    label: str = "paper"


def tukey(
    table: Any, *, update: str, member: str, factor: str = "strategy", score: str = "f1_weighted"
) -> list[TukeyRow]:
    """Tukey's test of a factor on the scores of the last round, as published: rows of one listener count as independent.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``.
    update, member, score : str
    factor : {"strategy", "repeat", "listener"}

    Returns
    -------
    list of TukeyRow
        ``difference`` is b less a, in the unit of the score.

    Raises
    ------
    ParameterError
        Another factor, or one with a single level.
    MissingDependencyError
        statsmodels is not installed.
    """
    import_statsmodels()
    from statsmodels.stats.multicomp import pairwise_tukeyhsd

    if factor not in ("strategy", "repeat", "listener"):
        raise ParameterError(f"factor={factor!r}: must be 'strategy', 'repeat' or 'listener'")
    rows = last_round(table, update=update, member=member, score=score)
    levels = rows[factor].astype(str)
    if len(np.unique(levels)) < 2:
        raise ParameterError(f"{factor} has a single level, there is nothing to compare")
    found = pairwise_tukeyhsd(rows["score"], levels)
    names = found.groupsunique.tolist()
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    spans = zip(pairs, found.meandiffs, found.confint, found.pvalues, strict=True)
    return [TukeyRow(str(a), str(b), float(d), float(c[0]), float(c[1]), float(p)) for (a, b), d, c, p in spans]
