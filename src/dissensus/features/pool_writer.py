"""The one who appends to a pool on disk; the format is described in :mod:`dissensus.features.pool_store`."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._files import sync, write_text
from dissensus._ids import id_text
from dissensus.errors import ParameterError, PoolFormatError, StoreError
from dissensus.features.pool_store import VERSION, StoredPool, fingerprint_of, manifest_crc

__all__ = ["PoolWriter"]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,30}")


class PoolWriter:
    """Append tracks to a pool on disk.

    What was appended is safe after :meth:`commit`, which also happens by itself every few thousand windows and at the end of
    the ``with`` block. One writer at a time; readers need not wait.

    Parameters
    ----------
    path : str or path
        A folder, made if it is missing.
    n_features : int
        Columns.
    feature_names : sequence of str, optional
        Their names.
    fingerprint : str, optional
        Name of the plan; derived from ``plan`` where it is not given.
    plan : dict, optional
        The feature plan, for the manifest.
    made_by : dict, optional
        Versions of the libraries that made the features; kept, not compared.
    resume : bool
        Go on with a pool that is there (it must have the same columns and fingerprint), or refuse it.
    commit_every : int
        Windows between commits.

    Raises
    ------
    PoolFormatError
        A pool is there that cannot be continued.
    StoreError
        Another writer is at work, or the disk refused.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        n_features: int,
        feature_names: Sequence[str] | None = None,
        fingerprint: str | None = None,
        plan: dict[str, Any] | None = None,
        made_by: dict[str, str] | None = None,
        resume: bool = True,
        commit_every: int = 20_000,
    ) -> None:
        if feature_names is not None and len(feature_names) != n_features:
            raise ParameterError(f"{len(feature_names)} feature_names for {n_features} columns")
        self.folder = Path(path)
        self.commit_every = commit_every
        self._body: dict[str, Any] = {
            "format": "dissensus-pool",
            "version": VERSION,
            "n_tracks": 0,
            "n_windows": 0,
            "n_features": int(n_features),
            "id_bytes": 0,
            "id_kind": None,
            "feature_names": None if feature_names is None else list(feature_names),
            "fingerprint": fingerprint or (fingerprint_of(plan) if plan else None),
            "plan": plan or {},
            "made_by": made_by or {},
            "segments": [],
        }
        if self.folder.is_file():
            raise StoreError(f"{self.folder}: is a file, and a pool is a folder; choose another name")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror})") from None
        self._files: dict[str, BufferedWriter] = {}
        self.known: set[int | str] = set()
        try:
            if (self.folder / "manifest.json").exists():
                self._take_over(resume)
            self._open_files()
        except BaseException:
            self._release()
            raise
        self._tracks: list[tuple[NDArray[np.float32], int | str, bytes]] = []
        self._pending = 0
        self._broken = False
        self._id_kind: str | None = self._body["id_kind"]

    def _take_over(self, resume: bool) -> None:
        if not resume:
            raise PoolFormatError(f"{self.folder}: holds a pool already; choose another folder or resume it")
        there = StoredPool(self.folder)
        for key in ("fingerprint", "n_features", "feature_names"):
            if there.manifest[key] != self._body[key]:
                raise PoolFormatError(
                    f"{self.folder}: holds a pool with another {key} ({_short(there.manifest[key])}, "
                    f"not {_short(self._body[key])}); choose another folder"
                )
        self.known = set(there.ids().tolist())
        self._body = there.manifest

    def _open_files(self) -> None:
        sizes = {
            "windows.f32": self._body["n_windows"] * self._body["n_features"] * 4,
            "ends.i64": self._body["n_tracks"] * 8,
            "ids.i64": self._body["n_tracks"] * 8,
            "ids.utf8": self._body["id_bytes"],
        }
        try:
            for name, size in sizes.items():
                file = open(self.folder / name, "ab")  # noqa: SIM115 - closed by close()
                self._files[name] = file
                file.truncate(size)  # what a stopped writer left behind
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror})") from None

    @property
    def n_features(self) -> int:
        """Columns of the pool."""
        return int(self._body["n_features"])

    def expect(self, track_ids: Iterable[Any]) -> None:
        """Settle of what kind the ids of an empty pool are: whole numbers where all of these fit 64 bits, else text."""
        if self._id_kind is None:
            small = all(isinstance(i, (int, np.integer)) and -(2**63) <= i < 2**63 for i in track_ids)
            self._id_kind = "int" if small else "text"

    def key_of(self, track_id: Any) -> int | str:
        """An id as this pool holds it.

        All ids of a pool are whole numbers or all are text, as the first one was or as :meth:`expect` found; one of the
        other kind is brought to it where that leaves it the same id (``"7"`` in a pool of numbers, ``7`` in one of text).

        Raises
        ------
        ParameterError
            Not an id, not valid Unicode, a text in a pool of numbers, or a number beyond 64 bits in one.
        """
        if isinstance(track_id, bool) or not isinstance(track_id, (int, np.integer, str)):
            raise ParameterError(f"track {track_id!r}: an id is a whole number or a text")
        text = id_text(track_id, what="the id of a track")
        if self._id_kind == "text" or (self._id_kind is None and isinstance(track_id, str)):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ParameterError(
                    f"track {text!a}: the id is not valid Unicode; dissensus.features.escape_name gives one that is"
                ) from None
            return text
        if isinstance(track_id, str) and not _WHOLE.fullmatch(track_id):
            raise ParameterError(f"track {track_id!r}: the other ids of this pool are whole numbers")
        if not -(2**63) <= int(text) < 2**63:
            raise ParameterError(
                f"track {text}: a whole-number id must fit 64 bits; in a pool of text ids it may be longer"
            )
        return int(text)

    def append(self, track_id: int | str, windows: ArrayLike) -> None:
        """Add a track.

        Parameters
        ----------
        track_id : int or str
            Not in the pool yet; see :meth:`key_of`.
        windows : (n_windows, n_features) array_like of float
            Finite, at least one row; stored as float32.
        """
        rows = np.ascontiguousarray(windows, dtype="<f4")
        if rows.ndim != 2 or rows.shape[1] != self._body["n_features"] or len(rows) == 0:
            raise ParameterError(
                f"track {track_id!r}: windows must be (n_windows, {self._body['n_features']}), at least one row; "
                f"got {rows.shape}"
            )
        if not all(np.isfinite(part).all() for part in _slices(rows)):
            raise ParameterError(f"track {track_id!r}: its windows hold NaN, infinity or numbers beyond float32")
        key = self.key_of(track_id)
        if key in self.known:
            raise ParameterError(f"track {key!r} is in the pool already")
        self._id_kind = self._id_kind or ("text" if isinstance(key, str) else "int")
        text = key.encode() if isinstance(key, str) else b""
        self._tracks.append((rows, key, text))
        self.known.add(key)
        self._pending += len(rows)
        if self._pending >= self.commit_every:
            self.commit()

    def commit(self) -> None:
        """Make everything appended so far durable and visible to readers.

        Raises
        ------
        StoreError
            The disk refused, or an earlier commit was interrupted: what is committed is intact, open the pool anew.
        """
        if self._broken:
            raise StoreError(f"{self.folder}: an earlier commit did not finish; open the pool again to go on")
        self._broken = True  # until this commit has finished
        body = dict(self._body)
        if self._tracks:
            body["id_kind"] = self._id_kind
            counts = [len(rows) for rows, _, _ in self._tracks]
            lengths = [len(text) for _, _, text in self._tracks]
            keys = [key for _, key, _ in self._tracks]
            ends = body["n_windows"] + np.cumsum(counts, dtype=np.int64)
            ids = (
                np.array(keys, "<i8")
                if body["id_kind"] == "int"
                else body["id_bytes"] + np.cumsum(lengths, dtype="<i8")
            )
            data = {
                "windows.f32": (part for rows, _, _ in self._tracks for part in _slices(rows)),
                "ends.i64": [ends.astype("<i8")],
                "ids.i64": [ids],
                "ids.utf8": [text for _, _, text in self._tracks],
            }
            body["n_tracks"] += len(counts)
            body["n_windows"] += sum(counts)
            body["id_bytes"] += sum(lengths)
            body["segments"] = [*body["segments"], self._write_all(data)]
        self._replace_manifest(body)
        self._body, self._tracks, self._pending = body, [], 0
        self._broken = False

    def _write_all(self, data: dict[str, Iterable[Any]]) -> dict[str, list[int]]:
        """Append to the files; returns size and checksum of what was written to each."""
        segment: dict[str, list[int]] = {}
        for name, parts in data.items():
            size, crc = 0, 0
            try:
                for part in parts:
                    view = memoryview(part).cast("B")
                    self._files[name].write(view)
                    size, crc = size + len(view), zlib.crc32(view, crc)
                sync(self._files[name])
            except OSError as error:
                raise StoreError(f"{self.folder / name}: cannot be written ({error.strerror})") from None
            segment[name] = [size, crc]
        return segment

    def _replace_manifest(self, body: dict[str, Any]) -> None:
        write_text(self.folder / "manifest.json", json.dumps({**body, "crc32": manifest_crc(body)}))

    def _release(self) -> None:
        for file in self._files.values():
            try:
                file.close()
            except OSError:
                continue
        os.close(self._lock)

    def __enter__(self) -> PoolWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is complete, also after an error, and let the next writer in."""
        try:
            if not self._broken:
                self.commit()
        finally:
            self._release()


def _slices(rows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The rows in pieces of a few megabytes: those of a track may be a memory map larger than the memory."""
    step = max(1, (4 << 20) // max(1, rows.strides[0]))
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lock(folder: Path) -> int:
    """One writer a folder: an advisory lock that goes when its process goes."""
    fd = os.open(folder / ".writer", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # not POSIX: no lock to take
        return fd
    except OSError:
        os.close(fd)
        raise StoreError(f"{folder}: another process is writing this pool; wait for it or stop it") from None
    return fd
