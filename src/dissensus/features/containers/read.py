"""Which container a file is, and the layout of its audio."""

from __future__ import annotations

from typing import Final

from dissensus.errors import DissensusError, EmptyAudioError, UnsupportedFormatError
from dissensus.features.containers import tags
from dissensus.features.containers.chunks import W64_MAGIC, aiff_layout, au_layout, caf_layout, w64_layout, wav_layout
from dissensus.features.containers.flac import flac_layout
from dissensus.features.containers.layout import Layout
from dissensus.features.containers.mpeg import begins, mpeg_layout
from dissensus.features.containers.ogg import ogg_layout
from dissensus.features.containers.views import View

__all__ = ["READABLE", "foreign_format", "read_layout"]

READABLE: Final = "WAV, FLAC, Ogg, Opus, MP3, AIFF, W64, AU and CAF"

#: Containers that may be opened at all; every other parser of the decoding library stays out of reach.
_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"RIFF", "wav"),
    (b"RIFX", "wav"),
    (b"RF64", "wav"),
    (b"BW64", "wav"),
    (W64_MAGIC, "w64"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"FORM", "aiff"),
    (b".snd", "au"),
    (b"dns.", "au"),
    (b"caff", "caf"),
)

#: Known, and not decodable here: (offset, bytes, what to call it, the name that the ffmpeg program has for it).
_OTHERS: Final[tuple[tuple[int, bytes, str, str], ...]] = (
    (4, b"ftyp", "an MP4/M4A file (AAC or ALAC)", "mov"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file", "asf"),
    (0, b"\x1aE\xdf\xa3", "a Matroska/WebM file", "matroska"),
    (0, b"MAC ", "a Monkey's Audio file", "ape"),
    (0, b"wvpk", "a WavPack file", "wv"),
    (0, b"TTA1", "a True Audio file", "tta"),
    (0, b"MPCK", "a Musepack file", "mpc8"),
    (0, b"MP+", "a Musepack file", "mpc"),
    (0, b"#!AMR", "an AMR file", "amr"),
    (0, b"ADIF", "an AAC file", "aac"),
    (0, b"MThd", "a MIDI file", ""),
)


def foreign_format(head: bytes) -> tuple[str, str] | None:
    """What a file is that cannot be decoded here, by its first bytes: its name, and that of ffmpeg's reader for it."""
    for offset, magic, name, reader in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return name, reader
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "an AAC file", "aac"
    return None


def read_layout(view: View, name: str) -> Layout:
    """Find the audio in a file.

    Parameters
    ----------
    view : View
        Of the whole file.
    name : str
        Of the file, for messages.

    Raises
    ------
    DecodeError
        Or one of its kinds: there is no audio, or none that can be decoded here.
    """
    try:
        return _layout(view)
    except DissensusError as error:
        raise type(error)(f"{name}: {error}") from None


def _layout(view: View) -> Layout:
    if view.size == 0:
        raise EmptyAudioError("the file is empty (0 bytes)")
    start = tags.front(view)
    head = view.pread(start, 16)
    container = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if container == "wav":
        return wav_layout(view, start)
    if container == "w64":
        return w64_layout(view, start)
    if container == "aiff":
        return aiff_layout(view, start)
    if container == "au":
        return au_layout(view, start)
    if container == "caf":
        return caf_layout(view, start)
    if container == "ogg":
        return ogg_layout(view, start)
    if container == "flac":
        return flac_layout(view, start, view.size, whole=start == 0)
    other = foreign_format(head)
    if other is None:
        end = tags.tail(view, start, view.size)
        if begins(view, start, end):
            footer = start > 0 and view.pread(start - 10, 3) == b"3DI"  # which the decoding library stumbles over
            return mpeg_layout(view, start, end, whole=not footer)
        if start:
            raise UnsupportedFormatError(f"nothing known behind its ID3 tag; {READABLE} are read: convert it first")
        guess = "no container known here" if head.strip(b"\0") else "nothing but zero bytes"
        raise UnsupportedFormatError(f"{guess}; {READABLE} are read: convert it first")
    raise UnsupportedFormatError(f"{other[0]}; {READABLE} are read: convert it first")
