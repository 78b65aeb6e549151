"""Every member is a scikit-learn estimator, keeps its classes, and equals its textbook."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from dissensus._backend import resolve
from dissensus.committee import BoostedTrees, GaussianNaiveBayes, LogisticSGD
from dissensus.committee.members import KINDS
from dissensus.committee.members.cnn_head import CnnHead
from dissensus.errors import LabelError, ParameterError

SMALL: dict[Any, dict[str, Any]] = {
    GaussianNaiveBayes: {},
    LogisticSGD: {"random_state": 0},
    BoostedTrees: {"n_rounds": 10, "random_state": 0},
    CnnHead: {},
}
MEMBERS = [kind(**small) for kind, small in SMALL.items()]
QUADRANTS = np.array(["Q1", "Q2", "Q3", "Q4"])


def quadrants(n: int = 400, n_features: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n)
    X = rng.normal(size=(n, n_features)) * 0.8
    X[:, 0] += np.where(np.isin(y, (0, 1)), 1, -1)
    X[:, 1] += np.where(np.isin(y, (0, 3)), 1, -1)
    return X, QUADRANTS[y]


def test_every_kind_is_tried_here() -> None:
    assert set(SMALL) == set(KINDS.values())


@parametrize_with_checks(MEMBERS)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
def test_a_batch_without_a_class_renumbers_nothing(member: Any) -> None:
    """T7 and 3.2a: the original trained a batch of Q2 and Q4 as Q1 and Q2, or needed a patched library."""
    X, y = quadrants()
    model = clone(member).fit_classes(X, y, QUADRANTS)
    model.partial_fit(*(part[np.isin(y, ("Q2", "Q4"))] for part in (X, y)))
    assert model.classes_.tolist() == QUADRANTS.tolist()
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 4)
    held = proba[np.isin(y, ("Q2", "Q4"))].sum(axis=0)
    assert held[[1, 3]].min() > held[[0, 2]].max()

    only = clone(member).partial_fit(X[y == "Q3"], y[y == "Q3"], classes=QUADRANTS)
    assert (only.predict(X) == "Q3").mean() > 0.8

    lacking = clone(member).fit_classes(X[y != "Q1"], y[y != "Q1"], QUADRANTS)
    assert (lacking.predict(X[y == "Q4"]) == "Q4").mean() > 0.6
    assert (lacking.predict(X) == "Q1").sum() == 0


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
def test_class_order_is_the_one_given(member: Any) -> None:
    X, y = quadrants()
    forwards = clone(member).fit_classes(X, y, QUADRANTS).predict_proba(X)
    backwards = clone(member).fit_classes(X, y, QUADRANTS[::-1]).predict_proba(X)
    np.testing.assert_allclose(backwards[:, ::-1], forwards, atol=2e-3)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
def test_wrong_labels_and_classes_are_refused(member: Any) -> None:
    X, y = quadrants(40)
    with pytest.raises(ParameterError, match="first call"):
        clone(member).partial_fit(X, y)
    model = clone(member).partial_fit(X, y, classes=QUADRANTS)
    with pytest.raises(LabelError, match="Q9"):
        model.partial_fit(X, np.where(y == "Q1", "Q9", y))
    with pytest.raises(ParameterError, match="differ"):
        model.partial_fit(X, y, classes=QUADRANTS[::-1])
    with pytest.raises(LabelError, match="twice"):
        clone(member).partial_fit(X, y, classes=["Q1", "Q2", "Q3", "Q4", "Q1"])


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: type(m).__name__)
def test_knowing_nothing_is_uniform(member: Any) -> None:
    X, _ = quadrants(20)
    proba = clone(member).know_nothing(QUADRANTS, X.shape[1]).predict_proba(X)
    np.testing.assert_allclose(proba, 0.25, atol=1e-7)


def test_naive_bayes_equals_scikit_learn() -> None:
    X, y = quadrants(600, 12)
    weight = np.random.default_rng(1).uniform(0.1, 3, len(X))
    for sample_weight in (None, weight):
        ours = GaussianNaiveBayes().fit(X, y, sample_weight)
        theirs = GaussianNB().fit(X, y, sample_weight)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)


def test_naive_bayes_in_batches_equals_all_at_once_in_any_order() -> None:
    X, y = quadrants(300)
    whole = GaussianNaiveBayes().fit(X, y)
    for seed in range(3):
        model = GaussianNaiveBayes().partial_fit(X[:1], y[:1], classes=QUADRANTS)
        for batch in np.array_split(np.random.default_rng(seed).permutation(np.arange(1, 300)), 7):
            model.partial_fit(X[batch], y[batch])
        np.testing.assert_allclose(model.class_count_, whole.class_count_)
        np.testing.assert_allclose(model.theta_, whole.theta_, atol=1e-12)
        np.testing.assert_allclose(model.var_, whole.var_, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_kernel_equals_its_reference(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(60, 9)) * 3 + 1000).astype(dtype)
    index, weight = rng.integers(3, size=60), rng.uniform(0, 2, size=60)
    results = []
    for backend in ("numba", "reference"):
        arrays = [np.full(shape, np.nan) for shape in ((4,), (4, 9), (4, 9))]
        resolve("class_moments", backend)(X, index, weight, *arrays)
        results.append(arrays)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert results[0][0][3] == 0
    assert (results[0][1][3] == 0).all()


def test_merging_moments_equals_its_reference_and_the_moments_of_both() -> None:
    rng = np.random.default_rng(4)
    X, index, weight = rng.normal(size=(80, 5)) + 10, rng.integers(3, size=80), rng.uniform(0.1, 2, size=80)
    index[50:][index[50:] == 2] = 0  # the batch lacks a class

    def moments(rows: slice) -> list[Any]:
        arrays = [np.empty(shape) for shape in ((4,), (4, 5), (4, 5))]
        resolve("class_moments", "reference")(X[rows], index[rows], weight[rows], *arrays)
        return arrays

    before, batch, both = moments(slice(0, 50)), moments(slice(50, 80)), moments(slice(0, 80))
    for backend in ("numba", "reference"):
        models = [np.stack([part, 2 * part]) for part in before]
        resolve("merge_moments", backend)(*models, *batch)
        for model, whole in zip(models, both, strict=True):
            np.testing.assert_allclose(model[0], whole, rtol=1e-10)
        np.testing.assert_array_equal(models[1][:, 2], np.stack([before[1][2], 2 * before[1][2]]))


def test_naive_bayes_shrinks_its_memory_and_never_grows_it() -> None:
    X, y = quadrants(400)
    model = GaussianNaiveBayes().fit(X, y)
    before = model.predict_proba(X)
    model.shrink(100)
    assert model.class_count_.sum() == pytest.approx(100)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=1e-12)
    assert model.shrink(1e6).class_count_.sum() == pytest.approx(100)
    stubborn, supple = GaussianNaiveBayes().fit(X, y), GaussianNaiveBayes().fit(X, y).shrink(20)
    batch = X[:10] + 3
    for learner in (stubborn, supple):
        learner.partial_fit(batch, ["Q3"] * 10)
    assert supple.predict_proba(batch)[:, 2].mean() > stubborn.predict_proba(batch)[:, 2].mean()


def test_naive_bayes_linear_form_is_the_joint_log_likelihood() -> None:
    X, y = quadrants(200)
    model = GaussianNaiveBayes().fit(X, y)
    quadratic, linear, constant = model.linear_form()
    np.testing.assert_allclose(
        X**2 @ quadratic + X @ linear + constant, model.predict_joint_log_proba(X), rtol=1e-9, atol=1e-9
    )


def objective(coef: np.ndarray, intercept: np.ndarray, X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """scikit-learn's SGDClassifier objective, per class."""
    score = X @ coef.T + intercept
    sign = np.where(QUADRANTS[None, :] == y[:, None], 1.0, -1.0)
    return np.logaddexp(0, -sign * score).mean(axis=0) + 0.5 * alpha * (coef**2).sum(axis=1)


@pytest.mark.parametrize("alpha", [1e-3, 1e-1])
def test_logistic_reaches_the_optimum_of_scikit_learns_objective(alpha: float) -> None:
    X, y = quadrants(800)
    ours = LogisticSGD(alpha=alpha, random_state=0, tol=1e-7, max_iter=300).fit(X, y)
    reached = objective(ours.coef_, ours.intercept_, X, y, alpha)
    for c, label in enumerate(QUADRANTS):
        exact = LogisticRegression(C=1 / (alpha * len(X)), tol=1e-10, max_iter=1000).fit(X, y == label)
        best = objective(np.tile(exact.coef_, (4, 1)), np.repeat(exact.intercept_, 4), X, y, alpha)[c]
        assert reached[c] == pytest.approx(best, abs=2e-4)
    peer = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0, max_iter=3000, tol=None, average=True).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=0.02)


def test_logistic_probabilities_are_rescaled_sigmoids_as_in_scikit_learn() -> None:
    X, y = quadrants(200)
    peer = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    ours = LogisticSGD().fit(X, y)
    ours.coef_, ours.intercept_ = peer.coef_, peer.intercept_
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("averaged", [-1, 0, 37])
def test_sgd_kernel_equals_its_reference(dtype: Any, averaged: int) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 7)).astype(dtype)
    target = rng.uniform(size=(50, 4)).astype(dtype)
    weight = rng.uniform(0, 2, size=50)
    order = rng.permutation(50)
    start = [(rng.normal(size=shape) * 3).astype(dtype) for shape in ((4, 7), (4,), (4, 7), (4,))]
    results = []
    for backend in ("numba", "reference"):
        arrays = [part.copy() for part in start]
        loss = resolve("logistic_sgd", backend)(X, target, weight, order, *arrays, 0.01, 0.2, 5, averaged)
        results.append((loss, arrays))
    (loss, arrays), (loss_reference, arrays_reference) = results
    tolerance = 1e-10 if dtype is np.float64 else 1e-4
    assert loss == pytest.approx(loss_reference, rel=tolerance)
    for ours, theirs in zip(arrays, arrays_reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_boosting_continues_within_its_cap() -> None:
    X, y = quadrants(200)
    model = BoostedTrees(n_rounds=5, continue_rounds=4, max_rounds=11, random_state=0).fit(X, y)
    counts = [model.n_rounds_]
    for _ in range(3):
        counts.append(model.partial_fit(X[:40], y[:40]).n_rounds_)
    assert counts == [5, 9, 11, 11]
