"""Entropy of the committee's votes: float64, from the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

__all__ = ["vote_entropy", "vote_top"]


def _score(votes: NDArray[np.uint8], n_classes: int) -> NDArray[np.float64]:
    """Nats per track; NaN where a vote is out of range. Counts are summed from small to large, so equal shares tie."""
    counts = (votes[:, :, None] == np.arange(n_classes)).sum(axis=0)
    total = np.zeros(votes.shape[1])
    for share in np.sort(counts, axis=1).T / votes.shape[0]:
        total += entr(share)
    return np.where(counts.sum(axis=1) == votes.shape[0], total, np.nan)


def vote_entropy(votes: NDArray[np.uint8], n_classes: int, start: int, stop: int, out: NDArray[Any]) -> int:
    """Write the entropy (nats) of the votes into ``out[start:stop]``; return how many tracks hold a bad vote (NaN)."""
    out[start:stop] = _score(votes[:, start:stop], n_classes)
    return int(np.isnan(out[start:stop]).sum())


def vote_top(
    votes: NDArray[np.uint8],
    n_classes: int,
    exclude: NDArray[np.int64],
    start: int,
    stop: int,
    index: NDArray[np.int64],
    score: NDArray[np.float64],
) -> int:
    """As ``query_top``, on votes; -1 where a vote is out of range."""
    utility = np.full(stop, np.nan)
    utility[start:] = _score(votes[:, start:stop], n_classes)
    if np.isnan(utility[start:]).any():
        return -1
    allowed = np.setdiff1d(np.arange(start, stop), exclude, assume_unique=True)
    best = allowed[np.argsort(-utility[allowed], kind="stable")][: len(index)]
    index[: len(best)] = best
    score[: len(best)] = utility[best]
    return len(best)
