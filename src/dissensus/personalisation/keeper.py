"""Sessions of many listeners in bounded memory: loaded when needed, the least recently used dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dissensus._fork import Lock
from dissensus.errors import ParameterError
from dissensus.personalisation.session import Session
from dissensus.personalisation.session_state import SessionState

__all__ = ["KeeperStats", "SessionKeeper", "StateSource"]


class StateSource(Protocol):
    """Where states of sessions are kept: a table, a file per listener, a dictionary."""

    def load(self, listener: Hashable) -> SessionState | None:
        """The state of a listener's session; None for somebody new."""

    def save(self, listener: Hashable, state: SessionState) -> None:
        """Keep a state. When it returns, a later :meth:`load` must find it, also after a crash where that is wanted."""


class KeeperStats(NamedTuple):
    """What a keeper did so far, and what it holds.

    Attributes
    ----------
    hits, misses : int
        Uses of a session that was there, and of one that had to be brought back.
    evictions : int
        Sessions dropped for room.
    n_live, nbytes : int
        Sessions held now, and their bytes (:attr:`Session.nbytes`).
    """

    hits: int
    misses: int
    evictions: int
    n_live: int
    nbytes: int


@dataclass(eq=False)
class _Live:
    lock: Lock = field(default_factory=lambda: Lock(reentrant=True))
    session: Session | None = None
    users: int = 0
    nbytes: int = 0
    generation: int = 0


class SessionKeeper:
    """Keeps listeners' sessions at hand, within a limit of bytes.

    A session is its state: what is dropped is brought back from the source and goes on as if it had stayed. Each listener's
    uses happen one after the other, different listeners' side by side. A keeper belongs to one process; do not fork while one is
    in use.

    Parameters
    ----------
    source : StateSource
        Where states are loaded from and saved to.
    make : callable
        ``make(listener, state)`` gives the session of a state, or a new one for None. Let all of them share a learner
        (``model=CommitteeLearner(…)`` or a ``ListenerModel``): then only what is personal is held per listener.
    limit_bytes : int
        Bytes of sessions held between uses, by their own account (:attr:`Session.nbytes`). Those in use are never dropped.

    Raises
    ------
    ParameterError
        A limit below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from dissensus import Committee, Pool, Session
    >>> from dissensus.personalisation import CommitteeLearner
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(["calm", "loud"], 40)
    >>> X = rng.normal(size=(80, 2)) + 2.0 * (y == "loud")[:, None]
    >>> shared = CommitteeLearner(
    ...     Committee.pretrain(X, y, np.arange(80), kinds=("gnb",), n_folds=2), Pool(rng.normal(size=(30, 2)) + 1.0, range(30)))
    >>> class Memory(dict):
    ...     load, save = dict.get, dict.__setitem__
    >>> def make(listener, state):
    ...     return Session(None, shared.pool, model=shared, listener=listener, state=state)
    >>> keeper = SessionKeeper(Memory(), make, limit_bytes=50_000)
    >>> for listener in [*range(20), *range(20)]:
    ...     with keeper.session(listener) as session:
    ...         session.tell({track: "calm" for track in session.ask(2)})
    >>> with keeper.session(7) as session:
    ...     session.n_answers
    4
    >>> keeper.stats.nbytes <= 50_000, keeper.stats.evictions > 0
    (True, True)
    """

    def __init__(
        self, source: StateSource, make: Callable[[Hashable, SessionState | None], Session], *, limit_bytes: int
    ) -> None:
        if not limit_bytes >= 0:
            raise ParameterError(f"limit_bytes={limit_bytes!r}: must not be negative")
        self.source = source
        self.limit_bytes = int(limit_bytes)
        self._make = make
        self._generation = 0
        self._lock = Lock()  # of what follows; never held while a session works
        self._live: OrderedDict[Hashable, _Live] = OrderedDict()
        self._nbytes = self._hits = self._misses = self._evictions = 0

    @property
    def stats(self) -> KeeperStats:
        """Counts so far."""
        with self._lock:
            n_live = sum(live.session is not None for live in self._live.values())
            return KeeperStats(self._hits, self._misses, self._evictions, n_live, self._nbytes)

    @contextmanager
    def session(self, listener: Hashable) -> Iterator[Session]:
        """A listener's session, for the length of a ``with`` block; what changed in it is saved at the end.

        Raises
        ------
        Exception
            What the source or ``make`` raises. If saving fails the session is dropped: the next use starts from what was saved.
        """
        live = self._enter(listener)
        try:
            with live.lock:
                session = self._brought_back(listener, live)
                before = session._state
                try:
                    yield session
                finally:
                    if session._state is not before:
                        self._save(listener, live, session)
        finally:
            self._leave(listener, live)

    def refit(self, make: Callable[[Hashable, SessionState | None], Session]) -> int:
        """Bring every session over to another start, such as a committee trained last night; run it in a thread of your own.

        Sessions are rebuilt while the old ones still answer: nobody waits for a refit. One whose listener answered meanwhile
        is rebuilt at its next use. Sessions that are loaded from now on are made by ``make`` as well.

        Returns
        -------
        int
            Sessions that were rebuilt here.
        """
        with self._lock:
            self._make, self._generation = make, self._generation + 1
            generation, listeners = self._generation, list(self._live.items())
        done = 0
        for listener, live in listeners:
            old = live.session
            if old is None or live.generation == generation:
                continue
            before = old._state
            fresh = make(listener, old.state_for_another_start())
            if live.lock.acquire(blocking=False):
                try:
                    if live.session is old and old._state is before:
                        live.session, live.generation = fresh, generation
                        done += 1
                finally:
                    live.lock.release()
        return done

    def drop(self, listener: Hashable) -> None:
        """Forget a live session, saved state and all else left alone; the next use loads it again."""
        live = self._enter(listener)
        try:
            with live.lock:
                live.session = None
        finally:
            self._leave(listener, live)

    def _enter(self, listener: Hashable) -> _Live:
        with self._lock:
            live = self._live.get(listener)
            if live is None:
                live = self._live[listener] = _Live()
            live.users += 1
            self._live.move_to_end(listener)
            return live

    def _brought_back(self, listener: Hashable, live: _Live) -> Session:
        """The session, made or loaded where need be; under the listener's lock."""
        with self._lock:
            make, generation = self._make, self._generation
            hit = live.session is not None
            self._hits, self._misses = self._hits + hit, self._misses + (not hit)
        if live.session is None:
            live.session, live.generation = make(listener, self.source.load(listener)), generation
        elif live.generation != generation:
            live.session, live.generation = make(listener, live.session.state_for_another_start()), generation
        return live.session

    def _save(self, listener: Hashable, live: _Live, session: Session) -> None:
        try:
            self.source.save(listener, session.state)
        except BaseException:
            live.session = None
            raise

    def _leave(self, listener: Hashable, live: _Live) -> None:
        """Count what the session holds now, and drop others until the limit holds."""
        size = 0 if live.session is None else live.session.nbytes
        with self._lock:
            live.users -= 1
            self._nbytes += size - live.nbytes
            live.nbytes = size
            if live.session is None and live.users == 0 and self._live.get(listener) is live:
                del self._live[listener]
            for name in list(self._live) if self._nbytes > self.limit_bytes else ():
                if self._nbytes <= self.limit_bytes:
                    break
                if self._live[name].users == 0:
                    gone = self._live.pop(name)
                    self._nbytes -= gone.nbytes
                    self._evictions += gone.session is not None
