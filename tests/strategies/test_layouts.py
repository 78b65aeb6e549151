"""Arrays as callers have them: any type, stride or mapping gives the answer of the plain array, at one copy at most."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus._validate import as_proba, as_votes
from dissensus.strategies import (
    ConsensusState,
    consensus_entropy,
    margin,
    mean_kl,
    mutual_information,
    query_top,
    query_votes,
    vote_entropy,
)

BACKENDS = ("auto", "numba", "reference")
MEASURES = (consensus_entropy, mean_kl, mutual_information, margin)
Array = np.ndarray


def _off_by_one(a: Array) -> Array:
    """The same numbers at an address that is no multiple of their size."""
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def _read_only(a: Array) -> Array:
    b = a.copy()
    b.flags.writeable = False
    return b


#: Same dtype, same numbers, laid out otherwise; of two axes or three.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "read-only": _read_only,
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "reversed classes": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "tracks first": lambda a: np.ascontiguousarray(np.swapaxes(a, 0, 1)).swapaxes(0, 1),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "unaligned": _off_by_one,
}


def plain(a: Array) -> Array:
    return np.array(a, order="C")


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    function=st.sampled_from(MEASURES),
    backend=st.sampled_from(BACKENDS),
    dtype=st.sampled_from([np.float32, np.float64]),
    shape=st.tuples(st.integers(1, 9), st.integers(0, 70), st.integers(2, 9)),
    weighted=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_layout_changes_no_bit(
    layout: str, function: Any, backend: str, dtype: Any, shape: tuple[int, ...], weighted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(shape[2], 0.5), shape[:2]).astype(dtype)
    proba[rng.random(shape) < 0.01] = np.nan
    other = LAYOUTS[layout](proba)
    base, before = plain(other), plain(other)
    options: dict[str, Any] = {"backend": backend, "member_weight": rng.random(shape[0]) + 0.1 if weighted else None}
    np.testing.assert_array_equal(function(other, **options), function(base, **options))
    tops = [query_top(a, 7, measure=function.__name__, **options) for a in (other, base)]
    np.testing.assert_array_equal(tops[0].index, tops[1].index)
    np.testing.assert_array_equal(tops[0].utility, tops[1].utility)
    np.testing.assert_array_equal(other, before)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    backend=st.sampled_from(BACKENDS),
    dtype=st.sampled_from(["u1", "i1", "i8", "u4", ">i2"]),
    shape=st.tuples(st.integers(1, 9), st.integers(0, 70)),
    seed=st.integers(0, 2**32 - 1),
)
def test_layout_of_votes_changes_no_bit(
    layout: str, backend: str, dtype: str, shape: tuple[int, ...], seed: int
) -> None:
    votes = np.random.default_rng(seed).integers(0, 5, shape).astype(dtype)
    other = LAYOUTS[layout](votes)
    base = plain(other).astype(np.uint8)
    options: dict[str, Any] = {"n_classes": 5, "backend": backend}
    np.testing.assert_array_equal(vote_entropy(other, **options), vote_entropy(base, **options))
    tops = [query_votes(a, 7, **options) for a in (other, base)]
    np.testing.assert_array_equal(tops[0].index, tops[1].index)
    np.testing.assert_array_equal(tops[0].utility, tops[1].utility)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_takes_any_layout(layout: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    other = LAYOUTS[layout](rng.dirichlet(np.ones(4), (3, 300)).astype("f4"))
    base, rows = plain(other), rng.dirichlet(np.ones(4), 300).astype("f4")
    rows_other = LAYOUTS[layout](rows)
    states = [ConsensusState(a, backend=backend) for a in (other, base)]
    for state, new, more in zip(states, (rows_other, plain(rows_other)), (other, base), strict=True):
        state.update(1, new)
        state.grow(more)
    np.testing.assert_array_equal(states[0].utility(), states[1].utility())
    np.testing.assert_array_equal(states[0].query(9).index, states[1].query(9).index)


@pytest.mark.parametrize("offset", [0, 4, 6], ids=["aligned to 16", "aligned to 4", "not aligned"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_maps(tmp_path: Path, backend: str, offset: int) -> None:
    proba = np.random.default_rng(1).dirichlet(np.ones(4), (5, 400)).astype("f4")
    file = tmp_path / "proba.f4"
    file.write_bytes(b"\0" * offset + proba.tobytes())
    mapped = np.memmap(file, np.float32, "r", offset=offset, shape=proba.shape)
    for function in MEASURES:
        np.testing.assert_array_equal(function(mapped, backend=backend), function(proba, backend=backend))
    np.testing.assert_array_equal(query_top(mapped, 9, backend=backend).index, query_top(proba, 9).index)
    np.testing.assert_array_equal(ConsensusState(mapped, backend=backend).query(9).index, query_top(proba, 9).index)


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """What numpy holds at most beyond what it held before, in bytes."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


#: What a caller may hold -> the bytes a number of the copy takes.
COPIED = {
    "fortran f4": (lambda p: np.asfortranarray(p), 4),
    "tracks first f8": (lambda p: np.ascontiguousarray(p.astype("f8").swapaxes(0, 1)).swapaxes(0, 1), 8),
    "other byte order, fortran": (lambda p: np.asfortranarray(p.astype(">f4")), 8),
    "f2, fortran": (lambda p: np.asfortranarray(p.astype("f2")), 4),
    "int, fortran": (lambda p: np.asfortranarray((p * 9).astype("i4")), 8),
}


@pytest.mark.parametrize("kind", COPIED)
def test_one_copy_at_most(kind: str) -> None:
    make, size = COPIED[kind]
    given_ = make(np.random.default_rng(2).dirichlet(np.ones(4), (4, 50_000)).astype("f4"))
    with most_memory() as peak:
        as_proba(given_)
    assert given_.size * size <= peak[0] < 1.02 * given_.size * size


@pytest.mark.parametrize("dtype", ["i8", "u4", "u1"])
def test_votes_are_copied_once(dtype: str) -> None:
    votes = np.asfortranarray(np.random.default_rng(3).integers(0, 4, (5, 100_000)).astype(dtype))
    with most_memory() as peak:
        as_votes(votes, 4)
    assert peak[0] < 1.02 * votes.size


@pytest.mark.parametrize("measure", ["consensus_entropy", "mean_kl", "mutual_information", "margin", "vote_entropy"])
def test_a_query_writes_nothing_as_long_as_the_pool(measure: str) -> None:
    n = 400_000
    rng = np.random.default_rng(4)
    votes = measure == "vote_entropy"
    rows = rng.integers(0, 4, (3, n)).astype("u1") if votes else rng.random((3, n, 4), dtype=np.float32)
    options: dict[str, Any] = {"measure": measure, "n_classes": 4 if votes else None}
    query_top(rows[:, :10].copy(), 3, **options)
    with most_memory() as peak:
        query_top(rows, 10, **options)
    assert peak[0] < n / 8
    if not votes:
        with most_memory() as peak:
            ConsensusState(rows[:1, :10].copy()).query(3)
        state = ConsensusState(rows)
        with most_memory() as peak:
            state.query(10)
            state.update(0, rows[1])
        assert peak[0] < n / 8
