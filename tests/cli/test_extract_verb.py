"""``dissensus extract`` from the outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_audio
import pytest
from typer.testing import CliRunner

from dissensus import Pool
from dissensus.cli.main import app
from dissensus.errors import DecodeError, DissensusError, ParameterError, PoolFormatError
from dissensus.features import write_audio


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for i in range(3):
        write_audio(folder / f"{i}.wav", np.random.default_rng(i).uniform(-0.1, 0.1, 32000), 16000)
    (folder / "bad.wav").write_bytes(b"RIFFnothing")
    return folder


def test_extract_says_what_it_did_and_goes_on(music: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    command = ["extract", str(music), "--features", "summary", "-o", str(pool), "--jobs", "1"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "3 tracks added" in first.stdout
    assert "1 failed" in first.stdout
    assert "errors.csv" in first.stdout
    assert "x real time" in first.output
    assert Pool.open(pool).n_tracks == 3
    second = CliRunner().invoke(app, command)
    assert "0 tracks added" in second.stdout
    assert "3 were there" in second.stdout


def test_extract_says_what_is_wrong_before_it_reads_a_file(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    taken = tmp_path / "file"
    taken.write_text("x")
    for options, words in (
        (["-f", "mfcc", "-o", str(out)], "choose is13"),
        (["--sr", "4000", "-o", str(out)], "8000 to 192000"),
        (["--window", "-1", "-o", str(out)], "window_s"),
        (["-o", str(taken)], "is a file"),
    ):
        done = CliRunner().invoke(app, ["extract", str(music), "-j", "1", *options])
        assert isinstance(done.exception, DissensusError), (options, done.output)
        assert words in str(done.exception)
        assert not out.exists()
    for usage in (["--featurs", "is13"], ["-j", "-3"], ["--window", "abc"]):
        assert CliRunner().invoke(app, ["extract", str(music), "-o", str(out), *usage]).exit_code == 2
    assert CliRunner().invoke(app, ["extract", str(music), "-f", "summary", "-j", "1", "-o", str(out)]).exit_code == 0
    other = CliRunner().invoke(app, ["extract", str(music), "-j", "1", "-o", str(out)])
    assert isinstance(other.exception, PoolFormatError)
    assert "summary:" in str(other.exception) and "is13:" in str(other.exception)


def test_extract_where_every_file_is_bad_fails(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    done = CliRunner().invoke(app, ["extract", str(tmp_path / "bad.wav"), "-j", "1", "-o", str(tmp_path / "p")])
    assert isinstance(done.exception, DecodeError)
    assert "errors.csv" in str(done.exception)
    assert (tmp_path / "p" / "errors.csv").exists()


def test_extract_of_nothing_is_an_error_of_ours(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["extract", str(tmp_path / "none"), "-o", str(tmp_path / "p")])
    assert isinstance(done.exception, ParameterError)
    assert not (tmp_path / "p").exists()


def test_extract_uses_what_is_nearly_whole_and_refuses_it_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    pcm = odd_audio.pcm(2 * 44100)
    (folder / "a.wav").write_bytes(odd_audio.wav(pcm[:-4000], size=len(pcm)))
    command = ["extract", str(folder), "--features", "summary", "--jobs", "1", "-o"]
    used = CliRunner().invoke(app, [*command, str(tmp_path / "used")])
    assert used.exit_code == 0, used.output
    assert "remarks on 1 of the files used" in used.stdout and "ends early" in used.stdout
    with pytest.raises(DecodeError, match="none of the 1 files"):
        CliRunner().invoke(app, [*command, str(tmp_path / "strict"), "--strict"], catch_exceptions=False)
    both = CliRunner().invoke(app, [*command, str(tmp_path / "both"), "--strict", "--keep-truncated"])
    assert both.exit_code == 2 and "--keep-truncated" in both.output
