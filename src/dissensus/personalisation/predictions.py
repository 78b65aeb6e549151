"""What a session says of tracks: of those it asks about, and of any in the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._mean import mean_member
from dissensus._ties import TieKeys, id_hashes
from dissensus._validate import check_count
from dissensus.features.pool import Pool
from dissensus.personalisation.asker import Asker
from dissensus.personalisation.asking_pool import AskingPool
from dissensus.personalisation.query import LabelBook
from dissensus.personalisation.session_settings import Settings
from dissensus.personalisation.session_state import State

__all__ = ["Predictions", "Ranked"]


class Ranked(NamedTuple):
    """Candidates, best first.

    Attributes
    ----------
    track_ids : (n,) ndarray
        The tracks.
    score : (n,) ndarray of float64
        What each is worth.
    """

    track_ids: NDArray[Any]
    score: NDArray[np.float64]


class Predictions:
    """The part of a :class:`~dissensus.personalisation.Session` that predicts; it changes nothing."""

    pool: Pool
    catalog: Pool
    asking: AskingPool | None
    listener: Any
    _state: State
    _asker: Asker
    _book: LabelBook
    _settings: Settings

    def predict_proba(self, track_ids: Iterable[Any] | None = None) -> NDArray[np.float32]:
        """How this listener probably hears these tracks: the committee's mean.

        Parameters
        ----------
        track_ids : iterable, optional
            Tracks of the pool, in the order wanted. Default: all.

        Returns
        -------
        (n_tracks, n_classes) ndarray of float32
            Rows sum to 1; classes in the order of :attr:`classes_`.

        Raises
        ------
        UnknownTrackError
            A track is not in the pool.
        """
        mean = self._asker.consensus(self._state.learner)
        return mean.copy() if track_ids is None else mean[self.pool.index_of(track_ids)]

    def member_proba(self, track_ids: Iterable[Any] | None = None) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)``: each member's opinion; arguments and errors as :meth:`predict_proba`."""
        proba = self._asker.members(self._state.learner)
        return proba.copy() if track_ids is None else proba[:, self.pool.index_of(track_ids)]

    def scores(self, track_ids: Iterable[Any]) -> NDArray[np.float32]:
        """How this listener probably hears some tracks of the catalog: worked out for these alone.

        Parameters
        ----------
        track_ids : iterable
            Any tracks of the catalog, in the order wanted; of one on disk, only their windows are read.

        Returns
        -------
        (n, n_classes) ndarray of float32
            Rows sum to 1. A track's row does not depend on which others are asked about; for tracks of the pool it equals
            :meth:`predict_proba` to about 1e-6.

        Raises
        ------
        UnknownTrackError
            A track is not in the catalog.
        """
        learner, index = self._state.learner, self.catalog.index_of(track_ids)
        if len(index) == 0:
            return np.empty((0, len(self._book.classes)), dtype=np.float32)
        if hasattr(learner, "proba_of"):
            return mean_member(learner.proba_of(index))
        if self.asking is not None:
            index = self._asker.rows_in(learner, index)
        return mean_member(learner.pool_proba()[:, index])

    def rank(self, candidates: Iterable[Any], target: Any, *, k: int | None = None) -> Ranked:
        """Candidates of a recommender, best first for this listener.

        Parameters
        ----------
        candidates : iterable of track ids
            Of the catalog, such as the list that a retrieval step found. Repeated ones count once.
        target : label, or mapping of label to weight
            What the listener wants to hear: a class, or what each class is worth.
        k : int, optional
            How many. Default: all.

        Returns
        -------
        Ranked
            ``track_ids`` and ``score`` (the target's probability, or the expected weight); equal ones in the listener's order
            of ties.

        Raises
        ------
        UnknownTrackError
            A candidate is not in the catalog.
        LabelError
            The target is no class.
        """
        worth = np.zeros(len(self._book.classes))
        for label, weight in target.items() if isinstance(target, Mapping) else [(target, 1.0)]:
            worth[self._book.index(label)] = float(weight)
        index = np.array(list(dict.fromkeys(self.catalog.index_of(candidates).tolist())), dtype=np.int64)
        ids = self.catalog.track_ids[index]
        score = self.scores(ids.tolist()).astype(np.float64) @ worth
        keys = TieKeys(id_hashes(ids), self._settings.seed_sequence, self.listener)
        order = np.lexsort((keys[:], -score))[: None if k is None else check_count(k, "k", minimum=0)]
        return Ranked(ids[order], score[order])

    def predict(self, track_ids: Iterable[Any] | None = None) -> NDArray[Any]:
        """``(n_tracks,)`` most probable labels; the first class on ties."""
        labels: NDArray[Any] = self._book.classes[self.predict_proba(track_ids).argmax(axis=1)]
        return labels
