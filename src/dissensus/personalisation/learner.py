"""What a session needs of whatever learns: opinions about the pool, and a new learner once there are answers."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus._fork import Lock
from dissensus._mean import mean_member
from dissensus.personalisation.told import Told

if TYPE_CHECKING:
    from dissensus.committee import Committee, TrackScorer
    from dissensus.features.pool import Pool

__all__ = ["CommitteeLearner", "Learner"]

#: A pool is kept ready for its next question (see TrackScorer) while it takes no more memory than this.
SCORER_BYTES = 1 << 30

#: Bytes of probabilities of a pool that the descendants of one learner keep at most between them; one array is always kept.
PROBA_BYTES = 64 << 20


class Learner(Protocol):
    """One listener's model over a fixed pool. Immutable: an update gives a new one.

    Anything with these four members can be given to :class:`~dissensus.personalisation.Session` as ``model=``. Where it
    also has a true attribute ``knows_crowd``, what others said is in it: queries are then balanced over the classes, and some
    are drawn at random, unless the session says otherwise. Where it has ``committee``, the session shows it; where it has
    ``pool_consensus()``, the mean of ``pool_proba()`` over its members, or ``proba_of(track_index)``, its opinions of some tracks
    of the catalog, the session asks for these; ``nbytes`` and ``base_digest`` go into the session's. ``shape`` spares it to work
    ``pool_proba()`` out before anybody asks, and ``pool`` says that its rows are the tracks of an asking pool, in order.
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
    """A committee over a pool, taught by replay or batch by batch.

    What only pool and start decide is shared by all descendants; what a descendant holds itself is what its committee learnt
    (:attr:`nbytes`). Probabilities of the pool are kept for those that were asked about last, within a limit that all share.

    Parameters
    ----------
    committee : Committee
        What every listener starts from.
    pool : Pool
        What it is asked about.
    catalog : Pool, optional
        What may be answered and scored: answers are told by position in it. Default: the pool.
    update : {"replay", "incremental"}
        See :func:`dissensus.personalisation.update.personalise`.
    n0 : float
        Weight of the rehearsal buffer under replay, in own labels.
    random_state : int
        Of the updates.

    Attributes
    ----------
    committee : Committee
        The current one.
    told : tuple of tuples of (track index, class index)
        The batches of answers that it knows.
    """

    def __init__(
        self,
        committee: Committee,
        pool: Pool,
        *,
        catalog: Pool | None = None,
        update: str = "replay",
        n0: float = REPLAY_WEIGHT,
        random_state: int = 0,
    ) -> None:
        for given in (pool, catalog):
            if given is not None:
                committee.check_features(
                    given.n_features, feature_names=given.feature_names, fingerprint=given.fingerprint
                )
        _check_learning(committee, update)
        self.committee = committee
        self.pool = pool
        self.told: Told = ()
        self._shared = _Shared(committee, pool, pool if catalog is None else catalog, update, n0, random_state)
        self._start = self

    def __reduce__(self) -> tuple[Any, ...]:
        shared = self._shared
        return _remade, (shared.start, self.pool, shared.catalog, shared.settings, self.told, self.committee)

    def __deepcopy__(self, memo: dict[int, Any]) -> CommitteeLearner:
        """Itself: it never changes."""
        return self

    @property
    def kind(self) -> str:
        """The rule that it learns by."""
        return self._shared.updates.update

    @property
    def start(self) -> CommitteeLearner:
        """The untaught learner."""
        return self._start

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels by class index."""
        return np.asarray(self.committee.classes_)

    @property
    def informed(self) -> bool:
        """False while every member finds every class of every track equally likely, as after a cold start."""
        return self._shared.informed or (bool(self.told) and _says_something(self.pool_proba()))

    @property
    def nbytes(self) -> int:
        """Bytes of what this committee's members learnt: arrays that the start does not have."""
        return _own_bytes(self.committee.members, self._shared.start.members)

    @property
    def base_digest(self) -> str | None:
        """SHA-256 of the start; None where a member is not of a kind that can be saved."""
        return self._shared.base_digest

    def pool_proba(self) -> NDArray[np.float32]:
        """Every member's opinion of every track of the pool."""
        return self._shared.remembered("members", self, self._ask_members)

    def pool_consensus(self) -> NDArray[np.float32]:
        """``(n_tracks, n_classes)``: the mean of :meth:`pool_proba` over the members, to the bit."""
        return self._shared.remembered("mean", self, self._ask_mean)

    def proba_of(self, track_index: NDArray[np.int64]) -> NDArray[np.float32]:
        """``(n_members, n, n_classes)``: opinions of some tracks of the catalog, worked out for these alone.

        What is said of a track does not depend on which others are asked about.
        """
        X, start = self._shared.catalog.windows_of(track_index)
        return self.committee.predict_proba(X, np.repeat(np.arange(len(track_index)), np.diff(start)))

    def _ask_members(self) -> NDArray[np.float32]:
        """Through a scorer that its descendants share, where the pool is small enough to be held; all threads may help."""
        scorer = self._shared.scorer
        if scorer is None:
            return self.committee.predict_proba(self.pool.X, self.pool.groups, n_threads=-1)
        return scorer.predict_proba(self.committee)

    def _ask_mean(self) -> NDArray[np.float32]:
        scorer = self._shared.scorer
        return mean_member(self.pool_proba()) if scorer is None else scorer.consensus(self.committee)

    def update(self, told: Told) -> CommitteeLearner:
        """The learner after exactly these batches of answers."""
        told = tuple(batch for batch in told if batch)
        if told == self.told:
            return self
        if not told:
            return self._start
        return self._descendant(told, self._shared.updates.taught(told, self.committee, self.told))

    def _descendant(self, told: Told, committee: Committee) -> CommitteeLearner:
        learner = object.__new__(type(self))
        learner.__dict__.update(self.__dict__)
        learner.committee, learner.told = committee, told
        return learner


def _check_learning(committee: Committee, update: str) -> None:
    from dissensus.committee.refit import check_learning

    check_learning(committee, update)


def _remade(
    start: Committee, pool: Pool, catalog: Pool, settings: tuple[str, float, int], told: Told, committee: Committee
) -> CommitteeLearner:
    update, n0, random_state = settings
    learner = CommitteeLearner(start, pool, catalog=catalog, update=update, n0=n0, random_state=random_state)
    return learner._descendant(told, committee) if told else learner


def _says_something(proba: NDArray[np.float32]) -> bool:
    return bool(proba.size == 0 or np.ptp(proba) > 1e-6)


def _own_bytes(members: Sequence[Any], start: Sequence[Any]) -> int:
    """Bytes of the arrays that some members hold and others do not, each counted once."""
    known = {id(array) for member in start for array in _arrays(member)}
    return sum({id(a): a.nbytes for member in members for a in _arrays(member) if id(a) not in known}.values())


def _arrays(held: Any) -> Iterator[NDArray[Any]]:
    if isinstance(held, np.ndarray):
        yield held if held.base is None or not isinstance(held.base, np.ndarray) else held.base
    elif isinstance(held, (tuple, list)):
        for part in held:
            yield from _arrays(part)
    elif hasattr(held, "__dict__") and type(held).__module__.partition(".")[0] != "builtins":
        for name, part in vars(held).items():
            if name != "_held":
                yield from _arrays(part)


class _Shared:
    """What a learner and its descendants have in common."""

    def __init__(
        self, committee: Committee, pool: Pool, catalog: Pool, update: str, n0: float, random_state: int
    ) -> None:
        from dissensus.personalisation.update import Updates

        self.start, self.catalog = committee, catalog
        self.settings = (update, n0, random_state)
        self.updates = Updates(committee, catalog, update=update, n0=n0, random_state=random_state)
        self._pool = pool
        self._lock = Lock()
        self._held: OrderedDict[tuple[str, int], tuple[weakref.ref[CommitteeLearner], NDArray[np.float32]]] = (
            OrderedDict()
        )

    @cached_property
    def scorer(self) -> TrackScorer | None:
        """The pool, prepared for its next question; None where it would take more than :data:`SCORER_BYTES`."""
        from dissensus.committee import TrackScorer

        start, pool = self.start, self._pool
        if TrackScorer.bytes_for(start, pool.n_windows) > SCORER_BYTES:
            return None
        return TrackScorer(start, pool.X, pool.groups, n_threads=-1)

    @cached_property
    def informed(self) -> bool:
        """Whether the start says anything about any track."""
        few = self._pool.windows_of(np.arange(min(self._pool.n_tracks, 64)))[0]
        return _says_something(self.start.predict_proba(few)) or _says_something(
            self.start.predict_proba(self._pool.X, self._pool.groups)
        )

    @cached_property
    def base_digest(self) -> str | None:
        """See :attr:`CommitteeLearner.base_digest`."""
        from dissensus.committee.storage import digest_of

        return digest_of(self.start)

    def remembered(
        self, what: str, learner: CommitteeLearner, work_out: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """``work_out()``, or what it gave for this learner; those that were asked for least recently are forgotten first."""
        name = (what, id(learner))
        with self._lock:
            found = self._held.get(name)
            if found is not None and found[0]() is learner:
                self._held.move_to_end(name)
                return found[1]
        proba = work_out()
        proba.setflags(write=False)
        with self._lock:
            self._held[name] = (weakref.ref(learner), proba)
            self._held.move_to_end(name)
            for old in [key for key, (owner, _) in self._held.items() if owner() is None]:
                del self._held[old]
            total = sum(array.nbytes for _, array in self._held.values())
            for old in list(self._held):
                if total <= PROBA_BYTES or old == name:
                    break
                total -= self._held.pop(old)[1].nbytes
        return proba
