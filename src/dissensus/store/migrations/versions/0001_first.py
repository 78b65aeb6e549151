"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table("meta", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    op.create_table(
        "model",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("parent", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "listener",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("public_id", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "consent",
        sa.Column("listener", _Id, sa.ForeignKey("listener.id"), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("text_version", sa.Text, nullable=False),
        sa.Column("given", sa.BigInteger, nullable=False),
        sa.Column("withdrawn", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "track",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("external", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "event",
        sa.Column("listener", _Id, sa.ForeignKey("listener.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("track", _Id, sa.ForeignKey("track.id")),
        sa.Column("label", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("n", sa.SmallInteger, nullable=False),
        sa.Column("body", sa.LargeBinary(32)),
        sa.UniqueConstraint("listener", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_event_track", "event", ["track"])
    op.create_table(
        "token",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("listener", _Id, sa.ForeignKey("listener.id")),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "erasure",
        sa.Column("n", _Id, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("listener_sha256", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("complete", sa.SmallInteger, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("n", _Id, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("listener", _Id, sa.ForeignKey("listener.id")),
    )
