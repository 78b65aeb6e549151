"""Tracks far from each other: what to ask while nothing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._spread import column_deviation
from dissensus._validate import as_features, check_count
from dissensus.errors import ParameterError

__all__ = ["select_diverse"]


def select_diverse(
    X: ArrayLike,
    k: int,
    *,
    seen: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    tie_key: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Greedy k-centre: each choice is the track farthest from everything seen or chosen so far.

    Parameters
    ----------
    X : (n_tracks, n_features) array_like of float
        One row per track; columns are brought to unit variance over all rows first.
    k : int
        Tracks wanted; fewer come back when fewer are left.
    seen : array_like of int, optional
        Rows that count as covered. Without any, the first choice is the row nearest to the centre of all.
    exclude : (n_tracks,) array_like of bool, optional
        Rows that may not be chosen.
    tie_key : (n_tracks,) array_like, optional
        Order among equally far rows; default: the lowest index.

    Returns
    -------
    index : (n_chosen,) ndarray of int64
    distance : (n_chosen,) ndarray of float32
        Euclidean distance to the nearest row seen or chosen before, in standard deviations per root feature.

    Raises
    ------
    ParameterError
        Shapes that do not match, or features that are not finite.

    References
    ----------
    .. [1] Gonzalez, "Clustering to minimize the maximum intercluster distance", Theor. Comput. Sci. 38, 1985.

    Examples
    --------
    >>> index, _ = select_diverse([[0.0], [0.1], [5.0], [-4.0]], 3)
    >>> index.tolist()
    [1, 2, 3]
    """
    points = as_features(X).astype(np.float64)
    k = check_count(k, "k", minimum=0)
    n_tracks = len(points)
    free = np.ones(n_tracks, dtype=bool) if exclude is None else ~np.asarray(exclude, dtype=bool)
    key: NDArray[Any] = np.arange(n_tracks) if tie_key is None else np.asarray(tie_key)
    if free.shape != (n_tracks,) or key.shape != (n_tracks,):
        raise ParameterError(f"exclude and tie_key must be ({n_tracks},); got shapes {free.shape} and {key.shape}")
    points = (points - points.mean(axis=0)) / column_deviation(points, constant=np.inf)
    points /= np.sqrt(max(points.shape[1], 1))

    def to(row: NDArray[np.float64]) -> NDArray[np.float64]:
        far: NDArray[np.float64] = np.sqrt(np.square(points - row).sum(axis=1))
        return far

    order = np.argsort(key, kind="stable")
    nearest = np.full(n_tracks, np.inf)
    for row in np.asarray(() if seen is None else seen, dtype=np.int64):
        nearest = np.minimum(nearest, to(points[row]))
    index, distance = [], []
    for _ in range(min(k, int(free.sum()))):
        score = -to(np.zeros(points.shape[1])) if np.isinf(nearest).all() else nearest
        chosen = int(order[np.argmax(np.where(free, score, -np.inf)[order])])
        index.append(chosen)
        distance.append(abs(score[chosen]))
        free[chosen] = False
        nearest = np.minimum(nearest, to(points[chosen]))
    return np.array(index, dtype=np.int64), np.array(distance, dtype=np.float32)
