"""What happens at ``os.fork``: a child has one thread, and the locks, threads and open descriptors of many.

A lock that another thread held stays held in the child for ever, and libraries wait there for threads that only the parent
has. So locks are made here (:class:`Lock`), objects that hold more than a lock say what to do (:func:`at_fork`), and calls
into OpenMP go through :func:`outside_openmp`. Everything is found through weak references: nothing is kept alive.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import count
from typing import Any, Protocol, TypeVar

__all__ = ["ForkAware", "Lock", "at_fork", "leave_at_once", "never_destroy", "outside_openmp"]

Value = TypeVar("Value")

_numbers = count()
_generation = 0  # forks between the first process and this one
_survivor: int | None = None  # in a child: the thread that came through the fork
_forking = threading.RLock()  # one fork at a time
_renewing = threading.Lock()
_waited_for: weakref.WeakSet[Lock] = weakref.WeakSet()
_aware: weakref.WeakSet[Any] = weakref.WeakSet()
_held: list[Any] = []  # while a fork is under way
_helper: ThreadPoolExecutor | None = None


class Lock:
    """A lock that a forked child, a pickle and a copy each have free.

    Parameters
    ----------
    reentrant : bool
        The thread that holds it may take it again.
    held_at_fork : bool
        A fork waits until nobody holds it: for work that would leave another library half way.

    Examples
    --------
    >>> import copy
    >>> lock = Lock()
    >>> with lock, copy.deepcopy(lock):  # would wait for ever, were they one
    ...     print("two locks")
    two locks
    """

    def __init__(self, *, reentrant: bool = False, held_at_fork: bool = False) -> None:
        self._reentrant, self._held_at_fork, self._number = reentrant, held_at_fork, next(_numbers)
        self._renew()
        if held_at_fork:
            _waited_for.add(self)

    def _renew(self) -> None:
        self._lock: Any = threading.RLock() if self._reentrant else threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._generation = _generation

    def acquire(self, blocking: bool = True) -> bool:
        """Take it; False where another thread has it and ``blocking`` is off."""
        if self._generation != _generation:
            self._catch_up()
        if not self._lock.acquire(blocking):
            return False
        self._owner = threading.get_ident()
        self._depth += 1
        return True

    def release(self) -> None:
        """Let it go."""
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _catch_up(self) -> None:
        """A thread that held it in the parent is not here, unless it is the one that forked."""
        with _renewing:
            if self._generation == _generation:
                return
            if self._owner is None or self._owner != _survivor:
                self._renew()
            self._generation = _generation

    def __reduce__(self) -> tuple[Callable[..., Lock], tuple[bool, bool]]:
        return _new_lock, (self._reentrant, self._held_at_fork)


def _new_lock(reentrant: bool, held_at_fork: bool) -> Lock:
    return Lock(reentrant=reentrant, held_at_fork=held_at_fork)


class ForkAware(Protocol):
    """What has to do something at a fork beside locks."""

    def _before_fork(self) -> None:
        """In the parent, before: come to rest."""

    def _after_fork(self, *, in_child: bool) -> None:
        """In the parent and in the child: go on."""


def at_fork(thing: ForkAware) -> None:
    """Tell ``thing``, as long as it lives, of every fork."""
    _aware.add(thing)


def outside_openmp(work: Callable[[], Value]) -> Value:
    """``work()``, in a thread where OpenMP can be used.

    In a forked child the one thread that came through the fork still believes in the team of OpenMP threads that the parent
    gave it, and waits for them for ever, whatever number of threads it asks for. Every other thread makes a team of its own.
    """
    global _helper
    if threading.get_ident() != _survivor:
        return work()
    if _helper is None:
        _helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dissensus-openmp")
    return _helper.submit(work).result()


def never_destroy(thing: object) -> None:
    """In a child: leave an object whose end would wait for threads of the parent, until the process is gone."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def leave_at_once() -> None:
    """In a child: end the process when the interpreter has ended, without the clearing up of C libraries.

    For libraries that hold threads of their own, for which they would wait there. Done where the C library offers it.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit") and hasattr(libc, "__cxa_atexit"):
        libc.on_exit(libc._exit, None)
        getattr(libc, "__cxa_atexit")(libc.fflush, None, None)  # the last one registered is the first to run


def _all(found: weakref.WeakSet[Any]) -> list[Any]:
    while True:
        try:
            return list(found)
        except RuntimeError:  # another thread added one meanwhile
            continue


def _before() -> None:
    """Wait for what must not be torn; in one order, so that nobody waits for a thread that waits for them."""
    _forking.acquire()
    compiler = sys.modules.get("numba.core.compiler_lock")
    if compiler is not None:
        compiler.global_compiler_lock.acquire()
        _held.append(compiler.global_compiler_lock.release)
    for lock in sorted(_all(_waited_for), key=lambda lock: lock._number):
        if lock._owner != threading.get_ident():
            lock.acquire()
            _held.append(lock.release)
    for thing in _all(_aware):
        thing._before_fork()


def _after(*, in_child: bool) -> None:
    for thing in _all(_aware):
        thing._after_fork(in_child=in_child)
    while _held:
        _held.pop()()


def _in_parent() -> None:
    _after(in_child=False)
    _forking.release()


def _in_child() -> None:
    global _generation, _survivor, _forking, _renewing, _helper
    _after(in_child=True)
    _generation, _survivor = _generation + 1, threading.get_ident()
    _forking, _renewing, _helper = threading.RLock(), threading.Lock(), None
    if sys.version_info < (3, 12):
        _renew_cached_properties()


def _renew_cached_properties() -> None:
    """Those of Python 3.11 hold one lock each for all instances."""
    for name, module in list(sys.modules.items()):
        if name.startswith("dissensus"):
            for kind in [value for value in vars(module).values() if isinstance(value, type)]:
                for value in list(vars(kind).values()):
                    if isinstance(value, cached_property):
                        value.lock = threading.RLock()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
