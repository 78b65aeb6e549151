"""What we decode of an odd file beside what the ffmpeg program decodes of it."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odd_audio import Odd

from dissensus.errors import DissensusError, TruncatedAudioWarning
from dissensus.features import audio_info, load_audio

#: Why the counts differ: (words in the container's name, words in the oddity, what ffmpeg does).
REASONS = (
    ("GSM", "", "ffmpeg leaves out the last block"),
    ("AU", "behind", "ffmpeg decodes the tag as samples"),
    ("FLAC", "joined", "ffmpeg loses blocks at the joint"),
    ("Vorbis", "chained", "ffmpeg adds 128 samples at each joint"),
    ("Vorbis", "page is missing", "a decoder cannot join what is left in one way only"),
    ("Opus", "granule", "ffmpeg leaves out the last page"),
    ("Opus", "cut at", "only headers and a part of a page are left: refused"),
    ("MP3 in RIFF", "length header", "ffmpeg keeps delay and padding of the encoder, and its header as silence"),
    ("MP3", " in front", "ffmpeg keeps delay and padding of the encoder, and its header as silence"),
    ("MP3", " behind", "ffmpeg keeps the padding where more than 1/16 of the bytes stand behind"),
    ("MP3", "half the frames", "ffmpeg leaves out the padding where the header ends the stream"),
    ("MP3", "between", "ffmpeg loses a frame at the joint"),
    ("MP3", "rate", "each stream is resampled by itself"),
    ("MP3", "inside", "ffmpeg leaves out a frame more"),
)
#: Why samples differ.
DIFFERENCES = (
    ("ADPCM", "", "the decoders round otherwise"),
    ("Opus", "half the rate", "a stream of 24 kHz is decoded at that rate and resampled"),
    ("Opus", "chained", "ffmpeg's decoder goes on where ours begins anew"),
    ("Opus", "start at 1 h", "libsndfile keeps the 312 samples in front of the start, and loses as many at the end"),
    ("MP3", "mono one", "ffmpeg takes 0.71 of mono where the first stream is stereo"),
    ("WAV PCM 16", "RIFX", "ffmpeg 5.1 reads the samples in the wrong order of bytes"),
)
OFFSETS = (0, 1105, 1152 + 1105)  # where ours may begin in ffmpeg's: delay, and a header decoded as a frame


@dataclass(frozen=True)
class Row:
    """A line of the table; counts at the rate of the file."""

    case: Odd
    ours: int
    ffmpeg: int
    difference: (
        float | None
    )  # largest, over the samples that both have; None where there are none, or none that correspond
    told: bool

    @property
    def remark(self) -> str:
        if not self.ffmpeg and self.ours:
            return "ffmpeg does not open it"
        if self.ours != self.ffmpeg:
            return _why(self.case, REASONS)
        return "" if self.difference is None or self.difference < 1e-4 else _why(self.case, DIFFERENCES)


def _why(case: Odd, reasons: tuple[tuple[str, str, str], ...]) -> str:
    return next((why for kind, odd, why in reasons if kind in case.container and odd in case.oddity), "")


def ffmpeg_decodes(path: Path, n_channels: int) -> np.ndarray:
    """Samples of all channels, (n, n_channels); none where the program cannot."""
    program = shutil.which("ffmpeg")
    assert program is not None
    command = [program, "-v", "quiet", "-nostdin", "-i", path, "-map", "0:a:0", "-ac", str(n_channels)]
    done = subprocess.run([*command, "-f", "f32le", "-c:a", "pcm_f32le", "-"], capture_output=True, check=False)
    data = np.frombuffer(done.stdout[: len(done.stdout) // (4 * n_channels) * 4 * n_channels], "<f4")
    return data.reshape(-1, n_channels)


def measure(case: Odd, folder: Path) -> Row:
    """Decode a case twice."""
    path = folder / f"case.{case.suffix}"
    path.write_bytes(case.data)
    try:
        info = audio_info(path)
    except DissensusError:
        return Row(case, 0, len(ffmpeg_decodes(path, 2)), None, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedAudioWarning)
        ours = load_audio(path, sr=info.sr, truncated="keep")
    theirs = ffmpeg_decodes(path, info.n_channels).mean(axis=1)
    found = [
        float(np.abs(ours[:n] - theirs[at : at + n]).max())
        for at in OFFSETS
        if (n := min(len(ours), len(theirs) - at)) > 0
    ]
    difference = min(found, default=None)
    if len(ours) != len(theirs) and difference is not None and difference > 0.05:
        difference = None
    return Row(case, len(ours), len(theirs), difference, info.ends_early is not None)


def acceptable(row: Row) -> bool:
    """Nothing is missing beside ffmpeg, or it is said why; and what both have is the same."""
    lossy = any(name in row.case.container for name in ("MP3", "Vorbis", "Opus"))
    close = row.difference is None or row.difference <= (1e-4 if lossy else 0) or row.remark != ""
    return close and (row.ours == row.ffmpeg or row.remark != "")
