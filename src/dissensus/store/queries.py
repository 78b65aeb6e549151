"""The statements of a store, written once and compiled once."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from dissensus.store import tables as t

__all__ = ["EVENTS", "HEAD", "INSERT_EVENT", "UPDATE_VERSION", "VERSION", "VOTES", "WRONG_VERSIONS"]

VERSION: Final = sa.select(t.listener.c.version).where(t.listener.c.public_id == sa.bindparam("who"))

_seen = t.event.alias("seen")
_agreed = t.consent.alias("agreed")
HEAD: Final = (
    sa.select(
        t.listener.c.id,
        t.listener.c.version,
        _seen.c.seq.label("first"),
        _seen.c.n,
        _seen.c.at,
        _seen.c.body,
        sa.select(sa.func.min(_agreed.c.n))
        .where(_agreed.c.listener == t.listener.c.id, _agreed.c.purpose == "personalise", _agreed.c.withdrawn == 0)
        .scalar_subquery()
        .label("agreed"),
    )
    .select_from(
        t.listener.outerjoin(_seen, sa.and_(_seen.c.listener == t.listener.c.id, _seen.c.key == sa.bindparam("key")))
    )
    .where(t.listener.c.public_id == sa.bindparam("who"))
)
INSERT_EVENT: Final = sa.insert(t.event)
UPDATE_VERSION: Final = (
    sa.update(t.listener)
    .where(t.listener.c.id == sa.bindparam("who"))
    .values(version=sa.bindparam("last"), last_seen=sa.bindparam("at"))
)
EVENTS: Final = (
    sa.select(t.event.c.seq, t.event.c.kind, t.track.c.external, t.event.c.label, t.event.c.at, t.event.c.detail)
    .select_from(t.event.join(t.listener, t.event.c.listener == t.listener.c.id).outerjoin(t.track))
    .where(t.listener.c.public_id == sa.bindparam("who"), t.event.c.seq > sa.bindparam("after"))
    .order_by(t.event.c.seq)
)
_newest = (
    sa.select(t.event.c.listener, t.event.c.track, sa.func.max(t.event.c.seq).label("seq"))
    .where(t.event.c.kind.in_(("answer", "undo")))
    .group_by(t.event.c.listener, t.event.c.track)
    .subquery()
)
VOTES: Final = (
    sa.select(t.listener.c.public_id, t.track.c.external, t.event.c.label, t.event.c.at)
    .select_from(
        _newest.join(t.event, sa.and_(t.event.c.listener == _newest.c.listener, t.event.c.seq == _newest.c.seq))
        .join(t.listener, t.listener.c.id == t.event.c.listener)
        .join(t.track, t.track.c.id == t.event.c.track)
    )
    .where(
        t.event.c.kind == "answer",
        sa.exists().where(
            t.consent.c.listener == t.listener.c.id, t.consent.c.purpose == "crowd", t.consent.c.withdrawn == 0
        ),
    )
    .order_by(t.listener.c.id, t.event.c.seq)
)
_counted = (
    sa.select(t.event.c.listener, sa.func.count().label("n"), sa.func.max(t.event.c.seq).label("last"))
    .group_by(t.event.c.listener)
    .subquery()
)
_n, _last = sa.func.coalesce(_counted.c.n, 0), sa.func.coalesce(_counted.c.last, 0)
WRONG_VERSIONS: Final = (
    sa.select(t.listener.c.id, t.listener.c.version, _n.label("n"), _last.label("last"))
    .select_from(t.listener.outerjoin(_counted, _counted.c.listener == t.listener.c.id))
    .where(sa.or_(t.listener.c.version != _n, t.listener.c.version != _last))
)
