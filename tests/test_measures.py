"""One name and one number for every measure, in Python, Numba and C++."""

from __future__ import annotations

import numpy as np
import pytest

import dissensus
from dissensus import _backend
from dissensus._measures import Measure
from dissensus.errors import ParameterError


def test_the_compiled_module_knows_the_same_measures_by_name_and_number() -> None:
    native = _backend._native()
    if native is None:
        pytest.skip("dissensus was installed without its compiled module")
    assert {m.name: m.value for m in native.Measure} == {m.name: m.value for m in Measure}


@pytest.mark.parametrize("backend", _backend.BACKENDS)
@pytest.mark.parametrize("measure", Measure, ids=lambda m: m.name)
def test_a_query_by_number_gives_what_the_kernel_of_that_name_gives(measure: Measure, backend: str) -> None:
    if backend not in _backend.available("query_top"):
        pytest.skip("dissensus was installed without its compiled module")
    rows = np.random.default_rng(3).dirichlet(np.ones(4), (3, 50)).astype(np.float32)
    rows.flags.writeable = False
    weight, utility = np.array([1.0, 2.0, 0.5]), np.empty(50, np.float32)
    _backend.resolve(measure.name, backend)(rows, weight, 0, 50, utility)
    index, score = np.empty(5, np.int64), np.empty(5)
    run = _backend.resolve("query_top", backend)
    assert run(rows, weight, int(measure), np.empty(0, np.int64), 0, 50, index, score) == 5
    np.testing.assert_allclose(score, utility[index], atol=1e-6)
    assert utility[index].min() >= np.delete(utility, index).max() - 1e-6


def test_a_state_answers_what_the_mean_alone_gives_and_says_so_otherwise() -> None:
    state = dissensus.strategies.ConsensusState(np.full((2, 3, 4), 0.25))
    for measure in Measure:
        if measure.of_the_mean:
            assert len(state.query(2, measure=measure.name).index) == 2
        else:
            with pytest.raises(ParameterError, match="the mean alone gives consensus_entropy and margin"):
                state.query(2, measure=measure.name)
