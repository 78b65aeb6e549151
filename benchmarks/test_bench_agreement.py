"""Krippendorff's alpha, ordinal, on many raters and units with few ratings each, beside the usual Python implementation.

The peer is the package ``krippendorff`` (GPL-3.0: install it by hand where the benchmark runs; it is no dependency). The
values are asserted equal first. Both on one thread:

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 pytest benchmarks/test_bench_agreement.py --benchmark-enable -s
"""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from dissensus.evaluation.agreement import krippendorff_alpha

SHAPE = (1_000, 10_000)
FILLED = 0.05
GROUP = f"krippendorff_alpha|ordinal {SHAPE[0]}x{SHAPE[1]}, {FILLED:.0%} filled"


@pytest.fixture(scope="module")
def ratings() -> Any:
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 6, SHAPE[1])
    matrix = np.clip(truth + rng.integers(-1, 2, SHAPE), 1, 5).astype(np.float64)
    matrix[rng.random(SHAPE) >= FILLED] = np.nan
    krippendorff_alpha(matrix[:10, :100], level="ordinal")  # compile
    return matrix


def test_ours(benchmark: Any, ratings: Any) -> None:
    benchmark.group = GROUP
    found = benchmark(krippendorff_alpha, ratings, level="ordinal")
    assert 0.4 < found < 0.9


@pytest.mark.parametrize("who", ["krippendorff, from PyPI"])
def test_peer(benchmark: Any, who: str, ratings: Any) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    benchmark.group = GROUP
    found = benchmark.pedantic(
        krippendorff.alpha,
        kwargs={"reliability_data": ratings, "level_of_measurement": "ordinal"},
        rounds=3,
    )
    assert found == pytest.approx(krippendorff_alpha(ratings, level="ordinal"), abs=1e-9)


def _best(call: Any, rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return min(spent)


def test_ratio_and_memory(ratings: Any) -> None:
    krippendorff = pytest.importorskip("krippendorff")

    def ours() -> float:
        return krippendorff_alpha(ratings, level="ordinal")

    def peer() -> float:
        return float(krippendorff.alpha(reliability_data=ratings, level_of_measurement="ordinal"))

    assert ours() == pytest.approx(peer(), abs=1e-9)
    fast, slow = _best(ours, 7), _best(peer, 3)
    peaks = []
    for call in (ours, peer):
        tracemalloc.start()
        call()
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    print(
        f"\n{GROUP}: {1e3 * fast:.1f} ms, krippendorff {1e3 * slow:.0f} ms, {slow / fast:.0f}x, one thread; "
        f"peak beyond the input {peaks[0]:.0f} MiB, krippendorff {peaks[1]:.0f} MiB"
    )
    assert peaks[0] < 1024
