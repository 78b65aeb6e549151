from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dissensus.cli.main import app, main

QUICK = ("--draws", "20", "--random", "5")


def invoke(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["agreement", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.data
def test_trompa_prints_the_published_alphas_with_intervals_and_random_groups(research_data: Path) -> None:
    text = invoke("trompa", "--data", str(research_data / "trompa_mer"), *QUICK)
    for name, alpha in {"quadrant": "0.315", "arousal": "0.449", "valence": "0.311", "mood": "0.182"}.items():
        assert re.search(rf"{name} +{alpha} +{alpha} +0\.000 +\[0\.\d+, 0\.\d+\]", text)
    assert re.search(r"n_tracks >= 80 \(3175 x 35 people\) +quadrant +0\.314 +\[.*\] +0\.\d{3} \[", text)
    for count in (4721, 181, 691, 1704, 748, 1102, 1167):
        assert re.search(rf" {count} +{count}$", text, re.MULTILINE)


@pytest.mark.data
def test_groups_of_ones_own(research_data: Path) -> None:
    groups = ("--group", "known==True", "--group", "known==False")
    text = invoke("trompa", "--data", str(research_data / "trompa_mer"), *groups, "--draws", "0", "--random", "3")
    assert "known == True" in text
    assert "known == False" in text
    assert "over units" not in text


@pytest.mark.data
def test_soundtracks_by_condition(research_data: Path) -> None:
    text = invoke("soundtracks", "--data", str(research_data / "soundtracks_eerola"), *QUICK)
    assert re.search(r"condition == discrete .*quadrant +0\.595", text)


@pytest.mark.data
@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("1", r"understanding \+ \(1613 x 125 people\) +joy +0\.428 +0\.428 +0\.000 .* 0\.451"),
        ("2", r"german \(374 x 17 people\) +anger +0\.482 +0\.482 +0\.000"),
        ("4", r"understanding \+ +2\.9 +0\.322 +0\.322 +0\.783 +0\.783"),
    ],
)
def test_one_command_a_published_table(research_data: Path, table: str, says: str) -> None:
    folder = str(research_data / "agreement_emotion")
    windows = ("--windows", "none") if table == "4" else ()
    text = invoke("ismir2020", "--data", folder, "--table", table, "--draws", "5", "--random", "1", *windows)
    assert re.search(says, text), text[:3000]


@pytest.mark.data
@pytest.mark.parametrize(("table", "n_cells"), [("1", 143), ("2", 55)])
def test_every_cell_is_the_printed_one(research_data: Path, table: str, n_cells: int) -> None:
    folder = str(research_data / "agreement_emotion")
    text = invoke("ismir2020", "--data", folder, "--table", table, "--draws", "0", "--random", "0")
    numbers = [re.findall(r"-?\d\.\d{3}", line)[:3] for line in text.splitlines()]
    cells = [cell for cell in numbers if len(cell) == 3]
    assert len(cells) == n_cells
    for published, ours, difference in cells:
        assert published == ours
        assert difference == "0.000"


@pytest.mark.data
@pytest.mark.slow
def test_clusters_beside_the_printed_table(research_data: Path) -> None:
    folder = str(research_data / "agreement_emotion")
    text = invoke("ismir2020", "--data", folder, "--table", "3", "--embedding", "raw", "--random", "1")
    rows = re.findall(r"(\d\.\d{3}) +(\d\.\d{3}) +\[\d\.\d{3}, \d\.\d{3}\] +([+-]?\d\.\d{3})", text)
    assert len(rows) == 26  # thirteen groups, two indices
    for published, ours, difference in rows:
        assert float(ours) - float(published) == pytest.approx(float(difference), abs=0.0011)
    assert np.mean([abs(float(difference)) for *_, difference in rows]) < 0.01
    assert re.search(r"general sophistication \+ +1364 +0\.307 +0\.30", text)


@pytest.mark.data
@pytest.mark.slow
def test_the_leak_is_shown_on_music_made_on_the_spot(research_data: Path) -> None:
    folder = str(research_data / "agreement_emotion")
    text = invoke("ismir2020", "--data", folder, "--table", "4")
    assert "528 windows of 22 clips, 260 features" in text
    assert "MUSIC MADE ON THE SPOT" in text
    for name in ("single", "all", "understanding"):
        line = next(line for line in text.splitlines() if line.startswith(name))
        leak = float(line.split()[-1])
        assert leak > 0.1


@pytest.mark.data
@pytest.mark.slow
def test_classification_is_printed_both_ways(research_data: Path, tmp_path: Path) -> None:
    from dissensus.datasets import ismir2020

    folder = research_data / "agreement_emotion"
    rng = np.random.default_rng(0)
    with open(tmp_path / "windows.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["track_id", *"abcdefghij"])
        for clip in ismir2020.load(folder).pool.track_ids.tolist():
            place = 3 * rng.normal(size=10)
            rows.writerows([clip, *(place + rng.normal(size=10)).round(4)] for _ in range(10))
    text = invoke("ismir2020", "--data", str(folder), "--table", "4", "--windows", str(tmp_path / "windows.csv"))
    line = next(line for line in text.splitlines() if line.startswith("all "))
    paper, clips, shuffled = (float(number) for number in line.split()[-4:-1])
    assert paper > clips + 0.1  # noise that is the same for all windows of a clip
    assert abs(clips - shuffled) < 0.15
    (tmp_path / "one.csv").write_text("track_id,a\njoy_1,0.5\n")
    arguments = ["--data", str(folder), "--table", "4", "--windows", str(tmp_path / "one.csv")]
    assert main(["agreement", "ismir2020", *arguments]) == 1


def test_wrong_usage() -> None:
    for arguments, says in [
        (("trompa",), "--data"),
        (("nothing", "--data", "x"), "nothing"),
        (("ismir2020", "--data", "x", "--table", "5"), "table"),
        (("ismir2020", "--data", "x", "--group", "known==True"), "--group"),
        (("ismir2020", "--data", "x", "--table", "3", "--embedding", "tsnee"), "tsne"),
        (("ismir2020", "--data", "x", "--table", "1", "--embedding", "raw"), "--table 3"),
        (("ismir2020", "--data", "x", "--table", "2", "--windows", "none"), "--table 4"),
        (("trompa", "--data", "x", "--table", "2"), "not for trompa"),
        (("soundtracks", "--data", "x", "--snapshot", "2022-03-07"), "for trompa"),
    ]:
        found = CliRunner().invoke(app, ["agreement", *arguments])
        assert found.exit_code == 2
        assert says in found.output


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["agreement", "trompa", "--data", str(tmp_path), "--group", "known"]) == 1
    assert "write a column" in capsys.readouterr().err
    assert main(["agreement", "trompa", "--data", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_help_teaches() -> None:
    found = CliRunner().invoke(app, ["agreement", "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    for word in ("Examples", "random groups", "--table", "as published"):
        assert word in found.output
