"""Decode, downmix and resample audio files: whole, an excerpt, or as a stream in bounded memory.

WAV, RF64, BW64, W64, AIFF, AU, CAF, FLAC, Ogg (Vorbis, Opus, FLAC) and MPEG audio are read, also where their headers count
wrongly or other bytes stand around them; ``docs/reference/audio_containers.md`` has the table. What libsndfile cannot decode, an
``ffmpeg`` program does where one is installed.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._files import write_bytes
from dissensus.errors import (
    AudioTooLongError,
    EmptyAudioError,
    NonFiniteAudioError,
    ParameterError,
    TruncatedAudioWarning,
)
from dissensus.features._samples import all_finite, check_span
from dissensus.features._source import Block, Source, Truncated, open_source, opening
from dissensus.features.containers.layout import LIMITS, AudioInfo, AudioLimits

__all__ = [
    "LIMITS",
    "AudioInfo",
    "AudioLimits",
    "Truncated",
    "audio_info",
    "decoder_versions",
    "load_audio",
    "stream_audio",
    "write_audio",
]

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


def audio_info(path: str | os.PathLike[str], *, limits: AudioLimits = LIMITS) -> AudioInfo:
    """Say what is in an audio file: its rate, its length by its own bytes, and what is odd about it.

    Raises
    ------
    DecodeError
        Or one of its kinds: the file cannot be used; the message names it and the cause.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.wav"
    >>> write_audio(path, np.zeros(44100), 44100)
    >>> info = audio_info(path)
    >>> info.sr, info.n_frames, info.decoder.split()[0], info.ends_early
    (44100, 44100, 'libsndfile', None)
    """
    source = open_source(path, limits)
    source.close()
    return source.info


def stream_audio(
    path: str | os.PathLike[str],
    *,
    sr: int = 16000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    truncated: Truncated = "nearly",
    strict: bool = False,
    limits: AudioLimits = LIMITS,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the mono signal block by block, in bounded memory however long the file is.

    Joined together, the blocks are exactly what :func:`load_audio` returns. Damage inside a file is known only when it is
    reached: blocks that came before the error are good.

    Parameters
    ----------
    path, sr, start_s, duration_s, truncated, strict, limits
        As for :func:`load_audio`; ``limits.max_load_s`` does not apply.
    on_note : callable, optional
        Called at the end with every remark on the file, one text each: that it is cut off and used all the same, which
        program decoded it if not libsndfile, what its header says that is not so. Without it a
        :class:`~dissensus.errors.TruncatedAudioWarning` tells of a cut, but for ``truncated="keep"``.

    Yields
    ------
    (n,) ndarray of float32
        A few seconds each.
    """
    mode = _mode(truncated, strict)
    check_span(sr, start_s, duration_s)
    source = open_source(path, limits)
    try:
        yield from _resampled(source, int(sr), source.blocks(start_s, duration_s, mode))
        _tell(source, mode, on_note)
    finally:
        source.close()


def _mode(truncated: str, strict: bool) -> Truncated:
    if truncated not in ("nearly", "error", "keep"):
        raise ParameterError(f"truncated={truncated!r}; choose 'nearly', 'error' or 'keep'")
    if strict and truncated == "keep":
        raise ParameterError("strict=True refuses what truncated='keep' would take: choose one")
    return "error" if strict else truncated  # type: ignore[return-value]


def _tell(source: Source, mode: Truncated, on_note: Callable[[str], None] | None) -> None:
    if on_note is not None:
        if source.flaw is not None:
            on_note(f"used although it ends early: {source.flaw}")
        if not source.info.decoder.startswith("libsndfile"):
            on_note(f"decoded by {source.info.decoder}")
        for note in source.info.notes:
            on_note(note)
        return
    if source.flaw is None or mode == "keep":  # then it is what was asked for
        return
    text = f"{source.name}: used although it ends early: {source.flaw} (strict=True refuses it)"
    warnings.warn(TruncatedAudioWarning(text), stacklevel=3)


def _resampled(source: Source, sr: int, blocks: Iterable[Block]) -> Iterator[NDArray[np.float32]]:
    """One rate for all blocks; a stream goes on over joined stretches of one rate, and ends where the rate changes."""
    stream: Any = None
    rate, pending, n_in = 0, None, 0
    for own, block in blocks:
        n_in += len(block)
        if own != rate:
            if pending is not None:
                yield _checked(source, stream.resample_chunk(pending, last=True))
            rate, pending, stream = own, None, None
            if own != sr:
                import soxr

                stream = soxr.ResampleStream(own, sr, 1, dtype="float32", quality="HQ")
        if stream is None:
            yield block
            continue
        if pending is not None:
            yield _checked(source, stream.resample_chunk(pending))
        pending = block
    if pending is not None:
        last = _checked(source, stream.resample_chunk(pending, last=True))
        if n_in * sr < rate and not len(last):
            raise EmptyAudioError(f"{source.name}: {n_in} samples at {rate} Hz are less than one at {sr} Hz")
        yield last


def _checked(source: Source, block: NDArray[np.float32]) -> NDArray[np.float32]:
    if not all_finite(block):
        raise NonFiniteAudioError(f"{source.name}: samples so large that resampling overflows; scale the file to ±1")
    return block


def load_audio(
    path: str | os.PathLike[str],
    *,
    sr: int = 16000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    truncated: Truncated = "nearly",
    strict: bool = False,
    limits: AudioLimits = LIMITS,
) -> NDArray[np.float32]:
    """Decode an audio file to one channel at one sample rate.

    Channels are averaged first, then resampled (soxr, high quality). Joined and chained streams are read to the end of the
    last one. What an encoder noted as its delay and padding (LAME, Opus, Vorbis) is left out.

    Parameters
    ----------
    path : str or path
        WAV, RF64, BW64, W64, FLAC, Ogg (Vorbis, Opus, FLAC), MPEG audio, AIFF, AU or CAF; with the ``ffmpeg`` program also
        M4A, AAC, WMA, Matroska, Monkey's Audio, WavPack and others.
    sr : int
        Sample rate of the result, in Hz.
    start_s, duration_s : float
        The excerpt, in seconds of the file; ``duration_s=None`` reads to the end, and a span that runs over the end gives
        what there is.
    truncated : {"nearly", "error", "keep"}
        What to do with a file that was cut off: use it with a warning where 99 % of what its header announces, or all but
        one second, is there; refuse it; or use what is there. A span that is all there is read in each case.
    strict : bool
        Short for ``truncated="error"``.
    limits : AudioLimits
        What a file may ask for.

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

    Warns
    -----
    TruncatedAudioWarning
        The file ends a little early and is used.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.wav"
    >>> write_audio(path, np.zeros(44100), 44100)
    >>> load_audio(path, sr=16000, duration_s=0.5).shape
    (8000,)
    """
    mode = _mode(truncated, strict)
    check_span(sr, start_s, duration_s)
    source = open_source(path, limits)
    try:
        length = source.info.duration_s
        span = duration_s if length is None else min(length - start_s, duration_s or length)
        most = limits.max_load_s
        advice = "stream_audio reads it in bounded memory; or ask for an excerpt, or raise AudioLimits.max_load_s"
        if span is not None and span > most:
            raise AudioTooLongError(f"{source.name}: {span:.0f} s asked for at once; at most {most:g}: {advice}")
        parts: list[NDArray[np.float32]] = []
        total = 0
        for part in _resampled(source, int(sr), source.blocks(start_s, duration_s, mode)):
            total += len(part)
            if total > most * sr:
                raise AudioTooLongError(f"{source.name}: more than {most:g} s of audio: {advice}")
            parts.append(part)
        _tell(source, mode, None)
    finally:
        source.close()
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def decoder_versions() -> dict[str, str]:
    """Versions of what decodes and resamples, for the record; ``ffmpeg`` where the program is installed."""
    import soundfile
    import soxr

    from dissensus._version import __version__
    from dissensus.features._ffmpeg import ffmpeg_version

    versions = {"dissensus": __version__, "libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}
    program = ffmpeg_version()
    return versions if program is None else {**versions, "ffmpeg": program}


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
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        with opening:
            file = soundfile.SoundFile(encoded, "w", int(sr), channels, subtype=subtype or default, format=container)
        with file:
            file.write(samples)
    except (ValueError, TypeError, soundfile.LibsndfileError) as error:
        raise ParameterError(f"{target}: cannot be written so ({error})") from None
    write_bytes(target, encoded.getvalue(), parents=False)
