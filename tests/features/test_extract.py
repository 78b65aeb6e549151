"""Files to pool: what is listed, what is computed, what happens to bad files, and going on after a stop."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import crashing_work
import numpy as np
import odd_audio
import pytest

from dissensus import Pool, log_mel
from dissensus.errors import DataFormatError, ParameterError, PoolFormatError
from dissensus.features import load_audio, write_audio
from dissensus.features.extract import FeatureChoice, Progress, extract
from dissensus.features.sources import Excerpt, gather_audio
from dissensus.features.summary import SUMMARY_NAMES, summary

SUMMARY = FeatureChoice("summary")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    (folder / "sub").mkdir(parents=True)
    t = np.arange(16000 * 3) / 16000
    for i, name in enumerate(("b.wav", "a.flac", "sub/c.ogg", "sub/d.mp3")):
        write_audio(folder / name, 0.3 * np.sin(2 * np.pi * (220 + 60 * i) * t), 16000)
    (folder / "notes.txt").write_text("not audio")
    return folder


def ids(excerpts: list[Excerpt]) -> list[int | str]:
    return [excerpt.track_id for excerpt in excerpts]


def test_sources_are_listed_in_a_fixed_order(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(gather_audio([music])) == ["a.flac", "b.wav", "sub/c.ogg", "sub/d.mp3"]
    monkeypatch.chdir(music)
    assert ids(gather_audio(["**/*.ogg", "b.wav"])) == ["sub/c.ogg", "b.wav"]
    (music / "list.csv").write_text("track_id,path,start_s,duration_s\n7,b.wav,0.5,1\n9,sub/c.ogg,,\n")
    listed = gather_audio([music / "list.csv"])
    assert ids(listed) == [7, 9]
    assert (listed[0].start_s, listed[0].duration_s, listed[1].duration_s) == (0.5, 1.0, None)
    (music / "list.csv").write_text("path,start_s\nb.wav,0\nb.wav,1.5\nsub/c.ogg,\n")
    assert ids(gather_audio([music / "list.csv"])) == ["b.wav#0+", "b.wav#1.5+", "sub/c.ogg"]


def test_sources_that_name_nothing_or_one_thing_twice_are_refused(music: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "none", tmp_path / "*.xyz", tmp_path / "empty", tmp_path / "none.csv"):
        with pytest.raises(ParameterError, match=str(tmp_path)):
            gather_audio([wrong])
    with pytest.raises(ParameterError, match="both be called"):
        gather_audio([music, music])
    table = tmp_path / "t.csv"
    for text, words in (
        ("", "no rows"), ("file\nx.wav\n", "no column 'path'"), ("path,start_s\nx.wav,soon\n", "line 2.*start_s"),
        ("path,duration_s\nx.wav,-1\n", "out of range"), ("path\n  \n", "empty"),
    ):  # fmt: skip
        table.write_text(text)
        with pytest.raises(DataFormatError, match=words):
            gather_audio([table])


def test_the_pool_holds_the_features_of_every_file(music: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    report = extract(gather_audio([music]), tmp_path / "p", SUMMARY, on_progress=seen.append)
    assert (report.n_added, report.n_there, report.errors) == (4, 0, [])
    assert report.audio_s == pytest.approx(12, abs=0.2)
    assert [p.n_done for p in seen] == [1, 2, 3, 4]
    assert seen[-1].left_s == 0
    pool = Pool.open(tmp_path / "p", verify=True)
    assert pool.feature_names == SUMMARY_NAMES
    for name in pool.track_ids.tolist():
        want = summary(load_audio(music / name), 16000)
        assert np.array_equal(pool.X[pool.rows_of([name])], want)


def test_log_mel_and_is13_have_their_own_columns_and_fingerprints(music: Path, tmp_path: Path) -> None:
    files = gather_audio([music / "b.wav"])
    prints = set()
    for name in ("logmel", "summary", "is13"):
        extract(files, tmp_path / name, FeatureChoice(name))
        pool = Pool.open(tmp_path / name)
        prints.add(pool.fingerprint)
        assert pool.n_features == len(FeatureChoice(name).columns)
    assert len(prints) == 3
    assert Pool.open(tmp_path / "is13").n_features == 260
    assert np.array_equal(Pool.open(tmp_path / "logmel").X, log_mel(load_audio(music / "b.wav")))
    with pytest.raises(PoolFormatError, match="another folder"):
        extract(files, tmp_path / "summary", FeatureChoice("summary", window_s=2.0))


def test_excerpts_are_cut_before_the_features(music: Path, tmp_path: Path) -> None:
    extract([Excerpt(5, str(music / "b.wav"), 1.0, 1.5)], tmp_path / "p", SUMMARY)
    want = summary(load_audio(music / "b.wav", start_s=1.0, duration_s=1.5), 16000)
    assert np.array_equal(Pool.open(tmp_path / "p").X, want)


def _break_some(music: Path) -> None:
    data = (music / "sub" / "d.mp3").read_bytes()
    (music / "sub" / "d.mp3").write_bytes(data[: len(data) // 2])
    (music / "e.wav").write_bytes(b"rubbish, not audio")


def test_bad_files_go_to_the_table_and_are_tried_again(music: Path, tmp_path: Path) -> None:
    good = (music / "sub" / "d.mp3").read_bytes()
    _break_some(music)
    report = extract(gather_audio([music]), tmp_path / "p", SUMMARY)
    assert report.n_added == 3
    with open(tmp_path / "p" / "errors.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["track_id"], row["kind"]) for row in rows] == [
        ("e.wav", "UnsupportedFormatError"), ("sub/d.mp3", "TruncatedAudioError"),
    ]  # fmt: skip
    assert all(row["path"] in row["message"] for row in rows)
    (music / "sub" / "d.mp3").write_bytes(good)
    (music / "e.wav").unlink()
    again = extract(gather_audio([music]), tmp_path / "p", SUMMARY)
    assert (again.n_added, again.n_there, again.errors) == (1, 3, [])
    assert not (tmp_path / "p" / "errors.csv").exists()
    assert Pool.open(tmp_path / "p", verify=True).n_tracks == 4


def test_windows_of_a_long_track_wait_on_disk(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["dissensus.features.extract"], "_SPILL_BYTES", 50_000)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / ".spill-left").write_bytes(b"of a job that was stopped")
    extract(gather_audio([music]), tmp_path / "p", FeatureChoice("logmel"))
    pool = Pool.open(tmp_path / "p", verify=True)
    for name in pool.track_ids.tolist():
        assert np.array_equal(pool.X[pool.rows_of([name])], log_mel(load_audio(music / name)))
    assert not list((tmp_path / "p").glob(".spill*"))
    _break_some(music)
    again = extract(gather_audio([music]), tmp_path / "q", FeatureChoice("logmel"))
    assert again.n_added == 3 and not list((tmp_path / "q").glob(".spill*"))


def test_the_pool_is_the_same_for_any_number_of_jobs(music: Path, tmp_path: Path) -> None:
    _break_some(music)
    for jobs in (1, 2):
        extract(gather_audio([music]), tmp_path / f"p{jobs}", SUMMARY, jobs=jobs)
    for name in ("windows.f32", "ends.i64", "ids.i64", "ids.utf8", "errors.csv"):
        assert (tmp_path / "p1" / name).read_bytes() == (tmp_path / "p2" / name).read_bytes()


def test_a_file_that_crashes_its_worker_is_set_aside(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["dissensus.features.extract"], "_one", crashing_work.crash_on_b)
    report = extract(gather_audio([music]), tmp_path / "p", SUMMARY, jobs=2)
    assert report.n_added == 3
    [(name, path, kind, message)] = report.errors
    assert (name, kind) == ("b.wav", "WorkerDied")
    assert message == f"{path}: the process at work on it died of SIGABRT"
    assert Pool.open(tmp_path / "p", verify=True).n_tracks == 3
    assert not list((tmp_path / "p").glob(".spill*"))


STOPPED = """
import sys
from dissensus.features import extract as e, sources
e.extract(sources.gather_audio([sys.argv[1]]), sys.argv[2], e.FeatureChoice("summary"),
          on_progress=lambda p: print(p.n_done, flush=True))
"""


def test_a_stopped_job_goes_on_where_it_was(music: Path, tmp_path: Path) -> None:
    pool = tmp_path / "p"
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(music), str(pool)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    there = Pool.open(pool, verify=True).n_tracks
    assert there >= 1  # Ctrl-C commits what is complete
    report = extract(gather_audio([music]), pool, SUMMARY)
    assert (report.n_there, report.n_added) == (there, 4 - there)
    extract(gather_audio([music]), tmp_path / "straight", SUMMARY)
    assert (pool / "windows.f32").read_bytes() == (tmp_path / "straight" / "windows.f32").read_bytes()


def test_wrong_choices_are_refused(music: Path, tmp_path: Path) -> None:
    for wrong in ({"name": "mfcc"}, {"overlap": 1.0}, {"window_s": 0.0}, {"sr": 10}):
        with pytest.raises(ParameterError):
            FeatureChoice(**wrong)
    with pytest.raises(ParameterError, match="jobs"):
        extract(gather_audio([music]), tmp_path / "p", SUMMARY, jobs=0)
    assert not os.path.exists(tmp_path / "p")


def test_the_opensmile_adapter_orders_its_columns_as_ours(music: Path) -> None:
    pytest.importorskip("opensmile")
    from dissensus import IS13_NAMES
    from dissensus.features.opensmile_adapter import opensmile_is13

    rng = np.random.default_rng(0)
    x = np.concatenate([0.01 * rng.standard_normal(16000), 0.3 * rng.standard_normal(24000)]).astype(np.float32)
    X = opensmile_is13(x, 16000)
    assert X.shape == (4, 260)
    level = IS13_NAMES.index("pcm_RMSenergy_sma_amean")
    np.testing.assert_allclose(X[0, level], 0.01, rtol=0.3)  # frames reach over the step
    np.testing.assert_allclose(X[-1, level], 0.3, rtol=0.1)
    assert X[0, level - 1] < 0.2 * X[1, level - 1]  # only the second window holds the step


def test_files_that_end_a_little_early_are_used_and_noted(tmp_path: Path) -> None:
    import csv

    folder = tmp_path / "music"
    folder.mkdir()
    pcm = odd_audio.pcm(3 * 44100)
    (folder / "early.wav").write_bytes(odd_audio.wav(pcm[: -4 * 4410], size=len(pcm)))  # a tenth of a second is missing
    (folder / "half.wav").write_bytes(odd_audio.wav(pcm[: len(pcm) // 2], size=len(pcm)))
    (folder / "open.wav").write_bytes(odd_audio.wav(pcm, size=0, riff=0))
    choice = FeatureChoice("summary")

    def notes() -> list[list[str]]:
        with open(tmp_path / "pool" / "notes.csv", newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    report = extract(gather_audio([folder]), tmp_path / "pool", choice)
    assert (report.n_added, [kind for _, _, kind, _ in report.errors]) == (2, ["TruncatedAudioError"])
    head, early, never = notes()
    assert head == ["track_id", "path", "note"]
    assert early[0] == "early.wav" and "used although it ends early" in early[2]
    assert never[0] == "open.wav" and "never closed" in never[2]
    assert [(track, note) for track, _, note in report.notes] == [(early[0], early[2]), (never[0], never[2])]
    (folder / "tail.flac").write_bytes(odd_audio.encoded("FLAC", "PCM_16") + odd_audio.garbage())
    again = extract(gather_audio([folder]), tmp_path / "pool", choice, jobs=2)
    assert (again.n_added, again.n_there) == (1, 2)
    assert [row[0] for row in notes()] == ["track_id", "early.wav", "open.wav", "tail.flac"]
    strict = extract(gather_audio([folder]), tmp_path / "strict", FeatureChoice("summary", truncated="error"))
    assert sorted(str(track) for track, _, _, _ in strict.errors) == ["early.wav", "half.wav"]
    kept = extract(gather_audio([folder]), tmp_path / "kept", FeatureChoice("summary", truncated="keep"))
    assert kept.errors == []
