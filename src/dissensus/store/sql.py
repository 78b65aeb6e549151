"""The store over SQL: one body for both databases, which differ in how they are opened, flushed and scanned."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import weakref
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dissensus._fork import Lock
from dissensus.errors import (
    ConsentError,
    DissensusError,
    KeyReusedError,
    ParameterError,
    StoreBusyError,
    StoreError,
    UnknownListenerError,
    VersionConflictError,
)
from dissensus.store import queries
from dissensus.store import tables as t
from dissensus.store.access import Access
from dissensus.store.records import (
    PURPOSES,
    Consent,
    Erasure,
    Event,
    ListenerRecord,
    Receipt,
    Votes,
    check_event,
    check_text,
    now,
)

__all__ = ["SqlStore"]

#: Track ids kept in memory as numbers of the table.
_MOST_TRACKS: Final = 200_000
#: Events that one request may hold.
_MOST_EVENTS: Final = 1000

_stores: weakref.WeakSet[SqlStore] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a forked child: the parent's connections are not ours to use or to close."""
    for store in list(_stores):
        store._after_fork()


os.register_at_fork(after_in_child=_forget_connections)


class SqlStore(Access):
    """A :class:`~dissensus.store.Store` on a database; see :func:`dissensus.store.open_store`."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._tracks: OrderedDict[str, int] = OrderedDict()
        self._tracks_lock = Lock()
        self._erased: list[Callable[[str], int]] = []
        _stores.add(self)

    # what the databases do differently

    @abstractmethod
    def _lock_listener(self, connection: sa.Connection, public: bytes) -> None:
        """Keep other writers of a listener out until the end of the transaction; what is read next is the newest."""

    @abstractmethod
    def _insert_ignore(self, table: sa.Table, rows: list[dict[str, Any]]) -> sa.Executable:
        """An insert that leaves rows which are there alone."""

    @abstractmethod
    def _busy(self, error: DBAPIError) -> bool:
        """Whether an error says that somebody else is writing."""

    @abstractmethod
    def _flush_erased(self) -> tuple[str, ...]:
        """Have what was deleted leave the files; gives what is still to be done by somebody else."""

    @abstractmethod
    def scanned_files(self) -> Iterator[str]:
        """Files that hold this store's data, or held it."""

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """What the store runs on and how durable it is."""

    @abstractmethod
    def verify(self) -> list[str]:
        """Faults found in the files and tables; empty where all is well."""

    # connections

    def _after_fork(self) -> None:
        self._engine.dispose(close=False)
        self._tracks_lock = Lock()

    def close(self) -> None:
        """Give connections back; the store opens new ones when it is used again."""
        self._engine.dispose()

    def __enter__(self) -> SqlStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _connected(self, write: bool) -> Iterator[sa.Connection]:
        """A transaction; whatever the database says becomes a typed error, and nothing of it stays."""
        try:
            with self._engine.connect().execution_options(dissensus_write=write) as connection:
                try:
                    yield connection
                    connection.commit()
                except (SQLAlchemyError, OSError):
                    connection.invalidate()  # what a failed commit left in the connection is unknown
                    raise
        except DissensusError:
            raise
        except DBAPIError as error:
            raise self._explained(error) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"{self._name}: {error}") from error

    def _explained(self, error: DBAPIError) -> StoreError:
        said = " ".join(str(error.orig).split()) or type(error.orig).__name__
        if self._busy(error):
            return StoreBusyError(f"{self._name}: somebody else is writing ({said}); try again in a moment")
        low = said.lower()
        if "full" in low or "no space" in low:
            remedy = "make room on the disk, then try again: what was acknowledged is intact"
        elif "malformed" in low or "not a database" in low or "corrupt" in low:
            remedy = "check it with `dissensus store verify`, and restore the newest backup"
        elif "no such table" in low or "does not exist" in low or "undefined" in low:
            remedy = "bring its tables up to date with `dissensus store migrate`"
        elif "readonly" in low or "permission" in low or "unable to open" in low:
            remedy = "change the permissions of the file and its folder, or choose another place"
        else:
            remedy = "what was acknowledged is intact; see whether the disk and the server are well, then try again"
        return StoreError(f"{self._name}: {said}; {remedy}")

    # listeners and consents

    def create(
        self,
        consents: Sequence[Consent],
        *,
        seed: int = 0,
        strategy: str = "mc",
        settings: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> str:
        """A new listener.

        Parameters
        ----------
        consents : sequence of Consent
            What they agreed to; ``personalise`` must be among it.
        seed : int
            Of the listener's sessions.
        strategy : str
        settings : mapping, optional
            Whatever else a session of theirs needs, as JSON.
        model : str, optional
            SHA-256 of the committee that their sessions start from.

        Returns
        -------
        str
            The public id: 32 hexadecimal digits of 128 random bits.

        Raises
        ------
        ConsentError
            ``personalise`` is missing.
        ParameterError
            An unknown purpose, or a text that cannot be kept.
        StoreError
        """
        for consent in consents:
            _check_consent(consent)
        if not any(consent.purpose == "personalise" for consent in consents):
            raise ConsentError("a listener is kept only with consent to the purpose 'personalise'; ask for it first")
        check_text(strategy, "the strategy")
        if type(seed) is not int or not -(2**63) <= seed < 2**63:
            raise ParameterError(f"seed={seed!r}: must be a whole number of 64 bits")
        public, at = secrets.token_bytes(16), now()
        row = {
            "public_id": public,
            "version": 0,
            "seed": seed,
            "strategy": strategy,
            "settings": _as_json(settings or {}),
            "model": model,
            "created": at,
            "last_seen": at,
        }
        with self._connected(write=True) as connection:
            who = connection.execute(sa.insert(t.listener).values(row).returning(t.listener.c.id)).scalar_one()
            connection.execute(
                sa.insert(t.consent),
                [
                    {
                        "listener": who,
                        "n": n,
                        "purpose": consent.purpose,
                        "text_version": consent.text_version,
                        "given": consent.given or at,
                        "withdrawn": 0,
                    }
                    for n, consent in enumerate(consents)
                ],
            )
        return public.hex()

    def listener(self, listener: str) -> ListenerRecord:
        """A listener's record.

        Raises
        ------
        UnknownListenerError
            There is nobody of this id, or no longer.
        """
        with self._connected(write=False) as connection:
            row = connection.execute(sa.select(t.listener).where(t.listener.c.public_id == _bytes_of(listener))).first()
            if row is None:
                raise self._unknown(connection, listener)
            consents = connection.execute(
                sa.select(t.consent).where(t.consent.c.listener == row.id).order_by(t.consent.c.n)
            ).all()
        return ListenerRecord(
            listener,
            row.version,
            row.seed,
            row.strategy,
            MappingProxyType(json.loads(row.settings)),
            row.model,
            row.created,
            row.last_seen,
            tuple(Consent(one.purpose, one.text_version, one.given, one.withdrawn) for one in consents),
        )

    def listeners(self) -> Iterator[str]:
        """Public ids, in the order of creation."""
        with self._connected(write=False) as connection:
            rows = connection.execute(sa.select(t.listener.c.public_id).order_by(t.listener.c.id)).scalars().all()
        return iter([bytes(row).hex() for row in rows])

    def version(self, listener: str) -> int | None:
        """Number of events of a listener; None for nobody."""
        with self._connected(write=False) as connection:
            found = connection.execute(queries.VERSION, {"who": _bytes_of(listener)}).scalar()
        return None if found is None else int(found)

    def keep_settings(self, listener: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep how a listener's sessions are made, where nothing is kept yet; gives what is kept.

        Raises
        ------
        UnknownListenerError
        ParameterError
            The settings are no JSON.
        """
        kept = self.listener(listener).settings
        if kept or not settings:
            return kept
        with self._connected(write=True) as connection:
            who = self._number(connection, listener)
            connection.execute(
                sa.update(t.listener)
                .where(t.listener.c.id == who, t.listener.c.settings == "{}")
                .values(settings=_as_json(settings))
            )
        return self.listener(listener).settings

    def give_consent(self, listener: str, consent: Consent) -> None:
        """Add a consent; one to the same purpose and text that holds already is left alone.

        Raises
        ------
        ParameterError
            An unknown purpose.
        UnknownListenerError
        """
        _check_consent(consent)
        with self._connected(write=True) as connection:
            who = self._number(connection, listener)
            rows = connection.execute(sa.select(t.consent).where(t.consent.c.listener == who)).all()
            holds = any(
                row.purpose == consent.purpose and row.text_version == consent.text_version and not row.withdrawn
                for row in rows
            )
            if not holds:
                connection.execute(
                    sa.insert(t.consent).values(
                        listener=who,
                        n=1 + max((row.n for row in rows), default=-1),
                        purpose=consent.purpose,
                        text_version=consent.text_version,
                        given=consent.given or now(),
                        withdrawn=0,
                    )
                )

    def withdraw_consent(self, listener: str, purpose: str) -> None:
        """End every consent to a purpose: answers are refused without ``personalise``, votes leave the crowd without ``crowd``.

        Raises
        ------
        ParameterError
            An unknown purpose.
        UnknownListenerError
        """
        if purpose not in PURPOSES:
            raise ParameterError(f"purpose={purpose!r}; there are {', '.join(PURPOSES)}")
        with self._connected(write=True) as connection:
            who = self._number(connection, listener)
            connection.execute(
                sa.update(t.consent)
                .where(t.consent.c.listener == who, t.consent.c.purpose == purpose, t.consent.c.withdrawn == 0)
                .values(withdrawn=now())
            )

    # the log

    def append(
        self, listener: str, events: Sequence[Event], *, key: str | None = None, expect_version: int | None = None
    ) -> Receipt:
        """Write events to the end of a listener's log, all or none; they are on disk when this returns.

        Parameters
        ----------
        listener : str
            Public id.
        events : sequence of Event
            1 to 1 000, in order.
        key : str, optional
            Names the request: the same request with the same key is written once, and gives the first receipt again.
        expect_version : int, optional
            Refuse where the listener has another version by now.

        Raises
        ------
        ParameterError
            An event that cannot be kept.
        UnknownListenerError, ConsentError
            Nobody of this id; consent to ``personalise`` was withdrawn.
        KeyReusedError, VersionConflictError
            The key named another request before; somebody else wrote in the meantime.
        StoreBusyError, StoreError
            Nothing was written, unless the connection broke at the very end: repeat the request with its key.
        """
        details = [check_event(event) for event in events]
        if not 1 <= len(events) <= _MOST_EVENTS:
            raise ParameterError(f"{len(events)} events in one request; give 1 to {_MOST_EVENTS}")
        check_text(key, "an idempotency key")
        body = _body(events, details) if key is not None else None
        public = _bytes_of(listener)
        fresh: dict[str, int] = {}
        with self._connected(write=True) as connection:
            self._lock_listener(connection, public)
            head = connection.execute(queries.HEAD, {"who": public, "key": key}).first()
            if head is None:
                raise self._unknown(connection, listener)
            if head.first is not None:
                if bytes(head.body) != body:
                    raise KeyReusedError(f"the key {key!r} named another request before; give every request a new key")
                return Receipt(head.first, head.first + head.n - 1, head.at, repeated=True)
            if head.agreed is None:
                raise ConsentError("the listener has withdrawn consent to the purpose 'personalise'; nothing is kept")
            if expect_version is not None and head.version != expect_version:
                raise VersionConflictError(
                    f"the listener has version {head.version}, not {expect_version}: somebody else wrote in the meantime; "
                    "read the new events and try again"
                )
            numbers = self._track_numbers(connection, [e.track for e in events if e.track is not None], fresh)
            at, first = now(), int(head.version) + 1
            connection.execute(
                queries.INSERT_EVENT,
                [
                    {
                        "listener": head.id,
                        "seq": first + place,
                        "kind": event.kind,
                        "track": None if event.track is None else numbers[event.track],
                        "label": event.label,
                        "at": event.at or at,
                        "detail": detail,
                        "key": key if place == 0 else None,
                        "n": len(events) if place == 0 else 0,
                        "body": body if place == 0 else None,
                    }
                    for place, (event, detail) in enumerate(zip(events, details, strict=True))
                ],
            )
            last = first + len(events) - 1
            connection.execute(queries.UPDATE_VERSION, {"who": head.id, "last": last, "at": at})
        self._remember_tracks(fresh)
        return Receipt(first, last, events[0].at or at)

    def events(self, listener: str, after: int = 0) -> list[Event]:
        """The log of a listener behind place ``after``, in order.

        Raises
        ------
        UnknownListenerError
        """
        with self._connected(write=False) as connection:
            rows = connection.execute(queries.EVENTS, {"who": _bytes_of(listener), "after": after}).all()
            if not rows and connection.execute(queries.VERSION, {"who": _bytes_of(listener)}).scalar() is None:
                raise self._unknown(connection, listener)
        return [
            Event(row.kind, row.external, row.label, MappingProxyType(json.loads(row.detail)), row.seq, row.at)
            for row in rows
        ]

    def votes(self) -> Votes:
        """The newest standing answer of each listener with consent to ``crowd`` about each track.

        Returns
        -------
        Votes
            Answers that were taken back do not count.
        """
        with self._connected(write=False) as connection:
            rows = connection.execute(queries.VOTES).all()
        return Votes(
            [bytes(row.public_id).hex() for row in rows],
            [row.external for row in rows],
            [row.label for row in rows],
            [row.at for row in rows],
        )

    def _track_numbers(self, connection: sa.Connection, names: list[str], fresh: dict[str, int]) -> dict[str, int]:
        """Numbers of tracks; those the database did not know yet also in ``fresh``, valid once the transaction is."""
        with self._tracks_lock:
            known = {name: self._tracks[name] for name in names if name in self._tracks}
        unknown = sorted(set(names) - set(known))
        if unknown:
            connection.execute(self._insert_ignore(t.track, [{"external": name} for name in unknown]))
            rows = connection.execute(sa.select(t.track).where(t.track.c.external.in_(unknown))).all()
            fresh.update({row.external: row.id for row in rows})
        return known | fresh

    def _remember_tracks(self, fresh: dict[str, int]) -> None:
        if fresh:
            with self._tracks_lock:
                self._tracks.update(fresh)
                while len(self._tracks) > _MOST_TRACKS:
                    self._tracks.popitem(last=False)

    # rights, see rights.py

    def export(self, listener: str) -> Iterator[bytes]:
        """Everything about a listener, one line of JSON at a time; see :func:`dissensus.store.rights.export_lines`."""
        from dissensus.store.rights import export_lines

        return export_lines(self, listener)

    def erase(self, listener: str) -> Erasure:
        """Remove a listener and every trace; see :func:`dissensus.store.rights.erase`."""
        from dissensus.store.rights import erase

        return erase(self, listener)

    def on_erase(self, call: Callable[[str], int]) -> None:
        """Have ``call(public id)`` run within every erasure, to drop what is derived; it gives the number of votes removed."""
        self._erased.append(call)

    # shared bits

    def _wrong_versions(self, connection: sa.Connection) -> list[str]:
        """Listeners whose version is not the number of their events."""
        rows = connection.execute(queries.WRONG_VERSIONS).all()
        return [f"listener {row.id}: version {row.version}, {row.n} events, last {row.last}" for row in rows]

    def _number(self, connection: sa.Connection, listener: str) -> int:
        found = connection.execute(
            sa.select(t.listener.c.id).where(t.listener.c.public_id == _bytes_of(listener))
        ).scalar()
        if found is None:
            raise self._unknown(connection, listener)
        return int(found)

    def _unknown(self, connection: sa.Connection, listener: str) -> UnknownListenerError:
        erased = connection.execute(
            sa.select(t.erasure.c.n).where(t.erasure.c.listener_sha256 == hashlib.sha256(_bytes_of(listener)).digest())
        ).scalar()
        if erased is not None:
            return UnknownListenerError(f"the listener {listener} was erased (erasure {erased})")
        return UnknownListenerError(f"{self._name} knows no listener {listener!r}; `dissensus listener add` makes one")


def _check_consent(consent: Consent) -> None:
    if consent.purpose not in PURPOSES:
        raise ParameterError(f"purpose={consent.purpose!r}; there are {', '.join(PURPOSES)}")
    check_text(consent.text_version, "the version of the consent's text")


def _bytes_of(listener: str) -> bytes:
    """The 16 bytes of a public id; an id of another form is nobody's."""
    try:
        found = bytes.fromhex(listener)
    except (ValueError, TypeError):
        found = b""
    if len(found) != 16:
        raise UnknownListenerError(f"{listener!r} is no listener's id: it has 32 hexadecimal digits")
    return found


def _body(events: Sequence[Event], details: Sequence[str]) -> bytes:
    """What a request asks for, without its times."""
    said = [[event.kind, event.track, event.label, detail] for event, detail in zip(events, details, strict=True)]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode("utf-8")).digest()


def _as_json(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"the settings of a listener are no JSON ({error})") from error
