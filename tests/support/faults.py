"""Faults of disks and processes: kill or fail a process at its n-th change, and what a disk may hold after a power cut.

The model of a power cut: what a file held at its last flush is there; each later change is there, or not, or torn at 512 bytes,
in any order; a removed name may come back until its folder is flushed. Creation and truncation count as ordered by the file's own
flush, and the device as honouring flushes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SHIM = Path(__file__).resolve().parents[1] / "faults" / "shim.c"


def compiled_shim(folder: Path) -> Path | None:
    """The shim as a library to preload; None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Change:
    """One record of the shim's log."""

    op: str
    path: str
    at: int
    length: int
    data: bytes
    second: str


def read_log(path: Path) -> list[Change]:
    """The shim's log."""
    raw, place, found = path.read_bytes(), 0, []
    while place < len(raw):
        op = chr(raw[place])
        n1, n2, at, length = struct.unpack_from("<iiqq", raw, place + 1)
        place += 25
        first, second = raw[place : place + n1].decode(), raw[place + n1 : place + n1 + n2].decode()
        place += n1 + n2
        data = b""
        if op == "W":
            data = raw[place : place + length]
            place += length
        found.append(Change(op, first, at, length, data, second))
    return found


def _apply(content: bytearray, change: Change) -> None:
    if change.op == "W":
        if len(content) < change.at:
            content.extend(bytes(change.at - len(content)))
        content[change.at : change.at + len(change.data)] = change.data
    elif change.length < len(content):
        del content[change.length :]
    else:
        content.extend(bytes(change.length - len(content)))


def after_power_cut(changes: list[Change], folder: str, rng: random.Random) -> dict[str, bytes]:
    """One of the states that a disk may be in when the power goes after these changes."""
    files: dict[str, bytearray] = {}
    pending: dict[str, list[Change]] = {}
    gone: dict[str, bytearray] = {}
    for change in changes:
        op, path = change.op, change.path
        if op == "C":
            files.setdefault(path, bytearray())
            pending.setdefault(path, [])
        elif op in "WT":
            files.setdefault(path, bytearray())
            pending.setdefault(path, []).append(change)
        elif op == "S" and path == folder:
            gone.clear()
        elif op == "S":
            for one in pending.get(path, []):
                _apply(files.setdefault(path, bytearray()), one)
            pending[path] = []
        elif op == "U":
            gone[path] = files.pop(path, bytearray())
            pending.pop(path, None)
        elif op == "R":
            files[change.second] = files.pop(path, bytearray())
            pending[change.second] = pending.pop(path, [])
    for path, waiting in pending.items():
        how = rng.choice(["none", "prefix", "subset", "torn", "all"])
        if how == "none":
            continue
        if how == "prefix":
            waiting = waiting[: rng.randint(0, len(waiting))]
        elif how in {"subset", "torn"}:
            waiting = [one for one in waiting if rng.random() < 0.5]
            rng.shuffle(waiting)
        for one in waiting:
            if how == "torn" and one.op == "W" and len(one.data) > 512:
                kept = one.data[: 512 * rng.randint(0, len(one.data) // 512)]
                one = Change("W", one.path, one.at, len(kept), kept, "")
            _apply(files.setdefault(path, bytearray()), one)
    for path, content in gone.items():
        if path not in files and rng.random() < 0.5:
            files[path] = content
    return {path: bytes(content) for path, content in files.items()}


@dataclass
class Tally:
    """What a series of faults did."""

    points: int = 0
    lost: int = 0
    unreadable: int = 0
    half: int = 0
    untyped: int = 0
    tolerated: int = 0
    examples: list[str] = field(default_factory=list)

    def sound(self) -> bool:
        """Nothing was lost, unreadable, half or untyped."""
        return not (self.lost or self.unreadable or self.half or self.untyped)

    def __str__(self) -> str:
        return (
            f"{self.points} points: {self.lost} lost, {self.unreadable} unreadable, {self.half} half, "
            f"{self.untyped} untyped errors, {self.tolerated} tolerated by the database"
        )


#: Exit codes of a workload's process.
DONE, TYPED, UNTYPED = 0, 3, 4


def run_forked(
    work: Callable[[Path, Path], None], folder: Path, acknowledged: Path, *, log: Path | None = None,
    fail_at: int = 0, kill_at: int = 0, code: int = errno.EIO, real_sync: bool = False,
) -> tuple[int, int]:  # fmt: skip
    """Run ``work(folder, acknowledged)`` in a forked child with the shim armed; gives the wait status and number of changes.

    The calling process must have the shim preloaded.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = UNTYPED
        try:
            os.close(read)
            shim = ctypes.CDLL(None)
            shim.shim_set.argtypes = [
                ctypes.c_char_p,
                ctypes.c_char_p,
                ctypes.c_long,
                ctypes.c_long,
                ctypes.c_int,
                ctypes.c_int,
            ]
            shim.shim_changes.restype = ctypes.c_long
            shim.shim_set(os.fsencode(folder), os.fsencode(log or ""), fail_at, kill_at, code, int(real_sync))
            from dissensus.errors import DissensusError

            try:
                work(folder, acknowledged)
                status = DONE
            except DissensusError:
                status = TYPED
            except BaseException as error:
                print(f"untyped: {error!r}", file=sys.stderr, flush=True)
            os.write(write, struct.pack("<q", shim.shim_changes()))
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, result = os.waitpid(child, 0)
    return result, struct.unpack("<q", said)[0] if len(said) == 8 else -1


def fresh_folder() -> tuple[Path, Path]:
    """An empty folder to watch and a file for acknowledgements outside of it, in memory where the system has such a place."""
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    place = Path(tempfile.mkdtemp(prefix="faults-", dir=base))
    (place / "d").mkdir()
    return place / "d", place / "acknowledged"


def killed(status: int) -> bool:
    """Whether a wait status says SIGKILL."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
