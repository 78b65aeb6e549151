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

from dissensus.agreement.alpha import krippendorff_alpha

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


def _best(calls: dict[str, Any], rounds: int) -> dict[str, float]:
    """Least time of each, one after the other in every round."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - began)
    return {name: 1e3 * min(times) for name, times in spent.items()}


def test_ratio_and_memory(ratings: Any) -> None:
    krippendorff = pytest.importorskip("krippendorff")

    def ours(n_threads: int = 1) -> float:
        return krippendorff_alpha(ratings, level="ordinal", n_threads=n_threads)

    def peer() -> float:
        return float(krippendorff.alpha(reliability_data=ratings, level_of_measurement="ordinal"))

    assert ours() == pytest.approx(peer(), abs=1e-9)
    assert ours() == ours(2)
    bits = ratings.view(np.uint64)
    calls = {"ours": ours, "two": lambda: ours(2), "peer": peer, "read": lambda: np.bitwise_xor.reduce(bits, axis=None)}
    ms = _best(calls, 15)
    peaks = []
    for call in (ours, peer):
        tracemalloc.start()
        call()
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    print(
        f"\n{GROUP}: {ms['ours']:.2f} ms, krippendorff {ms['peer']:.0f} ms, {ms['peer'] / ms['ours']:.0f}x, one thread; two "
        f"threads {ms['two']:.2f} ms; numpy reads the matrix in {ms['read']:.2f} ms; "
        f"peak beyond the input {peaks[0]:.1f} MiB, krippendorff {peaks[1]:.0f} MiB"
    )
    assert peaks[0] < 1024
