"""WAV, RF64, BW64, W64, AIFF, AU and CAF: where the samples lie, whatever the sizes in front of them say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dissensus.errors import DecodeError, EmptyAudioError
from dissensus.features.containers import tags
from dissensus.features.containers.layout import UNKNOWN_SIZE, Layout, Stretch
from dissensus.features.containers.mpeg import mpeg_layout
from dissensus.features.containers.views import View

__all__ = ["W64_MAGIC", "aiff_layout", "au_layout", "caf_layout", "w64_layout", "wav_layout"]

_MAX_CHUNKS: Final = 4096
_MAX_FMT: Final = 1 << 16
_MAX_PACKETS: Final = 1 << 22
_WRAP: Final = 1 << 32
W64_MAGIC: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_TAIL: Final = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_SIMPLE: Final = {b"fmt ", b"fact", b"PEAK", b"JUNK", b"junk", b"PAD ", b"ds64", b"data"}
_MPEG_TAGS: Final = (0x50, 0x55)


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    at: int  # its first byte behind name and size
    size: int  # as declared


def _chunks(view: View, at: int, end: int, order: str) -> Iterator[_Chunk]:
    """The chunks of a RIFF or IFF file, as their sizes say."""
    for _ in range(_MAX_CHUNKS):
        head = view.pread(at, 8)
        if len(head) < 8 or at + 8 > end:
            return
        size = struct.unpack(order + "I", head[4:])[0]
        yield _Chunk(head[:4], at + 8, size)
        at += 8 + size + size % 2


def _settled(
    layout: Layout, view: View, at: int, declared: int | None, what: str, unit_s: float, *, zero_is_unknown: bool = True
) -> int:
    """Where samples end that begin at an offset: as declared, where that can be; else with the file, without its tags."""
    there = view.size - at
    layout.unit_s = unit_s
    if declared is None or (declared == 0 and zero_is_unknown):
        end = tags.tail(view, at, view.size)
        if end > at:
            layout.notes.append(f"its header was never closed: {what} has no size; all bytes up to the end are taken")
        return end
    if declared <= there:
        wrapped = there - declared
        if wrapped >= _WRAP and wrapped % _WRAP < 1 << 20:
            layout.notes.append(f"the size of {what} does not fit 32 bits and began again at 0")
            return at + declared + wrapped // _WRAP * _WRAP
        return at + declared
    end = tags.tail(view, at, view.size)
    layout.cut = f"{what} declares {declared} bytes, {end - at} are there"
    layout.share = (end - at, declared)
    return end


def _is_chunks(view: View, at: int, order: str) -> bool:
    """Whether the rest of the file is well-formed chunks and nothing else: then an empty chunk before it is really empty."""
    if at >= view.size:
        return False
    for chunk in _chunks(view, at, view.size, order):
        if not all(0x20 <= byte < 0x7F for byte in chunk.name):
            return False
        if chunk.at + chunk.size + chunk.size % 2 >= view.size:
            return chunk.at + chunk.size <= view.size
    return False


def wav_layout(view: View, start: int) -> Layout:
    """Lay out a RIFF, RIFX, RF64 or BW64 file of the form WAVE."""
    magic = view.pread(start, 12)
    if magic[8:12] != b"WAVE":
        raise DecodeError("a RIFF file, but not of WAVE form")
    order = ">" if magic[:4] == b"RIFX" else "<"
    large = magic[:4] in (b"RF64", b"BW64")
    layout = Layout("rf64" if large else "wav")
    fmt, ds64, fact, data = b"", b"", b"", None
    names: list[bytes] = []
    for chunk in _chunks(view, start + 12, view.size, order):
        names.append(chunk.name)
        if chunk.name == b"fmt " and not fmt:
            fmt = view.pread(chunk.at, min(chunk.size, _MAX_FMT))
        elif chunk.name == b"fact":
            fact = view.pread(chunk.at, min(chunk.size, 4))
        elif chunk.name == b"ds64":
            ds64 = view.pread(chunk.at, 28)
        elif chunk.name == b"data":
            data = chunk
            break
    if len(fmt) < 14:
        raise DecodeError("its fmt chunk is missing or cut off")
    if data is None:
        raise EmptyAudioError("it has no data chunk")
    tag, _, sr, rate, block = struct.unpack(order + "HHIIH", fmt[:14])
    if tag == 0xFFFE and len(fmt) >= 26:
        tag = struct.unpack(order + "H", fmt[24:26])[0]
    declared: int | None = data.size
    if large and data.size == 0xFFFFFFFF and len(ds64) >= 16:
        declared = int.from_bytes(ds64[8:16], "little")
        declared = None if declared >= 1 << 62 else declared
    elif data.size >= UNKNOWN_SIZE and data.size > view.size - data.at:
        declared = None
    empty = declared == 0 and _is_chunks(view, data.at, order)
    unit_s = 1 / rate if tag in _MPEG_TAGS and rate else 1 / (sr * block) if sr and block else 0.0
    end = _settled(layout, view, data.at, declared, "its data chunk", unit_s, zero_is_unknown=not empty)
    if tag in _MPEG_TAGS:
        return _mpeg_inside(view, data.at, end, layout)
    plain = start == 0 and magic[:4] != b"BW64" and declared == end - data.at and not layout.notes
    if plain and names.count(b"fmt ") == 1 and not _again(view, end, order):
        # A chunk whose inside the library reads as chunks could lead it to another codec, which prints.
        layout.noisy = not set(names) <= _SIMPLE
        layout.stretches = [Stretch(None, exact=True)]
        return layout
    size = end - data.at
    pieces = [_riff(magic[:4], order, fmt, fact, size), *view.part(data.at, end)]
    layout.stretches = [Stretch(View(view.fd, pieces), exact=True)]
    return layout


def _mpeg_inside(view: View, at: int, end: int, outer: Layout) -> Layout:
    """MPEG audio in a data chunk: its frames say how much there is."""
    layout = mpeg_layout(view, at, end, whole=False)
    layout.container = outer.container
    layout.notes += outer.notes
    if outer.cut and not layout.cut:
        layout.cut, layout.share, layout.unit_s = outer.cut, outer.share, outer.unit_s
    return layout


def _again(view: View, end: int, order: str) -> bool:
    """Whether another data chunk follows, over which the decoding library stumbles."""
    return any(chunk.name == b"data" for chunk in _chunks(view, end + end % 2, view.size, order))


def _riff(magic: bytes, order: str, fmt: bytes, fact: bytes, size: int) -> bytes:
    """The head of a WAV file whose sizes are right."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(order + "I", len(body)) + body + b"\0" * (len(body) % 2)

    body = chunk(b"fmt ", fmt) + (chunk(b"fact", fact) if len(fact) == 4 else b"")
    total = 4 + len(body) + 8 + size
    if total < UNKNOWN_SIZE and size < UNKNOWN_SIZE:
        kind = b"RIFX" if magic == b"RIFX" else b"RIFF"
        return kind + struct.pack(order + "I", total) + b"WAVE" + body + b"data" + struct.pack(order + "I", size)
    ds64 = chunk(b"ds64", struct.pack("<QQQI", total + 36, size, 0, 0))
    most = b"\xff" * 4
    return b"RF64" + most + b"WAVE" + ds64 + body + b"data" + most


def w64_layout(view: View, start: int) -> Layout:
    """Lay out a Sony Wave64 file."""
    layout, at = Layout("w64"), start + 40
    block = sr = 0
    for _ in range(_MAX_CHUNKS):
        head = view.pread(at, 24)
        if len(head) < 24:
            raise EmptyAudioError("it has no data chunk")
        size = int.from_bytes(head[16:24], "little")
        if head[:16] == b"fmt " + _W64_TAIL:
            fmt = view.pread(at + 24, 16)
            if len(fmt) == 16:
                _, _, sr, _, block, _ = struct.unpack("<HHIIHH", fmt)
        if head[:16] == b"data" + _W64_TAIL:
            break
        if size < 24:
            raise DecodeError("the size of one of its chunks cannot be")
        at += size + -size % 8
    else:
        raise DecodeError("too many chunks before its samples")
    declared = None if size < 24 or size >= 1 << 62 else size - 24
    unit_s = 1 / (sr * block) if sr and block else 0.0
    end = _settled(layout, view, at + 24, declared, "its data chunk", unit_s, zero_is_unknown=size != 24)
    if start == 0 and end == view.size and size == end - at:
        layout.stretches = [Stretch(None, exact=True)]
        return layout
    size = end - at
    total = at - start + size
    pieces = [
        *view.part(start, start + 16), struct.pack("<Q", total), *view.part(start + 24, at + 16),
        struct.pack("<Q", size), *view.part(at + 24, end),
    ]  # fmt: skip
    layout.stretches = [Stretch(View(view.fd, pieces), exact=True)]
    return layout


def aiff_layout(view: View, start: int) -> Layout:
    """Lay out an AIFF or AIFF-C file."""
    form = view.pread(start, 12)
    if form[8:12] not in (b"AIFF", b"AIFC"):
        raise DecodeError("an IFF file, but not of AIFF form")
    layout, unit_s, found = Layout("aiff"), 0.0, None
    for chunk in _chunks(view, start + 12, view.size, ">"):
        if chunk.name == b"COMM":
            body = view.pread(chunk.at, 18)
            if len(body) == 18:
                channels, _, bits = struct.unpack(">hIh", body[:8])
                exponent, mantissa = struct.unpack(">HQ", body[8:18])
                sr = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16446) if 16000 < exponent < 16500 else 0.0
                width = sr * channels * ((bits + 7) // 8)
                unit_s = 1 / width if width > 0 else 0.0
        elif chunk.name == b"SSND":
            found = chunk
            if chunk.size <= 8 or chunk.at + chunk.size > view.size:
                break
    if found is None:
        raise EmptyAudioError("it has no SSND chunk")
    declared = (
        None if found.size < 8 or (found.size >= UNKNOWN_SIZE and found.at + found.size > view.size) else found.size
    )
    empty = declared == 8 and _is_chunks(view, found.at + 8, ">")
    if declared == 8 and not empty:
        declared = None
    end = _settled(layout, view, found.at, declared, "its SSND chunk", unit_s)
    if start == 0 and declared == end - found.at:
        layout.stretches = [Stretch(None, exact=True)]
        return layout
    body_size = end - found.at
    total = struct.pack(">I", min(end - start - 8, 0xFFFFFFFF))
    pieces = [
        *view.part(start, start + 4), total, *view.part(start + 8, found.at - 4),
        struct.pack(">I", min(body_size, 0xFFFFFFFF)), *view.part(found.at, end),
    ]  # fmt: skip
    layout.stretches = [Stretch(View(view.fd, pieces), exact=True)]
    return layout


def au_layout(view: View, start: int) -> Layout:
    """Lay out a Sun/NeXT file: its samples run to the end of the file, as every player reads it."""
    head = view.pread(start, 24)
    if len(head) < 24:
        raise DecodeError("its header is cut off")
    order = ">" if head[:4] == b".snd" else "<"
    offset, declared, coding, sr, channels = struct.unpack(order + "5I", head[4:24])
    at = start + offset
    if not 24 <= offset <= view.size - start:
        raise DecodeError(f"its samples would begin at byte {offset} of {view.size - start}")
    layout = Layout("au")
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding, 0) * channels * sr
    layout.unit_s = 1 / width if width else 0.0
    end = tags.tail(view, at, view.size)
    if UNKNOWN_SIZE > declared > end - at:
        layout.cut = f"its header declares {declared} bytes of samples, {end - at} are there"
        layout.share = (end - at, declared)
    elif declared not in (0xFFFFFFFF, end - at):
        layout.notes.append(f"its header declares {declared} bytes of samples, {end - at} are there")
    if start == 0 and end == view.size and declared in (0xFFFFFFFF, end - at):
        layout.stretches = [Stretch(None, exact=True)]
        return layout
    size = struct.pack(order + "I", min(end - at, 0xFFFFFFFF))
    pieces = [*view.part(start, start + 8), size, *view.part(start + 12, end)]
    layout.stretches = [Stretch(View(view.fd, pieces), exact=True)]
    return layout


def _check_packet_tables(view: View, start: int) -> None:
    """Refuse ALAC in CAF whose list of packet sizes is damaged: the decoding library prints on standard output over it."""
    at = start + 8
    for _ in range(_MAX_CHUNKS):
        head = view.pread(at, 12)
        if len(head) < 12:
            return
        size = struct.unpack(">q", head[4:])[0]
        if not 0 <= size <= view.size - at - 12:
            if head[:4] == b"data":  # of unknown length: nothing can follow
                return
            raise DecodeError("a chunk of its ALAC file reaches over the end")
        if head[:4] == b"pakt":
            if size > _MAX_PACKETS:
                raise DecodeError(f"its list of packets has {size} bytes; at most {_MAX_PACKETS} are read")
            table = view.pread(at + 12, size)
            run = 0
            for byte in table[24:]:
                run = run + 1 if byte & 0x80 else 0
                if run > 4:
                    break
            if run or size < 24:
                raise DecodeError("its list of packets is damaged")
        at += 12 + size


def caf_layout(view: View, start: int) -> Layout:
    """Lay out a Core Audio file."""
    layout, at, unit_s, alac = Layout("caf"), start + 8, 0.0, False
    for _ in range(_MAX_CHUNKS):
        head = view.pread(at, 12)
        if len(head) < 12:
            raise EmptyAudioError("it has no data chunk")
        size = struct.unpack(">q", head[4:])[0]
        if head[:4] == b"desc":
            body = view.pread(at + 12, 32)
            if len(body) == 32:
                sr, packet, frames = struct.unpack(">d8xII8x", body)
                unit_s = frames / (packet * sr) if packet and frames and sr > 0 else 0.0
                alac = body[8:12] == b"alac"
        if head[:4] == b"data":
            break
        if size < 0:
            raise DecodeError("the size of one of its chunks is negative")
        at += 12 + size
    else:
        raise DecodeError("too many chunks before its samples")
    if alac:
        _check_packet_tables(view, start)
    first = at + 12
    declared = None if size <= 4 else size  # the first four bytes count edits
    if size == 4 and first + 4 >= view.size:
        declared = 4
    end = _settled(layout, view, first, declared, "its data chunk", unit_s)
    if start == 0 and declared == end - first:
        layout.stretches = [Stretch(None, exact=True)]
        return layout
    right = struct.pack(">q", end - first)
    stop = view.size if declared == end - first else end
    pieces = [*view.part(start, at + 4), right, *view.part(first, stop)]
    layout.stretches = [Stretch(View(view.fd, pieces), exact=True)]
    return layout
