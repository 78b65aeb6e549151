"""Continuous ratings: leave-out is refitting, deletion is exact, scale use is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.listener.values import ValueModel


def world(seed: int = 0, *, offset: float = 0.0, spread: float = 1.0) -> tuple[Pool, Any, Any, Any]:
    """Twelve people rate 40 tracks on two scales; person 0 has an offset and a spread of their own."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 3))
    truth = 5 + 1.5 * features[:, :2]
    track, listener = np.nonzero(rng.random((40, 12)) < 0.8)
    value = truth[track] + rng.normal(size=(len(track), 2))
    odd = listener == 0
    value[odd] = 5 + offset + spread * (value[odd] - 5)
    return Pool(features, np.arange(40)), listener, track, value


def test_the_crowd_without_a_listener_is_the_crowd_that_never_had_them() -> None:
    pool, listener, track, value = world()
    keep = (listener != 3) & (track != 7)
    one = ValueModel(pool, listener, track, value).for_listener(3, without_tracks=[7])
    two = ValueModel(pool, listener[keep], track[keep], value[keep]).for_listener()
    np.testing.assert_allclose(one.mean, two.mean, atol=1e-10)
    value[listener == 3] = 1.0
    three = ValueModel(pool, listener, track, value).for_listener(3, without_tracks=[7])
    np.testing.assert_allclose(one.mean, three.mean, atol=1e-10)


def test_a_rating_taken_back_was_never_given() -> None:
    pool, listener, track, value = world()
    start = ValueModel(pool, listener, track, value).for_listener(1)
    told = start.with_ratings({2: (8.0, 2.0), 9: (7.0, 3.0), 4: (9.0, 9.0)})
    assert np.abs(told.mean - start.mean).max() > 0.1
    back = told.without(4)
    never = ValueModel(pool, listener, track, value).for_listener(1).with_ratings({9: (7.0, 3.0), 2: (8.0, 2.0)})
    np.testing.assert_allclose(back.mean, never.mean, atol=1e-10)
    np.testing.assert_allclose(back.sd, never.sd, atol=1e-10)
    assert (told.sd <= start.sd + 1e-12).all()


@pytest.mark.parametrize(("offset", "spread"), [(1.5, 1.0), (0.0, 2.0), (-1.0, 0.5)])
def test_how_somebody_uses_the_scale_is_learnt(offset: float, spread: float) -> None:
    pool, listener, track, value = world(offset=offset, spread=spread)
    start = ValueModel(pool, listener, track, value).for_listener(0)
    own = np.flatnonzero(listener == 0)
    train, test = own[::2], own[1::2]
    told = start.with_ratings({int(track[i]): tuple(value[i]) for i in train})
    error = [np.sqrt(((m.mean[track[test]] - value[test]) ** 2).mean()) for m in (start, told)]
    assert error[1] < error[0] - 0.1


def test_nobody_has_rated_anything() -> None:
    model = ValueModel(Pool(np.eye(2), ["a", "b"]), [], [], np.zeros((0, 1)))
    np.testing.assert_array_equal(model.for_listener("x").mean, 0)


def test_bad_input_is_named() -> None:
    pool, listener, track, value = world()
    with pytest.raises(ParameterError, match="noise"):
        ValueModel(pool, listener, track, value, noise=0)
    with pytest.raises(ParameterError, match="one row a rating"):
        ValueModel(pool, listener, track[:-1], value)
    start = ValueModel(pool, listener, track, np.where(value > 6, np.nan, value)).for_listener()
    with pytest.raises(ParameterError, match="2 finite numbers"):
        start.with_ratings({0: (1.0,)})
    with pytest.raises(ParameterError, match="track 99"):
        start.with_ratings({99: (1.0, 2.0)})
