"""Tests of strategies by listener: against scipy, on made-up curves with a known truth, and beside the published ones."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dissensus.agreement.groups import RatingTable
from dissensus.errors import MissingDependencyError, ParameterError
from dissensus.evaluation.curves import COLUMNS, curves_of
from dissensus.evaluation.outcome.mixed import anova, last_round, mixed_model
from dissensus.evaluation.outcome.paired_tests import (
    as_columns,
    cohens_dz,
    compare_strategies,
    listener_values,
    paired_tests,
    rank_biserial,
    sign_flip_p,
)
from dissensus.evaluation.outcome.personalised import (
    agreement_of_groups,
    effective_personalisation,
    listener_gains,
    listener_groups,
    repeat_interval,
    slopes,
)
from dissensus.evaluation.outcome.published_tests import published_tests, tukey

STRATEGIES = ("mc", "hc", "mix", "rand")


def made_up(
    curve: Callable[[int, int, str, int], float],
    *,
    n_listeners: int = 12,
    n_repeats: int = 3,
    n_rounds: int = 5,
    strategies: tuple[str, ...] = STRATEGIES,
    members: tuple[str, ...] = ("sgd",),
    noise: float = 0.0,
    update: str = "replay",
) -> dict[str, np.ndarray]:
    """A tidy table of scores ``curve(listener, repeat, strategy, round)``, with noise."""
    rng = np.random.default_rng(0)
    rows = []
    for who in range(n_listeners):
        for repeat in range(n_repeats):
            for strategy in strategies:
                for member in members:
                    for r in range(-1, n_rounds):
                        f1 = curve(who, repeat, strategy, r) + noise * rng.normal() * (r >= 0)
                        rows.append((f"u{who:02d}", repeat, strategy, update, member, r, 4 * (r + 1), f1, f1, f1, 1.0))
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def level_of(who: int, repeat: int, strategy: str, r: int) -> float:
    """mc rises by .02 a round more than the others; people and splits differ."""
    return 0.4 + 0.01 * who + 0.005 * repeat + (0.02 * (r + 1) if strategy == "mc" else 0.0)


@settings(max_examples=12)
@given(st.lists(st.floats(-1, 1, width=16).filter(lambda v: v == 0 or abs(v) > 1e-4), min_size=3, max_size=30))
def test_paired_tests_are_scipys(values: list[float]) -> None:
    d = np.array(values, dtype=np.float64)
    if np.ptp(d) < 1e-6:
        return
    (found,) = paired_tests({"a": d + 0.5, "b": np.full(len(d), 0.5)}, n_permutations=50, n_boot=50)
    assert found.p_t == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=1e-9)
    moved = d[np.abs(d) > 1e-12]
    expected = stats.wilcoxon(moved, method="auto").pvalue if len(moved) else 1.0
    assert found.p_wilcoxon == pytest.approx(expected, abs=1e-6)
    assert found.dz.mean == pytest.approx(d.mean() / d.std(ddof=1))
    assert -1 <= found.rank_biserial <= 1


def test_sign_flips_are_exact_where_they_can_be_all_done() -> None:
    d = np.array([0.3, -0.1, 0.2, 0.5, 0.05])
    exact = stats.permutation_test((d,), np.mean, permutation_type="samples", alternative="two-sided").pvalue
    assert sign_flip_p(d) == pytest.approx(exact)
    drawn = sign_flip_p(d, n_permutations=31)
    assert 1 / 32 <= drawn <= 1
    many = sign_flip_p(np.tile(d, 6), n_permutations=4000)
    assert many == pytest.approx(stats.ttest_1samp(np.tile(d, 6), 0).pvalue, abs=0.01)
    assert sign_flip_p(np.tile(d, 6)) == sign_flip_p(np.tile(d, 6))


def test_effect_sizes_at_their_ends() -> None:
    assert cohens_dz([0.0, 0.0]) == 0.0
    assert np.isnan(cohens_dz([0.5, 0.5]))
    assert rank_biserial([0.1, 0.2]) == 1.0
    assert rank_biserial([-0.1, -0.2]) == -1.0
    assert rank_biserial([0.0, 0.0]) == 0.0
    with pytest.raises(ParameterError, match="two or more"):
        cohens_dz([1.0])


def test_permutation_p_is_uniform_when_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    p = [sign_flip_p(rng.normal(size=10), n_permutations=2000) for _ in range(300)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_paired_beats_independent_where_people_differ_more_than_strategies() -> None:
    table = made_up(
        lambda w, k, s, r: 0.1 * w + (0.02 if s == "hc" and r >= 0 else 0), strategies=("hc", "rand"), noise=0.005
    )
    (paired,) = compare_strategies(table, update="replay", measure="end")
    (paper,) = published_tests(table, update="replay", member="sgd")
    assert paired.difference.mean == pytest.approx(0.02, abs=0.005)
    assert max(paired.p_t, paired.p_wilcoxon, paired.p_permutation) < 0.01
    assert paper.p > 0.3
    assert (paper.a, paper.b, paper.label, paper.n, paper.df) == ("hc", "rand", "paper", 72, 70)


def test_holm_is_over_all_members_and_pairs() -> None:
    table = made_up(level_of, members=("sgd", "gnb"), noise=0.02)
    found = compare_strategies(table, update="replay")
    assert len(found) == 2 * 6
    assert {(f.update, f.member) for f in found} == {("replay", "sgd"), ("replay", "gnb")}
    p = sorted(f.p_t for f in found)
    assert min(f.holm_t for f in found) == pytest.approx(min(1.0, p[0] * 12))
    better = [f for f in found if "mc" in (f.a, f.b)]
    assert all(f.holm_wilcoxon < 0.05 for f in better)
    assert all(f.difference.sign == (1 if f.a == "mc" else -1) for f in better)


def test_values_are_means_over_repeats() -> None:
    listeners, end = listener_values(made_up(level_of), update="replay", member="sgd", measure="end")
    assert listeners.tolist() == [f"u{i:02d}" for i in range(12)]
    assert end["rand"][3] == pytest.approx(0.4 + 0.03 + 0.005)
    _, gain = listener_values(made_up(level_of), update="replay", member="sgd", measure="gain")
    assert gain["mc"] == pytest.approx(np.full(12, 0.1))
    _, height = listener_values(made_up(level_of), update="replay", member="sgd", measure="aulc")
    assert height["mc"][0] == pytest.approx(0.4 + 0.005 + 0.05)


def test_arrow_tables_and_data_frames_are_read() -> None:
    table = made_up(level_of, n_listeners=2)
    arrow = pa.table({name: column.tolist() for name, column in table.items()})
    for other in (arrow, arrow.to_pandas()):
        assert {name: column.tolist() for name, column in as_columns(other).items()} == {
            name: column.tolist() for name, column in table.items()
        }
    with pytest.raises(ParameterError, match="list"):
        as_columns([1])


def test_what_cannot_be_compared() -> None:
    table = made_up(level_of)
    with pytest.raises(ParameterError, match="measure='best'"):
        listener_values(table, update="replay", member="sgd", measure="best")
    with pytest.raises(ParameterError, match=r"'sgd'"):
        listener_values(table, update="replay", member="xgb")
    with pytest.raises(ParameterError, match="same listeners"):
        paired_tests({"a": [1.0, 2.0], "b": [1.0]})
    with pytest.raises(ParameterError, match="none of a, b"):
        paired_tests({"a": [1.0, 2.0], "b": [1.0, 2.0]}, against="c")
    lost = ~((table["listener"] == "u00") & (table["strategy"] == "mc"))
    with pytest.raises(ParameterError, match="same listeners as the others"):
        listener_values({k: v[lost] for k, v in table.items()}, update="replay", member="sgd")


def test_published_tests_go_one_way_and_are_labelled() -> None:
    table = made_up(level_of, noise=0.01)
    found = published_tests(table, update="replay", member="sgd")
    assert [(f.a, f.b) for f in found] == [
        ("hc", "mix"), ("hc", "mc"), ("hc", "rand"), ("mix", "mc"), ("mix", "rand"), ("mc", "rand"),
    ]  # fmt: skip
    by = {(f.a, f.b): f for f in found}
    assert by["mc", "rand"].p < 0.001
    assert by["hc", "mc"].p > 0.999  # mc is better, which this direction cannot say
    assert by["mc", "rand"].p_bonferroni == pytest.approx(6 * by["mc", "rand"].p)
    rows = last_round(table, update="replay", member="sgd")
    a, b = (rows["score"][rows["strategy"] == s] for s in ("mc", "rand"))
    assert by["mc", "rand"].p == pytest.approx(stats.ttest_ind(a, b, alternative="greater").pvalue)
    assert {f.label for f in found} == {"paper"}


def test_anova_finds_the_strategy_and_not_what_is_not_there() -> None:
    (row,) = anova(made_up(level_of, noise=0.02), update="replay", member="sgd")
    assert (row.factor, row.df, row.df_error) == ("strategy", 3.0, 33.0)
    assert row.p < 1e-6
    assert row.partial_eta_squared > 0.5
    flat = made_up(lambda w, k, s, r: 0.4 + 0.01 * w, noise=0.02)
    assert anova(flat, update="replay", member="sgd")[0].p > 0.01
    both = anova(flat, update="replay", member="sgd", within=("strategy", "repeat"))
    assert [row.factor for row in both] == ["strategy", "repeat", "strategy:repeat"]


def test_anova_that_cannot_be_done() -> None:
    table = made_up(level_of)
    with pytest.raises(ParameterError, match="name 'strategy'"):
        anova(table, update="replay", member="sgd", within=("member",))
    with pytest.raises(ParameterError, match="two levels"):
        anova(made_up(level_of, strategies=("mc",)), update="replay", member="sgd")
    lost = ~((table["listener"] == "u00") & (table["strategy"] == "mc"))
    with pytest.raises(ParameterError, match="not every listener"):
        anova({k: v[lost] for k, v in table.items()}, update="replay", member="sgd")


def test_tukey_is_labelled_and_finds_the_one_that_differs() -> None:
    found = tukey(made_up(level_of, noise=0.01), update="replay", member="sgd")
    assert len(found) == 6
    assert {f.label for f in found} == {"paper"}
    for row in found:
        assert row.low <= row.difference <= row.high
        assert (row.p < 0.05) == ("mc" in (row.a, row.b))
    with pytest.raises(ParameterError, match="factor='user'"):
        tukey(made_up(level_of), update="replay", member="sgd", factor="user")


def test_mixed_model_recovers_slope_and_spread() -> None:
    found = mixed_model(made_up(level_of, n_listeners=20, noise=0.01), update="replay", member="sgd")
    estimate = dict(zip(found.names, found.estimate, strict=True))
    assert estimate["strategy[mc]:step"] == pytest.approx(0.02, abs=0.004)
    assert estimate["step"] == pytest.approx(0.0, abs=0.004)
    assert found.listener_sd == pytest.approx(0.0577, abs=0.02)
    assert found.residual_sd == pytest.approx(0.01, abs=0.003)
    p = dict(zip(found.names, found.p, strict=True))
    assert p["strategy[mc]:step"] < 0.001 < p["strategy[hc]:step"]
    assert "strategy[mc]:step" in str(found)
    with pytest.raises(ParameterError, match="base='best'"):
        mixed_model(made_up(level_of), update="replay", member="sgd", base="best")


def test_without_statsmodels_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    for call in (anova, mixed_model, tukey):
        with pytest.raises(MissingDependencyError, match=r"dissensus\[stats\]"):
            call(made_up(level_of), update="replay", member="sgd")


def test_none_of_it_loads_statsmodels_at_import() -> None:
    import subprocess

    code = (
        "import sys, dissensus.evaluation.outcome.mixed, dissensus.evaluation.outcome.published_tests\n"
        "sys.exit('statsmodels' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert importlib.util.find_spec("statsmodels") is not None


def collapse(who: int, repeat: int, strategy: str, r: int) -> float:
    """Falls by .2 at the first update, then mends by .01 a round: ends well below the start."""
    return 0.5 if r < 0 else 0.3 + 0.01 * r + 0.001 * who


def test_recovering_from_a_collapse_is_personalisation_only_by_the_published_criterion() -> None:
    for row in effective_personalisation(made_up(collapse)):
        assert row.published == row.n_listeners == 12
        assert (row.above_start, row.rising, row.surely_above) == (0, 0, 0)
        assert row.surely_below == 12


def test_the_null_stands_beside_on_the_same_repeats() -> None:
    flat = made_up(lambda w, k, s, r: 0.4, n_repeats=1, noise=0.02)
    true = made_up(level_of, noise=0.001)
    by = {row.strategy: row for row in effective_personalisation(true, flat)}
    assert by["mc"].rising == by["mc"].surely_above == 12
    assert by["mc"].same_rising == 1.0
    assert 0.1 < by["mc"].null_published < 0.9  # noise alone
    assert by["mc"].as_dict()["published"] == 12
    alone = effective_personalisation(true)[0]
    assert np.isnan(alone.null_published)


def test_slopes_with_and_without_the_start() -> None:
    curves = curves_of(made_up(collapse, n_listeners=1, n_repeats=1, strategies=("mc",)))
    assert slopes(curves, with_start=False) == pytest.approx([0.01])
    expected = np.polyfit(range(6), curves.score[0], 1)[0]
    assert slopes(curves, with_start=True) == pytest.approx([expected])
    assert expected < 0


def test_an_interval_over_overlapping_splits_covers() -> None:
    """Tracks are one sample; each split holds 20 % of them out. A naive interval covers far too seldom."""
    rng = np.random.default_rng(0)
    hits, naive = 0, 0
    for _ in range(300):
        tracks = rng.normal(size=80)
        splits = np.array([tracks[rng.permutation(80)[:16]].mean() for _ in range(20)])
        _, low, high = repeat_interval(splits, test_share=0.2)
        hits += low <= 0 <= high
        half = 2.09 * splits.std(ddof=1) / np.sqrt(20)
        naive += abs(splits.mean()) <= half
    assert hits / 300 > 0.9
    assert naive / 300 < 0.8


def test_interval_of_bad_values() -> None:
    with pytest.raises(ParameterError, match="finite"):
        repeat_interval([np.nan])
    with pytest.raises(ParameterError, match="test_share=1"):
        repeat_interval([0.1, 0.2], test_share=1)


def mixed_people(who: int, repeat: int, strategy: str, r: int) -> float:
    return 0.4 + (0.02 if who < 4 else -0.02 if who < 8 else 0.0) * (r + 1)


def test_groups_of_listeners() -> None:
    table = made_up(mixed_people, noise=0.005)
    groups = listener_groups(table, update="replay")
    assert [groups[f"u{i:02d}"] for i in range(8)] == ["gains"] * 4 + ["loses"] * 4
    assert {groups[f"u{i:02d}"] for i in range(8, 12)} == {"undecided"}
    mean, low, high = listener_gains(table, update="replay", member="sgd")["u00"]
    assert low < mean < high
    assert mean == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ParameterError, match="no curve"):
        listener_gains(table, update="incremental")
    with pytest.raises(ParameterError, match="rule='best'"):
        listener_groups(table, update="replay", rule="best")


def test_published_groups_count_slopes_and_lose_the_boundary() -> None:
    table = made_up(lambda w, k, s, r: -0.01 * r * (STRATEGIES.index(s) >= w % 5), n_listeners=10, n_repeats=1)
    groups = listener_groups(table, update="replay", rule="published")
    # the number of curves that do not fall is w % 5: mean 2, sd 1.414
    assert [groups[f"u{i:02d}"] for i in range(5)] == ["low", "medium", "medium", "medium", "high"]
    split = made_up(lambda w, k, s, r: -0.01 * r * (w % 2), n_listeners=4, n_repeats=1)
    assert set(listener_groups(split, update="replay", rule="published").values()) == {"boundary"}


def test_agreement_of_groups() -> None:
    rater, unit = (index.reshape(-1) for index in np.indices((8, 10)))
    said = np.where(rater < 4, unit % 4, np.random.default_rng(0).integers(0, 4, 80))
    table = RatingTable(np.array([f"u{i}" for i in rater]), unit, {"quadrant": said})
    groups = {f"u{i}": "gains" if i < 4 else "loses" for i in range(7)}
    found = {row.group: row for row in agreement_of_groups(table, groups, ["quadrant"], n_random=10)}
    assert found["gains"].alpha == 1.0
    assert found["loses"].alpha < 0.3
    assert (found["gains"].n_raters, found["loses"].n_raters) == (4, 3)
    assert found["gains"].random_mean < 1.0
