"""Tags around audio: ID3v2 in front; ID3v1, APE, Lyrics3 and an appended ID3v2 behind."""

from __future__ import annotations

from dissensus.features.containers.views import View

__all__ = ["front", "tail"]


def front(view: View, at: int = 0) -> int:
    """Where the ID3v2 tags end that begin at an offset."""
    for _ in range(1000):
        head = view.pread(at, 10)
        if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
            return at
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at = min(at + 10 + size + (10 if head[5] & 0x10 else 0), view.size)
    return at


def tail(view: View, start: int, end: int) -> int:
    """Where the audio between two offsets ends, without the tags behind it."""
    for _ in range(100):
        shorter = _one(view, start, end)
        if shorter == end:
            return end
        end = shorter
    return end


def _one(view: View, start: int, end: int) -> int:
    """The end without the last tag."""
    data = view.pread(max(start, end - 256), min(256, end - start))
    if data[-128:-125] == b"TAG":
        return end - 128
    if data[-32:-24] == b"APETAGEX":
        size, flags = int.from_bytes(data[-20:-16], "little"), data[-9]
        size += 32 if flags & 0x80 else 0
        return end - size if 32 <= size <= end - start else end
    if data[-9:] == b"LYRICS200" and data[-15:-9].isdigit():
        size = int(data[-15:-9]) + 15
        return end - size if size <= end - start and view.pread(end - size, 11) == b"LYRICSBEGIN" else end
    if data[-9:] == b"LYRICSEND":
        words = view.pread(max(start, end - 5200), min(5200, end - start))
        at = words.rfind(b"LYRICSBEGIN")
        return end if at < 0 else end - len(words) + at
    if data[-10:-7] == b"3DI" and max(data[-4:]) <= 0x7F:
        size = 20 + (data[-4] << 21 | data[-3] << 14 | data[-2] << 7 | data[-1])
        return end - size if size <= end - start else end
    return end
