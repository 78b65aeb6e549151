"""Work of the jobs that crashes; it stands in a module because worker processes import it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dissensus.errors import LabelError
from dissensus.evaluation.run import grid
from dissensus.features import extract
from dissensus.features.sources import Excerpt

real_one, real_work = extract._one, grid._work


def crash_on_b(choice: Any, folder: Path, excerpt: Excerpt) -> Any:
    if excerpt.path.endswith("b.wav"):
        (folder / ".spill-of-a-crash").write_bytes(b"windows")
        os.abort()
    return real_one(choice, folder, excerpt)


def unit_that_fails(place: Any, parts: Path, task: Any) -> None:
    if task.repeat == 0 and not task.permuted:
        raise LabelError("a label that is none")
    real_work(place, parts, task)


def unit_that_crashes(place: Any, parts: Path, task: Any) -> None:
    if task.repeat == 0 and not task.permuted:
        os.abort()
    real_work(place, parts, task)
