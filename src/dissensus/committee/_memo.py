"""What was worked out of things that never change, for next time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Memo"]

T = TypeVar("T")


class Memo:
    """Holds one result per name, with the objects that it was made of; other objects make it anew.

    Objects are told apart by identity: give only what is replaced, never changed. Threads that ask at the same time may both
    do the work; they get equal results.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        """A copy and a pickle work everything out anew."""
        return Memo, ()

    def get(self, name: Hashable, source: tuple[Any, ...], work_out: Callable[[], T]) -> T:
        """``work_out()``, or what it gave when ``name`` was last asked for with these very objects."""
        held = self._held.get(name)
        if held is None or len(held[0]) != len(source) or any(a is not b for a, b in zip(held[0], source, strict=True)):
            held = self._held[name] = (source, work_out())
        result: T = held[1]
        return result
