"""Ogg: one stream out of several, chained streams one by one, and ends that are where the packets say.

RFC 3533 defines the pages, RFC 7845 Opus in them; the Vorbis I specification the packets of Vorbis.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dissensus.errors import DecodeError, UnsupportedFormatError
from dissensus.features.containers import tags
from dissensus.features.containers.flac import flac_layout
from dissensus.features.containers.layout import Layout, Stretch
from dissensus.features.containers.views import BLOCK, View

__all__ = ["ogg_layout"]

_MAX_PAGE: Final = 27 + 255 + 255 * 255
_MAX_PIECES: Final = 500_000
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CODECS: Final = ((b"\x01vorbis", "vorbis"), (b"OpusHead", "opus"), (b"\x7fFLAC", "flac"))
_OTHERS: Final = ((b"Speex   ", "Speex"), (b"CELT    ", "CELT"), (b"\x80theora", "Theora video"))


@dataclass(frozen=True)
class _Page:
    at: int
    flags: int
    granule: int
    serial: int
    number: int
    lacing: bytes

    @property
    def body(self) -> int:
        """Offset of its first byte behind the header."""
        return self.at + 27 + len(self.lacing)

    @property
    def end(self) -> int:
        return self.body + sum(self.lacing)


@dataclass
class _Link:
    """One logical stream, from its first page to its last."""

    codec: str
    serial: int
    first: _Page
    n: int = 0
    pieces: list[tuple[int, int]] = field(default_factory=list)
    recent: list[_Page] = field(default_factory=list)
    ends: list[_Page] = field(default_factory=list)  # pages marked as the last one
    gaps: int = 0
    filtered: bool = False

    def add(self, page: _Page) -> None:
        span = (page.body, page.end) if self.codec == "flac" else (page.at, page.end)
        if self.pieces and self.pieces[-1][1] == span[0]:
            self.pieces[-1] = (self.pieces[-1][0], span[1])
        elif len(self.pieces) >= _MAX_PIECES:
            raise DecodeError(f"its Ogg pages lie in more than {_MAX_PIECES} pieces")
        else:
            self.pieces.append(span)
        if self.recent and page.number != (self.recent[-1].number + 1) & 0xFFFFFFFF:
            self.gaps += 1
        self.recent = [*self.recent[-3:], page]
        if page.flags & 4 and len(self.ends) < 10_000:
            self.ends.append(page)
        self.n += 1


def _pages(view: View, start: int, end: int) -> Iterator[_Page]:
    """The pages of a range; what lies between them is passed over. A page that is cut off ends the walk and has no end."""
    at, base, data = start, start, b""
    while at + 27 <= end:
        if at < base or at + _MAX_PAGE > base + len(data):
            base, data = at, view.pread(at, min(BLOCK, end - at))
        i = at - base
        if data[i : i + 4] != b"OggS" or data[i + 4 : i + 5] != b"\0":
            found = data.find(b"OggS", i + 1)
            at = base + found if found >= 0 else max(at + 1, base + len(data) - 3)
            continue
        flags, granule, serial, number, _, n = struct.unpack("<BqIIIB", data[i + 5 : i + 27])
        page = _Page(at, flags, granule, serial, number, data[i + 27 : i + 27 + n])
        if len(page.lacing) < n:
            return
        yield page
        if page.end > end:
            return
        at = page.end


def _crc(page: bytes) -> int:
    """The checksum of a page whose own field is zero: zlib's, with the bits the other way round."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def _rewritten(view: View, page: _Page, flags: int, granule: int) -> bytes:
    data = view.pread(page.at, page.end - page.at)
    data = data[:5] + struct.pack("<Bq", flags, granule) + data[14:22] + bytes(4) + data[26:]
    return data[:22] + struct.pack("<I", _crc(data)) + data[26:]


def ogg_layout(view: View, start: int) -> Layout:
    """Lay out an Ogg file: its first audio stream, and those chained to it."""
    layout = Layout("ogg")
    end = tags.tail(view, start, view.size)
    links, cut = _links(view, start, end)
    for i, link in enumerate(links):
        _lay(view, link, layout, last=i == len(links) - 1, cut=cut)
    if len(links) > 1:
        layout.notes.append(f"{len(links)} Ogg streams are chained")
    plain = len(links) == 1 and start == 0 and not links[0].filtered and links[0].codec != "flac"
    if plain and layout.stretches[0].view is not None and not layout.stretches[0].exact:
        layout.stretches[0].view = None
    return layout


def _links(view: View, start: int, end: int) -> tuple[list[_Link], bool]:
    """The audio streams one behind the other, and whether the last page is cut off."""
    links: list[_Link] = []
    headers, other, seen, position = False, "", set[int](), start
    link: _Link | None = None
    for page in _pages(view, start, end):
        if page.end > end:
            return _checked(links, other), True
        if page.flags & 2:
            head = view.pread(page.body, 16)
            if not headers:  # the first pages of a chain's link stand together
                link = None
            headers = True
            codec = next((name for magic, name in _CODECS if head.startswith(magic)), None)
            if codec is None:
                other = next((name for magic, name in _OTHERS if head.startswith(magic)), other)
            elif link is None:
                link = _Link(codec, page.serial, page)
                links.append(link)
        else:
            headers = False
        if link is not None:
            if page.serial == link.serial:
                link.filtered = link.filtered or (link.n > 0 and page.at != position)
                link.add(page)
            else:
                link.filtered = True
        seen.add(page.serial) if len(seen) < 1000 else None
        position = page.end
    rest = view.pread(position, min(4, end - position))
    return _checked(links, other), rest != b"" and b"OggS".startswith(rest)


def _checked(links: list[_Link], other: str) -> list[_Link]:
    if not links:
        what = f"{other} in Ogg" if other else "an Ogg file without Vorbis, Opus or FLAC"
        raise UnsupportedFormatError(f"{what}; convert it first")
    return links


def _lay(view: View, link: _Link, layout: Layout, *, last: bool, cut: bool) -> None:
    """Add the stretch of one stream."""
    if last and cut:
        layout.cut = "its last Ogg page is cut off"
    elif link.gaps:
        layout.cut = f"Ogg pages are missing at {link.gaps} place{'s' if link.gaps > 1 else ''}"
    elif last and not link.recent[-1].flags & 4:
        layout.notes.append("its last Ogg page lacks the end-of-stream mark")
    if link.codec == "flac":
        inner = View(view.fd, [p for a, b in link.pieces for p in view.part(a, b)])
        got = flac_layout(inner, 9, inner.size, whole=False)  # behind the first packet's own head
        layout.stretches += got.stretches
        layout.notes += got.notes
        layout.unit_s = got.unit_s
        if last and not layout.cut:
            layout.cut, layout.share = got.cut, got.share
        return
    patches: dict[int, bytes] = {}
    final = link.recent[-1]
    early = [page for page in link.ends if page.at != final.at]
    for page in early:
        patches[page.at] = _rewritten(view, page, page.flags & ~4, page.granule)
    if early:
        layout.notes.append(f"{len(early) + 1} Ogg pages are marked as the last one")
    granule = _true_end(view, link)
    complete = not (last and cut)
    if complete and (granule is not None or not final.flags & 4):
        if granule is not None and final.flags & 4:
            layout.notes.append(f"its last Ogg page counts {final.granule} samples; its packets hold {granule}")
        patches[final.at] = _rewritten(view, final, final.flags | 4, final.granule if granule is None else granule)
    pieces: list[bytes | tuple[int, int]] = []
    order = sorted((at, at + len(page)) for at, page in patches.items())
    for low, high in link.pieces:
        for at, stop in order:
            if low <= at < high:
                pieces += [*view.part(low, at), patches[at]]
                low = stop
        pieces += view.part(low, high)
    layout.stretches.append(Stretch(View(view.fd, pieces), exact=bool(patches)))


# Where a stream really ends: the granule of the page before, and the packets of the last page.


def _true_end(view: View, link: _Link) -> int | None:
    """The count that belongs on the last page, where the one that is there cannot be; None where it can, or nothing is known."""
    if len(link.recent) < 3 or link.n < 4:
        return None
    final, before = link.recent[-1], link.recent[-2]
    open_end = not final.flags & 4  # nothing says that its granule leaves out a part of the last packet
    if before.granule < 0 or (final.granule < 0 and not any(length < 255 for length in final.lacing)):
        return None
    lengths = _durations(view, link, before, final)
    if lengths is None:
        return None if final.granule >= before.granule else before.granule + 1
    end = before.granule + sum(lengths)
    if final.granule > end or final.granule < before.granule or (open_end and final.granule < end):
        return end
    trimmed = end - final.granule
    if link.codec == "vorbis" and lengths and trimmed > lengths[-1]:
        return end
    return None


def _packets(page: _Page) -> list[tuple[int, int, bool]]:
    """Packets that a page holds: offset, bytes of it here, and whether it ends here."""
    out, at, size = [], page.body, 0
    for length in page.lacing:
        size += length
        if length < 255:
            out.append((at, size, True))
            at, size = at + size, 0
    if size:
        out.append((at, size, False))
    return out


def _durations(view: View, link: _Link, before: _Page, final: _Page) -> list[int] | None:
    """Samples of every packet that ends on the last page."""
    earlier, here = _packets(before), _packets(final)
    heads: list[bytes] = []
    previous: bytes | None = None
    if earlier and not earlier[-1][2]:  # it goes on over there
        if len(earlier) < 2 or not here:
            return None
        heads.append(view.pread(earlier[-1][0], 2))
        previous = view.pread(earlier[-2][0], 1) if len(earlier) > 2 or not before.flags & 1 else None
        here = here[1:]
    elif earlier:
        previous = view.pread(earlier[-1][0], 1) if len(earlier) > 1 or not before.flags & 1 else None
    heads += [view.pread(at, 2) for at, _, ends in here if ends]
    if link.codec == "opus":
        return [_opus_samples(head) for head in heads]
    modes = _vorbis_modes(view, link)
    if modes is None or previous is None or not previous:
        return None
    sizes = [_vorbis_block(head, modes) for head in [previous, *heads]]
    return [(a + b) // 4 for a, b in itertools.pairwise(sizes)]


def _opus_samples(head: bytes) -> int:
    """Samples of an Opus packet at 48 kHz, by its first two bytes."""
    if not head:
        return 0
    config, code = head[0] >> 3, head[0] & 3
    if config < 12:
        size = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        size = (480, 960)[config & 1]
    else:
        size = (120, 240, 480, 960)[config & 3]
    count = (1, 2, 2, head[1] & 0x3F if len(head) > 1 else 0)[code]
    return size * count


@dataclass(frozen=True)
class _Modes:
    short: int
    long: int
    bits: int  # of a mode number
    flags: tuple[int, ...]  # which modes have long blocks


def _vorbis_block(head: bytes, modes: _Modes) -> int:
    mode = head[0] >> 1 & (1 << modes.bits) - 1 if head else 0
    return modes.long if mode < len(modes.flags) and modes.flags[mode] else modes.short


def _vorbis_modes(view: View, link: _Link) -> _Modes | None:
    """Block sizes, and which modes are long: read from the end of the setup header, where the modes stand."""
    head = view.pread(link.first.body, 30)
    if len(head) < 30:
        return None
    short, long = 1 << (head[28] & 15), 1 << (head[28] >> 4)
    setup = _third_packet(view, link)
    if setup is None or setup[:7] != b"\x05vorbis":
        return None
    bits = "".join(f"{byte:08b}"[::-1] for byte in setup[-400:])  # in the order of the stream
    at = bits.rfind("1")  # the framing bit
    flags: list[int] = []
    count = 0
    while at >= 41 + 6 and len(flags) < 64:
        mode = bits[at - 41 : at]
        if "1" in mode[1:33] or int(mode[33:][::-1], 2) > 63:
            break
        flags.append(int(mode[0]))
        at -= 41
        if int(bits[at - 6 : at][::-1], 2) + 1 == len(flags):  # what stands before may be their number
            count = len(flags)
    if not count:
        return None
    return _Modes(short, long, (count - 1).bit_length(), tuple(reversed(flags[:count])))


def _third_packet(view: View, link: _Link) -> bytes | None:
    """The setup header of Vorbis."""
    start = link.pieces[0][0]
    data, number, n_packets = bytearray(), 0, 0
    for page in _pages(view, start, min(view.size, start + (1 << 20))):
        if page.serial != link.serial:
            continue
        for at, size, ends in _packets(page):
            if n_packets == 2:
                data += view.pread(at, size)
            if ends:
                n_packets += 1
                if n_packets == 3:
                    return bytes(data)
        number += 1
        if number > 64:
            break
    return None
