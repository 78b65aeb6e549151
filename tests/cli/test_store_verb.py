"""``dissensus store``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissensus.cli.main import main
from dissensus.store import Consent, Event, open_store


@pytest.fixture
def where(tmp_path: Path) -> str:
    with open_store(tmp_path / "s.db") as store:
        ann = store.create([Consent("personalise", "1")])
        store.append(ann, [Event("answer", track="t", label="Q1")])
    return str(tmp_path / "s.db")


def said(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, object]:
    assert main(["store", *argv, "--json"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_info_says_how_durable_it_is(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "info", where)
    assert (found["durable"], found["synchronous"], found["listeners"], found["events"]) == (True, "full", 1, 1)
    assert main(["store", "info", where]) == 0
    assert "durable" in capsys.readouterr().out


def test_verify_tells_a_log_with_a_hole(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "verify", where) == {"store": where, "whole": True, "faults": []}
    with open_store(where) as store, store._connected(write=True) as connection:
        connection.exec_driver_sql("update event set seq = 5")
    found = said(capsys, "verify", where, code=1)
    assert found["whole"] is False and "version 1, 1 events, last 5" in str(found["faults"])


def test_a_backup_is_restored_and_replaces_nothing_unasked(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int(str(said(capsys, "backup", where, str(tmp_path / "b.db"))["bytes"])) > 0
    assert said(capsys, "restore", str(tmp_path / "b.db"), str(tmp_path / "new.db"))["listeners"] == 1
    assert main(["store", "restore", str(tmp_path / "b.db"), where]) == 1
    assert "--force" in capsys.readouterr().err
    assert said(capsys, "restore", str(tmp_path / "b.db"), where, "--force")["listeners"] == 1


def test_migrate_makes_the_tables_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path / "new.db")
    assert main(["store", "info", where]) == 1
    assert "dissensus store migrate" in capsys.readouterr().err
    assert said(capsys, "migrate", where)["steps"] == ["0001"]
    assert said(capsys, "migrate", where)["steps"] == []
    assert said(capsys, "info", where)["schema"] == "0001"


@pytest.mark.parametrize("where", ["mysql://x/y", "/proc/none/s.db"])
def test_what_is_no_store_is_one_line(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "info", where]) == 1
    assert capsys.readouterr().err.count("\n") == 1
