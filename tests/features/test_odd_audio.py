"""The length that a container declares is a claim: every oddity in every container, against what is really in the file."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import odd_audio as odd
import pytest

from dissensus.errors import (
    AudioTooLongError,
    DecodeError,
    EmptyAudioError,
    ParameterError,
    TruncatedAudioError,
    TruncatedAudioWarning,
    UnsupportedFormatError,
)
from dissensus.features import AudioLimits, audio_info, load_audio, stream_audio

CASES = odd.cases()


@pytest.fixture
def placed(tmp_path: Path):
    def place(data: bytes, suffix: str = "bin") -> Path:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(data)
        return path

    return place


def everything(path: Path, **more: object) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedAudioWarning)
        return load_audio(path, sr=audio_info(path).sr, truncated="keep", **more)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_sample_is_delivered_and_a_real_cut_is_told(case: odd.Odd, placed) -> None:
    path = placed(case.data, case.suffix)
    if (
        case.name == "Ogg Opus: cut at 60 %"
    ):  # nothing but its headers and a part of a page: too small to hold a page of audio
        with pytest.raises(TruncatedAudioError, match="Ogg page"):
            load_audio(path)
        return
    info = audio_info(path)
    assert (info.ends_early is not None) == case.told
    if case.told:
        with pytest.raises(TruncatedAudioError, match="ends early"):
            load_audio(path, strict=True)
        got = everything(path)
    else:
        got = load_audio(path, sr=info.sr, strict=True)
    if case.n is not None:
        assert len(got) == case.n
    assert info.n_frames == pytest.approx(len(got), abs=info.sr // 10 if case.told else 1)
    assert 0.01 < np.sqrt(np.mean(got**2)) < 0.5 or case.oddity.startswith("EXTENSIBLE, 20")


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 300
    assert len({case.container for case in CASES}) >= 30


PLAIN = {case.container: case.data for case in CASES if case.oddity == "as it is"}
AROUND = [
    case for case in CASES
    if case.container in PLAIN and not case.told
    and (case.oddity.endswith((" behind", " in front")) or "never closed" in case.oddity or "sizes 0" in case.oddity)
    and not (case.container.startswith("AU") and case.oddity in ("2 kB of zeros behind", "3 kB of garbage behind"))
]  # fmt: skip


@pytest.mark.parametrize("case", AROUND, ids=lambda case: case.name)
def test_what_stands_around_the_audio_changes_no_sample(case: odd.Odd, placed) -> None:
    plain = everything(placed(PLAIN[case.container], case.suffix))
    if case.container == "MP3 in RIFF" and case.oddity == "with a length header inside":
        return
    got = everything(placed(case.data, case.suffix))
    np.testing.assert_allclose(got, plain[: len(got)], atol=0 if "MP3" not in case.container else 1e-6)
    assert len(got) == len(plain)


JOINED = [case for case in CASES if "joined" in case.oddity or "chained" in case.oddity]


@pytest.mark.parametrize("case", JOINED, ids=lambda case: case.name)
def test_joined_streams_stream_like_the_whole_and_can_be_cut_into_excerpts(case: odd.Odd, placed) -> None:
    path = placed(case.data, case.suffix)
    info = audio_info(path)
    whole = everything(path)
    parts = list(stream_audio(path, sr=info.sr))
    assert np.array_equal(np.concatenate(parts), whole)
    first = PLAIN.get(case.container)
    if first is not None:
        alone = everything(placed(first, case.suffix))
        path.write_bytes(case.data)
        n = min(len(alone), 60_000)
        if "no length header" not in case.oddity:
            np.testing.assert_allclose(whole[:n], alone[:n], atol=1e-6)
    over = 1.2  # runs over the first joint, at 1.5 s or a little later
    if "rate" not in case.oddity:
        excerpt = everything(path, start_s=over, duration_s=0.8)
        at = round(over * info.sr)
        assert len(excerpt) == round(0.8 * info.sr)
        assert np.array_equal(excerpt, whole[at : at + len(excerpt)])
    late = everything(path, start_s=(len(whole) - 8000) / info.sr)
    assert len(late) == pytest.approx(8000, abs=2)


def test_a_file_that_is_nearly_whole_is_used_with_a_warning(placed, tmp_path: Path) -> None:
    pcm = odd.pcm(44100 * 4)
    path = placed(odd.wav(pcm[: len(pcm) * 995 // 1000], size=len(pcm)), "wav")
    with pytest.warns(TruncatedAudioWarning, match="used although it ends early"):
        got = load_audio(path, sr=44100)
    assert len(got) == 44100 * 4 * 995 // 1000
    said: list[str] = []
    parts = list(stream_audio(path, sr=44100, on_note=said.append))
    assert np.array_equal(np.concatenate(parts), got)
    assert len(said) == 1 and "data chunk declares" in said[0]
    with pytest.raises(TruncatedAudioError, match="--keep-truncated"):
        load_audio(path, strict=True)
    with pytest.raises(TruncatedAudioError):
        load_audio(path, truncated="error")
    assert len(load_audio(path, sr=44100, truncated="keep")) == len(got)
    assert len(load_audio(path, sr=44100, duration_s=2.0, strict=True)) == 88200  # all of the span is there
    far = placed(odd.wav(pcm[: len(pcm) * 6 // 10], size=len(pcm)), "wav")
    with pytest.raises(TruncatedAudioError):
        load_audio(far)
    with pytest.raises(ParameterError, match="choose one"):
        load_audio(far, strict=True, truncated="keep")


def test_information_says_what_was_put_right(placed) -> None:
    info = audio_info(placed(odd.wav(odd.pcm(), size=0, riff=0), "wav"))
    assert info.n_frames == odd.N and info.ends_early is None
    assert "never closed" in info.notes[0]
    assert info.decoder.startswith("libsndfile ")


def test_a_size_that_wrapped_at_4_gb_is_seen_through(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    n_bytes = (1 << 32) + 4 * 44100  # sparse: 4 GiB and one second
    with open(path, "wb") as file:
        file.write(odd.wav(b"", size=n_bytes % (1 << 32), riff=(n_bytes + 36) % (1 << 32)))
        file.truncate(44 + n_bytes)
    info = audio_info(path)
    assert info.n_frames == n_bytes // 4
    assert any("32 bits" in note for note in info.notes)
    assert len(load_audio(path, sr=44100, start_s=info.n_frames / 44100 - 0.5)) == 22050


def test_an_empty_recording_is_empty_and_not_its_own_tags(placed) -> None:
    for data in (odd.wav(b""), odd.wav(b"", after=odd.info_list()), odd.wav(b"", size=0, riff=0)):
        with pytest.raises(EmptyAudioError):
            load_audio(placed(data, "wav"))


BOMBS = {
    "FLAC of 2^36 - 1 samples": (odd.flac_total(odd.encoded("FLAC", "PCM_16"), 2**36 - 1)[:2000], "flac"),
    "WAV of 2^29 frames": (odd.wav(odd.pcm(1000), size=0x7FFE0000), "wav"),
    "WAV of 1024 channels": (odd.wav(bytes(4096), head=odd.fmt(channels=1024)), "wav"),
    "WAV of 768 kHz": (odd.wav(bytes(4096), head=odd.fmt(sr=768_000)), "wav"),
    "RF64 of 2^62 bytes": (
        odd.wav(odd.pcm(100), size=2**32 - 1, before=odd.ds64(2**62, 2**61, 2**59), magic=b"RF64"), "wav",
    ),
    "CAF of 2^60 bytes": (
        odd.encoded("CAF", "PCM_16").replace(struct.pack(">q", 4 * odd.N + 4), struct.pack(">q", 2**60), 1), "caf",
    ),
    "AIFF of 1000 channels": (
        (lambda d, at: d[: at + 8] + struct.pack(">h", 1000) + d[at + 10 :])(
            odd.encoded("AIFF", "PCM_16"), odd.encoded("AIFF", "PCM_16").index(b"COMM")
        ), "aiff",
    ),
    "AU of 4 GHz": (
        odd.encoded("AU", "PCM_16")[:16] + struct.pack(">I", 4_000_000_000) + odd.encoded("AU", "PCM_16")[20:], "au",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_asks_for_too_much_allocates_nothing(name: str, placed) -> None:
    import tracemalloc

    data, suffix = BOMBS[name]
    path = placed(data, suffix)
    load_audio(placed(odd.wav(odd.pcm(100)), "wav"))  # libraries are loaded
    path.write_bytes(data) if path.suffix == ".wav" else None
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=str(path)):
            load_audio(path, strict=True)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_hours_of_silence_in_a_small_file_are_refused_before_they_are_decoded(placed) -> None:
    silence = odd.encoded("FLAC", "PCM_16", 8000, 1, 8000)
    frames = list(odd._flac_frames(silence))
    assert len(frames) == 2
    hours = (
        10 * 3600 * 8000
    )  # a frame number of ten hours, in a file of a few kilobytes, is seen before anything is decoded
    path = placed(odd.flac_total(silence, hours), "flac")
    assert audio_info(path).n_frames == 8000
    with pytest.raises(AudioTooLongError, match="at most 1"):
        load_audio(placed(odd.encoded("FLAC", "PCM_16"), "flac"), limits=AudioLimits(max_load_s=1.0))
    with pytest.raises(AudioTooLongError, match="AudioLimits"):
        audio_info(placed(odd.encoded("FLAC", "PCM_16"), "flac"), limits=AudioLimits(max_duration_s=1.0))
    many = odd.encoded("OGG", "VORBIS", 8000, 1, 400) * 12
    assert audio_info(placed(many, "ogg")).n_frames == 12 * 400
    with pytest.raises(AudioTooLongError, match="12 joined streams"):
        audio_info(placed(many, "ogg"), limits=AudioLimits(max_streams=10))


def test_no_other_codec_is_looked_for_where_flac_should_be(placed, capfd: pytest.CaptureFixture[str]) -> None:
    pages = odd.ogg_pages(odd.ogg_flac(odd.encoded("FLAC", "PCM_16")))
    first = pages[0].replace(b"fLaC", b"\xff\xfb\x90\x44", 1)
    with pytest.raises(DecodeError, match="does not begin as one"):
        load_audio(placed(b"".join([odd.repaged(first), *pages[1:]]), "oga"))
    damaged = bytearray(odd.encoded("CAF", "ALAC_16"))
    table = damaged.index(b"pakt") + 12 + 24
    damaged[table : table + 8] = b"\xff" * 8
    with pytest.raises(DecodeError, match="list of packets is damaged"):
        load_audio(placed(bytes(damaged), "caf"))
    assert capfd.readouterr() == ("", "")


def test_foreign_streams_in_ogg_are_named(placed) -> None:
    page = odd.ogg_page(b"Speex   1.2" + bytes(69), 5, 0, flags=2) + odd.ogg_page(bytes(40), 5, 1, flags=4, granule=160)
    with pytest.raises(UnsupportedFormatError, match="Speex in Ogg"):
        load_audio(placed(page, "ogg"))


def test_an_mp3_of_several_kinds_of_frames_and_lies(placed) -> None:
    vbr = odd.encoded("MP3", "MPEG_LAYER_III", mode="VARIABLE")
    for n, data in {
        66150: vbr,
        66150 + 713: odd.with_frames(
            vbr, 0
        ),  # the padding at the end is not known to lie there: 1242 - 529 samples of it
        66150 + 713 + 0: odd.with_frames(vbr, 5),
    }.items():
        assert len(everything(placed(data, "mp3"))) == n


def test_a_read_error_is_named_and_stops_there(placed, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = placed(odd.encoded("FLAC", "PCM_16") + odd.id3v1(), "flac")
    real = os.preadv

    def failing(fd: int, buffers: list, at: int) -> int:
        if at > 60_000:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(DecodeError, match="Input/output error"):
        load_audio(path)
