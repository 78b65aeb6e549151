"""Pseudo-random 64-bit numbers from ids, without a call per id."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TieKeys", "id_hashes", "mix64"]

_FIRST, _SECOND, _STEP = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number through a bijection that lets every bit depend on all others.

    References
    ----------
    .. [1] Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (variant 13 of Stafford).
    """
    z = values ^ (values >> np.uint64(30))
    z *= _FIRST
    z ^= z >> np.uint64(27)
    z *= _SECOND
    z ^= z >> np.uint64(31)
    return z


def id_hashes(ids: NDArray[Any]) -> NDArray[np.uint64]:
    """A number per id, a function of its text alone: ``3`` and ``"3"`` have the same.

    Parameters
    ----------
    ids : (n,) ndarray of integers or text
        From :func:`dissensus._ids.id_array`.

    Examples
    --------
    >>> bool((id_hashes(np.array([3, 10])) == id_hashes(np.array(["3", "10"]))).all())
    True
    """
    out = np.full(len(ids), _STEP, dtype=np.uint64)
    if len(ids) == 0:
        return out
    texts = ids if ids.dtype.kind == "U" else ids.astype(str)
    letters = np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), -1)
    for column in letters.T:
        there = column != 0  # a shorter text ends here
        mixed = mix64((out ^ column) * _STEP)
        np.copyto(out, mixed, where=there)
    return out


class TieKeys:
    """The order of ties of one listener over a pool: ``keys[rows]`` are pseudo-random, and made when they are looked at.

    Parameters
    ----------
    hashes : (n_tracks,) ndarray of uint64
        From :func:`id_hashes`; shared by all listeners.
    random_state : int or SeedSequence
        The master seed.
    listener : optional
        Whose keys; every listener has another order.
    """

    def __init__(
        self, hashes: NDArray[np.uint64], random_state: int | np.random.SeedSequence, listener: Any = None
    ) -> None:
        self._hashes = hashes
        self._person = np.uint64(int.from_bytes(person_key(random_state, listener)[:8], "little"))

    def __len__(self) -> int:
        return len(self._hashes)

    def __getitem__(self, rows: Any) -> NDArray[np.uint64]:
        return mix64(np.atleast_1d(self._hashes[rows]) ^ self._person)


def person_key(random_state: int | np.random.SeedSequence, listener: Any = None) -> bytes:
    """32 bytes that are a function of the master seed and a listener."""
    seed = random_state if isinstance(random_state, np.random.SeedSequence) else np.random.SeedSequence(random_state)
    named = isinstance(listener, (str, int, np.integer)) and not isinstance(listener, bool)
    whose = f"id {listener}" if named else repr(listener.item() if isinstance(listener, np.generic) else listener)
    return hashlib.blake2b(whose.encode(), key=seed.generate_state(8).tobytes(), digest_size=32).digest()
