"""The one place that starts threads, and the one knob."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dissensus
from dissensus import _threads
from dissensus._threads import resolve_helpers, resolve_threads, run_blocks, thread_budget
from dissensus.errors import ParameterError


@pytest.fixture
def budget_restored() -> Iterator[None]:
    names = {name: os.environ.get(name) for name in _threads.ENVIRONMENT}
    before, said = thread_budget(), _threads._said
    yield
    dissensus.set_threads(before)
    _threads._said = said
    for name, value in names.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
@pytest.mark.parametrize("n_items", [0, 1, 9, 10, 11, 1000])
def test_blocks_cover_every_item_once(n_threads: int, n_items: int) -> None:
    seen = np.zeros(n_items, np.int64)

    def count(start: int, stop: int) -> None:
        seen[start:stop] += 1

    run_blocks(count, n_items, n_threads=n_threads, block_size=10)
    assert (seen == 1).all()


def test_one_thread_starts_none() -> None:
    names: set[str] = set()
    run_blocks(lambda start, stop: names.add(threading.current_thread().name), 100, n_threads=1, block_size=10)
    assert names == {threading.current_thread().name}


def test_several_threads_work_at_once() -> None:
    barrier = threading.Barrier(3, timeout=30)
    run_blocks(lambda start, stop: barrier.wait() and None, 3, n_threads=3, block_size=1)


def test_blocks_inside_blocks_do_not_wait_for_themselves() -> None:
    total, lock = [0], threading.Lock()

    def inner(start: int, stop: int) -> None:
        with lock:
            total[0] += stop - start

    def outer(start: int, stop: int) -> None:
        run_blocks(inner, 100, n_threads=4, block_size=5)

    done = threading.Thread(target=lambda: run_blocks(outer, 16, n_threads=4, block_size=1), daemon=True)
    done.start()
    done.join(timeout=60)
    assert not done.is_alive()
    assert total[0] == 1600


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_exception_reaches_the_caller_and_ends_the_work(n_threads: int) -> None:
    begun: list[int] = []

    def fail(start: int, stop: int) -> None:
        begun.append(start)
        time.sleep(0.001)
        if start >= 5:
            raise ZeroDivisionError(start)

    with pytest.raises(ZeroDivisionError):
        run_blocks(fail, 2000, n_threads=n_threads, block_size=1)
    assert len(begun) < 100
    run_blocks(lambda start, stop: None, 10, n_threads=n_threads, block_size=1)  # the pool is still good


def test_many_host_threads_share_the_pool() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), (4, 150_000)).astype("f4")
    expected = dissensus.consensus_entropy(p)
    with ThreadPoolExecutor(6) as host:
        results = list(host.map(lambda n: dissensus.consensus_entropy(p, n_threads=n), [1, 2, 3, 4, 2, 3] * 3))
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    code = (
        "import os, numpy as np, dissensus\n"
        "p = np.full((2, 200_000, 4), 0.25, 'f4')\n"
        "dissensus.consensus_entropy(p, n_threads=3)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    dissensus.consensus_entropy(p, n_threads=3)\n"
        "    os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "7"


@pytest.mark.usefixtures("budget_restored")
def test_set_threads_governs_blas_and_openmp_loaded_and_to_come() -> None:
    import xgboost  # noqa: F401  brings an OpenMP of its own
    from threadpoolctl import threadpool_info

    for n in (1, 2):
        dissensus.set_threads(n)
        assert thread_budget() == n
        assert dissensus.capabilities()["threads"] == n
        assert {pool["num_threads"] for pool in threadpool_info()} <= {n, 1}
        assert os.environ["OMP_NUM_THREADS"] == str(n)


@pytest.mark.usefixtures("budget_restored")
def test_set_threads_governs_xgboost_also_for_trees_that_are_there() -> None:
    from dissensus.committee import BoostedTrees

    X = np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
    dissensus.set_threads(2)
    trees = BoostedTrees(n_rounds=3).fit(X, np.arange(40) % 3)

    def used() -> str:
        return str(json.loads(trees.booster_.save_config())["learner"]["generic_param"]["nthread"])

    trees.predict_proba(X)
    assert used() == "2"
    for n in (1, 3):
        dissensus.set_threads(n)
        trees.predict_proba(X + n)  # windows not seen before: trees are asked
        assert used() == str(n)


@pytest.mark.usefixtures("budget_restored")
def test_set_threads_governs_onnxruntime_also_for_networks_that_are_open() -> None:
    from dissensus.committee import shipped_cnn

    model = shipped_cnn()
    for n in (1, 2, 1):
        dissensus.set_threads(n)
        options = model._open().get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (n, 1)


@pytest.mark.usefixtures("budget_restored")
def test_numbas_own_number_is_left_alone() -> None:
    import numba

    before = numba.get_num_threads()
    dissensus.set_threads(1)
    assert numba.get_num_threads() == before


@pytest.mark.usefixtures("budget_restored")
def test_a_call_without_a_number_takes_the_budget() -> None:
    dissensus.set_threads(3)
    assert resolve_threads(None) == resolve_threads(-1) == 3
    assert resolve_threads(2) == 2


@pytest.mark.usefixtures("budget_restored")
def test_a_thread_that_only_prepares_is_there_until_somebody_says_one() -> None:
    _threads._said = False
    assert resolve_helpers(None) == 2
    for n in (1, 2, 3):
        dissensus.set_threads(n)
        assert resolve_helpers(None) == n
    dissensus.set_threads(1)
    assert resolve_helpers(2) == 2


@pytest.mark.parametrize("n", [0, -2, 1.0, "2", True, None])
def test_a_number_of_threads_that_cannot_be(n: object) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        dissensus.set_threads(n)  # type: ignore[arg-type]
    if n is not None:
        with pytest.raises(ParameterError, match="n_threads="):
            resolve_threads(n)  # type: ignore[arg-type]
