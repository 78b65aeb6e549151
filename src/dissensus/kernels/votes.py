"""Entropy of the committee's votes: counters of one byte, and a table of what a count contributes.

The table holds whole numbers, so that the same shares give the same entropy whichever classes they are for.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel
from dissensus.kernels.entropy import slack
from dissensus.kernels.log import TINY, log_normal
from dissensus.kernels.topk import excluded, finish, offer

__all__ = ["vote_entropy", "vote_top", "weighted_vote_entropy", "weighted_vote_top"]

_BLOCK = 1024
_UNIT = 2.0**-28  # of the table, in nats: entropies of up to 255 classes fit 31 bits
_PER_UNIT = np.float32(2.0**28)
_HALF = np.float32(0.5)


@kernel(exact=True)
def _table(n_members: int) -> NDArray[np.int32]:
    table = np.zeros(n_members + 1, np.int32)
    for count in range(1, n_members + 1):
        share = count / n_members
        table[count] = np.int32(round(-share * math.log(share) / _UNIT))
    return table


@kernel(exact=True)
def _count(
    votes: NDArray[np.uint8], n_classes: int, start: int, n: int, counts: NDArray[np.uint16], cast: NDArray[np.uint16]
) -> None:
    """Votes per class of tracks ``start : start + n`` and, in ``cast``, those that are in range."""
    cast[:n] = 0
    for c in range(n_classes):
        row = counts[c]
        label = np.uint8(c)
        for i in range(n):
            row[i] = np.uint16(0)
        for m in range(votes.shape[0]):
            vote = votes[m, start : start + n]
            for i in range(n):
                row[i] += np.uint16(vote[i] == label)
        for i in range(n):
            cast[i] += row[i]


@kernel(exact=True)
def _block(
    votes: NDArray[np.uint8],
    n_classes: int,
    start: int,
    n: int,
    table: NDArray[np.int32],
    counts: NDArray[np.uint16],
    sums: NDArray[np.int32],
    out: NDArray[np.float32],
) -> int:
    """Utilities into ``out[:n]``; returns how many tracks hold a bad vote."""
    n_members = votes.shape[0]
    cast = counts[n_classes]
    _count(votes, n_classes, start, n, counts, cast)
    for i in range(n):
        sums[i] = 0
    for c in range(n_classes):
        for i in range(n):
            sums[i] += table[counts[c, i]]
    bad = 0
    for i in range(n):
        out[i] = np.float32(sums[i] * _UNIT)
        if cast[i] != n_members:
            out[i] = np.nan
            bad += 1
    return bad


@kernel(exact=True)
def vote_entropy(votes: NDArray[np.uint8], n_classes: int, start: int, stop: int, out: NDArray[np.float32]) -> int:
    """Write the entropy (nats) of the votes into ``out[start:stop]``; return how many tracks hold a bad vote (NaN)."""
    table = _table(votes.shape[0])
    counts = np.empty((n_classes + 1, _BLOCK), np.uint16)
    sums = np.empty(_BLOCK, np.int32)
    bad = 0
    for low in range(start, stop, _BLOCK):
        n = min(_BLOCK, stop - low)
        bad += _block(votes, n_classes, low, n, table, counts, sums, out[low : low + n])
    return bad


@kernel(exact=True)
def _score(counts: NDArray[np.uint16], n_classes: int, n_members: int, i: int, sorted_: NDArray[np.int64]) -> float:
    """Float64, counts from small to large, as the reference does it."""
    for c in range(n_classes):
        value = np.int64(counts[c, i])
        at = c
        while at > 0 and sorted_[at - 1] > value:
            sorted_[at] = sorted_[at - 1]
            at -= 1
        sorted_[at] = value
    total = 0.0
    for c in range(n_classes):
        share = sorted_[c] / n_members
        total += -share * math.log(share) if share > 0.0 else 0.0
    return total


@kernel(exact=True)
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
    k = index.size
    n_members = votes.shape[0]
    table = _table(n_members)
    counts = np.empty((n_classes + 1, _BLOCK), np.uint16)
    sums = np.empty(_BLOCK, np.int32)
    sorted_ = np.empty(n_classes, np.int64)
    utility = np.empty(_BLOCK, np.float32)
    held = np.zeros(2, np.int64)
    near = 1e-6
    for low in range(start, stop, _BLOCK):
        n = min(_BLOCK, stop - low)
        if _block(votes, n_classes, low, n, table, counts, sums, utility) > 0:
            return -1
        for i in range(n):
            if k > 0 and (held[0] < k or utility[i] >= score[0] - near) and not excluded(exclude, low + i):
                offer(score, index, held, _score(counts, n_classes, n_members, i, sorted_), low + i)
    return finish(score, index, held)  # type: ignore[no-any-return]


@kernel(exact=True)
def _weighted_block(
    votes: NDArray[np.uint8],
    n_classes: int,
    share: NDArray[np.float32],
    start: int,
    n: int,
    scratch: NDArray[np.float32],
    sums: NDArray[np.int32],
    out: NDArray[np.float32],
) -> int:
    """As ``_block``, with the share of each member's vote in float32; terms become whole numbers before they are added."""
    highest = np.uint8(0)
    for m in range(votes.shape[0]):
        cast = votes[m, start : start + n]
        for i in range(n):
            highest = max(highest, cast[i])
    for i in range(n):
        sums[i] = 0
    row = scratch[0]
    for c in range(n_classes):
        label = np.uint8(c)
        for i in range(n):
            row[i] = np.float32(0.0)
        for m in range(votes.shape[0]):
            vote, w = votes[m, start : start + n], share[m]
            for i in range(n):
                row[i] += w * np.float32(vote[i] == label)
        for i in range(n):
            p = row[i]
            term = -p * log_normal(p if p > TINY else TINY)
            sums[i] += np.int32(term * _PER_UNIT + _HALF) if term > np.float32(0.0) else np.int32(0)
    for i in range(n):
        out[i] = np.float32(sums[i] * _UNIT)
    if highest < n_classes:
        return 0
    bad = 0
    for i in range(n):
        for m in range(votes.shape[0]):
            if votes[m, start + i] >= n_classes:
                out[i] = np.nan
                bad += 1
                break
    return bad


@kernel(exact=True)
def _shares(weight: NDArray[np.float64]) -> NDArray[np.float32]:
    total = 0.0
    for m in range(weight.size):
        total += weight[m]
    share = np.empty(weight.size, np.float32)
    for m in range(weight.size):
        share[m] = np.float32(weight[m] / total)
    return share


@kernel(exact=True)
def weighted_vote_entropy(
    votes: NDArray[np.uint8],
    weight: NDArray[np.float64],
    n_classes: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> int:
    """As ``vote_entropy``, where a member's vote counts as much as its weight."""
    share = _shares(weight)
    scratch = np.empty((1, _BLOCK), np.float32)
    sums = np.empty(_BLOCK, np.int32)
    bad = 0
    for low in range(start, stop, _BLOCK):
        n = min(_BLOCK, stop - low)
        bad += _weighted_block(votes, n_classes, share, low, n, scratch, sums, out[low : low + n])
    return bad


@kernel(exact=True)
def _weighted_score(
    votes: NDArray[np.uint8], weight: NDArray[np.float64], n_classes: int, i: int, sorted_: NDArray[np.float64]
) -> float:
    """Float64, shares from small to large, as the reference does it."""
    for c in range(n_classes):
        sorted_[c] = 0.0
    whole = 0.0
    for m in range(weight.size):
        sorted_[votes[m, i]] += weight[m]
        whole += weight[m]
    for c in range(1, n_classes):
        value, at = sorted_[c], c
        while at > 0 and sorted_[at - 1] > value:
            sorted_[at] = sorted_[at - 1]
            at -= 1
        sorted_[at] = value
    total = 0.0
    for c in range(n_classes):
        share = sorted_[c] / whole
        total += -share * math.log(share) if share > 0.0 else 0.0
    return total


@kernel(exact=True)
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
    k = index.size
    share = _shares(weight)
    scratch = np.empty((1, _BLOCK), np.float32)
    sums = np.empty(_BLOCK, np.int32)
    sorted_ = np.empty(n_classes)
    utility = np.empty(_BLOCK, np.float32)
    held = np.zeros(2, np.int64)
    near = slack(votes.shape[0], n_classes)
    for low in range(start, stop, _BLOCK):
        n = min(_BLOCK, stop - low)
        if _weighted_block(votes, n_classes, share, low, n, scratch, sums, utility) > 0:
            return -1
        for i in range(n):
            if k > 0 and (held[0] < k or utility[i] >= score[0] - near) and not excluded(exclude, low + i):
                offer(score, index, held, _weighted_score(votes, weight, n_classes, low + i, sorted_), low + i)
    return finish(score, index, held)  # type: ignore[no-any-return]
