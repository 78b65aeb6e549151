"""The store in one SQLite file, with settings that lose nothing at a power cut."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from dissensus._files import make_folder, replace_file
from dissensus.errors import StoreError
from dissensus.store import tables as t
from dissensus.store.sql import SqlStore

__all__ = ["SQLiteStore", "journal_of", "wal_is_sound"]

#: SQLite releases without the race between a checkpoint and a reset of the write-ahead log: the first, and back-ports.
_FIXED: Final = (3, 51, 3)
_BACKPORTED: Final = ((3, 50, 7), (3, 44, 6))

#: Seconds that a writer waits for another.
_WAIT_S: Final = 5.0


def wal_is_sound(version: tuple[int, ...]) -> bool:
    """Whether this release of SQLite may keep a write-ahead log for several writers.

    Examples
    --------
    >>> wal_is_sound((3, 40, 1)), wal_is_sound((3, 44, 6)), wal_is_sound((3, 51, 2)), wal_is_sound((3, 52, 0))
    (False, True, False, True)
    """
    return version >= _FIXED or any(version[:2] == back[:2] and version >= back for back in _BACKPORTED)


def journal_of(version: tuple[int, ...]) -> str:
    """The journal for a release: ``wal`` where it is sound, else ``truncate``; both with ``synchronous=FULL``.

    With ``truncate`` a commit ends in one truncation that is flushed; with ``delete`` the name's removal is not, and a power cut
    can undo acknowledged answers.
    """
    return "wal" if wal_is_sound(version) else "truncate"


class SQLiteStore(SqlStore):
    """A store in the file ``path``; made where it is missing, readable by its owner alone."""

    def __init__(self, path: str | os.PathLike[str], *, journal: str | None = None, synchronous: str = "full") -> None:
        self.path = Path(path).absolute()
        self.journal = journal or journal_of(sqlite3.sqlite_version_info)
        self.synchronous = synchronous
        make_folder(self.path.parent)
        if not self.path.exists():
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be made ({error.strerror}); choose another place") from error
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            poolclass=QueuePool,
            pool_size=8,
            max_overflow=24,
            connect_args={"timeout": _WAIT_S, "check_same_thread": False},
        )
        sa.event.listen(engine, "connect", self._prepare)
        sa.event.listen(engine, "begin", _begin)
        super().__init__(engine, f"the store {self.path}")

    def _prepare(self, connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "trusted_schema=off",
            f"journal_mode={self.journal}",
            f"synchronous={self.synchronous}",
            "secure_delete=on",
            "foreign_keys=on",
            "temp_store=memory",
            "cell_size_check=on",
        ):
            cursor.execute(f"pragma {pragma}")
        cursor.close()

    def _lock_listener(self, connection: sa.Connection, public: bytes) -> None:
        """Nothing to do: BEGIN IMMEDIATE has the whole file."""

    def _insert_ignore(self, table: sa.Table, rows: list[dict[str, Any]]) -> sa.Executable:
        return dialect.insert(table).values(rows).on_conflict_do_nothing()

    def _busy(self, error: DBAPIError) -> bool:
        return "locked" in str(error.orig) or "busy" in str(error.orig)

    def _flush_erased(self) -> tuple[str, ...]:
        if self.journal == "wal":
            with self._engine.connect() as connection:
                busy = connection.connection.cursor().execute("pragma wal_checkpoint(truncate)").fetchone()[0]
            if busy:
                return ("the write-ahead log is in use by a reader: run the erasure's scan again once it is done",)
        return ()

    def scanned_files(self) -> Iterator[str]:
        """The database, its journals, and whatever else lies in its folder under its name."""
        stem = self.path.name
        for found in sorted(self.path.parent.iterdir()):
            if found.name.startswith(stem) and found.is_file():
                yield str(found)
        artefacts = self.path.with_name(f"{stem}.crowd")
        if artefacts.is_dir():
            yield from (str(one) for one in sorted(artefacts.rglob("*")) if one.is_file())

    def info(self) -> dict[str, Any]:
        """What the store runs on and how durable it is."""
        with self._connected(write=False) as connection:
            journal = connection.exec_driver_sql("pragma journal_mode").scalar()
            synchronous = connection.exec_driver_sql("pragma synchronous").scalar()
            secure = connection.exec_driver_sql("pragma secure_delete").scalar()
            schema = connection.execute(sa.select(t.meta.c.value).where(t.meta.c.name == "schema")).scalar()
            counts = {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in (t.listener, t.event, t.erasure)
            }
        return {
            "kind": "sqlite",
            "path": str(self.path),
            "sqlite": sqlite3.sqlite_version,
            "journal": journal,
            "synchronous": {0: "off", 1: "normal", 2: "full", 3: "extra"}[int(synchronous or 0)],
            "secure_delete": bool(secure),
            "durable": self.synchronous in {"full", "extra"} and journal in {"truncate", "wal", "persist"},
            "wal_is_sound": wal_is_sound(sqlite3.sqlite_version_info),
            "schema": schema,
            "bytes": self.path.stat().st_size,
            **{f"{name}s": count for name, count in counts.items()},
        }

    def verify(self) -> list[str]:
        """Faults found in the file; empty where all is well."""
        with self._connected(write=False) as connection:
            said = [str(row[0]) for row in connection.exec_driver_sql("pragma integrity_check")]
            said += [f"foreign key: {tuple(row)}" for row in connection.exec_driver_sql("pragma foreign_key_check")]
            return [line for line in said if line != "ok"] + self._wrong_versions(connection)

    def backup(self, path: str | os.PathLike[str]) -> int:
        """A consistent copy of the store, while others write; gives its size in bytes.

        Raises
        ------
        StoreError
            The copy cannot be written.
        """

        def copy(beside: Path) -> None:
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.execute("vacuum into ?", (str(beside),))

        try:
            replace_file(path, copy)
        except (sqlite3.Error, DBAPIError) as error:
            raise StoreError(f"{path}: the backup failed ({error}); see whether there is room") from error
        return Path(path).stat().st_size


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("dissensus_write", False)
    connection.exec_driver_sql("begin immediate" if write else "begin")
