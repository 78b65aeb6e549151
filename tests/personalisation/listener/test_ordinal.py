"""Ratings as ordered answers: the likelihood, exact deletion, no leak, and what must be found on made-up listeners."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.listener import OrdinalModel
from dissensus.personalisation.listener.cumulative import fit_cumulative

LEVELS = np.arange(1.0, 8.0)


def ratings(
    seed: int = 0, *, n_tracks: int = 40, n_listeners: int = 14, personal: float = 1.0, share: float = 0.8
) -> tuple[Pool, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Two scales from 1 to 7; each listener has an offset and a spread of their own."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_tracks, 3))
    opinion = 1.5 * features[:, :2]
    track, listener = np.nonzero(rng.random((n_tracks, n_listeners)) < share)
    offset = personal * rng.normal(size=(n_listeners, 2))
    spread = np.exp(0.4 * personal * rng.normal(size=(n_listeners, 2)))
    felt = spread[listener] * opinion[track] + offset[listener] + 0.7 * rng.normal(size=(len(track), 2))
    pool = Pool(features, [f"track {i}" for i in range(n_tracks)])
    return pool, track, listener, np.clip(np.rint(4.0 + felt), 1, 7)


def names(index: NDArray[np.int64], what: str) -> list[str]:
    return [f"{what} {i}" for i in index.tolist()]


def fitted(data: tuple, **options: object) -> OrdinalModel:  # type: ignore[type-arg]
    pool, track, listener, value = data
    return OrdinalModel(
        pool, names(listener, "listener"), names(track, "track"), value, **({"levels": LEVELS, "noise": 1.0} | options)
    )


DATA = ratings()


@pytest.fixture(scope="module")
def model() -> OrdinalModel:
    return fitted(DATA)


def test_the_mode_is_what_a_general_optimiser_finds() -> None:
    rng = np.random.default_rng(1)
    level = rng.integers(0, 4, 60)
    x = level + rng.normal(size=60)
    bounds = np.array([-1.0, 0.0, 1.0])
    upper, lower = np.zeros((60, 4)), np.zeros((60, 4))
    above, below = np.full(60, 40.0), np.full(60, -40.0)
    for i, y in enumerate(level):
        if y < 3:
            upper[i, y], above[i] = 1.0, bounds[y] - x[i]
        if y > 0:
            lower[i, y - 1], below[i] = 1.0, bounds[y - 1] - x[i]
    upper[:, 3] = lower[:, 3] = -x
    precision = np.diag([1.0, 2.0, 3.0, 0.5])

    def objective(q: NDArray[np.float64]) -> float:
        p = 1 / (1 + np.exp(-(above + upper @ q))) - 1 / (1 + np.exp(-(below + lower @ q)))
        return np.inf if (p <= 0).any() else -np.log(p).sum() + 0.5 * q @ precision @ q

    fit = fit_cumulative(upper, lower, (above, below), precision)
    best = minimize(
        objective, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxfev": 9999}
    )
    np.testing.assert_allclose(fit.mode, best.x, atol=1e-5)
    numeric = np.zeros((4, 4))
    step = 1e-4 * np.eye(4)
    for i in range(4):
        for j in range(4):
            numeric[i, j] = sum(
                a * b * objective(fit.mode + a * step[i] + b * step[j]) for a in (1, -1) for b in (1, -1)
            ) / (4 * 1e-8)
    np.testing.assert_allclose(np.linalg.inv(fit.covariance), numeric, rtol=1e-3, atol=1e-2)
    with pytest.raises(ParameterError, match="must rise"):
        fit_cumulative(upper, lower, (below, above), precision)


def test_nothing_of_the_listener_is_in_their_start(model: OrdinalModel) -> None:
    pool, track, listener, value = DATA
    own = listener == 3
    other = np.where(own[:, None], 8.0 - value, value)
    changed = fitted((pool, track, listener, other)).for_listener("listener 3")
    np.testing.assert_allclose(changed.proba, model.for_listener("listener 3").proba, atol=1e-9)
    without = fitted((pool, track[~own], listener[~own], value[~own]))
    np.testing.assert_allclose(without.for_listener("somebody").proba, changed.proba, atol=1e-9)


def test_nothing_about_left_out_tracks_is_in_the_start(model: OrdinalModel) -> None:
    pool, track, listener, value = DATA
    gone = np.array([0, 5, 9])
    there = np.isin(track, gone)
    without = fitted((pool, track[~there], listener[~there], value[~there])).for_listener("listener 1")
    np.testing.assert_allclose(model.for_listener("listener 1", without_tracks=gone).proba, without.proba, atol=1e-9)


def test_an_answer_taken_back_was_never_given(model: OrdinalModel) -> None:
    start = model.for_listener("listener 0")
    some = start.with_ratings({3: (7, 1), 8: (2, 2)})
    back = some.with_ratings({5: (1, 7)}).without(5)
    assert np.array_equal(back.proba, some.proba)
    swapped = start.with_ratings({8: (2, 2)}).with_ratings({3: (7, 1)})
    assert np.array_equal(swapped.proba, some.proba)
    assert start.ratings == {}
    np.testing.assert_allclose(some.without(3).without(8).proba, start.proba, atol=1e-12)


def test_probabilities_are_some_and_follow_the_ratings(model: OrdinalModel) -> None:
    start = model.for_listener("listener 0")
    assert start.proba.shape == (2, 40, 7)
    assert start.proba.min() > 0
    np.testing.assert_allclose(start.proba.sum(axis=2), 1.0)
    up = start.with_ratings(dict.fromkeys(range(12), (7, 4)))
    assert (up.mean[:, 0] > start.mean[:, 0]).all()
    assert up.bounds[0].mean() <= start.bounds[0].mean()
    assert (up.above(4.0)[:, 0] > start.above(4.0)[:, 0]).all()
    shrunk = start.with_ratings(dict.fromkeys(range(20), (4, 4)))
    assert np.ptp(shrunk.mean[:, 0]) < np.ptp(start.mean[:, 0])


def _gain(seed: int, *, personal: float, shuffled: bool = False) -> float:
    """Mean change of the held-out log-likelihood by thirty answers or so."""
    data = ratings(seed, personal=personal)
    pool, track, listener, value = data
    known, rng, gains = fitted(data), np.random.default_rng(seed), []
    for who in range(6):
        rows = rng.permutation(np.flatnonzero(listener == who))
        train, test = rows[:-10], rows[-10:]
        told = value[rng.permutation(train)] if shuffled else value[train]
        start = known.for_listener(f"listener {who}")
        mine = start.with_ratings(dict(zip(track[train].tolist(), told.tolist(), strict=True)))
        for s in range(2):
            at = (s, track[test], value[test, s].astype(int) - 1)
            gains.append(np.log(mine.proba[at]).mean() - np.log(start.proba[at]).mean())
    return float(np.mean(gains))


def test_personal_scales_are_learnt_and_nulls_are_not() -> None:
    own = _gain(2, personal=1.2)
    assert own > 0.15
    # shuffled ratings still say how somebody uses the scale, but not which tracks are high
    assert _gain(2, personal=1.2, shuffled=True) < own - 0.05
    assert abs(_gain(3, personal=0.0)) < 0.06


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [1, 2, 3]}, "none of the levels"),
        ({"levels": [3, 2, 1]}, "rising"),
        ({"bound_sd": 0.0}, "bound_sd"),
        ({"noise": 0.0}, "noise"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        fitted(DATA, **options)


@pytest.mark.parametrize("told", [{0: (1,)}, {0: (1, 9)}, {99: (1, 1)}, {0: (np.nan, 1)}])
def test_ratings_that_cannot_be_are_refused(model: OrdinalModel, told: dict[int, tuple[float, ...]]) -> None:
    with pytest.raises(ParameterError, match="rating"):
        model.for_listener("x").with_ratings(told)
