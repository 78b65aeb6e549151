"""The CNN's head as a member: convex, exact, anchored to its pre-trained state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from dissensus.committee import Committee
from dissensus.committee.members.cnn_head import CnnHead
from dissensus.committee.rehearsal import Rehearsal
from dissensus.errors import ParameterError
from dissensus.personalisation.update import personalise


@parametrize_with_checks([CnnHead()])
def test_scikit_learn_contract(estimator: CnnHead, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 12)).astype(np.float32)
    y = (X @ rng.standard_normal((12, 4)) + rng.standard_normal((400, 4))).argmax(axis=1)
    return X, y


def test_converges_to_the_minimum_of_the_penalised_loss(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    head = CnnHead(alpha=0.02, max_iter=2000).fit(X, y)
    peer = LogisticRegression(C=1 / (0.02 * len(X)), tol=1e-10, max_iter=5000).fit(X, y)
    np.testing.assert_allclose(head.predict_proba(X), peer.predict_proba(X), atol=2e-3)


def _penalised(head: CnnHead, moved: CnnHead, X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    loss = -(w * log_softmax(X @ moved.coef_.T + moved.intercept_, axis=1)[np.arange(len(y)), y]).sum()
    step = np.column_stack([moved.coef_ - head.coef_, moved.intercept_ - head.intercept_])
    penalty = np.full(step.shape[1], head.anchor)
    penalty[-1] *= 1e-3
    return float(loss + 0.5 * (step**2 * penalty).sum())


def test_answers_move_it_to_the_optimum_and_no_further(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    head = CnnHead().fit(X[:200], y[:200])
    weight = np.full(40, 0.5)
    moved = head.rehearse(X[200:240], y[200:240], weight, rehearsal=None, n0=0.0)
    best = _penalised(head, moved, X[200:240], y[200:240], weight)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = CnnHead()
        other.coef_ = moved.coef_ + 1e-2 * rng.standard_normal(moved.coef_.shape)
        other.intercept_ = moved.intercept_ + 1e-2 * rng.standard_normal(4)
        assert _penalised(head, other, X[200:240], y[200:240], weight) > best


def test_more_rehearsal_means_smaller_moves_and_no_answers_none(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    head = CnnHead().fit(X, y)
    buffer = Rehearsal(X[:100], y[:100].astype(np.int64))
    wrong = (y[:20] + 1) % 4
    moves = [
        np.abs(head.rehearse(X[:20], wrong, np.ones(20), rehearsal=buffer, n0=n0).coef_ - head.coef_).max()
        for n0 in (0.0, 20.0, 200.0, 2000.0)
    ]
    assert moves == sorted(moves, reverse=True)
    assert moves[-1] < 0.5 * moves[0]
    still = head.rehearse(X[:0], y[:0], np.ones(0), rehearsal=buffer, n0=100.0)
    np.testing.assert_array_equal(still.coef_, head.coef_)


def test_a_batch_with_one_class_keeps_all_of_them(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    head = CnnHead().partial_fit(X, y, classes=[0, 1, 2, 3])
    head.partial_fit(X[:5], np.full(5, 2))
    np.testing.assert_array_equal(head.classes_, [0, 1, 2, 3])
    assert head.predict_proba(X).shape == (400, 4)
    with pytest.raises(ParameterError, match="classes must be given"):
        CnnHead().partial_fit(X, y)
    with pytest.raises(ParameterError, match="differ"):
        head.partial_fit(X, y, classes=[0, 1, 2])


def test_heads_form_a_committee_that_is_saved_and_personalised(
    problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = problem
    labels = np.array(["Q1", "Q2", "Q3", "Q4"])[y]
    committee = Committee.pretrain(X, labels, np.arange(len(X)) // 2, kinds=("cnn",), n_folds=3)
    committee.save(tmp_path / "heads.safetensors")
    again = Committee.load(tmp_path / "heads.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), committee.predict_proba(X))
    turned = np.roll(labels[:30], 7)
    mine = personalise(again, X[:30], turned, np.arange(30), n0=10.0)
    chosen = mine.predict_proba(X[:30]).mean(axis=0).argmax(axis=1)
    before = committee.predict_proba(X[:30]).mean(axis=0).argmax(axis=1)
    index = np.searchsorted(committee.classes_, turned)
    assert (chosen == index).mean() > (before == index).mean()
    without = personalise(again, X[:29], turned[:29], np.arange(29), n0=10.0)
    shuffled = np.random.default_rng(0).permutation(29)
    same = personalise(again, X[shuffled], turned[shuffled], shuffled, n0=10.0)
    np.testing.assert_array_equal(without.predict_proba(X), same.predict_proba(X))
    cold = Committee.cold_start(["Q1", "Q2", "Q3", "Q4"], X.shape[1], kinds=("cnn",))
    np.testing.assert_allclose(cold.predict_proba(X[:3]), 0.25)
