"""``dissensus synth``: the files it writes, and the folders it leaves alone."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import dissensus
from dissensus.cli.main import run
from dissensus.datasets import synthetic, table
from dissensus.datasets.synthetic.files import write_folder
from dissensus.errors import ParameterError
from dissensus.features.audio import audio_info, load_audio

SMALL = ["--clips", "6", "--listeners", "2", "--duration", "1.5"]


def call(*arguments):
    """Exit code of the command."""
    with pytest.raises(SystemExit) as stop:
        run(["synth", *map(str, arguments)])
    return stop.value.code or 0


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("synth") / "clips"
    assert call("--out", target, *SMALL, "--seed", 3) == 0
    return target


def test_folder_has_every_file_and_no_other(folder):
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert found == ["README.md", "annotations.csv", *(f"audio/clip-{i:04d}.flac" for i in range(6)), "manifest.csv"]
    assert [p.name for p in folder.parent.iterdir()] == ["clips"]  # nothing half-written beside


def test_manifest_tells_where_each_clip_is_and_what_it_was_made_for(folder):
    manifest = rows(folder / "manifest.csv")
    assert [r["track_id"] for r in manifest] == [f"clip-{i:04d}" for i in range(6)]
    for r in manifest:
        info = audio_info(folder / r["file"])
        assert (info.sr, info.n_channels) == (16000, 1)
        quadrant = {(True, True): "Q1", (True, False): "Q2", (False, False): "Q3", (False, True): "Q4"}
        assert r["weak_label"] == quadrant[float(r["arousal"]) >= 0, float(r["valence"]) >= 0]
        assert set(synthetic.CUES) == {name.removeprefix("cue_") for name in r if name.startswith("cue_")}


def test_audio_is_the_clip_of_that_seed(folder):
    panel = synthetic.Panel(tracks_per_listener=4)
    data = synthetic.make(6, 2, music=synthetic.Music(duration_s=1.5), panel=panel, features=None, seed=3)
    for track in data.pool.track_ids:
        np.testing.assert_allclose(load_audio(folder / f"audio/{track}.flac"), data.clip(track), atol=2**-15)


def test_readme_tells_how_to_make_it_again(folder):
    code = next(line for line in (folder / "README.md").read_text().splitlines() if "synthetic.make(" in line)
    names = {"dissensus": dissensus, "Music": synthetic.Music, "Panel": synthetic.Panel}
    again = eval(code.strip("`.").replace("seed=3)", "seed=3, features=None)"), names)
    np.testing.assert_allclose(load_audio(folder / "audio/clip-0002.flac"), again.clip("clip-0002"), atol=2**-15)
    labels = [again.classes[i] for i in again.annotations.label]
    assert labels == [r["label"] for r in rows(folder / "annotations.csv")]


def test_annotations_can_be_read_back_as_a_table(folder):
    data = table.load(folder / "manifest.csv", folder / "annotations.csv", table.Columns(features=("cue_tempo",)))
    assert data.pool.n_tracks == 6
    assert len(data.annotations.of("listener-000")) == 4


def test_same_seed_writes_the_same_bits_with_any_number_of_jobs(folder, tmp_path):
    assert call("--out", tmp_path / "again", *SMALL, "--seed", 3, "--jobs", 3) == 0
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes(), path


def test_settings_can_be_chosen(tmp_path):
    assert call("--out", tmp_path / "s", *SMALL, "--settings", "reed, bell") == 0
    assert {r["setting"] for r in rows(tmp_path / "s" / "manifest.csv")} == {"reed", "bell"}


def test_folder_that_is_not_empty_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert call("--out", tmp_path / "mine", *SMALL) == 1
    assert "not empty" in capsys.readouterr().err
    assert call("--out", tmp_path / "mine", *SMALL, "--force") == 1
    assert "not written by dissensus" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    (tmp_path / "file").write_text("x")
    assert call("--out", tmp_path / "file", *SMALL, "--force") == 1


def test_force_replaces_what_an_earlier_run_wrote(tmp_path):
    assert call("--out", tmp_path / "c", *SMALL) == 0
    assert call("--out", tmp_path / "c", "--clips", 5, "--listeners", 1, "--duration", 1, "--force") == 0
    assert len(list((tmp_path / "c" / "audio").iterdir())) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_failure_half_way_leaves_nothing_and_keeps_the_old(tmp_path):
    data = synthetic.make(4, 1, music=synthetic.Music(1.0), features=None)
    write_folder(data, tmp_path / "c")
    before = (tmp_path / "c" / "manifest.csv").read_bytes()
    other = synthetic.make(4, 1, music=synthetic.Music(1.0), features=None, seed=1)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(other, tmp_path / "c", force=True, progress=interrupt)
    assert (tmp_path / "c" / "manifest.csv").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--duration", "0.1"], 1), (["--settings", "kazoo"], 1), (["--rho", "-1"], 1), (["--clips", "0"], 2)],
)
def test_bad_options_end_with_a_code_and_one_line(tmp_path, capsys, arguments, code):
    assert call("--out", tmp_path / "x", *arguments) == code
    assert not (tmp_path / "x").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_points_without_sound_cannot_be_written(tmp_path):
    with pytest.raises(ParameterError, match="no sound"):
        write_folder(synthetic.latent_listeners(20, 1, panel=synthetic.Panel(5)), tmp_path / "x")
