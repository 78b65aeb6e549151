"""Universal Binary JSON, the little of it that XGBoost's models use: read with limits, and written.

XGBoost's own reader trusts the lengths and types it meets; it never sees bytes of a file. They are read here, by Python, into
dictionaries, texts, numbers and arrays, and what is handed to XGBoost is written here, from arrays that were checked.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ModelFormatError, UntrustedModelError

__all__ = ["read_ubjson", "write_ubjson"]

MAX_DEPTH: Final = 24
MAX_VALUES: Final = 2_000_000
MAX_TEXT: Final = 1 << 20

_NUMBERS: Final = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_CONSTANTS: Final[dict[str, Any]] = {"T": True, "F": False, "Z": None}


def read_ubjson(raw: bytes) -> Any:
    """The value that bytes hold; arrays of one numeric type come as ndarrays.

    Raises
    ------
    ModelFormatError
        The bytes end early, go on behind the value, or hold a type that is not one of UBJSON's.
    UntrustedModelError
        Deeper, longer or with more values than a model needs.
    """
    reader = _Reader(raw)
    value = reader.value(reader.marker(), 0)
    if reader.at != len(raw):
        raise ModelFormatError(f"{len(raw) - reader.at} bytes behind the end of the trees")
    return value


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw, self.at, self.values = raw, 0, 0

    def take(self, n: int) -> bytes:
        if n < 0 or n > len(self.raw) - self.at:
            raise ModelFormatError("the trees end early")
        self.at += n
        return self.raw[self.at - n : self.at]

    def marker(self) -> str:
        while (found := self.take(1)) == b"N":
            pass
        return found.decode("latin-1")

    def peek(self) -> str:
        return self.raw[self.at : self.at + 1].decode("latin-1")

    def number(self, kind: str) -> Any:
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self.take(dtype.itemsize), dtype)[0].item()

    def length(self) -> int:
        kind = self.marker()
        if kind not in "iUIlL":
            raise ModelFormatError(f"a length of the type {kind!r}")
        n = int(self.number(kind))
        if n < 0:
            raise ModelFormatError(f"a length of {n}")
        return n

    def text(self) -> str:
        n = self.length()
        if n > MAX_TEXT:
            raise UntrustedModelError(f"a text of {n} bytes among the trees")
        try:
            return self.take(n).decode("utf-8")
        except UnicodeDecodeError:
            raise ModelFormatError("a text among the trees is not UTF-8") from None

    def value(self, kind: str, depth: int) -> Any:
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise UntrustedModelError("the trees are nested deeper, or hold more values, than a model needs")
        if kind in _NUMBERS:
            return self.number(kind)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == "S":
            return self.text()
        if kind == "C":
            return self.take(1).decode("latin-1")
        if kind == "[":
            return self.array(depth)
        if kind == "{":
            return self.mapping(depth)
        raise ModelFormatError(f"a value of the type {kind!r} among the trees")

    def head(self) -> tuple[str | None, int | None]:
        """Type and count of an array or mapping, where they are given."""
        kind = None
        if self.peek() == "$":
            self.take(1)
            kind = self.take(1).decode("latin-1")
        if self.peek() == "#":
            self.take(1)
            return kind, self.length()
        if kind is not None:
            raise ModelFormatError("a typed array without a count among the trees")
        return None, None

    def array(self, depth: int) -> Any:
        kind, n = self.head()
        if kind in _NUMBERS and n is not None:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(n * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))
        if n is not None and n > MAX_VALUES - self.values:
            raise UntrustedModelError(f"an array of {n} values among the trees")
        found: list[Any] = []
        while n is None or len(found) < n:
            marker = kind or self.marker()
            if n is None and marker == "]":
                break
            found.append(self.value(marker, depth + 1))
        return found

    def mapping(self, depth: int) -> dict[str, Any]:
        kind, n = self.head()
        found: dict[str, Any] = {}
        count = 0
        while n is None or count < n:
            if n is None and self.peek() == "}":
                self.take(1)
                break
            if self.peek() == "N":
                self.take(1)
                continue
            name = self.text()
            if name in found:
                raise ModelFormatError(f"{name!r} twice among the trees")
            found[name] = self.value(kind or self.marker(), depth + 1)
            count += 1
        return found


def write_ubjson(value: Any) -> bytes:
    """A value of dictionaries, texts, whole numbers, lists and ndarrays (float32, int32, int64, uint8) as UBJSON."""
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def _text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return b"L" + struct.pack(">q", len(raw)) + raw


_KINDS: Final = {"float32": (b"d", ">f4"), "int32": (b"l", ">i4"), "int64": (b"L", ">i8"), "uint8": (b"U", ">u1")}


def _write(value: Any, out: list[bytes]) -> None:
    if isinstance(value, dict):
        out.append(b"{")
        for name, inner in value.items():
            out.append(_text(name))
            _write(inner, out)
        out.append(b"}")
    elif isinstance(value, str):
        out.append(b"S" + _text(value))
    elif isinstance(value, int):
        out.append(b"L" + struct.pack(">q", value))
    elif isinstance(value, np.ndarray):
        _write_array(value, out)
    else:
        out.append(b"[#L" + struct.pack(">q", len(value)))
        for inner in value:
            _write(inner, out)


def _write_array(value: NDArray[Any], out: list[bytes]) -> None:
    kind, dtype = _KINDS[value.dtype.name]
    out.append(b"[$" + kind + b"#L" + struct.pack(">q", len(value)) + value.astype(dtype).tobytes())
