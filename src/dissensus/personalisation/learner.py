"""What a session needs of whatever learns: opinions about the pool, and a new learner once there are answers."""

from __future__ import annotations

import copy
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus.personalisation.told import Told

if TYPE_CHECKING:
    from dissensus.committee import Committee, TrackScorer
    from dissensus.features.pool import Pool

__all__ = ["CommitteeLearner", "Learner"]

#: A pool is kept ready for its next question (see TrackScorer) while it takes no more memory than this.
SCORER_BYTES = 1 << 30


class Learner(Protocol):
    """One listener's model over a fixed pool. Immutable: an update gives a new one.

    Anything with these four members can be given to :class:`~dissensus.personalisation.Session` as ``model=``. Where it
    also has a true attribute ``knows_crowd``, what others said is in it: queries are then balanced over the classes, and some
    are drawn at random, unless the session says otherwise. Where it has ``committee``, the session shows it.
    """

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index."""

    @property
    def informed(self) -> bool:
        """False while it knows no label at all: queries then go by diversity."""

    def pool_proba(self) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)`` probabilities of every track of the pool."""

    def update(self, told: Told) -> Learner:
        """The learner after exactly these batches of answers, whatever this one was told before.

        ``told`` holds every answer so far, not the new ones alone; none gives back the untaught learner. Whether batches and
        their order matter is up to the learner; :func:`~dissensus.personalisation.told.columns_of` joins them.
        """


class CommitteeLearner:
    """A committee over a pool, taught by replay or batch by batch. What only pool and start decide is shared by all descendants.

    Parameters
    ----------
    committee : Committee
        The current one.
    pool : Pool
        What it is asked about.
    update : {"replay", "incremental"}
        See :func:`dissensus.personalisation.update.personalise`.
    n0 : float
        Weight of the rehearsal buffer under replay, in own labels.
    random_state : int
        Of the updates.
    """

    def __init__(
        self,
        committee: Committee,
        pool: Pool,
        *,
        update: str = "replay",
        n0: float = REPLAY_WEIGHT,
        random_state: int = 0,
    ) -> None:
        committee.check_features(pool.n_features, feature_names=pool.feature_names, fingerprint=pool.fingerprint)
        self.committee = committee
        self.pool = pool
        self.told: Told = ()
        self._start = self
        self._shared = _Shared(committee, pool, update, n0, random_state)
        self._lock = threading.Lock()
        self._proba: NDArray[np.float32] | None = None

    @property
    def kind(self) -> str:
        """The rule that it learns by."""
        return self._shared.updates.update

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels by class index."""
        return np.asarray(self.committee.classes_)

    @property
    def informed(self) -> bool:
        """False while every member finds every class of every track equally likely, as after a cold start."""
        proba = self.pool_proba()
        return bool(proba.size == 0 or np.ptp(proba) > 1e-6)

    def pool_proba(self) -> NDArray[np.float32]:
        """Every member's opinion of every track; computed once."""
        with self._lock:
            if self._proba is None:
                proba = self._ask_committee()
                proba.setflags(write=False)
                self._proba = proba
            return self._proba

    def _ask_committee(self) -> NDArray[np.float32]:
        """Through a scorer that its descendants share, where the pool is small enough to be held; all threads may help."""
        scorer = self._shared.scorer
        if scorer is None:
            return self.committee.predict_proba(self.pool.X, self.pool.groups, n_threads=-1)
        return scorer.predict_proba(self.committee)

    def update(self, told: Told) -> CommitteeLearner:
        """The learner after exactly these batches of answers."""
        told = tuple(batch for batch in told if batch)
        if told == self.told:
            return self
        if not told:
            return self._start
        learner = copy.copy(self)
        learner.committee = self._shared.updates.taught(told, self.committee, self.told)
        learner.told = told
        learner._lock, learner._proba = threading.Lock(), None
        return learner


class _Shared:
    """What a learner and its descendants have in common."""

    def __init__(self, committee: Committee, pool: Pool, update: str, n0: float, random_state: int) -> None:
        from dissensus.personalisation.update import Updates

        self.updates = Updates(committee, pool.X, pool.groups, update=update, n0=n0, random_state=random_state)
        self._pool = pool

    @cached_property
    def scorer(self) -> TrackScorer | None:
        """The pool, prepared for its next question; None where it would take more than :data:`SCORER_BYTES`."""
        from dissensus.committee import TrackScorer

        start, pool = self.updates.start, self._pool
        if TrackScorer.bytes_for(start, pool.n_windows) > SCORER_BYTES:
            return None
        return TrackScorer(start, pool.X, pool.groups, n_threads=-1)
