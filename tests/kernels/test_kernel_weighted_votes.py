"""Entropy of weighted votes: every twin there is against the reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hard_committees import JIT_OFF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import _backend

FAST = [name for name in _backend.available("weighted_vote_top") if name != "reference"]
many = settings(max_examples=15 if JIT_OFF else 80, suppress_health_check=[HealthCheck.too_slow], deadline=None)


class Ballot(NamedTuple):
    votes: np.ndarray
    weight: np.ndarray
    n_classes: int


@st.composite
def ballots(draw: st.DrawFn) -> Ballot:
    m, c = draw(st.integers(1, 64)), draw(st.one_of(st.integers(1, 8), st.integers(2, 255)))
    n = draw(st.integers(0, 20 if JIT_OFF else 2500))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    votes = rng.integers(0, draw(st.integers(1, c)), (m, n)).astype(np.uint8)
    votes.flags.writeable = False
    kind = draw(st.sampled_from(["any", "equal", "few kinds", "some zero", "far apart", "tiny"]))
    weight = {
        "any": rng.random(m) + 1e-3,
        "equal": np.full(m, 0.3),
        "few kinds": rng.choice([0.5, 1.0, 2.0], m),
        "some zero": rng.integers(0, 2, m).astype(float),
        "far apart": 10.0 ** rng.integers(-12, 12, m),
        "tiny": rng.random(m) * 1e-300,
    }[kind]
    if not weight.sum() > 0:
        weight[0] = 1.0
    return Ballot(votes, weight, c)


def utility(backend: str, ballot: Ballot, dtype: str = "f4") -> np.ndarray:
    out = np.full(ballot.votes.shape[1], -7.0, dtype)
    assert _backend.resolve("weighted_vote_entropy", backend)(*ballot, 0, len(out), out) == 0
    return out


def best(backend: str, ballot: Ballot, k: int, exclude: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    index, score = np.full(k, -1), np.full(k, -7.0)
    kernel = _backend.resolve("weighted_vote_top", backend)
    count = kernel(*ballot, exclude, start, ballot.votes.shape[1], index, score)
    return index[:count], score[:count]


@pytest.mark.parametrize("backend", FAST)
@many
@given(ballot=ballots())
def test_twins_agree_with_the_reference(backend: str, ballot: Ballot) -> None:
    got, expected = utility(backend, ballot), utility("reference", ballot, "f8")
    m, c = len(ballot.votes), ballot.n_classes
    np.testing.assert_allclose(got, expected, rtol=0, atol=1.2e-7 * (m + c + 16) * (2 + np.log(c)))
    assert (got >= 0).all()


@pytest.mark.parametrize("backend", FAST)
@many
@given(ballot=ballots(), k=st.integers(0, 40), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_the_best_are_the_references_to_the_last_bit(
    backend: str, ballot: Ballot, k: int, seed: int, data: Any
) -> None:
    n = ballot.votes.shape[1]
    start, exclude = data.draw(st.integers(0, n)), np.flatnonzero(np.random.default_rng(seed).random(n) < 0.2)
    for got, expected in zip(
        best(backend, ballot, k, exclude, start), best("reference", ballot, k, exclude, start), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("backend", FAST)
def test_where_the_blocks_are_cut_changes_no_bit(backend: str) -> None:
    n = 60 if JIT_OFF else 5000
    rng = np.random.default_rng(0)
    ballot = Ballot(rng.integers(0, 4, (9, n)).astype(np.uint8), rng.random(9), 4)
    whole, parts = utility(backend, ballot), np.empty(n, np.float32)
    kernel = _backend.resolve("weighted_vote_entropy", backend)
    for size in (1, 7, 64, 1023):
        parts[:] = -7
        for start in range(0, n, size):
            kernel(*ballot, start, min(start + size, n), parts)
        np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("backend", FAST)
def test_equal_shares_are_equal_to_the_bit_whichever_classes_they_are_for(backend: str) -> None:
    rng = np.random.default_rng(1)
    cast = rng.integers(0, 7, 20)
    votes = np.stack([rng.permutation(7)[cast] for _ in range(100)], axis=1).astype(np.uint8)
    ballot = Ballot(votes, rng.random(20), 7)
    assert len(np.unique(utility(backend, ballot))) == 1
    index, score = best(backend, ballot, 5, np.empty(0, np.int64), 0)
    np.testing.assert_array_equal(index, range(5))
    assert len(np.unique(score)) == 1


@pytest.mark.parametrize("backend", [*FAST, "reference"])
@pytest.mark.parametrize("value", [4, 130, 255])
def test_a_vote_out_of_range_is_reported(backend: str, value: int) -> None:
    votes = np.zeros((3, 80), np.uint8)
    votes[1, 70] = votes[2, 3] = votes[0, 3] = value
    out = np.empty(80, np.float32)
    assert _backend.resolve("weighted_vote_entropy", backend)(votes, np.ones(3), 4, 0, 80, out) == 2
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out)), [3, 70])
    index, score = np.empty(2, np.int64), np.empty(2)
    kernel = _backend.resolve("weighted_vote_top", backend)
    assert kernel(votes, np.ones(3), 4, np.empty(0, np.int64), 0, 80, index, score) == -1
