"""Disagreement as users call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import dissensus
from dissensus.errors import ParameterError
from dissensus.strategies import (
    consensus_entropy,
    margin,
    mean_kl,
    mutual_information,
    query_top,
    query_votes,
    select_top,
    vote_entropy,
)

BACKENDS = ("auto", "numba", "reference")
MEASURES = (consensus_entropy, mean_kl, mutual_information, margin)


@pytest.fixture(scope="module")
def proba() -> np.ndarray:
    p = np.random.default_rng(0).dirichlet(np.ones(4), (6, 1500)).astype(np.float32)
    p.flags.writeable = False
    return p


@pytest.mark.parametrize("backend", BACKENDS)
def test_consensus_entropy_is_scipys_of_the_mean(proba: np.ndarray, backend: str) -> None:
    expected = stats.entropy(proba.astype(float).mean(0), axis=1)
    got = consensus_entropy(proba, backend=backend)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mean_kl_and_mutual_information_from_their_own_definitions(proba: np.ndarray, backend: str) -> None:
    wide = proba.astype(float)
    mean = wide.mean(0)
    kl = np.mean([stats.entropy(row, mean, axis=1) for row in wide], axis=0)
    information = stats.entropy(mean, axis=1) - stats.entropy(wide, axis=2).mean(0)
    np.testing.assert_allclose(mean_kl(proba, backend=backend), kl, atol=2e-6)
    np.testing.assert_allclose(mutual_information(proba, backend=backend), information, atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_margin_from_its_definition(proba: np.ndarray, backend: str) -> None:
    ordered = np.sort(proba.astype(float).mean(0), axis=1)
    np.testing.assert_allclose(margin(proba, backend=backend), 1 - (ordered[:, -1] - ordered[:, -2]), atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_vote_entropy_from_its_definition(proba: np.ndarray, backend: str) -> None:
    votes = proba.argmax(2)
    expected = stats.entropy(np.stack([(votes == c).mean(0) for c in range(4)]), axis=0)
    for dtype in (np.uint8, np.int8, np.int64, np.uint32):
        np.testing.assert_allclose(vote_entropy(votes.astype(dtype), n_classes=4, backend=backend), expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weighted_votes_from_their_definition(proba: np.ndarray, backend: str) -> None:
    votes, weight = proba.argmax(2), np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])
    share = np.stack([((votes == c) * weight[:, None]).sum(0) for c in range(4)]) / weight.sum()
    expected, options = stats.entropy(share, axis=0), {"n_classes": 4, "backend": backend}
    got = vote_entropy(votes, member_weight=weight, **options)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-6)
    twice = np.concatenate([votes[[0, 2, 2, 4, 4, 4, 5]]])
    np.testing.assert_allclose(
        vote_entropy(twice, **options), vote_entropy(votes, member_weight=[1, 0, 2, 0, 3, 1], **options), atol=2e-6
    )
    np.testing.assert_allclose(
        vote_entropy(votes, member_weight=np.full(6, 0.7), **options), vote_entropy(votes, **options), atol=2e-6
    )
    top = query_votes(votes, 9, member_weight=weight, exclude=[0], **options)
    reference = query_votes(votes, 9, member_weight=weight, exclude=[0], n_classes=4, backend="reference")
    np.testing.assert_array_equal(top.index, reference.index)
    np.testing.assert_array_equal(top.utility, reference.utility)
    np.testing.assert_allclose(top.utility, np.sort(expected[1:])[::-1][:9], atol=1e-12)


@pytest.mark.parametrize("function", MEASURES)
def test_members_in_another_order_and_equal_weights_change_nothing_to_speak_of(
    proba: np.ndarray, function: Any
) -> None:
    base = function(proba)
    np.testing.assert_allclose(function(proba[::-1]), base, atol=2e-6)
    np.testing.assert_allclose(function(proba, member_weight=np.full(6, 3.5)), base, atol=2e-6)


@pytest.mark.parametrize("function", MEASURES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_weight_of_two_is_the_member_twice(proba: np.ndarray, function: Any, backend: str) -> None:
    twice = np.concatenate([proba, proba[2:3]])
    weighted = function(proba, member_weight=[1, 1, 2, 1, 1, 1], backend=backend)
    np.testing.assert_allclose(weighted, function(twice, backend=backend), atol=3e-6)


@pytest.mark.parametrize("function", MEASURES)
def test_threads_change_no_bit_and_inputs_stay_as_they_were(function: Any) -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(4), (3, 200_001)).astype(np.float32)
    before = p.copy()
    one = function(p)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(function(p, n_threads=n_threads), one)
    tops = [query_top(p, 20, measure=function.__name__, n_threads=n) for n in (1, 2, 3)]
    for top in tops[1:]:
        np.testing.assert_array_equal(top.index, tops[0].index)
        np.testing.assert_array_equal(top.utility, tops[0].utility)
    np.testing.assert_array_equal(p, before)


def test_votes_on_threads() -> None:
    votes = np.random.default_rng(1).integers(0, 4, (9, 200_001)).astype(np.uint8)
    one, top = (
        vote_entropy(votes, n_classes=4),
        query_votes(votes, 20, n_classes=4),
    )
    for n_threads in (2, 3):
        np.testing.assert_array_equal(vote_entropy(votes, n_classes=4, n_threads=n_threads), one)
        again = query_votes(votes, 20, n_classes=4, n_threads=n_threads)
        np.testing.assert_array_equal(again.index, top.index)
    np.testing.assert_array_equal(top.index, select_top(one, 20))


@pytest.mark.compiled
def test_weighted_votes_on_threads() -> None:
    rng = np.random.default_rng(2)
    votes, weight = rng.integers(0, 4, (9, 200_001)).astype(np.uint8), rng.random(9)
    options: dict[str, Any] = {"n_classes": 4, "member_weight": weight}
    one = vote_entropy(votes, **options)
    top = query_votes(votes, 20, **options)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(vote_entropy(votes, n_threads=n_threads, **options), one)
        again = query_votes(votes, 20, n_threads=n_threads, **options)
        np.testing.assert_array_equal(again.index, top.index)
        np.testing.assert_array_equal(again.utility, top.utility)


def test_any_layout(proba: np.ndarray, tmp_path: Path) -> None:
    base = consensus_entropy(proba)
    odd = np.zeros(proba.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(proba.shape)
    odd[...] = proba
    file = tmp_path / "proba.f4"
    proba.tofile(file)
    for other in (
        np.asfortranarray(proba),
        np.repeat(proba, 2, axis=1)[:, ::2],
        proba.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        proba.astype(">f4"),
        odd,
        np.memmap(file, np.float32, "r", shape=proba.shape),
        proba.tolist(),
        proba.astype(np.float64),
    ):
        np.testing.assert_allclose(consensus_entropy(other), base, atol=2e-6)
        np.testing.assert_array_equal(query_top(other, 5).index, query_top(proba, 5).index)
    np.testing.assert_allclose(consensus_entropy(proba.astype(np.float16)), base, atol=2e-3)


def test_an_array_that_fits_is_not_copied(proba: np.ndarray, tmp_path: Path) -> None:
    from dissensus._validate import as_proba

    file = tmp_path / "proba.f4"
    proba.tofile(file)
    for array in (proba, proba.astype(np.float64), np.memmap(file, np.float32, "r", shape=proba.shape)):
        seen = as_proba(array)
        assert np.shares_memory(seen, array)
        assert not seen.flags.writeable


def test_no_tracks_and_few_tracks() -> None:
    empty = np.empty((3, 0, 4), np.float32)
    for function in MEASURES:
        assert function(empty).shape == (0,)
        assert query_top(empty, 5, measure=function.__name__).index.shape == (0,)
    assert vote_entropy(np.empty((3, 0), np.uint8), n_classes=4).shape == (0,)
    top = query_top(np.full((2, 3, 4), 0.25), 5, exclude=[1])
    np.testing.assert_array_equal(top.index, [0, 2])
    assert query_top(np.full((2, 3, 4), 0.25), 0).index.shape == (0,)


def test_the_best_leave_out_what_is_excluded_and_put_nan_last(proba: np.ndarray) -> None:
    p = proba.copy()
    p[3, 7] = np.nan
    full = query_top(p, 1500)
    assert full.index[-1] == 7
    assert np.isnan(full.utility[-1])
    assert (np.diff(full.utility[:-1]) <= 0).all()
    without = full.index[:3]
    mask = np.zeros(1500, bool)
    mask[without] = True
    for exclude in (without, mask, without.astype(np.int16), [*without, *without]):
        np.testing.assert_array_equal(query_top(p, 4, exclude=exclude).index, full.index[3:7])


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((np.ones((3, 4)),), {}, r"got shape \(3, 4\); one member alone is proba\[None\]"),
        ((np.ones((0, 3, 4)),), {}, "at least one member"),
        ((np.ones((2, 3, 0)),), {}, "one class"),
        ((np.full((2, 3, 4), "a"),), {}, "real numbers"),
        ((np.ones((2, 3, 4), complex),), {}, "real numbers"),
        ((np.ones((2, 3, 4)),), {"member_weight": [1.0]}, r"must be \(2,\)"),
        ((np.ones((2, 3, 4)),), {"member_weight": [1.0, -1.0]}, "non-negative"),
        ((np.ones((2, 3, 4)),), {"member_weight": [0.0, 0.0]}, "sum above zero"),
        ((np.ones((2, 3, 4)),), {"member_weight": [np.nan, 1.0]}, "finite"),
        ((np.ones((2, 3, 4)),), {"n_threads": 0}, "n_threads=0"),
        ((np.ones((2, 3, 4)),), {"backend": "fortran"}, "choose 'auto'"),
        ((np.ones((1, 1, 5000)),), {}, "at most 4096 classes"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments: tuple[Any, ...], options: dict[str, Any], says: str) -> None:
    for function in MEASURES:
        with pytest.raises(ParameterError, match=says):
            function(*arguments, **options)
    with pytest.raises(ParameterError, match=says):
        query_top(*arguments, 2, **options)


@pytest.mark.parametrize(
    ("votes", "n_classes", "says"),
    [
        (np.zeros(3, np.uint8), 4, r"\(n_members, n_tracks\)"),
        (np.zeros((0, 3), np.uint8), 4, "at least one member"),
        (np.zeros((2, 3)), 4, "whole numbers"),
        (np.full((2, 3), -1), 4, "from -1 to -1"),
        (np.full((2, 3), 4), 4, "must lie in 0..3"),
        (np.full((2, 3), 4, np.uint8), 4, r"votes\[0, 0\] is 4"),
        (np.zeros((2, 3), np.uint8), 0, "n_classes=0"),
        (np.zeros((2, 3), np.uint8), 256, "at most 255"),
        (np.zeros((5000, 1), np.uint8), 4, "at most 4096 members"),
    ],
)
def test_votes_that_cannot_be_are_refused_by_name(votes: np.ndarray, n_classes: int, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        vote_entropy(votes, n_classes=n_classes)
    with pytest.raises(ParameterError, match=says):
        query_votes(votes, 2, n_classes=n_classes)
    weight = np.ones(max(1, len(votes)))
    with pytest.raises(ParameterError, match=says):
        vote_entropy(votes, n_classes=n_classes, member_weight=weight)
    with pytest.raises(ParameterError, match=says):
        query_votes(votes, 2, n_classes=n_classes, member_weight=weight)


@pytest.mark.parametrize(
    ("weight", "says"), [([1.0], r"must be \(2,\)"), ([1.0, -1.0], "non-negative"), ([0, 0], "sum above")]
)
def test_weights_of_votes_that_cannot_be_are_refused_by_name(weight: Any, says: str) -> None:
    votes = np.zeros((2, 5), np.uint8)
    with pytest.raises(ParameterError, match=says):
        vote_entropy(votes, n_classes=4, member_weight=weight)
    with pytest.raises(ParameterError, match=says):
        query_votes(votes, 2, n_classes=4, member_weight=weight)


def test_query_top_refuses_by_name(proba: np.ndarray) -> None:
    for options, says in (
        ({"measure": "doubt"}, "choose one of consensus_entropy"),
        ({"measure": "vote_entropy"}, "needs n_classes"),
        ({"exclude": [1500]}, r"0\.\.1499"),
        ({"exclude": [-1]}, r"0\.\.1499"),
        ({"exclude": np.zeros(3, bool)}, "mask"),
        ({"exclude": [0.5]}, "positions"),
    ):
        with pytest.raises(ParameterError, match=says):
            query_top(proba, 2, **options)
    with pytest.raises(ParameterError, match="k=-1"):
        query_top(proba, -1)


def test_public_names() -> None:
    for function in (*MEASURES, vote_entropy, select_top, query_top):
        assert getattr(dissensus, function.__name__) is function


def test_votes_are_asked_about_by_either_name() -> None:
    votes = [[0, 1, 1, 3], [0, 2, 1, 0], [0, 3, 0, 0]]
    one, other = query_votes(votes, 3, n_classes=4), query_top(votes, 3, measure="vote_entropy", n_classes=4)
    assert one.index.tolist() == other.index.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(one.utility, other.utility)
    with pytest.raises(ParameterError, match="k"):
        query_votes(votes, -1, n_classes=4)
