"""The committee: ten linear members over a pool, one answer learnt, and an answer followed by the next question.

The peer is scikit-learn with the same parameters: ``GaussianNB`` and ``SGDClassifier``, ``predict_proba`` over the same
standardised windows, mean per track, ``partial_fit`` for an answer. One thread unless the name says two:

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 pytest benchmarks/test_bench_committee.py --benchmark-enable \
        --benchmark-group-by=group --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from dissensus import Pool, Session, set_threads
from dissensus.committee import Committee, GaussianNaiveBayes, LogisticSGD, TrackScorer
from dissensus.personalisation.update import personalise

N_WINDOWS, N_FEATURES, CLASSES = 60, 260, np.array(["Q1", "Q2", "Q3", "Q4"])


class Workload(NamedTuple):
    X: Any
    y: Any
    track: Any
    theirs: list[Any]
    ours: Committee
    expected: Any


def windows(n_tracks: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Standardised windows of correlated features, as a front end makes them."""
    rng = np.random.default_rng(seed)
    quadrant = np.repeat(rng.integers(4, size=n_tracks), N_WINDOWS)
    hidden = rng.normal(size=(len(quadrant), 40))
    hidden[:, :4] += 1.5 * np.eye(4)[quadrant]
    X = hidden @ rng.normal(size=(40, N_FEATURES)) + rng.normal(size=(len(quadrant), N_FEATURES))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X.astype(np.float32), CLASSES[quadrant], np.repeat(np.arange(n_tracks), N_WINDOWS)


@pytest.fixture(scope="module")
def catalogue() -> Workload:
    X, y, track = windows(2000)
    theirs, ours = [], []
    for j in range(5):
        rows = np.random.default_rng(j).permutation(len(X))[:4000]
        theirs.append(GaussianNB().fit(X[rows], y[rows]))
        ours.append(GaussianNaiveBayes().fit(X[rows], y[rows]))
    for j in range(5):
        rows = np.random.default_rng(j).permutation(len(X))[:4000]
        theirs.append(SGDClassifier(loss="log_loss", random_state=j).fit(X[rows], y[rows]))
        ours.append(LogisticSGD().know_nothing(CLASSES, N_FEATURES))
        ours[-1].coef_, ours[-1].intercept_ = theirs[-1].coef_, theirs[-1].intercept_
    return Workload(X, y, track, theirs, Committee(ours, CLASSES), by_scikit_learn(theirs, X))


def by_scikit_learn(members: list[Any], X: Any) -> Any:
    starts = np.arange(0, len(X), N_WINDOWS)
    return np.stack([np.add.reduceat(member.predict_proba(X), starts) / N_WINDOWS for member in members])


@pytest.mark.parametrize("who", ["scikit-learn", "dissensus", "dissensus, 2 threads"])
def test_predict(benchmark: Any, catalogue: Workload, who: str) -> None:
    benchmark.group = f"ten linear members predict|{len(catalogue.X)}x{N_FEATURES}"
    calls = {
        "scikit-learn": lambda: by_scikit_learn(catalogue.theirs, catalogue.X),
        "dissensus": lambda: catalogue.ours.predict_proba(catalogue.X, catalogue.track),
        "dissensus, 2 threads": lambda: catalogue.ours.predict_proba(catalogue.X, catalogue.track, n_threads=2),
    }
    np.testing.assert_allclose(calls[who](), catalogue.expected, atol=1e-5)
    with threadpool_limits(1):
        benchmark.pedantic(calls[who], rounds=3 if who == "scikit-learn" else 15)


@pytest.mark.parametrize("who", ["scikit-learn", "dissensus"])
@pytest.mark.parametrize("kind", ["gnb", "sgd"])
def test_one_answer(benchmark: Any, catalogue: Workload, kind: str, who: str) -> None:
    """One member learns the 60 windows of an answer: by ``partial_fit``, checks of the input included."""
    benchmark.group = f"one answer, {kind}|{N_WINDOWS}x{N_FEATURES}"
    X, y = catalogue.X[:N_WINDOWS], catalogue.y[:N_WINDOWS]
    place = 0 if kind == "gnb" else 5
    member = copy.deepcopy((catalogue.theirs if who == "scikit-learn" else list(catalogue.ours.members))[place])
    assert member.partial_fit(X, y).predict(X[:1])[0] in CLASSES
    with threadpool_limits(1):
        benchmark(member.partial_fit, X, y)


@pytest.mark.parametrize("kind", ["gnb", "sgd"])
@pytest.mark.parametrize("n_answers", [1, 60])
def test_replay(benchmark: Any, pretrained: Committee, kind: str, n_answers: int) -> None:
    """Five members of a kind refitted on every answer so far and their rehearsal."""
    benchmark.group = f"replay of five members, {kind}|{n_answers} answers"
    X, y, track = windows(60)
    committee = Committee(
        [m for m, name in zip(pretrained.members, pretrained.member_kinds, strict=True) if name == kind],
        CLASSES,
        scaler=pretrained.scaler_,
        rehearsal=pretrained.rehearsal,
    )
    rows = track < n_answers
    assert len(personalise(committee, X[rows], y[rows], track[rows])) == 5
    with threadpool_limits(1):
        benchmark(personalise, committee, X[rows], y[rows], track[rows])


@pytest.fixture(scope="module")
def pretrained() -> Committee:
    X, y, track = windows(100, seed=1)
    return Committee.pretrain(X, y, track, kinds=("gnb", "sgd"), n_folds=5)


@pytest.mark.parametrize("who", ["scikit-learn, partial_fit", "dissensus, replay", "dissensus, replay, 2 threads"])
def test_tell_and_ask(benchmark: Any, pretrained: Committee, who: str) -> None:
    """An answer about the fifth track, learnt by ten linear members, then the four tracks to ask next."""
    X, y, track = windows(1000)
    benchmark.group = f"tell + ask, ten linear members|1000x{N_WINDOWS}x{N_FEATURES}"
    rows = track < 5
    if who.startswith("scikit"):
        members = by_hand(X, y)

        def turn() -> Any:
            for member in members:
                member.partial_fit(X[4 * N_WINDOWS : 5 * N_WINDOWS], y[4 * N_WINDOWS : 5 * N_WINDOWS])
            return best(by_scikit_learn(members, X))

    else:
        scorer = TrackScorer(pretrained, X, track, n_threads=2 if "2" in who else 1)
        turns = [personalise(pretrained, X[track < n], y[track < n], track[track < n]) for n in (4, 5)]
        np.testing.assert_allclose(scorer.predict_proba(turns[1]), turns[1].predict_proba(X, track), atol=2e-6)

        def turn() -> Any:
            scorer.predict_proba(turns[0])  # what the last question left behind; not part of this turn
            return None

        def answer() -> Any:
            return best(scorer.predict_proba(personalise(pretrained, X[rows], y[rows], track[rows])))

    with threadpool_limits(1):
        if who.startswith("scikit"):
            benchmark.pedantic(turn, rounds=3)
        else:
            benchmark.pedantic(answer, setup=turn, rounds=30)


def by_hand(X: Any, y: Any) -> list[Any]:
    members: list[Any] = [GaussianNB() for _ in range(5)]
    members += [SGDClassifier(loss="log_loss", random_state=j) for j in range(5)]
    return [member.partial_fit(X[::60], y[::60], classes=CLASSES) for member in members]


def best(proba: Any) -> Any:
    mean = np.maximum(proba.mean(axis=0), 1e-12)
    return np.argpartition((mean * np.log(mean)).sum(axis=1), 4)[:4]


@pytest.mark.parametrize("who", ["dissensus", "dissensus, 2 threads"])
def test_session_turn(benchmark: Any, pretrained: Committee, who: str) -> None:
    """The same through the public face: ``Session.tell`` of one answer and ``Session.ask`` of the next track."""
    set_threads(2 if "2" in who else 1)
    X, y, track = windows(1000)
    benchmark.group = f"tell + ask, ten linear members|1000x{N_WINDOWS}x{N_FEATURES}"
    session = Session(pretrained, Pool(X, track), strategy="mc")
    truth = dict(zip(track.tolist(), y.tolist(), strict=True))

    def turn() -> Any:
        query = session.ask(1)
        session.tell({name: truth[name] for name in np.asarray(query.track_ids).tolist()})
        return query

    assert len(turn().track_ids) == 1
    with threadpool_limits(1):
        benchmark.pedantic(turn, rounds=20, warmup_rounds=2)
    set_threads(1)


@pytest.fixture(scope="module")
def boosted() -> Committee:
    set_threads(1)
    X, y, track = windows(100, seed=1)
    return Committee.pretrain(X, y, track, kinds=("xgb",), n_folds=5)


@pytest.mark.parametrize("who", ["xgboost, every tree", "dissensus, new trees"])
@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_boosted_after_an_update(benchmark: Any, boosted: Committee, update: str, who: str) -> None:
    """Five boosted members asked about every track again, after they learnt one answer.

    Replay adds 10 rounds of stumps, the published update 100 rounds of trees. The peer is ``inplace_predict`` of all rounds
    from the first on; for replay of those before the update alone, which flatters it.
    """
    import xgboost

    X, y, track = windows(500)
    benchmark.group = f"five boosted members asked again, {update}|{len(X)}x{N_FEATURES}"
    rows = track < 1
    taught = personalise(boosted, X[rows], y[rows], track[rows], update=update)
    scaled = boosted.scale(X)
    starts = np.arange(0, len(X), N_WINDOWS)
    if who.startswith("xgboost"):
        models = [member.booster_ for member in boosted.members]
        if update == "incremental":
            data = xgboost.DMatrix(boosted.scale(X[rows]), np.searchsorted(CLASSES, y[rows]))
            options = {
                "objective": "multi:softprob",
                "num_class": 4,
                "max_depth": 5,
                "tree_method": "exact",
                "nthread": 1,
            }
            models = [xgboost.train(options, data, 100, xgb_model=model) for model in models]
        assert all(model.num_boosted_rounds() == (200 if update == "incremental" else 100) for model in models)
        for model in models:
            model.set_param({"nthread": 1})

        def again() -> Any:
            return [np.add.reduceat(model.inplace_predict(scaled), starts) / N_WINDOWS for model in models]

        assert np.shape(again()) == (5, len(starts), 4)
        benchmark.pedantic(again, rounds=3)
    else:
        scorer = TrackScorer(boosted, X, track)
        before = scorer.predict_proba(boosted)
        proba = np.stack([member.predict_proba(scaled) for member in taught.members])
        expected = np.add.reduceat(proba, starts, axis=1) / N_WINDOWS
        np.testing.assert_allclose(scorer.predict_proba(taught), expected, atol=1e-5)
        assert np.abs(before - expected).max() > 1e-3

        def forget() -> None:
            scorer.predict_proba(boosted)

        benchmark.pedantic(scorer.predict_proba, args=(taught,), setup=forget, rounds=10)
