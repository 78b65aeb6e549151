"""An audio file opened for reading: its layout found, its limits checked, its stretches decoded one after the other."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus._fork import Lock
from dissensus._quiet import quiet_libraries
from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    EmptyAudioError,
    NonFiniteAudioError,
    TruncatedAudioError,
    UnsupportedFormatError,
)
from dissensus.features._samples import all_finite, downmix
from dissensus.features.containers.layout import AudioInfo, AudioLimits, Layout, Stretch
from dissensus.features.containers.read import foreign_format, read_layout
from dissensus.features.containers.views import View

__all__ = ["LibsndfileSource", "Source", "Truncated", "open_source"]

Truncated = Literal["nearly", "error", "keep"]

_BLOCK: Final = 1 << 16  # frames decoded at a time
_RUN_UP: Final = (
    32 * 1152
)  # frames decoded before the start of an excerpt: a frame of MP3 leans on up to 511 bytes before it
_PROBE: Final = 1 << 21  # bytes around the place where a decoder failed that are read to see whether they can be
_HUGE: Final = 1 << 62  # the decoding library's word for a length that is not known
_TAKE: Final = "truncated='keep' (--keep-truncated) takes what is there"

Block = tuple[int, NDArray[np.float32]]


class Source(Protocol):
    """What is read from: blocks of mono samples, each with its sample rate."""

    name: str
    info: AudioInfo
    flaw: str | None  # how a file that is used all the same is cut off

    def blocks(self, start_s: float, duration_s: float | None, truncated: Truncated) -> Iterator[Block]:
        """Mono blocks at the rate of their stretch."""

    def close(self) -> None:
        """Let go of the file."""


def open_source(path: str | os.PathLike[str], limits: AudioLimits) -> Source:
    """Open an audio file with the decoder that reads it."""
    name = os.fspath(path)
    fd = _open_descriptor(name)
    try:
        try:
            return LibsndfileSource(name, fd, limits)
        except UnsupportedFormatError as unsupported:
            from dissensus.features._ffmpeg import FfmpegSource

            known = foreign_format(os.pread(fd, 16, 0))
            if known is None or not known[1]:
                raise
            return FfmpegSource.over(name, fd, limits, known[1], unsupported)
    except OSError as error:
        os.close(fd)
        raise DecodeError(f"{name}: cannot be read ({error.strerror or error})") from None
    except BaseException:
        os.close(fd)
        raise


def _open_descriptor(name: str) -> int:
    try:
        fd = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise DecodeError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise DecodeError(f"{name}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DecodeError(f"{name}: is not a regular file (a folder, a pipe or a device)")
    return fd


#: soundfile holds a lock of its own while it opens a file: no fork meanwhile.
opening = Lock(held_at_fork=True)


@lru_cache(maxsize=1)
def _sequential() -> Any:
    """soundfile's reader without the seek that it does after every read, which garbles MP3 between blocks."""
    import soundfile

    class Sequential(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Sequential


class _Opened:
    """A stretch under the decoder."""

    def __init__(self, name: str, fd: int, stretch: Stretch, layout: Layout) -> None:
        import soundfile

        self.name, self.fd, self.stretch, self.layout = name, fd, stretch, layout
        self.library_error: Any = soundfile.LibsndfileError
        if stretch.view is None:
            os.lseek(fd, 0, os.SEEK_SET)
        else:
            stretch.view.seek(0)
        with self.quiet(), opening:
            try:
                self.file = _sequential()(fd if stretch.view is None else stretch.view, closefd=False)
            except soundfile.LibsndfileError as error:
                raise self._failed(error) from None
            except (TypeError, ValueError, MemoryError, RuntimeError, OSError, OverflowError) as error:
                raise DecodeError(f"{name}: cannot be opened as audio ({error})") from None
        self.sr, self.n_channels = int(self.file.samplerate), int(self.file.channels)
        frames = int(self.file.frames)
        known = stretch.n_frames if stretch.view is not None and stretch.view.claims != stretch.view.size else None
        self.n_frames = known if known is not None else frames if 0 <= frames < _HUGE else None

    def _failed(self, error: Any) -> DecodeError:
        self.refuse_unreadable()
        text = str(error.error_string).strip().rstrip(".") or f"error {error.code}"
        if self.layout.cut:
            return TruncatedAudioError(f"{self.name}: {self.layout.cut} ({text})")
        if error.code == 1:
            return UnsupportedFormatError(f"{self.name}: {text}; convert it to WAV or FLAC first")
        return DecodeError(f"{self.name}: the header cannot be read ({text})")

    def refuse_unreadable(self) -> None:
        """Tell a file system that cannot read the file from a damaged file: the decoder's errors do not."""
        view = self.stretch.view
        error = None if view is None else view.error
        if view is None:
            at = max(0, os.lseek(self.fd, 0, os.SEEK_CUR) - _PROBE // 2)
            try:
                os.pread(self.fd, _PROBE, at)
            except OSError as failed:
                error = failed
        if error is not None:
            raise DecodeError(f"{self.name}: cannot be read ({error.strerror or error})")

    @property
    def leans_back(self) -> bool:
        """Its samples depend on what was decoded before them."""
        return self.layout.container == "ogg" or str(self.file.subtype).startswith("MPEG")

    def quiet(self) -> AbstractContextManager[None]:
        return quiet_libraries() if self.layout.noisy else nullcontext()

    def close(self) -> None:
        with self.quiet():
            self.file.close()

    def seek(self, frame: int) -> bool:
        """Move; False where there is no such sample."""
        with self.quiet():
            try:
                self.file.seek(frame)
            except (self.library_error, RuntimeError, ValueError, OverflowError):
                return False
        return True

    def read(self, out: NDArray[np.float32], at_s: float) -> NDArray[np.float32]:
        with self.quiet():
            try:
                got = self.file.read(dtype="float32", always_2d=True, out=out)
            except (self.library_error, RuntimeError, ValueError, MemoryError) as error:
                self.refuse_unreadable()
                text = str(error).strip().rstrip(".") or "the decoder gave up"
                raise DecodeError(f"{self.name}: damaged after about {at_s:.2f} s ({text})") from None
        if len(got) < len(out) and self.stretch.view is not None:
            self.refuse_unreadable()
        return got  # type: ignore[no-any-return]


class LibsndfileSource:
    """A file that libsndfile decodes."""

    def __init__(self, name: str, fd: int, limits: AudioLimits) -> None:
        self.name, self.fd, self.limits = name, fd, limits
        self.flaw: str | None = None
        size = os.fstat(fd).st_size
        os.pread(fd, 1, 0)  # some files of the system have no size and cannot be read either
        layout = read_layout(View(fd, [(0, size)]), name)
        if len(layout.stretches) > limits.max_streams:
            raise AudioTooLongError(
                f"{name}: {len(layout.stretches)} joined streams; at most {limits.max_streams} are read (see AudioLimits)"
            )
        self.layout = layout
        self._shapes: list[tuple[int, int | None]] = []  # (sr, n_frames) of each stretch
        self._ready: _Opened | None = None  # the only stretch, open since the survey
        try:
            self.info = self._survey()
        except BaseException:
            self._put_aside()
            raise

    def _survey(self) -> AudioInfo:
        """Open every stretch once: rates, channels and lengths, within the limits."""
        first: tuple[int, int, str] | None = None
        total: float | None = 0.0
        for stretch in self.layout.stretches:
            opened = self._ready = _Opened(self.name, self.fd, stretch, self.layout)
            _check(self.name, opened, self.limits)
            if first is None:
                first = (opened.sr, opened.n_channels, str(opened.file.subtype))
            self._shapes.append((opened.sr, opened.n_frames))
            share = None if opened.n_frames is None else opened.n_frames * first[0] / opened.sr
            total = None if total is None or share is None else total + share
            if len(self.layout.stretches) > 1:
                self._put_aside()
        assert first is not None
        n_frames = None if total is None else round(total)
        if n_frames == 0 and not self.layout.cut:
            raise EmptyAudioError(f"{self.name}: the file holds no samples")
        _check_length(self.name, n_frames, first[0], self.limits)
        return AudioInfo(
            self.name, first[0], first[1], n_frames, self.layout.container, first[2], decoder=_decoder(),
            ends_early=self.layout.cut, notes=tuple(self.layout.notes),
        )  # fmt: skip

    def _put_aside(self) -> None:
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    def close(self) -> None:
        """Let go of the file."""
        self._put_aside()
        os.close(self.fd)

    def _judge(self, start: int, wanted: int | None, truncated: Truncated) -> None:
        """Refuse a file that is cut off, unless the span asked for is all there or nearly everything is."""
        layout, n = self.layout, self.info.n_frames
        if not layout.cut or truncated == "keep":
            self.flaw = layout.cut
            return
        if n is not None and wanted is not None and start + wanted <= n:
            return
        if truncated == "nearly" and layout.nearly_whole:
            self.flaw = layout.cut
            return
        raise TruncatedAudioError(f"{self.name}: the file ends early: {layout.cut}; {_TAKE}")

    def blocks(self, start_s: float, duration_s: float | None, truncated: Truncated) -> Iterator[Block]:
        """Mono blocks at the rate of their stretch."""
        sr = self.info.sr
        start = round(start_s * sr)
        wanted = None if duration_s is None else max(1, round(duration_s * sr))
        self._judge(start, wanted, truncated)
        left, most, some = wanted, self.limits.max_duration_s, False
        skip: float = start
        for i, stretch in enumerate(self.layout.stretches):
            own_sr, n = self._shapes[i]
            last = i == len(self.layout.stretches) - 1
            if not last and n is not None and skip * own_sr >= n * sr:
                skip -= n * sr / own_sr
                continue
            opened, self._ready = self._ready or _Opened(self.name, self.fd, stretch, self.layout), None
            try:
                room = None if left is None else max(1, round(left * own_sr / sr))
                done = 0
                for block in self._stretch(opened, round(skip * own_sr / sr), room, truncated, start_s):
                    done += len(block)
                    some = some or len(block) > 0
                    most -= len(block) / own_sr
                    if most < 0:
                        raise AudioTooLongError(
                            f"{self.name}: more than {self.limits.max_duration_s / 3600:g} hours of audio (see AudioLimits)"
                        )
                    yield own_sr, block
            finally:
                opened.close()
            skip = 0
            if left is not None:
                left -= round(done * sr / own_sr)
                if left <= 0:
                    break
        if not some:
            raise EmptyAudioError(f"{self.name}: no samples from {start_s:g} s on")

    def _stretch(
        self, opened: _Opened, start: int, wanted: int | None, truncated: Truncated, start_s: float
    ) -> Iterator[NDArray[np.float32]]:
        if start:
            self._go_to(opened, start, start_s)
        n, sr = opened.n_frames, opened.sr
        expected = None if n is None else max(0, n - start)
        if wanted is not None:
            expected = wanted if expected is None else min(expected, wanted)
        # Nothing is asked of the decoder beyond what is there: behind the last frame may stand anything.
        limit = wanted if n is None else expected
        buffer = np.empty((_BLOCK, opened.n_channels), dtype=np.float32)
        done = 0
        while limit is None or done < limit:
            room = _BLOCK if limit is None else min(_BLOCK, limit - done)
            block = opened.read(buffer[:room], (start + done) / sr)
            if len(block):
                yield self._mono(block, start + done, sr)
            done += len(block)
            if len(block) < room:
                break
        if n is not None and expected is not None:
            self._short(done, expected, start, opened, truncated)

    def _go_to(self, opened: _Opened, start: int, start_s: float) -> None:
        """Move to a sample: from some way before it where the decoder needs what came before."""
        n = opened.n_frames
        before = min(start, _RUN_UP) if opened.leans_back else 0
        if (n is not None and start > n) or not opened.seek(start - before):
            length = self.info.duration_s
            known = "" if length is None else f" of {length:.2f} s"
            raise EmptyAudioError(f"{self.name}: cannot start at {start_s:g} s{known}")
        while before > 0:
            got = opened.read(np.empty((before, opened.n_channels), dtype=np.float32), start_s)
            if not len(got):
                return
            before -= len(got)

    def _short(self, done: int, expected: int, start: int, opened: _Opened, truncated: Truncated) -> None:
        """The decoder gave less than is there by the count of the bytes: some of them are damaged."""
        # An Ogg stream states its end twice, and encoders differ by a part of a packet over where it is.
        slack = opened.sr // 10 if self.layout.container == "ogg" else 0
        if done >= expected - slack or truncated == "keep":
            return
        opened.refuse_unreadable()
        text = f"{(start + done) / opened.sr:.2f} s decoded of {(start + expected) / opened.sr:.2f} s announced"
        if truncated == "nearly" and done and (done >= 0.99 * expected or expected - done <= opened.sr):
            self.flaw = self.flaw or text
            return
        raise TruncatedAudioError(f"{self.name}: the file ends early: {text}; {_TAKE}")

    def _mono(self, block: NDArray[np.float32], at: int, sr: int) -> NDArray[np.float32]:
        mono = downmix(block)
        if not all_finite(mono):
            bad = int(np.flatnonzero(~np.isfinite(mono))[0])
            raise NonFiniteAudioError(f"{self.name}: NaN or infinity at {(at + bad) / sr:.4f} s")
        return mono


def _decoder() -> str:
    import soundfile

    return f"libsndfile {soundfile.__libsndfile_version__}"


def _check(name: str, opened: _Opened, limits: AudioLimits) -> None:
    if not 1 <= opened.n_channels <= limits.max_channels:
        raise AudioTooLongError(f"{name}: {opened.n_channels} channels; at most {limits.max_channels} are read")
    if not limits.min_sr <= opened.sr <= limits.max_sr:
        raise AudioTooLongError(f"{name}: {opened.sr} Hz; {limits.min_sr} to {limits.max_sr} Hz are read")


def _check_length(name: str, n_frames: int | None, sr: int, limits: AudioLimits) -> None:
    if n_frames is not None and n_frames > limits.max_duration_s * sr:
        raise AudioTooLongError(
            f"{name}: the header says {n_frames / sr / 3600:.1f} hours; "
            f"at most {limits.max_duration_s / 3600:g} are read (see AudioLimits)"
        )
