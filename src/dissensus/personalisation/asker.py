"""What a session asks next: a strategy tied to one pool, one crowd and one listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import id_array
from dissensus.errors import ParameterError
from dissensus.personalisation.learner import Learner
from dissensus.personalisation.query import Crowd, LabelBook, Query
from dissensus.strategies.consensus import leave_listener_out, machine_consensus, select
from dissensus.strategies.diverse import select_diverse
from dissensus.strategies.strategy import strategy_named

if TYPE_CHECKING:
    from dissensus.features.pool import Pool

__all__ = ["RANDOM_REASON", "Asker", "random_part"]


#: Why a track of the random share is asked.
RANDOM_REASON: Final = "drawn at random: an honest sample"


def random_part(n_before: int, k: int, share: float) -> int:
    """How many of the next ``k`` tracks are drawn at random, so that batches of any size keep the share.

    Examples
    --------
    >>> [random_part(n, 4, 0.2) for n in (0, 4, 8, 12, 16)]
    [0, 1, 1, 1, 1]
    """
    return int((n_before + k) * share + 1e-9) - int(n_before * share + 1e-9)


class Asker:
    """Chooses queries; parameters as in :class:`~dissensus.personalisation.Session`. Holds nothing that changes."""

    def __init__(
        self,
        pool: Pool,
        book: LabelBook,
        *,
        strategy: str,
        balanced: bool,
        random_share: float = 0.0,
        crowd: Crowd | tuple[ArrayLike, ArrayLike] | None,
        listener: Any,
        tie_key: NDArray[Any],
    ) -> None:
        rule = strategy_named(strategy)
        if crowd is None and "human" in rule.needs:
            raise ParameterError(f"strategy {strategy!r} looks at what others said: give crowd=annotations")
        self.pool = pool
        self.book = book
        self.rule = rule
        self.balanced = balanced or rule.balance is True
        if not 0 <= random_share <= 1:
            raise ParameterError(f"random_share={random_share!r}: must be a share between 0 and 1")
        self.random_share = random_share
        self.tie_key = tie_key
        self.human: NDArray[np.float32] | None = None
        self.n_raters: NDArray[np.int64] | None = None
        if isinstance(crowd, tuple):
            self._take(*crowd)
        elif crowd is not None:
            self.human, self.n_raters = self._hear(crowd, listener)

    def _take(self, proba: ArrayLike, n_raters: ArrayLike) -> None:
        human, raters = np.asarray(proba, dtype=np.float32), np.asarray(n_raters, dtype=np.int64)
        n_tracks, n_classes = self.pool.n_tracks, len(self.book.classes)
        if human.shape != (n_tracks, n_classes) or raters.shape != (n_tracks,):
            raise ParameterError(
                f"crowd must be ({n_tracks}, {n_classes}) and ({n_tracks},) for this pool; got {human.shape}, {raters.shape}"
            )
        self.human, self.n_raters = human, raters

    def _hear(self, crowd: Crowd, listener: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rated = id_array(crowd.track_id, what="crowd.track_id").tolist()
        index_of = {t: self.pool.index_of([t])[0] if t in self.pool else -1 for t in set(rated)}
        track = np.array([index_of[t] for t in rated], dtype=np.int64)
        given = np.asarray(crowd.label, dtype=np.int64)
        label = np.where(given >= 0, self.book.columns(crowd.classes)[np.maximum(given, 0)], -1)
        return leave_listener_out(
            crowd.listener_id, track, label, listener, n_tracks=self.pool.n_tracks, n_classes=len(self.book.classes)
        )

    def choose(self, learner: Learner, closed: NDArray[np.bool_], k: int) -> Query:
        """Up to ``k`` tracks that are not ``closed``, best first."""
        if self.rule.needs & {"machine", "members"} and not learner.informed:
            return self._explore(closed, k)
        k = min(k, int((~closed).sum()))
        n_random = random_part(int(closed.sum()), k, self.random_share)
        proba = learner.pool_proba() if self.rule.needs != {"human"} else None
        chosen = select(
            self.rule.name,
            k - n_random,
            machine=None if proba is None else machine_consensus(proba),
            members=proba if "members" in self.rule.needs else None,
            human=self.human,
            n_raters=self.n_raters,
            balanced=self.balanced,
            exclude=closed,
            random_state=self.tie_key,
        ).named(self.book.names)
        taken = closed.copy()
        taken[chosen.index] = True
        left = np.flatnonzero(~taken)
        drawn = left[np.argsort(self.tie_key[left], kind="stable")[:n_random]]
        return Query(
            self.pool.track_ids[np.concatenate([chosen.index, drawn])],
            np.concatenate([chosen.utility, np.zeros(n_random, dtype=np.float32)]),
            (*chosen.reason, *(RANDOM_REASON for _ in drawn)),
            np.concatenate([chosen.tie_size, np.ones(n_random, dtype=np.int64)]),
            self.rule.reported,
        )

    def nothing(self, why: str) -> Query:
        """No track."""
        none = np.empty(0, dtype=np.int64)
        return Query(self.pool.track_ids[none], none.astype(np.float32), (), none, self.rule.reported, why)

    def _explore(self, closed: NDArray[np.bool_], k: int) -> Query:
        """While nothing is known: far from what was heard before."""
        mean = np.zeros((self.pool.n_tracks, self.pool.n_features))
        np.add.at(mean, self.pool.groups, self.pool.X)
        mean /= np.bincount(self.pool.groups, minlength=self.pool.n_tracks)[:, None]
        seen = np.flatnonzero(closed)
        index, distance = select_diverse(mean, k, seen=seen, exclude=closed, tie_key=self.tie_key)
        reason = [f"nothing is known yet: {d:.2f} standard deviations from all that was heard before" for d in distance]
        if len(seen) == 0 and reason:
            reason[0] = "nothing is known yet: the most typical track of the pool"
        return Query(
            self.pool.track_ids[index], distance, tuple(reason), np.ones(len(index), dtype=np.int64), "diverse"
        )
