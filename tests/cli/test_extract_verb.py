"""``dissensus extract`` from the outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dissensus import Pool
from dissensus.cli.main import app
from dissensus.errors import ParameterError
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


def test_extract_of_nothing_is_an_error_of_ours(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["extract", str(tmp_path / "none"), "-o", str(tmp_path / "p")])
    assert isinstance(done.exception, ParameterError)
    assert not (tmp_path / "p").exists()
