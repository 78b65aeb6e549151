"""Worker processes: what they are given comes back, whatever dies; nothing of theirs is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import psutil
import pytest
import worker_tasks as tasks

from dissensus._workers import Ended, in_workers
from dissensus.errors import LabelError, ParameterError, WorkerDiedError, WorkerError


def gone(pids: list[int]) -> bool:
    """Whether these processes end, given ample time."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [pid for pid in pids if psutil.pid_exists(pid)]
        if not [pid for pid in left if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_every_item_comes_back_once_and_in_order(jobs: int, n: int) -> None:
    ends = list(in_workers(tasks.square, range(n), jobs=jobs))
    assert ends == [Ended(x, x * x) for x in range(n)]


def test_results_come_as_they_end_where_the_order_does_not_matter() -> None:
    ends = [e.item for e in in_workers(tasks.slow_to_begin, iter(range(12)), jobs=2, ordered=False)]
    assert sorted(ends) == list(range(12))
    assert ends[0] != 0


def test_an_item_that_fails_stops_no_other() -> None:
    ends = {e.item: e for e in in_workers(tasks.odd, range(8), jobs=2)}
    assert [ends[x].value for x in (1, 3, 5, 7)] == [1, 3, 5, 7]
    assert isinstance(ends[0].error, LabelError)
    assert "in a worker process" in ends[0].error.__notes__[0]
    assert isinstance(ends[2].error, WorkerError) and "Stubborn: 1 and 2" in str(ends[2].error)
    assert isinstance(ends[4].error, MemoryError)
    assert isinstance(ends[6].error, ZeroDivisionError)


def test_an_item_whose_process_dies_is_reported_with_the_cause_and_stops_no_other() -> None:
    ways = ["SIGSEGV", "fine", "SIGKILL", "SIGABRT", "exit", "SIGTERM", "also fine", "sys.exit", "SIGFPE"]
    ends = {e.item: e for e in in_workers(tasks.die_by, ways, jobs=2)}
    assert list(ends) == ways
    assert ends["fine"].value == "fine" and ends["also fine"].value == "also fine"
    for way, words in (
        ("SIGSEGV", "died of SIGSEGV"),
        ("SIGABRT", "died of SIGABRT"),
        ("SIGFPE", "died of SIGFPE"),
        ("SIGTERM", "died of SIGTERM"),
        ("SIGKILL", "memory ran out"),
        ("exit", "exit code 5"),
        ("sys.exit", "exit code 6"),
    ):
        assert isinstance(ends[way].error, WorkerDiedError), way
        assert words in str(ends[way].error), way


def test_an_item_is_not_blamed_for_a_death_that_does_not_come_again(tmp_path: Path) -> None:
    ends = list(in_workers(tasks.die_once, range(6), jobs=2, shared=(tmp_path,)))
    assert ends == [Ended(x, x) for x in range(6)]
    assert (tmp_path / "1").exists()


def test_what_cannot_be_sent_is_said_and_stops_no_other() -> None:
    lock = threading.Lock()
    with pytest.raises(ParameterError, match=r"worker processes.*jobs=1"):
        list(in_workers(lambda x: x, [1], jobs=1))
    with pytest.raises(ParameterError, match=r"lock.*jobs=1"):
        list(in_workers(tasks.square, [1], jobs=1, shared=(lock,)))
    items: list[Any] = [2, lock, 3]
    ends = list(in_workers(tasks.square, items, jobs=2))
    assert [e.value for e in ends] == [4, None, 9]
    assert "cannot be sent" in str(ends[1].error)
    ends = list(in_workers(tasks.unsendable, [0, 1, 2], jobs=1))
    assert [e.value for e in ends] == [0, None, 2]
    assert "its result cannot be sent" in str(ends[1].error)


def test_a_worker_has_one_thread_and_knows_nothing_of_the_main_module() -> None:
    sys.modules["__main__"].MARK = True  # type: ignore[attr-defined]
    try:
        first = next(in_workers(tasks.environment, [0], jobs=1)).value
    finally:
        del sys.modules["__main__"].MARK  # type: ignore[attr-defined]
    assert first is not None
    assert first[:3] == ("1", 1, False)
    assert first[3] != os.getpid()


def test_nothing_is_left_when_the_iterator_is_closed_early() -> None:
    ends = in_workers(tasks.environment, iter(range(1000)), jobs=2)
    next(ends)
    pids = [child.pid for child in psutil.Process().children()]
    assert pids
    ends.close()
    assert gone(pids)


def test_nothing_is_left_when_the_consumer_fails() -> None:
    pids: list[int] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        for ended in in_workers(tasks.environment, range(100), jobs=2):
            assert ended.value is not None
            pids += [child.pid for child in psutil.Process().children()]
            raise ZeroDivisionError
    assert gone(pids)


def test_an_interpreter_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_python = tmp_path / "uwsgi"
    no_python.write_text("#!/bin/sh\nexit 3\n")
    no_python.chmod(0o755)
    for executable, words in ((no_python, "exit code 3 before it could begin"), (tmp_path / "none", "No such file")):
        monkeypatch.setattr(spawn, "get_executable", lambda executable=executable: os.fsencode(executable))
        with pytest.raises(WorkerError, match=words):
            list(in_workers(tasks.square, [1], jobs=1))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(WorkerError, match="set_executable"):
        list(in_workers(tasks.square, [1], jobs=1))


SUPPORT = str(Path(tasks.__file__).parent)

#: A script as people write it: no guard, work at its top level.
UNGUARDED = """
import sys
print("top level", flush=True)
sys.path.append({support!r})
import worker_tasks
from dissensus._workers import in_workers
print([e.value for e in in_workers(worker_tasks.talk, range(3), jobs=2)])
"""


@pytest.mark.parametrize("how", ["script", "stdin", "-c", "-m", "exec"])
def test_a_script_without_a_guard_runs_once_and_libraries_print_nothing_into_its_output(
    how: str, tmp_path: Path
) -> None:
    code = UNGUARDED.format(support=SUPPORT)
    script = tmp_path / "unguarded.py"
    script.write_text(code)
    arguments = {
        "script": [str(script)],
        "stdin": ["-"],
        "-c": ["-c", code],
        "-m": ["-m", "unguarded"],
        "exec": ["-c", f"exec(open({str(script)!r}).read())"],
    }[how]
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        input=code if how == "stdin" else "",
    )  # fmt: skip
    assert done.stdout == "top level\n[0, 1, 2]\n", done.stderr
    assert done.stderr.count("a library's banner") == 3


def test_a_function_of_the_script_itself_is_refused_in_one_line() -> None:
    code = (
        "from dissensus._workers import in_workers\n"
        "def work(x): return x\n"
        "try: print(list(in_workers(work, [1], jobs=1)))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("ParameterError a worker process cannot read what it was sent"), done.stderr
    assert "importable" in done.stdout or "can be imported" in done.stdout
    assert done.stdout.count("\n") == 1


ORPHANS = """
import sys
sys.path.append({support!r})
import worker_tasks
from dissensus._workers import in_workers
list(in_workers(worker_tasks.wait_for_ever, range(2), jobs=2))
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_however_it_ends(end: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS.format(support=SUPPORT)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert parent.stderr is not None
    pids = [int(parent.stderr.readline()) for _ in range(2)]
    assert all(psutil.pid_exists(pid) for pid in pids)
    parent.send_signal(end)
    parent.wait(timeout=60)
    assert gone(pids)
    parent.stderr.close()


def test_workers_look_for_their_parent_where_no_kernel_tells_them() -> None:
    boot = "import dissensus._workers as w; w._die_with_parent = lambda: None; w.serve({fd}, {parent})"
    code = f"import dissensus._workers as w\nw._BOOT = 'import sys; sys.path[:] = {{path}}; {boot}'\n"
    code += ORPHANS.format(support=SUPPORT)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert parent.stderr is not None
    pids = [int(parent.stderr.readline()) for _ in range(2)]
    parent.kill()
    parent.wait(timeout=60)
    assert gone(pids)
    parent.stderr.close()
