"""What a listener told: batches of answers, as a session hands them to whatever learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answer", "Told", "answers_of", "columns_of"]

#: Track index, class index.
Answer = tuple[int, int]

#: Every answer so far, batch by batch, oldest first.
Told = tuple[tuple[Answer, ...], ...]


def answers_of(told: Told) -> dict[int, int]:
    """Track index -> class index, in order of answering."""
    return {track: label for batch in told for track, label in batch}


def columns_of(told: Told) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``(n_answers,)`` track indices and class indices, in order of answering."""
    both = np.array([answer for batch in told for answer in batch], dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
