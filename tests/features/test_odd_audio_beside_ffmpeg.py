"""Every odd file beside what ffmpeg makes of it, and ordinary files of every kind; where the program is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import beside_ffmpeg as beside
import numpy as np
import odd_audio as odd
import pytest

from dissensus.features import load_audio, write_audio

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")
CASES = odd.cases()
SOME = CASES[::9]


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_nothing_that_ffmpeg_decodes_is_missing(case: odd.Odd, tmp_path: Path) -> None:
    row = beside.measure(case, tmp_path)
    assert beside.acceptable(row), row


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in SOME], ids=lambda case: case.name)
def test_nothing_that_ffmpeg_decodes_is_missing_in_any_case(case: odd.Odd, tmp_path: Path) -> None:
    row = beside.measure(case, tmp_path)
    assert beside.acceptable(row), row


RATES = {"wav": (8000, 22050, 44100, 96000), "flac": (16000, 44100, 48000, 96000), "mp3": (16000, 22050, 44100, 48000),
         "ogg": (16000, 22050, 44100, 48000), "opus": (48000,), "aiff": (44100,)}  # fmt: skip


@pytest.mark.parametrize("suffix", RATES)
def test_ordinary_files_are_what_ffmpeg_decodes(suffix: str, tmp_path: Path) -> None:
    n = 0
    for sr in RATES[suffix]:
        for channels in (1, 2):
            for seconds in (1.1, 1.7):
                path = tmp_path / f"a.{suffix}"
                write_audio(path, odd.signal(round(seconds * sr), sr, channels, seed=n), sr)
                want = beside.ffmpeg_decodes(path, channels).mean(axis=1)
                got = load_audio(path, sr=sr)
                assert len(got) == len(want)
                exact = suffix in ("wav", "flac", "aiff")
                np.testing.assert_allclose(got, want, atol=0 if exact else 1e-4, rtol=0)
                n += 1
    assert n >= 4
