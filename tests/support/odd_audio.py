"""Audio files whose container says something else than what is in them, made from bytes: one case per container and oddity."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import soundfile

SR = 44100
N = 66150  # 1.5 s


@dataclass(frozen=True)
class Odd:
    """A file, and what it holds.

    ``n`` is the number of samples, at the rate of the (first) stream, that a reader which believes no length delivers; None
    where only the table of measurements says it. ``told`` marks files that really end early.
    """

    container: str
    oddity: str
    data: bytes
    n: int | None = N
    told: bool = False
    suffix: str = "bin"

    @property
    def name(self) -> str:
        return f"{self.container}: {self.oddity}"


def signal(n: int = N, sr: int = SR, channels: int = 2, seed: int = 5) -> np.ndarray:
    """Two tones with noise, (n, channels): a shift by one sample or a lost block shows."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / sr
    parts = [0.3 * np.sin(2 * np.pi * f * t) + 0.05 * rng.standard_normal(n) for f in (331.0, 557.0, 811.0)[:channels]]
    return np.stack(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=64)
def encoded(
    container: str, subtype: str, sr: int = SR, channels: int = 2, n: int = N, endian: str = "FILE", level: float = -1.0,
    mode: str = "", seed: int = 5,
) -> bytes:  # fmt: skip
    """What libsndfile writes."""
    file = io.BytesIO()
    more: dict[str, object] = {}
    if level >= 0:
        more["compression_level"] = level
    if mode:
        more["bitrate_mode"] = mode
    soundfile.write(
        file, signal(n, sr, channels, seed), sr, format=container, subtype=subtype, endian=endian, **more
    )  # fmt: skip
    return file.getvalue()


# Tags and other bytes that stand around audio.


def id3v1() -> bytes:
    return b"TAG" + b"A title of thirty characters...".ljust(125, b"\0")[:125]


def id3v2(size: int = 100) -> bytes:
    """An ID3v2.3 tag: a text frame, and padding up to the size."""
    text = b"TIT2" + struct.pack(">I", 6) + b"\0\0" + b"\0title"
    body = text.ljust(size, b"\0")
    return b"ID3\x03\0\0" + bytes((len(body) >> s) & 0x7F for s in (21, 14, 7, 0)) + body


def picture_tag(size: int = 300_000) -> bytes:
    """An ID3v2.3 tag with a picture of random bytes, in which false frame headers are frequent."""
    body = b"APIC" + struct.pack(">I", size) + b"\0\0" + np.random.default_rng(1).bytes(size)
    return b"ID3\x03\0\0" + bytes((len(body) >> s) & 0x7F for s in (21, 14, 7, 0)) + body


def ape(*, header: bool = True) -> bytes:
    item = struct.pack("<II", 5, 0) + b"Title\0" + b"title"
    size = len(item) + 32
    flags = 0x80000000 if header else 0
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags) + bytes(8)
    head = b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags | 0x20000000) + bytes(8)
    return (head if header else b"") + item + foot


def lyrics3() -> bytes:
    body = b"LYRICSBEGININD0000200LYR00010some words"
    return body + b"%06dLYRICS200" % len(body)


def garbage(n: int = 3000) -> bytes:
    return np.random.default_rng(7).bytes(n)


TAILS = {
    "ID3v1 behind": id3v1,
    "APEv2 behind": ape,
    "APEv2 and ID3v1 behind": lambda: ape() + id3v1(),
    "Lyrics3 and ID3v1 behind": lambda: lyrics3() + id3v1(),
    "a newline behind": lambda: b"\n",
    "2 kB of zeros behind": lambda: bytes(2048),
    "3 kB of garbage behind": garbage,
}
FRONTS = {
    "ID3v2 in front": id3v2,
    "ID3v2 of 300 kB with a picture in front": picture_tag,
    "two ID3v2 in front": lambda: id3v2(100) + id3v2(2000),
}


def _around(container: str, data: bytes, suffix: str, n: int | None = N) -> Iterator[Odd]:
    yield Odd(container, "as it is", data, n, suffix=suffix)
    for name, tail in TAILS.items():
        yield Odd(container, name, data + tail(), n, suffix=suffix)
    for name, front in FRONTS.items():
        yield Odd(container, name, front() + data, n, suffix=suffix)


# RIFF/WAVE and its relatives.


def pcm(n: int = N, channels: int = 2) -> bytes:
    return (signal(n, SR, channels) * 32767).astype("<i2").tobytes()


def fmt(tag: int = 1, channels: int = 2, sr: int = SR, bits: int = 16, extra: bytes = b"") -> bytes:
    block = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, sr, sr * block, block, bits) + extra
    return b"fmt " + struct.pack("<I", len(body)) + body


def extensible(channels: int = 2, bits: int = 16, valid: int = 16, sub: int = 1) -> bytes:
    guid = struct.pack("<H", sub) + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    return fmt(0xFFFE, channels, SR, bits, struct.pack("<HHI", 22, valid, 3) + guid)


def wav(
    data: bytes, *, head: bytes | None = None, size: int | None = None, riff: int | None = None, before: bytes = b"",
    after: bytes = b"", magic: bytes = b"RIFF",
) -> bytes:  # fmt: skip
    """A WAV whose sizes may lie."""
    head = fmt() if head is None else head
    size = len(data) if size is None else size
    body = b"WAVE" + before + head + b"data" + struct.pack("<I", size) + data + after
    return magic + struct.pack("<I", len(body) if riff is None else riff) + body


def info_list() -> bytes:
    return b"LIST" + struct.pack("<I", 24) + b"INFO" + b"ISFT" + struct.pack("<I", 12) + b"an encoder\0\0"


def ds64(riff: int, data: int, frames: int) -> bytes:
    return b"ds64" + struct.pack("<IQQQI", 28, riff, data, frames, 0)


def _wavs() -> Iterator[Odd]:
    x = pcm()
    yield from _around("WAV PCM 16", wav(x), "wav")

    def case(oddity: str, data: bytes, n: int | None = N, told: bool = False, name: str = "WAV PCM 16") -> Odd:
        return Odd(name, oddity, data, n, told, "wav")

    yield case("never closed: sizes 0", wav(x, size=0, riff=0))
    yield case("never closed: data size 0, RIFF size right", wav(x, size=0))
    yield case("never closed: sizes 0xFFFFFFFF", wav(x, size=0xFFFFFFFF, riff=0xFFFFFFFF))
    yield case("never closed: sizes 0x7FFFFFFF", wav(x, size=0x7FFFFFFF, riff=0x7FFFFFFF))
    yield case("never closed: data size 0, a LIST before", wav(x, size=0, riff=0, before=info_list()))
    yield case("never closed, ends inside a frame", wav(x + b"\x01", size=0, riff=0))
    yield case("data size 40 bytes too large", wav(x, size=len(x) + 40), told=True)
    yield case("data size twice what is there", wav(x, size=2 * len(x)), told=True)
    yield case("RIFF size too small", wav(x, riff=100))
    yield case("LIST behind", wav(x, after=info_list()))
    yield case("LIST in front of fmt", wav(x, before=info_list()))
    yield case("id3 chunk behind", wav(x, after=b"id3 " + struct.pack("<I", 110) + id3v2()))
    yield case("odd chunk with padding in front", wav(x, before=b"junk" + struct.pack("<I", 5) + b"12345\0"))
    yield case("two data chunks", wav(x, after=b"data" + struct.pack("<I", len(x)) + x))
    yield case("block align and byte rate of 0", wav(x).replace(fmt(), fmt()[:16] + bytes(4) + b"\0\0" + fmt()[22:]))
    yield case("block align of 1", wav(x).replace(fmt(), fmt()[:20] + b"\1\0" + fmt()[22:]))
    yield case("fmt of 18 bytes", wav(x, head=fmt(extra=b"\0\0")))
    yield case("fmt of 40 bytes with zeros", wav(x, head=fmt(extra=bytes(24))))
    yield case("big-endian RIFX", encoded("WAV", "PCM_16", endian="BIG"))
    mono = (signal(N + 1, channels=1)[:, 0] * 100 + 128).astype("u1").tobytes()
    u8 = fmt(1, 1, SR, 8)
    yield case(
        "odd length, padded, LIST behind", wav(mono, head=u8, after=b"\0" + info_list()), N + 1, name="WAV PCM U8"
    )
    yield case("odd length, not padded, LIST behind", wav(mono, head=u8, after=info_list()), N + 1, name="WAV PCM U8")
    for name, sub, bits in (("PCM 24", 1, 24), ("PCM 32", 1, 32), ("float", 3, 32), ("double", 3, 64)):
        subtype = {"PCM 24": "PCM_24", "PCM 32": "PCM_32", "float": "FLOAT", "double": "DOUBLE"}[name]
        data = encoded("WAV", subtype)
        yield case("as it is", data, name=f"WAV {name}")
        yield case("EXTENSIBLE", encoded("WAVEX", subtype), name=f"WAV {name}")
        at = data.index(b"data")
        yield case("never closed: sizes 0", _resized(data, at), name=f"WAV {name}")
        raw = data[at + 8 : at + 8 + N * 2 * bits // 8]
        yield case(
            "EXTENSIBLE, never closed",
            wav(raw, head=extensible(2, bits, bits, sub), size=0, riff=0),
            name=f"WAV {name}",
        )
    yield case("EXTENSIBLE, 20 valid bits of 24", wav(bytes(6 * N), head=extensible(2, 24, 20)), name="WAV PCM 24")
    for subtype, name in (("ALAW", "A-law"), ("ULAW", "mu-law"), ("IMA_ADPCM", "IMA ADPCM"), ("MS_ADPCM", "MS ADPCM")):
        data = encoded("WAV", subtype)
        whole = None if "ADPCM" in name else N
        yield case("as it is", data, whole, name=f"WAV {name}")
        yield case("never closed: sizes 0", _resized(data, data.index(b"data")), whole, name=f"WAV {name}")
        yield case("LIST behind", data + info_list(), whole, name=f"WAV {name}")
    yield case("as it is", encoded("WAV", "GSM610", channels=1, sr=8000), None, name="WAV GSM 6.10")
    # RF64 and BW64
    for magic in (b"RF64", b"BW64"):
        kind = f"{magic.decode()} PCM 16"
        for oddity, size, frames in (
            ("as it is", len(x), N),
            ("ds64 sizes 0", 0, 0),
            ("ds64 frames 0", len(x), 0),
            ("ds64 data size too large", 2 * len(x), 2 * N),
        ):
            data = wav(x, size=0xFFFFFFFF, riff=0xFFFFFFFF, before=ds64(len(x) + 72, size, frames), magic=magic)
            yield case(oddity, data, told=oddity.endswith("too large"), name=kind)
        yield case("sizes in the data chunk too", wav(x, before=ds64(len(x) + 72, len(x), N), magic=magic), name=kind)
        yield case(
            "LIST behind",
            wav(x, size=0xFFFFFFFF, riff=0xFFFFFFFF, before=ds64(len(x) + 104, len(x), N), magic=magic, after=info_list()),
            name=kind,
        )  # fmt: skip


def _resized(data: bytes, at: int, size: int = 0) -> bytes:
    return data[:4] + struct.pack("<I", size) + data[8 : at + 4] + struct.pack("<I", size) + data[at + 8 :]


def mpeg_in_riff(
    stream: bytes, sr: int = SR, *, size: int | None = None, riff: int | None = None, after: bytes = b""
) -> bytes:
    head = struct.pack("<HHIIHH", 0x55, 2, sr, 16000, 1, 0) + struct.pack("<HHIHHH", 12, 1, 2, 417, 1, 1393)
    return wav(stream, head=b"fmt " + struct.pack("<I", len(head)) + head, size=size, riff=riff, after=after)


def _w64s() -> Iterator[Odd]:
    data = encoded("W64", "PCM_16")
    yield from _around("W64 PCM 16", data, "w64")
    at = data.index(b"data\xf3\xac\xd3\x11")
    for oddity, size in (
        ("data size 0", 0),
        ("data size -1", 2**64 - 1),
        ("data size twice what is there", 24 + 8 * N),
    ):
        changed = data[: at + 16] + struct.pack("<Q", size) + data[at + 24 :]
        yield Odd("W64 PCM 16", oddity, changed, told="twice" in oddity, suffix="w64")
    yield Odd("W64 PCM 16", "riff size 0", data[:16] + bytes(8) + data[24:], suffix="w64")


# The others that hold PCM.


def _aiffs() -> Iterator[Odd]:
    data = encoded("AIFF", "PCM_16")
    yield from _around("AIFF PCM 16", data, "aiff")
    comm, ssnd = data.index(b"COMM"), data.index(b"SSND")

    def frames(n: int, source: bytes = data) -> bytes:
        return source[: comm + 10] + struct.pack(">I", n) + source[comm + 14 :]

    def size(n: int, source: bytes = data) -> bytes:
        return source[: ssnd + 4] + struct.pack(">I", n) + source[ssnd + 8 :]

    def case(oddity: str, data: bytes, n: int | None = N, told: bool = False, name: str = "AIFF PCM 16") -> Odd:
        return Odd(name, oddity, data, n, told, "aiff")

    yield case("never closed: sizes and frames 0", size(0, frames(0, data[:4] + bytes(4) + data[8:])))
    yield case("frames 0", frames(0))
    yield case("frames half", frames(N // 2))
    yield case("frames twice what is there", frames(2 * N))
    yield case("SSND size 0xFFFFFFFF", size(0xFFFFFFFF))
    yield case("SSND size twice what is there", size(8 + 8 * N), told=True)
    yield case("ID3 chunk behind", data + b"ID3 " + struct.pack(">I", 110) + id3v2())
    yield case("FORM size 0", data[:4] + bytes(4) + data[8:])
    for subtype, name in (
        ("PCM_24", "PCM 24"),
        ("PCM_S8", "PCM S8"),
        ("FLOAT", "float"),
        ("ULAW", "mu-law"),
        ("ALAW", "A-law"),
    ):
        yield case("as it is", encoded("AIFF", subtype), name=f"AIFF {name}")
    yield case("as it is (sowt)", encoded("AIFF", "PCM_16", endian="LITTLE"), name="AIFF PCM 16")
    yield case("as it is", encoded("AIFF", "IMA_ADPCM", channels=1), None, name="AIFF IMA ADPCM")


def _aus() -> Iterator[Odd]:
    data = encoded("AU", "PCM_16")
    for case in _around("AU PCM 16", data, "au"):  # read to the end of the file, without tags
        more = {"2 kB of zeros behind": 2048, "3 kB of garbage behind": 3000}.get(case.oddity, 0)
        yield replace(case, n=N + more // 4)

    def size(n: int) -> bytes:
        return data[:8] + struct.pack(">I", n) + data[12:]

    yield Odd("AU PCM 16", "size 0xFFFFFFFF", size(0xFFFFFFFF), suffix="au")
    yield Odd("AU PCM 16", "size 0", size(0), suffix="au")
    yield Odd("AU PCM 16", "size half", size(2 * N), suffix="au")
    yield Odd("AU PCM 16", "size twice what is there", size(8 * N), told=True, suffix="au")
    start = struct.unpack(">I", data[4:8])[0]
    long = data[:4] + struct.pack(">I", 24 + 1000) + data[8:24] + b"words" * 200 + data[start:]
    yield Odd("AU PCM 16", "1 kB of annotation", long, suffix="snd")
    for subtype, name in (("ULAW", "mu-law"), ("ALAW", "A-law"), ("FLOAT", "float"), ("PCM_24", "PCM 24")):
        yield Odd(f"AU {name}", "as it is", encoded("AU", subtype), suffix="au")
    yield Odd(
        "AU mu-law",
        "size 0xFFFFFFFF",
        encoded("AU", "ULAW")[:8] + b"\xff" * 4 + encoded("AU", "ULAW")[12:],
        suffix="au",
    )


def _cafs() -> Iterator[Odd]:
    data = encoded("CAF", "PCM_16")
    yield from _around("CAF PCM 16", data, "caf")
    at = data.index(b"data")
    for oddity, size in (("data size -1", -1), ("data size 0", 0), ("data size twice what is there", 4 + 8 * N)):
        changed = data[: at + 4] + struct.pack(">q", size) + data[at + 12 :]
        yield Odd("CAF PCM 16", oddity, changed, told="twice" in oddity, suffix="caf")
    yield Odd("CAF PCM 16", "free chunk behind", data + b"free" + struct.pack(">q", 100) + bytes(100), suffix="caf")
    for subtype, name in (("PCM_24", "PCM 24"), ("FLOAT", "float"), ("ULAW", "mu-law"), ("ALAC_16", "ALAC")):
        yield Odd(f"CAF {name}", "as it is", encoded("CAF", subtype), suffix="caf")


# FLAC.


def flac_total(data: bytes, total: int) -> bytes:
    """Another number of samples in the first block of metadata."""
    at = data.index(b"fLaC") + 8
    low = struct.unpack(">Q", data[at + 10 : at + 18])[0] >> 36 << 36 | total
    return data[: at + 10] + struct.pack(">Q", low) + data[at + 18 :]


def _flacs() -> Iterator[Odd]:
    data = encoded("FLAC", "PCM_16")
    yield from _around("FLAC", data, "flac")

    def case(oddity: str, data: bytes, n: int | None = N, told: bool = False, name: str = "FLAC") -> Odd:
        return Odd(name, oddity, data, n, told, "flac")

    yield case("total 0 (not known)", flac_total(data, 0))
    yield case("total half", flac_total(data, N // 2))
    yield case("total 1 sample too few", flac_total(data, N - 1))
    yield case("total twice what is there", flac_total(data, 2 * N))
    yield case("total 2^36 - 1", flac_total(data, 2**36 - 1))
    yield case("wrong MD5", data[:26] + b"\x55" * 16 + data[42:])
    yield case("total 0, ID3v1 behind", flac_total(data, 0) + id3v1())
    yield case("ID3v2 in front and ID3v1 behind", id3v2() + data + id3v1())
    yield case("two files joined", data + data, 2 * N)
    yield case("three files joined, tags between", data + id3v1() + id3v2() + data + id3v1() + data, 3 * N)
    mono = encoded("FLAC", "PCM_16", channels=1, sr=22050, n=22050)
    yield case("joined with one of another rate", data + mono, N + 2 * 22050)
    yield case("as it is, 24 bits", encoded("FLAC", "PCM_24"))
    last = _last_flac_frame(data)
    yield case("last frame cut", data[: last + 50], None, told=True)
    yield case("cut at 60 %", data[: len(data) * 6 // 10 + 7], None, told=True)
    ogg = ogg_flac(data)
    yield from _around("Ogg FLAC", ogg, "oga")
    yield Odd("Ogg FLAC", "chained", ogg + ogg_flac(data, serial=9), 2 * N, suffix="oga")
    yield Odd("Ogg FLAC", "total 0 (not known)", ogg_flac(flac_total(data, 0)), suffix="oga")


def _last_flac_frame(data: bytes) -> int:
    return list(_flac_frames(data))[-1]


def _flac_frames(data: bytes) -> Iterator[int]:
    """Starts of the frames of what libsndfile writes: a fixed block size, so that 0xFFF8 begins each."""
    at = 4
    while not data[at] & 0x80:
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    number = 0
    mark = data[at : at + 4]
    while at >= 0:
        yield at
        number += 1
        while True:
            at = data.find(mark[:2], at + 1)
            if at < 0 or (data[at + 3] == mark[3] and _utf8(data[at + 4 :]) == number):
                break


def _utf8(data: bytes) -> int:
    first = data[0]
    if first < 0x80:
        return first
    extra = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
    value = first & (0x3F >> extra)
    for byte in data[1 : 1 + extra]:
        value = value << 6 | byte & 0x3F
    return value


# Ogg.

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_crc(page: bytes) -> int:
    """The checksum of a page whose own field is zero."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def ogg_page(
    payload: bytes, serial: int, number: int, *, flags: int = 0, granule: int = 0, lacing: bytes | None = None
) -> bytes:
    if lacing is None:
        lacing = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(lacing)) + lacing
    page = head + payload
    return page[:22] + struct.pack("<I", ogg_crc(page)) + page[26:]


def ogg_pages(data: bytes) -> list[bytes]:
    pages, at = [], 0
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        n = data[at + 26]
        end = at + 27 + n + sum(data[at + 27 : at + 27 + n])
        pages.append(data[at:end])
        at = end
    return pages


def repaged(
    page: bytes,
    *,
    flags: int | None = None,
    granule: int | None = None,
    number: int | None = None,
    serial: int | None = None,
) -> bytes:
    """A page with other fields and the checksum that fits them."""
    _, _, old_flags, old_granule, old_serial, old_number, _ = struct.unpack("<4sBBqIII", page[:26])
    head = struct.pack(
        "<4sBBqIII", b"OggS", 0, old_flags if flags is None else flags, old_granule if granule is None else granule,
        old_serial if serial is None else serial, old_number if number is None else number, 0,
    )  # fmt: skip
    page = head + page[26:]
    return page[:22] + struct.pack("<I", ogg_crc(page)) + page[26:]


def ogg_flac(data: bytes, serial: int = 5) -> bytes:
    """A FLAC file with its frames in Ogg pages, one packet a page."""
    blocks, at = [], 4
    last = False
    while not last:
        last = bool(data[at] & 0x80)
        end = at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append(data[at:end])
        at = end
    if len(blocks) == 1:  # a comment must follow
        words = struct.pack("<I", 4) + b"none" + struct.pack("<I", 0)
        blocks = [bytes([0]) + blocks[0][1:], bytes([0x84]) + len(words).to_bytes(3, "big") + words]
    starts = list(_flac_frames(data))
    frames = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    first = b"\x7fFLAC\x01\x00" + struct.pack(">H", len(blocks) - 1) + b"fLaC" + blocks[0]
    pages = [ogg_page(first, serial, 0, flags=2)]
    pages += [ogg_page(block, serial, i) for i, block in enumerate(blocks[1:], start=1)]
    size = struct.unpack(">H", data[8:10])[0]
    for i, frame in enumerate(frames):
        ends = i == len(frames) - 1
        pages += _packet_pages(frame, serial, len(pages), min((i + 1) * size, N), ends)
    return b"".join(pages)


def _packet_pages(packet: bytes, serial: int, number: int, granule: int, ends: bool) -> list[bytes]:
    """A packet over as many pages as it needs."""
    pages, limit, at = [], 255 * 255, 0
    while len(packet) - at >= limit:
        flags = 1 if at else 0
        pages.append(
            ogg_page(
                packet[at : at + limit], serial, number + len(pages), flags=flags, granule=-1, lacing=b"\xff" * 255
            )
        )
        at += limit
    flags = (1 if at else 0) | (4 if ends else 0)
    pages.append(ogg_page(packet[at:], serial, number + len(pages), flags=flags, granule=granule))
    return pages


def _oggs() -> Iterator[Odd]:
    for container, subtype, suffix, sr in (("Ogg Vorbis", "VORBIS", "ogg", SR), ("Ogg Opus", "OPUS", "opus", 48000)):
        data = encoded("OGG", subtype, sr)
        yield from _around(container, data, suffix)
        pages = ogg_pages(data)
        granule = struct.unpack("<q", pages[-1][6:14])[0]
        before = struct.unpack("<q", pages[-2][6:14])[0]

        def case(oddity: str, data: bytes, n: int | None = N, told: bool = False) -> Odd:
            return Odd(container, oddity, data, n, told, suffix)  # noqa: B023 - used before the next round

        other = encoded("OGG", subtype, sr, seed=6)
        yield case("chained", data + other, 2 * N)
        yield case("chained three times", data + other + data, 3 * N)
        mono = encoded("OGG", subtype, sr // 2, 1, 24000)
        yield case("chained with one of half the rate, mono", data + mono, N + 48000)
        yield case("chained, ID3v1 between", data + id3v1() + other, 2 * N)
        early = [repaged(p, flags=p[5] | 4) if i >= len(pages) - 3 else p for i, p in enumerate(pages)]
        yield case("the last three pages are all marked as the end", b"".join(early))
        middle = [repaged(p, flags=p[5] | 4) if i == len(pages) // 2 else p for i, p in enumerate(pages)]
        yield case("a page in the middle marked as the end", b"".join(middle))
        last = [*pages[:-1]]
        yield case("last granule 10 s too high", b"".join([*last, repaged(pages[-1], granule=granule + 10 * sr)]), None)
        yield case("last granule 100 too low", b"".join([*last, repaged(pages[-1], granule=granule - 100)]), None)
        yield case("last granule that of the page before", b"".join([*last, repaged(pages[-1], granule=before)]), None)
        yield case("last granule 1", b"".join([*last, repaged(pages[-1], granule=1)]), None)
        yield case("last granule -1", b"".join([*last, repaged(pages[-1], granule=-1)]), None)
        yield case("no end mark", b"".join([*last, repaged(pages[-1], flags=pages[-1][5] & ~4)]), None)
        empty = ogg_page(b"", 77, 0, flags=2, lacing=b"")
        skeleton = [ogg_page(b"fishead\0" + bytes(56), 77, 0, flags=2), ogg_page(b"", 77, 1, flags=4, granule=0)]
        yield case("a Skeleton stream beside it", b"".join([skeleton[0], pages[0], skeleton[1], *pages[1:]]))
        yield case("an empty page of another stream beside it", b"".join([pages[0], empty, *pages[1:]]))
        yield case("garbage between pages", b"".join([*pages[:5], garbage(700), *pages[5:]]))
        yield case("granules start at 1 h", b"".join(_late(pages, 3600 * sr)), None)
        yield case("a page is missing", b"".join(pages[:-2] + pages[-1:]), None, True)
        yield case("cut at 60 %", data[: len(data) * 6 // 10 + 7], None, True)


def _late(pages: list[bytes], by: int) -> list[bytes]:
    """As cut out of a broadcast: granules count from another start."""
    out = []
    for page in pages:
        granule = struct.unpack("<q", page[6:14])[0]
        out.append(repaged(page, granule=granule + by) if granule > 0 else page)
    return out


# MPEG audio.

SIDE = {
    (3, 2): 36,
    (3, 1): 21,
    (2, 2): 21,
    (2, 1): 13,
}  # from the start of a frame to "Xing", MPEG-1 and 2, stereo and mono


def xing_at(data: bytes) -> int:
    return max(data.find(b"Xing", 0, 400), data.find(b"Info", 0, 400))


def xing_frames(data: bytes) -> int:
    at = xing_at(data)
    assert at > 0 and data[at + 7] & 1
    return struct.unpack(">I", data[at + 8 : at + 12])[0]


def with_frames(data: bytes, n: int) -> bytes:
    at = xing_at(data)
    return data[: at + 8] + struct.pack(">I", n) + data[at + 12 :]


def without_xing(data: bytes) -> bytes:
    """The whole first frame gone: nothing says how long it is."""
    at = xing_at(data)
    frame = data.index(b"\xff\xfb" if data[1] == 0xFB else data[:2])
    second = data.index(data[frame : frame + 2], at)
    return data[second:]


def with_vbri(data: bytes, n_frames: int, n_bytes: int) -> bytes:
    """The Xing header replaced by one of Fraunhofer's encoder."""
    at = xing_at(data)
    end = data.index(data[:2], at)
    vbri = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 75, n_bytes, n_frames, 0, 1, 2, 1)
    return data[:4] + bytes(32) + vbri.ljust(end - 36, b"\0") + data[end:]


def _mpegs() -> Iterator[Odd]:
    vbr = encoded("MP3", "MPEG_LAYER_III", mode="VARIABLE")
    cbr = encoded("MP3", "MPEG_LAYER_III", mode="CONSTANT", level=0.5)
    other = encoded("MP3", "MPEG_LAYER_III", mode="VARIABLE", seed=6)
    n_frames = xing_frames(vbr)
    for name, data in (("MP3 VBR", vbr), ("MP3 CBR", cbr)):
        yield from _around(name, data, "mp3")

        def case(oddity: str, data: bytes, n: int | None = N, told: bool = False) -> Odd:
            return Odd(name, oddity, data, n, told, "mp3")  # noqa: B023 - used before the next round

        frames = xing_frames(data)
        all_of_it = frames * 1152 - 1105
        yield case("header says 0 frames", with_frames(data, 0), all_of_it)
        yield case("header says half the frames", with_frames(data, frames // 2), None)
        yield case("header says 3 frames too many", with_frames(data, frames + 3), None)
        yield case("header says twice the frames", with_frames(data, 2 * frames), None)
        yield case("length header without LAME's part", data.replace(b"LAME3", bytes(5), 1), frames * 1152)
        yield case("no length header", without_xing(data), frames * 1152)
        yield case(
            "header wiped", data.replace(data[xing_at(data) : xing_at(data) + 4], bytes(4), 1), (frames + 1) * 1152
        )
        yield case("VBRI header", with_vbri(data, frames, len(data)), None)
        yield case("VBRI header with half the frames", with_vbri(data, frames // 2, len(data) // 2), None)
        yield case("two files joined", data + other, (frames + 1 + n_frames) * 1152 - 1105)
        yield case("joined, tags between", data + id3v1() + id3v2() + other, (frames + 1 + n_frames) * 1152 - 1105)
        yield case("joined, a picture between", data + picture_tag() + other, (frames + 1 + n_frames) * 1152 - 1105)
        yield case("no length header, joined", without_xing(data) + without_xing(other), (frames + n_frames) * 1152)
        yield case("600 zeros in front", bytes(600) + data)
        yield case("1 zero in front", b"\0" + data)
        yield case("193 other bytes in front", bytes(range(1, 194)) + data)
        yield case("20 kB of zeros in front", bytes(20_000) + data)
        yield case("3 kB of garbage in front", garbage() + data)
        yield case("ID3v2, then 2 kB of zeros in front", id3v2() + bytes(2048) + data)
        yield case("700 bytes of garbage inside", data[:5000] + garbage(700) + data[5000:], None)
        yield case("last frame cut", data[:-100], None, True)
        yield case("cut at 60 %", data[: len(data) * 6 // 10 + 7], None, True)
        yield case("no length header, cut at 60 %", without_xing(data)[: len(data) * 6 // 10 + 7], None, True)
    for sr, channels in ((44100, 1), (22050, 2), (16000, 1), (8000, 1), (48000, 2), (32000, 2)):
        data = encoded("MP3", "MPEG_LAYER_III", sr, channels, sr)
        yield Odd(f"MP3 {sr} Hz, {channels} ch", "as it is", data, sr, suffix="mp3")
        yield Odd(f"MP3 {sr} Hz, {channels} ch", "ID3v1 behind", data + id3v1(), sr, suffix="mp3")
    half = encoded("MP3", "MPEG_LAYER_III", 22050, 1, 22050)
    yield Odd("MP3 VBR", "joined with one of half the rate, mono", vbr + half, None, suffix="mp3")
    yield Odd("MP3 VBR", "joined with a mono one", vbr + encoded("MP3", "MPEG_LAYER_III", SR, 1), None, suffix="mp3")
    yield Odd("MP3 in RIFF", "as it is", mpeg_in_riff(without_xing(cbr)), None, suffix="wav")
    yield Odd("MP3 in RIFF", "never closed", mpeg_in_riff(without_xing(cbr), size=0, riff=0), None, suffix="wav")
    yield Odd("MP3 in RIFF", "with a length header inside", mpeg_in_riff(vbr), None, suffix="wav")
    yield Odd("MP3 in RIFF", "LIST behind", mpeg_in_riff(without_xing(cbr), after=info_list()), None, suffix="wav")
    yield Odd("MP3 in RIFF", "named .mp3", mpeg_in_riff(without_xing(cbr)), None, suffix="mp3")


def cases() -> list[Odd]:
    """Every container with every oddity."""
    return [case for group in (_wavs, _w64s, _aiffs, _aus, _cafs, _flacs, _oggs, _mpegs) for case in group()]
