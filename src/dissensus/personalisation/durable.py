"""Sessions that survive: every step is in a store before it counts, and any process can go on with it.

The log of a listener is the truth; a session is what :func:`fold` makes of it. What was asked is written before it is shown, an
answer before it is acknowledged. Several processes may hold sessions of one listener: each reads what the others wrote before its
next step.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from dissensus.errors import DataFormatError, KeyReusedError, ParameterError, StoreBusyError, VersionConflictError
from dissensus.personalisation.query import Query
from dissensus.personalisation.session import Session
from dissensus.personalisation.session_state import SessionState, State, query_from_json, query_to_json
from dissensus.personalisation.told import Answer
from dissensus.store.records import Event

if TYPE_CHECKING:
    from dissensus.store.records import Store

__all__ = ["DurableSession", "fold"]

_MOST_TRIES = 20

_Out = TypeVar("_Out")


def fold(events: Sequence[Event], settings: Mapping[str, Any], base: str | None = None) -> SessionState:
    """The state of a session whose log this is.

    Parameters
    ----------
    events : sequence of Event
        From the first on, in order.
    settings : mapping
        As in :attr:`SessionState.settings`.
    base : str, optional
        SHA-256 of what the session starts from.

    Returns
    -------
    SessionState
        ``fold(a + b)`` is what a session is in after ``b`` that was in ``fold(a)``.

    Raises
    ------
    DataFormatError
        The events are no log of a session.

    Examples
    --------
    >>> state = fold([Event("answer", track="a", label="Q1"), Event("skip", track="b")], {})
    >>> state.told, state.skipped
    (((('a', 'Q1'),),), ('b',))
    """
    told: list[list[tuple[Any, Any]]] = []
    queries: list[Query] = []
    skipped: list[Any] = []
    looks_from, settled, names = 0, False, _Names()
    expected = 0
    for event in events:
        detail = event.detail
        if event.kind == "ask":
            queries.append(query_from_json(names.seen(detail)))
            continue
        track = names.track(event)
        if event.kind == "skip":
            if track not in skipped:
                skipped.append(track)
            continue
        settled = bool(detail.get("settled", False))
        if event.kind == "undo":
            told = [kept for batch in told if (kept := [one for one in batch if one[0] != track])]
            looks_from = len(told)
        elif event.kind == "answer":
            if not expected:
                expected = int(detail.get("batch", 1))
                told.append([])
            expected -= 1
            told[-1].append((track, detail.get("class", event.label)))
            if track in skipped:
                skipped.remove(track)
    return SessionState(
        settings=settings,
        base=base,
        told=tuple(tuple(batch) for batch in told),
        queries=tuple(queries),
        skipped=tuple(skipped),
        looks_from=looks_from,
        settled=settled,
    )


class _Names:
    """Track ids as the pool has them: a store keeps text, a pool may have numbers."""

    def __init__(self) -> None:
        self._of: dict[str, Any] = {}

    def seen(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        try:
            query = dict(detail["query"])
            self._of.update({str(track): track for track in query["track_ids"]})
        except (KeyError, TypeError, ValueError) as error:
            raise DataFormatError(f"an ask of this log holds no query ({type(error).__name__}: {error})") from None
        return query

    def track(self, event: Event) -> Any:
        track = event.detail.get("track", event.track)
        return self._of.get(track, track) if isinstance(track, str) else track


class DurableSession(Session):
    """A :class:`Session` whose steps are in a store; made by :meth:`Session.open`.

    A step that the store refuses did not happen. Every step reads first what other processes wrote about the listener.
    """

    _store: Store
    _listener_id: str
    _version: int
    _key: str | None
    _extra: Mapping[Any, Mapping[str, Any]]

    @classmethod
    def opened(cls, store: Store, listener_id: str, committee: Any, pool: Any, **arguments: Any) -> Self:
        """The session of a listener of a store; see :meth:`Session.open`."""
        if arguments.get("answers") is not None or arguments.get("state") is not None:
            raise ParameterError("answers and state of a listener are in the store; leave them out")
        record = store.listener(listener_id)
        arguments.setdefault("listener", listener_id)
        arguments.setdefault("strategy", record.strategy)
        arguments.setdefault("random_state", record.seed)
        session = cls(committee, pool, **arguments)
        wanted = json.loads(json.dumps(session._settings.as_dict()))
        kept = dict(store.keep_settings(listener_id, wanted))
        differ = sorted(name for name, value in wanted.items() if kept.get(name) != value)
        if differ:
            raise ParameterError(
                f"the listener's sessions were begun with other settings ({', '.join(differ)}); open them with those, or make "
                "another listener"
            )
        session._store, session._listener_id, session._version = store, listener_id, 0
        session._key, session._extra = None, {}
        with session._lock:
            session._catch_up()
        return session

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a session of a store is opened anew elsewhere, with Session.open; its state is plain data")

    def __deepcopy__(self, memo: dict[int, Any]) -> DurableSession:
        raise TypeError("a session of a store has no copies that write: copy Session(…, state=session.state)")

    @property
    def version(self) -> int:
        """Number of events of the listener's log that this session knows."""
        return self._version

    def ask(self, k: int = 1) -> Query:
        """As :meth:`Session.ask`; what is asked is in the store before it is given."""
        return self._step(lambda: Session.ask(self, k))

    def tell(
        self,
        answers: Mapping[Any, Any],
        *,
        key: str | None = None,
        detail: Mapping[Any, Mapping[str, Any]] | None = None,
    ) -> None:
        """As :meth:`Session.tell`; the answers are on disk when this returns.

        Parameters
        ----------
        answers : mapping of track id to label
        key : str, optional
            Names the request: sent again with the same key it counts once.
        detail : mapping of track id to mapping, optional
            What else to keep about an answer, as JSON: the mood, words, whether the track was known.
        """

        def told() -> None:
            self._key, self._extra = key, detail or {}
            try:
                Session.tell(self, answers)
            finally:
                self._key, self._extra = None, {}

        if key is not None and self._repeated(key, answers):
            return
        self._step(told)

    def undo(self, track_id: Any) -> None:
        """As :meth:`Session.undo`."""
        self._step(lambda: Session.undo(self, track_id))

    def skip(self, track_id: Any) -> None:
        """As :meth:`Session.skip`."""
        self._step(lambda: Session.skip(self, track_id))

    def refresh(self) -> bool:
        """Read what other processes wrote; whether there was anything."""
        with self._lock:
            return self._catch_up()

    # ---- how -------------------------------------------------------------------------------------------------------

    def _step(self, step: Callable[[], _Out]) -> _Out:
        for _ in range(_MOST_TRIES):
            with self._lock:
                self._catch_up()
                try:
                    return step()
                except VersionConflictError:
                    continue
        raise StoreBusyError(f"others write about the listener {self._listener_id} all the time; try again in a moment")

    def _catch_up(self) -> bool:
        if self._store.version(self._listener_id) == self._version:
            return False
        log = self._store.events(self._listener_id)
        state = fold(log, self._settings.as_dict(), getattr(self._state.learner, "base_digest", None))
        self._state = self._restored(state, self._state.learner.update(()))
        self._version = log[-1].seq if log else 0
        return True

    def _repeated(self, key: str, answers: Mapping[Any, Any]) -> bool:
        """Whether the request of this key is in the log already; another request of the same key is refused by the store."""
        with self._lock:
            self._catch_up()
            batch = [event for event in self._store.events(self._listener_id) if event.detail.get("key") == key]
        said = {event.track: event.label for event in batch}
        wanted = {str(track): str(label) for track, label in answers.items()}
        if not batch:
            return False
        if said != wanted:
            raise KeyReusedError(f"the key {key!r} named another request before; give every request a new key")
        return True

    def _keep(self, state: State, step: str, what: Any) -> None:
        settled = {"settled": True} if state.settled else {}
        if step == "ask":
            events = [Event("ask", detail={"query": query_to_json(what)})]
        elif step == "tell":
            events = self._answers(what, settled)
        else:
            track = self._plain_track(int(what))
            events = [
                Event("undo" if step == "undo" else "skip", track=str(track), detail=self._named(track) | settled)
            ]
        key = self._key or secrets.token_hex(16)
        receipt = self._store.append(self._listener_id, events, key=key, expect_version=self._version)
        self._state, self._version = state, receipt.last

    def _answers(self, batch: Sequence[Answer], settled: dict[str, Any]) -> list[Event]:
        events = []
        for place, (track_index, class_index) in enumerate(batch):
            track, label = self._plain_track(track_index), self._book.classes[class_index]
            plain_label = label.item() if isinstance(label, np.generic) else label
            detail: dict[str, Any] = dict(self._extra.get(track, {})) | self._named(track) | settled
            if place == 0 and len(batch) > 1:
                detail["batch"] = len(batch)
            if not isinstance(plain_label, str):
                detail["class"] = plain_label
            if self._key is not None:
                detail["key"] = self._key
            events.append(Event("answer", track=str(track), label=str(plain_label), detail=detail))
        return events

    def _plain_track(self, index: int) -> Any:
        track = self.catalog.track_ids[index]
        return track.item() if isinstance(track, np.generic) else track

    @staticmethod
    def _named(track: Any) -> dict[str, Any]:
        return {} if isinstance(track, str) else {"track": track}
