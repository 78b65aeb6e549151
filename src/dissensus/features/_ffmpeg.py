"""Formats that libsndfile lacks (AAC, ALAC, WMA …), decoded by the ``ffmpeg`` program where one is installed.

The program is another process and no part of this package. It is told which reader to use and given a descriptor instead of a
name, so that a file can neither choose a parser nor make it open another file or an address.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    EmptyAudioError,
    NonFiniteAudioError,
    TruncatedAudioError,
    UnsupportedFormatError,
)
from dissensus.features._samples import all_finite, downmix
from dissensus.features.containers.layout import AudioInfo, AudioLimits

__all__ = ["FfmpegSource", "ffmpeg_version"]

_PATIENCE_S: Final = 60.0  # without a byte from the program
_MEMORY: Final = 256 << 20  # largest single allocation of the program
_BLOCK: Final = 1 << 16
_CODEC: Final = re.compile(r"Audio: (\w+)")
_DURATION: Final = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_ERROR: Final = re.compile(r"^(?:\[[^\]]*\] )*\[(?:error|fatal|panic)\] (.*)$", re.MULTILINE)


def _program() -> str | None:
    return shutil.which("ffmpeg")


@lru_cache(maxsize=4)
def _version_of(program: str) -> str:
    try:
        said = subprocess.run([program, "-version"], capture_output=True, timeout=_PATIENCE_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = re.match(rb"ffmpeg version (\S+)", said)
    return match[1].decode(errors="replace") if match else "unknown"


def ffmpeg_version() -> str | None:
    """Version of the program that would decode what libsndfile cannot, or None where there is none."""
    program = _program()
    return None if program is None else _version_of(program)


class _CannotOpenError(Exception):
    """The program finds no audio in a file."""


class _Run:
    """The program at work on a file: samples from its output, in a stream that begins with rate and channels."""

    def __init__(self, program: str, fd: int, reader: str, limits: AudioLimits, name: str) -> None:
        self.name = name
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        place = f"/proc/self/fd/{fd}" if os.path.isdir("/proc/self/fd") else f"/dev/fd/{fd}"
        command = [
            program, "-nostdin", "-hide_banner", "-loglevel", "level+info", "-max_alloc", str(_MEMORY),
            "-protocol_whitelist", "file,pipe", "-f", reader, "-i", f"file:{place}", "-map", "0:a:0",
            "-t", f"{limits.max_duration_s + 60:.0f}", "-c:a", "pcm_f32be", "-f", "au", "pipe:1",
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said, pass_fds=(fd,)
            )
        except OSError as error:
            self._said.close()
            raise DecodeError(f"{name}: {program} cannot be started ({error.strerror})") from None
        try:
            self.sr, self.n_channels = self._header()
        except BaseException:
            self.close()
            raise

    def _take(self, n: int) -> bytes:
        """Up to ``n`` bytes; fewer at the end."""
        pipe = self._process.stdout
        assert pipe is not None
        data, patience = bytearray(), time.monotonic() + _PATIENCE_S
        while len(data) < n:
            ready, _, _ = select.select([pipe], [], [], max(0.0, patience - time.monotonic()))
            if not ready:
                raise DecodeError(f"{self.name}: ffmpeg said nothing for {_PATIENCE_S:.0f} s and was stopped")
            part = os.read(pipe.fileno(), min(n - len(data), 1 << 18))
            if not part:
                break
            data += part
            patience = time.monotonic() + _PATIENCE_S
        return bytes(data)

    def _header(self) -> tuple[int, int]:
        head = self._take(24)
        if len(head) < 24 or head[:4] != b".snd":
            self._process.wait(timeout=_PATIENCE_S)
            errors = self.errors()
            why = errors[0] if errors else f"it ended with {self._process.returncode}"
            raise _CannotOpenError(why)
        offset, _, _, sr, channels = struct.unpack(">5I", head[4:])
        self._take(offset - 24)
        return sr, channels

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """(n, n_channels) samples."""
        width = 4 * self.n_channels
        while True:
            data = self._take(_BLOCK * width)
            n = len(data) // width
            if n:
                yield np.frombuffer(data, dtype=">f4", count=n * self.n_channels).astype("f4").reshape(n, -1)
            if n < _BLOCK:
                return

    def finish(self) -> int:
        """Exit status."""
        try:
            return self._process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise DecodeError(f"{self.name}: ffmpeg does not end and was stopped") from None

    def text(self) -> str:
        """The first part of what it said."""
        return os.pread(self._said.fileno(), 1 << 16, 0).decode(errors="replace")

    def errors(self) -> list[str]:
        """What it said was wrong."""
        return [line.strip() for line in _ERROR.findall(self.text())]

    def close(self) -> None:
        self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()
        self._said.close()


class FfmpegSource:
    """A file that the program decodes; of the same shape as what libsndfile opens."""

    def __init__(self, name: str, fd: int, limits: AudioLimits, reader: str, program: str) -> None:
        self.name, self.fd, self.limits = name, fd, limits
        self.flaw: str | None = None
        self._reader, self._program = reader, program
        self._run: _Run | None = _Run(program, fd, reader, limits, name)
        try:
            self.info = self._survey(self._run)
        except BaseException:
            self._run.close()
            raise

    @classmethod
    def over(
        cls, name: str, fd: int, limits: AudioLimits, reader: str, unsupported: UnsupportedFormatError
    ) -> FfmpegSource:
        """Open with the program, or say that it would be needed."""
        program = _program()
        if program is None:
            raise UnsupportedFormatError(f"{unsupported}, or install the ffmpeg program") from None
        try:
            return cls(name, fd, limits, reader, program)
        except _CannotOpenError as error:
            raise UnsupportedFormatError(
                f"{unsupported}; the ffmpeg program cannot decode it either ({error})"
            ) from None

    def _survey(self, run: _Run) -> AudioInfo:
        if not 1 <= run.n_channels <= self.limits.max_channels:
            raise AudioTooLongError(
                f"{self.name}: {run.n_channels} channels; at most {self.limits.max_channels} are read"
            )
        if not self.limits.min_sr <= run.sr <= self.limits.max_sr:
            raise AudioTooLongError(
                f"{self.name}: {run.sr} Hz; {self.limits.min_sr} to {self.limits.max_sr} Hz are read"
            )
        text = run.text()
        codec = _CODEC.search(text)
        length = _DURATION.search(text)
        n_frames = None
        if length is not None:
            n_frames = round((int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])) * run.sr)
            if n_frames > self.limits.max_duration_s * run.sr:
                raise AudioTooLongError(
                    f"{self.name}: the header says {n_frames / run.sr / 3600:.1f} hours; "
                    f"at most {self.limits.max_duration_s / 3600:g} are read (see AudioLimits)"
                )
        return AudioInfo(
            self.name, run.sr, run.n_channels, n_frames, self._reader, codec[1] if codec else "",
            decoder=f"ffmpeg {_version_of(self._program)}",
        )  # fmt: skip

    def close(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None
        os.close(self.fd)

    def blocks(
        self, start_s: float, duration_s: float | None, truncated: str
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Mono blocks at the file's own rate."""
        run, self._run = self._run or _Run(self._program, self.fd, self._reader, self.limits, self.name), None
        sr = self.info.sr
        skip, left = round(start_s * sr), None if duration_s is None else max(1, round(duration_s * sr))
        at, some = 0, False
        try:
            for block in run.blocks():
                first = max(0, skip - at)
                stop = len(block) if left is None else min(len(block), first + left)
                if first < stop:
                    some = True
                    if left is not None:
                        left -= stop - first
                    mono = downmix(block[first:stop])
                    if not all_finite(mono):
                        raise NonFiniteAudioError(f"{self.name}: NaN or infinity after {(at + first) / sr:.4f} s")
                    yield sr, mono
                at += len(block)
                if at > self.limits.max_duration_s * sr:
                    raise AudioTooLongError(
                        f"{self.name}: more than {self.limits.max_duration_s / 3600:g} hours of audio (see AudioLimits)"
                    )
                if left == 0:
                    return
            self._judge(run, run.finish(), at, truncated)
        finally:
            run.close()
        if not some:
            raise EmptyAudioError(f"{self.name}: no samples from {start_s:g} s on")

    def _judge(self, run: _Run, status: int, done: int, truncated: str) -> None:
        """Whether all of it came."""
        errors, expected = run.errors(), self.info.n_frames
        # Containers round their durations, and count what an encoder puts in front.
        short = expected is not None and done < 0.999 * expected - 0.1 * self.info.sr
        if not (errors or status or short) or truncated == "keep":
            return
        why = errors[0] if errors else f"{done / self.info.sr:.2f} s decoded of {(expected or 0) / self.info.sr:.2f} s"
        enough = expected is not None and (done >= 0.99 * expected or expected - done <= self.info.sr)
        if truncated == "nearly" and done and enough:
            self.flaw = f"ffmpeg: {why}"
            return
        raise TruncatedAudioError(
            f"{self.name}: the file ends early or is damaged (ffmpeg: {why}); "
            "truncated='keep' (--keep-truncated) takes what is there"
        )
