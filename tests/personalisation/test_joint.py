"""Committees of two front ends as one."""

from __future__ import annotations

import numpy as np
import pytest

from dissensus import Committee, Pool, Session
from dissensus.errors import ClassMismatchError, ParameterError
from dissensus.personalisation import CommitteeLearner, JointLearner

CLASSES = ("calm", "glad", "loud")
TRACKS = np.array([f"t{i}" for i in range(30)])


def part(seed: int, n_features: int, windows: int, *, order: np.ndarray, kinds=("gnb", "sgd"), classes=CLASSES, **more):
    """A committee, and a pool with the tracks in some order and with some number of windows each."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(3, n_features)) * 2
    y = np.arange(90) % 3
    committee = Committee.pretrain(
        centre[y] + rng.normal(size=(90, n_features)),
        np.array(CLASSES)[y] if classes is CLASSES else np.array(classes)[y],
        np.arange(90),
        kinds=kinds,
        classes=classes,
        n_folds=2,
    )
    rows = np.repeat(order, windows)
    pool = Pool(centre[rows % 3] + rng.normal(size=(len(rows), n_features)), TRACKS[rows])
    return CommitteeLearner(committee, pool, **more)


@pytest.fixture(scope="module")
def parts():
    """Different features, windows, orders of tracks and orders of classes."""
    forth = np.arange(30)
    return part(0, 4, 3, order=forth), part(1, 7, 1, order=forth[::-1], classes=("loud", "calm", "glad"))


def test_members_of_all_parts_speak_of_the_first_ones_tracks_and_classes(parts) -> None:
    joint = JointLearner(parts)
    proba = joint.pool_proba()
    assert proba.shape == (8, 30, 3)
    np.testing.assert_array_equal(proba[:4], parts[0].pool_proba())
    np.testing.assert_array_equal(proba[4:], parts[1].pool_proba()[:, ::-1][:, :, [1, 2, 0]])
    assert joint.classes_.tolist() == list(CLASSES)
    assert joint.informed


def test_an_answer_teaches_every_part_what_it_would_have_learnt_alone(parts) -> None:
    told = (((3, 2), (17, 0)), ((8, 1),))
    joint = JointLearner(parts).update(told)
    np.testing.assert_array_equal(joint.pool_proba()[:4], parts[0].update(told).pool_proba())
    alone = parts[1].update((((26, 0), (12, 1)), ((21, 2),)))
    np.testing.assert_array_equal(joint.pool_proba()[4:], alone.pool_proba()[:, ::-1][:, :, [1, 2, 0]])


def test_in_a_session_an_answer_taken_back_was_never_given(parts) -> None:
    session = Session(None, parts[0].pool, model=JointLearner(parts), strategy="mc", balanced=True)
    before = session.member_proba()
    first, second = session.ask(2)
    session.tell({first: "loud", second: "calm"})
    assert not np.array_equal(before, session.member_proba())
    session.undo(second)
    other = Session(None, parts[0].pool, model=JointLearner(parts), answers={first: "loud"})
    np.testing.assert_array_equal(session.member_proba(), other.member_proba())


def test_other_tracks_are_scored_by_every_part(parts) -> None:
    joint = JointLearner(parts)
    pools = [parts[0].pool.subset(TRACKS[4:9]), parts[1].pool.subset(TRACKS[4:9])]
    assert pools[0].track_ids.tolist() == pools[1].track_ids.tolist()[::-1]
    np.testing.assert_allclose(joint.predict_proba(pools), joint.pool_proba()[:, 4:9], atol=1e-6)
    with pytest.raises(ParameterError, match="1 pools for 2 parts"):
        joint.predict_proba(pools[:1])
    with pytest.raises(ParameterError, match="different tracks"):
        joint.predict_proba([pools[0], parts[1].pool.subset(TRACKS[3:8])])
    assert [c.n_features_in_ for c in joint.committees] == [4, 7]


def test_parts_that_do_not_fit_are_refused(parts) -> None:
    with pytest.raises(ParameterError, match="empty"):
        JointLearner([])
    fewer = CommitteeLearner(parts[1].committee, parts[1].pool.subset(TRACKS[:9]))
    with pytest.raises(ParameterError, match="different tracks"):
        JointLearner([parts[0], fewer])
    incremental = CommitteeLearner(parts[1].committee, parts[1].pool, update="incremental")
    with pytest.raises(ParameterError, match="incremental"):
        JointLearner([parts[0], incremental])
    strange = part(2, 3, 1, order=np.arange(30), classes=("calm", "glad", "sad"))
    with pytest.raises(ClassMismatchError, match="sad"):
        JointLearner([parts[0], strange])
