"""Groups of ratings or of people, how far each agrees, and random groups of the same size beside it.

References
----------
.. [1] Gómez-Cañón, Cano, Herrera & Gómez, "Joyful for you and tender for us", ISMIR 2020.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.agreement.alpha import AlphaInterval, alpha_interval, krippendorff_alpha
from dissensus.errors import ParameterError

__all__ = ["GroupAgreement", "GroupSpec", "RatingTable", "group_agreement", "random_masks"]

#: What each operator keeps: strictly, and with the threshold itself.
_COMPARE: Final = {
    ">": (np.greater, np.greater_equal),
    "<": (np.less, np.less_equal),
    "==": (np.equal, np.equal),
}


@dataclass(frozen=True)
class GroupSpec:
    """A group of ratings: those whose column lies on one side of a threshold.

    Parameters
    ----------
    column : str
        Of the ratings (preference, familiarity) or of their people (language, Gold-MSI scores).
    op : {">", "<", "=="}
        Side. ``"=="`` takes text or numbers, the others numbers.
    threshold : float or str
        For example the neutral 3 of a scale from 1 to 5.
    strict : bool
        False keeps the threshold itself. The published code did so on both sides, which puts every neutral rating into
        the positive *and* the negative group; its column of counts was strict.

    Raises
    ------
    ParameterError
        Another operator, or a threshold it cannot compare.

    Examples
    --------
    >>> str(GroupSpec("understanding", ">", 3)), str(GroupSpec("understanding", ">", 3, strict=False))
    ('understanding > 3', 'understanding >= 3')
    >>> GroupSpec.parse("preference<=3")
    GroupSpec(column='preference', op='<', threshold=3.0, strict=False)
    >>> GroupSpec("joy", "<", 3).mask({"joy": np.array([1, 3, 5])}).tolist()
    [True, False, False]
    """

    column: str
    op: str
    threshold: float | str
    strict: bool = True

    def __post_init__(self) -> None:
        if self.op not in _COMPARE:
            raise ParameterError(f"op={self.op!r}: must be '>', '<' or '=='; strict=False keeps the threshold itself")
        if self.op != "==" and (isinstance(self.threshold, str) or not math.isfinite(self.threshold)):
            raise ParameterError(f"threshold={self.threshold!r}: {self.op!r} needs a finite number")

    @classmethod
    def parse(cls, text: str) -> GroupSpec:
        """From text such as ``"known==True"``, ``"preference>3"`` or ``"preference<=3"``.

        Raises
        ------
        ParameterError
            Not a column, an operator and a value.
        """
        found = re.fullmatch(r"\s*(\w+)\s*(>=|<=|==|>|<)\s*(\S.*?)\s*", text)
        if found is None:
            raise ParameterError(f"{text!r} is no group; write a column, one of > >= < <= == and a value: preference>3")
        column, op, value = found.groups()
        threshold: float | str
        try:
            threshold = float(value)
        except ValueError:
            threshold = value
        return cls(column, op if op == "==" else op[0], threshold, op == "==" or len(op) == 1)

    def __str__(self) -> str:
        op = self.op if self.strict or self.op == "==" else f"{self.op}="
        value = self.threshold if isinstance(self.threshold, str) else f"{self.threshold:g}"
        return f"{self.column} {op} {value}"

    def mask(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Which rows belong to the group.

        Parameters
        ----------
        columns : mapping of str to (n,) array_like

        Returns
        -------
        (n,) ndarray of bool
            A missing number (NaN) belongs to no group.

        Raises
        ------
        ParameterError
            The column is not there, or its kind does not fit the threshold.
        """
        if self.column not in columns:
            raise ParameterError(f"no column {self.column!r}; there are {', '.join(sorted(columns))}")
        values = np.asarray(columns[self.column])
        is_text = values.dtype.kind in "UO"
        if self.op == "==" and is_text:
            return np.asarray(values.astype(str) == str(self.threshold))
        if self.op == "==" and values.dtype.kind == "b" and str(self.threshold) in ("True", "False"):
            return np.asarray(values == (self.threshold == "True"))
        if is_text or isinstance(self.threshold, str):
            raise ParameterError(f"{self}: column {self.column!r} is {values.dtype}, which does not compare with that")
        return np.asarray(_COMPARE[self.op][0 if self.strict else 1](values, self.threshold), dtype=bool)


@dataclass(frozen=True, eq=False)
class RatingTable:
    """Ratings in rows: who, what, and the columns that were rated or describe the rater.

    Parameters
    ----------
    rater, unit : (n,) ndarray
        Who rated what; a pair occurs once.
    columns : mapping of str to (n,) ndarray
        Numbers, or text that stands for categories.
    """

    rater: NDArray[Any]
    unit: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        n = len(self.rater)
        for name, values in (("unit", self.unit), *self.columns.items()):
            if len(values) != n:
                raise ParameterError(f"{name} has {len(values)} rows, rater {n}")
        pair = self._rater_index * (int(self._unit_index.max(initial=0)) + 1) + self._unit_index
        if len(np.unique(pair)) < n:
            raise ParameterError("somebody rated a unit twice; keep one rating of each (Annotations.newest)")

    @cached_property
    def _rater_index(self) -> NDArray[np.int64]:
        return np.unique(self.rater, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def _unit_index(self) -> NDArray[np.int64]:
        return np.unique(self.unit, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def subset(self, keep: NDArray[np.bool_]) -> RatingTable:
        """The rows that are true in ``keep``."""
        columns = {name: values[keep] for name, values in self.columns.items()}
        return RatingTable(self.rater[keep], self.unit[keep], columns)

    def matrix(self, column: str, keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Raters × units of one column, NaN where there is no rating; text becomes the number of its category.

        Returns
        -------
        (n_raters, n_units) ndarray of float64
            Raters and units sorted by id; all of them, whatever ``keep`` leaves.

        Raises
        ------
        ParameterError
            The column is not there.
        """
        if column not in self.columns:
            raise ParameterError(f"no column {column!r}; there are {', '.join(sorted(self.columns))}")
        values = np.asarray(self.columns[column])
        if values.dtype.kind in "UO":
            values = np.unique(values.astype(str), return_inverse=True)[1].reshape(-1)
        rater, unit = self._rater_index, self._unit_index
        out = np.full((rater.max(initial=-1) + 1, unit.max(initial=-1) + 1), np.nan)
        rows = slice(None) if keep is None else keep
        out[rater[rows], unit[rows]] = values[rows]
        return out


def random_masks(
    table: RatingTable, mask: ArrayLike, n_random: int = 100, *, random_state: int = 0
) -> NDArray[np.bool_]:
    """Random groups of the size of a given one: the control for every statement about a group.

    Small groups show other agreement than large ones by accident alone. Where the group is one of people (every rating of
    a person on the same side), as many people are drawn; else the membership is shuffled among the ratings of each unit,
    so that every unit keeps as many ratings.

    Parameters
    ----------
    table : RatingTable
    mask : (n,) array_like of bool
        The group.
    n_random : int
        Groups to draw.
    random_state : int

    Returns
    -------
    (n_random, n) ndarray of bool
    """
    member = np.asarray(mask, dtype=bool)
    if member.shape != (len(table.rater),):
        raise ParameterError(f"mask has shape {member.shape}, the table {len(table.rater)} rows")
    rater, unit = table._rater_index, table._unit_index
    rng = np.random.default_rng(random_state)
    out = np.zeros((n_random, len(member)), dtype=bool)
    inside = np.bincount(rater, weights=member)
    of_people = bool(((inside == 0) | (inside == np.bincount(rater))).all())
    n_people = int((inside > 0).sum())
    for i in range(n_random):
        if of_people:
            out[i] = np.isin(rater, rng.permutation(len(inside))[:n_people])
            continue
        order = np.lexsort((rng.random(len(member)), unit))
        out[i, order] = member[np.argsort(unit, kind="stable")]
    return out


@dataclass(frozen=True)
class GroupAgreement:
    """How far a group agrees on one column.

    Attributes
    ----------
    group, column : str
    n_ratings, n_raters : int
    alpha : float
        NaN where the group shows a single value.
    interval : AlphaInterval or None
        Bootstrap over units; None where it was not asked for or there is none.
    random : (n_random,) tuple of float
        Alpha of the random groups of the same size.
    """

    group: str
    column: str
    n_ratings: int
    n_raters: int
    alpha: float
    interval: AlphaInterval | None
    random: tuple[float, ...]

    @property
    def random_mean(self) -> float:
        """Mean alpha of the random groups; NaN without any."""
        known = [value for value in self.random if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    @property
    def random_range(self) -> tuple[float, float]:
        """2.5 % and 97.5 % quantiles of the random groups."""
        known = [value for value in self.random if not math.isnan(value)]
        if not known:
            return (math.nan, math.nan)
        low, high = np.quantile(known, (0.025, 0.975))
        return (float(low), float(high))

    @property
    def p_random(self) -> float:
        """Two-sided: how often a random group lies as far from the random groups' mean. 1 where nothing was drawn."""
        known = np.array([value for value in self.random if not math.isnan(value)])
        if len(known) == 0 or math.isnan(self.alpha):
            return 1.0
        far = np.abs(known - known.mean()) >= abs(self.alpha - known.mean()) - 1e-12
        return float((1 + far.sum()) / (1 + len(known)))


def group_agreement(
    table: RatingTable,
    columns: Sequence[str],
    group: GroupSpec | ArrayLike | None = None,
    *,
    level: str,
    name: str | None = None,
    n_draws: int = 0,
    n_random: int = 0,
    random_state: int = 0,
) -> list[GroupAgreement]:
    """Agreement of a group on several columns, with bootstrap intervals and size-matched random groups.

    Parameters
    ----------
    table : RatingTable
    columns : sequence of str
        What was rated.
    group : GroupSpec or (n,) array_like of bool, optional
        Default: everybody.
    level : {"nominal", "ordinal", "interval", "ratio"}
        As in :func:`dissensus.agreement.alpha.krippendorff_alpha`.
    name : str, optional
        Of the group; default: its text.
    n_draws : int
        Bootstrap over units; 0: no interval.
    n_random : int
        Random groups; 0: none. A group of everything has none either.
    random_state : int

    Returns
    -------
    list of GroupAgreement
        In the order of ``columns``. The random groups are the same for all of them.
    """
    if isinstance(group, GroupSpec):
        mask = group.mask(table.columns)
    else:
        mask = np.ones(len(table.rater), dtype=bool) if group is None else np.asarray(group, dtype=bool)
    n_random = 0 if mask.all() else n_random
    random = random_masks(table, mask, n_random, random_state=random_state)
    title = name or (str(group) if isinstance(group, GroupSpec) else "all" if group is None else "group")
    out = []
    for column in columns:
        matrix = table.matrix(column, mask)
        alpha = krippendorff_alpha(matrix, level=level)
        interval = None
        if n_draws and not math.isnan(alpha):
            interval = alpha_interval(matrix, level=level, n_draws=n_draws, random_state=random_state)
        others = tuple(krippendorff_alpha(table.matrix(column, drawn), level=level) for drawn in random)
        n_raters = len(np.unique(table.rater[mask]))
        out.append(GroupAgreement(title, column, int(mask.sum()), n_raters, alpha, interval, others))
    return out
