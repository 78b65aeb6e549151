"""``dissensus compare``: both protocols in one command, killed and continued, or from results that are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dissensus.cli.main import app, main
from dissensus.evaluation.curves import read_columns
from dissensus.evaluation.run import grid

QUICK = (
    "synthetic --listeners 3 --members gnb --strategies hc,rand --rounds 3 --repeats 2 --null-repeats 1 --jobs 1 --seed 4"
).split()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("whole")
    found = CliRunner().invoke(app, ["compare", *QUICK, "--out", str(out)])
    assert found.exit_code == 0, found.output
    return found.output, out


def test_one_command_prints_both_protocols_with_the_null(whole: tuple[str, Path]) -> None:
    text, out = whole
    assert "3 listeners: trompa2022 (paper) beside sound" in text
    assert "splits per listener: paper 1 (permuted 1), sound 2 (permuted 1)" in text
    for start in ("paper  incremental  all ", "sound  replay       all ", "sound  incremental  all "):
        (line, _) = [line for line in text.splitlines() if line.startswith(start)]
        assert "not run" not in line
    assert "hc - rand" in text
    assert "As published, incremental" in text
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.json", "comparison.txt", "paper", "report.html", "sound",
    ]  # fmt: skip
    assert "As published, and as it holds" in (out / "report.html").read_text()


def test_only_the_faults_differ(whole: tuple[str, Path]) -> None:
    content = json.loads((whole[1] / "comparison.json").read_text())
    differ = {name for name, value in content["paper"].items() if content["sound"][name] != value}
    assert differ == {"name", "updates", "repeats", "crowd", "scaling"}


def test_killed_in_each_protocol_and_continued_to_the_same_numbers(
    whole: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    real = grid._work

    def killed(limit: int) -> None:
        def work(place: grid.Workplace, parts: Path, task: grid.Task) -> None:
            if len(done) == limit:
                raise KeyboardInterrupt
            done.append(task)
            real(place, parts, task)

        monkeypatch.setattr(grid, "_work", work)

    arguments = ["compare", *QUICK, "--out", str(tmp_path)]
    for limit in (2, 9):  # the 6 units of the published protocol come first, then the 9 of the sound one
        killed(limit)
        assert main(arguments) == 130
        assert not (tmp_path / "comparison.json").exists()
    killed(10**6)
    assert main(arguments) == 0
    assert len(done) == 6 + 9  # nothing was done twice
    for side in ("paper", "sound"):
        for file in ("scores.parquet", "details/permuted.parquet", "details/queries.parquet"):
            again, once = (read_columns(folder / side / file, required=()) for folder in (tmp_path, whole[1]))
            assert list(again) == list(once)
            assert all(np.array_equal(again[name], once[name]) for name in once)
    for name in ("comparison.json", "comparison.txt"):
        assert (tmp_path / name).read_text() == (whole[1] / name).read_text()


def test_results_that_are_there_are_taken(
    whole: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing is left to run")

    monkeypatch.setattr(grid, "_work", never)
    taken = ["--sound-results", str(whole[1] / "sound"), "--paper-results", str(whole[1] / "paper")]
    found = CliRunner().invoke(app, ["compare", "table", *taken, "--out", str(tmp_path)])
    assert found.exit_code == 0, found.output
    same = (whole[1] / "comparison.txt").read_text()
    assert (tmp_path / "comparison.txt").read_text() == same
    assert not (tmp_path / "sound").exists()


def test_what_cannot_be_compared(whole: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = CliRunner().invoke(app, ["compare", "table", "--out", str(tmp_path)])
    assert found.exit_code == 2
    assert "--paper-results" in found.output
    for arguments, says in (
        (["--sound-results", str(tmp_path / "none")], "dissensus evaluate --out"),
        (["--min-tracks", "1000"], "lower --min-tracks"),
        (["--sound-results", str(whole[1] / "paper")], "sound one second"),
    ):
        assert main(["compare", *QUICK, *arguments, "--out", str(tmp_path)]) == 1
        assert says in capsys.readouterr().err.splitlines()[-1]


def test_help_teaches() -> None:
    found = CliRunner().invoke(app, ["compare", "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    for word in ("Examples", "--sound-results", "permuted", "continues", "comparison.txt"):
        assert word in found.output
