"""Decoding: every container, every way a file can be wrong, and the stream that equals the whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    DissensusError,
    EmptyAudioError,
    NonFiniteAudioError,
    ParameterError,
    StoreError,
    TruncatedAudioError,
    UnsupportedFormatError,
)
from dissensus.features import AudioLimits, audio_info, load_audio, stream_audio, write_audio

LOSSLESS = ("wav", "flac", "aiff", "w64")
LOSSY = ("ogg", "opus", "mp3")


def tone(seconds: float = 1.5, sr: int = 44100, channels: int = 2) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    parts = [0.4 * np.sin(2 * np.pi * f * t) for f in (330.0, 550.0)[:channels]]
    return np.stack(parts, axis=1).astype(np.float32)


@pytest.fixture
def file_of(tmp_path: Path):
    def make(suffix: str, seconds: float = 1.5, sr: int = 48000, **more: str) -> Path:
        path = tmp_path / f"a.{suffix}"
        write_audio(path, tone(seconds, sr), sr, **more)
        return path

    return make


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_every_container_gives_the_mean_of_its_channels(file_of, suffix: str) -> None:
    path = file_of(suffix)
    got = load_audio(path, sr=48000)
    want = tone(1.5, 48000).mean(axis=1)
    assert got.dtype == np.float32
    assert len(got) == len(want)
    inside = slice(4800, -4800)  # lossy coders need a moment at the ends
    tolerance = 4e-5 if suffix in LOSSLESS else 0.05
    np.testing.assert_allclose(got[inside], want[inside], atol=tolerance)
    info = audio_info(path)
    assert (info.sr, info.n_channels, info.duration_s) == (48000, 2, 1.5)


def test_downmix_comes_before_resampling_and_keeps_the_pitch(file_of) -> None:
    got = load_audio(file_of("wav", 2.0), sr=16000)
    assert len(got) == 32000
    t = np.arange(32000) / 16000
    want = 0.2 * np.sin(2 * np.pi * 330 * t) + 0.2 * np.sin(2 * np.pi * 550 * t)
    np.testing.assert_allclose(got[800:-800], want[800:-800], atol=2e-4)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
@pytest.mark.parametrize(("start", "duration"), [(0.0, None), (0.25, 0.7), (0.5, None), (1.0, 99.0)])
def test_the_stream_is_exactly_the_whole(file_of, suffix: str, start: float, duration: float | None) -> None:
    path = file_of(suffix, 4.0)
    whole = load_audio(path, sr=22050, start_s=start, duration_s=duration)
    parts = list(stream_audio(path, sr=22050, start_s=start, duration_s=duration))
    assert np.array_equal(np.concatenate(parts), whole)
    expected = min(4.0 - start, duration or 4.0)
    assert len(whole) == pytest.approx(expected * 22050, abs=1)
    assert all(len(part) < 200_000 for part in parts)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_an_excerpt_is_that_part_of_the_file(file_of, suffix: str) -> None:
    path = file_of(suffix)
    whole = load_audio(path, sr=48000)
    assert np.array_equal(load_audio(path, sr=48000, start_s=0.5, duration_s=0.25), whole[24000:36000])


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_a_file_that_ends_early_is_reported(file_of, suffix: str) -> None:
    path = file_of(suffix, 3.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(TruncatedAudioError, match=path.name):
        load_audio(path)
    kept = load_audio(path, truncated="keep")
    assert 0.8 * 16000 < len(kept) < 2.5 * 16000
    if suffix not in ("ogg", "opus"):  # whose length nobody knows without their last page
        for mode in ("nearly", "error", "keep"):  # a span that is all there is no matter of truncation
            assert np.array_equal(load_audio(path, duration_s=0.5, truncated=mode), load_audio(path, duration_s=0.5))


def _without_its_length(path: Path) -> bytes:
    """The MP3 with its Xing header wiped: nothing says how long it is."""
    data = path.read_bytes()
    at = max(data[:512].find(b"Info"), data[:512].find(b"Xing"))
    assert at > 0
    return data[:at] + bytes(4) + data[at + 4 :]


def test_an_mp3_without_a_length_header_that_ends_inside_a_frame_is_reported(file_of) -> None:
    path = file_of("mp3", 3.0)
    bare = _without_its_length(path)
    path.write_bytes(bare[: len(bare) * 6 // 10 + 7])
    with pytest.raises(TruncatedAudioError, match="MPEG frame"):
        load_audio(path)
    assert len(load_audio(path, truncated="keep")) > 16000
    path.write_bytes(bare[: len(bare) * 6 // 10 + 7] + b"TAG" + bytes(125))  # a tag at the end hides nothing
    with pytest.raises(TruncatedAudioError, match="MPEG frame"):
        load_audio(path)


def test_an_mp3_without_a_length_header_is_read_to_its_end(file_of) -> None:
    path = file_of("mp3", 3.0)  # of varying rate: a decoder that divides by the size of the first frame guesses wrong
    whole = load_audio(path, sr=48000)
    path.write_bytes(_without_its_length(path))
    bare = load_audio(path, sr=48000)
    assert len(bare) == audio_info(path).n_frames
    at = 1152 + 1105  # the wiped header is a frame of silence now, and nothing says what the encoder put in front
    np.testing.assert_allclose(bare[at : at + len(whole)], whole, atol=1e-6)
    assert np.array_equal(load_audio(path, sr=48000, start_s=0.5, duration_s=0.5), bare[24000:48000])


def test_errors_name_the_file_and_the_cause(tmp_path: Path) -> None:
    cases: list[tuple[str, bytes, type[DissensusError], str]] = [
        ("empty.wav", b"", EmptyAudioError, "0 bytes"),
        ("zeros.mp3", bytes(500), UnsupportedFormatError, "zero bytes"),
        ("text.wav", b"this is not audio at all, is it?", UnsupportedFormatError, "no container"),
        ("song.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0isomM4A ", UnsupportedFormatError, "MP4/M4A"),
        ("head.flac", b"fLaC" + bytes(60), DecodeError, "head.flac"),
    ]
    for name, data, kind, words in cases:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(kind, match=words) as caught:
            load_audio(path)
        assert str(path) in str(caught.value)
    with pytest.raises(DecodeError, match="no such file"):
        load_audio(tmp_path / "none.wav")
    with pytest.raises(DecodeError, match="not a regular file"):
        load_audio(tmp_path)


def test_a_header_without_samples_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 1), dtype=np.float32), 16000)
    with pytest.raises(EmptyAudioError, match="no samples"):
        load_audio(path)


def test_a_start_behind_the_end_is_empty(file_of) -> None:
    with pytest.raises(EmptyAudioError, match=r"9 s"):
        load_audio(file_of("wav"), start_s=9.0)


def test_samples_that_are_not_finite_are_found(tmp_path: Path) -> None:
    x = np.zeros(32000, dtype=np.float32)
    x[16000] = np.nan
    path = tmp_path / "nan.wav"
    soundfile.write(path, x, 16000, subtype="FLOAT")
    with pytest.raises(NonFiniteAudioError, match=r"1\.0000 s"):
        load_audio(path)
    soundfile.write(path, np.full(32000, 3e38, dtype=np.float32), 44100, subtype="FLOAT")
    with pytest.raises(NonFiniteAudioError):
        load_audio(path, sr=16000)
    soundfile.write(path, np.full(32000, 3e30, dtype=np.float32), 16000, subtype="FLOAT")
    assert np.isfinite(load_audio(path, sr=16000)).all()  # large, and its squares overflow, but it is a number


def _wav_header(sr: int, channels: int, n_bytes: int) -> bytes:
    import struct

    block = channels * 2
    return (
        b"RIFF" + struct.pack("<I", 36 + min(n_bytes, 2**32 - 40)) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, channels, sr, min(sr * block, 2**32 - 1), block, 16)
        + b"data" + struct.pack("<I", min(n_bytes, 2**32 - 1))
    )  # fmt: skip


def test_absurd_headers_are_refused_before_allocation(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav_header(16000, 500, 10**6) + bytes(10**6))
    with pytest.raises(AudioTooLongError, match="500 channels"):
        load_audio(path)
    path.write_bytes(_wav_header(768_000, 1, 1000) + bytes(1000))
    with pytest.raises(AudioTooLongError, match="768000 Hz"):
        load_audio(path)
    path.write_bytes(_wav_header(2, 1, 1000) + bytes(1000))  # would be resampled 8000-fold
    with pytest.raises(AudioTooLongError, match="2 Hz"):
        load_audio(path)
    with open(path, "wb") as file:  # 18 hours of silence in a sparse file
        file.write(_wav_header(16000, 1, 2**31 - 200000))
        file.truncate(2**31 - 200000 + 44)
    with pytest.raises(AudioTooLongError, match="AudioLimits"):
        load_audio(path)
    assert len(next(stream_audio(path))) > 0
    assert len(load_audio(path, duration_s=2.0)) == 32000
    with pytest.raises(AudioTooLongError, match="hours"):
        load_audio(path, limits=AudioLimits(max_duration_s=3600))


def test_a_compressed_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "silence.flac"
    write_audio(path, np.zeros(16000 * 300), 16000)
    assert path.stat().st_size < 200_000
    with pytest.raises(AudioTooLongError, match="at most 60"):
        load_audio(path, limits=AudioLimits(max_load_s=60))
    assert len(load_audio(path)) == 16000 * 300


def test_parameters_are_checked(file_of) -> None:
    path = file_of("wav")
    for wrong in (
        {"sr": 0},
        {"sr": 16000.5},
        {"start_s": -1},
        {"duration_s": 0},
        {"start_s": np.nan},
        {"truncated": "x"},
    ):
        with pytest.raises(ParameterError):
            load_audio(path, **wrong)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.uniform(-0.9, 0.9, 5000) * 32768) / 32768
    path = tmp_path / f"x.{suffix}"
    write_audio(path, x, 16000)
    np.testing.assert_array_equal(load_audio(path, sr=16000), x.astype(np.float32))
    assert os.listdir(tmp_path) == [path.name]  # nothing left beside it


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_audio(path, np.zeros(100), 16000)
    before = path.read_bytes()
    for wrong in (np.full(10, np.nan), np.zeros((0,)), np.zeros((2, 2, 2))):
        with pytest.raises(ParameterError):
            write_audio(path, wrong, 16000)
    with pytest.raises(ParameterError, match="cannot be written so"):
        write_audio(path, np.zeros(10), 16000, subtype="VORBIS")
    with pytest.raises(ParameterError, match="cannot write"):
        write_audio(tmp_path / "x.xyz", np.zeros(10), 16000)
    with pytest.raises(StoreError):
        write_audio(tmp_path / "none" / "x.wav", np.zeros(10), 16000)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.wav"]


def test_decoders_are_quiet_and_other_threads_keep_their_stderr(file_of, capfd: pytest.CaptureFixture[str]) -> None:
    path = file_of("mp3", 3.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])  # libmpg123 would complain about its Xing header
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            os.write(2, b"a word of mine\n")

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        workers = [threading.Thread(target=_swallow, args=(path,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        stop.set()
        talker.join()
    said = capfd.readouterr().err.splitlines()
    assert said
    assert set(said) == {"a word of mine"}


def _swallow(path: Path) -> None:
    for _ in range(5):
        with pytest.raises(TruncatedAudioError):
            load_audio(path)


def test_fewer_samples_than_one_at_the_rate_asked_for_are_none(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    write_audio(path, np.full(1, 0.5), 44100)
    assert load_audio(path, sr=44100).tolist() == [0.5]
    with pytest.raises(EmptyAudioError, match="less than one at 16000 Hz"):
        load_audio(path)
    with pytest.raises(EmptyAudioError):
        list(stream_audio(path))
