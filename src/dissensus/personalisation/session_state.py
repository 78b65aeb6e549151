"""What changes in a session, as one value: a step builds a new one and swaps it in at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissensus.personalisation.learner import Learner
from dissensus.personalisation.query import Query
from dissensus.personalisation.told import Told, answers_of

__all__ = ["State"]


@dataclass(frozen=True, eq=False)
class State:
    """Everything that changes. A step builds a new one and swaps it in at its end."""

    learner: Learner
    queries: tuple[Query, ...] = ()
    told: Told = ()
    skipped: frozenset[int] = frozenset()
    history: tuple[tuple[int, NDArray[np.int64]], ...] = ()
    settled: bool = False

    @property
    def answers(self) -> dict[int, int]:
        """Track index -> class index, in order of answering."""
        return answers_of(self.told)
