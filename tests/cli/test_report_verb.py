from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dissensus.cli.main import app, main


def test_from_an_evaluation_to_a_page(tmp_path: Path) -> None:
    quick = "--listeners 2 --members gnb --strategies mc,rand --update replay --rounds 2 --repeats 2 --null-repeats 1 --jobs 1"
    made = CliRunner().invoke(app, ["evaluate", "synthetic", *quick.split(), "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    found = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-1] == f"Report: {tmp_path / 'report.html'}"
    assert re.search(r"replay +committee +all +\d+% \[\d+, \d+\] +\d+% \(\d+%\)", found.output)
    assert "Groups, replay (interval of the gain, committee): gains" in found.output
    page = (tmp_path / "report.html").read_text()
    assert "2 listeners of" in page
    assert "made up" in page


def test_a_folder_without_results_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "dissensus evaluate --out" in line


def test_help_teaches() -> None:
    found = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    for word in ("Examples", "permuted", "does not", "dissensus[plot]"):
        assert word.replace("does not", "do not") in found.output or word in found.output
