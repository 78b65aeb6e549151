"""The one place that starts threads, and the one knob that governs every pool of them.

``set_threads(n)`` sets the budget of our own pool, BLAS and OpenMP (through threadpoolctl), XGBoost and onnxruntime (which
read :func:`thread_budget` when they start work). Until it is called the budget is one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dissensus._fork import Lock
from dissensus.errors import ParameterError

__all__ = [
    "ENVIRONMENT",
    "loaded_pools",
    "resolve_helpers",
    "resolve_threads",
    "run_blocks",
    "set_threads",
    "thread_budget",
]

#: Read by libraries when they are loaded.
ENVIRONMENT = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_lock = Lock()
_budget = 1
_said = False  # whether set_threads was ever called
_limits: Any = None
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def set_threads(n: int) -> None:
    """Give everything that runs in this process ``n`` threads.

    Our own pool, BLAS and OpenMP, XGBoost and onnxruntime, and the thread that decodes ahead of a network. Libraries that are
    loaded later, and child processes, are told by the environment (``OMP_NUM_THREADS`` and its kin). Numba's own number is
    left alone: no kernel uses it.

    Parameters
    ----------
    n : int
        At least 1. With 1 no public call starts a thread, unless it is told to by its own ``n_threads``.

    Raises
    ------
    ParameterError
        ``n`` is not a positive integer.
    """
    global _budget, _limits, _said
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ParameterError(f"n={n!r}: the number of threads must be an integer of at least 1")
    from threadpoolctl import threadpool_limits

    with _lock:
        _budget, _said = n, True
        for name in ENVIRONMENT:
            os.environ[name] = str(n)
        _limits = threadpool_limits(limits=n)


def thread_budget() -> int:
    """Threads that a call may use when it is not told a number."""
    return _budget


def loaded_pools() -> list[dict[str, Any]]:
    """Library, version and number of threads of every BLAS and OpenMP that this process has loaded."""
    from threadpoolctl import threadpool_info

    return [
        {"library": pool["prefix"], "version": pool["version"], "threads": pool["num_threads"]}
        for pool in threadpool_info()
    ]


def resolve_threads(n_threads: int | None) -> int:
    """``n_threads`` as given, or the budget for None; -1 also means the budget."""
    if n_threads is None or n_threads == -1:
        return _budget
    if not isinstance(n_threads, int) or isinstance(n_threads, bool) or n_threads < 1:
        raise ParameterError(f"n_threads={n_threads!r}; give a positive integer, or None for the budget of set_threads")
    return n_threads


def resolve_helpers(n_threads: int | None) -> int:
    """As :func:`resolve_threads`, for calls whose second thread only prepares what the first works on.

    Such a thread is mostly idle, so that None gives two threads, unless :func:`set_threads` said one.
    """
    if n_threads is None and not _said:
        return 2
    return resolve_threads(n_threads)


def _shared_pool(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            _pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="dissensus")
            _pool_size = size
        return _pool


def run_blocks(task: Callable[[int, int], None], n_items: int, *, n_threads: int = 1, block_size: int = 65536) -> None:
    """Call ``task(start, stop)`` for disjoint blocks that cover ``range(n_items)``.

    Blocks are cut the same way for any number of threads, and a task writes to its own block alone, so results do not
    depend on ``n_threads``. The caller's thread works too: ``n_threads=1`` starts none.

    Parameters
    ----------
    task : callable
        Must release the GIL for threads to help; its exceptions reach the caller.
    n_items, n_threads, block_size : int
        Work, workers and the size of one block.
    """
    if n_items <= 0:
        return
    starts = range(0, n_items, block_size)
    workers = min(n_threads, len(starts))
    if workers <= 1:
        for start in starts:
            task(start, min(start + block_size, n_items))
        return
    turn: Iterator[int] = iter(starts)
    turn_lock = Lock()

    def work() -> None:
        nonlocal turn
        try:
            while True:
                with turn_lock:
                    start = next(turn, None)
                if start is None:
                    return
                task(start, min(start + block_size, n_items))
        except BaseException:
            with turn_lock:
                turn = iter(())  # nobody begins another block
            raise

    futures = [_shared_pool(workers - 1).submit(work) for _ in range(workers - 1)]
    try:
        work()
    finally:
        # One that has not begun is not needed any more; waiting for it could wait for ourselves, were this a worker.
        errors = [future.exception() for future in futures if not future.cancel()]
    for error in errors:
        if error is not None:
            raise error


def _forget_threads() -> None:
    global _pool, _pool_size
    _pool, _pool_size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # a child has none of its parent's threads
