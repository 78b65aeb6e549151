"""FLAC: the true number of samples from the last frame's own header, and a stream that ends with that frame.

RFC 9639 defines the format.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dissensus.errors import DecodeError
from dissensus.features.containers import tags
from dissensus.features.containers.layout import Layout, Stretch
from dissensus.features.containers.views import BLOCK, View

__all__ = ["flac_layout"]

_MARK: Final = b"fLaC"
_FIRST_BLOCK: Final = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
_FRAME: Final = re.compile(rb"\xff[\xf8\xf9]", re.DOTALL)
_MAX_BLOCKS: Final = 10_000
_TAIL: Final = (1 << 16, 1 << 19, 1 << 22, 1 << 24)  # how far from the end the last frame is looked for
_SIZES: Final = (0, 192, 576, 1152, 2304, 4608, -8, -16, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


@lru_cache(maxsize=1)
def _tables() -> tuple[list[int], list[int]]:
    """Tables of the two checksums: CRC-8 of frame headers, CRC-16 of frames."""
    crc8, crc16 = [], []
    for byte in range(256):
        c8, c16 = byte, byte << 8
        for _ in range(8):
            c8 = (c8 << 1 ^ 0x07 if c8 & 0x80 else c8 << 1) & 0xFF
            c16 = (c16 << 1 ^ 0x8005 if c16 & 0x8000 else c16 << 1) & 0xFFFF
        crc8.append(c8)
        crc16.append(c16)
    return crc8, crc16


@dataclass(frozen=True)
class _Head:
    """What stands before the frames of one stream, at offsets of the view."""

    start: int
    info: int  # the 34 bytes of STREAMINFO
    audio: int
    block: int  # samples of a block, where all are of one size
    total: int
    sr: int


def _head(view: View, start: int, end: int) -> _Head:
    at, info = start + 4, 0
    for _ in range(_MAX_BLOCKS):
        head = view.pread(at, 4)
        if len(head) < 4 or at + 4 > end:
            raise DecodeError("its FLAC metadata never ends")
        if head[0] & 0x7F == 0 and not info:
            info = at + 4
        at += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:
            break
    body = view.pread(info, 34)
    if not info or len(body) < 34 or at > end:
        raise DecodeError("its FLAC metadata is cut off or lacks the first block")
    block = int.from_bytes(body[2:4], "big")
    packed = int.from_bytes(body[10:18], "big")
    return _Head(start, info, at, block, packed & (1 << 36) - 1, packed >> 44)


@dataclass(frozen=True)
class _Frame:
    first: int  # number of its first sample
    n: int


def _frame(data: bytes, i: int, block: int) -> _Frame | None:
    """Read a frame header; None where these bytes are none."""
    head = data[i : i + 16]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[3] >> 4 > 10:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15:
        return None
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    if ones == 1 or ones > 7:
        return None
    length = ones or 1
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + length]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    at, n = 4 + length, _SIZES[size_code]
    if n < 0:
        wide = -n // 8
        n, at = int.from_bytes(head[at : at + wide], "big") + 1, at + wide
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc, table = 0, _tables()[0]
    for byte in head[:at]:
        crc = table[crc ^ byte]
    if at >= len(head) or crc != head[at]:
        return None
    return _Frame(number if head[1] & 1 else number * block, n)


def _last_frame(view: View, head: _Head, end: int) -> tuple[int, _Frame] | None:
    """The last frame header before an offset."""
    seen = end
    for reach in _TAIL:
        low = max(head.audio, end - reach)
        if low >= seen and reach != _TAIL[0]:
            break
        data = view.pread(low, min(end, seen + 16) - low)
        for found in reversed(list(_FRAME.finditer(data))):
            frame = _frame(data, found.start(), head.block)
            if frame is not None and frame.n:
                return low + found.start(), frame
        seen = low
    return None


def _frame_end(view: View, at: int, end: int) -> int | None:
    """Where a frame ends by its checksum: at the given end, or before what is behind it; None where it is cut off."""
    table, crc, first = _tables()[1], 0, None
    data = view.pread(at, min(end - at, 1 << 21))
    for i, byte in enumerate(data, start=1):
        crc = (crc << 8 ^ table[crc >> 8 ^ byte]) & 0xFFFF
        if crc == 0 and first is None and i > 8:
            first = at + i
    return end if crc == 0 and at + len(data) == end else first


def flac_layout(view: View, start: int, end: int, *, whole: bool) -> Layout:
    """Lay out a range that begins with ``fLaC``.

    Parameters
    ----------
    view : View
        Of the file, or of the packets in an Ogg stream.
    start, end : int
        The range.
    whole : bool
        The range is the file as it is.
    """
    if view.pread(start, 4) != _MARK:  # the decoding library would look for another codec in it
        raise DecodeError("its FLAC stream does not begin as one")
    layout = Layout("flac")
    starts = _streams(view, start, end)
    for i, (at, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        last = i == len(starts) - 1
        layout.stretches.append(_stretch(view, at, stop, layout, whole and len(starts) == 1, last=last))
    if len(starts) > 1:
        layout.notes.append(f"{len(starts)} FLAC streams are joined")
    return layout


def _streams(view: View, start: int, end: int) -> list[int]:
    """Where streams begin: the first one, and those joined to it."""
    starts, at = [start], start + 4
    while at < end:
        data = view.pread(at, min(BLOCK + 8, end - at))
        found = data.find(_MARK)
        while found >= 0:
            if data[found + 4 : found + 8] in _FIRST_BLOCK:
                starts.append(at + found)
            found = data.find(_MARK, found + 4)
        at += BLOCK
    return sorted(set(starts))


def _stretch(view: View, start: int, end: int, layout: Layout, whole: bool, *, last: bool) -> Stretch:
    head = _head(view, start, end)
    layout.unit_s = 1 / head.sr if head.sr else 0.0
    audio_end = tags.tail(view, head.audio, end)
    found = _last_frame(view, head, audio_end)
    if found is None:  # nothing to count: the decoder tells
        if last and head.total:
            layout.cut, layout.share = "it holds no FLAC frame", (0, head.total)
        return Stretch(None if whole else View(view.fd, view.part(start, end)), head.total or None)
    at, frame = found
    stop = _frame_end(view, at, audio_end)
    first = _frame(view.pread(head.audio, 16), 0, head.block)
    offset = first.first if first is not None else 0
    total = frame.first + (frame.n if stop else 0) - offset
    if stop is None and last:
        layout.cut = "its last FLAC frame is cut off"
        layout.share = (total, head.total) if head.total else None
    elif head.total not in (0, total):
        layout.notes.append(f"its header announces {head.total} samples, {total} are there")
    if total <= 0 or total >= 1 << 36:  # numbers that cannot be: the decoder tells
        return Stretch(None if whole else View(view.fd, view.part(start, end)), head.total or None)
    stop = at if stop is None else stop
    if stop < end and last:
        behind = end - stop
        if behind > 16 and audio_end - stop > 16 and not layout.cut:
            layout.notes.append(f"{audio_end - stop} bytes behind its last FLAC frame are no audio")
    if whole and total == head.total and stop == end:
        return Stretch(None, total, exact=True)
    body = view.pread(head.info, 34)
    packed = int.from_bytes(body[10:18], "big") >> 36 << 36 | total
    fixed = body[:10] + struct.pack(">Q", packed) + body[18:]
    pieces = [*view.part(start, head.info), fixed, *view.part(head.info + 34, stop)]
    return Stretch(View(view.fd, pieces), total, exact=True)
