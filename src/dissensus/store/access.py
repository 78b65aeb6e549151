"""Who may do what, and who did: secrets that open a role, and the audit log."""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from dissensus.errors import ParameterError
from dissensus.store import tables as t
from dissensus.store.records import ROLES, Token, check_text, now

__all__ = ["Access"]


class Access(ABC):
    """Tokens and the audit log of a store."""

    @abstractmethod
    def _connected(self, write: bool) -> AbstractContextManager[sa.Connection]:
        """A transaction."""

    @abstractmethod
    def _number(self, connection: sa.Connection, listener: str) -> int:
        """A listener's number in the tables."""

    def issue_token(self, role: str, *, listener: str | None = None, expires: int = 0) -> str:
        """A new secret of 128 random bits that opens a role; only its SHA-256 is kept.

        Parameters
        ----------
        role : {"listener", "service", "admin"}
        listener : str, optional
            Public id; needed by the role ``listener``.
        expires : int
            Microseconds since 1970, UTC; 0: never.
        """
        if role not in ROLES or (role == "listener") != (listener is not None):
            raise ParameterError(
                f"role={role!r}, listener={listener!r}; roles are {', '.join(ROLES)}, 'listener' with an id"
            )
        secret = secrets.token_urlsafe(16)
        with self._connected(write=True) as connection:
            who = None if listener is None else self._number(connection, listener)
            connection.execute(
                sa.insert(t.token).values(sha256=_secret_digest(secret), listener=who, role=role, expires=expires)
            )
        return secret

    def token(self, secret: str) -> Token | None:
        """What a secret opens; None where it opens nothing, or no longer."""
        with self._connected(write=False) as connection:
            row = connection.execute(
                sa.select(t.token.c.role, t.token.c.expires, t.listener.c.public_id)
                .select_from(t.token.outerjoin(t.listener))
                .where(t.token.c.sha256 == _secret_digest(secret))
            ).first()
        if row is None or (row.expires and row.expires <= now()):
            return None
        return Token(row.role, None if row.public_id is None else bytes(row.public_id).hex(), row.expires)

    def revoke_token(self, secret: str) -> bool:
        """Have a secret open nothing; whether it did."""
        with self._connected(write=True) as connection:
            gone = connection.execute(sa.delete(t.token).where(t.token.c.sha256 == _secret_digest(secret)))
            return bool(gone.rowcount)

    def note(self, role: str, action: str, status: str, listener: str | None = None) -> None:
        """A line in the audit log: who did what with which result, and no content."""
        for text, what in ((role, "the role"), (action, "the action"), (status, "the status")):
            check_text(text, what)
        with self._connected(write=True) as connection:
            who = None if listener is None else self._number(connection, listener)
            connection.execute(
                sa.insert(t.audit).values(at=now(), role=role, action=action, status=status, listener=who)
            )

    def audit(self) -> list[dict[str, Any]]:
        """The audit log, oldest first."""
        with self._connected(write=False) as connection:
            rows = connection.execute(
                sa.select(t.audit.c.at, t.audit.c.role, t.audit.c.action, t.audit.c.status, t.listener.c.public_id)
                .select_from(t.audit.outerjoin(t.listener))
                .order_by(t.audit.c.n)
            ).all()
        return [
            {
                "at": row.at,
                "role": row.role,
                "action": row.action,
                "status": row.status,
                "listener": None if row.public_id is None else bytes(row.public_id).hex(),
            }
            for row in rows
        ]


def _secret_digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
