from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import (
    Interval,
    area_under_curve,
    bootstrap_interval,
    compare_paired,
    holm,
)


def test_close_to_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.04, 35)
    ours = bootstrap_interval(values)
    peer = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=1).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(peer.low, abs=0.002)
    assert ours.high == pytest.approx(peer.high, abs=0.002)
    assert ours.n == 35


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(300):
        interval = bootstrap_interval(rng.normal(1.0, 1.0, 40), n_boot=500)
        inside += interval.low <= 1.0 <= interval.high
    assert 0.89 <= inside / 300 <= 0.98


def test_sign_and_words() -> None:
    assert [Interval(1, 0.1, 2, 3).sign, Interval(0, -1, 1, 3).sign, Interval(-1, -2, -0.5, 3).sign] == [1, 0, -1]
    assert str(Interval(0.0123, -0.001, 0.02, 3)) == "+0.012 [-0.001, +0.020]"


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, np.nan]])
def test_refuses_values_that_are_no_sample(values: list[float]) -> None:
    with pytest.raises(ParameterError):
        bootstrap_interval(values)


def test_refuses_an_impossible_level() -> None:
    with pytest.raises(ParameterError):
        bootstrap_interval([1.0, 2.0], level=95)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.floats(-1, 1))
def test_area_is_the_height_of_the_curve(scores: list[float], lift: float) -> None:
    n_labels = 4 * np.arange(len(scores))
    area = area_under_curve(n_labels, scores)
    assert min(scores) - 1e-12 <= area <= max(scores) + 1e-12
    assert area_under_curve(n_labels, np.array(scores) + lift) == pytest.approx(float(area) + lift, abs=1e-9)
    assert area_under_curve(n_labels, scores[::-1]) == pytest.approx(float(area), abs=1e-12)


@pytest.mark.parametrize(("x", "y"), [([0], [1]), ([0, 0], [1, 1]), ([0, 1], [1, 2, 3])])
def test_area_refuses_what_is_no_curve(x: list[int], y: list[int]) -> None:
    with pytest.raises(ParameterError):
        area_under_curve(x, y)


def test_holm_equals_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(1).uniform(0, 0.2, 9)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_paired_comparison_finds_a_small_lift_that_pairs_share_and_is_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.5, 0.1, 30)
    lifted = base + 0.01 + rng.normal(0, 0.005, 30)
    (found,) = compare_paired({"mc": lifted, "rand": base})
    assert (found.a, found.b) == ("mc", "rand")
    assert found.difference.sign == 1
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(lifted - base).pvalue)
    (mirror,) = compare_paired({"rand": base, "mc": lifted})
    assert mirror.difference.mean == pytest.approx(-found.difference.mean)
    assert mirror.p_holm == pytest.approx(found.p_holm)


def test_no_difference_at_all_is_p_one() -> None:
    same = np.linspace(0, 1, 5)
    (found,) = compare_paired({"a": same, "b": same.copy()})
    assert (found.p_wilcoxon, found.share_above, found.difference.mean) == (1.0, 0.0, 0.0)


def test_against_one_or_every_pair() -> None:
    values = {name: np.random.default_rng(i).normal(size=8) for i, name in enumerate(("mc", "hc", "mix", "rand"))}
    assert len(compare_paired(values)) == 6
    assert [c.b for c in compare_paired(values, against="rand")] == ["rand"] * 3
    with pytest.raises(ParameterError, match="same listeners"):
        compare_paired(values | {"rand": np.zeros(7)})
