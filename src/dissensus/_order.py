"""Rows of tables: numbered by first appearance, and the last of those that say the same thing twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["newest_rows", "number_by_appearance"]


def number_by_appearance(values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Number of each value, and the distinct values, in order of first appearance.

    Examples
    --------
    >>> index, distinct = number_by_appearance(["b", "a", "b"])
    >>> index.tolist(), distinct.tolist()
    ([0, 1, 0], ['b', 'a'])
    """
    given = np.asarray(values)
    distinct, first, inverse = np.unique(given, return_index=True, return_inverse=True)
    by_first = np.argsort(first, kind="stable")
    rank = np.empty(len(by_first), dtype=np.int64)
    rank[by_first] = np.arange(len(by_first))
    return rank[inverse.reshape(-1)], distinct[by_first]


def newest_rows(listener: ArrayLike, track: ArrayLike, when: ArrayLike | None = None) -> NDArray[np.int64]:
    """Rows that count where somebody judged a track more than once, in order: the newest; on equal times the last.

    Parameters
    ----------
    listener, track : (n,) array_like
        Who judged what.
    when : (n,) array_like, optional
        When. Default: in the order of the rows.

    Examples
    --------
    >>> newest_rows(["ann", "bob", "ann"], [7, 7, 7]).tolist()
    [1, 2]
    >>> newest_rows(["ann", "bob", "ann"], [7, 7, 7], [2, 1, 1]).tolist()
    [0, 1]
    """
    _, person = np.unique(np.asarray(listener), return_inverse=True)
    _, place = np.unique(np.asarray(track), return_inverse=True)
    pair = person.reshape(-1).astype(np.int64) * (int(place.max(initial=0)) + 1) + place.reshape(-1)
    order = np.arange(len(pair)) if when is None else np.argsort(np.asarray(when), kind="stable")
    _, from_end = np.unique(pair[order][::-1], return_index=True)
    newest: NDArray[np.int64] = np.sort(order[len(pair) - 1 - from_end])
    return newest
