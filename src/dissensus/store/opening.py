"""Opening a store by its address, and bringing its tables up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dissensus.errors import ParameterError, StoreError
from dissensus.store import tables as t
from dissensus.store.sql import SqlStore

__all__ = ["connect_store", "migrate", "open_store", "schema_of"]


def open_store(where: str | os.PathLike[str], *, make: bool = True, **options: Any) -> SqlStore:
    """Open a store, and make it where it is missing.

    Parameters
    ----------
    where : str or path
        A file for SQLite (also ``sqlite:///path``), or ``postgresql://user@host:port/database`` (extra ``postgres``).
    make : bool
        Make a store that is missing; otherwise that is an error.
    **options
        Of the kind of store: ``journal`` and ``synchronous`` (SQLite; the defaults lose nothing), ``scan`` (PostgreSQL).

    Returns
    -------
    Store

    Raises
    ------
    StoreError
        It cannot be opened, is damaged, or was made by a newer version of dissensus.

    Examples
    --------
    >>> import tempfile
    >>> from dissensus.store import Consent, Event
    >>> with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/listeners.db") as store:
    ...     ann = store.create([Consent("personalise", "2026-12")])
    ...     receipt = store.append(ann, [Event("answer", track="song-1", label="Q2")], key="first")
    ...     again = store.append(ann, [Event("answer", track="song-1", label="Q2")], key="first")
    ...     receipt.version, again.repeated, [event.label for event in store.events(ann)]
    (1, True, ['Q2'])
    """
    store = connect_store(where, make=make, **options)
    address = os.fspath(where)
    try:
        found = schema_of(store)
        if found is None:
            if not make:
                raise StoreError(f"{address}: holds no store; `dissensus store migrate` makes one")
            migrate(store)
        elif found > t.SCHEMA:
            raise StoreError(
                f"{address}: was made by a newer dissensus (tables {found}, here {t.SCHEMA}); update dissensus"
            )
        elif found < t.SCHEMA:
            raise StoreError(
                f"{address}: has tables of version {found}; bring them to {t.SCHEMA} with `dissensus store migrate`"
            )
    except BaseException:
        store.close()
        raise
    return store


def connect_store(where: str | os.PathLike[str], *, make: bool = True, **options: Any) -> SqlStore:
    """A store whose tables have not been looked at; parameters and errors as in :func:`open_store`."""
    address = os.fspath(where)
    scheme = address.partition("://")[0] if "://" in address else ""
    store: SqlStore
    if scheme.split("+")[0] in {"postgresql", "postgres"}:
        from dissensus.store.postgres import PostgreSQLStore

        store = PostgreSQLStore("postgresql" + address[len(scheme) :], **options)
    elif scheme in {"", "sqlite"}:
        from dissensus.store.sqlite import SQLiteStore

        path = Path(address.removeprefix("sqlite:///") if scheme else address)
        if not make and not path.is_file():
            raise StoreError(f"{path}: there is no store; `dissensus store migrate` makes one")
        store = SQLiteStore(path, **options)
    else:
        raise ParameterError(f"{address!r}: a store is a file, sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE")
    return store


def schema_of(store: SqlStore) -> str | None:
    """Version of a store's tables; None where it has none."""
    with store._connected(write=False) as connection:
        if not sa.inspect(connection).has_table(t.meta.name):
            return None
        return connection.execute(sa.select(t.meta.c.value).where(t.meta.c.name == "schema")).scalar()


def migrate(store: SqlStore) -> list[str]:
    """Bring the tables up to date, in one transaction; gives the steps that were taken.

    Raises
    ------
    StoreError
        A step failed; the tables are as they were.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    script = ScriptDirectory.from_config(config)
    taken: list[str] = []
    with store._connected(write=True) as connection:
        if isinstance(store._engine.dialect.name, str) and store._engine.dialect.name == "postgresql":
            connection.exec_driver_sql("select pg_advisory_xact_lock(7203981)")

        def upgrade(revision: Any, context: Any) -> Any:
            steps = script._upgrade_revs("head", revision)
            taken.extend(step.revision.revision for step in steps)
            return steps

        with EnvironmentContext(config, script, fn=upgrade) as environment:
            environment.configure(connection=connection, target_metadata=t.metadata, transactional_ddl=False)
            try:
                environment.run_migrations()
            except SQLAlchemyError as error:
                raise StoreError(f"{store._name}: the tables could not be brought up to date: {error}") from error
        connection.execute(sa.delete(t.meta).where(t.meta.c.name == "schema"))
        connection.execute(sa.insert(t.meta).values(name="schema", value=t.SCHEMA))
    return taken
