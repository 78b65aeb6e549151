"""What a session needs of whatever learns: opinions about the pool, and a new learner once there are answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus.errors import ParameterError

if TYPE_CHECKING:
    from dissensus.committee import Committee, TrackScorer
    from dissensus.features.pool import Pool
    from dissensus.personalisation.update import Heard

__all__ = ["CommitteeLearner", "Learner"]

#: A pool is kept ready for its next question (see TrackScorer) while it takes no more memory than this.
SCORER_BYTES = 1 << 30


class Learner(Protocol):
    """One listener's model over a fixed pool. Immutable: an update gives a new one.

    Anything with these four members can be given to :class:`~dissensus.personalisation.Session` as ``model=``.
    """

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index."""

    @property
    def informed(self) -> bool:
        """False while it knows no label at all: queries then go by diversity."""

    def pool_proba(self) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)`` probabilities of every track of the pool."""

    def update(self, track_index: NDArray[np.int64], class_index: NDArray[np.int64]) -> Learner:
        """What the *untaught* learner becomes after exactly these answers; their order must not matter."""


class CommitteeLearner:
    """A committee over a pool, taught by replay or batch by batch.

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
        if update not in ("replay", "incremental"):
            raise ParameterError(f"update={update!r}; choose 'replay' or 'incremental'")
        committee.check_features(pool.n_features, feature_names=pool.feature_names, fingerprint=pool.fingerprint)
        self.committee = committee
        self.pool = pool
        self.kind = update
        self.n0 = n0
        self.random_state = random_state
        self._lock = threading.Lock()
        self._proba: NDArray[np.float32] | None = None
        self._scorers: list[TrackScorer] = []  # none yet, or the one that all descendants share
        self._places: list[
            tuple[NDArray[np.int64], NDArray[np.int64]]
        ] = []  # likewise: windows by track, and their ends
        self._heard: dict[int, Heard] = {}  # likewise: tracks that were answered

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
        from dissensus.committee import TrackScorer

        if TrackScorer.bytes_for(self.committee, self.pool.n_windows) > SCORER_BYTES:
            return self.committee.predict_proba(self.pool.X, self.pool.groups, n_threads=-1)
        if not self._scorers:
            self._scorers.append(TrackScorer(self.committee, self.pool.X, self.pool.groups, n_threads=-1))
        return self._scorers[0].predict_proba(self.committee)

    def _rows(self, track_index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Windows of these tracks, one track after the other, and where each begins."""
        if not self._places:
            ends = np.cumsum(np.bincount(self.pool.groups, minlength=self.pool.n_tracks))
            self._places.append((np.argsort(self.pool.groups, kind="stable"), np.concatenate([[0], ends])))
        order, ends = self._places[0]
        parts = [order[ends[i] : ends[i + 1]] for i in track_index.tolist()]
        start = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)])
        return (np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)), start

    def update(
        self, track_index: NDArray[np.int64], class_index: NDArray[np.int64], *, n_new: int | None = None
    ) -> CommitteeLearner:
        """The committee after these answers; ``n_new`` of them (the last) are new to it under ``"incremental"``."""
        if self.kind == "replay":
            taught = self._replayed(track_index, class_index)
        else:
            taught = self._continued(track_index, class_index, n_new)
        learner = CommitteeLearner(taught, self.pool, update=self.kind, n0=self.n0, random_state=self.random_state)
        learner._scorers, learner._places, learner._heard = self._scorers, self._places, self._heard
        return learner

    def _replayed(self, track_index: NDArray[np.int64], class_index: NDArray[np.int64]) -> Committee:
        """After exactly these answers; a track is heard once, however often it is replayed."""
        from dissensus.personalisation.update import hear, replay

        unheard = [i for i in dict.fromkeys(track_index.tolist()) if i not in self._heard]
        if unheard:
            rows, start = self._rows(np.array(unheard))
            tracks = hear(self.committee, self.committee.scale(self.pool.X[rows]), start)
            self._heard.update(zip(unheard, tracks, strict=True))
        return replay(self.committee, [self._heard[i] for i in track_index.tolist()], class_index, n0=self.n0)

    def _continued(
        self, track_index: NDArray[np.int64], class_index: NDArray[np.int64], n_new: int | None
    ) -> Committee:
        from dissensus.personalisation.update import personalise

        rows, start = self._rows(track_index)
        count = np.diff(start)
        label, groups = self.classes_[np.repeat(class_index, count)], np.repeat(np.arange(len(count)), count)
        return personalise(
            self.committee,
            self.pool.X[rows],
            label,
            groups,
            update=self.kind,
            n_new=n_new,
            random_state=self.random_state,
        )
