"""A child that is forked while threads are at work does all that its parent can; nothing waits for threads that are not there."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dissensus import _fork
from dissensus._fork import Lock, outside_openmp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SCRIPT = Path(__file__).resolve().parent / "support" / "busy_forks.py"
ALL = "linear,trees,learner,cnn,state,blocks,listener,mp3"


def forks(n: int, threads: int, busy: str, child: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(n), str(threads), busy, child], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_children_of_a_busy_process_work() -> None:
    assert forks(4, 2, ALL, ALL) == "{'works': 4}"


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_hundred_children_of_a_busy_process_work(threads: int) -> None:
    assert forks(100, threads, ALL, ALL) == "{'works': 100}"


@pytest.mark.slow
@pytest.mark.parametrize("job", [*ALL.split(","), "pretrain"])
@pytest.mark.parametrize("busy", [True, False])
def test_every_job_by_itself_works_in_a_child(job: str, busy: bool) -> None:
    assert forks(12, 2, job if busy else "", job) == "{'works': 12}"


def in_child(work: str, prepare: str = "") -> str:
    """What a forked child prints, and how it ends."""
    code = (
        "import os, sys, signal, threading\n"
        "from dissensus._fork import Lock, at_fork, outside_openmp\n"
        f"{prepare}\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    signal.alarm(30)\n"
        + "".join(f"    {line}\n" for line in work.splitlines())
        + "    sys.stdout.flush()\n    os._exit(0)\n"
        "print('ended with', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() + done.stderr


HELD = """
lock = Lock({options})
ready, go = threading.Event(), threading.Event()
def hold():
    with lock:
        ready.set()
        go.wait({seconds})
threading.Thread(target=hold, daemon=True).start()
ready.wait()
"""


@pytest.mark.parametrize("options", ["", "reentrant=True"])
def test_a_lock_that_another_thread_held_is_free_in_the_child(options: str) -> None:
    work = "with lock: print('in', flush=True)"
    assert in_child(work, HELD.format(options=options, seconds=60)) == "in\nended with 0"


def test_a_fork_waits_for_a_lock_that_says_so() -> None:
    prepare = "done = []\n" + HELD.format(options="held_at_fork=True", seconds=1)
    prepare = prepare.replace("        go.wait(1)\n", "        go.wait(1)\n        done.append(1)\n")
    work = "print(done)\nwith lock: print('in', flush=True)"
    assert in_child(work, prepare) == "[1]\nin\nended with 0"


@pytest.mark.parametrize("options", ["", "reentrant=True", "held_at_fork=True"])
def test_a_lock_that_the_forking_thread_holds_stays_held_in_the_child_until_it_lets_go(options: str) -> None:
    prepare = f"lock = Lock({options})\nlock.__enter__()"
    work = (
        "other = threading.Thread(target=lambda: lock.__enter__(), daemon=True)\n"
        "other.start(); other.join(0.3)\n"
        "print(other.is_alive())\n"
        "lock.__exit__()\n"
        "other.join(20)\n"
        "print(other.is_alive())"
    )
    assert in_child(work, prepare) == "True\nFalse\nended with 0"


def test_a_grandchild_finds_locks_free_too() -> None:
    work = (
        "inside = threading.Event()\n"
        "threading.Thread(target=lambda: (lock.__enter__(), inside.set(), threading.Event().wait(60)), daemon=True).start()\n"
        "inside.wait()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    with lock: os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert in_child(work, HELD.format(options="", seconds=60)) == "3\nended with 0"


def test_two_threads_that_fork_do_not_wait_for_each_other() -> None:
    prepare = (
        "locks = [Lock(held_at_fork=True) for _ in range(20)]\n"
        "def fork():\n"
        "    for _ in range(10):\n"
        "        pid = os.fork()\n"
        "        if pid == 0: os._exit(0)\n"
        "        os.waitpid(pid, 0)\n"
        "threads = [threading.Thread(target=fork) for _ in range(3)]\n"
        "signal.alarm(60)\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    assert in_child("print('both')", prepare) == "both\nended with 0"


def test_a_property_that_another_thread_was_working_out_can_be_asked_for_in_the_child() -> None:
    prepare = (
        "import time, numpy as np, tempfile\n"
        "from dissensus import Pool\n"
        "from dissensus.features.pool_store import StoredPool\n"
        "folder = tempfile.mkdtemp()\n"
        "Pool([[0.0]], ['a']).save(folder)\n"
        "slow, ids = threading.Event(), StoredPool.ids\n"
        "def wait(self):\n"
        "    slow.set(); time.sleep(60 if threading.current_thread() is not threading.main_thread() else 0)\n"
        "    return ids(self)\n"
        "StoredPool.ids = wait\n"
        "pool = Pool.open(folder)\n"
        "threading.Thread(target=lambda: pool.track_ids, daemon=True).start()\n"
        "slow.wait()\n"
    )
    assert in_child("print(pool.track_ids.tolist(), flush=True)", prepare) == "['a']\nended with 0"


def test_a_half_made_update_of_a_state_never_reaches_a_child() -> None:
    prepare = (
        "import numpy as np\n"
        "from dissensus import ConsensusState\n"
        "rng = np.random.default_rng(0)\n"
        "two = rng.dirichlet(np.ones(4), (2, 20000)).astype('f4')\n"
        "state = ConsensusState(two[:1])\n"
        "def asked(s): t = s.query(5); return t.index.tolist(), t.utility.tolist()\n"
        "fresh = [asked(ConsensusState(two[i : i + 1])) for i in (0, 1)]\n"
        "import atexit\n"
        "going = [True]\n"
        "def work():\n"
        "    while going:\n"
        "        state.update(0, two[1]); state.update(0, two[0])\n"
        "worker = threading.Thread(target=work, daemon=True)\n"
        "worker.start()\n"
        "atexit.register(lambda: (going.clear(), worker.join()))\n"
        "for _ in range(10):\n"
        "    pid = os.fork()\n"
        "    if pid == 0: os._exit(0 if asked(state) in fresh else 4)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
    )
    assert in_child("print('whole')", prepare) == "whole\nended with 0"


def test_work_for_openmp_is_done_where_it_was_asked_for_except_by_the_thread_that_came_through_a_fork() -> None:
    assert outside_openmp(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        outside_openmp(lambda: 1 // 0)
    work = (
        "print(outside_openmp(threading.get_ident) == threading.get_ident())\n"
        "try: outside_openmp(lambda: 1 // 0)\n"
        "except ZeroDivisionError: print('raised')\n"
        "same = []\n"
        "t = threading.Thread(target=lambda: same.append(outside_openmp(threading.get_ident) == threading.get_ident()))\n"
        "t.start(); t.join(); print(same)"
    )
    assert in_child(work) == "False\nraised\n[True]\nended with 0"


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_copy_of_a_held_lock_is_free(reentrant: bool) -> None:
    lock = Lock(reentrant=reentrant)
    with lock:
        for other in (copy.deepcopy(lock), copy.copy(lock), pickle.loads(pickle.dumps(lock))):  # noqa: S301
            with other:
                assert other is not lock
            assert other._reentrant is reentrant


def test_nothing_is_kept_alive() -> None:
    before = len(_fork._waited_for)
    locks = [Lock(held_at_fork=True) for _ in range(5)]
    assert len(_fork._waited_for) == before + 5
    del locks
    assert len(_fork._waited_for) == before


SLOW = pytest.mark.slow


@pytest.mark.parametrize("method", ["fork", *(pytest.param(name, marks=SLOW) for name in ("spawn", "forkserver"))])
@pytest.mark.parametrize("kind", ["linear", "trees", "cnn"])
def test_every_way_to_start_a_process_works(method: str, kind: str, tmp_path: Path) -> None:
    code = (
        "import multiprocessing, sys, numpy as np, dissensus, method_work\n"
        "if __name__ == '__main__':\n"
        "    dissensus.set_threads(2)\n"
        f"    what = method_work.make({kind!r})\n"
        "    here = method_work.use(what)\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        there = pool.map(method_work.use, [what] * 3)\n"
        "    print(all(np.array_equal(here, t) for t in there))\n"
    )
    (tmp_path / "main.py").write_text(code)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, timeout=90,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parent)},
    )  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr
