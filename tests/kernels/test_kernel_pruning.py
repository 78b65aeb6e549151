"""Queries leave most tracks out unseen: whatever order they come in, the answer is the reference's to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import FLAVOURS, JIT_OFF, Hard, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import _backend

Twin = Callable[[str], Callable[..., Any]]
MOST = 1500 if JIT_OFF else 60_000
NOTHING = np.empty(0, np.int64)
many = settings(
    max_examples=10 if JIT_OFF else 50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


def reference(name: str) -> Callable[..., Any]:
    return _backend.resolve(name, "reference")


def best(
    kernel: Callable[..., Any], hard: Hard, measure: int, k: int, exclude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    index, score = np.full(k, -1), np.full(k, -7.0)
    count = kernel(hard.proba, hard.weight, measure, exclude, 0, hard.proba.shape[1], index, score)
    return index[:count], score[:count]


def scores(hard: Hard, measure: int) -> np.ndarray:
    out = np.empty(hard.proba.shape[1])
    kernel = reference(("consensus_entropy", "mean_kl", "margin")[measure])
    kernel(hard.proba, hard.weight, 0, len(out), out)
    return out


@st.composite
def ordered(draw: st.DrawFn) -> Hard:
    """A few hundred to a few thousand tracks, sorted by what they score, with odd rows of another flavour among them."""
    m, c = draw(st.integers(1, 64)), draw(st.one_of(st.sampled_from([4, 4, 4, 2, 3, 5]), st.integers(2, 64)))
    n = draw(st.integers(64, max(96, min(6000, MOST // (m * c)))))
    seed, dtype = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(["f4", "f4", "f8"]))
    hard = build(draw(st.sampled_from(["smooth", "sharp", "duplicates", "uniform"])), m, n, c, seed, dtype, True)
    other = build(draw(st.sampled_from(FLAVOURS)), m, n, c, seed + 1, dtype, False)
    order = draw(st.sampled_from(["rising", "falling", "as drawn"]))
    proba = hard.proba
    if order != "as drawn":
        proba = proba[:, np.argsort(scores(hard, 0), kind="stable")[:: 1 if order == "rising" else -1]]
    proba = np.array(proba, order="C")
    odd = np.random.default_rng(seed).random(n) < draw(st.sampled_from([0.0, 0.01, 0.5]))
    proba[:, odd] = other.proba[:, odd]
    return Hard(proba, hard.weight, order)


@pytest.mark.parametrize("measure", [0, 2], ids=["entropy", "margin"])
@many
@given(hard=ordered(), k=st.sampled_from([1, 2, 3, 10]), leave_out=st.sampled_from([0, 1, 40]))
def test_any_order(twin: Twin, measure: int, hard: Hard, k: int, leave_out: int) -> None:
    exclude = np.sort(np.argsort(-scores(hard, measure), kind="stable")[:leave_out])
    index, score = best(twin("query_top"), hard, measure, k, exclude)
    index0, score0 = best(reference("query_top"), hard, measure, k, exclude)
    np.testing.assert_array_equal(index, index0)
    np.testing.assert_array_equal(score, score0)


@pytest.mark.parametrize("measure", [0, 2], ids=["entropy", "margin"])
@many
@given(hard=ordered(), k=st.sampled_from([1, 3, 10]), seed=st.integers(0, 2**32 - 1))
def test_any_order_of_a_running_mean(twin: Twin, measure: int, hard: Hard, k: int, seed: int) -> None:
    m, n, c = hard.proba.shape
    rng = np.random.default_rng(seed)
    total, odd, held = np.zeros((n, c), np.int32), np.zeros(n, np.uint16), np.empty_like(hard.proba)
    ceiling = np.empty((-(-n // 256), 2), np.float32)
    factor = hard.weight / hard.weight.sum() * 2.0**30
    replace = twin("replace_share")
    for member in range(m):
        before = hard.proba[rng.integers(m)]
        replace(total, odd, ceiling, held, member, before, True, float(factor[member]), 0, n)
    twin("state_ceilings")(total, odd, ceiling, 0, n)
    for member in range(m):
        cut = int(rng.integers(n + 1))
        for start, stop in ((cut, n), (0, cut)):
            replace(total, odd, ceiling, held, member, hard.proba[member], False, float(factor[member]), start, stop)
    exclude = np.flatnonzero(rng.random(n) < 0.1)
    index, score = np.full(k, -1), np.full(k, -7.0)
    count = twin("state_top")(total, odd, ceiling, held, hard.weight, measure, exclude, 0, n, index, score)
    index0, score0 = best(reference("query_top"), hard, measure, k, exclude)
    np.testing.assert_array_equal(index[:count], index0)
    np.testing.assert_array_equal(score[:count], score0)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("width", [0.0, 1e-7, 1e-6, 1e-5, 1e-3])
def test_near_ties_at_the_threshold(twin: Twin, classes: int, width: float) -> None:
    # all tracks score nearly the same, far below the most there is: nothing may be left out by rounding alone
    n = 150 if JIT_OFF else 3000
    rng = np.random.default_rng(7)
    row = rng.random(classes) + 0.05
    row[0] *= 6
    p = np.stack([rng.permuted(np.tile(row, (n, 1)), axis=1)] * 3) * (1 + width * rng.standard_normal((3, n, classes)))
    hard = Hard((p / p.sum(axis=2, keepdims=True)).astype("f4"), np.ones(3), "near")
    for measure in (0, 2):
        index, score = best(twin("query_top"), hard, measure, 7, NOTHING)
        index0, score0 = best(reference("query_top"), hard, measure, 7, NOTHING)
        np.testing.assert_array_equal(index, index0)
        np.testing.assert_array_equal(score, score0)


@pytest.mark.parametrize("scale", [1.0, 1 / 16, 1 / 15.9, 16.0, 15.9, 1e-20, 1e20])
def test_rows_that_do_not_sum_to_one(twin: Twin, scale: float) -> None:
    hard = build("smooth", 4, 200 if JIT_OFF else 2000, 4, 11, "f4", False)
    stretched = hard.proba.copy()
    stretched[:, ::3] *= np.float32(scale)
    hard = Hard(stretched, hard.weight, "stretched")
    for measure in (0, 2):
        index, score = best(twin("query_top"), hard, measure, 5, NOTHING)
        index0, score0 = best(reference("query_top"), hard, measure, 5, NOTHING)
        np.testing.assert_array_equal(index, index0)
        np.testing.assert_array_equal(score, score0)


@many
@given(
    members=st.integers(1, 40),
    classes=st.integers(1, 6),
    n=st.integers(0, 200 if JIT_OFF else 2000),
    k=st.integers(1, 20),
    bad=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_votes_of_few_classes(twin: Twin, members: int, classes: int, n: int, k: int, bad: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, classes, (members, n)).astype(np.uint8)
    if bad and n:
        votes[rng.integers(members, size=3), rng.integers(n, size=3)] = rng.choice(
            [classes, 4, 16, 63, 64, 128, 255], 3
        )
    votes.flags.writeable = False
    out, out0 = np.full(n, -7.0, np.float32), np.full(n, -7.0)
    assert twin("vote_entropy")(votes, classes, 0, n, out) == reference("vote_entropy")(votes, classes, 0, n, out0)
    np.testing.assert_allclose(out, out0, rtol=0, atol=1e-6)
    found = []
    for kernel in (twin("vote_top"), reference("vote_top")):
        index, score = np.full(k, -1), np.full(k, -7.0)
        found.append((kernel(votes, classes, NOTHING, 0, n, index, score), index, score))
    assert found[0][0] == found[1][0]
    if found[0][0] >= 0:
        np.testing.assert_array_equal(found[0][1], found[1][1])
        np.testing.assert_array_equal(found[0][2], found[1][2])
