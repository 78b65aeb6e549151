"""Standardisation: columns of any scale count, and a pool on disk gives the same answers as the array in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus import Committee, Pool
from dissensus._spread import column_deviation
from dissensus.committee.scaler import Scaler
from dissensus.committee.scorer import TrackScorer
from dissensus.errors import ParameterError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_of_ordinary_scale_are_measured_as_numpy_does_bit_for_bit(dtype: type) -> None:
    X = (np.random.default_rng(0).normal(3.0, 2.0, (501, 40)) ** 3).astype(dtype)
    mean = X.mean(axis=0, dtype=np.float64)
    assert np.array_equal(column_deviation(X, constant=1.0), np.sqrt(np.square(X - mean).mean(axis=0)))


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-30, 1e-13, 1e-6, 1.0, 1e6, 1e30, 1e300])
def test_a_column_of_any_scale_counts(scale: float) -> None:
    x = np.random.default_rng(1).normal(size=200)
    X = np.column_stack([x, x * scale])
    with np.errstate(over="ignore"):
        X = X if 1e-40 < scale < 1e40 else X.astype(np.float64)
    a, b = column_deviation(X, constant=1.0)
    assert b == pytest.approx(a * scale, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_is_constant_however_its_mean_is_rounded(value: float, dtype: type) -> None:
    X = np.full((9999, 1), value, dtype=dtype)
    assert column_deviation(X, constant=1.0).tolist() == [1.0]
    assert column_deviation(
        X.astype(float) * (1 + 1e-15 * np.arange(9999)[:, None] % 3e-15), constant=7.0
    ).tolist() == [7.0]


def test_one_float32_step_beside_a_large_mean_is_no_constant() -> None:
    X = np.full((100_000, 1), 1e8, dtype=np.float32)
    X[0] = np.nextafter(np.float32(1e8), np.float32(2e8))
    assert Scaler.fit(X).scale[0] == pytest.approx(8 / np.sqrt(100_000), rel=1e-3)


def crowd(scale: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    track = np.repeat(np.arange(60), 2)
    y = track % 4
    X = rng.normal(size=(120, 5))
    X[:, 0] += y
    X[:, 1] -= 2 * (y == 2)
    return X * scale, y, track


@pytest.mark.compiled
def test_the_scale_of_a_column_does_not_matter() -> None:
    X, y, track = crowd()
    scale = 2.0 ** np.array([-100, 100, -60, 0, 90])  # exact in float32
    plain, odd = (Committee.pretrain(X * by, y, track, n_folds=2) for by in (np.ones(5), scale))
    want = plain.predict_proba(X, track)
    np.testing.assert_allclose(odd.predict_proba(X * scale, track), want, atol=2e-5)
    np.testing.assert_allclose(TrackScorer(odd, X * scale, track).predict_proba(odd), want, atol=2e-5)
    assert want.argmax(axis=2).std() > 0


@pytest.mark.compiled
def test_a_pool_on_disk_gives_the_answers_of_the_array_in_memory(tmp_path: Path) -> None:
    """Training tracks too: the trees cut at training values, so the last bit of a value would decide."""
    X, y, track = crowd()
    committee = Committee.pretrain(X, y, track, n_folds=3)
    Pool(X, track).save(tmp_path / "pool")
    stored = Pool.open(tmp_path / "pool")
    assert np.array_equal(committee.predict_proba(X, track), committee.predict_proba(stored.X, stored.groups))
    again = Committee.pretrain(stored.X, y, track, n_folds=3)
    assert np.array_equal(again.predict_proba(X, track), committee.predict_proba(X, track))
    scored = [TrackScorer(committee, windows, track).predict_proba(committee) for windows in (X, stored.X)]
    assert np.array_equal(*scored)


def test_values_too_large_for_float32_are_refused() -> None:
    X, y, track = crowd()
    X[7, 2] = 1e39
    with pytest.raises(ParameterError, match=r"X\[7\].*far too large"):
        Committee.pretrain(X, y, track, n_folds=2)
    committee = Committee.pretrain(np.nan_to_num(X, posinf=0) * (np.abs(X) < 1e30), y, track, n_folds=2)
    with pytest.raises(ParameterError, match=r"X\[7\].*far too large"):
        committee.predict_proba(X, track)


@pytest.mark.parametrize("scale", [1e-60, 1e-12, 1e-6, 1e12])
def test_naive_bayes_on_raw_features_of_any_scale_is_scikit_learns(scale: float) -> None:
    from sklearn.naive_bayes import GaussianNB

    from dissensus.committee.members.gaussian_nb import GaussianNaiveBayes

    X, y, _ = crowd(scale)
    np.testing.assert_allclose(
        GaussianNaiveBayes().fit(X, y).predict_proba(X), GaussianNB().fit(X, y).predict_proba(X), rtol=1e-6
    )
