"""Taking the best few, as users call it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dissensus.errors import ParameterError
from dissensus.strategies import select_top

BACKENDS = ("auto", "numba", "reference")


@pytest.mark.parametrize("backend", BACKENDS)
def test_best_first_lowest_position_among_equals_nan_last(backend: str) -> None:
    utility = [0.5, np.nan, 0.9, 0.5, 0.9, -np.inf, np.inf]
    np.testing.assert_array_equal(select_top(utility, 7, backend=backend), [6, 2, 4, 0, 3, 5, 1])
    np.testing.assert_array_equal(select_top(utility, 3, exclude=[6, 2], backend=backend), [4, 0, 3])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "?", ">f8"])
def test_any_real_type_and_any_stride(backend: str, dtype: str) -> None:
    utility = np.arange(40).reshape(20, 2).astype(dtype)[:, 0]
    expected = np.argsort(-utility.astype(float), kind="stable")[:5]
    got = select_top(utility, 5, backend=backend)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected)


def test_whole_numbers_that_float64_holds_keep_their_order() -> None:
    np.testing.assert_array_equal(select_top(np.array([2**53 - 2, 2**53, 2**53 - 1]), 3), [1, 2, 0])


def test_fewer_than_asked_for() -> None:
    np.testing.assert_array_equal(select_top([1.0, 2.0], 5), [1, 0])
    assert select_top([1.0, 2.0], 5, exclude=[True, True]).size == 0
    assert select_top([], 3).size == 0
    assert select_top([1.0], 0).size == 0


@pytest.mark.parametrize(
    ("utility", "k", "options", "says"),
    [
        ([[1.0]], 1, {}, r"\(n_tracks,\)"),
        (["a"], 1, {}, "real numbers"),
        ([1.0], -1, {}, "k=-1"),
        ([1.0], 1.5, {}, "k=1.5"),
        ([1.0], True, {}, "k=True"),
        ([1.0], 1, {"exclude": [1]}, r"0\.\.0"),
        ([1.0], 1, {"exclude": [True, False]}, "mask"),
    ],
)
def test_what_cannot_be_is_refused_by_name(utility: Any, k: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        select_top(utility, k, **options)


def test_the_utility_is_not_touched() -> None:
    utility = np.random.default_rng(0).random(5000).astype(np.float32)
    before = utility.copy()
    select_top(utility, 10)
    np.testing.assert_array_equal(utility, before)
    assert utility.flags.writeable
