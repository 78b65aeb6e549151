"""What a fitted member is made of, for its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FileParts", "MemberState"]


@dataclass(frozen=True)
class MemberState:
    """Attributes that a fitted member is rebuilt from, beside its parameters.

    Attributes
    ----------
    arrays : mapping of str to (str, tuple of str)
        Type and shape of each array; ``"C"`` stands for the number of classes, ``"F"`` for that of features, other letters
        for any number.
    values : tuple of str
        Single numbers.
    """

    arrays: Mapping[str, tuple[str, tuple[str, ...]]]
    values: tuple[str, ...] = ()


class FileParts(NamedTuple):
    """Further parts of a member in a file, for :meth:`restore_parts`."""

    names: Mapping[str, str]  # name of the part -> name of its array in the file
    take: Callable[[str, str, tuple[str, ...]], NDArray[Any]]  # a checked array: take(name in the file, type, shape)
    made: dict[str, Any]  # what was rebuilt from arrays that several members share, by their names in the file

    def array(self, part: str, dtype: str, shape: tuple[str, ...]) -> NDArray[np.generic]:
        """The array of a part."""
        return self.take(self.names[part], dtype, shape)
