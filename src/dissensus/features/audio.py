"""Decode, downmix and resample audio files: whole, an excerpt, or as a stream in bounded memory.

The only module that imports soundfile. WAV, W64, RF64, AIFF, AU, CAF, FLAC, Ogg Vorbis, Opus and MP3 are read.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._files import write_bytes
from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    EmptyAudioError,
    NonFiniteAudioError,
    ParameterError,
    TruncatedAudioError,
    UnsupportedFormatError,
)
from dissensus.features import _containers as containers
from dissensus.features._containers import LIMITS, AudioInfo, AudioLimits
from dissensus.features._samples import all_finite, check_span, downmix
from dissensus.features._stderr import quiet_decoders

__all__ = [
    "LIMITS",
    "AudioInfo",
    "AudioLimits",
    "audio_info",
    "decoder_versions",
    "load_audio",
    "stream_audio",
    "write_audio",
]

_BLOCK: Final = 1 << 16  # frames decoded at a time
_PROBE: Final = 1 << 21  # bytes around the place where a decoder failed that are read to see whether they can be

_WRITERS: Final = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


@lru_cache(maxsize=1)
def _sequential() -> Any:
    """soundfile's reader without the seek that it does after every read, which garbles MP3 between blocks."""
    import soundfile

    class Sequential(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Sequential


class _Source:
    """An opened file: header checked, evidence of truncation gathered, blocks decoded one by one."""

    def __init__(self, path: str | os.PathLike[str], limits: AudioLimits) -> None:
        self.name = os.fspath(path)
        self.end_is_declared = True
        self.cut: str | None = None
        self.fd = self._open_descriptor()
        try:
            self._open(limits)
        except BaseException:
            os.close(self.fd)
            raise

    def _open(self, limits: AudioLimits) -> None:
        self.size, container = self._look()
        self.noisy = container in containers.MPEG_LIKE
        import soundfile

        self._library_error: Any = soundfile.LibsndfileError
        with self.quiet():
            try:
                self.file = _sequential()(self.fd, closefd=False)
            except soundfile.LibsndfileError as error:
                raise self._opening_failed(error) from None
            except (TypeError, ValueError, MemoryError, RuntimeError, OSError, OverflowError) as error:
                raise DecodeError(f"{self.name}: cannot be opened as audio ({error})") from None
        try:
            self.info = containers.read_header(self.name, self.file, container, limits)
            if self.info.n_frames == 0 and self.end_is_declared and not self.cut:
                raise EmptyAudioError(f"{self.name}: the file holds no samples")
            self.cut = self.cut or containers.parser_says_cut(self.file.extra_info, container)
        except BaseException:
            with self.quiet():
                self.file.close()
            raise

    def _open_descriptor(self) -> int:
        try:
            fd = os.open(self.name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            raise DecodeError(f"{self.name}: no such file") from None
        except (OSError, ValueError) as error:
            raise DecodeError(f"{self.name}: cannot be read ({getattr(error, 'strerror', error)})") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise DecodeError(f"{self.name}: is not a regular file (a folder, a pipe or a device)")
        return fd

    def _look(self) -> tuple[int, str]:
        """First and last bytes, read before any decoder sees the file."""
        try:
            return self._sniff()
        except OSError as error:
            raise DecodeError(f"{self.name}: cannot be read ({error.strerror or error})") from None

    def _sniff(self) -> tuple[int, str]:
        with open(self.fd, "rb", buffering=0, closefd=False) as file:
            size = os.fstat(self.fd).st_size
            head = file.read(16)
            if not head:
                raise EmptyAudioError(f"{self.name}: the file is empty (0 bytes)")
            seen = containers.sniff(head)
            if seen.container is None:
                raise UnsupportedFormatError(
                    f"{self.name}: {seen.guess}; WAV, FLAC, Ogg, Opus, MP3, AIFF, W64, AU and CAF are read: convert it first"
                )
            self.end_is_declared, self.cut = containers.ends_early(file, size, seen.container)
            file.seek(0)
        return size, seen.container

    def _opening_failed(self, error: Any) -> DecodeError:
        self._refuse_unreadable()
        text = str(error.error_string).strip().rstrip(".") or f"error {error.code}"
        if self.cut or self.size < 64:
            return TruncatedAudioError(f"{self.name}: {self.cut or f'only {self.size} bytes'} ({text})")
        if error.code == 1:
            return UnsupportedFormatError(f"{self.name}: {text}; convert it to WAV or FLAC first")
        return DecodeError(f"{self.name}: the header cannot be read ({text})")

    def _refuse_unreadable(self) -> None:
        """Tell a file system that cannot read the file from a damaged file: the decoder's errors do not."""
        at = max(0, os.lseek(self.fd, 0, os.SEEK_CUR) - _PROBE // 2)
        try:
            os.pread(self.fd, _PROBE, at)
        except OSError as error:
            raise DecodeError(f"{self.name}: cannot be read ({error.strerror or error})") from None

    def quiet(self) -> AbstractContextManager[None]:
        return quiet_decoders() if self.noisy else nullcontext()

    def close(self) -> None:
        with self.quiet():
            self.file.close()
        os.close(self.fd)

    def blocks(
        self, start_s: float, duration_s: float | None, keep_what_is_there: bool
    ) -> Iterator[NDArray[np.float32]]:
        """Mono blocks at the file's own rate."""
        info = self.info
        if self.cut and not keep_what_is_there:
            raise TruncatedAudioError(f"{self.name}: the file ends early: {self.cut}")
        start = round(start_s * info.sr)
        wanted = None if duration_s is None else max(1, round(duration_s * info.sr))
        if start:
            self._seek(start)
        buffer = np.empty((_BLOCK, info.n_channels), dtype=np.float32)
        done = 0
        while wanted is None or done < wanted:
            room = _BLOCK if wanted is None else min(_BLOCK, wanted - done)
            block = self._read(buffer[:room], start + done)
            done += len(block)
            if len(block):
                yield self._mono(block, start + done - len(block))
            if len(block) < room:
                break
        if done and (wanted is None or done < wanted) and not self.end_is_declared and not keep_what_is_there:
            self._nothing_is_left(start + done)
        if done == 0:
            raise EmptyAudioError(f"{self.name}: no samples from {start_s:g} s on")
        declared = info.n_frames if self.end_is_declared else None
        expected = None if declared is None else min(declared - start, wanted if wanted is not None else declared)
        # An Ogg stream states its end twice, and encoders differ by a part of a packet over where it is.
        slack = info.sr // 10 if info.container == "ogg" else 0
        if expected is not None and done < expected - slack and not keep_what_is_there:
            self._refuse_unreadable()
            raise TruncatedAudioError(
                f"{self.name}: the file ends early: {(start + done) / info.sr:.2f} s decoded of "
                f"{(start + expected) / info.sr:.2f} s announced"
            )

    def _nothing_is_left(self, done: int) -> None:
        """Without a length header the decoder guesses one from the first frame, and stops there."""
        left = containers.bytes_left(self.fd, self.size)
        if left > 4096:
            raise DecodeError(
                f"{self.name}: an MP3 of varying rate without a length header: {done / self.info.sr:.2f} s can be decoded, "
                f"{left} bytes are left; rewrite it (ffmpeg -i old.mp3 new.flac), or take what is there: truncated='keep'"
            )

    def _seek(self, start: int) -> None:
        with self.quiet():
            try:
                self.file.seek(start)
            except (self._library_error, RuntimeError, ValueError, OverflowError):
                length = self.info.duration_s
                known = "" if length is None else f" of {length:.2f} s"
                raise EmptyAudioError(f"{self.name}: cannot start at {start / self.info.sr:g} s{known}") from None

    def _read(self, out: NDArray[np.float32], at: int) -> NDArray[np.float32]:
        with self.quiet():
            try:
                return self.file.read(dtype="float32", always_2d=True, out=out)  # type: ignore[no-any-return]
            except (self._library_error, RuntimeError, ValueError, MemoryError) as error:
                self._refuse_unreadable()
                text = str(error).strip().rstrip(".") or "the decoder gave up"
                where = f"{self.name}: damaged after about {at / self.info.sr:.2f} s"
                if self._at_end():
                    raise TruncatedAudioError(
                        f"{self.name}: the file ends early, after {at / self.info.sr:.2f} s or a little more"
                    ) from None
                raise DecodeError(f"{where} ({text})") from None

    def _at_end(self) -> bool:
        """True where the decoder failed because the bytes ran out, not because they are damaged."""
        return os.lseek(self.fd, 0, os.SEEK_CUR) >= self.size

    def _mono(self, block: NDArray[np.float32], at: int) -> NDArray[np.float32]:
        mono = downmix(block)
        if not all_finite(mono):
            bad = int(np.flatnonzero(~np.isfinite(mono))[0])
            raise NonFiniteAudioError(f"{self.name}: NaN or infinity at {(at + bad) / self.info.sr:.4f} s")
        return mono


def audio_info(path: str | os.PathLike[str], *, limits: AudioLimits = LIMITS) -> AudioInfo:
    """Read the header of an audio file.

    Raises
    ------
    DecodeError
        Or one of its kinds: the file cannot be used; the message names it and the cause.
    """
    source = _Source(path, limits)
    source.close()
    return source.info


def stream_audio(
    path: str | os.PathLike[str],
    *,
    sr: int = 16000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    truncated: Literal["error", "keep"] = "error",
    limits: AudioLimits = LIMITS,
) -> Iterator[NDArray[np.float32]]:
    """Yield the mono signal block by block, in bounded memory however long the file is.

    Joined together, the blocks are exactly what :func:`load_audio` returns. An early end is known only when it is reached:
    blocks that came before the :class:`~dissensus.errors.TruncatedAudioError` are good.

    Parameters
    ----------
    path, sr, start_s, duration_s, truncated, limits
        As for :func:`load_audio`; ``limits.max_load_s`` does not apply.

    Yields
    ------
    (n,) ndarray of float32
        A few seconds each.
    """
    check_span(sr, start_s, duration_s, truncated)
    source = _Source(path, limits)
    try:
        yield from _resampled(source, int(sr), source.blocks(start_s, duration_s, truncated == "keep"))
    finally:
        source.close()


def _resampled(source: _Source, sr: int, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    if source.info.sr == sr:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(source.info.sr, sr, 1, dtype="float32", quality="HQ")
    pending: NDArray[np.float32] | None = None
    for block in blocks:
        if pending is not None:
            yield _checked(source, stream.resample_chunk(pending))
        pending = block
    if pending is not None:
        yield _checked(source, stream.resample_chunk(pending, last=True))


def _checked(source: _Source, block: NDArray[np.float32]) -> NDArray[np.float32]:
    if not all_finite(block):
        raise NonFiniteAudioError(f"{source.name}: samples so large that resampling overflows; scale the file to ±1")
    return block


def load_audio(
    path: str | os.PathLike[str],
    *,
    sr: int = 16000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    truncated: Literal["error", "keep"] = "error",
    limits: AudioLimits = LIMITS,
) -> NDArray[np.float32]:
    """Decode an audio file to one channel at one sample rate.

    Channels are averaged first, then resampled (soxr, high quality).

    Parameters
    ----------
    path : str or path
        WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, W64, RF64, AU or CAF.
    sr : int
        Sample rate of the result, in Hz.
    start_s, duration_s : float
        The excerpt, in seconds of the file; ``duration_s=None`` reads to the end, and a span that runs over the end gives
        what there is.
    truncated : {"error", "keep"}
        What to do with a file that ends before its header says: refuse it, or use what is there.
    limits : AudioLimits
        What a header may ask for.

    Returns
    -------
    (n,) ndarray of float32
        Finite samples, nominally in [-1, 1]; not clipped and not normalised.

    Raises
    ------
    UnsupportedFormatError, TruncatedAudioError, EmptyAudioError, NonFiniteAudioError, AudioTooLongError
        Kinds of :class:`~dissensus.errors.DecodeError`; the message names the file and the cause.
    ParameterError
        A rate or a span that makes no sense.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.wav"
    >>> write_audio(path, np.zeros(44100), 44100)
    >>> load_audio(path, sr=16000, duration_s=0.5).shape
    (8000,)
    """
    check_span(sr, start_s, duration_s, truncated)
    source = _Source(path, limits)
    try:
        length = source.info.duration_s if source.end_is_declared else None
        span = duration_s if length is None else min(length - start_s, duration_s or length)
        most = limits.max_load_s
        advice = "stream_audio reads it in bounded memory; or ask for an excerpt, or raise AudioLimits.max_load_s"
        if span is not None and span > most:
            raise AudioTooLongError(f"{source.name}: {span:.0f} s asked for at once; at most {most:g}: {advice}")
        parts: list[NDArray[np.float32]] = []
        total = 0
        for part in _resampled(source, int(sr), source.blocks(start_s, duration_s, truncated == "keep")):
            total += len(part)
            if total > most * sr:
                raise AudioTooLongError(f"{source.name}: more than {most:g} s of audio: {advice}")
            parts.append(part)
    finally:
        source.close()
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def decoder_versions() -> dict[str, str]:
    """Versions of what decodes and resamples, for the record."""
    import soundfile
    import soxr

    from dissensus._version import __version__

    return {"dissensus": __version__, "libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}


def write_audio(path: str | os.PathLike[str], signal: ArrayLike, sr: int, *, subtype: str | None = None) -> None:
    """Write a signal to an audio file, whole or not at all.

    Parameters
    ----------
    path : str or path
        The suffix names the container: .wav, .flac, .aiff, .w64, .ogg, .opus or .mp3. Written beside and renamed.
    signal : (n,) or (n, n_channels) array_like of float
        Samples in [-1, 1]; larger ones are clipped by integer formats.
    sr : int
        Sample rate in Hz.
    subtype : str, optional
        Sample format, e.g. ``"FLOAT"`` or ``"PCM_24"``; default 16 bits where the container holds integers.

    Raises
    ------
    ParameterError
        A suffix, shape or sample format that cannot be written, or samples that are not finite.
    StoreError
        The disk refused.
    """
    target = Path(path)
    if target.suffix.lower() not in _WRITERS:
        raise ParameterError(f"{target}: cannot write {target.suffix!r} files; choose one of {', '.join(_WRITERS)}")
    container, default = _WRITERS[target.suffix.lower()]
    samples = np.asarray(signal, dtype=np.float32)
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise ParameterError(f"signal must be (n,) or (n, n_channels) with samples in it; got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ParameterError("signal holds NaN or infinity")
    import soundfile

    encoded = io.BytesIO()  # libsndfile does not pass on what a disk answers
    try:
        soundfile.write(encoded, samples, int(sr), format=container, subtype=subtype or default)
    except (ValueError, TypeError, soundfile.LibsndfileError) as error:
        raise ParameterError(f"{target}: cannot be written so ({error})") from None
    write_bytes(target, encoded.getvalue(), parents=False)
