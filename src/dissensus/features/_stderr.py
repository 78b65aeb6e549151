"""Keeps what C libraries print on stderr away from the terminal while they decode."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_decoders"]

#: How the lines of the one decoder that prints, libmpg123, begin.
_MARKS = (b"Note: ", b"Warning: ", b"[src/libmpg123", b"[libmpg123")

_lock = threading.Lock()
_inside = 0
_saved = -1
_sink = -1  # opened once a process: a thread may still be writing to it when it is put aside
_read_to = 0


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


def _pass_on(target: int) -> None:
    """Hand complete lines that are not the decoder's to the real stderr; nobody else's message gets lost."""
    global _read_to
    size = os.fstat(_sink).st_size
    text = os.pread(_sink, size - _read_to, _read_to) if size > _read_to else b""
    text = text[: text.rfind(b"\n") + 1]
    _read_to += len(text)
    kept = b"".join(line for line in text.splitlines(keepends=True) if line.strip() and not line.startswith(_MARKS))
    if kept:
        os.write(target, kept)


def _enter() -> None:
    global _inside, _saved, _sink
    if _inside == 0:
        try:
            saved = os.dup(2)
        except OSError:  # no stderr at all
            saved = -1
        if saved >= 0:
            if _sink < 0:
                _sink = _new_sink()
            os.dup2(_sink, 2)
            _saved = saved
    _inside += 1


def _leave() -> None:
    global _inside, _saved
    _inside -= 1
    if _saved < 0:
        return
    if _inside:
        _pass_on(_saved)
        return
    os.dup2(_saved, 2)
    os.close(_saved)
    _saved = -1
    _pass_on(2)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Catch file descriptor 2 while the block runs, in any number of threads at once.

    The descriptor belongs to the whole process: the first thread to enter diverts it, the last one to leave puts it back,
    and at each leave the lines that did not come from the decoder are passed on.
    """
    with _lock:
        _enter()
    try:
        yield
    finally:
        with _lock:
            _leave()
