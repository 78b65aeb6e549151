"""Vote entropy: every twin against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import _backend

Twin = Callable[[str], Callable[..., Any]]
many = settings(
    max_examples=15 if JIT_OFF else 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@st.composite
def ballots(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    m, c = draw(st.integers(1, 64)), draw(st.one_of(st.integers(1, 8), st.integers(1, 255)))
    n = draw(st.integers(0, 20 if JIT_OFF else 3000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    votes = rng.integers(0, draw(st.integers(1, c)), (m, n)).astype(np.uint8)
    votes.flags.writeable = False
    return votes, c


def _entropy(kernel: Callable[..., Any], votes: np.ndarray, c: int, dtype: str = "f4") -> tuple[np.ndarray, int]:
    out = np.full(votes.shape[1], -7.0, dtype)
    return out, kernel(votes, c, 0, len(out), out)


@many
@given(ballot=ballots())
def test_twins_agree_with_the_reference(twin: Twin, ballot: tuple[np.ndarray, int]) -> None:
    got, bad = _entropy(twin("vote_entropy"), *ballot)
    expected, _ = _entropy(_backend.resolve("vote_entropy", "reference"), *ballot, "f8")
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert bad == 0


@many
@given(ballot=ballots(), k=st.integers(0, 40), data=st.data())
def test_the_best_are_the_references_to_the_last_bit(
    twin: Twin, ballot: tuple[np.ndarray, int], k: int, data: Any
) -> None:
    votes, c = ballot
    n = votes.shape[1]
    start = data.draw(st.integers(0, n))
    exclude = np.unique(np.array(data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=10)), np.int64))
    found = []
    for kernel in (twin("vote_top"), _backend.resolve("vote_top", "reference")):
        index, score = np.full(k, -1), np.full(k, -7.0)
        count = kernel(votes, c, exclude, start, n, index, score)
        found.append((index[:count], score[:count]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("members", [31, 32, 255, 256, 600])
def test_any_number_of_members(twin: Twin, members: int) -> None:
    votes = np.random.default_rng(members).integers(0, 4, (members, 10 if JIT_OFF else 1500)).astype(np.uint8)
    got, _ = _entropy(twin("vote_entropy"), votes, 4)
    expected, _ = _entropy(_backend.resolve("vote_entropy", "reference"), votes, 4, "f8")
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_equal_shares_are_equal_to_the_bit_whichever_classes_they_are_for(twin: Twin) -> None:
    rng = np.random.default_rng(0)
    ballot = rng.integers(0, 7, 20)
    votes = np.stack([rng.permutation(7)[ballot] for _ in range(100)], axis=1).astype(np.uint8)
    got, _ = _entropy(twin("vote_entropy"), votes, 7)
    assert len(np.unique(got)) == 1
    index, score = np.empty(5, np.int64), np.empty(5)
    assert twin("vote_top")(votes, 7, np.empty(0, np.int64), 0, 100, index, score) == 5
    np.testing.assert_array_equal(index, range(5))


@pytest.mark.parametrize("value", [4, 130, 255])
def test_a_vote_out_of_range_is_reported(twin: Twin, value: int) -> None:
    votes = np.zeros((3, 80), np.uint8)
    votes[1, 70] = value
    votes[2, 3] = value
    got, bad = _entropy(twin("vote_entropy"), votes, 4)
    assert bad == 2
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), [3, 70])
    index, score = np.empty(2, np.int64), np.empty(2)
    assert twin("vote_top")(votes, 4, np.empty(0, np.int64), 0, 80, index, score) == -1
