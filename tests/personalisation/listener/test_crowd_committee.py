"""The crowd inside a committee: what joins give, that nothing of the listener comes in, and that it works in a session."""

from __future__ import annotations

import numpy as np
import pytest
from crowds import draw_crowd

from dissensus.committee import Committee
from dissensus.errors import ClassMismatchError, ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation import CommitteeLearner, Session
from dissensus.personalisation.listener import (
    CrowdCommittee,
    CrowdPrior,
    join_crowd,
    opinion_folds,
    with_opinion,
)

CROWD = draw_crowd(5, n_tracks=30, n_listeners=9, share=0.6)


def fitted(label: np.ndarray | None = None, keep: np.ndarray | None = None) -> CrowdPrior:
    label = CROWD.label if label is None else label
    keep = np.ones(len(label), dtype=bool) if keep is None else keep
    prior = CrowdPrior()
    return prior.fit(
        CROWD.track[keep], CROWD.listener[keep], label[keep], n_tracks=30, n_classes=4, features=CROWD.features
    )


@pytest.fixture(scope="module")
def learner() -> CommitteeLearner:
    rng = np.random.default_rng(0)
    classes = np.array(["Q1", "Q2", "Q3", "Q4"])
    X = rng.normal(size=(80, 5))
    committee = Committee.pretrain(X, classes[X[:, :4].argmax(axis=1)], np.arange(80), kinds=("gnb",), n_folds=2)
    return CommitteeLearner(committee, CROWD.pool())


def test_joins_at_their_ends() -> None:
    rng = np.random.default_rng(1)
    crowd, said, start = rng.dirichlet(np.ones(4), (3, 6))
    np.testing.assert_allclose(join_crowd(crowd, said, "member", 1.0), crowd)
    np.testing.assert_allclose(join_crowd(crowd, said, "member", 0.0), said)
    for how in ("prior", "change"):
        np.testing.assert_allclose(join_crowd(crowd, said, how, 0.0, start=start), crowd)
    np.testing.assert_allclose(join_crowd(crowd, said, "change", 0.7, start=said), crowd)
    flat = np.tile(said.mean(axis=0), (6, 1))  # a committee that hears no difference has no evidence
    np.testing.assert_allclose(join_crowd(crowd, flat, "prior", 1.0), crowd)
    by_hand = crowd * (said / said.mean(axis=0)) ** 0.5
    np.testing.assert_allclose(join_crowd(crowd, said, "prior", 0.5), by_hand / by_hand.sum(axis=1, keepdims=True))
    for how, weight, message in (("vote", 0.5, "how"), ("prior", 1.5, "weight"), ("change", 0.5, "start")):
        with pytest.raises(ParameterError, match=message):
            join_crowd(crowd, said, how, weight)


def test_leaving_out_several_listeners_is_a_fit_without_them() -> None:
    gone = np.isin(CROWD.listener, [1, 4, 7])
    belief = fitted().belief(without_listener=[1, 4, 7])
    np.testing.assert_allclose(belief.proba, fitted(keep=~gone).belief().proba, atol=1e-10)


def test_the_opinion_beside_a_label_knows_neither_its_fold_nor_the_listener() -> None:
    seen = []
    for number, (rows, proba) in enumerate(opinion_folds(fitted(), 2, n_folds=3)):
        members = np.unique(CROWD.listener[rows])
        assert 2 not in members
        without = ~np.isin(CROWD.listener, [*members, 2])
        np.testing.assert_allclose(proba, fitted(keep=without).belief().proba, atol=1e-10)
        changed = np.where(without, CROWD.label, (CROWD.label + 1) % 4)
        again = list(opinion_folds(fitted(changed), 2, n_folds=3))[number]
        np.testing.assert_allclose(proba, again[1], atol=1e-10)
        seen.append(rows)
    assert np.array_equal(np.sort(np.concatenate(seen)), np.flatnonzero(CROWD.listener != 2))
    assert len(list(opinion_folds(fitted(), None, n_folds=99))) == len(np.unique(CROWD.listener))
    with pytest.raises(ParameterError, match="n_folds"):
        next(opinion_folds(fitted(), 2, n_folds=1))


@pytest.mark.parametrize("how", ["member", "prior", "change"])
def test_in_a_session_an_answer_taken_back_was_never_given(learner: CommitteeLearner, how: str) -> None:
    belief = fitted().belief(without_listener=2)
    names = np.array(["Q1", "Q2", "Q3", "Q4"])
    joined = CrowdCommittee(learner, belief, names, how=how, weight=0.5)
    session = Session(None, learner.pool, model=joined)
    before = session.predict_proba()
    np.testing.assert_allclose(before.sum(axis=1), 1.0, atol=1e-5)
    first = session.ask(2)
    session.tell(dict.fromkeys(first, "Q2"))
    some = session.predict_proba()
    assert np.abs(some - before).max() > 1e-4
    second = session.ask(1)
    session.tell(dict.fromkeys(second, "Q4"))
    session.undo(next(iter(second)))
    assert np.array_equal(session.predict_proba(), some)
    if how == "change":
        np.testing.assert_allclose(before, belief.proba, atol=1e-6)


def test_classes_of_another_order_and_of_another_kind(learner: CommitteeLearner) -> None:
    belief = fitted().belief()
    names = np.array(["Q1", "Q2", "Q3", "Q4"])
    order = [2, 0, 3, 1]
    shuffled = type(belief)(belief.proba[:, order], belief.n_raters, belief.source, belief.class_frequency[order])
    a = CrowdCommittee(learner, belief, names).pool_proba()
    assert np.array_equal(a, CrowdCommittee(learner, shuffled, names[order]).pool_proba())
    with pytest.raises(ClassMismatchError, match="speaks of"):
        CrowdCommittee(learner, belief, np.array(["a", "b", "c", "d"]))
    fewer = CROWD.pool().subset(["track 1", "track 2"])
    with pytest.raises(ParameterError, match="one pool"):
        CrowdCommittee(CommitteeLearner(learner.committee, fewer), belief, names)


def test_the_opinion_as_features() -> None:
    pool = Pool(np.arange(12.0).reshape(6, 2), ["a", "a", "b", "b", "c", "c"], feature_names=["x", "y"])
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 3)
    heard = with_opinion(pool, proba)
    assert heard.feature_names == ("x", "y", "crowd 0", "crowd 1", "crowd 2")
    assert np.array_equal(heard.X[:, :2], pool.X)
    logs = np.log(proba)
    np.testing.assert_allclose(heard.X[::2, 2:], logs - logs.mean(axis=1, keepdims=True), rtol=1e-5)
    with pytest.raises(ParameterError, match="opinion for each"):
        with_opinion(pool, proba[:2])
