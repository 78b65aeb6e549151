"""What changes in a session, as one value: a step builds a new one and swaps it in at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissensus.personalisation.learner import Learner
from dissensus.personalisation.query import Query

__all__ = ["Answer", "State"]

Answer = tuple[int, int]  # track index, class index


@dataclass(frozen=True, eq=False)
class State:
    """Everything that changes. A step builds a new one and swaps it in at its end."""

    learner: Learner
    queries: tuple[Query, ...] = ()
    told: tuple[tuple[Answer, ...], ...] = ()
    skipped: frozenset[int] = frozenset()
    history: tuple[tuple[int, NDArray[np.int64]], ...] = ()

    @property
    def answers(self) -> dict[int, int]:
        """Track index -> class index, in order of answering."""
        return {track: label for batch in self.told for track, label in batch}
