"""Where a pool is cut changes no bit: the best of every piece, put together, are the best of the whole, for every twin."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF, Hard, hard_committees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus.strategies.disagreement import _best_of

Twin = Callable[[str], Callable[..., Any]]
few = settings(
    max_examples=8 if JIT_OFF else 25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@st.composite
def cuts(draw: st.DrawFn, n: int) -> list[int]:
    """Where pieces begin and end: any places, or every so many tracks."""
    if n and draw(st.booleans()):
        return [*range(0, n, draw(st.sampled_from([1, 3, 16, 64, 77, 256, 300, 1000, 1024]))), n]
    return [0, *sorted(draw(st.lists(st.integers(0, n), max_size=6))), n]


def in_pieces(one: Callable[..., int], places: list[int], k: int) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for start, stop in pairwise(places):
        index, score = np.full(k, -1), np.full(k, -7.0)
        count = one(start, stop, index, score)
        parts.append((index[:count], score[:count]))
    top = _best_of(parts, k)
    return top.index[:k], top.utility[:k]


def check(one: Callable[..., int], n: int, k: int, places: list[int]) -> None:
    whole, pieces = in_pieces(one, [0, n], k), in_pieces(one, places, k)
    np.testing.assert_array_equal(pieces[0], whole[0])
    np.testing.assert_array_equal(pieces[1], whole[1])


@pytest.mark.parametrize("measure", range(3), ids=["entropy", "divergence", "margin"])
@few
@given(hard=hard_committees(), k=st.integers(0, 40), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_the_best_of_probabilities(twin: Twin, measure: int, hard: Hard, k: int, seed: int, data: Any) -> None:
    n = hard.proba.shape[1]
    exclude = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.2)
    kernel = twin("query_top")
    check(
        lambda start, stop, *out: kernel(hard.proba, hard.weight, measure, exclude, start, stop, *out),
        n,
        k,
        data.draw(cuts(n)),
    )


@pytest.mark.parametrize("measure", [0, 2], ids=["entropy", "margin"])
@few
@given(hard=hard_committees(), k=st.integers(0, 40), data=st.data())
def test_the_best_of_a_running_mean(twin: Twin, measure: int, hard: Hard, k: int, data: Any) -> None:
    m, n, c = hard.proba.shape
    total, odd, held = np.zeros((n, c), np.int32), np.zeros(n, np.uint16), np.empty_like(hard.proba)
    ceiling = np.empty((-(-n // 256), 2), np.float32)
    for member, factor in enumerate((hard.weight / hard.weight.sum() * 2.0**30).tolist()):
        twin("replace_share")(total, odd, ceiling, held, member, hard.proba[member], True, factor, 0, n)
    twin("state_ceilings")(total, odd, ceiling, 0, n)
    kernel, nothing = twin("state_top"), np.empty(0, np.int64)
    check(
        lambda start, stop, *out: kernel(
            total, odd, ceiling, held, hard.weight, measure, nothing, start, stop, *out
        ),
        n,
        k,
        data.draw(cuts(n)),
    )  # fmt: skip


@few
@given(
    members=st.integers(1, 64),
    classes=st.integers(1, 9),
    n=st.integers(0, 150 if JIT_OFF else 3000),
    k=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_votes(twin: Twin, members: int, classes: int, n: int, k: int, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, classes, (members, n)).astype(np.uint8)
    votes.flags.writeable = False
    exclude, places = np.flatnonzero(rng.random(n) < 0.2), data.draw(cuts(n))
    kernel = twin("vote_top")
    check(lambda start, stop, *out: kernel(votes, classes, exclude, start, stop, *out), n, k, places)
    whole, pieces = np.full(n, -7.0, np.float32), np.full(n, -7.0, np.float32)
    twin("vote_entropy")(votes, classes, 0, n, whole)
    for start, stop in pairwise(places):
        twin("vote_entropy")(votes, classes, start, stop, pieces)
    np.testing.assert_array_equal(pieces, whole)
