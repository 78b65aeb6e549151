"""The running mean's kernels: totals equal to the bit on every twin, however they came about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF, Hard, build, hard_committees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus import _backend

Twin = Callable[[str], Callable[..., Any]]


def fill(twin: Twin, hard: Hard) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    m, n, c = hard.proba.shape
    total, odd, held = np.zeros((n, c), np.int32), np.zeros(n, np.uint16), np.empty_like(hard.proba)
    ceiling = np.full((-(-n // 256), 2), -7.0, np.float32)
    factor = hard.weight / hard.weight.sum() * 2.0**30
    for member in range(m):
        twin("replace_share")(total, odd, ceiling, held, member, hard.proba[member], True, float(factor[member]), 0, n)
    twin("state_ceilings")(total, odd, ceiling, 0, n)
    return total, odd, ceiling, held


def reference(name: str) -> Callable[..., Any]:
    return _backend.resolve(name, "reference")


@settings(
    max_examples=10 if JIT_OFF else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(hard=hard_committees(), k=st.integers(0, 20), measure=st.sampled_from([0, 2]), seed=st.integers(0, 2**32 - 1))
def test_totals_utilities_and_queries(twin: Twin, hard: Hard, k: int, measure: int, seed: int) -> None:
    m, n, c = hard.proba.shape
    rng = np.random.default_rng(seed)
    total, odd, ceiling, held = fill(twin, hard)
    # one member after another: something else first, then its rows again; an even cut and an odd one
    factor = hard.weight / hard.weight.sum() * 2.0**30
    for member in rng.integers(m, size=3):
        other = hard.proba[rng.integers(m)]
        for rows in (other, hard.proba[member]):
            cut = int(rng.integers(n + 1))
            for start, stop in ((0, cut), (cut, n)):
                twin("replace_share")(
                    total, odd, ceiling, held, int(member), rows, False, float(factor[member]), start, stop
                )
    with np.errstate(all="ignore"):
        total0, odd0, ceiling0, held0 = fill(reference, hard)
    np.testing.assert_array_equal(total, total0)
    np.testing.assert_array_equal(odd, odd0)
    np.testing.assert_array_equal(held, held0)

    out, out0 = np.empty(n, np.float32), np.empty(n)
    twin("state_utility")(total, odd, ceiling, held, hard.weight, measure, 0, n, out)
    reference("state_utility")(total0, odd0, ceiling0, held0, hard.weight, measure, 0, n, out0)
    share = m / 2.0**31
    near = 1.2e-7 * (m + c + 16) * (5 + np.log(c)) + 4 * c * share * (1 - np.log(share))
    np.testing.assert_allclose(out, out0, rtol=0, atol=near)

    # a ceiling is at or above whatever shares it
    most = np.full(256 * len(ceiling), -np.inf)
    most[:n] = np.where(np.isnan(out0), np.inf, out0)
    assert (ceiling[:, measure // 2] >= most.reshape(-1, 256).max(axis=1, initial=-np.inf) - near).all()

    exclude = np.flatnonzero(rng.random(n) < 0.1)
    found = []
    for kernel in (twin("state_top"), reference("state_top")):
        index, score = np.full(k, -1), np.full(k, -7.0)
        count = kernel(total, odd, ceiling, held, hard.weight, measure, exclude, 0, n, index, score)
        found.append((index[:count], score[:count]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("flavour", ["smooth", "broken"])
def test_where_the_blocks_are_cut_changes_no_bit(twin: Twin, flavour: str) -> None:
    hard = build(flavour, 4, 200 if JIT_OFF else 5000, 4, 9, "f4", True)
    n = hard.proba.shape[1]
    total, odd, ceiling, held = fill(twin, hard)
    whole, parts = np.empty(n, np.float32), np.empty(n, np.float32)
    twin("state_utility")(total, odd, ceiling, held, hard.weight, 0, 0, n, whole)
    for start in range(0, n, 77):
        twin("state_utility")(total, odd, ceiling, held, hard.weight, 0, start, min(start + 77, n), parts)
    np.testing.assert_array_equal(whole, parts)
