"""The query core beside its peers: 20 members, 4 classes, up to five million tracks.

One thread unless a name says two; the ceiling is the time numpy takes to read the same bytes in the same session.

    pytest benchmarks/test_bench_query.py --benchmark-enable --benchmark-only -s
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import workloads
from dissensus.strategies import (
    ConsensusState,
    consensus_entropy,
    margin,
    mean_kl,
    query_top,
    query_votes,
    select_top,
    vote_entropy,
)

MILLION = 1_000_000


def timed(benchmark: Any, call: Callable[[], Any], *, rounds: int) -> None:
    with threadpool_limits(1):
        benchmark.pedantic(call, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)


def rounds_for(n_tracks: int, slow: bool) -> int:
    if slow:
        return {10_000: 20, MILLION: 3}.get(n_tracks, 1)
    return {10_000: 300, MILLION: 30}.get(n_tracks, 8)


@pytest.mark.parametrize("n_tracks", [10_000, MILLION, 5 * MILLION])
@pytest.mark.parametrize(
    "who",
    [
        "numpy + scipy",
        "modAL's formula",
        "torch",
        "reading the bytes (ceiling)",
        "reading the bytes, 2 threads (ceiling)",
        "dissensus",
        "dissensus, 2 threads",
        "dissensus, numba",
    ],
)
def test_consensus_entropy_and_the_best_ten(benchmark: Any, n_tracks: int, who: str) -> None:
    benchmark.group = f"consensus entropy, best 10|20x{n_tracks}x4 float32"
    proba = workloads.committee(n_tracks)
    calls: dict[str, Callable[[], Any]] = {
        "numpy + scipy": lambda: workloads.numpy_scipy(proba),
        "modAL's formula": lambda: workloads.modal_formula(proba),
        "reading the bytes (ceiling)": lambda: workloads.read_all(proba),
        "reading the bytes, 2 threads (ceiling)": lambda: workloads.read_all(proba, 2),
        "dissensus": lambda: query_top(proba, 10).index,
        "dissensus, 2 threads": lambda: query_top(proba, 10, n_threads=2).index,
        "dissensus, numba": lambda: query_top(proba, 10, backend="numba").index,
    }
    if who == "torch":
        torch = pytest.importorskip("torch")
        tensor = torch.from_numpy(proba.copy())
        torch.set_num_threads(1)
        timed(benchmark, lambda: workloads.torch_query(tensor), rounds=rounds_for(n_tracks, slow=True))
        return
    if who.startswith("dissensus"):
        part = proba[:, :10_000]
        expected = workloads.best(workloads.entropy(part.astype(float).mean(axis=0), axis=1))
        np.testing.assert_array_equal(query_top(part, 10).index, expected)
        np.testing.assert_array_equal(calls[who](), query_top(proba, 10, n_threads=2).index)
    timed(benchmark, calls[who], rounds=rounds_for(n_tracks, slow=who in ("numpy + scipy", "modAL's formula")))
    benchmark.extra_info["gigabytes_per_second"] = proba.nbytes / benchmark.stats.stats.min / 1e9


@pytest.mark.parametrize("n_classes", [2, 9, 28])
@pytest.mark.parametrize("who", ["numpy + scipy", "reading the bytes (ceiling)", "dissensus", "dissensus, numba"])
def test_any_number_of_classes(benchmark: Any, n_classes: int, who: str) -> None:
    benchmark.group = f"consensus entropy, best 10, {n_classes} classes|20x100000x{n_classes} float32"
    proba = workloads.committee(100_000, n_classes)
    calls: dict[str, Callable[[], Any]] = {
        "numpy + scipy": lambda: workloads.numpy_scipy(proba),
        "reading the bytes (ceiling)": lambda: workloads.read_all(proba),
        "dissensus": lambda: query_top(proba, 10).index,
        "dissensus, numba": lambda: query_top(proba, 10, backend="numba").index,
    }
    if who.startswith("dissensus"):
        expected = workloads.best(workloads.entropy(proba.astype(float).mean(axis=0), axis=1))
        np.testing.assert_array_equal(calls[who](), expected)
    timed(benchmark, calls[who], rounds=3 if who == "numpy + scipy" else 30)


@pytest.mark.parametrize("n_tracks", [10_000, MILLION])
@pytest.mark.parametrize(
    "who", ["numpy + scipy", "scikit-activeml", "dissensus", "dissensus, 2 threads", "dissensus, numba"]
)
def test_mean_kl(benchmark: Any, n_tracks: int, who: str) -> None:
    benchmark.group = f"mean KL|20x{n_tracks}x4 float32"
    proba = workloads.committee(n_tracks)
    calls: dict[str, Callable[[], Any]] = {
        "numpy + scipy": lambda: workloads.numpy_kl(proba),
        "dissensus": lambda: mean_kl(proba),
        "dissensus, 2 threads": lambda: mean_kl(proba, n_threads=2),
        "dissensus, numba": lambda: mean_kl(proba, backend="numba"),
    }
    if who == "scikit-activeml":
        pool = pytest.importorskip("skactiveml.pool")
        theirs = proba.copy()  # it clips its argument in place
        calls[who] = lambda: pool.average_kl_divergence(theirs)
    np.testing.assert_allclose(calls[who](), mean_kl(proba), atol=1e-5)
    timed(benchmark, calls[who], rounds=rounds_for(n_tracks, slow=not who.startswith("dissensus")))


@pytest.mark.parametrize("n_tracks", [10_000, MILLION])
@pytest.mark.parametrize("who", ["numpy", "dissensus", "dissensus, numba"])
def test_margin(benchmark: Any, n_tracks: int, who: str) -> None:
    benchmark.group = f"margin|20x{n_tracks}x4 float32"
    proba = workloads.committee(n_tracks)
    calls: dict[str, Callable[[], Any]] = {
        "numpy": lambda: workloads.numpy_margin(proba),
        "dissensus": lambda: margin(proba),
        "dissensus, numba": lambda: margin(proba, backend="numba"),
    }
    np.testing.assert_allclose(calls[who](), margin(proba), atol=1e-5)
    timed(benchmark, calls[who], rounds=rounds_for(n_tracks, slow=who == "numpy"))


@pytest.mark.parametrize("n_tracks", [10_000, MILLION, 5 * MILLION])
@pytest.mark.parametrize(
    "who",
    [
        "numpy",
        "scikit-activeml",
        "reading the bytes (ceiling)",
        "dissensus",
        "dissensus, best 10 alone",
        "dissensus, 2 threads",
        "dissensus, numba",
    ],
)
def test_vote_entropy(benchmark: Any, n_tracks: int, who: str) -> None:
    benchmark.group = f"vote entropy|20x{n_tracks} uint8"
    votes = workloads.votes(n_tracks)
    calls: dict[str, Callable[[], Any]] = {
        "numpy": lambda: workloads.numpy_votes(votes),
        "reading the bytes (ceiling)": lambda: workloads.read_all(votes),
        "dissensus": lambda: vote_entropy(votes, n_classes=4),
        "dissensus, best 10 alone": lambda: query_votes(votes, 10, n_classes=4).index,
        "dissensus, 2 threads": lambda: vote_entropy(votes, n_classes=4, n_threads=2),
        "dissensus, numba": lambda: vote_entropy(votes, n_classes=4, backend="numba"),
    }
    if who == "scikit-activeml":
        pool = pytest.importorskip("skactiveml.pool")
        by_track = np.ascontiguousarray(votes.T)  # its layout
        calls[who] = lambda: pool.vote_entropy(by_track, classes=np.arange(4))
    elif who == "dissensus, best 10 alone":
        np.testing.assert_array_equal(calls[who](), select_top(vote_entropy(votes, n_classes=4), 10))
    elif "ceiling" not in who:
        np.testing.assert_allclose(calls[who](), vote_entropy(votes, n_classes=4), atol=1e-6)
    timed(benchmark, calls[who], rounds=rounds_for(n_tracks, slow=not who.startswith("dissensus")))


@pytest.mark.parametrize("who", ["numpy + scipy", "dissensus", "dissensus, best 10 alone", "dissensus, 2 threads"])
def test_weighted_vote_entropy(benchmark: Any, who: str) -> None:
    benchmark.group = f"vote entropy, weighted members|20x{MILLION} uint8"
    votes, weight = workloads.votes(MILLION), np.linspace(0.5, 1.5, 20)
    options: dict[str, Any] = {"n_classes": 4, "member_weight": weight}
    calls: dict[str, Callable[[], Any]] = {
        "numpy + scipy": lambda: workloads.numpy_weighted_votes(votes, weight),
        "dissensus": lambda: vote_entropy(votes, **options),
        "dissensus, best 10 alone": lambda: query_votes(votes, 10, **options).utility,
        "dissensus, 2 threads": lambda: vote_entropy(votes, n_threads=2, **options),
    }
    expected = vote_entropy(votes, **options)
    got = calls[who]()
    np.testing.assert_allclose(got, np.sort(expected)[::-1][:10] if "best" in who else expected, atol=2e-6)
    timed(benchmark, calls[who], rounds=rounds_for(MILLION, slow=who == "numpy + scipy"))


@pytest.mark.parametrize("who", ["numpy", "dissensus baseline", "dissensus avx2", "dissensus avx512"])
def test_vote_entropy_by_instruction_set(benchmark: Any, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    benchmark.group = f"vote entropy by instruction set|20x{MILLION} uint8"
    votes = workloads.votes(MILLION)
    expected = vote_entropy(votes, n_classes=4, backend="numba")
    isa = who.removeprefix("dissensus ")
    native = pytest.importorskip("dissensus._native")
    try:
        if isa != who:
            monkeypatch.setenv("DISSENSUS_CAPS", isa)
            native.refresh_instruction_set()
            if native.instruction_set() != isa:
                pytest.skip(f"this machine has no {isa}")
            np.testing.assert_allclose(vote_entropy(votes, n_classes=4, backend="native"), expected, atol=1e-6)
            timed(benchmark, lambda: vote_entropy(votes, n_classes=4, backend="native"), rounds=30)
        else:
            timed(benchmark, lambda: workloads.numpy_votes(votes), rounds=3)
    finally:
        monkeypatch.delenv("DISSENSUS_CAPS", raising=False)
        native.refresh_instruction_set()


@pytest.mark.parametrize("who", ["numpy, stable sort", "numpy, partition", "dissensus", "dissensus, numba"])
def test_select_top(benchmark: Any, who: str) -> None:
    benchmark.group = f"best 10 of a utility|{MILLION} float32"
    utility = consensus_entropy(workloads.committee(MILLION))
    calls: dict[str, Callable[[], Any]] = {
        "numpy, stable sort": lambda: workloads.best(utility),
        "numpy, partition": lambda: np.argpartition(-utility, 10)[:10],
        "dissensus": lambda: select_top(utility, 10),
        "dissensus, numba": lambda: select_top(utility, 10, backend="numba"),
    }
    assert set(calls[who]().tolist()) == set(workloads.best(utility).tolist())
    timed(benchmark, calls[who], rounds=20)


@pytest.mark.parametrize("who", ["rising", "falling", "all alike", "dissensus"])
def test_the_order_of_the_tracks(benchmark: Any, who: str) -> None:
    """A query leaves out whoever cannot be among the best: what that costs where the best come last, or nobody is better."""
    benchmark.group = f"consensus entropy, best 10, tracks in an awkward order|20x{MILLION}x4 float32"
    proba = workloads.committee(MILLION)
    if who == "all alike":
        proba = np.full_like(proba, 0.25)
    elif who != "dissensus":
        order = np.argsort(consensus_entropy(proba))[:: 1 if who == "rising" else -1]
        proba = np.ascontiguousarray(proba[:, order])
    timed(benchmark, lambda: query_top(proba, 10), rounds=20)


@pytest.mark.parametrize(
    "who",
    [
        "full pass",
        "reading and writing what an update must (ceiling)",
        "dissensus",
        "dissensus, update alone",
        "dissensus, update and query",
        "dissensus, update and query, 2 threads",
    ],
)
def test_rank_again_after_one_member_changed(benchmark: Any, who: str) -> None:
    benchmark.group = f"rank again after one member changed|20x{MILLION}x4 float32"
    proba = workloads.committee(MILLION)
    state = ConsensusState(proba)
    changed = iter(range(10**9))

    def update(n_threads: int = 1) -> None:
        state.update(3, proba[next(changed) % 20], n_threads=n_threads)

    def update_and_query(n_threads: int = 1) -> None:
        update(n_threads)
        state.query(10, n_threads=n_threads)

    update()
    state.update(3, proba[3])
    np.testing.assert_array_equal(state.query(10).index, query_top(proba, 10).index)
    if who == "dissensus":
        with threadpool_limits(1):
            benchmark.pedantic(lambda: state.query(10), setup=update, rounds=100)
        benchmark.extra_info["p99_ms"] = float(np.percentile(benchmark.stats.stats.data, 99)) * 1e3
        return
    held, total = proba[3].copy(), proba[4].copy()

    def least() -> None:  # new rows, the rows held and the mean are read, the latter two written
        np.add(total, held, out=total)
        np.copyto(held, proba[next(changed) % 20])

    calls: dict[str, Callable[[], Any]] = {
        "full pass": lambda: query_top(proba, 10),
        "reading and writing what an update must (ceiling)": least,
        "dissensus, update alone": update,
        "dissensus, update and query": update_and_query,
        "dissensus, update and query, 2 threads": lambda: update_and_query(2),
    }
    timed(benchmark, calls[who], rounds=50)


FIRST = """
import numpy as np, time
p = np.random.default_rng(0).dirichlet(np.ones(4), (20, 10_000)).astype("f4")
import dissensus
start = time.perf_counter()
from dissensus.strategies import query_top
query_top(p, 10, backend={backend!r})
print(time.perf_counter() - start)
"""


@pytest.mark.parametrize("who", ["dissensus, numba", "dissensus"])
def test_first_query_of_a_new_process(benchmark: Any, who: str) -> None:
    """After ``import dissensus``, with nothing compiled on disk."""
    benchmark.group = "first query of a new process|20x10000x4 float32"
    code = FIRST.format(backend="native" if who == "dissensus" else "numba")
    seconds = []

    def run() -> None:
        with tempfile.TemporaryDirectory() as empty:
            environment = {**os.environ, "NUMBA_CACHE_DIR": empty}
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
        seconds.append(float(done.stdout))

    benchmark.pedantic(run, rounds=5 if who == "dissensus" else 2)
    benchmark.extra_info["seconds"] = min(seconds)
