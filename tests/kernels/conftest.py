"""Every twin of a kernel by name: Numba, and the compiled one in each instruction set this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from dissensus import _backend

TWINS = ("numba", "native-baseline", "native-avx2", "native-avx512")


@pytest.fixture(scope="module", params=TWINS)
def twin(request: pytest.FixtureRequest) -> Iterator[Callable[..., Callable[..., Any]]]:
    """``twin(name)`` is the kernel ``name`` of one backend and instruction set, without arithmetic warnings."""
    backend, _, isa = request.param.partition("-")
    patch = pytest.MonkeyPatch()
    native = _backend._native()
    if backend == "native":
        if native is None:
            pytest.skip("dissensus was installed without its compiled module")
        patch.setenv("DISSENSUS_CAPS", isa)
        native.refresh_instruction_set()
        if native.instruction_set() != isa:
            patch.undo()
            native.refresh_instruction_set()
            pytest.skip(f"this machine has no {isa}")

    def named(name: str) -> Callable[..., Any]:
        kernel = _backend.resolve(name, backend)

        def call(*arguments: Any) -> Any:
            with np.errstate(all="ignore"):  # with the JIT off, Numba's sources run as numpy scalars
                return kernel(*arguments)

        return call

    yield named
    patch.undo()
    if native is not None:
        native.refresh_instruction_set()
