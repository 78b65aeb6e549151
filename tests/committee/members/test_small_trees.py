"""The correction's trees: kernel against its slow twin, growth that follows, files that cannot lead outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus._backend import resolve
from dissensus.committee import Committee
from dissensus.committee.members.small_trees import Bins, SmallTrees, grow
from dissensus.errors import DissensusError
from dissensus.personalisation.update import personalise


def problem(seed: int, n_rows: int, n_features: int, n_classes: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    X[:, 0] = X[:, 0] > 0
    target = np.eye(n_classes)[rng.integers(0, n_classes, n_rows)]
    return X, target, rng.uniform(0.5, 2.0, n_rows), rng.normal(size=(n_rows, n_classes))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    n_rows=st.integers(1, 40),
    n_features=st.integers(1, 4),
    n_classes=st.integers(2, 5),
    depth=st.integers(1, 3),
)
def test_kernel_equals_its_slow_twin(seed: int, n_rows: int, n_features: int, n_classes: int, depth: int) -> None:
    X, target, weight, margin = problem(seed, n_rows, n_features, n_classes)
    bins = Bins.of(X, 8)
    index = bins.index(X)
    n_bins = np.array([len(cuts) + 1 for cuts in bins.cuts])
    rng = np.random.default_rng(seed)
    column = np.array([np.sort(rng.permutation(n_features)[: max(1, n_features - 1)]) for _ in range(3)])
    found = []
    for backend in ("reference", "numba"):
        n = 2**depth - 1
        out = np.zeros((3, n), np.int64), np.zeros((3, n), np.int64), np.zeros((3, n + 1, n_classes)), margin.copy()
        work = np.zeros(n_rows, np.int64), np.zeros((n_rows, 2 * n_classes))
        histogram = np.zeros((n + 1, column.shape[1] * n_bins.max(), 2 * n_classes))
        resolve("grow_trees", backend)(
            index, n_bins, column, target, weight, out[3], np.array([0.3, 1.0, 0.3]), *out[:3], *work, histogram
        )
        found.append(out)
    for slow, fast in zip(*found, strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-9)


def test_more_cells_than_a_byte_counts_compiled_and_interpreted() -> None:
    """8 features x 64 bins: a cell's place does not wrap where numpy adds it up instead of the compiler."""
    X, target, weight, margin = problem(3, 60, 8, 3)
    bins = Bins.of(X, 64)
    n_bins = np.array([len(cuts) + 1 for cuts in bins.cuts])
    assert n_bins.max() * 8 > 256
    compiled = resolve("grow_trees", "numba")
    found = []
    for kernel in (resolve("grow_trees", "reference"), compiled, getattr(compiled, "py_func", compiled)):
        out = np.zeros((2, 3), np.int64), np.zeros((2, 3), np.int64), np.zeros((2, 4, 3)), margin.copy()
        work = np.zeros(60, np.int64), np.zeros((60, 6)), np.zeros((4, 8 * n_bins.max(), 6))
        column = np.tile(np.arange(8), (2, 1))
        kernel(bins.index(X), n_bins, column, target, weight, out[3], np.array([0.3, 1.0, 0.3]), *out[:3], *work)
        found.append(out)
    assert (found[0][0] >= 0).any()
    for others in found[1:]:
        for ours, expected in zip(others, found[0], strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n_rows=st.integers(1, 30))
def test_prediction_equals_its_slow_twin_and_what_growth_added(seed: int, n_rows: int) -> None:
    X, target, weight, margin = problem(seed, n_rows, 3, 4)
    bins = Bins.of(X, 8)
    trees = grow(bins, bins.index(X), target, weight, margin, n_trees=4, depth=2, settings=(0.3, 1.0, 0.3))
    start = margin.astype(np.float32)
    slow = start.copy()
    resolve("predict_trees", "reference")(X, trees.feature, trees.threshold, trees.leaf, slow)
    np.testing.assert_array_equal(trees.add_to(start, X), slow)
    assert not np.shares_memory(trees.add_to(start, X), start)


def test_every_value_is_left_of_its_bins_upper_cut() -> None:
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1])
    X[0, 0] = np.nextafter(
        X[1, 0], np.float32(9)
    )  # neighbours in float32 can be told apart or share a bin, never cross
    for max_bin in (2, 16, 600):
        bins = Bins.of(X, max_bin)
        index = bins.index(X)
        for f, cuts in enumerate(bins.cuts):
            assert len(cuts) < max_bin
            assert (np.diff(cuts) > 0).all()
            inside = index[:, f] < len(cuts)
            assert (X[inside, f] < cuts[index[inside, f]]).all()
            assert (X[index[:, f] > 0, f] >= cuts[index[index[:, f] > 0, f] - 1]).all()


def test_trees_learn_what_one_cut_tells() -> None:
    X = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    target = np.eye(2)[(X[:, 0] >= 0).astype(int)]
    bins = Bins.of(X, 64)
    trees = grow(bins, bins.index(X), target, np.ones(60), np.zeros((60, 2)), n_trees=20, depth=2, settings=(0.3, 1, 1))
    margin = trees.add_to(np.zeros((60, 2), np.float32), X)
    assert (margin.argmax(axis=1) == target.argmax(axis=1)).all()
    assert trees.feature[0, 0] == 0
    assert abs(trees.threshold[0, 0]) < 0.04


def test_targets_that_are_reached_ask_for_nothing() -> None:
    X = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    bins = Bins.of(X, 8)
    flat = np.full((50, 4), 0.25)
    trees = grow(bins, bins.index(X), flat, np.ones(50), np.zeros((50, 4)), n_trees=3, depth=3, settings=(0.3, 1, 1))
    assert (trees.feature == -1).all()
    np.testing.assert_allclose(trees.leaf, 0.0, atol=1e-7)


def test_of_many_features_each_tree_asks_some_drawn_by_the_seed() -> None:
    X = np.random.default_rng(2).normal(size=(80, 200)).astype(np.float32)
    target = np.eye(2)[(X[:, 7] > 0).astype(int)]
    bins = Bins.of(X, 8)
    start = np.zeros((80, 2))

    def grown(seed: int) -> SmallTrees:
        return grow(
            bins, bins.index(X), target, np.ones(80), start, n_trees=30, depth=2, settings=(0.3, 1, 1), seed=seed
        )

    np.testing.assert_array_equal(grown(1).leaf, grown(1).leaf)
    assert not np.array_equal(grown(1).feature, grown(2).feature)
    assert 7 in grown(1).feature[:, 0]


def _personal() -> Committee:
    rng = np.random.default_rng(0)
    y = np.repeat(["Q1", "Q2", "Q3", "Q4"], 20)
    X = rng.normal(size=(80, 3)) + np.arange(80)[:, None] // 20
    committee = Committee.pretrain(X, y, np.arange(80), kinds=("xgb",), n_folds=2)
    return personalise(committee, X[:9], np.array(["Q4"] * 9), np.arange(9), n0=5.0)


def test_a_correction_survives_the_file(tmp_path: Path) -> None:
    committee = _personal()
    assert all(member.correction_ is not None for member in committee.members)
    committee.save(tmp_path / "c.safetensors")
    X = np.random.default_rng(3).normal(size=(30, 3))
    again = Committee.load(tmp_path / "c.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), committee.predict_proba(X))


@pytest.mark.parametrize("part", ["feature", "threshold", "leaf"])
def test_a_file_whose_trees_lead_outside_is_refused(tmp_path: Path, part: str) -> None:
    committee = _personal()
    trees: SmallTrees = committee.members[0].correction_
    bad = {
        "feature": trees.feature + 3,
        "threshold": np.full_like(trees.threshold, np.nan),
        "leaf": trees.leaf[:, :-1].copy(),
    }[part]
    committee.members[0].correction_ = replace(trees, **{part: bad})
    committee.save(tmp_path / "c.safetensors")
    with pytest.raises(DissensusError, match=r"correction|finite"):
        Committee.load(tmp_path / "c.safetensors")
