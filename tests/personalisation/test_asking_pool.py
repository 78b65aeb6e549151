"""Few tracks are asked about, every track of the catalog can be scored, and a listener holds what is personal alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from crowds import draw_crowd

from dissensus import Committee, Pool, Session
from dissensus.errors import LabelError, ParameterError, UnknownTrackError
from dissensus.personalisation import AskingPool, CommitteeLearner, ListenerModel
from dissensus.personalisation import learner as learners
from dissensus.strategies import consensus_entropy

N, CLASSES = 400, ["calm", "loud", "sad", "wild"]
RNG = np.random.default_rng(1)
PLACE = RNG.normal(size=(N, 5))
X = np.repeat(PLACE, 3, axis=0) + 0.2 * RNG.normal(size=(3 * N, 5))
IDS = np.array([f"song {i:03d}" for i in range(N)])
CATALOG = Pool(X.astype(np.float32), np.repeat(IDS, 3))


@pytest.fixture(scope="module")
def committee() -> Committee:
    where = RNG.normal(size=(200, 5))
    label = np.array(CLASSES)[2 * (where[:, 0] > 0) + (where[:, 1] > 0)]
    return Committee.pretrain(where, label, np.arange(200), kinds=("gnb", "sgd", "xgb"), n_folds=2)


@pytest.fixture(scope="module")
def asking(committee: Committee) -> AskingPool:
    return AskingPool.choose(CATALOG, 40, committee=committee)


def test_what_is_chosen_is_useful_spread_over_the_classes_and_partly_random(
    committee: Committee, asking: AskingPool
) -> None:
    assert asking.pool.n_tracks == len(set(asking.index.tolist())) == 40
    assert CATALOG.track_ids[asking.index].tolist() == asking.pool.track_ids.tolist()
    np.testing.assert_array_equal(asking.pool.X, CATALOG.windows_of(asking.index)[0])
    proba = committee.predict_proba(CATALOG.X, CATALOG.groups)
    utility, leader = consensus_entropy(proba), proba.mean(axis=0).argmax(axis=1)
    drawn, useful = asking.index[:8], asking.index[8:]
    assert utility[useful].mean() > np.quantile(utility, 0.75)
    assert np.bincount(leader[useful], minlength=4).tolist() == [8, 8, 8, 8]
    assert abs(utility[drawn].mean() - utility.mean()) < 3 * utility.std() / np.sqrt(8)
    again = AskingPool.choose(CATALOG, 40, committee=committee)
    np.testing.assert_array_equal(again.index, asking.index)
    other = AskingPool.choose(CATALOG, 40, committee=committee, random_state=1)
    assert set(other.index[:8]) != set(drawn)
    assert AskingPool.choose(CATALOG, 10**6, committee=committee).pool.n_tracks == N


def test_near_duplicates_are_not_asked_twice(committee: Committee) -> None:
    twice = Pool(
        np.concatenate([X, X + 1e-5]),
        np.concatenate([np.repeat(IDS, 3), np.repeat([f"{i} (remaster)" for i in IDS], 3)]),
    )
    chosen = AskingPool.choose(twice, 60, committee=committee, random_share=0.0)
    songs = [track.removesuffix(" (remaster)") for track in chosen.pool.track_ids.tolist()]
    assert len(set(songs)) == 60


def test_bad_choices_are_refused(committee: Committee) -> None:
    with pytest.raises(UnknownTrackError, match="nowhere"):
        AskingPool(CATALOG, ["nowhere"])
    for ids in ([], ["song 001", "song 001"]):
        with pytest.raises(ParameterError, match="each once"):
            AskingPool(CATALOG, ids)
    for wrong in ({"k": 0}, {"k": 3, "random_share": 2.0}, {"k": 3, "per_track": 0}):
        with pytest.raises(ParameterError):
            AskingPool.choose(CATALOG, committee=committee, **wrong)  # type: ignore[arg-type]


def test_a_session_asks_within_the_pool_and_scores_the_catalog(committee: Committee, asking: AskingPool) -> None:
    session = Session(committee, asking, n0=5.0)
    plain = Session(committee, asking.pool, n0=5.0)
    for _ in range(3):
        query = session.ask(4)
        assert list(query) == list(plain.ask(4))
        for each in (session, plain):
            each.tell(dict.fromkeys(query, "sad"))
    np.testing.assert_array_equal(session.predict_proba(), plain.predict_proba())
    assert session.predict_proba().shape == (40, 4)
    every = session.scores(IDS)
    np.testing.assert_allclose(every[asking.index], session.predict_proba(), atol=2e-6)
    few = IDS[[399, 5, 17]]
    np.testing.assert_array_equal(session.scores(few), every[[399, 5, 17]])  # each alone, or all at once
    np.testing.assert_array_equal(np.concatenate([session.scores([track]) for track in few]), every[[399, 5, 17]])
    assert session.scores([]).shape == (0, 4)
    with pytest.raises(UnknownTrackError, match="elsewhere"):
        session.scores(["elsewhere"])


def test_candidates_are_ranked_for_the_listener(committee: Committee, asking: AskingPool) -> None:
    session = Session(committee, asking, listener="ann")
    candidates = IDS[50:90]
    ranked = session.rank([*candidates, candidates[0]], "loud")
    assert sorted(ranked.track_ids.tolist()) == candidates.tolist()
    assert (np.diff(ranked.score) <= 0).all()
    loud = session.scores(ranked.track_ids)[:, session.classes_.tolist().index("loud")]
    np.testing.assert_allclose(ranked.score, loud)
    assert session.rank(candidates[::-1], "loud", k=5).track_ids.tolist() == ranked.track_ids[:5].tolist()
    mixed = session.rank(candidates, {"loud": 1.0, "wild": 0.5})
    assert mixed.track_ids.tolist() != ranked.track_ids.tolist()
    with pytest.raises(LabelError, match="'quiet'"):
        session.rank(candidates, "quiet")
    with pytest.raises(ParameterError, match="k"):
        session.rank(candidates, "loud", k=-1)


def test_answers_from_another_nights_pool_still_count(committee: Committee, asking: AskingPool) -> None:
    session = Session(committee, asking)
    session.tell(dict.fromkeys(session.ask(6), "calm"))
    tonight = AskingPool.choose(CATALOG, 40, committee=committee, random_state=9)
    again = Session(committee, tonight, state=session.state)
    np.testing.assert_array_equal(again.scores(IDS), session.scores(IDS))
    assert not set(again.ask(40)) & set(session.answers)
    again.undo(next(iter(session.answers)))


def test_a_catalog_on_disk_is_read_for_the_tracks_asked_about_alone(
    committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CATALOG.save(tmp_path / "catalog")
    stored = Pool.open(tmp_path / "catalog")
    session = Session(committee, AskingPool(stored, IDS[:20]))
    session.tell(dict.fromkeys(session.ask(3), "sad"))
    read: list[int] = []
    plain = Pool.windows_of

    def recorded(pool: Pool, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if pool is stored:
            read.append(len(index))
        return plain(pool, index)

    monkeypatch.setattr(Pool, "windows_of", recorded)
    monkeypatch.setattr(stored, "groups", None)  # what is as long as the catalog is not made
    np.testing.assert_array_equal(session.scores(IDS[300:302]), session.scores(IDS[[300]].tolist() + [IDS[301]]))
    assert read == [2, 2]


def test_windows_of_tracks_are_theirs_in_any_layout() -> None:
    shuffled = np.random.default_rng(0).permutation(len(X))
    pool = Pool(X[shuffled], np.repeat(IDS, 3)[shuffled])
    index = pool.index_of(["song 007", "song 003"])
    found, start = pool.windows_of(index)
    assert start.tolist() == [0, 3, 6]
    for song, rows in ((7, found[:3]), (3, found[3:])):
        assert sorted(rows.tolist()) == sorted(X[3 * song : 3 * song + 3].tolist())


def test_what_a_listener_holds_does_not_grow_with_the_pool(committee: Committee) -> None:
    small, large = (CommitteeLearner(committee, CATALOG.subset(IDS[:n])) for n in (40, 400))
    held = []
    for shared in (small, large):
        session = Session(None, shared.pool, model=shared)
        new = session.nbytes
        session.tell(dict.fromkeys(session.ask(12), "sad"))
        assert session.nbytes > new
        held.append(session.nbytes)
        assert session.nbytes < 100_000
    assert abs(held[0] - held[1]) < 1000


def test_listeners_share_one_limit_for_probabilities(committee: Committee, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = CommitteeLearner(committee, CATALOG)
    one = CATALOG.n_tracks * 4 * 4
    monkeypatch.setattr(learners, "PROBA_BYTES", 3 * one)
    sessions = [Session(None, CATALOG, model=shared, listener=who) for who in range(6)]
    queries = []
    for session in sessions:
        session.tell(dict.fromkeys(session.ask(3), "sad"))
        queries.append(list(session.ask(3)))
    held = shared._shared._held
    assert sum(array.nbytes for _, array in held.values()) <= 3 * one
    monkeypatch.setattr(learners, "PROBA_BYTES", 0)
    for session, query in zip(sessions, queries, strict=True):
        alone = Session(committee, CATALOG, answers=session.answers, listener=session.listener)
        assert list(alone.ask(3)) == query
        np.testing.assert_array_equal(session.predict_proba(), alone.predict_proba())
    assert len(held) <= 1


def test_a_listener_model_of_the_catalog_asks_within_the_pool() -> None:
    crowd = draw_crowd(4, n_tracks=60)
    pool, said = crowd.pool(), crowd.annotations()
    asking = AskingPool(pool, pool.track_ids[[5, 50, 20, 11, 30, 7, 9]])
    session = Session(None, asking, model=ListenerModel(pool, said), listener="listener 2")
    query = session.ask(4)
    assert set(query) <= set(asking.pool.track_ids.tolist())
    session.tell(dict.fromkeys(query, said.classes[0]))
    assert session.predict_proba().shape == (7, 4)
    np.testing.assert_allclose(session.scores(pool.track_ids)[asking.index], session.predict_proba(), atol=1e-6)


def test_the_members_mean_is_the_same_to_the_bit_by_both_ways(committee: Committee) -> None:
    from dissensus.strategies import machine_consensus

    learner = CommitteeLearner(committee, CATALOG).update((((3, 1), (9, 2)),))
    np.testing.assert_array_equal(learner.pool_consensus(), machine_consensus(learner.pool_proba()))
