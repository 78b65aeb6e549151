"""The stretches of audio in a file, and what is wrong with its end: the shape that every container's reader returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dissensus.features.containers.views import View

__all__ = ["LIMITS", "UNKNOWN_SIZE", "AudioInfo", "AudioLimits", "Layout", "Stretch"]

#: Declared sizes of 32 bits from here on mean "not known when the header was written".
UNKNOWN_SIZE: Final = 0x7FFF0000


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
    max_streams : int
        Most joined or chained streams in one file.
    """

    max_load_s: float = 4 * 3600.0
    max_duration_s: float = 48 * 3600.0
    max_channels: int = 32
    min_sr: int = 1000
    max_sr: int = 384_000
    max_streams: int = 1000


LIMITS: Final = AudioLimits()


@dataclass(frozen=True)
class AudioInfo:
    """What is in an audio file.

    Attributes
    ----------
    path : str
        The file.
    sr, n_channels : int
        Sample rate (Hz) and channels of its first stream.
    n_frames : int or None
        Samples per channel that are there, at ``sr``, counted from the bytes and not read from the header; None where only
        decoding tells.
    container, codec : str
        Such as ``"ogg"`` and ``"VORBIS"``.
    decoder : str
        Library or program that decodes it, with its version.
    ends_early : str or None
        How the file is cut off, where it is.
    notes : tuple of str
        What else is odd about it and was put right: joined streams, a header that counts wrongly.
    """

    path: str
    sr: int
    n_channels: int
    n_frames: int | None
    container: str
    codec: str
    decoder: str = ""
    ends_early: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, where it is known."""
        return None if self.n_frames is None else self.n_frames / self.sr


@dataclass
class Stretch:
    """A part of the file that one decoder reads from its first byte to its last.

    ``view`` is None where the decoder can have the file as it is. ``exact`` marks a count that the decoder will meet.
    """

    view: View | None = None
    n_frames: int | None = None
    exact: bool = False


@dataclass
class Layout:
    """The audio of a file.

    Attributes
    ----------
    container : str
        Its kind.
    stretches : list of Stretch
        In order.
    cut : str or None
        How the file is cut off.
    share : (there, announced) or None
        How much is there of what was announced, in any unit, where that can be told.
    unit_s : float
        Seconds that one such unit lasts.
    notes : list of str
        What was odd, and put right.
    noisy : bool
        Its decoder prints on stderr.
    """

    container: str
    stretches: list[Stretch] = field(default_factory=list)
    cut: str | None = None
    share: tuple[float, float] | None = None
    unit_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    noisy: bool = False

    @property
    def nearly_whole(self) -> bool:
        """At least 99 % of what was announced is there, or all but a second."""
        if self.share is None:
            return False
        there, announced = self.share
        return there >= 0.99 * announced or 0 < (announced - there) * self.unit_s <= 1.0
