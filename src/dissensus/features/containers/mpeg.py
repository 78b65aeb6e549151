"""MPEG audio: every frame is counted, and the decoder gets a length header that is right.

ISO/IEC 11172-3 and 13818-3 define the frames; the headers of Xing, LAME and Fraunhofer are conventions on top.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dissensus.errors import EmptyAudioError
from dissensus.features.containers.layout import Layout, Stretch
from dissensus.features.containers.views import BLOCK, View

__all__ = ["begins", "frame_size", "mpeg_layout"]

_BITRATES: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

#: Three bytes that can begin a frame: sync, a known version, layer, bitrate and sample rate.
_SYNC: Final = re.compile(
    rb"\xff[\xe2-\xe7\xf2-\xff]["
    + b"".join(re.escape(bytes([b])) for b in range(0x10, 0xF0) if b & 0x0C != 0x0C)
    + rb"]",
    re.DOTALL,
)
_CHAIN: Final = 3  # headers in a row that agree before bytes count as audio
_MAX_MISSES: Final = 100_000  # false beginnings looked at in one file
_MAX_RUNS: Final = 100_000
_MAX_JUNK: Final = 1 << 20  # bytes before the first frame
_CODER_DELAY: Final = 529  # samples that any decoder adds to the delay of the encoder


def frame_size(b1: int, b2: int) -> int:
    """Bytes of a frame by the second and third byte of its header; 0 where they are none."""
    if b1 & 0xE0 != 0xE0:
        return 0
    version, layer = b1 >> 3 & 3, 4 - (b1 >> 1 & 3)
    rate_index, bitrate_index, padding = b2 >> 2 & 3, b2 >> 4, b2 >> 1 & 1
    if version == 1 or layer == 4 or rate_index == 3 or bitrate_index in (0, 15):
        return 0
    rate = _RATES[version][rate_index]
    bits = _BITRATES[1 if version == 3 else 2, layer][bitrate_index] * 1000
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // rate + padding


_SIZES: dict[int, int] = {}


def _size(b1: int, b2: int) -> int:
    key = b1 << 8 | b2
    size = _SIZES.get(key)
    if size is None:
        size = _SIZES[key] = frame_size(b1, b2)
    return size


@dataclass
class _Kind:
    """What does not change within a stream: version and layer, rate, mono or not."""

    b1: int
    b2: int
    mono: bool

    @classmethod
    def of(cls, header: bytes) -> _Kind:
        return cls(header[1] & 0x1E, header[2] & 0x0C, header[3] >> 6 == 3)

    @property
    def layer(self) -> int:
        return 4 - (self.b1 >> 1 & 3)

    @property
    def sr(self) -> int:
        return _RATES[self.b1 >> 3 & 3][self.b2 >> 2]

    @property
    def samples(self) -> int:
        """Samples of a frame."""
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.b1 >> 3 & 3 != 3 else 1152

    @property
    def side(self) -> int:
        """Where a length header begins in its frame."""
        if self.b1 >> 3 & 3 == 3:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


@dataclass
class _Run:
    """Frames one behind the other."""

    kind: _Kind
    start: int
    end: int
    n: int


@dataclass
class _Walk:
    """All frames of a range."""

    runs: list[_Run] = field(default_factory=list)
    missing: int = 0  # bytes that the last frame lacks
    lost: int = 0  # bytes between frames that are none


class _Window:
    """The bytes of a view from an offset on, some at a time."""

    def __init__(self, view: View, end: int) -> None:
        self.view, self.end, self.at, self.data = view, end, 0, b""

    def load(self, at: int, need: int) -> bool:
        """Make sure that ``need`` bytes from ``at`` on are in ``data``."""
        if self.at <= at and at + need <= self.at + len(self.data):
            return True
        if at + need > self.end:
            return False
        self.at, self.data = at, self.view.pread(at, min(BLOCK, self.end - at))
        return len(self.data) >= need


def _agree(window: _Window, at: int, kind: _Kind | None) -> _Kind | None:
    """The kind of the frames from an offset on, where enough in a row are of one kind; a last one may end at the end."""
    position = at
    for _ in range(_CHAIN):
        if not window.load(position, 4):
            return kind if position == window.end and position > at else None
        i = position - window.at
        header = window.data[i : i + 4]
        size = _size(header[1], header[2]) if header[0] == 0xFF else 0
        if not size:
            return None
        this = _Kind.of(header)
        if kind is not None and this != kind:
            return None
        kind = this
        position += size
    return kind if position <= window.end or at == 0 else None


def _search(window: _Window, at: int, most: int, misses: list[int]) -> tuple[int, _Kind] | None:
    """The next place where frames begin, at most so many bytes on."""
    stop = min(window.end, at + most)
    while at + 4 <= stop and window.load(at, 4):
        found = _SYNC.search(window.data, at - window.at)
        if found is None:
            at = max(window.at + len(window.data) - 2, at + 1)
            continue
        at = window.at + found.start()
        kind = _agree(window, at, None)
        if kind is not None:
            return at, kind
        misses[0] += 1
        if misses[0] > _MAX_MISSES:
            return None
        at += 1
    return None


def begins(view: View, start: int, end: int, most: int = _MAX_JUNK) -> bool:
    """Whether frames begin within the first so many bytes."""
    return _search(_Window(view, end), start, most, [0]) is not None


def _run(window: _Window, at: int, kind: _Kind) -> tuple[_Run, int]:
    """The frames from an offset on that are of a kind, and how many bytes the last one lacks (it is left out)."""
    start, n, missing = at, 0, 0
    b1, b2, mono, sizes = kind.b1, kind.b2, kind.mono, _SIZES
    while True:
        if not window.load(at, 4):
            break
        data, base = window.data, window.at
        i, last = at - base, len(data) - 4
        while i <= last and data[i] == 0xFF and data[i + 1] & 0x1E == b1 and data[i + 2] & 0x0C == b2:
            key = data[i + 1] << 8 | data[i + 2]
            size = sizes.get(key) or _size(data[i + 1], data[i + 2])
            if not size or (data[i + 3] >> 6 == 3) != mono:
                break
            if base + i + size > window.end:
                missing = base + i + size - window.end
                break
            i += size
            n += 1
        at = base + i
        if i <= last:
            break
    return _Run(kind, start, at, n), missing


def _walk(view: View, start: int, end: int) -> _Walk:
    walk, window, misses = _Walk(), _Window(view, end), [0]
    at, most = start, _MAX_JUNK
    while len(walk.runs) < _MAX_RUNS:
        found = _search(window, at, most, misses)
        if found is None:
            walk.lost += end - at if walk.runs and not walk.missing else 0
            break
        position, kind = found
        walk.lost += position - at if walk.runs else 0
        run, missing = _run(window, position, kind)
        walk.runs.append(run)
        walk.missing = missing
        at, most = run.end, end
        if missing:
            at = min(end, run.end + 4)
    if walk.runs and walk.runs[-1].end + 4 <= end and not walk.missing:
        # a header of the same kind whose frame is not all there
        run = walk.runs[-1]
        head = view.pread(run.end, 4)
        size = _size(head[1], head[2]) if head[0] == 0xFF else 0
        if size and _Kind.of(head) == run.kind and run.end + size > end:
            walk.missing = run.end + size - end
    return walk


@dataclass(frozen=True)
class _Length:
    """What a length header says."""

    frames: int | None = None
    size: int | None = None
    delay: int | None = None  # samples that the encoder put in front; None where it says nothing
    padding: int = 0  # and behind


def _length(frame: bytes, kind: _Kind) -> _Length | None:
    """Read the header of Xing, LAME or Fraunhofer in a first frame; None where it is audio."""
    if kind.layer != 3:
        return None
    for at in (kind.side, kind.side + 2):
        if frame[at : at + 4] in (b"Xing", b"Info"):
            break
    else:
        for at in (36, 38):
            if frame[at : at + 4] == b"VBRI" and len(frame) >= at + 18:
                size, frames = struct.unpack(">II", frame[at + 10 : at + 18])
                return _Length(frames, size)
        return None
    body = frame[at + 4 :].ljust(160, b"\0")
    flags, i = struct.unpack(">I", body[:4])[0], 4
    frames = size_ = None
    if flags & 1:
        frames, i = struct.unpack(">I", body[i : i + 4])[0], i + 4
    if flags & 2:
        size_, i = struct.unpack(">I", body[i : i + 4])[0], i + 4
    i += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = body[i : i + 24]
    if len(lame) == 24 and lame[:4] in (b"LAME", b"Lavf", b"Lavc"):
        both = int.from_bytes(lame[21:24], "big")
        return _Length(frames, size_, both >> 12, both & 0xFFF)
    return _Length(frames, size_)


def _header(kind: _Kind, first: bytes, n_frames: int, n_bytes: int, length: _Length | None) -> bytes:
    """A frame without sound that says how many follow, and what the encoder put before and behind the music.

    The decoding library leaves out the delay of a decoder even where an encoder says nothing of its own. Then one more frame
    without sound goes in front, and is what is left out.
    """
    for bitrate in range(1, 15):
        b2 = bitrate << 4 | kind.b2
        size = frame_size(first[1] | 1, b2)
        if size >= 220:
            break
    empty = (bytes([0xFF, first[1] | 1, b2, first[3] & 0xC0])).ljust(size, b"\0")
    if length is not None and length.delay is not None:
        delay, padding, more = length.delay, length.padding, b""
    else:
        delay, padding, more = kind.samples - _CODER_DELAY, 0, empty
    counts = struct.pack(">III", 3, n_frames + (more != b""), n_bytes + len(more) + size)
    body = b"Info" + counts + b"LAME3.100" + bytes(12) + (delay << 12 | padding).to_bytes(3, "big")
    return (empty[: kind.side] + body).ljust(size, b"\0") + more


def mpeg_layout(view: View, start: int, end: int, *, whole: bool) -> Layout:
    """Lay out a range of MPEG audio.

    Parameters
    ----------
    view : View
        Of the file.
    start, end : int
        The range: behind tags in front, and up to tags at the end.
    whole : bool
        The range is the file but for tags, which the decoder may see.
    """
    walk = _walk(view, start, end)
    if not walk.runs:
        raise EmptyAudioError("no MPEG audio frame in it")
    layout = Layout("mp3", noisy=True)
    first = walk.runs[0]
    head = view.pread(first.start, min(first.end - first.start, 4096))
    head = head[: _size(head[1], head[2])]
    length = _length(head, first.kind)
    if length is not None:
        first.start, first.n = first.start + len(head), first.n - 1
    parts = list(_parts(walk.runs))
    n_all = sum(run.n for run in walk.runs)
    there = sum(run.end - run.start for run in walk.runs) + len(head) * (length is not None)
    announced = length.frames if length is not None and length.frames else None
    if announced is not None and announced > n_all and (not length or not length.size or length.size > there):
        layout.cut = f"its header announces {announced} MPEG frames, {n_all} are there"
        layout.share = (n_all, announced)
    elif walk.missing:
        layout.cut = f"its last MPEG frame lacks {walk.missing} bytes"
        layout.share = None if announced is None else (n_all, max(announced, n_all))
    layout.unit_s = first.kind.samples / first.kind.sr
    if announced is not None and announced != n_all and not layout.cut:
        layout.notes.append(f"its header announces {announced} MPEG frames, {n_all} are there")
    if walk.lost > 16:
        layout.notes.append(f"{walk.lost} bytes between and behind its MPEG frames are no audio")
    if len(parts) > 1:
        layout.notes.append(f"{len(parts)} streams of different kinds are joined")
    agrees = announced == n_all + (walk.missing > 0) and len(parts) == 1
    for i, runs in enumerate(parts):
        own = length if i == 0 else None
        if own is not None and not agrees:  # where the padding lies is not known then
            own = _Length(own.frames, own.size, own.delay, 0)
        missing = walk.missing if i == len(parts) - 1 else 0
        layout.stretches.append(_stretch(view, runs, own, missing, end))
    plain = whole and agrees and len(walk.runs) == 1 and first.start == start + len(head) and not layout.cut
    if plain and length is not None and length.delay is not None:
        layout.stretches[0].view = None
    return layout


def _parts(runs: list[_Run]) -> Iterator[list[_Run]]:
    """Runs of one kind belong together."""
    part: list[_Run] = []
    for run in runs:
        if part and run.kind != part[-1].kind:
            yield part
            part = []
        part.append(run)
    if part:
        yield part


def _stretch(view: View, runs: list[_Run], length: _Length | None, missing: int, end: int) -> Stretch:
    kind, n = runs[0].kind, sum(run.n for run in runs)
    pieces = [piece for run in runs for piece in view.part(run.start, run.end)]
    if missing:  # the start of a last frame, which sounds as far as it goes
        pieces += [*view.part(runs[-1].end, end), bytes(missing)]
        n += 1
    samples = n * kind.samples
    if kind.layer != 3:  # no length header there: the decoder divides the length of the file by that of the first frame
        return Stretch(View(view.fd, pieces, claims=1 << 40), samples)
    first = view.pread(runs[0].start, 4)
    if len(first) < 4:
        raise EmptyAudioError("nothing but a length header in it")
    n_bytes = sum(run.end - run.start for run in runs)
    if length is not None and length.delay is not None:
        samples -= length.delay + _CODER_DELAY + max(0, length.padding - _CODER_DELAY)
    return Stretch(View(view.fd, [_header(kind, first, n, n_bytes, length), *pieces]), max(0, samples))
