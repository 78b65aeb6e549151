"""What tests let worker processes do; it stands in a module because workers import it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dissensus.errors import LabelError


def square(x: int) -> int:
    return x * x


def slow_to_begin(x: int) -> int:
    time.sleep(0.2 if x == 0 else 0.0)
    return x


def odd(x: int) -> int:
    """Fails in a way of its own for each item that is not odd."""
    if x % 2:
        return x
    if x == 0:
        raise LabelError("no such label: 0")
    if x == 2:
        raise Stubborn(1, 2)
    if x == 4:
        raise MemoryError
    raise ZeroDivisionError(f"{x} is even")


class Stubborn(Exception):
    """An exception that does not survive being sent."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def die_by(how: str) -> str:
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    if how == "exit":
        os._exit(5)
    if how == "sys.exit":
        sys.exit(6)
    return how


def die_once(folder: Path, x: int) -> int:
    """Item 1 dies the first time it is tried."""
    mark = folder / str(x)
    if x == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def unsendable(x: int) -> Any:
    return (lambda: x) if x == 1 else x


def talk(x: int) -> int:
    print("a library's banner", flush=True)
    os.write(1, b"written by C\n")
    return x


def environment(x: int) -> tuple[str, int, bool, int]:
    from dissensus._threads import thread_budget

    return os.environ["OMP_NUM_THREADS"], thread_budget(), hasattr(sys.modules["__main__"], "MARK"), os.getpid()


def wait_for_ever(x: int) -> None:
    print(os.getpid(), file=sys.stderr, flush=True)
    while True:
        time.sleep(60)
