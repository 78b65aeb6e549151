"""``dissensus listener``: each command goes on where the last one ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dissensus import Committee, Pool
from dissensus.cli.main import main


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    y = np.tile(["Q1", "Q2"], 20)
    Committee.pretrain(rng.normal(size=(40, 3)), y, np.arange(40), kinds=("gnb",), n_folds=2).save(tmp_path / "c")
    Pool(rng.normal(size=(12, 3)).astype(np.float32), [f"song-{i}" for i in range(12)]).save(tmp_path / "pool")
    return ["--store", str(tmp_path / "s.db"), "--committee", str(tmp_path / "c"), "--pool", str(tmp_path / "pool")]


def run(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(["listener", *argv]) == code, capsys.readouterr().err
    said = capsys.readouterr()
    return said.out if code == 0 else said.err + said.out


def test_a_listener_from_the_first_question_to_the_last_trace(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = places[:2]
    who = run(capsys, "add", *store, "--consent", "personalise=1", "--consent", "crowd=1", "--seed", "3").strip()
    assert len(who) == 32
    asked = json.loads(run(capsys, "ask", who, *places, "-n", "3", "--json"))["query"]
    again = json.loads(run(capsys, "ask", who, *places, "-n", "9", "--json"))["query"]
    assert [row["track"] for row in asked] == [row["track"] for row in again]
    first, second, third = (row["track"] for row in asked)
    assert (
        json.loads(run(capsys, "tell", who, f"{first}=Q2", f"{second}=Q1", *places, "--key", "k", "--json"))["answers"]
        == 2
    )
    assert (
        json.loads(run(capsys, "tell", who, f"{first}=Q2", f"{second}=Q1", *places, "--key", "k", "--json"))["answers"]
        == 2
    )
    run(capsys, "skip", who, third, *places)
    assert "answers   1" in run(capsys, "undo", who, second, *places)
    shown = json.loads(run(capsys, "show", who, *store, "--json"))
    assert (shown["ask"], shown["answer"], shown["skip"], shown["undo"], shown["version"]) == (1, 2, 1, 1, 5)
    lines = [json.loads(line) for line in run(capsys, "export", who, *store).splitlines()]
    assert [line["what"] for line in lines] == [
        "listener",
        "consent",
        "consent",
        "ask",
        "answer",
        "answer",
        "skip",
        "undo",
    ]
    run(capsys, "export", who, *store, "--out", str(tmp_path / "ann.parquet"))
    assert pq.read_table(tmp_path / "ann.parquet").num_rows == 5
    receipt = json.loads(run(capsys, "erase", who, *store, "--yes", "--json"))
    assert receipt["complete"] is True and receipt["event rows"] == 5 and receipt["traces"] == 0
    assert "was erased" in run(capsys, "show", who, *store, code=1)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["add", "--consent", "personalise"], "PURPOSE=TEXT_VERSION"),
        (["add", "--consent", "crowd=1"], "personalise"),
        (["tell", "00" * 16, "song-1"], "TRACK=LABEL|knows no listener"),
        (["show", "00" * 16], "no listener"),
        (["show", "ann"], "32 hexadecimal digits"),
    ],
)
def test_a_mistake_is_one_line(
    places: list[str], capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    run(capsys, "add", *places[:2], "--consent", "personalise=1")
    err = run(capsys, *argv, *(places if argv[0] == "tell" else places[:2]), code=1)
    assert err.count("\n") == 1
    import re

    assert re.search(says, err), err
