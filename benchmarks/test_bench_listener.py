"""The listener model: the nightly fit, one listener left out, one answer, at a study's size and at a service's.

Peers: for the fit and the leave-out, Gaussian process regression over all ratings as in the textbook (one n x n Cholesky
factorisation, refitted without the listener), which gives the same numbers. At a service's size the peer is how it was done
before: everybody's ratings copied and sorted for each listener, votes taken out one by one. Run with one BLAS thread:

    OPENBLAS_NUM_THREADS=1 pytest benchmarks/test_bench_listener.py --benchmark-enable --benchmark-group-by=group
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from dissensus.features.pool import Pool
from dissensus.personalisation.listener import ListenerModel, OrdinalModel
from dissensus.personalisation.listener.crowd_prior import CrowdPrior, CrowdSettings, rbf_kernel

STUDY = (1_000, 200, 5_000)
SERVICE = (100_000, 10_000, 1_000_000)


def ratings(shape: tuple[int, int, int]) -> tuple[Any, Any, Any, Any]:
    n_tracks, n_listeners, n = shape
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n_tracks, 20))
    pair = np.unique(rng.integers(0, n_tracks, n) * n_listeners + rng.integers(0, n_listeners, n))
    track, listener = np.divmod(pair, n_listeners)
    label = (features[track, :4] + rng.normal(size=(len(pair), 4))).argmax(axis=1)
    return track, listener, label, features


def textbook(track: Any, listener: Any, label: Any, features: Any) -> Any:
    settings = CrowdSettings()
    smooth = settings.feature_weight * rbf_kernel(features, features, settings.length)
    smooth[np.diag_indices(len(features))] += settings.track_weight
    covariance = smooth[np.ix_(track, track)] + settings.listener_weight * (listener[:, None] == listener)
    covariance[np.diag_indices(len(track))] += settings.noise
    share = np.bincount(label, minlength=4) / len(label)
    solved = cho_solve(cho_factor(covariance, lower=True, overwrite_a=True), np.eye(4)[label] - share)
    proba = np.maximum(share + smooth[:, track] @ solved, settings.floor)
    return proba / proba.sum(axis=1, keepdims=True)


def fit(shape: tuple[int, int, int]) -> CrowdPrior:
    track, listener, label, features = ratings(shape)
    return CrowdPrior().fit(track, listener, label, n_tracks=shape[0], n_classes=4, features=features)


@pytest.fixture(scope="module")
def study() -> CrowdPrior:
    return fit(STUDY)


@pytest.mark.parametrize("who", ["dissensus", "textbook"])
def test_fit(benchmark: Any, who: str) -> None:
    benchmark.group = f"crowd_prior fit|{STUDY[2]}x{STUDY[0]}"
    data = ratings(STUDY)
    if who == "textbook":
        proba = benchmark.pedantic(lambda: textbook(*data), rounds=2)
    else:
        proba = benchmark.pedantic(lambda: fit(STUDY), rounds=3).belief().proba
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize("who", ["dissensus", "textbook"])
def test_leave_a_listener_out(benchmark: Any, study: CrowdPrior, who: str) -> None:
    benchmark.group = f"crowd_prior leave out|{STUDY[2]}x{STUDY[0]}"
    track, listener, label, features = ratings(STUDY)
    keep = listener != 7
    expected = textbook(track[keep], listener[keep], label[keep], features)
    np.testing.assert_allclose(study.belief(without_listener=7).proba, expected, atol=1e-10)
    if who == "textbook":
        benchmark.pedantic(lambda: textbook(track[keep], listener[keep], label[keep], features), rounds=2)
    else:
        benchmark(lambda: study.belief(without_listener=7))


@pytest.mark.parametrize("shape", [STUDY, SERVICE], ids=["study", "service"])
@pytest.mark.parametrize("n_answers", [10, 60])
def test_answer(benchmark: Any, shape: tuple[int, int, int], n_answers: int) -> None:
    """One more answer, then the probabilities of every track."""
    benchmark.group = f"answer|{shape[0]} tracks"
    start = _model(shape).for_listener(3)
    rng = np.random.default_rng(1)
    order = rng.permutation(shape[0])
    answers = {int(t): int(c) for t, c in zip(order[:n_answers], rng.integers(0, 4, n_answers), strict=True)}
    told = start.with_answers(answers)
    np.testing.assert_allclose(told.proba.sum(axis=1), 1)
    fresh = iter(order[n_answers:].tolist())
    benchmark.pedantic(lambda track: told.with_answers({track: 1}).proba, setup=lambda: ((next(fresh),), {}), rounds=15)


_models: dict[tuple[int, int, int], ListenerModel] = {}


def _model(shape: tuple[int, int, int]) -> ListenerModel:
    if shape not in _models:
        track, listener, label, features = ratings(shape)
        said = SimpleNamespace(listener_id=listener, track_id=track, label=label, classes=("Q1", "Q2", "Q3", "Q4"))
        _models[shape] = ListenerModel(Pool(features, np.arange(shape[0])), said)
    return _models[shape]


@pytest.mark.parametrize("n_answers", [10, 60])
def test_ordered_answer(benchmark: Any, n_answers: int) -> None:
    """One more rating on two scales of nine levels, then the probability of every level of every track."""
    benchmark.group = f"ordered answer|{STUDY[0]} tracks, 2 scales, 9 levels"
    track, listener, _, features = ratings(STUDY)
    rng = np.random.default_rng(0)
    value = np.clip(np.rint(5.0 + 2.0 * features[track, :2] + rng.normal(size=(len(track), 2))), 1, 9)
    model = OrdinalModel(Pool(features, np.arange(STUDY[0])), listener, track, value, levels=np.arange(1, 10))
    order = rng.permutation(STUDY[0])
    told = model.for_listener(3).with_ratings({int(t): rng.integers(1, 10, 2) for t in order[:n_answers]})
    np.testing.assert_allclose(told.proba.sum(axis=2), 1)
    assert (
        told.without(int(order[0])).with_ratings({int(order[0]): told.ratings[int(order[0])]}).proba == told.proba
    ).all()
    benchmark(lambda: told.with_ratings({int(order[-1]): (7, 2)}).proba)


def test_fit_service(benchmark: Any) -> None:
    benchmark.group = f"crowd_prior fit|{SERVICE[2]}x{SERVICE[0]}"
    prior = benchmark.pedantic(lambda: fit(SERVICE), rounds=1)
    np.testing.assert_allclose(prior.belief().proba.sum(axis=1), 1)


def test_leave_out_service(benchmark: Any) -> None:
    benchmark.group = f"crowd_prior leave out|{SERVICE[2]}x{SERVICE[0]}"
    crowd = _model(SERVICE).crowd
    belief = benchmark.pedantic(lambda: crowd.belief(without_listener=7), rounds=3)
    assert belief.n_raters.sum() == (crowd.listener != 7).sum()


ASKED = 1_000  # tracks of the asking pool


def _asked(shape: tuple[int, int, int]) -> Pool:
    """The pool that is asked about: a part of the catalogue, made once."""
    model = _model(shape)
    if shape not in _pools:
        _pools[shape] = model.pool.subset(
            np.sort(np.random.default_rng(5).choice(shape[0], ASKED, replace=False)).tolist()
        )
        model.asked(_pools[shape])
    return _pools[shape]


_pools: dict[tuple[int, int, int], Pool] = {}


def copied(crowd: CrowdPrior, listener: int) -> Any:
    """What a listener's start took before: the others' ratings, copied and sorted by listener and by track."""
    kept = crowd.listener != listener
    track, listeners, label = crowd.track[kept], crowd.listener[kept], crowd.label[kept]
    order = np.lexsort((track, listeners))
    columns = [column[order] for column in (track, listeners, label)]
    return columns, np.argsort(columns[0], kind="stable")


@pytest.mark.parametrize("who", ["dissensus", "a copy for each listener"])
def test_new_listener_service(benchmark: Any, who: str) -> None:
    """Aim: at most 10 ms."""
    benchmark.group = f"new listener|{SERVICE[2]} ratings, {ASKED} of {SERVICE[0]} tracks asked"
    model, asked = _model(SERVICE), _asked(SERVICE)
    people = iter(range(10, 10_000))
    own = model.crowd.listener == 3
    raters = model.for_listener(3, asked=asked).prior.belief.n_raters
    assert raters.sum() == (~own & np.isin(model.crowd.track, asked.track_ids)).sum()
    if who == "dissensus":
        benchmark.pedantic(lambda: model.for_listener(next(people), asked=asked), rounds=20)
    else:
        columns, _ = benchmark.pedantic(lambda: copied(model.crowd, next(people)), rounds=3)
        assert len(columns[0]) < len(own)


@pytest.mark.parametrize("crowd", ["a stranger", "one of the crowd"])
def test_first_belief_service(benchmark: Any, crowd: str) -> None:
    """A new listener's start and the probabilities of every track that is asked about: with a solve where votes are left out."""
    benchmark.group = f"first belief of {crowd}|{SERVICE[2]} ratings, {ASKED} of {SERVICE[0]} tracks asked"
    model, asked = _model(SERVICE), _asked(SERVICE)
    known = iter(range(3_000, 10_000))
    name = (lambda: next(known)) if crowd == "one of the crowd" else (lambda: 10**6)
    rows = asked.track_ids
    np.testing.assert_allclose(
        model.for_listener(7, asked=asked).proba, model.crowd.belief(without_listener=7, tracks=rows).proba, atol=1e-12
    )
    benchmark.pedantic(lambda: model.for_listener(name(), asked=asked).proba, rounds=5)


@pytest.mark.parametrize("shape", [STUDY, SERVICE], ids=["study", "service"])
def test_back_from_sixty_answers(benchmark: Any, shape: tuple[int, int, int]) -> None:
    """A new start, sixty answers, then the probabilities of every track that is asked about. Aim: at most 7.4 ms."""
    benchmark.group = f"back from 60 answers|{ASKED} of {shape[0]} tracks asked"
    model, asked = _model(shape), _asked(shape)
    rng = np.random.default_rng(1)
    answers = {int(t): int(c) for t, c in zip(rng.permutation(ASKED)[:60], rng.integers(0, 4, 60), strict=True)}
    back = benchmark(lambda: model.for_listener("somebody new", asked=asked).with_answers(answers).proba)
    one_by_one = model.for_listener("somebody new", asked=asked)
    for answer in list(answers.items())[::-1]:
        one_by_one = one_by_one.with_answers(dict([answer]))
    np.testing.assert_allclose(back, one_by_one.proba, atol=1e-9)
    told = model.for_listener(5, asked=asked).with_answers(answers)
    assert told.proba.shape == (ASKED, 4)
    assert told.nbytes <= 500_000
    benchmark.extra_info["bytes per live listener"] = told.nbytes


@pytest.mark.parametrize("who", ["dissensus", "one by one, a tenth of them"])
def test_erase_a_listener_service(benchmark: Any, who: str) -> None:
    """A listener's hundred votes out of a million, and the crowd's next belief. Aim: at most 200 ms."""
    benchmark.group = f"erase a listener|{SERVICE[2]} ratings"
    crowd = _model(SERVICE).crowd
    listener = 20 if who == "dissensus" else 21
    track = crowd.track[crowd.listener == listener]
    expected = crowd.belief(without_listener=listener).proba

    def erase() -> Any:
        if who == "dissensus":
            crowd.remove_listener(listener)
            return crowd.belief(tracks=track).proba
        for one in track[:10].tolist():  # a tenth of them: the whole list takes ten times as long
            crowd.remove(one, listener)
            crowd.belief(tracks=track)
        return None

    benchmark.pedantic(erase, rounds=1)
    crowd.remove_listener(listener)
    np.testing.assert_allclose(crowd.belief().proba, expected, atol=1e-10)


def test_one_vote_service(benchmark: Any) -> None:
    benchmark.group = f"one vote|{SERVICE[2]} ratings"
    crowd = _model(SERVICE).crowd
    before = crowd.version.number
    fresh = iter(range(100_000))
    benchmark.pedantic(lambda: crowd.update(next(fresh), 9_999, 1), rounds=20)
    assert crowd.version.number == before + 20
