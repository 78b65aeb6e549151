"""Functions that modAL can call: the same choice as its own, and more measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from dissensus.adapters import modal
from dissensus.errors import ParameterError
from dissensus.strategies import consensus_entropy, vote_entropy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.7)
STRATEGIES = [name for name in modal.__all__ if name.endswith("_sampling")]


class Several:
    """What modAL's committee offers to a strategy."""

    def __init__(self) -> None:
        self.members = [estimator.fit(X[:25], Y[:25]) for estimator in (GaussianNB(), LogisticRegression(C=0.05))]

    def vote_proba(self, pool: Any, scale: float = 1.0) -> np.ndarray:
        return np.stack([member.predict_proba(scale * pool) for member in self.members], axis=1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_gives_rows_and_their_utilities_best_first(name: str) -> None:
    index, utility = getattr(modal, name)(Several(), X[25:], n_instances=4)
    assert index.dtype == np.int64 and len(set(index.tolist())) == 4
    assert (np.diff(utility) <= 0).all()
    alone, _ = getattr(modal, name)(Several(), X[25:])
    assert alone.tolist() == index[:1].tolist()


def test_measures_are_those_of_the_library() -> None:
    proba = Several().vote_proba(X[25:]).transpose(1, 0, 2)
    for name, expected in (
        ("consensus_entropy_sampling", consensus_entropy(proba)),
        ("vote_entropy_sampling", vote_entropy(proba.argmax(axis=2), n_classes=3)),
    ):
        index, utility = getattr(modal, name)(Several(), X[25:], n_instances=35)
        np.testing.assert_allclose(utility, expected[index], atol=1e-6)
        assert sorted(index.tolist()) == list(range(35))


def test_further_arguments_reach_the_committee() -> None:
    one = modal.consensus_entropy_sampling(Several(), X[25:], n_instances=5)[1]
    two = modal.consensus_entropy_sampling(Several(), X[25:], n_instances=5, scale=0.1)[1]
    assert not np.allclose(one, two)


def test_a_single_classifier_is_a_committee_of_one() -> None:
    single = GaussianNB().fit(X[:25], Y[:25])
    index, utility = modal.consensus_entropy_sampling(single, X[25:], n_instances=2)
    np.testing.assert_allclose(utility, consensus_entropy(single.predict_proba(X[25:])[None])[index], atol=1e-6)


def test_equals_come_in_order_or_are_drawn() -> None:
    class Alike:
        def vote_proba(self, pool: Any) -> np.ndarray:
            return np.full((len(pool), 2, 3), 1 / 3)

    assert modal.margin_sampling(Alike(), X, n_instances=3)[0].tolist() == [0, 1, 2]
    drawn = {tuple(modal.margin_sampling(Alike(), X, 3, True)[0].tolist()) for _ in range(5)}
    assert len(drawn) > 1


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(ParameterError, match="n_instances=61"):
        modal.margin_sampling(Several(), X, n_instances=61)
    with pytest.raises(ParameterError, match="n_instances"):
        modal.margin_sampling(Several(), X, n_instances=0)
    with pytest.raises(ParameterError, match="method='best'"):
        modal.committee_sampling(Several(), X, method="best")


@pytest.mark.parametrize("name", ["consensus_entropy_sampling", "vote_entropy_sampling"])
def test_modal_itself_takes_them_in_place_of_its_own(name: str) -> None:
    """Asking works whatever scikit-learn; teaching with modAL 0.4.2 needs one before 1.8."""
    models = pytest.importorskip("modAL.models", reason="modAL-python comes with the test extra")
    disagreement = pytest.importorskip("modAL.disagreement")
    learners = [
        models.ActiveLearner(e, X_training=X[:25], y_training=Y[:25])
        for e in (GaussianNB(), LogisticRegression(C=0.05))
    ]
    committee = models.Committee(learners, query_strategy=getattr(modal, name))
    index, samples, utility = committee.query(X[25:], n_instances=3, return_metrics=True)
    np.testing.assert_array_equal(samples, X[25:][index])
    if name == "consensus_entropy_sampling":
        theirs = disagreement.consensus_entropy_sampling(committee, X[25:], n_instances=3)[1]
        np.testing.assert_allclose(np.sort(utility), np.sort(theirs), atol=1e-6)
    learner = models.ActiveLearner(
        GaussianNB(), X_training=X[:25], y_training=Y[:25], query_strategy=modal.margin_sampling
    )
    assert len(learner.query(X[25:], n_instances=2)[0]) == 2
