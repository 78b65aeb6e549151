"""The tables, the same on both databases."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["SCHEMA", "audit", "consent", "erasure", "event", "listener", "meta", "metadata", "model", "token", "track"]

#: Version of the tables that this code reads and writes; the newest of ``migrations/versions``.
SCHEMA: Final = "0001"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer(), "sqlite")

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

model = Table(
    "model",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("parent", Text),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

listener = Table(
    "listener",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("public_id", LargeBinary(16), nullable=False, unique=True),
    Column("version", BigInteger, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("model", Text),
    Column("created", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
)

consent = Table(
    "consent",
    metadata,
    Column("listener", _Id, ForeignKey("listener.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("given", BigInteger, nullable=False),
    Column("withdrawn", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

track = Table(
    "track",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("external", Text, nullable=False, unique=True),
)

event = Table(
    "event",
    metadata,
    Column("listener", _Id, ForeignKey("listener.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("track", _Id, ForeignKey("track.id")),
    Column("label", Text),
    Column("at", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("key", Text),  # of a request, on its first event
    Column("n", SmallInteger, nullable=False),  # events of that request
    Column("body", LargeBinary(32)),  # SHA-256 of that request
    UniqueConstraint("listener", "key"),
    Index("ix_event_track", "track"),
    sqlite_with_rowid=False,
)

token = Table(
    "token",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("listener", _Id, ForeignKey("listener.id")),
    Column("role", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

erasure = Table(
    "erasure",
    metadata,
    Column("n", _Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("listener_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("counts", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("complete", SmallInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("n", _Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("listener", _Id, ForeignKey("listener.id")),
)
