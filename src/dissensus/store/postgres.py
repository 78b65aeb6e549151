"""The store in PostgreSQL, for several machines (extra ``postgres``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as dialect
from sqlalchemy.exc import DBAPIError

from dissensus.errors import MissingDependencyError
from dissensus.store import tables as t
from dissensus.store.sql import SqlStore

__all__ = ["PostgreSQLStore"]

#: SQLSTATEs of a moment's contention: serialisation, deadlock, lock not available, too many connections, shutting down, starting.
_BUSY = {"40001", "40P01", "55P03", "53300", "57P01", "57P03"}


class PostgreSQLStore(SqlStore):
    """A store in the database that ``url`` names.

    Parameters
    ----------
    url : str
        ``postgresql://user@host:port/database``.
    scan : path, optional
        The server's data folder, where it is on this machine and may be read: an erasure then looks for traces there.
    """

    def __init__(self, url: str, *, scan: str | Path | None = None) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "a PostgreSQL store needs the postgres extra: pip install 'dissensus[postgres]'"
            ) from error
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(address, pool_size=8, max_overflow=24, pool_pre_ping=True)
        self.scan = None if scan is None else Path(scan)
        super().__init__(engine, f"the store {address.render_as_string(hide_password=True)}")

    def _lock_listener(self, connection: sa.Connection, public: bytes) -> None:
        # In a statement of its own: one that waited for the lock would still see the log as it was before.
        connection.execute(sa.select(t.listener.c.id).where(t.listener.c.public_id == public).with_for_update())

    def _insert_ignore(self, table: sa.Table, rows: list[dict[str, Any]]) -> sa.Executable:
        return dialect.insert(table).values(rows).on_conflict_do_nothing()

    def _busy(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", None) in _BUSY

    def _flush_erased(self) -> tuple[str, ...]:
        """Rewrite the tables, then have the write-ahead log let go of what was in them."""
        maintenance = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        pending = []
        with maintenance.connect() as connection:
            for table in (t.event, t.consent, t.token, t.audit, t.listener):
                connection.exec_driver_sql(f"vacuum full {table.name}")
            connection.exec_driver_sql("vacuum full pg_statistic") if self._superuser(connection) else None
            if connection.exec_driver_sql("show wal_recycle").scalar() != "off":
                pending.append(
                    "the server recycles its write-ahead log with the old bytes in it: set wal_recycle = off, switch the log and "
                    "run a checkpoint"
                )
            if self._superuser(connection):
                for _ in range(2):
                    connection.exec_driver_sql("select pg_switch_wal()")
                    connection.exec_driver_sql("checkpoint")
            else:
                pending.append("a superuser has to run: select pg_switch_wal(); checkpoint;")
        return tuple(pending)

    @staticmethod
    def _superuser(connection: sa.Connection) -> bool:
        return connection.exec_driver_sql("show is_superuser").scalar() == "on"

    def scanned_files(self) -> Iterator[str]:
        """The files of the server, where ``scan`` names their folder."""
        if self.scan is not None:
            yield from (str(one) for one in sorted(self.scan.rglob("*")) if one.is_file())

    def info(self) -> dict[str, Any]:
        """What the store runs on and how durable it is."""
        with self._connected(write=False) as connection:

            def show(name: str) -> Any:
                return connection.exec_driver_sql(f"show {name}").scalar()

            schema = connection.execute(sa.select(t.meta.c.value).where(t.meta.c.name == "schema")).scalar()
            counts = {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in (t.listener, t.event, t.erasure)
            }
            durable = show("fsync") == "on" and show("synchronous_commit") not in {"off", "local"}
            return {
                "kind": "postgresql",
                "server": show("server_version"),
                "fsync": show("fsync"),
                "synchronous_commit": show("synchronous_commit"),
                "full_page_writes": show("full_page_writes"),
                "wal_recycle": show("wal_recycle"),
                "durable": durable or (show("fsync") == "on" and show("synchronous_commit") == "local"),
                "schema": schema,
                **{f"{name}s": count for name, count in counts.items()},
            }

    def verify(self) -> list[str]:
        """Faults found in the tables; empty where all is well."""
        with self._connected(write=False) as connection:
            return self._wrong_versions(connection)
