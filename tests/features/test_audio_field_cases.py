"""Files that users brought, as they were reported, each with the length it has."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import odd_audio as odd
import pytest

from dissensus.features import audio_info, load_audio, write_audio

TAILS = (
    b"", b"TAG" + b"x" * 125, b"\n", b"\0", bytes(2048), odd.ape(), odd.ape() + odd.id3v1(), odd.lyrics3() + odd.id3v1(),
    odd.garbage(7), odd.garbage(100_000), odd.id3v2(), b"\xff\xf8" * 99,
)  # fmt: skip
X = 0.5 * np.sin(np.arange(44100 * 3) / 20)


def mp3(tmp_path: Path) -> bytes:
    write_audio(tmp_path / "a.mp3", X, 44100)
    return (tmp_path / "a.mp3").read_bytes()


@pytest.mark.parametrize("how", ["nearly", "error", "keep"])
@pytest.mark.parametrize("tail", TAILS, ids=len)
def test_a_flac_with_anything_behind_its_last_frame_is_whole(tmp_path: Path, tail: bytes, how: str) -> None:
    path = tmp_path / "b.flac"
    write_audio(path, X, 44100)
    plain = load_audio(path, sr=44100)
    path.write_bytes(path.read_bytes() + tail)
    assert np.array_equal(load_audio(path, sr=44100, truncated=how), plain)  # type: ignore[arg-type]
    assert len(load_audio(path, sr=44100, duration_s=3.0)) == len(plain) == 132300


FRONTS = {
    "600 zeros": bytes(600),
    "1 zero": b"\0",
    "193 other bytes": bytes(range(1, 194)),
    "ID3v2 and 2 kB of zeros": b"ID3\x03\0\0\0\0\0\x64" + bytes(100) + bytes(2048),
    "ID3v2.4 with a footer": b"ID3\x04\0\x10\0\0\0\x64" + bytes(100) + b"3DI\x04\0\x10\0\0\0\x64",
    "false syncs": b"\xff\xfb\x90\x44" * 50,
    "0xFF all over": b"\xff" * 5000,
    "half a frame": b"\xff\xfb\x90\x64" + bytes(200),
    "a text": b"HTTP/1.0 200 OK\r\nicy-name: a station\r\n\r\n",
    "512 kB of zeros": bytes(1 << 19),
}  # fmt: skip


@pytest.mark.parametrize("name", FRONTS)
def test_an_mp3_with_bytes_in_front_is_whole(tmp_path: Path, name: str) -> None:
    raw = mp3(tmp_path)
    plain = load_audio(tmp_path / "a.mp3", sr=44100)
    path = tmp_path / "b.mp3"
    path.write_bytes(FRONTS[name] + raw)
    got = load_audio(path, sr=44100)
    assert len(got) == len(plain) == 132300
    np.testing.assert_allclose(got, plain, atol=1e-6)


def test_an_mp3_is_not_cut_short_by_its_header(tmp_path: Path) -> None:
    raw = mp3(tmp_path)
    n = odd.xing_frames(raw)
    path = tmp_path / "b.mp3"
    for data, seconds in (
        (raw, 3), (raw + raw, 6), (raw * 5, 15), (odd.with_frames(raw, 0), 3), (odd.with_frames(raw, n // 2), 3),
        (odd.with_frames(raw, 1), 3), (odd.with_frames(raw, 2 * n), 3), (odd.with_frames(raw, 2**32 - 1), 3),
        (odd.without_xing(raw), 3), (odd.without_xing(raw) * 3, 9), (odd.with_vbri(raw, n // 3, 1000), 3),
    ):  # fmt: skip
        path.write_bytes(data)
        got = len(load_audio(path, sr=44100)) / 44100
        assert (
            seconds <= got < seconds + 0.04 + 0.08 * (seconds // 3 - 1)
        )  # a silent frame and the padding at each joint
        assert audio_info(path).n_frames == round(got * 44100)


SIZES = (0, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFF000, 0xFFFF0000, 0x80000000, 0xFFFFFFD0)


@pytest.mark.parametrize("size", SIZES, ids=hex)
def test_a_wav_whose_recorder_died_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    pcm = (np.sin(np.arange(132300) / 20) * 9999).astype("<i2")
    head = (
        b"RIFF"
        + struct.pack("<I", size)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 44100, 88200, 2, 16)
        + b"data"
    )
    path = tmp_path / "a.wav"
    path.write_bytes(head + struct.pack("<I", size) + pcm.tobytes())
    assert np.array_equal(load_audio(path, sr=44100), (pcm / 32768).astype(np.float32))
