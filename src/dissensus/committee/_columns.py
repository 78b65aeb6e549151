"""Features that come with names: a data frame's columns are put in the order that a committee was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import FeatureMismatchError, ParameterError

__all__ = ["column_names", "in_order", "unlike", "with_names"]


def column_names(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a data frame (pandas, polars, Arrow); None for arrays, lists and numbered columns."""
    names = getattr(X, "column_names", None)
    if names is None:
        names = getattr(X, "columns", None)
    try:
        found = tuple(names) if names is not None else ()
    except TypeError:
        return None
    return found if found and all(isinstance(name, str) for name in found) else None


def with_names(X: Any, feature_names: Sequence[str] | None) -> tuple[Any, tuple[str, ...] | None]:
    """Features to train on as an array, and their names: those given, or those of a data frame.

    Raises
    ------
    ParameterError
        Both are there and differ, a name appears twice, or a column of the frame is not of numbers.
    """
    names = column_names(X)
    given = None if feature_names is None else tuple(feature_names)
    if names is None:
        return X, given
    if given is not None and given != names:
        raise ParameterError("feature_names are not the columns of X; leave them out, X has names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"X has two columns {twice[0]!r}; rename one of them")
    return _array(X, names), names


def in_order(X: Any, known: tuple[str, ...] | None) -> NDArray[Any]:
    """Features as an array; the columns of a data frame in the order of the names ``known``.

    Raises
    ------
    FeatureMismatchError
        A data frame lacks a column, or has one more.
    """
    names = column_names(X)
    if names is None:
        return np.asarray(X)
    if known is None or names == known:
        return _array(X, names)
    missing = [name for name in known if name not in names]
    more = [name for name in names if name not in known]
    if missing or more or len(names) != len(known):
        what = f"lacks feature {missing[0]!r}" if missing else f"has a column {(more or [names[0]])[0]!r}"
        raise FeatureMismatchError(
            f"X {what}, the committee was trained on {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
        )
    return _array(X, names)[:, [names.index(name) for name in known]]


def unlike(names: Sequence[str], known: Sequence[str]) -> str:
    """In words, how names of features differ from those a committee was trained with."""
    i = next(i for i, (a, b) in enumerate(zip(names, known, strict=True)) if a != b)
    same = sorted(names) == sorted(known)
    hint = (
        "; the names are the same in another order: pool.select(committee.feature_names) puts them right"
        if same
        else ""
    )
    return f"feature {i} is {names[i]!r}, the committee was trained with {known[i]!r} there{hint}"


def _array(X: Any, names: tuple[str, ...]) -> NDArray[Any]:
    array = np.asarray(X)
    if array.dtype.kind in "biuf":
        return array
    for i, name in enumerate(names):
        for row, value in enumerate(array[:, i].tolist()):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ParameterError(f"column {name!r} of X holds {value!r} in row {row}, not a number; leave it out")
    return array.astype(np.float64)
