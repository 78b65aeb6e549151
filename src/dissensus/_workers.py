"""The one place that starts worker processes.

A worker is a fresh interpreter that imports this package and nothing of the program that started it: a script without the
``if __name__ == "__main__"`` guard, a notebook and code from standard input work, and nothing at their top level runs twice.
A worker has one thread for each library, leaves Ctrl-C to its parent, and ends when its parent does, however that ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from dataclasses import dataclass
from multiprocessing import Pipe, spawn
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, Generic, NoReturn, TypeVar

from dissensus._threads import ENVIRONMENT, set_threads
from dissensus.errors import ParameterError, WorkerDiedError, WorkerError

__all__ = ["Ended", "in_workers", "serve"]

Item = TypeVar("Item")
Value = TypeVar("Value")

_BOOT: Final = "import sys; sys.path[:] = {path}; from dissensus._workers import serve; serve({fd}, {parent})"
_LOOK_S: Final = 0.25  # seconds between two looks at whether the parent is there
_LEAVE_S: Final = 5.0  # seconds that workers without work have to end by themselves
_AHEAD: Final = 4  # items for each worker that may wait for an earlier one
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Ended(Generic[Item, Value]):
    """What became of one item: the value of its work, or the error that took its place."""

    item: Item
    value: Value | None = None
    error: Exception | None = None


def in_workers(
    work: Callable[..., Value], items: Iterable[Item], *, jobs: int, shared: tuple[Any, ...] = (), ordered: bool = True
) -> Generator[Ended[Item, Value], None, None]:
    """Call ``work(*shared, item)`` for every item, in worker processes.

    An item whose work raises, or whose process dies (a library that crashes on it, a machine without memory left), is
    reported like the others and stops none of them. An item whose process died is tried once more, in a new process and
    with nothing beside it, so that it is not blamed for its neighbours. The workers are killed where the iterator is closed
    early or an exception passes through it.

    Parameters
    ----------
    work : callable
        At the top level of a module that can be imported; not of the script itself.
    items : iterable
        Taken as workers become free.
    jobs : int
        Processes.
    shared : tuple
        Sent to each worker once, before its first item.
    ordered : bool
        Results come in the order of the items; else as they come.

    Yields
    ------
    Ended

    Raises
    ------
    WorkerError
        No worker process can be started.
    ParameterError
        ``work`` or ``shared`` cannot be sent to one.
    """
    crew = _Crew(work, shared)
    source = enumerate(items)
    again: deque[tuple[int, Item]] = deque()
    done: dict[int, Ended[Item, Value]] = {}
    handed = given_out = 0
    more = True
    try:
        crew.hire(min(jobs, len(items)) if isinstance(items, Sized) else jobs)
        while True:
            while more and not again and crew.n_busy < jobs and handed - given_out < _AHEAD * jobs:
                task = next(source, None)
                if task is None:
                    more = False
                    break
                handed += 1
                unsendable = crew.give(task)
                if unsendable is not None:
                    done[task[0]] = Ended(task[1], error=unsendable)
            if again and not crew.n_busy:
                crew.give(again.popleft(), alone=True)
            while done and (given_out in done or not ordered):
                yield done.pop(given_out if ordered else next(iter(done)))
                given_out += 1
            if crew.n_busy:
                for task, ended, alone in crew.collect():
                    if isinstance(ended.error, WorkerDiedError) and not alone:
                        again.append(task)
                    else:
                        done[task[0]] = ended
            elif not (more or again or done):
                break
        crew.dismiss()
    finally:
        crew.kill()


class _Worker:
    """A process, the pipe to it, and the task it is at."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.pipe, theirs = Pipe()
        try:
            self.process = subprocess.Popen(
                [*command, _BOOT.format(path=ascii(sys.path), fd=theirs.fileno(), parent=os.getpid())],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            self.pipe.close()
            raise WorkerError(f"{command[0]}: no worker process can be started ({error.strerror})") from None
        finally:
            theirs.close()
        self.briefed = self.alone = False
        self.task: tuple[int, Any] | None = None

    def end(self) -> str:
        """Make sure that it is gone; why it went."""
        self.pipe.close()
        try:
            code = self.process.wait(timeout=_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":
            return "was killed (SIGKILL: most often because memory ran out)"
        return f"died of {name}"


class _Crew:
    """The workers of one job."""

    def __init__(self, work: Callable[..., Any], shared: tuple[Any, ...]) -> None:
        if os.name != "posix":
            raise WorkerError("worker processes need a POSIX system; give jobs=1 to work in this process")
        try:
            self._brief = bytes(ForkingPickler.dumps((work, shared)))
        except Exception as error:
            raise ParameterError(f"cannot be sent to worker processes ({error}); {_ADVICE}") from None
        self._command = _interpreter()
        self._environment = {**os.environ, **dict.fromkeys(ENVIRONMENT, "1")}
        self._workers: list[_Worker] = []
        self._ever_ready = False

    @property
    def n_busy(self) -> int:
        return sum(worker.task is not None for worker in self._workers)

    def hire(self, n: int) -> None:
        """Start processes side by side."""
        self._workers += [_Worker(self._command, self._environment) for _ in range(n)]

    def give(self, task: tuple[int, Any], *, alone: bool = False) -> Exception | None:
        """Hand a task to a free worker, or to a new one; why it cannot be sent."""
        free = [worker for worker in self._workers if worker.task is None]
        if alone:
            for worker in free:
                worker.end()
            self._workers, free = [worker for worker in self._workers if worker.task is not None], []
        if not free:
            self.hire(1)
            free = self._workers[-1:]
        worker = free[0]
        try:
            message = ForkingPickler.dumps(task[1])
        except Exception as error:
            return WorkerError(f"cannot be sent to a worker process ({type(error).__name__}: {error})")
        worker.task, worker.alone = task, alone
        try:
            if not worker.briefed:
                worker.pipe.send_bytes(self._brief)
                worker.briefed = True
            worker.pipe.send_bytes(message)
        except OSError:
            pass  # it is gone; `collect` finds out why
        return None

    def collect(self) -> Iterator[tuple[tuple[int, Any], Ended[Any, Any], bool]]:
        """Wait for the workers; tasks that have ended, with what became of them and whether they were tried alone."""
        pipes = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]  # type: ignore[index]
            task = worker.task
            assert task is not None
            try:
                kind, content = worker.pipe.recv()
            except (EOFError, OSError):
                kind, content = "error", self._lost(worker)
            except Exception as error:
                kind, content = "error", WorkerError(f"its result cannot be read: {type(error).__name__}: {error}")
            if kind == "ready":
                self._ever_ready = True
            elif kind == "refused":
                raise ParameterError(f"a worker process cannot read what it was sent ({content}); {_ADVICE}")
            else:
                worker.task = None
                ended = Ended(task[1], error=content) if kind == "error" else Ended(task[1], content)
                yield task, ended, worker.alone

    def _lost(self, worker: _Worker) -> WorkerDiedError:
        self._workers.remove(worker)
        why = worker.end()
        if not self._ever_ready:
            raise WorkerError(
                f"{self._command[0]}: a worker process {why} before it could begin; name a Python that has dissensus with "
                "multiprocessing.set_executable, or give jobs=1"
            )
        return WorkerDiedError(f"the process at work on it {why}")

    def dismiss(self) -> None:
        """Let the workers end by themselves."""
        for worker in self._workers:
            worker.pipe.close()
        deadline = time.monotonic() + _LEAVE_S
        for worker in self._workers:
            try:
                worker.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue

    def kill(self) -> None:
        """Make sure that no worker is left."""
        for worker in self._workers:
            worker.process.kill()
            worker.end()
        self._workers = []


_ADVICE: Final = (
    "functions and classes that worker processes need must live in a module that can be imported, not in the script or "
    "notebook itself; or give jobs=1"
)


def _interpreter() -> list[str]:
    """The command that runs a line of Python as this process would."""
    executable = os.fsdecode(spawn.get_executable() or "")
    if not executable or getattr(sys, "frozen", False):
        raise WorkerError(
            "worker processes need a Python interpreter, and this program has none of its own; name one with "
            "multiprocessing.set_executable, or give jobs=1"
        )
    utf8 = ["-X", "utf8"] if sys.flags.utf8_mode else []
    optimised = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    return [executable, *utf8, *optimised, *(f"-W{option}" for option in sys.warnoptions), "-c"]


# ---- in the worker ---------------------------------------------------------------------------------------------------


def serve(fd: int, parent: int) -> NoReturn:
    """What a worker process does: read a task, do it, answer, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    _follow(parent)
    os.dup2(2, 1)  # the output of the program is not for what libraries print
    set_threads(1)
    pipe: Connection[Any, Any] = Connection(fd)
    try:
        work, shared = pipe.recv()
    except (EOFError, OSError):
        os._exit(0)
    except Exception as error:
        _answer(pipe, "refused", f"{type(error).__name__}: {error}")
        os._exit(1)
    _answer(pipe, "ready", None)
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        except Exception as error:
            _answer(pipe, "error", WorkerError(f"cannot be read in a worker process ({error}); {_ADVICE}"))
            continue
        try:
            kind, content = "value", work(*shared, item)
        except Exception as error:
            kind, content = "error", _portable(error)
        _answer(pipe, kind, content)


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note, or a text of it where it does not survive the way."""
    import traceback

    error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    error.__cause__ = error.__context__ = None
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        return WorkerError(f"{type(error).__name__}: {error}")
    return error


def _answer(pipe: Connection[Any, Any], kind: str, content: Any) -> None:
    try:
        message = ForkingPickler.dumps((kind, content))
    except Exception as error:
        message = ForkingPickler.dumps(("error", WorkerError(f"its result cannot be sent: {error}")))
    try:
        pipe.send_bytes(message)
    except OSError:
        os._exit(0)  # nobody listens any more


def _follow(parent: int) -> None:
    """End with the parent."""
    import threading

    _die_with_parent()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="dissensus-parent", daemon=True).start()


def _die_with_parent() -> None:
    """Let the kernel end this process with its parent, also in the middle of a call that holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
