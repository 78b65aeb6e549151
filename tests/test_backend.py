"""The one door to the kernels."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest

import dissensus
from dissensus import _backend
from dissensus.errors import BackendUnavailableError, NativeUnavailableWarning, ParameterError


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _backend.resolve.cache_clear()
    _backend._say_native_is_missing.cache_clear()
    monkeypatch.setattr(_backend, "_native", lambda: None)
    yield
    _backend.resolve.cache_clear()


@pytest.mark.parametrize("name", sorted(_backend.MODULES))
def test_every_kernel_has_a_reference_of_the_same_arguments(name: str) -> None:
    assert "reference" in _backend.available(name)
    reference = inspect.signature(_backend.resolve(name, "reference"))
    if "numba" in _backend.available(name):
        numba = _backend.resolve(name, "numba")
        assert list(inspect.signature(getattr(numba, "py_func", numba)).parameters) == list(reference.parameters)


def test_compiled_twins_take_the_same_arguments_in_the_same_order() -> None:
    if _backend._native() is None:
        pytest.skip("dissensus was installed without its compiled module")
    for name in sorted(_backend.MODULES):
        if "native" not in _backend.available(name):
            continue
        expected = list(inspect.signature(_backend.resolve(name, "reference")).parameters)
        overloads = [text for text, *_ in _backend.resolve(name, "native").__nb_signature__]
        assert overloads
        for text in overloads:
            # "def name(a: ndarray[dtype=float32, shape=(*, *)], start: int, ...) -> None"
            inside = re.sub(r"\[[^\[\]]*\]", "", text)
            assert re.findall(r"(\w+):", inside[inside.index("(") :]) == expected, name


@pytest.mark.parametrize("name", sorted(_backend.MODULES))
def test_auto_takes_the_first_that_there_is(name: str) -> None:
    first = _backend.available(name)[0]
    assert _backend.resolve(name) is _backend.resolve(name, first)
    assert dissensus.capabilities()["kernels"][name] == first


def test_names_that_are_not() -> None:
    with pytest.raises(ParameterError, match="no kernel is called 'entrophy'; there are"):
        _backend.resolve("entrophy")
    with pytest.raises(ParameterError, match="backend='cuda'; choose 'auto', 'native'"):
        _backend.resolve("top_k", "cuda")


@pytest.mark.usefixtures("without_native")
def test_without_the_compiled_module_numba_works_and_it_is_said_once() -> None:
    with pytest.warns(NativeUnavailableWarning, match="without its compiled module"):
        first = _backend.resolve("top_k")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _backend.resolve("consensus_entropy")
    assert first is import_module("dissensus.kernels.topk").top_k
    with pytest.raises(BackendUnavailableError, match="not available in backend 'native'; available: numba, reference"):
        _backend.resolve("top_k", "native")
    seen = dissensus.capabilities()
    assert seen["native"] is False
    assert seen["instruction_set"] is None
    assert seen["kernels"]["top_k"] == "numba"


ISAS = ("baseline", "avx2", "avx512")


@pytest.mark.parametrize("mask", ISAS)
def test_a_masked_instruction_set_is_the_one_in_use(mask: str) -> None:
    if _backend._native() is None:
        pytest.skip("dissensus was installed without its compiled module")
    code = (
        "import os, dissensus\n"
        "seen = dissensus.capabilities(); print(seen['instruction_set'])\n"
        "assert seen['mask'] == os.environ.get('DISSENSUS_CAPS')\n"
        "p = [[[0.5, 0.5], [1, 0]]]\n"
        "assert dissensus.query_top(p, 1).index.tolist() == [0]\n"
    )
    ran = {}
    for given in (None, mask):
        env = {} if given is None else {"DISSENSUS_CAPS": given}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        ran[given] = done.stdout.strip()
    best = ran[None]
    # a mask lowers: it never asks for what the machine has not
    possible = ISAS.index(best) if best in ISAS else -1
    lowers = possible >= 0 or mask == "baseline"
    assert ran[mask] == (ISAS[min(ISAS.index(mask), possible)] if lowers else best)


def test_a_mask_that_is_no_instruction_set_is_named() -> None:
    code = "import dissensus; dissensus.query_top([[[0.5, 0.5], [1, 0]]], 1)"
    env = {"DISSENSUS_CAPS": "avx-2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ParameterError: DISSENSUS_CAPS='avx-2' is no instruction set; give baseline, avx2" in done.stderr


@pytest.mark.parametrize("n", [1, 2])
def test_what_is_in_use_can_be_printed(n: int) -> None:
    code = f"import dissensus, scipy.linalg; dissensus.set_threads({n}); print(dissensus.capabilities())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    lines = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    seen = dissensus.capabilities()
    assert f"dissensus {dissensus.__version__}" in done.stdout
    assert lines["threads"] == str(n)
    pools = [value for name, value in lines.items() if any(name.startswith(pool["library"]) for pool in seen["pools"])]
    assert set(pools) <= {str(n), "1"}
    assert lines["compiled module"].startswith(f"yes, {seen['instruction_set']}" if seen["native"] else "no")
    printed = [
        name for backend in _backend.BACKENDS for name in lines.get(f"{backend} kernels", "").split(", ") if name
    ]
    assert sorted(printed) == sorted(_backend.MODULES)


@pytest.mark.usefixtures("without_native")
def test_what_is_in_use_can_be_printed_without_the_compiled_module() -> None:
    text = str(dissensus.capabilities())
    assert "compiled module: no\n" in text
    assert "native kernels" not in text
    assert "consensus_entropy" in text.partition("numba kernels: ")[2]


def test_every_kernel_has_an_example() -> None:
    from dissensus.kernels._examples import EXAMPLES

    assert set(EXAMPLES) == set(_backend.MODULES)


@pytest.mark.parametrize("name", sorted(_backend.MODULES))
def test_an_example_runs_on_every_backend(name: str) -> None:
    from dissensus.kernels._examples import EXAMPLES

    for backend in _backend.available(name):
        examples = list(EXAMPLES[name]())
        assert examples
        for arguments in examples:
            _backend.resolve(name, backend)(*arguments)


def test_warmup_compiles_for_the_types_that_callers_use() -> None:
    from dissensus.kernels._examples import EXAMPLES

    dissensus.warmup()
    kernel = _backend.resolve("consensus_entropy", "numba")
    if not hasattr(kernel, "signatures"):
        pytest.skip("the JIT is off")
    for arguments in EXAMPLES["consensus_entropy"]():
        kernel(*arguments)
    before = len(kernel.signatures)
    for dtype in (np.float32, np.float64):
        dissensus.consensus_entropy(np.full((2, 5, 3), 1 / 3, dtype), backend="numba")
    assert len(kernel.signatures) == before


def test_warmup_covers_the_emotion_features() -> None:
    names = [name for name in _backend.MODULES if name.startswith("is13_")]
    kernels = {name: _backend.resolve(name, "numba") for name in names}
    dissensus.warmup()
    before = {name: len(getattr(kernel, "signatures", ())) for name, kernel in kernels.items()}
    if not any(before.values()):
        pytest.skip("the JIT is off")
    dissensus.is13(np.zeros(32000, np.float32), 16000)
    assert {name: len(getattr(kernel, "signatures", ())) for name, kernel in kernels.items()} == before


def _compiled() -> dict[str, int]:
    """How many combinations of types each kernel that Numba does by default has been compiled for."""
    kernels = {name: _backend.resolve(name) for name in _backend.MODULES if _backend.available(name)[0] == "numba"}
    return {name: len(kernel.signatures) for name, kernel in kernels.items() if hasattr(kernel, "signatures")}


def test_warmup_covers_members_sessions_agreement_and_the_summary() -> None:
    from dissensus.features.summary import summary

    dissensus.warmup()
    before = _compiled()
    if not before:
        pytest.skip("the JIT is off")
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    y = groups % 4
    X = (rng.normal(size=(120, 8)) + y[:, None]).astype(np.float32)
    committee = dissensus.Committee.pretrain(X, y, groups, kinds=("gnb", "sgd"), n_folds=2)
    committee.predict_proba(X, groups)
    for update in ("replay", "incremental"):
        session = dissensus.Session(committee, dissensus.Pool(X, groups), update=update)
        session.tell({track: int(track) % 4 for track in session.ask(2).track_ids})
        session.ask(2)
    for level in ("nominal", "interval"):
        dissensus.krippendorff_alpha(rng.normal(size=(5, 30)), level=level)
        dissensus.krippendorff_alpha(rng.integers(1, 6, (5, 30)), level=level)
    summary(rng.normal(size=16000).astype(np.float32), 16000)
    assert _compiled() == before


def test_the_suite_of_a_kernel_runs_with_the_jit_off() -> None:
    code = (
        "import numpy as np, dissensus\n"
        "from dissensus.strategies import query_top\n"
        "p = np.random.default_rng(0).dirichlet(np.ones(4), (3, 50)).astype('f4')\n"
        "a = query_top(p, 5, backend='numba'); b = query_top(p, 5, backend='reference')\n"
        "assert (a.index == b.index).all() and (a.utility == b.utility).all()\n"
        "import numba; print(numba.config.DISABLE_JIT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "1"


def test_the_compiled_module_refuses_with_the_library_s_own_error() -> None:
    if _backend._native() is None:
        pytest.skip("dissensus was installed without its compiled module")
    kernel = _backend.resolve("consensus_entropy", "native")
    rows, out = np.full((2, 3, 4), 0.25, np.float32), np.empty(3, np.float32)
    with pytest.raises(ParameterError, match="weight must hold one number per member"):
        kernel(rows, np.ones(3), 0, 3, out)
    with pytest.raises(ParameterError, match="start and stop must lie in the array"):
        kernel(rows, np.ones(2), 0, 4, out)
