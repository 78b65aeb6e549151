"""Bytes of a text file as text: UTF-8 with or without a mark, UTF-16, Windows-1252; plain or gzipped."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import Final

from dissensus.errors import DataFormatError

__all__ = ["read_bytes", "read_text"]

#: First bytes of files that are no text, and what to do about them.
_NO_TEXT: Final = {
    b"PK\x03\x04": "an Excel workbook or another zip archive; save the sheet as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV (UTF-8)",
    b"PAR1": "Parquet; call it .parquet",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"SQLite": "a SQLite database; export the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; decompress it",
    b"BZh": "compressed by bzip2; decompress it",
    b"\xfd7zXZ": "compressed by xz; decompress it",
}

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, decompressed where they are gzipped.

    Raises
    ------
    DataFormatError
        It cannot be read or decompressed.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataFormatError(f"{path}: no such file") from None
    except OSError as error:
        raise DataFormatError(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix != ".gz" and not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except Exception as error:  # zlib.error is a bare Exception
        raise DataFormatError(f"{path}: cannot be read: damaged compression ({error})") from None


def read_text(path: Path) -> str:
    """The whole file as text with ``\\n`` at the end of each line and no byte-order mark.

    Raises
    ------
    DataFormatError
        It cannot be read, is no text, or mixes encodings; the message has the line.
    """
    raw = read_bytes(path)
    for first, what in _NO_TEXT.items():
        if raw.startswith(first):
            raise DataFormatError(f"{path}: cannot be read as text: it is {what}")
    text = _decoded(raw, path).lstrip("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataFormatError(f"{path}, line {line}: cannot be read: holds a zero byte; save the file again as UTF-8")
    return text


def _decoded(raw: bytes, path: Path) -> str:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return _strict(raw[len(mark) :], name, path)
    start = raw[:400]
    if b"\0" in start:
        odd, even = start[1::2].count(0), start[::2].count(0)
        if max(odd, even) >= 0.4 * len(start) / 2:
            return _strict(raw, "utf-16-le" if odd > even else "utf-16-be", path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if any(ord(c) > 127 and c != "\ufffd" for c in raw.decode("utf-8", errors="replace")):
            line = raw.count(b"\n", 0, error.start) + 1
            raise DataFormatError(
                f"{path}, line {line}: cannot be read: byte {raw[error.start]:#04x} is not UTF-8, though other lines are; "
                "save the file again as UTF-8"
            ) from None
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataFormatError(
            f"{path}, line {line}: cannot be read: neither UTF-8, UTF-16 nor Windows-1252; save the file again as UTF-8"
        ) from None


def _strict(raw: bytes, name: str, path: Path) -> str:
    try:
        return raw.decode(name)
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: cannot be read as {name}: {error.reason} at byte {error.start}") from None
