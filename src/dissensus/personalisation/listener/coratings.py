"""Co-ratings: whose raters deviated from the crowd in the same way, from everybody's ratings but the listener's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._backend import resolve
from dissensus.personalisation.listener.ratings import Ratings

__all__ = ["CoRatings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CoRatings:
    """The other listeners' ratings of the tracks that are asked about. Holds a version of the ratings and nothing else.

    Parameters
    ----------
    ratings : Ratings
        Of everybody but the target listener (:meth:`Ratings.without`): what versions share is not copied.
    tracks : (n,) ndarray of int64, optional
        The tracks that are asked about, each once; all others are left aside. Default: all.
    place : (n_catalog,) ndarray of int, optional
        Position of each track of the catalogue in ``tracks``, −1 for the others; goes with ``tracks``.

    Examples
    --------
    >>> one = np.array([0, 1, 0, 1])
    >>> said = Ratings.of(one, np.array([0, 0, 1, 1]), np.array([2, 2, 3, 3]), np.zeros(4, int), 2, 2)
    >>> CoRatings(said).column(0, np.full((2, 4), 0.25), 2.0).tolist()
    [0.09375, 0.09375]
    """

    def __init__(self, ratings: Ratings, tracks: Ints | None = None, place: NDArray[np.integer] | None = None) -> None:
        self.ratings = ratings
        self.tracks = np.arange(ratings.n_tracks) if tracks is None else tracks
        self.place = None if tracks is None else place

    def diagonal(self, proba: Floats, shrink: float = 5.0) -> Floats:
        """``(n,)`` what :meth:`column` gives a track with itself."""
        n_tracks, n_classes = proba.shape
        some = self.ratings.of_tracks(self.tracks)
        owner = some.owner()
        residual = -proba[owner]
        residual[np.arange(len(owner)), some.label] += 1.0
        sums = np.bincount(owner, weights=np.einsum("rc,rc->r", residual, residual), minlength=n_tracks)
        out: Floats = sums / (n_classes * (np.diff(some.start) + shrink))
        return out

    def column(self, track: int, proba: Floats, shrink: float = 5.0) -> Floats:
        """``(n,)`` mean product of residuals over common raters, shrunk by ``shrink`` more of them with none."""
        only: Floats = self.columns(np.array([track]), proba, shrink)[0]
        return only

    def columns(
        self,
        tracks: Ints,
        proba: Floats,
        shrink: float = 5.0,
        *,
        own: Floats | None = None,
        rows: Ints | None = None,
    ) -> Floats:
        """``(k, m)`` covariance of each of these tracks of the catalogue with every track that is asked about.

        ``own`` are the probabilities of ``tracks`` (default: rows of ``proba``). With ``rows``, tracks of the catalogue, the
        columns are of these instead, and ``proba`` are theirs.
        """
        raters = self.ratings.of_tracks(tracks)
        people, person = np.unique(raters.other, return_inverse=True)
        theirs = self.ratings.of_listeners(people.astype(np.int64))
        begin, other, label = theirs.start, theirs.other.astype(np.int32, copy=False), theirs.label
        place: NDArray[Any] | None = self.place
        if rows is not None:
            place = np.full(self.ratings.n_tracks, -1, dtype=np.int32)
            place[rows] = np.arange(len(rows), dtype=np.int32)
        if place is not None:  # what is not wanted counts for nothing
            local = place[other]
            kept = local >= 0
            begin = np.concatenate([[0], np.cumsum(kept)])[begin]
            other, label = local[kept], label[kept]
        sums, common = np.zeros((2, len(tracks), len(proba)))
        resolve("corated_sums")(
            raters.start,
            person,
            raters.label.astype(np.int32, copy=False),
            begin,
            other,
            label.astype(np.int32, copy=False),
            np.ascontiguousarray(proba[tracks] if own is None else own),
            np.ascontiguousarray(proba),
            sums,
            common,
        )
        common += shrink
        common *= proba.shape[1]
        sums /= common
        return sums
