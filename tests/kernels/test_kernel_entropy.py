"""Disagreement kernels: every twin against the float64 reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import FLAVOURS, JIT_OFF, Hard, build, hard_committees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import _backend

MEASURES = ("consensus_entropy", "mean_kl", "margin")
Twin = Callable[[str], Callable[..., Any]]
many = settings(
    max_examples=15 if JIT_OFF else 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


def utility(kernel: Callable[..., Any], hard: Hard, dtype: str = "f4") -> np.ndarray:
    out = np.full(hard.proba.shape[1], -7.0, dtype)
    kernel(hard.proba, hard.weight, 0, len(out), out)
    return out


def best(
    kernel: Callable[..., Any], hard: Hard, measure: int, k: int, exclude: np.ndarray, start: int, stop: int
) -> Any:
    index, score = np.full(k, -1), np.full(k, -7.0)
    count = kernel(hard.proba, hard.weight, measure, exclude, start, stop, index, score)
    return index[:count], score[:count]


def tolerance(hard: Hard) -> float:
    m, _, c = hard.proba.shape
    return 1.2e-7 * (m + c + 16) * (5 + np.log(c))


@pytest.mark.parametrize("name", MEASURES)
@many
@given(hard=hard_committees())
def test_twins_agree_with_the_reference(twin: Twin, name: str, hard: Hard) -> None:
    got, expected = utility(twin(name), hard), utility(_backend.resolve(name, "reference"), hard, "f8")
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance(hard))
    sane = got[np.isfinite(got)]
    top = 1.0 if name == "margin" else np.log(hard.proba.shape[2])
    assert (sane >= 0).all()
    assert (sane <= top + tolerance(hard)).all()


@pytest.mark.parametrize("measure", range(3), ids=MEASURES)
@many
@given(hard=hard_committees(), k=st.integers(0, 40), data=st.data())
def test_the_best_are_the_references_to_the_last_bit(twin: Twin, measure: int, hard: Hard, k: int, data: Any) -> None:
    n = hard.proba.shape[1]
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    exclude = np.unique(np.array(data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=10)), np.int64))
    index, score = best(twin("query_top"), hard, measure, k, exclude, start, stop)
    index0, score0 = best(_backend.resolve("query_top", "reference"), hard, measure, k, exclude, start, stop)
    np.testing.assert_array_equal(index, index0)
    np.testing.assert_array_equal(score, score0)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_where_the_blocks_are_cut_changes_no_bit(twin: Twin, name: str, flavour: str) -> None:
    hard = build(flavour, 5, 300 if JIT_OFF else 9001, 4, 3, "f4", True)
    n = hard.proba.shape[1]
    whole = utility(twin(name), hard)
    for size in (1, 7, 64, 1000) if n < 1000 else (13, 64, 1000, 4097):
        parts = np.empty(n, np.float32)
        for start in range(0, n, size):
            twin(name)(hard.proba, hard.weight, start, min(start + size, n), parts)
        np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("name", MEASURES)
def test_a_nan_stays_with_its_track(twin: Twin, name: str) -> None:
    hard = build("smooth", 6, 130, 4, 1, "f4", False)
    clean = utility(twin(name), hard)
    dirty = hard.proba.copy()
    dirty[2, 64, 1] = np.nan
    got = utility(twin(name), Hard(dirty, hard.weight, "nan"))
    assert np.isnan(got[64])
    np.testing.assert_array_equal(np.delete(got, 64), np.delete(clean, 64))


@pytest.mark.parametrize("name", MEASURES)
def test_every_length_up_to_67_writes_its_own_tracks_alone(twin: Twin, name: str) -> None:
    hard = build("smooth", 3, 70, 4, 2, "f4", False)
    for n in range(68):
        out = np.full(70, -7.0, np.float32)
        twin(name)(hard.proba, hard.weight, 1, 1 + n, out)
        assert (out[:1] == -7).all()
        assert (out[1 + n :] == -7).all()
        assert (out[1 : 1 + n] >= 0).all()


def test_golden_values(twin: Twin) -> None:
    rows = np.array([[0.25] * 4, [0, 0.5, 0, 0.5], [1, 0, 0, 0], [1 / 6, 2 / 6, 3 / 6, 0]])
    hard = Hard(rows[None], np.ones(1), "golden")
    np.testing.assert_allclose(
        utility(twin("consensus_entropy"), hard), [1.3862944, 0.6931472, 0.0, 1.0114043], atol=2e-7
    )
    np.testing.assert_allclose(utility(twin("margin"), hard), [1, 1, 0, 5 / 6], atol=2e-7)
    assert (utility(twin("mean_kl"), hard) == 0).all()


def test_float32_near_ties_are_settled_in_float64(twin: Twin) -> None:
    # Thousands of tracks within a few units of float32 of each other, the best ones late.
    n = 200 if JIT_OFF else 4000
    rng = np.random.default_rng(5)
    p = np.full((4, n, 4), 0.25) + rng.normal(0, 1e-5, (4, n, 4))
    hard = Hard((p / p.sum(2, keepdims=True)).astype("f4"), np.ones(4), "near")
    expected = np.empty(n)
    _backend.resolve("consensus_entropy", "reference")(hard.proba, hard.weight, 0, n, expected)
    index, score = best(twin("query_top"), hard, 0, 25, np.empty(0, np.int64), 0, n)
    np.testing.assert_array_equal(index, np.argsort(-expected, kind="stable")[:25])
    np.testing.assert_array_equal(score, expected[index])
    assert len(np.unique(expected[index].astype("f4"))) < 25  # float32 could not have told them apart
