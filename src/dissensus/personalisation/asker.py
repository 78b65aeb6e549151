"""What a session asks next: a strategy tied to one pool, one crowd and one listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import id_array
from dissensus._mean import mean_member
from dissensus._ties import TieKeys
from dissensus.errors import ParameterError
from dissensus.personalisation.learner import Learner
from dissensus.personalisation.query import Crowd, LabelBook, Query
from dissensus.strategies.consensus import choose, leave_listener_out
from dissensus.strategies.diverse import select_diverse
from dissensus.strategies.strategy import Opinions, strategy_named

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


def _shape(learner: Learner) -> tuple[int, ...]:
    """The shape of a learner's probabilities; it may say so without working them out."""
    shape: tuple[int, ...] = getattr(learner, "shape", None) or learner.pool_proba().shape
    return shape


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
        tie_key: TieKeys,
        index: NDArray[np.int64] | None = None,
    ) -> None:
        rule = strategy_named(strategy)
        if crowd is None and "human" in rule.needs:
            raise ParameterError(f"strategy {strategy!r} looks at what others said: give crowd=annotations")
        self.pool = pool
        self.index = index
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

    def check(self, learner: Learner) -> None:
        """Refuse a learner of another pool; one that was made for this very pool is not asked."""
        if getattr(learner, "pool", None) is self.pool:
            return
        shape = _shape(learner)
        allowed = {self.pool.n_tracks} if self.index is None else {self.pool.n_tracks, self._n_catalog(learner)}
        if len(shape) != 3 or shape[1] not in allowed or shape[2] != len(self.book.classes):
            raise ParameterError(
                f"the model gives {shape} for a pool of {self.pool.n_tracks} tracks; make it for this pool"
            )

    def _n_catalog(self, learner: Learner) -> int:
        assert self.index is not None
        n_tracks = _shape(learner)[1]
        return n_tracks if n_tracks > int(self.index.max()) else self.pool.n_tracks

    def _rows(self, learner: Learner) -> NDArray[np.int64] | None:
        """Rows of the pool in what the learner gives; None where it gives just these."""
        if self.index is None or getattr(learner, "pool", None) is self.pool:
            return None
        return self.index if _shape(learner)[1] != self.pool.n_tracks else None

    def rows_in(self, learner: Learner, catalog_index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of some tracks of the catalog in what the learner gives.

        Raises
        ------
        ParameterError
            It speaks of the pool alone, and a track is not in it.
        """
        if self.index is None or self._rows(learner) is not None:
            return catalog_index
        place = {track: row for row, track in enumerate(self.index.tolist())}
        missing = [track for track in catalog_index.tolist() if track not in place]
        if missing:
            raise ParameterError(
                "this learner speaks of the asking pool alone; give it proba_of(track_index) to score others"
            )
        return np.array([place[track] for track in catalog_index.tolist()], dtype=np.int64)

    def members(self, learner: Learner) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)`` opinions of the pool's tracks."""
        rows = self._rows(learner)
        return learner.pool_proba() if rows is None else learner.pool_proba()[:, rows]

    def consensus(self, learner: Learner) -> NDArray[np.float32]:
        """``(n_tracks, n_classes)``: their mean."""
        if self._rows(learner) is None and hasattr(learner, "pool_consensus"):
            mean: NDArray[np.float32] = learner.pool_consensus()
            return mean
        return mean_member(self.members(learner))

    def choose(self, learner: Learner, closed: NDArray[np.bool_], k: int, *, n_before: int) -> Query:
        """Up to ``k`` tracks that are not ``closed``, best first; ``n_before`` were answered or skipped before."""
        if self.rule.needs & {"machine", "members"} and not learner.informed:
            return self._explore(closed, k)
        k = min(k, int((~closed).sum()))
        n_random = random_part(n_before, k, self.random_share)
        members = self.members(learner) if "members" in self.rule.needs else None
        machine = None if self.rule.needs == {"human"} else self.consensus(learner)
        chosen = choose(
            self.rule,
            Opinions(members, machine, self.human, self.n_raters),
            k - n_random,
            eligible=~closed,
            balanced=self.balanced,
            tie_key=self.tie_key,
        ).named(self.book.names)
        drawn = np.empty(0, dtype=np.int64)
        if n_random:
            taken = closed.copy()
            taken[chosen.index] = True
            left = np.flatnonzero(~taken)
            keys = self.tie_key[left]
            first = np.argpartition(keys, n_random - 1)[:n_random] if n_random < len(left) else np.arange(len(left))
            drawn = left[first[np.argsort(keys[first], kind="stable")]]
        return Query(
            self.pool.track_ids[np.concatenate([chosen.index, drawn])],
            np.concatenate([chosen.utility, np.zeros(len(drawn), dtype=np.float32)]),
            (*chosen.reason, *(RANDOM_REASON for _ in drawn)),
            np.concatenate([chosen.tie_size, np.ones(len(drawn), dtype=np.int64)]),
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
        index, distance = select_diverse(mean, k, seen=seen, exclude=closed, tie_key=self.tie_key[:])
        reason = [f"nothing is known yet: {d:.2f} standard deviations from all that was heard before" for d in distance]
        if len(seen) == 0 and reason:
            reason[0] = "nothing is known yet: the most typical track of the pool"
        return Query(
            self.pool.track_ids[index], distance, tuple(reason), np.ones(len(index), dtype=np.int64), "diverse"
        )
