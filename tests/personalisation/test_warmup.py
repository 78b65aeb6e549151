"""After the warm-up a first request loads and compiles nothing; and it works where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIRST = """
import sys
import dissensus
dissensus.warmup()
from numba.core import event
class Compiled(event.Listener):
    seen = []
    def on_start(self, found):
        self.seen.append(found.data["dispatcher"])
    def on_end(self, found): pass
event.register("numba:compile", Compiled())
loaded = set(sys.modules)
import numpy as np
rng = np.random.default_rng(1)
y = np.tile(["calm", "loud"], 30)
committee = dissensus.Committee.pretrain(rng.normal(size=(60, 5)), y, np.arange(60), kinds=("gnb", "sgd", "xgb"), n_folds=2)
pool = dissensus.Pool(rng.normal(size=(30, 5)), [f"track {i}" for i in range(30)])
session = dissensus.Session(committee, pool)
query = session.ask(4)
session.tell({track: "loud" for track in query.track_ids})
session.ask(4)
session.predict_proba(query.track_ids)
print(sorted(set(sys.modules) - loaded), Compiled.seen)
"""


@pytest.mark.compiled
def test_a_first_request_loads_no_library_and_compiles_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


@pytest.mark.compiled
def test_it_works_without_a_home_and_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the home would be, so that nobody can write there, whoever runs the test."""
    home = tmp_path / "home"
    home.write_text("no folder")
    code = FIRST.replace("print(", "print('done') or (")
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], cwd="/proc", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"


@pytest.mark.compiled
def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("no folder")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(place)}
    code = "import numpy as np, dissensus; print(dissensus.consensus_entropy(np.full((2, 3, 2), .5), backend='numba'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0.693" in done.stdout
