"""A pool on disk: a folder of append-only files under a manifest that is replaced as a whole.

=================  ====================================================================================
``manifest.json``  what is committed: counts, checksums of every segment, column names, the feature plan
``windows.f32``    (n_windows, n_features) little-endian float32
``ends.i64``       (n_tracks,) little-endian int64: the row after each track's last window
``ids.i64``        (n_tracks,) little-endian int64: ids, or for textual ids the byte after each in ``ids.utf8``
``ids.utf8``       the textual ids, one after the other
=================  ====================================================================================

What lies behind the committed counts is the remains of a writer that was stopped: a reader does not see it, the next writer
cuts it off. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import PoolFormatError

__all__ = ["FILES", "VERSION", "StoredPool", "fingerprint_of", "manifest_crc"]

VERSION: Final = 1
FILES: Final = ("windows.f32", "ends.i64", "ids.i64", "ids.utf8")
_MAX_MANIFEST: Final = 64 << 20


def fingerprint_of(plan: dict[str, Any]) -> str:
    """A short name of a feature plan: equal for equal choices, whatever the order they are written in.

    Examples
    --------
    >>> fingerprint_of({"features": "logmel", "sr": 16000}) == fingerprint_of({"sr": 16000, "features": "logmel"})
    True
    """
    import hashlib

    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    return f"{plan.get('features', 'features')}:{digest[:16]}"


def manifest_crc(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise PoolFormatError(f"{path}: the manifest is larger than {_MAX_MANIFEST >> 20} MB")
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PoolFormatError(
            f"{folder}: no pool there (no manifest.json); make one with `dissensus extract`"
        ) from None
    except NotADirectoryError:
        raise PoolFormatError(f"{folder}: a pool is a folder, this is a file") from None
    except OSError as error:
        raise PoolFormatError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise PoolFormatError(f"{path}: the manifest is damaged (not JSON)") from None
    if not isinstance(body, dict) or body.get("format") != "dissensus-pool":
        raise PoolFormatError(f"{path}: not the manifest of a pool")
    version = body.get("version")
    if version != VERSION:
        raise PoolFormatError(
            f"{path}: version {version!r} of the format; this release reads {VERSION}: upgrade dissensus"
        )
    crc = body.pop("crc32", None)
    if crc != manifest_crc(body):
        raise PoolFormatError(f"{path}: the manifest is damaged (checksum)")
    return body


def _map(path: Path, dtype: str, count: int, what: str) -> NDArray[Any]:
    need = count * np.dtype(dtype).itemsize
    try:
        have = path.stat().st_size
    except OSError:
        raise PoolFormatError(f"{path}: missing; the manifest counts {count} {what}") from None
    if have < need:
        raise PoolFormatError(f"{path}: holds {have} bytes, the manifest counts {count} {what} ({need} bytes)")
    if count == 0:
        return np.zeros(0, dtype=dtype)
    try:
        return np.memmap(path, dtype=dtype, mode="r", shape=(count,))
    except (OSError, ValueError) as error:
        raise PoolFormatError(f"{path}: cannot be mapped ({error})") from None


class StoredPool:
    """What is committed of a pool on disk, mapped.

    Attributes
    ----------
    windows : (n_windows, n_features) memory map of float32
    starts : (n_tracks + 1,) ndarray of int64
        First row of each track, and the number of rows.
    plan : dict
        The feature plan, and the versions that made the features.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = Path(path)
        self.manifest = _read_manifest(self.folder)
        try:
            n_tracks, n_windows = int(self.manifest["n_tracks"]), int(self.manifest["n_windows"])
            n_features, n_bytes = int(self.manifest["n_features"]), int(self.manifest["id_bytes"])
            names = self.manifest["feature_names"]
            self.feature_names: tuple[str, ...] | None = None if names is None else tuple(map(str, names))
            self.fingerprint: str | None = self.manifest["fingerprint"]
            self.plan: dict[str, Any] = dict(self.manifest["plan"])
            self.textual = self.manifest["id_kind"] == "text"
        except (KeyError, TypeError, ValueError):
            raise PoolFormatError(f"{self.folder}: the manifest lacks what a pool needs") from None
        flat = _map(self.folder / "windows.f32", "<f4", n_windows * n_features, "window values")
        self.windows: NDArray[Any] = flat.reshape(n_windows, n_features)
        self.ends = _map(self.folder / "ends.i64", "<i8", n_tracks, "tracks")
        self._ids = _map(self.folder / "ids.i64", "<i8", n_tracks, "ids")
        self._text = _map(self.folder / "ids.utf8", "u1", n_bytes, "bytes of ids")
        self.starts = np.concatenate([np.zeros(1, dtype=np.int64), self.ends])
        if (np.diff(self.starts) <= 0).any() or self.starts[-1] != n_windows:
            raise PoolFormatError(
                f"{self.folder / 'ends.i64'}: damaged; the ends of the tracks do not rise to {n_windows}"
            )
        if self.textual and n_tracks and ((np.diff(self._ids) < 0).any() or self._ids[-1] != n_bytes):
            raise PoolFormatError(f"{self.folder / 'ids.i64'}: damaged; the ids do not end at byte {n_bytes}")

    def ids(self) -> NDArray[Any]:
        """The ids in order, int64 or str."""
        if not self.textual:
            return np.array(self._ids, dtype=np.int64)
        text, bounds = self._text.tobytes(), [0, *self._ids.tolist()]
        try:
            return np.array([text[a:b].decode() for a, b in pairwise(bounds)], dtype=np.str_)
        except UnicodeDecodeError:
            raise PoolFormatError(f"{self.folder / 'ids.utf8'}: damaged; not UTF-8") from None

    def verify(self) -> None:
        """Read every committed byte and compare it with the checksums of the segments."""
        views = {
            "windows.f32": self.windows.reshape(-1).view(np.uint8),
            "ends.i64": self.ends.view(np.uint8),
            "ids.i64": self._ids.view(np.uint8),
            "ids.utf8": self._text,
        }
        at = dict.fromkeys(FILES, 0)
        for number, segment in enumerate(self.manifest["segments"]):
            for name in FILES:
                size, crc = segment[name]
                if zlib.crc32(views[name][at[name] : at[name] + size].tobytes()) != crc:
                    raise PoolFormatError(
                        f"{self.folder / name}: damaged in segment {number} (bytes from {at[name]} on)"
                    )
                at[name] += size
        if any(at[name] != len(views[name]) for name in FILES):
            raise PoolFormatError(f"{self.folder}: the segments do not add up to the counts of the manifest")
