"""The best few: every twin against a stable sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Twin = Callable[[str], Callable[..., Any]]


def _expected(utility: np.ndarray, k: int, exclude: np.ndarray) -> np.ndarray:
    allowed = [i for i in range(len(utility)) if i not in set(exclude.tolist())]
    numbers = sorted((i for i in allowed if not np.isnan(utility[i])), key=lambda i: (-float(utility[i]), i))
    return np.array((numbers + [i for i in allowed if np.isnan(utility[i])])[:k], np.int64)


@settings(
    max_examples=20 if JIT_OFF else 150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(
    n=st.integers(0, 3000 if not JIT_OFF else 200),
    k=st.integers(0, 70),
    levels=st.sampled_from([1, 2, 5, 10**6]),
    missing=st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]),
    forbidden=st.sampled_from([0.0, 0.1, 1.0]),
    order=st.sampled_from(["random", "rising", "falling"]),
    dtype=st.sampled_from(["f4", "f8"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_as_a_stable_sort(
    twin: Twin, n: int, k: int, levels: int, missing: float, forbidden: float, order: str, dtype: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    utility = (rng.integers(0, levels, n) - levels // 2).astype(dtype)
    if order != "random":
        utility = np.sort(utility)[:: 1 if order == "rising" else -1].copy()
    utility[rng.random(n) < missing] = np.nan
    utility[rng.random(n) < 0.05] = rng.choice([np.inf, -np.inf, -0.0, 0.0])
    utility.flags.writeable = False
    exclude = np.flatnonzero(rng.random(n) < forbidden)
    index = np.full(k, -1)
    count = twin("top_k")(utility, exclude, index)
    np.testing.assert_array_equal(index[:count], _expected(utility, k, exclude))


@pytest.mark.parametrize("at", [0, 1, 511, 512, 1023, 1024, 2999])
def test_one_that_stands_out_is_found_wherever_it_is(twin: Twin, at: int) -> None:
    utility = np.zeros(3000, np.float32)
    utility[at] = 1e-30
    index = np.empty(3, np.int64)
    assert twin("top_k")(utility, np.empty(0, np.int64), index) == 3
    np.testing.assert_array_equal(index, [at, *[i for i in range(3) if i != at][:2]])
