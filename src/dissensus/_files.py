"""The one place that puts files on disk: written beside, flushed, renamed, and the folder flushed.

A reader meets the old file or the new one, never half of one, also after a loss of power. Whatever goes wrong, the old file
stays as it was, nothing is left beside it, and the error is a :class:`~dissensus.errors.StoreError` that says what to do.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from dissensus.errors import StoreError

__all__ = ["make_folder", "replace_by_handle", "replace_file", "replace_folder", "sync", "write_bytes", "write_text"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
#: What some file systems answer where a folder cannot be flushed: they keep the order of renames by themselves.
_NO_FOLDER_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def write_text(path: str | os.PathLike[str], text: str, *, parents: bool = True, errors: str = "strict") -> None:
    r"""Replace ``path`` by this text, UTF-8, line ends as they are.

    Parameters
    ----------
    path : str or path
        The file.
    text : str
        All of it.
    parents : bool
        Make the folders that are missing; otherwise a missing folder is an error.
    errors : str
        What happens to characters that UTF-8 cannot hold, as in :meth:`str.encode`.

    Raises
    ------
    StoreError
        The disk is full, the folder cannot be written to, or the disk refused otherwise.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "new", "notes.txt"), "one\n")
    ...     Path(folder, "new", "notes.txt").read_text()
    'one\n'
    """
    write_bytes(path, text.encode("utf-8", errors), parents=parents)


def write_bytes(path: str | os.PathLike[str], content: bytes, *, parents: bool = True) -> None:
    """Replace ``path`` by these bytes; parameters and errors as in :func:`write_text`."""
    replace_by_handle(path, lambda handle: handle.write(content), parents=parents)


def replace_by_handle(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], object], *, parents: bool = True
) -> None:
    """Replace ``path`` by what ``write`` puts into the open file it is given (it may also seek and read).

    An exception of ``write`` that is no ``OSError`` passes on unchanged; the old file stays.
    """

    def fill(beside: Path) -> None:
        with open(beside, "x+b") as handle:
            write(handle)
            sync(handle)

    _replace(Path(path), fill, parents)


def replace_file(path: str | os.PathLike[str], write: Callable[[Path], object], *, parents: bool = True) -> None:
    """Replace ``path`` by the file that ``write`` makes under the name it is given.

    For libraries that want a name. The name has no suffix of a format (it ends in ``.part``), so name the format in the call.
    """

    def fill(beside: Path) -> None:
        write(beside)
        _sync_path(beside)

    _replace(Path(path), fill, parents)


def replace_folder(path: str | os.PathLike[str], fill: Callable[[Path], object]) -> None:
    """Replace the folder ``path``, if it is there, by the one that ``fill`` makes at the place it is given.

    The old folder stays until the new one is complete and on disk.

    Raises
    ------
    StoreError
        As in :func:`write_text`.
    """
    target = Path(path)
    beside = _beside(target)
    with _as_store_error(target):
        make_folder(target.parent)
        try:
            beside.mkdir()
            fill(beside)
            for folder, _, names in os.walk(beside):
                for name in names:
                    _sync_path(Path(folder, name))
                _sync_folder(Path(folder))
            _swap(beside, target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it, durably; one that is there is left alone.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    folder = Path(path)
    with _as_store_error(folder):
        missing = [part for part in (folder, *folder.parents) if not part.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for part in reversed(missing):
            _sync_folder(part.parent)


def sync(handle: IO[bytes]) -> None:
    """Flush an open file, its buffer and what the system holds of it, to disk."""
    handle.flush()
    os.fsync(handle.fileno())


def _replace(target: Path, fill: Callable[[Path], None], parents: bool) -> None:
    beside = _beside(target)
    if parents:
        make_folder(target.parent)
    with _as_store_error(target):
        try:
            fill(beside)
            os.replace(beside, target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        _sync_folder(target.parent)


def _beside(target: Path) -> Path:
    """A name in the same folder that nobody else has and no pattern for data files finds."""
    if not target.name:
        raise StoreError(f"{target}: is no name of a file; add one")
    start = os.fsdecode(os.fsencode(target.name)[:80])
    return target.with_name(f".{start}.{secrets.token_hex(6)}.part")


def _swap(beside: Path, target: Path) -> None:
    if not target.exists():
        os.replace(beside, target)
        return
    old = _beside(target)
    os.replace(target, old)
    try:
        os.replace(beside, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync_path(path: Path) -> None:
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    """A rename is on disk once its folder is."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _as_store_error(target: Path) -> Iterator[None]:
    """Turn what the system refuses into a sentence that names the file and the way out."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror or error}); {_remedy(target, error)}"
        ) from error


def _remedy(target: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return "make room on the disk, then try again: what was there before is intact"
    if error.errno in _REFUSED:
        return f"choose a place outside {target.parent}, or change its permissions"
    if error.errno == errno.ENOENT:
        return f"make the folder {target.parent} first"
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return "a file stands where a folder is needed, or a folder where a file is: choose another name"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name"
    return "check the disk, then try again"
