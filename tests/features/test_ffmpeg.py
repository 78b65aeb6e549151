"""What libsndfile lacks is decoded by the ffmpeg program, where there is one; a program that misbehaves stops nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import odd_audio as odd
import pytest

from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    ParameterError,
    TruncatedAudioError,
    TruncatedAudioWarning,
    UnsupportedFormatError,
)
from dissensus.features import AudioLimits, _ffmpeg, audio_info, load_audio, stream_audio
from dissensus.features.audio import decoder_versions

M4A = b"\0\0\0\x20ftypM4A \0\0\0\0isomM4A " + bytes(100)
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")


def converted(tmp_path: Path, name: str, *options: str, seconds: float = 2.0) -> Path:
    wav = tmp_path / "source.wav"
    wav.write_bytes(odd.wav(odd.pcm(round(44100 * seconds))))
    path = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", wav, *options, path], check=True)
    return path


def decoded_by_ffmpeg(path: Path) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "-c:a", "pcm_f32le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<f4").reshape(-1, 2)


FORMATS = {
    "a.m4a": ("-c:a", "aac"),
    "alac.m4a": ("-c:a", "alac"),
    "a.aac": ("-c:a", "aac"),
    "a.wma": ("-c:a", "wmav2"),
    "a.mka": ("-c:a", "aac"),
    "a.webm": ("-c:a", "libopus", "-ar", "48000"),
    "a.wv": ("-c:a", "wavpack"),
    "a.tta": ("-c:a", "tta"),
}


@needs_ffmpeg
@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_are_decoded_and_the_program_is_named(tmp_path: Path, name: str) -> None:
    path = converted(tmp_path, name, *FORMATS[name])
    info = audio_info(path)
    assert info.decoder.startswith("ffmpeg ")
    assert info.codec in ("aac", "alac", "wmav2", "opus", "wavpack", "tta")
    want = decoded_by_ffmpeg(path).mean(axis=1)
    got = load_audio(path, sr=info.sr)
    assert len(got) == len(want)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.array_equal(np.concatenate(list(stream_audio(path, sr=info.sr))), got)
    half = load_audio(path, sr=info.sr, start_s=0.5, duration_s=0.5)
    assert np.array_equal(half, got[info.sr // 2 : info.sr])
    notes: list[str] = []
    list(stream_audio(path, on_note=notes.append))
    assert notes == [f"decoded by {info.decoder}"]
    assert decoder_versions()["ffmpeg"] == info.decoder.removeprefix("ffmpeg ")


@needs_ffmpeg
def test_other_formats_that_are_cut_off_are_told(tmp_path: Path) -> None:
    path = converted(tmp_path, "a.m4a", "-c:a", "aac", "-movflags", "+faststart", seconds=10.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(TruncatedAudioError, match="ffmpeg"):
        load_audio(path)
    assert 4 * 16000 < len(load_audio(path, truncated="keep")) < 8 * 16000
    path.write_bytes(data[: len(data) * 96 // 100])
    with pytest.warns(TruncatedAudioWarning, match="ffmpeg"):
        nearly = load_audio(path)
    assert 9 * 16000 < len(nearly) < 10 * 16000
    with pytest.raises(TruncatedAudioError):
        load_audio(path, strict=True)


@needs_ffmpeg
def test_limits_hold_for_other_formats_too(tmp_path: Path) -> None:
    path = converted(tmp_path, "a.m4a", "-c:a", "aac")
    for limits in (AudioLimits(max_channels=1), AudioLimits(max_sr=32000), AudioLimits(max_duration_s=1.0)):
        with pytest.raises(AudioTooLongError):
            audio_info(path, limits=limits)
    with pytest.raises(AudioTooLongError, match="at most 1"):
        load_audio(path, limits=AudioLimits(max_load_s=1.0))


@needs_ffmpeg
def test_what_the_program_cannot_decode_either_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(M4A)
    with pytest.raises(UnsupportedFormatError, match="MP4/M4A.*cannot decode it either"):
        load_audio(path)


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A program of that name that does something else; and a file for it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ffmpeg").write_text(
        f"#!/bin/sh\n[ \"$1\" = -version ] && echo 'ffmpeg version 0 made up' && exit 0\n{script}\n"
    )
    (folder / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "song.m4a"
    path.write_bytes(M4A)
    return path


def test_without_the_program_the_error_says_what_would_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "song.m4a"
    path.write_bytes(M4A)
    with pytest.raises(UnsupportedFormatError, match="MP4/M4A.*or install the ffmpeg program"):
        load_audio(path)
    assert "ffmpeg" not in decoder_versions()


def test_a_program_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ffmpeg, "_PATIENCE_S", 0.3)
    path = program(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    with pytest.raises(DecodeError, match="said nothing"):
        load_audio(path)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


HEADER = r"printf '.snd\0\0\0\030\377\377\377\377\0\0\0\006\0\0\254\104\0\0\0\001'"  # 44 100 Hz, one channel


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("exit 3", UnsupportedFormatError, "ended with 3"),
        ("printf nonsense", UnsupportedFormatError, "cannot decode it either"),
        (f"{HEADER}; head -c 400000 /dev/zero; echo '[m] [error] partial' >&2; exit 1", TruncatedAudioError, "partial"),
        (f"{HEADER}; printf '\\177\\200\\0\\0'", DecodeError, "NaN or infinity"),
        (HEADER, DecodeError, "no samples"),
    ],
)  # fmt: skip
def test_whatever_the_program_does_is_a_typed_error(
    script: str, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path, monkeypatch, script)
    with pytest.raises(error, match=words) as caught:
        load_audio(path)
    assert str(path) in str(caught.value)


def test_an_endless_program_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path, monkeypatch, f"{HEADER}; exec cat /dev/zero")
    with pytest.raises(AudioTooLongError, match="more than 2 s"):
        load_audio(path, limits=AudioLimits(max_load_s=2.0))
    with pytest.raises(AudioTooLongError, match="hours"):
        for _ in stream_audio(path, limits=AudioLimits(max_duration_s=5.0)):
            pass
    with pytest.raises(ParameterError):
        load_audio(path, truncated="no")  # type: ignore[arg-type]
