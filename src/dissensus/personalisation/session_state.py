"""A session as values: what changes in a live one, and the plain data that brings one back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import DataFormatError, ParameterError
from dissensus.personalisation.learner import Learner
from dissensus.personalisation.query import Query
from dissensus.personalisation.told import Told, answers_of

__all__ = ["STATE_VERSION", "SessionState", "State", "query_from_json", "query_to_json"]

STATE_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class State:
    """Everything that changes. A step builds a new one and swaps it in at its end. Tracks by position in the catalog."""

    learner: Learner
    queries: tuple[Query, ...] = ()
    told: Told = ()
    skipped: frozenset[int] = frozenset()
    history: tuple[tuple[int, NDArray[np.integer]], ...] = ()
    looks_from: int = 0  # batches before this one are no part of the history
    settled: bool = False

    @property
    def answers(self) -> dict[int, int]:
        """Track index -> class index, in order of answering."""
        return answers_of(self.told)


@dataclass(frozen=True)
class SessionState:
    """A session as plain data: ids, labels and numbers, no model and no features.

    ``Session(committee, pool, state=session.state)`` answers every later call as the session would have. Some kilobytes.

    Attributes
    ----------
    settings : dict
        What the session was made with: ``strategy``, ``update``, ``balanced``, ``random_share``, ``budget``, ``stopping``,
        ``n0``, ``seed``, ``listener``.
    base : str or None
        SHA-256 of what every listener starts from; None where that cannot be told.
    told : tuple of batches
        Each a tuple of ``(track id, label)``, oldest first.
    queries : tuple of Query
        Everything that was asked, with utilities and reasons; those of the random share say so. The last one is open as far
        as it is neither answered nor skipped.
    skipped, given : tuple of track ids
        Skipped tracks; tracks that were answered before the session began.
    looks_from : int
        How many batches were known when an answer was last taken back.
    settled : bool
        Whether the stopping rule has spoken.
    version : int
        Of this format.
    """

    settings: Mapping[str, Any]
    base: str | None
    told: tuple[tuple[tuple[Any, Any], ...], ...] = ()
    queries: tuple[Query, ...] = ()
    skipped: tuple[Any, ...] = ()
    given: tuple[Any, ...] = ()
    looks_from: int = 0
    settled: bool = False
    version: int = STATE_VERSION

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionState) and self._plain() == other._plain()

    __hash__ = None  # type: ignore[assignment]

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""
        return sum(q.nbytes for q in self.queries) + 64 * sum(map(len, self.told)) + 512

    def _plain(self) -> dict[str, Any]:
        out: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        out["settings"] = dict(self.settings)
        out["told"] = [[list(answer) for answer in batch] for batch in self.told]
        out["queries"] = [query_to_json(query) for query in self.queries]
        out["skipped"], out["given"] = list(self.skipped), list(self.given)
        return out

    def to_json(self) -> str:
        """The state as JSON text.

        Raises
        ------
        ParameterError
            The listener is neither text, a number nor None.
        """
        try:
            return json.dumps(self._plain(), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"this state cannot be written as JSON ({error}); name listeners, tracks and classes by text or numbers"
            ) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> SessionState:
        """A state from :meth:`to_json`.

        Raises
        ------
        DataFormatError
            Not such a text, or one of a newer version.
        """
        try:
            body = json.loads(text)
            if body["version"] != STATE_VERSION:
                raise DataFormatError(
                    f"session state of version {body['version']!r}; this release reads version {STATE_VERSION}"
                )
            return cls(
                settings=dict(body["settings"]),
                base=body["base"] if body["base"] is None else str(body["base"]),
                told=tuple(tuple((track, label) for track, label in batch) for batch in body["told"]),
                queries=tuple(query_from_json(query) for query in body["queries"]),
                skipped=tuple(body["skipped"]),
                given=tuple(body["given"]),
                looks_from=int(body["looks_from"]),
                settled=bool(body["settled"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataFormatError):
                raise
            raise DataFormatError(f"not a session state: {type(error).__name__}: {error}") from None


def query_to_json(query: Query) -> dict[str, Any]:
    """A query as plain data."""
    return {
        "track_ids": query.track_ids.tolist(),
        "utility": [value if math.isfinite(value) else str(value) for value in query.utility.astype(float).tolist()],
        "reason": list(query.reason),
        "tie_size": query.tie_size.tolist(),
        "strategy": query.strategy,
        "stopped": query.stopped,
    }


def query_from_json(body: dict[str, Any]) -> Query:
    """A query from :func:`query_to_json`."""
    n = len(body["track_ids"])
    query = Query(
        np.array(body["track_ids"]) if n else np.array([], dtype=np.int64),
        np.array([float(value) for value in body["utility"]], dtype=np.float32),
        tuple(map(str, body["reason"])),
        np.array(body["tie_size"], dtype=np.int64),
        str(body["strategy"]),
        body["stopped"],
    )
    if not n == len(query.utility) == len(query.reason) == len(query.tie_size):
        raise DataFormatError("a query's tracks, utilities, reasons and ties differ in number")
    return query
