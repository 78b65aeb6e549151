"""Entropy of the committee's votes: float64, from the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

__all__ = ["vote_entropy", "vote_top", "weighted_vote_entropy", "weighted_vote_top"]


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


def _best(
    utility: NDArray[np.float64],
    exclude: NDArray[np.int64],
    start: int,
    stop: int,
    index: NDArray[np.int64],
    score: NDArray[np.float64],
) -> int:
    """The best of ``utility``, which is that of the tracks ``start:stop``; -1 where one is NaN."""
    if np.isnan(utility).any():
        return -1
    allowed = np.setdiff1d(np.arange(start, stop), exclude, assume_unique=True)
    best = allowed[np.argsort(-utility[allowed - start], kind="stable")][: len(index)]
    index[: len(best)] = best
    score[: len(best)] = utility[best - start]
    return len(best)


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
    return _best(_score(votes[:, start:stop], n_classes), exclude, start, stop, index, score)


def _weighted_score(votes: NDArray[np.uint8], weight: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """As ``_score``; a class has the weights of its voters, added in the order of the members."""
    held = np.zeros((n_classes, votes.shape[1]))
    whole = 0.0
    for vote, w in zip(votes, weight.tolist(), strict=True):
        held += w * (vote == np.arange(n_classes)[:, None])
        whole += w
    total = np.zeros(votes.shape[1])
    for share in np.sort(held, axis=0) / whole:
        total += entr(share)
    return np.where((votes < n_classes).all(axis=0), total, np.nan)


def weighted_vote_entropy(
    votes: NDArray[np.uint8], weight: NDArray[np.float64], n_classes: int, start: int, stop: int, out: NDArray[Any]
) -> int:
    """As ``vote_entropy``, where a member's vote counts as much as its weight."""
    out[start:stop] = _weighted_score(votes[:, start:stop], weight, n_classes)
    return int(np.isnan(out[start:stop]).sum())


def weighted_vote_top(
    votes: NDArray[np.uint8],
    weight: NDArray[np.float64],
    n_classes: int,
    exclude: NDArray[np.int64],
    start: int,
    stop: int,
    index: NDArray[np.int64],
    score: NDArray[np.float64],
) -> int:
    """As ``vote_top``, where a member's vote counts as much as its weight."""
    return _best(_weighted_score(votes[:, start:stop], weight, n_classes), exclude, start, stop, index, score)
