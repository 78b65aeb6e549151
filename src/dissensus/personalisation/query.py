"""What a session hands out, and how labels are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ClassMismatchError, LabelError

__all__ = ["Crowd", "LabelBook", "Query"]


@dataclass(frozen=True, eq=False)
class Query:
    """Tracks to ask the listener about, best first.

    Attributes
    ----------
    track_ids : (n,) ndarray
        What to play.
    utility : (n,) ndarray of float32
        What the strategy expects of each answer: entropy in nats; 0 under ``rand``; a distance while nothing is known.
    reason : tuple of str
        In words, why each track.
    tie_size : (n,) ndarray of int64
        How many tracks were equally useful; above 1 the seed decided.
    strategy : str
        Short form, or ``"diverse"`` while nothing is known.
    stopped : str or None
        Why there are fewer tracks than wanted: ``"budget"``, ``"pool"`` (no track left) or ``"stable"``.

    A query without tracks is false.
    """

    track_ids: NDArray[Any]
    utility: NDArray[np.float32]
    reason: tuple[str, ...]
    tie_size: NDArray[np.int64]
    strategy: str
    stopped: str | None = None

    @property
    def at_random(self) -> NDArray[np.bool_]:
        """``(n,)`` tracks of the random share: answers about these are an honest sample of the pool."""
        return np.array([reason.startswith("drawn at random") for reason in self.reason], dtype=bool)

    def __len__(self) -> int:
        return len(self.track_ids)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.track_ids.tolist())

    def __repr__(self) -> str:
        end = "" if self.stopped is None else f", stopped by {self.stopped}"
        return f"Query({self.track_ids.tolist()}, strategy={self.strategy!r}{end})"

    @property
    def nbytes(self) -> int:
        """About how many bytes it holds."""
        return (
            self.track_ids.nbytes + self.utility.nbytes + self.tie_size.nbytes + sum(len(r) + 56 for r in self.reason)
        )

    def rows(self, keep: Sequence[int]) -> Query:
        """These rows alone."""
        at = np.asarray(keep, dtype=np.int64)
        return Query(
            self.track_ids[at],
            self.utility[at],
            tuple(self.reason[i] for i in keep),
            self.tie_size[at],
            self.strategy,
            self.stopped,
        )


class Crowd(Protocol):
    """Judgements of many listeners, one row each, as :class:`dissensus.datasets.Annotations` holds them."""

    @property
    def listener_id(self) -> NDArray[Any]: ...
    @property
    def track_id(self) -> NDArray[Any]: ...
    @property
    def label(self) -> NDArray[np.int64]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


class LabelBook:
    """Translates what people say into class indices.

    A label is one of ``classes``. Where these are the integers 0 to 3, ``"Q1"`` to ``"Q4"`` are understood as well.
    """

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes
        names = classes.tolist()
        self._index: dict[Any, int] = {name: i for i, name in enumerate(names)}
        self.names: tuple[str, ...] = tuple(map(str, names))
        if names == [0, 1, 2, 3]:
            self.names = ("Q1", "Q2", "Q3", "Q4")
            self._index.update({name: i for i, name in enumerate(self.names)})

    def index(self, label: Any) -> int:
        """Class index of one label; LabelError if it is none."""
        plain = label.item() if isinstance(label, np.generic) else label
        try:
            if not isinstance(plain, bool) or isinstance(next(iter(self._index)), bool):
                return self._index[plain]
        except (KeyError, TypeError):
            pass
        raise LabelError(f"{label!r} is not one of the classes {', '.join(map(repr, self.classes.tolist()))}")

    def columns(self, classes: Sequence[Any]) -> NDArray[np.int64]:
        """Our index of each class of somebody else's list."""
        try:
            return np.array([self.index(name) for name in classes], dtype=np.int64)
        except LabelError as error:
            raise ClassMismatchError(f"the crowd speaks of other classes than the committee: {error}") from None
