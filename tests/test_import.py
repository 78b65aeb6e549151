"""Importing dissensus costs numpy and no more; what a first query loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dissensus import _backend

HEAVY = (
    "numba",
    "llvmlite",
    "scipy",
    "sklearn",
    "pandas",
    "torch",
    "xgboost",
    "onnxruntime",
    "matplotlib",
    "soundfile",
)


def _loaded_by(code: str) -> set[str]:
    """Top-level packages in ``sys.modules`` of a fresh process after ``code``."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_numpy_alone() -> None:
    more = _loaded_by("import dissensus") - _loaded_by("import numpy")
    third = {name for name in more if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert third == {"dissensus"}


def test_public_names_are_listed_and_unknown_ones_refused() -> None:
    import dissensus

    assert set(dissensus.__all__) <= set(dir(dissensus))
    with pytest.raises(AttributeError, match="has no attribute 'entrophy'"):
        _ = dissensus.entrophy


def test_a_first_query_on_the_compiled_kernels_loads_nothing_heavy() -> None:
    if _backend._native() is None:
        pytest.skip("dissensus was installed without its compiled module")
    loaded = _loaded_by(
        "import numpy as np, dissensus\n"
        "h = dissensus.consensus_entropy(np.full((3, 10, 4), 0.25, np.float32))\n"
        "dissensus.select_top(h, 3)"
    )
    assert not loaded & set(HEAVY)
