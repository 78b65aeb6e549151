"""More than four classes: every width of a row, wherever a block ends, answers as the reference does to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF, Hard, build

from dissensus import _backend

Twin = Callable[[str], Callable[..., Any]]
NOTHING = np.empty(0, np.int64)
CLASSES = (9, 15, 16, 17, 28, 64)
NAMES = ("consensus_entropy", "mean_kl", "margin")
N_TRACKS = 120 if JIT_OFF else 2500


def queried(kernel: Callable[..., Any], hard: Hard, measure: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    index, score = np.full(k, -1), np.full(k, -7.0)
    count = kernel(hard.proba, hard.weight, measure, NOTHING, 0, hard.proba.shape[1], index, score)
    return index[:count], score[:count]


def same_query(twin: Twin, hard: Hard, k: int = 7) -> None:
    for measure in range(3):
        index, score = queried(twin("query_top"), hard, measure, k)
        index0, score0 = queried(_backend.resolve("query_top", "reference"), hard, measure, k)
        np.testing.assert_array_equal(index, index0, err_msg=NAMES[measure])
        np.testing.assert_array_equal(score, score0, err_msg=NAMES[measure])


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("flavour", ["smooth", "sharp", "one-hot", "duplicates", "zeros", "scaled", "broken"])
def test_queries_of_many_classes(twin: Twin, classes: int, flavour: str) -> None:
    same_query(twin, build(flavour, 5, N_TRACKS, classes, 3, "f4", True))


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("leader", [0.9, 1.3, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("width", [0.0, 1e-7, 1e-5, 1e-3])
def test_near_ties_where_bounds_are_tight(twin: Twin, classes: int, leader: float, width: float) -> None:
    # all tracks score nearly the same; one class is `leader` times as likely as it would be if all were alike
    rng = np.random.default_rng(classes)
    row = np.full(classes, (classes - leader) / (classes - 1))
    row[0] = leader
    p = np.stack([rng.permuted(np.tile(row, (N_TRACKS, 1)), axis=1)] * 3)
    p = p * (1 + width * rng.standard_normal(p.shape))
    same_query(twin, Hard((p / p.sum(axis=2, keepdims=True)).astype("f4"), np.ones(3), "near"))


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("order", ["rising", "falling"])
def test_sorted_tracks_with_a_leader(twin: Twin, classes: int, order: str) -> None:
    # from all but certain to all but uniform: the bound is passed at every distance from the mean
    rng = np.random.default_rng(classes)
    lead = np.linspace(0, 1, N_TRACKS)[:: 1 if order == "rising" else -1, None] ** 2
    p = (1 - lead) * rng.dirichlet(np.ones(classes), (2, N_TRACKS)) + lead / classes
    p[:, :, 0] += 1 - lead[:, 0]
    same_query(twin, Hard((p / p.sum(axis=2, keepdims=True)).astype("f4"), np.ones(2), order))


@pytest.mark.parametrize("classes", [1, 2, 3, 5, 6, 7, 8, *CLASSES, 256, 257])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_track_scores_the_same_wherever_its_block_begins(twin: Twin, classes: int, dtype: str) -> None:
    n = 20 if JIT_OFF or classes > 200 else 83
    hard = build("smooth", 3, n, classes, 5, dtype, True)
    for name in NAMES:
        kernel = twin(name)
        whole, pieces = np.full(n, -7.0, np.float32), np.full(n, -7.0, np.float32)
        exact = np.full(n, -7.0)
        kernel(hard.proba, hard.weight, 0, n, whole)
        for start, stop in pairwise([0, 1, 4, 9, 17, 18, n]):
            kernel(hard.proba, hard.weight, start, stop, pieces)
        np.testing.assert_array_equal(pieces, whole, err_msg=name)
        _backend.resolve(name, "reference")(hard.proba, hard.weight, 0, n, exact)
        np.testing.assert_allclose(whole, exact, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("classes", [2, 3, 8, *CLASSES])
def test_a_running_mean_of_many_classes(twin: Twin, classes: int) -> None:
    n = 100 if JIT_OFF else 1300
    before, after = (build(flavour, 4, n, classes, 9, "f4", False) for flavour in ("sharp", "smooth"))
    total, odd, held = np.zeros((n, classes), np.int32), np.zeros(n, np.uint16), np.empty_like(before.proba)
    ceiling = np.empty((-(-n // 256), 2), np.float32)
    for member in range(4):
        twin("replace_share")(total, odd, ceiling, held, member, before.proba[member], True, 2.0**28, 0, n)
    twin("state_ceilings")(total, odd, ceiling, 0, n)
    for member in range(4):
        rows = after.proba[member]
        for start, stop in ((n // 3, n), (0, n // 3)):
            twin("replace_share")(total, odd, ceiling, held, member, rows, False, 2.0**28, start, stop)
    for measure in (0, 2):
        index, score = np.full(9, -1), np.full(9, -7.0)
        twin("state_top")(total, odd, ceiling, held, after.weight, measure, NOTHING, 0, n, index, score)
        index0, score0 = queried(_backend.resolve("query_top", "reference"), after, measure, 9)
        np.testing.assert_array_equal(index, index0)
        np.testing.assert_array_equal(score, score0)


@pytest.mark.parametrize("classes", range(1, 11))
@pytest.mark.parametrize("members", [1, 2, 5, 14, 15, 16, 31, 32])
def test_the_best_votes_whatever_ties(twin: Twin, classes: int, members: int) -> None:
    n = 150 if JIT_OFF else 1500
    rng = np.random.default_rng(members)
    votes = rng.integers(0, classes, (members, n)).astype(np.uint8)
    votes.flags.writeable = False
    out, out0 = np.full(n, -7.0, np.float32), np.full(n, -7.0)
    assert twin("vote_entropy")(votes, classes, 0, n, out) == 0
    _backend.resolve("vote_entropy", "reference")(votes, classes, 0, n, out0)
    np.testing.assert_allclose(out, out0, rtol=0, atol=1e-6)
    for k, start in ((3, 0), (40, 7)):
        found = []
        for kernel in (twin("vote_top"), _backend.resolve("vote_top", "reference")):
            index, score = np.full(k, -1), np.full(k, -7.0)
            assert kernel(votes, classes, NOTHING, start, n, index, score) == k
            found.append((index, score))
        np.testing.assert_array_equal(found[0][0], found[1][0])
        np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("vote", [8, 15, 16, 64, 128, 255])
@pytest.mark.parametrize("at", [0, 700, 1499])
def test_a_bad_vote_is_found_after_the_best_are_known(twin: Twin, vote: int, at: int) -> None:
    # all the others tie at the most there is, and the query need not score anybody any more
    n = 1500
    votes = np.tile(np.arange(8, dtype=np.uint8)[:, None], (1, n))
    votes[3, at] = vote
    votes.flags.writeable = False
    out = np.zeros(n, np.float32)
    assert twin("vote_entropy")(votes, 8, 0, n, out) == 1
    assert np.isnan(out[at])
    assert np.isnan(out).sum() == 1
    index, score = np.full(3, -1), np.full(3, -7.0)
    assert twin("vote_top")(votes, 8, NOTHING, 0, n, index, score) == -1
