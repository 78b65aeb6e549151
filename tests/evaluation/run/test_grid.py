"""Units that fail: the others go on and are kept, and the error names what failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import crashing_work
import numpy as np
import pytest
from latent import QUICK, latent_dataset

from dissensus.errors import LabelError, WorkerDiedError
from dissensus.evaluation.run import grid
from dissensus.evaluation.run.grid import run_evaluation

DATA = latent_dataset()
SHORT = replace(QUICK, repeats=3, null_repeats=0, rounds=2)


@pytest.mark.parametrize(
    ("jobs", "unit", "error", "words"),
    [
        (1, crashing_work.unit_that_fails, LabelError, "a label that is none"),
        (2, crashing_work.unit_that_fails, LabelError, "a label that is none"),
        (2, crashing_work.unit_that_crashes, WorkerDiedError, "died of SIGABRT"),
    ],
)
def test_a_unit_that_fails_stops_no_other_and_is_named(
    jobs: int, unit: object, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    monkeypatch.setattr(grid, "_work", unit)
    with pytest.raises(error, match=f"listener 1, repeat 0: .*{words}.*2 of 3 units"):
        run_evaluation(
            DATA, SHORT, out=tmp_path, jobs=jobs, listeners=["listener 1"], progress=lambda n, _: done.append(n)
        )
    monkeypatch.undo()
    assert done == [0, 1, 2]
    again: list[int] = []
    result = run_evaluation(DATA, SHORT, out=tmp_path, listeners=["listener 1"], progress=lambda n, _: again.append(n))
    assert again == [2, 3]  # those that worked were kept
    assert set(np.unique(result.scores["repeat"])) == {0, 1, 2}


def test_where_no_unit_works_the_rest_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def fail(place: object, parts: Path, task: object) -> None:
        tried.append(task)
        raise ZeroDivisionError

    monkeypatch.setattr(grid, "_work", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        run_evaluation(DATA, replace(SHORT, repeats=20), out=tmp_path, listeners=["listener 1"])
    assert len(tried) == grid._HOPELESS < 20
    assert "0 of 20 units are done" in caught.value.__notes__[0]
