"""The short form of ``make faults``: a sample of the points, and the positive controls that must fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import many_writers
import pytest

import faults

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose processes can be made to fail."""
    library = faults.compiled_shim(tmp_path_factory.mktemp("shim"))
    if library is None:
        pytest.skip("needs Linux and a C compiler")
    return {**os.environ, "LD_PRELOAD": str(library)}


def said_by(environment: dict[str, str], code: str) -> str:
    """What a process prints that runs ``code`` with the workload's module at hand."""
    start = f"import sys; sys.path.insert(0, {str(HERE)!r}); import store_under_faults as s\n"
    done = subprocess.run([sys.executable, "-c", start + code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("journal", "synchronous"), [("truncate", "full"), ("wal", "full")])
def test_a_power_cut_takes_nothing_that_was_acknowledged(
    preloaded: dict[str, str], journal: str, synchronous: str
) -> None:
    code = f"t = s.power_cuts({journal!r}, {synchronous!r}, 60); print(t.points, t.sound(), t, t.examples[:2])"
    assert said_by(preloaded, code).startswith("60 True")


@pytest.mark.parametrize(("journal", "synchronous"), [("truncate", "off"), ("wal", "normal")])
def test_the_model_of_a_power_cut_can_see_a_loss(preloaded: dict[str, str], journal: str, synchronous: str) -> None:
    code = f"t = s.power_cuts({journal!r}, {synchronous!r}, 40); print(t.points, t.sound(), t)"
    assert said_by(preloaded, code).startswith("40 False")


@pytest.mark.parametrize("what", ["kill", "full", "io"])
def test_a_fault_at_any_change_loses_nothing_and_is_told_by_type(preloaded: dict[str, str], what: str) -> None:
    code = f"t = s.at_every_change({what!r}, 'truncate', every=29); print(t.sound(), t.points > 10, t, t.examples[:2])"
    assert said_by(preloaded, code).startswith("True True")


def test_of_many_writers_none_is_lost(tmp_path: Path) -> None:
    wanted, there, problems, _ = many_writers.run(str(tmp_path / "s.db"), processes=2, threads=2, each=15)
    assert (there, problems) == (wanted, [])


def test_a_killed_writer_or_server_loses_nothing_on_postgresql() -> None:
    pytest.importorskip("psycopg")
    import postgres
    import postgres_under_faults

    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server with its own binaries here")
    tally, recovery = postgres_under_faults.run(points=6)
    assert tally.sound() and tally.points == 6, str(tally)
    assert recovery > 0
