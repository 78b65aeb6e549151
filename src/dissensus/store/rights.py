"""What a person may ask of a store: everything that is kept of them, to be forgotten, and not to be kept for ever."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from dissensus._files import replace_by_handle, replace_file
from dissensus.errors import StoreError
from dissensus.store import tables as t
from dissensus.store.records import Erasure, now

if TYPE_CHECKING:
    from dissensus.store.sql import SqlStore
    from dissensus.store.sqlite import SQLiteStore

__all__ = ["erase", "erase_unseen", "export_lines", "export_parquet", "find_traces", "restore", "tombstones"]

#: Shortest word of a listener's own whose traces are looked for: shorter ones occur in any file.
_SHORTEST_WORD: Final = 5


def export_lines(store: SqlStore, listener: str) -> Iterator[bytes]:
    """Everything that a store keeps of a listener, one line of JSON at a time.

    First the listener, then each consent, each event in order, and what was noted about the listener in the audit log. Read in
    blocks, so that memory does not grow with the log.

    Raises
    ------
    UnknownListenerError
    """
    record = store.listener(listener)
    return _lines(store, listener, record)


def _lines(store: SqlStore, listener: str, record: Any) -> Iterator[bytes]:
    yield _line(
        "listener",
        listener=listener,
        version=record.version,
        seed=record.seed,
        strategy=record.strategy,
        settings=dict(record.settings),
        model=record.model,
        created=record.created,
        last_seen=record.last_seen,
    )
    for consent in record.consents:
        yield _line(
            "consent",
            purpose=consent.purpose,
            text_version=consent.text_version,
            given=consent.given,
            withdrawn=consent.withdrawn,
        )
    for event in store.events(listener):
        yield _line(
            event.kind, seq=event.seq, at=event.at, track=event.track, label=event.label, detail=dict(event.detail)
        )
    for entry in store.audit():
        if entry["listener"] == listener:
            yield _line("audit", **{name: value for name, value in entry.items() if name != "listener"})


def _line(what: str, **fields: Any) -> bytes:
    return (json.dumps({"what": what, **fields}, ensure_ascii=False) + "\n").encode("utf-8")


def export_parquet(store: SqlStore, listener: str, path: str | os.PathLike[str]) -> int:
    """The events of a listener as a Parquet table; gives the number of rows.

    Raises
    ------
    UnknownListenerError, StoreError
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    events = store.events(listener)
    table = pa.table(
        {
            "seq": pa.array([event.seq for event in events], pa.int64()),
            "at": pa.array([event.at for event in events], pa.timestamp("us", "UTC")),
            "kind": pa.array([event.kind for event in events], pa.string()),
            "track": pa.array([event.track for event in events], pa.string()),
            "label": pa.array([event.label for event in events], pa.string()),
            "detail": pa.array([json.dumps(dict(e.detail), ensure_ascii=False) for e in events], pa.string()),
        }
    )
    replace_by_handle(path, lambda handle: pq.write_table(table, handle))
    return len(events)


def erase(store: SqlStore, listener: str) -> Erasure:
    """Remove a listener and every trace of them, and prove it.

    One transaction removes the log, consents, tokens, audit lines and the listener, and leaves a tombstone: the SHA-256 of the
    random id, which says nothing about anybody but lets a restored backup repeat the erasure. Then what was derived is dropped
    (:meth:`~dissensus.store.sql.SqlStore.on_erase`), the database is made to let go of deleted bytes, and every file of the store
    is read in search of the id and of words that nobody else used.

    Raises
    ------
    UnknownListenerError
        Nobody of this id, or erased before.
    StoreError
        The transaction failed: nothing was removed.
    """
    with store._connected(write=True) as connection:
        who = store._number(connection, listener)
        needles = {"id": _needles_of_id(listener), "words": _own_words(connection, who)}
        counts: dict[str, int] = {}
        for table in (t.event, t.consent, t.token, t.audit):
            counts[table.name] = connection.execute(sa.delete(table).where(table.c.listener == who)).rowcount
        counts["listener"] = connection.execute(sa.delete(t.listener).where(t.listener.c.id == who)).rowcount
        at = now()
        number = connection.execute(
            sa.insert(t.erasure)
            .values(
                at=at,
                listener_sha256=hashlib.sha256(bytes.fromhex(listener)).digest(),
                counts=json.dumps(counts),
                files=0,
                complete=0,
            )
            .returning(t.erasure.c.n)
        ).scalar_one()
    counts["votes"] = sum(call(listener) for call in store._erased)
    pending = store._flush_erased()
    files, size, found = find_traces(store.scanned_files(), [*needles["id"], *needles["words"]])
    if not files:
        pending = (*pending, "no file of the store could be read here: run the scan on the machine that holds them")
    with store._connected(write=True) as connection:
        connection.execute(
            sa.update(t.erasure)
            .where(t.erasure.c.n == number)
            .values(files=files, complete=int(not found and not pending), counts=json.dumps(counts))
        )
    return Erasure(int(number), at, counts, files, size, found, pending)


def _needles_of_id(listener: str) -> list[bytes]:
    return [bytes.fromhex(listener), listener.encode("ascii")]


def _own_words(connection: sa.Connection, who: int) -> list[bytes]:
    """Texts in the details of a listener's events that no other listener's events hold."""
    texts: set[str] = set()
    for (detail,) in connection.execute(sa.select(t.event.c.detail).where(t.event.c.listener == who)):
        texts.update(_texts(json.loads(detail)))
    own = []
    for text in sorted(text for text in texts if len(text) >= _SHORTEST_WORD):
        inside = json.dumps(text, ensure_ascii=False)[1:-1]
        pattern = "%" + inside.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
        other = sa.select(t.event.c.seq).where(t.event.c.listener != who, t.event.c.detail.like(pattern, escape="\\"))
        track = sa.select(t.track.c.id).where(t.track.c.external == text)
        if connection.execute(other.limit(1)).first() is None and connection.execute(track.limit(1)).first() is None:
            own.append(inside.encode("utf-8"))
    return own


#: Keys of a detail whose texts are the system's, not the listener's.
_OURS: Final = {"tracks", "reason", "reasons", "model", "crowd", "strategy", "track_ids", "base"}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _OURS:
                yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)


def find_traces(files: Iterable[str], needles: Sequence[bytes]) -> tuple[int, int, dict[str, int]]:
    """Read files in search of byte strings.

    Returns
    -------
    n_files, n_bytes : int
        What was read.
    found : dict of str to int
        File to number of places.
    """
    n_files, n_bytes, found = 0, 0, {}
    for name in files:
        try:
            with open(name, "rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                n_files, n_bytes = n_files + 1, n_bytes + size
                if not size:
                    continue
                with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    places = sum(_count(content, needle) for needle in needles)
        except (OSError, ValueError):
            continue
        if places:
            found[name] = places
    return n_files, n_bytes, found


def _count(content: mmap.mmap, needle: bytes) -> int:
    places, at = 0, content.find(needle)
    while at >= 0:
        places, at = places + 1, content.find(needle, at + 1)
    return places


def erase_unseen(store: SqlStore, before: int) -> list[Erasure]:
    """Erase every listener who was last seen before a moment (microseconds since 1970, UTC): the retention limit."""
    with store._connected(write=False) as connection:
        rows = connection.execute(
            sa.select(t.listener.c.public_id).where(t.listener.c.last_seen < before).order_by(t.listener.c.id)
        ).scalars()
        unseen = [bytes(row).hex() for row in rows]
    return [erase(store, listener) for listener in unseen]


def tombstones(store: SqlStore) -> set[bytes]:
    """SHA-256 of the ids of all who were erased."""
    with store._connected(write=False) as connection:
        return {bytes(row) for row in connection.execute(sa.select(t.erasure.c.listener_sha256)).scalars()}


def restore(
    backup: str | os.PathLike[str], path: str | os.PathLike[str], *, known: Iterable[bytes] = ()
) -> tuple[SQLiteStore, list[Erasure]]:
    """Put a backup of a SQLite store in place, and repeat the erasures that came after it.

    Parameters
    ----------
    backup : path
        Written by :meth:`~dissensus.store.sqlite.SQLiteStore.backup`.
    path : path
        Where the store shall be. A store that is there is replaced; its tombstones are honoured.
    known : iterable of bytes
        Further tombstones, from :func:`tombstones`.

    Returns
    -------
    store : SQLiteStore
        Open.
    erasures : list of Erasure
        Those that were repeated.

    Raises
    ------
    StoreError
        The backup is no store, or damaged; what was at ``path`` is untouched.
    """
    from dissensus.store.opening import open_store
    from dissensus.store.sqlite import SQLiteStore

    target = Path(path)
    gone = set(known)
    if not Path(backup).is_file():
        raise StoreError(f"{backup}: there is no such file")
    if target.exists():
        with open_store(target, make=False) as old:
            gone |= tombstones(old)

    def fill(beside: Path) -> None:
        shutil.copyfile(backup, beside)
        with open_store(beside, make=False) as copy:
            faults = copy.verify()
        for left in beside.parent.glob(f"{beside.name}-*"):
            left.unlink()
        if faults:
            raise StoreError(f"{backup}: is damaged ({faults[0]}); take an older backup")

    replace_file(target, fill)
    for left in ("-journal", "-wal", "-shm"):
        target.with_name(target.name + left).unlink(missing_ok=True)
    store = open_store(target, make=False)
    assert isinstance(store, SQLiteStore)
    again = [one for one in store.listeners() if hashlib.sha256(bytes.fromhex(one)).digest() in gone]
    return store, [erase(store, listener) for listener in again]
