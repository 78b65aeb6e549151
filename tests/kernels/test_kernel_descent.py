"""The descent of a listener's logistic weights: every twin against Newton's method in float64, from any split of the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dissensus._backend import resolve

Twin = Callable[[str], Callable[..., Any]]
F, TOL = 32, 3e-11


def panels(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(
        matrix.reshape(len(matrix), matrix.shape[1] // 32, 32).transpose(1, 0, 2), dtype=np.float32
    )


class Problem:
    """Rows that are known and rows that are told, for some members of ``n_classes`` models each."""

    def __init__(
        self, n_known: int, n_told: int, n_models: int, n_classes: int, scale: float = 1.0, rank: int = 9
    ) -> None:
        rng = np.random.default_rng((n_known, n_told, n_models))
        filled = -(-n_known // 32) * 32
        self.known, self.told = np.zeros((filled, F)), np.zeros((F + n_models, n_told), dtype=np.float32)
        self.known[:n_known, :rank] = rng.normal(size=(n_known, rank)) * scale
        self.told[:rank] = rng.normal(size=(rank, n_told)) * scale
        self.known[:n_known, rank], self.told[rank] = 1.0, 1.0
        self.start = np.zeros((n_models, filled))
        self.start[:, :n_known] = rng.normal(size=(n_models, n_known)) * 2 * scale
        self.told[F:] = rng.normal(size=(n_models, n_told)) * 2 * scale
        self.label = rng.integers(n_classes, size=n_told)
        self.weight = np.zeros(filled, dtype=np.float32)
        self.weight[:n_known] = rng.uniform(0.1, 1.0, n_known)
        self.share = rng.uniform(0.1, 2.0, n_told).astype(np.float32)
        self.penalty = np.full(F, 3.0, dtype=np.float32)
        self.penalty[rank] = 0.003
        self.n_models, self.n_classes = n_models, n_classes
        odds = 1 / (1 + np.exp(-self.start))
        self.odds = odds.astype(np.float32)
        curved = (odds * (1 - odds)).reshape(n_models // n_classes, n_classes, filled).mean(axis=0) * self.weight
        self.metric = np.stack([(self.known.T * one) @ self.known for one in (curved if filled else curved[:1])])

    def solve(self, kernel: Callable[..., Any], first: int = 0, last: int | None = None) -> tuple[np.ndarray, int]:
        last = self.n_models if last is None else last
        n, t, k = len(self.known), -(-len(self.label) // 32) * 32, last - first
        work = np.full(k * (n + t + 3 * F + F * F) + t * (2 * F + self.n_classes + 7) + 4 * F, np.nan, np.float32)
        move = np.full((k, F), np.nan, dtype=np.float32)
        steps = kernel(
            panels(self.known.T), panels(self.known), self.start[first:last].astype(np.float32), self.odds[first:last],
            self.weight, self.told, self.label, self.share, self.metric, self.penalty, self.n_classes, first, 300, TOL,
            work, np.empty((F, F)), move,
        )  # fmt: skip
        return move, steps

    def probabilities(self, move: np.ndarray) -> np.ndarray:
        """Of the told rows."""
        score = self.told[F:] + move.astype(np.float64) @ self.told[:F].astype(np.float64)
        result: np.ndarray = 1 / (1 + np.exp(-score))
        return result


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


def test_models_that_are_sure_and_wrong_are_turned_round(twin: Twin) -> None:
    """Whole steps lead far past the valley here: they must be cut."""
    problem = Problem(40, 200, 4, 4, scale=6.0)
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
