"""The descent of a listener's logistic weights: every twin against Newton's method in float64, from any split of the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anchored_problem import F, Problem

from dissensus._backend import resolve

Twin = Callable[[str], Callable[..., Any]]


@pytest.mark.parametrize(
    ("n_known", "n_told", "n_models", "n_classes"),
    [(0, 1, 2, 2), (0, 40, 4, 4), (50, 1, 4, 4), (64, 33, 6, 3), (150, 300, 20, 4), (32, 32, 35, 5)],
)
def test_descent_finds_the_minimum(twin: Twin, n_known: int, n_told: int, n_models: int, n_classes: int) -> None:
    problem = Problem(n_known, n_told, n_models, n_classes)
    expected, _ = problem.solve(resolve("anchored_descent", "reference"))
    move, steps = problem.solve(twin("anchored_descent"))
    assert 1 <= steps < 60
    np.testing.assert_allclose(problem.probabilities(move), problem.probabilities(expected), atol=5e-6)
    assert np.abs(problem.probabilities(expected) - problem.probabilities(np.zeros_like(expected))).max() > 0.02


@pytest.mark.parametrize(("n_known", "n_told"), [(40, 200), (0, 40)])
def test_models_that_are_sure_and_wrong_are_turned_round(twin: Twin, n_known: int, n_told: int) -> None:
    """Where nothing is known, whole steps lead past the valley: they must be cut."""
    problem = Problem(n_known, n_told, 4, 4, scale=6.0)
    expected, _ = problem.solve(resolve("anchored_descent", "reference"))
    move, steps = problem.solve(twin("anchored_descent"))
    assert steps < 300
    np.testing.assert_allclose(problem.probabilities(move), problem.probabilities(expected), atol=1e-4)


def test_a_model_does_not_depend_on_those_beside_it(twin: Twin) -> None:
    problem = Problem(64, 70, 20, 4)
    whole, _ = problem.solve(twin("anchored_descent"))
    parts = [problem.solve(twin("anchored_descent"), a, b)[0] for a, b in ((0, 3), (3, 10), (10, 20))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_nothing_told_moves_nothing(twin: Twin) -> None:
    move, _ = Problem(64, 0, 4, 4).solve(twin("anchored_descent"))
    np.testing.assert_array_equal(move, 0)


def test_a_row_that_is_not_a_number_stays_where_it_is(twin: Twin) -> None:
    problem = Problem(64, 20, 8, 4)
    expected, _ = problem.solve(twin("anchored_descent"))
    problem.told[F + 2, 5] = np.nan  # what one model says of one row
    move, _ = problem.solve(twin("anchored_descent"))
    others = [k for k in range(8) if k != 2]
    np.testing.assert_array_equal(move[others], expected[others])


@pytest.mark.parametrize(("n_rows", "n_features", "n_blocks"), [(0, 3, 1), (1, 1, 2), (7, 40, 2), (13, 261, 1)])
def test_projection_equals_its_reference(twin: Twin, n_rows: int, n_features: int, n_blocks: int) -> None:
    rng = np.random.default_rng(n_rows)
    X = rng.normal(size=(20, n_features)).astype(np.float32)
    row, basis = rng.integers(20, size=n_rows), rng.normal(size=(n_blocks, n_features, 32)).astype(np.float32)
    found, expected = (np.full((32 * n_blocks, n_rows), np.nan, np.float32) for _ in range(2))
    twin("project_rows")(X, row, basis, found)
    resolve("project_rows", "reference")(X, row, basis, expected)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-5)


def test_compiled_descent_refuses_arrays_that_do_not_fit() -> None:
    pytest.importorskip("dissensus._native")
    kernel, project = resolve("anchored_descent", "native"), resolve("project_rows", "native")
    X, basis = np.zeros((4, 3), np.float32), np.zeros((1, 3, 32), np.float32)
    with pytest.raises(ValueError, match="not in X"):
        project(X, np.array([4]), basis, np.zeros((32, 1), np.float32))
    with pytest.raises(ValueError, match="basis"):
        project(X[:, :2].copy(), np.array([0]), basis, np.zeros((32, 1), np.float32))

    def spoilt(place: int, shape: tuple[int, ...]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            given = list(arguments)
            given[place] = np.zeros(shape, given[place].dtype)
            return kernel(*given)

        return call

    for place, shape, said in (
        (0, (2, 16, 32), "known must be"), (2, (3, 64), "known_start"), (5, (32 + 3, 20), "told must be"),
        (8, (4, 31, 31), "metric"), (14, (100,), "work is too small"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            Problem(64, 20, 4, 4).solve(spoilt(place, shape))
