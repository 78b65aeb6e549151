"""What the first and last bytes of an audio file say: its container, and whether it ends where it should."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from dissensus.errors import AudioTooLongError

__all__ = [
    "LIMITS",
    "MPEG_LIKE",
    "AudioInfo",
    "AudioLimits",
    "Sniffed",
    "bytes_left",
    "ends_early",
    "parser_says_cut",
    "read_header",
    "sniff",
]

#: Containers that may be opened at all; every other parser of the decoding library stays out of reach.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"RIFF", "wav"),
    (0, b"RIFX", "wav"),
    (0, b"RF64", "rf64"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"ID3", "mp3"),
)

#: Known, and not decodable here: (offset, bytes, what to call it).
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "an MP4/M4A file (AAC or ALAC)"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska/WebM file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MThd", "a MIDI file"),
)

MPEG_LIKE = frozenset({"mp3"})

#: Declared sizes from here on mean "not known when the header was written".
_UNKNOWN_SIZE = 0x7FFF0000
_HUGE = 1 << 62  # the decoding library's word for a length that is not known

_CUT = re.compile(r"(data|ssnd|data size|riff size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.IGNORECASE)
_DS64 = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")

_BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class AudioLimits:
    """What a header may ask for before anything is allocated.

    Attributes
    ----------
    max_load_s : float
        Longest span that is returned as one array.
    max_duration_s : float
        Longest file at all; longer ones are refused even as a stream.
    max_channels : int
        Most channels.
    min_sr, max_sr : int
        Lowest and highest sample rate, Hz.
    """

    max_load_s: float = 4 * 3600.0
    max_duration_s: float = 48 * 3600.0
    max_channels: int = 32
    min_sr: int = 1000
    max_sr: int = 384_000


LIMITS: Final = AudioLimits()


@dataclass(frozen=True)
class AudioInfo:
    """The header of an audio file. ``n_frames`` is None where it does not say; for an MP3 it may be an estimate."""

    path: str
    sr: int
    n_channels: int
    n_frames: int | None
    container: str
    codec: str

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, where the header says."""
        return None if self.n_frames is None else self.n_frames / self.sr


@dataclass(frozen=True)
class Sniffed:
    """The container by its first bytes, or what else the file seems to be."""

    container: str | None
    guess: str


def sniff(head: bytes) -> Sniffed:
    """Name the container that these first bytes (16 or more) announce."""
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return Sniffed(name, name)
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return Sniffed("mp3", "mp3")
    for offset, magic, name in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return Sniffed(None, name)
    if not head.strip(b"\0"):
        return Sniffed(None, "nothing but zero bytes")
    return Sniffed(None, "no container known here")


def parser_says_cut(log: str, container: str) -> str | None:
    """Read the header parser's log: a chunk that claims more bytes than the file holds."""
    for name, declared, present in _CUT.findall(log):
        if name.lower().startswith("riff") and container == "wav":  # the outer size is often wrong and never harmful
            continue
        if int(present) < int(declared) < _UNKNOWN_SIZE:
            return f"its {name.strip()} chunk declares {declared} bytes, {present} are there"
    match = _DS64.search(log)
    if match and int(match[1]) < int(match[2]):
        return f"its header declares {match[2]} frames, {match[1]} are there"
    return None


def bytes_left(fd: int, size: int) -> int:
    """Bytes of audio behind the position of a descriptor; tags at the end do not count."""
    with open(fd, "rb", buffering=0, closefd=False) as file:
        at = file.tell()
        left = _without_tags(file, size) - at
        file.seek(at)
    return left


def ends_early(file: BinaryIO, size: int, container: str) -> tuple[bool, str | None]:
    """Evidence of truncation in the bytes alone.

    Returns
    -------
    announced : bool
        The header says how long the audio is: compare what was decoded with it.
    cut : str or None
        What is wrong with the end of an Ogg file, or of an MP3 that does not announce its length.
    """
    if container == "ogg":
        return True, _ogg_ends_early(file, size)
    if container == "mp3":
        return _mp3_ends_early(file, size)
    return True, None


def _ogg_ends_early(file: BinaryIO, size: int) -> str | None:
    """The last Ogg page must be whole and carry the end-of-stream mark."""
    tail_size = min(size, 2 * 65307)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    at = tail.rfind(b"OggS")
    if at < 0:
        return "its tail holds no Ogg page"
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return "its last Ogg page is cut off"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "its last Ogg page is cut off"
    if not page[5] & 4:
        return "its last Ogg page lacks the end-of-stream mark"
    return None


def _frame_size(header: bytes) -> int:
    """Bytes of the MPEG audio frame with these first four bytes; 0 where they are no header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_index, bitrate_index, padding = header[2] >> 2 & 3, header[2] >> 4, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_index == 3 or bitrate_index in (0, 15):
        return 0
    rate = _RATES[version][rate_index]
    bits = _BITRATES[1 if version == 3 else 2, layer][bitrate_index] * 1000
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // rate + padding


def _without_tags(file: BinaryIO, size: int) -> int:
    """Size of the file without its ID3v1 and APE tags."""
    file.seek(max(0, size - 128))
    if file.read(3) == b"TAG":
        size -= 128
    if size >= 32:
        file.seek(size - 32)
        footer = file.read(32)
        if footer[:8] == b"APETAGEX":
            size -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
    return max(size, 0)


def _mp3_ends_early(file: BinaryIO, size: int) -> tuple[bool, str | None]:
    """Whether an MP3 has a Xing, Info or VBRI header; if not, how its last frame is cut off."""
    file.seek(0)
    head = file.read(10)
    at = 0
    if head[:3] == b"ID3" and len(head) == 10:
        at = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    file.seek(at)
    first = file.read(256)
    if b"Xing" in first or b"Info" in first or b"VBRI" in first:
        return True, None
    end = _without_tags(file, size)
    # Walk back: the last 16 kB hold several frames; find a run of headers that agree, then look where the last one ends.
    start = max(at, end - 16384)
    file.seek(start)
    tail = file.read(end - start)
    for origin in range(min(len(tail), 4096)):
        position, n_frames = origin, 0
        while (length := _frame_size(tail[position : position + 4])) and position + length <= len(tail):
            position += length
            n_frames += 1
        if n_frames >= 3 and (length or position >= len(tail) - 3):
            missing = position + length - len(tail) if length else 0
            return False, f"its last MPEG frame lacks {missing} bytes" if missing else None
    return False, None


def read_header(name: str, file: Any, container: str, limits: AudioLimits) -> AudioInfo:
    """What the opened file says of itself, within the limits."""
    n_frames = None if file.frames < 0 or file.frames >= _HUGE else int(file.frames)
    if not 1 <= file.channels <= limits.max_channels:
        raise AudioTooLongError(f"{name}: {file.channels} channels; at most {limits.max_channels} are read")
    if not limits.min_sr <= file.samplerate <= limits.max_sr:
        raise AudioTooLongError(f"{name}: {file.samplerate} Hz; {limits.min_sr} to {limits.max_sr} Hz are read")
    if n_frames is not None and n_frames > limits.max_duration_s * file.samplerate:
        raise AudioTooLongError(
            f"{name}: the header says {n_frames / file.samplerate / 3600:.1f} hours; "
            f"at most {limits.max_duration_s / 3600:g} are read (see AudioLimits)"
        )
    return AudioInfo(name, file.samplerate, file.channels, n_frames, container, file.subtype)
