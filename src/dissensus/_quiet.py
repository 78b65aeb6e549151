"""Keeps what C libraries print on stderr away from the terminal while they decode, or open a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from dissensus._fork import Lock, at_fork

__all__ = ["quiet_libraries"]

#: How the lines of the libraries that print begin: libmpg123, and onnxruntime (whose lines have a colour and a date first).
_MARKS = (b"Note: ", b"Warning: ", b"[src/libmpg123", b"[libmpg123")
_INSIDE = (b":onnxruntime:", b"[libprotobuf ")


class _Diverted:
    """File descriptor 2 while threads are inside :func:`quiet_libraries`."""

    def __init__(self) -> None:
        self.lock = Lock(held_at_fork=True)
        self._inside = 0
        self._saved = -1
        self._sink = -1  # opened once a process: a thread may still be writing to it when it is put aside
        self._read_to = 0
        at_fork(self)

    def enter(self) -> None:
        """One thread more."""
        if self._inside == 0:
            try:
                saved = os.dup(2)
            except OSError:  # no stderr at all
                saved = -1
            if saved >= 0:
                if self._sink < 0:
                    self._sink, self._read_to = _new_sink(), 0
                os.dup2(self._sink, 2)
                self._saved = saved
        self._inside += 1

    def leave(self) -> None:
        """One thread less; the last one puts the descriptor back."""
        self._inside -= 1
        if self._saved < 0:
            return
        if self._inside:
            self._pass_on(self._saved)
            return
        self._put_back()
        self._pass_on(2)

    def _put_back(self) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._saved = -1

    def _pass_on(self, target: int) -> None:
        """Hand complete lines that are not a library's to the real stderr; nobody else's message gets lost."""
        size = os.fstat(self._sink).st_size
        text = os.pread(self._sink, size - self._read_to, self._read_to) if size > self._read_to else b""
        text = text[: text.rfind(b"\n") + 1]
        self._read_to += len(text)
        kept = b"".join(line for line in text.splitlines(keepends=True) if not _is_noise(line))
        if kept:
            os.write(target, kept)

    def _before_fork(self) -> None:
        """Nothing: the lock is held."""

    def _after_fork(self, *, in_child: bool) -> None:
        """In a child the threads that were inside are not there, and the sink is the parent's."""
        if not in_child:
            return
        if self._saved >= 0:
            self._put_back()
        if self._sink >= 0:
            os.close(self._sink)
        self._inside, self._sink = 0, -1


def _is_noise(line: bytes) -> bool:
    bare = line.replace(b"\x1b[m", b"").replace(b"\x1b[0m", b"").strip()
    return not bare or line.startswith(_MARKS) or any(mark in line for mark in _INSIDE)


def _new_sink() -> int:
    """A file in memory (or an unlinked one), in append mode: lines of several threads must not overwrite each other."""
    create = getattr(os, "memfd_create", None)
    if create is not None:
        fd = int(create("dissensus-stderr"))
    else:
        fd, name = tempfile.mkstemp(prefix="dissensus-stderr-")
        os.unlink(name)
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    except ImportError:  # not POSIX
        return fd
    return fd


_diverted = _Diverted()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Catch file descriptor 2 while the block runs, in any number of threads at once.

    The descriptor belongs to the whole process: the first thread to enter diverts it, the last one to leave puts it back,
    and at each leave the lines that did not come from a library are passed on.
    """
    with _diverted.lock:
        _diverted.enter()
    try:
        yield
    finally:
        with _diverted.lock:
            _diverted.leave()
