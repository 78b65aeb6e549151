"""The listener model: the nightly fit, one listener left out, one answer, at a study's size and at a service's.

Peers: for the fit and the leave-out, Gaussian process regression over all ratings as in the textbook (one n x n Cholesky
factorisation, refitted without the listener), which gives the same numbers. Run with one BLAS thread:

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
