"""Repeated-measures analysis of variance and the mixed model of learning curves. statsmodels comes with the ``stats`` extra."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import MissingDependencyError, ParameterError
from dissensus.evaluation.curves import curves_of
from dissensus.evaluation.outcome.paired_tests import as_columns
from dissensus.strategies.strategy import CONTROL

__all__ = ["AnovaRow", "MixedModel", "anova", "last_round", "mixed_model"]


def import_statsmodels() -> None:
    """Raise unless statsmodels is there.

    Raises
    ------
    MissingDependencyError
    """
    try:
        import statsmodels  # noqa: F401
    except ImportError:
        raise MissingDependencyError("statsmodels is missing; install dissensus[stats]") from None


def last_round(table: Any, *, update: str, member: str, score: str = "f1_weighted") -> dict[str, NDArray[Any]]:
    """Score at the end of every curve, with its ``listener``, ``repeat`` and ``strategy``."""
    curves = curves_of(as_columns(table), score)
    at = curves.pick(update=update, member=member)
    if not len(at):
        raise ParameterError(f"no curve of update {update!r} and member {member!r}")
    return {
        "listener": curves.listener[at].astype(str),
        "repeat": curves.repeat[at],
        "strategy": curves.strategy[at].astype(str),
        "score": np.array([curves.score[i][-1] for i in at]),
    }


@dataclass(frozen=True)
class AnovaRow:
    """One factor: F with its degrees of freedom and p, and partial eta squared."""

    factor: str
    f: float
    df: float
    df_error: float
    p: float

    @property
    def partial_eta_squared(self) -> float:
        """Share of the variance of factor and error that the factor takes, in [0, 1]."""
        return self.f * self.df / (self.f * self.df + self.df_error)


def anova(
    table: Any, *, update: str, member: str, within: Sequence[str] = ("strategy",), score: str = "f1_weighted"
) -> list[AnovaRow]:
    """Repeated-measures analysis of variance of the last round; subject = listener.

    Parameters
    ----------
    table
        Tidy table of ``evaluate``.
    update, member, score : str
    within : sequence of {"strategy", "repeat"}
        Factors; what is not named is averaged. The published analysis had strategy and split.

    Returns
    -------
    list of AnovaRow
        Factors and their interaction.

    Raises
    ------
    ParameterError
        Other factors, one with a single level, one listener, or listeners that lack a cell.
    MissingDependencyError
        statsmodels is not installed.
    """
    import_statsmodels()
    pd: Any = import_module("pandas")
    from statsmodels.stats.anova import AnovaRM

    if not within or not set(within) <= {"strategy", "repeat"}:
        raise ParameterError(f"within={tuple(within)!r}: name 'strategy', 'repeat' or both")
    rows = last_round(table, update=update, member=member, score=score)
    frame = pd.DataFrame(rows).groupby(["listener", *within], as_index=False)["score"].mean()
    sizes = [frame[name].nunique() for name in within]
    if min(sizes) < 2 or frame["listener"].nunique() < 2:
        raise ParameterError(f"{', '.join(within)} and the listeners need two levels each")
    if len(frame) != frame["listener"].nunique() * int(np.prod(sizes)):
        raise ParameterError(f"not every listener has a score at every level of {', '.join(within)}")
    found = AnovaRM(frame, "score", "listener", within=list(within)).fit().anova_table
    return [
        AnovaRow(str(name), *(float(found.loc[name, c]) for c in ("F Value", "Num DF", "Den DF", "Pr > F")))
        for name in found.index
    ]


@dataclass(frozen=True)
class MixedModel:
    """Estimates of ``score ~ strategy * round + (1 | listener) + (1 | listener: split)``.

    Attributes
    ----------
    names : tuple of str
        Fixed effects; the first strategy of the table is the base.
    estimate, low, high, p : tuple of float
        With 95 % Wald intervals; a slope is score a round.
    listener_sd, split_sd, residual_sd : float
    converged : bool
    notes : tuple of str
        What the fit complained about.
    """

    names: tuple[str, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p: tuple[float, ...]
    listener_sd: float
    split_sd: float
    residual_sd: float
    converged: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{name}  {value:+.4f} [{low:+.4f}, {high:+.4f}]  p {p:.3f}"
            for name, value, low, high, p in zip(self.names, self.estimate, self.low, self.high, self.p, strict=True)
        ]
        spread = f"sd: listener {self.listener_sd:.4f}, split {self.split_sd:.4f}, rest {self.residual_sd:.4f}"
        return "\n".join([*lines, spread, *self.notes])


def mixed_model(table: Any, *, update: str, member: str, base: str = CONTROL, score: str = "f1_weighted") -> MixedModel:
    """Fit the learning curves of all strategies at once, listeners and their splits as random intercepts.

    Rounds after the start count (the start is the same for all strategies of a split).

    Parameters
    ----------
    table
        Tidy table of ``evaluate``.
    update, member, score : str
    base : str
        Strategy that the others are compared with.

    Returns
    -------
    MixedModel

    Raises
    ------
    ParameterError
        No such curves, or ``base`` is not among the strategies.
    MissingDependencyError
        statsmodels is not installed.
    """
    import_statsmodels()
    pd: Any = import_module("pandas")
    import statsmodels.formula.api as smf

    columns = as_columns(table)
    keep = (columns["update"] == update) & (columns["member"] == member) & (columns["round"] >= 0)
    if base not in columns["strategy"][keep].tolist():
        there = sorted(set(columns["strategy"][keep].tolist()))
        raise ParameterError(
            f"base={base!r} is not among the strategies {there} of update {update!r}, member {member!r}"
        )
    frame = pd.DataFrame({name: columns[name][keep] for name in ("listener", "repeat", "strategy", "round")})
    frame["score"] = np.asarray(columns[score], dtype=np.float64)[keep]
    frame["step"] = frame["round"].astype(float)
    splits = {"split": "0 + C(repeat)"} if frame["repeat"].nunique() > 1 else None
    formula = f"score ~ C(strategy, Treatment({base!r})) * step"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = smf.mixedlm(formula, frame, groups="listener", vc_formula=splits, re_formula="1")
        found = model.fit(reml=True)
    names = [str(name) for name in model.exog_names]
    spans = np.asarray(found.conf_int())[: len(names)]
    tidy = [name.replace(f"C(strategy, Treatment({base!r}))", "strategy").replace("[T.", "[") for name in names]
    vcomp = np.asarray(found.vcomp)
    return MixedModel(
        tuple(tidy),
        tuple(float(v) for v in np.asarray(found.fe_params)),
        tuple(float(v) for v in spans[:, 0]),
        tuple(float(v) for v in spans[:, 1]),
        tuple(float(v) for v in np.asarray(found.pvalues)[: len(names)]),
        float(np.sqrt(np.asarray(found.cov_re)[0, 0])),
        float(np.sqrt(vcomp[0])) if len(vcomp) else 0.0,
        float(np.sqrt(found.scale)),
        bool(found.converged),
        tuple(dict.fromkeys(str(w.message).splitlines()[0] for w in caught)),
    )
