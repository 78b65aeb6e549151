"""Keeps what C libraries print on stderr away from the terminal while they decode."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_decoders"]

#: Words that mark a line as a decoder's own (libmpg123 is the one that prints).
_MARKS = (b"libmpg123", b"mpg123", b"Xing stream size", b"fuzzy seeking", b"[src/", b"big_values", b"Illegal Audio")

_lock = threading.Lock()
_inside = 0
_saved = -1
_sink = -1
_read_to = 0


def _new_sink() -> int:
    create = getattr(os, "memfd_create", None)
    if create is not None:
        return int(create("dissensus-stderr"))
    fd, name = tempfile.mkstemp(prefix="dissensus-stderr-")
    os.unlink(name)
    return fd


def _pass_on() -> None:
    """Hand lines that are not a decoder's to the real stderr; nobody else's message gets lost."""
    global _read_to
    size = os.fstat(_sink).st_size
    if size <= _read_to:
        return
    text = os.pread(_sink, size - _read_to, _read_to)
    _read_to = size
    kept = b"".join(
        line for line in text.splitlines(keepends=True) if line.strip() and not any(m in line for m in _MARKS)
    )
    if kept:
        os.write(_saved, kept)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Catch file descriptor 2 while the block runs, in any number of threads at once.

    The descriptor belongs to the whole process: the first thread to enter diverts it, the last one to leave puts it back,
    and at each leave the lines that did not come from a decoder are passed on.
    """
    global _inside, _saved, _sink, _read_to
    with _lock:
        if _inside == 0:
            try:
                saved = os.dup(2)
            except OSError:  # no stderr at all
                saved = -1
            if saved >= 0:
                _saved, _sink, _read_to = saved, _new_sink(), 0
                os.dup2(_sink, 2)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _saved >= 0:
                if _inside == 0:
                    os.dup2(_saved, 2)
                _pass_on()
                if _inside == 0:
                    os.close(_saved)
                    os.close(_sink)
                    _saved = _sink = -1
