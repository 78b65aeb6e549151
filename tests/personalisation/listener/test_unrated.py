"""Trees for tracks that nobody rated: they never see the listener, and rated tracks stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from crowds import draw_crowd

from dissensus.datasets import Annotations
from dissensus.errors import ParameterError
from dissensus.personalisation.listener import CrowdPrior, ListenerModel, UnratedTrees

CROWD = draw_crowd(3, n_tracks=60, n_listeners=23, share=0.5, unrated=20)


def fitted(label: np.ndarray | None = None, keep: np.ndarray | None = None) -> CrowdPrior:
    label = CROWD.label if label is None else label
    keep = np.ones(len(label), dtype=bool) if keep is None else keep
    given = (CROWD.track[keep], CROWD.listener[keep], label[keep])
    return CrowdPrior().fit(*given, n_tracks=60, n_classes=4, features=CROWD.features)


def test_the_listener_is_not_in_their_forest() -> None:
    trees = UnratedTrees(fitted(), n_trees=5, n_folds=3).grow()
    for who in (0, 7, 22):
        changed = np.where(CROWD.listener == who, (CROWD.label + 1) % 4, CROWD.label)
        others = UnratedTrees(fitted(changed), n_trees=5, n_folds=3)
        assert np.array_equal(trees.proba(who), others.proba(who))
        assert not np.array_equal(trees.proba(None), others.proba(None))  # the votes do count, for somebody else
    assert np.array_equal(trees.proba(None), trees.proba(99))


def test_ratings_of_left_out_tracks_are_gone() -> None:
    gone = np.array([0, 3, 8, 21])
    there = np.isin(CROWD.track, gone)
    changed = np.where(there, (CROWD.label + 2) % 4, CROWD.label)
    a, b = (UnratedTrees(fitted(label), n_trees=10) for label in (None, changed))
    assert np.array_equal(a.proba(5, without_tracks=gone), b.proba(5, without_tracks=gone))
    assert not np.array_equal(a.proba(5), b.proba(5))


def test_rated_tracks_stay_and_the_others_follow_both() -> None:
    crowd = fitted()
    trees, belief = UnratedTrees(crowd, n_trees=10), crowd.belief(without_listener=4)
    joined = trees.joined(belief, 4)
    rated = belief.n_raters > 0
    assert rated.sum() >= 30
    assert np.array_equal(joined.proba[rated], belief.proba[rated])
    both = np.sqrt(belief.proba * trees.proba(4))[~rated]
    np.testing.assert_allclose(joined.proba[~rated], both / both.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(joined.proba.sum(axis=1), 1.0)
    assert joined.n_raters is belief.n_raters


def test_they_know_what_features_say() -> None:
    """On tracks without a rating the truth is known: it is likelier than under the class frequencies."""
    proba = UnratedTrees(fitted(), n_trees=50).proba(None)[40:]
    truth = CROWD.truth[40:]
    share = np.bincount(CROWD.label, minlength=4) / len(CROWD.label)
    assert (truth * np.log(proba)).sum(axis=1).mean() > (truth * np.log(share)).sum(axis=1).mean() + 0.05


def test_a_class_that_no_other_named_keeps_its_column() -> None:
    label = np.where(CROWD.listener == 2, 3, CROWD.label % 3)
    proba = UnratedTrees(fitted(label), n_trees=5).proba(2)
    assert proba.shape == (60, 4)
    assert (proba[:, 3] < 0.011).all()
    alone = CROWD.listener == 2
    flat = UnratedTrees(fitted(keep=alone), n_trees=5).proba(2)
    np.testing.assert_allclose(flat, 0.25)


def test_in_the_listener_model_also_with_groups() -> None:
    from dissensus.personalisation.listener import TrackInfo

    info = TrackInfo(group=np.arange(60) % 3)
    said: Annotations = CROWD.annotations()
    plain = ListenerModel(CROWD.pool(), said, info=info).for_listener("listener 4")
    model = ListenerModel(CROWD.pool(), said, info=info, unrated_trees=10)
    start = model.for_listener("listener 4")
    rated = plain.prior.belief.n_raters > 0
    np.testing.assert_allclose(start.proba[rated], plain.proba[rated], atol=1e-12)
    assert np.abs(start.proba[~rated] - plain.proba[~rated]).max() > 1e-3
    assert model.trees is not None
    assert model.trees.features.shape == (60, 10)
    told = start.with_answers({50: 1}).without(50)
    np.testing.assert_allclose(told.proba, start.proba, atol=1e-12)
    fresh = model.for_listener("listener 4", without_tracks=[0, 1])
    assert (fresh.prior.belief.n_raters[:2] == 0).all()


def test_what_cannot_be_is_refused() -> None:
    bare = CrowdPrior().fit(CROWD.track, CROWD.listener, CROWD.label, n_tracks=60, n_classes=4)
    with pytest.raises(ParameterError, match="features"):
        UnratedTrees(bare)
    with pytest.raises(ParameterError, match="n_folds"):
        UnratedTrees(fitted(), n_folds=1)
    with pytest.raises(ParameterError, match="n_trees"):
        UnratedTrees(fitted(), n_trees=0)
