"""Which tracks a batch holds: the top ones, or a share from every class; ties by a seeded key, never by input order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError
from dissensus.strategies.top import select_top

__all__ = ["Ranking", "pick", "strict_argmax", "tie_keys"]


def tie_keys(
    track_ids: ArrayLike, random_state: int | np.random.SeedSequence = 0, *, listener: Any = None
) -> NDArray[np.uint64]:
    """One pseudo-random number per track, a function of its id, the seed and the listener alone.

    Sorted by such a key, equally good tracks come in an order that has nothing to do with their ids or with the order of
    the rows: shuffling the catalogue changes nothing.

    Parameters
    ----------
    track_ids : (n_tracks,) array_like
        Any ids that print distinctly (text, integers).
    random_state : int or SeedSequence
        The master seed.
    listener : optional
        Whose keys; every listener has another order.

    Returns
    -------
    (n_tracks,) ndarray of uint64

    Examples
    --------
    >>> forward, backward = tie_keys(["a", "b", "c"], 7), tie_keys(["c", "b", "a"], 7)
    >>> bool((forward == backward[::-1]).all()), bool((forward == tie_keys(["a", "b", "c"], 8)).any())
    (True, False)
    """
    seed = random_state if isinstance(random_state, np.random.SeedSequence) else np.random.SeedSequence(random_state)
    key = seed.generate_state(8).tobytes()
    whose = repr(listener.item() if isinstance(listener, np.generic) else listener).encode()
    person = hashlib.blake2b(whose, key=key, digest_size=32).digest()
    ids = np.asarray(track_ids)
    if ids.ndim != 1:
        raise ParameterError(f"track_ids must be one-dimensional; got shape {ids.shape}")
    digests = b"".join(hashlib.blake2b(repr(i).encode(), key=person, digest_size=8).digest() for i in ids.tolist())
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def strict_argmax(proba: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class that leads each row of ``(n_tracks, n_classes)``; −1 where the lead is shared or the row holds NaN."""
    if proba.shape[1] == 1:
        return np.where(np.isnan(proba[:, 0]), -1, 0).astype(np.int64)
    two = np.partition(proba, -2, axis=1)[:, -2:]
    leads = two[:, 1] > two[:, 0]  # NaN compares false, and partition puts it last
    return np.where(leads, np.argmax(proba, axis=1), -1).astype(np.int64)


class Ranking:
    """One list of the pool: how useful each track is, and the class that leads it (−1: none strictly).

    Two of them may be stacked (the published hybrid): a track then counts once, by its better row.

    Parameters
    ----------
    utility : (n_tracks,) ndarray of float32
        Higher is asked first.
    leader : (n_tracks,) ndarray of int64, or callable
        The class that leads each track; a callable is called when it is looked at, for balanced queries.
    """

    def __init__(
        self, utility: NDArray[np.float32], leader: NDArray[np.int64] | Callable[[], NDArray[np.int64]]
    ) -> None:
        self.utility = utility
        self._leader = leader

    @cached_property
    def leader(self) -> NDArray[np.int64]:
        """``(n_tracks,)`` leading classes."""
        return self._leader() if callable(self._leader) else self._leader


class Keys(Protocol):
    """Keys by row: an array, or something that makes them when they are looked at."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any) -> NDArray[Any]: ...


def _top(utility: NDArray[np.float32], among: NDArray[np.bool_], k: int, keys: Keys) -> NDArray[np.int64]:
    """The ``k`` most useful rows among some, best first, NaN last; equal ones by their keys, then by row."""
    rows = np.flatnonzero(among)
    k = min(k, len(rows))
    if k == 0:
        return np.empty(0, dtype=np.int64)
    worth = utility if len(rows) == len(utility) else utility[rows]
    least = worth[select_top(worth, k)[-1]]
    if np.isnan(least):
        sure, tied = ~np.isnan(worth), np.isnan(worth)
    else:
        sure, tied = worth > least, worth == least
    first, level = rows[sure], rows[tied]
    if len(level) > k - len(first):
        level = level[np.argsort(keys[level], kind="stable")[: k - len(first)]]
    chosen = np.sort(np.concatenate([first, level]))
    ranked: NDArray[np.int64] = chosen[np.lexsort((keys[chosen], -utility[chosen]))]
    return ranked


def _count_ties(
    values: NDArray[np.float32], utility: NDArray[np.float32], among: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How many rows, among some, have each of these utilities; NaN equals NaN."""
    distinct, which = np.unique(values, return_inverse=True)
    if len(distinct) > _FEW:
        ladder = np.sort(utility[among])  # NaN last
        count = np.searchsorted(ladder, distinct, "right") - np.searchsorted(ladder, distinct, "left")
    else:
        count = np.array(
            [np.count_nonzero((np.isnan(utility) if np.isnan(v) else utility == v) & among) for v in distinct],
            dtype=np.int64,
        )
    ties: NDArray[np.int64] = np.maximum(count[which.reshape(-1)], 1).astype(np.int64)
    return ties


#: So few utilities are counted one by one in less time than all are sorted.
_FEW = 32


def pick(
    rankings: Sequence[Ranking],
    k: int,
    n_classes: int,
    *,
    eligible: NDArray[np.bool_],
    late: NDArray[np.bool_],
    balanced: bool,
    tie_key: Keys,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Choose up to ``k`` distinct tracks, best first.

    Plain: the ``k`` most useful. Balanced: for every class the ``k // n_classes`` most useful tracks that this class leads
    strictly, then the most useful of the rest until ``k`` are found (methods of the TROMPA experiments). ``late`` tracks
    enter only when no other is left, and never into a class's share.

    Returns
    -------
    index, utility, slot, tie_size : (n_chosen,) ndarrays
        ``slot`` is the class whose share the track filled, −1 for none; ``tie_size`` counts the eligible tracks (itself
        included) of exactly that utility.
    """
    best = rankings[0].utility if len(rankings) == 1 else np.fmax.reduce([r.utility for r in rankings])
    free = eligible & ~late
    index: list[NDArray[np.int64]] = []
    utility: list[NDArray[np.float32]] = []
    slot: list[int] = []
    if balanced:
        for c in range(n_classes):
            led = [np.where(r.leader == c, r.utility, np.float32(np.nan)) for r in rankings]
            mine = np.any([r.leader == c for r in rankings], axis=0)
            share = led[0] if len(led) == 1 else np.fmax.reduce(led)
            chosen = _top(share, free & mine, k // n_classes, tie_key)
            free[chosen] = False
            index.append(chosen)
            utility.append(share[chosen])
            slot += [c] * len(chosen)
    for group in (free, eligible & late):
        chosen = _top(best, group, k - sum(map(len, index)), tie_key)
        index.append(chosen)
        utility.append(best[chosen])
        slot += [-1] * len(chosen)
    tracks, values = np.concatenate(index), np.concatenate(utility)
    # Best first; the late ones stay behind the others, NaN behind numbers.
    place = np.lexsort((tie_key[tracks], -values, late[tracks]))
    tracks, values = tracks[place], values[place]
    return tracks, values, np.array(slot, dtype=np.int64)[place], _count_ties(values, best, eligible)
