"""Krippendorff's alpha against its definition, published examples and a slow twin."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus import _backend
from dissensus._backend import available, resolve
from dissensus.agreement.alpha import LEVELS, alpha_interval, krippendorff_alpha, track_agreement
from dissensus.errors import ParameterError

nan = math.nan

#: Krippendorff (2011), section C: four observers, twelve units.
FOUR_BY_TWELVE = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
    [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
]


def by_definition(ratings: np.ndarray, level: str) -> float:
    """Coincidences and expectations pair by pair, as the definition reads."""
    units = [[v for v in column if not np.isnan(v)] for column in ratings.T]
    units = [u for u in units if len(u) >= 2]
    pooled = [v for u in units for v in u]
    values = sorted(set(pooled))
    n = {v: pooled.count(v) for v in values}

    def delta(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        if level == "ratio":
            return ((a - b) / (a + b)) ** 2 if a + b else 0.0
        low, high = min(a, b), max(a, b)
        return (sum(n[v] for v in values if low <= v <= high) - (n[a] + n[b]) / 2) ** 2

    observed = sum(
        delta(a, b) / (len(u) - 1) for u in units for i, a in enumerate(u) for j, b in enumerate(u) if i != j
    )
    expected = sum(delta(a, b) for i, a in enumerate(pooled) for j, b in enumerate(pooled) if i != j) / (
        len(pooled) - 1
    )
    return 1 - observed / expected


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_published_example(level: str, published: float) -> None:
    assert round(krippendorff_alpha(FOUR_BY_TWELVE, level=level), 3) == published


@pytest.mark.data
def test_worked_examples(research_data: Path) -> None:
    examples = json.loads((research_data / "krippendorff" / "worked_examples.json").read_text())
    checked = 0
    for example in examples.values():
        if not isinstance(example, dict) or "data" not in example:
            continue
        ratings = np.array([[nan if v is None else v for v in row] for row in example["data"]], dtype=float)
        for level, value in example["published"].items():
            assert round(krippendorff_alpha(ratings, level=level), 3) == value
            checked += 1
    assert checked >= 7


@given(
    st.integers(2, 6).flatmap(
        lambda raters: st.integers(1, 9).flatmap(
            lambda units: st.lists(
                st.lists(st.sampled_from([nan, nan, 1.0, 2.0, 3.0, 5.0, 0.5]), min_size=units, max_size=units),
                min_size=raters,
                max_size=raters,
            )
        )
    ),
    st.sampled_from(LEVELS),
)
def test_equals_the_definition(rows: list[list[float]], level: str) -> None:
    ratings = np.array(rows)
    ours = krippendorff_alpha(ratings, level=level)
    pooled = [v for c in ratings.T if (~np.isnan(c)).sum() >= 2 for v in c[~np.isnan(c)]]
    if len(set(pooled)) < 2:
        assert math.isnan(ours)
        assert krippendorff_alpha(ratings, level=level, degenerate=0.0) == 0.0
    else:
        assert ours == pytest.approx(by_definition(ratings, level), abs=1e-9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_exact_whatever_the_order(level: str) -> None:
    rng = np.random.default_rng(0)
    ratings = rng.integers(1, 6, (30, 400)).astype(float)
    ratings[rng.random(ratings.shape) > 0.3] = nan
    first = krippendorff_alpha(ratings, level=level)
    for _ in range(5):
        other = ratings[rng.permutation(30)][:, rng.permutation(400)]
        assert krippendorff_alpha(other, level=level) == first
    assert krippendorff_alpha(ratings, level=level, backend="reference") == first


@pytest.mark.parametrize("backend", ["native", "numba", "reference"])
@pytest.mark.parametrize("n_units", [0, 1, 7, 8, 9, 16, 33, 100])
def test_backends_walk_alike(backend: str, n_units: int) -> None:
    if backend not in available("compact_ratings"):
        pytest.skip("this installation has no compiled module")
    rng = np.random.default_rng(n_units)
    ratings = rng.standard_normal((5, n_units))
    ratings[rng.random(ratings.shape) < 0.6] = nan
    value, unit = np.empty(ratings.size + 16), np.empty(ratings.size + 16, dtype=np.int32)
    n = resolve("compact_ratings", backend)(ratings, value, unit)
    rows, columns = np.nonzero(~np.isnan(ratings))
    np.testing.assert_array_equal(value[:n], ratings[rows, columns])
    np.testing.assert_array_equal(unit[:n], columns)


def counted(backend: str, block: np.ndarray, rows_are_units: bool, base: int, width: int) -> np.ndarray | None:
    rows, columns = block.shape
    table = np.zeros((rows if rows_are_units else columns, width), dtype=np.int32)
    scratch = np.empty(columns * width // 8, dtype=np.uint64)
    return table if resolve("count_ratings", backend)(block, rows_are_units, base, table, scratch) else None


@pytest.fixture(params=["numba", "native-baseline", "native-avx512"])
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    backend, _, isa = request.param.partition("-")
    if backend not in available("count_ratings"):
        pytest.skip("this installation has no compiled module")
    native = _backend._native()
    if native is not None and isa:
        monkeypatch.setenv("DISSENSUS_CAPS", isa)
        native.refresh_instruction_set()
    if native is not None and isa and native.instruction_set() != isa:
        monkeypatch.undo()
        native.refresh_instruction_set()
        pytest.skip(f"this machine has no {isa}")
    yield backend
    monkeypatch.undo()
    if native is not None:
        native.refresh_instruction_set()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows_are_units", [False, True])
@pytest.mark.parametrize("width", [8, 16])
def test_counting_backends_count_alike(counting: str, width: int, rows_are_units: bool, dtype: type) -> None:
    rng = np.random.default_rng(width)
    for rows, columns in [(0, 3), (3, 0), (1, 1), (17, 7), (33, 67), (600, 5), (5, 2100)]:
        block = rng.integers(-3, width - 3, (rows, columns)).astype(dtype)
        block[rng.random(block.shape) < 0.4] = nan
        wanted = counted("reference", block, rows_are_units, -3, width)
        np.testing.assert_array_equal(counted(counting, block, rows_are_units, -3, width), wanted)
        if not block.size:
            continue
        for wrong in (-4.0, width - 3.0, 0.5, math.inf, -math.inf, 1e18):
            other = block.copy()
            other[-1, rng.integers(columns)] = wrong
            assert counted(counting, other, rows_are_units, -3, width) is None
            assert counted("reference", other, rows_are_units, -3, width) is None


@pytest.mark.parametrize(
    "level", [pytest.param(level, marks=pytest.mark.compiled) if level == "ordinal" else level for level in LEVELS]
)
def test_one_value_whatever_the_layout_type_and_threads(level: str) -> None:
    rng = np.random.default_rng(5)
    ratings = rng.integers(0, 11, (61, 301)).astype(float)
    ratings[rng.random(ratings.shape) > 0.2] = nan
    first = krippendorff_alpha(ratings, level=level)
    assert first == pytest.approx(by_definition(ratings, level), abs=1e-9)
    assert krippendorff_alpha(np.asfortranarray(ratings), level=level) == first
    assert krippendorff_alpha(ratings.astype(np.float32), level=level) == first
    assert krippendorff_alpha(ratings.astype(np.float16), level=level) == first
    assert krippendorff_alpha(np.repeat(ratings, 2, axis=1)[:, ::2], level=level) == first
    assert krippendorff_alpha(ratings, level=level, n_threads=3) == first
    assert krippendorff_alpha(np.asfortranarray(ratings), level=level, n_threads=3) == first
    for backend in ("numba", "reference"):
        assert krippendorff_alpha(ratings, level=level, backend=backend) == first


@pytest.mark.parametrize("level", LEVELS)
def test_values_off_the_scale_are_found_wherever_they_are(level: str) -> None:
    """A scale that the first ratings do not show: one more value, a half, or far numbers in the last row."""
    rng = np.random.default_rng(6)
    for last in (9.0, 2.5, 400.0, 1e7):
        ratings = rng.integers(1, 4, (40, 500)).astype(float)
        ratings[rng.random(ratings.shape) > 0.1] = nan
        ratings[-1, :20], ratings[-2, :20] = last, 3.0
        small = ratings[:, :60]
        assert krippendorff_alpha(small, level=level) == pytest.approx(by_definition(small, level), abs=1e-9)
        assert krippendorff_alpha(ratings, level=level) == krippendorff_alpha(ratings[::-1], level=level)


def test_no_copy_of_the_matrix() -> None:
    import tracemalloc

    rng = np.random.default_rng(7)
    ratings = rng.integers(1, 6, (3000, 400)).astype(float)
    ratings[rng.random(ratings.shape) > 0.05] = nan
    for matrix in (ratings, np.asfortranarray(ratings), ratings[:, ::2], ratings * 0.37):
        krippendorff_alpha(matrix[:10], level="ordinal")
        tracemalloc.start()
        krippendorff_alpha(matrix, level="ordinal")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < matrix.nbytes / 1.5


def test_many_continuous_values_and_huge_counts() -> None:
    rng = np.random.default_rng(3)
    truth = rng.standard_normal(20)
    ratings = truth + 0.5 * rng.standard_normal((4, 20))
    assert krippendorff_alpha(ratings, level="interval") == pytest.approx(by_definition(ratings, "interval"), abs=1e-9)
    assert krippendorff_alpha(ratings, level="ordinal") == pytest.approx(by_definition(ratings, "ordinal"), abs=1e-9)
    shifted = krippendorff_alpha(ratings + 1e6, level="interval")
    assert shifted == pytest.approx(krippendorff_alpha(ratings, level="interval"), abs=1e-6)


def test_mistakes_are_named() -> None:
    with pytest.raises(ParameterError, match="level="):
        krippendorff_alpha(FOUR_BY_TWELVE, level="ordnal")
    with pytest.raises(ParameterError, match="n_raters, n_units"):
        krippendorff_alpha([1, 2], level="nominal")
    with pytest.raises(ParameterError, match="infinity"):
        krippendorff_alpha([[1, math.inf], [1, 2]], level="nominal")
    with pytest.raises(ParameterError, match="one sign"):
        krippendorff_alpha([[-1, 2], [1, 2]], level="ratio")
    with pytest.raises(ParameterError, match="over="):
        alpha_interval(FOUR_BY_TWELVE, level="nominal", over="songs")


@pytest.mark.parametrize("over", ["units", "raters"])
def test_interval_holds_the_estimate_and_repeats(over: str) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(1, 5, 80)
    ratings = np.where(rng.random((12, 80)) < 0.6, truth, rng.integers(1, 5, (12, 80))).astype(float)
    first = alpha_interval(ratings, level="nominal", over=over, n_draws=200, random_state=4)
    assert first.low < first.alpha < first.high
    assert first.high - first.low < 0.3
    assert first == alpha_interval(ratings, level="nominal", over=over, n_draws=200, random_state=4)
    wider = alpha_interval(ratings, level="nominal", over=over, n_draws=200, random_state=4, confidence=0.99)
    assert wider.low <= first.low


@pytest.mark.parametrize("level", LEVELS)
def test_counting_everything_once_is_alpha_itself(level: str) -> None:
    from dissensus.agreement.alpha import _weighted

    ratings = np.array(FOUR_BY_TWELVE)
    rater, unit = np.nonzero(~np.isnan(ratings))
    once = _weighted(ratings[rater, unit], unit, np.ones(len(unit)), np.ones(12), level)
    assert once == pytest.approx(krippendorff_alpha(ratings, level=level), abs=1e-12)
    twice = _weighted(ratings[rater, unit], unit, np.ones(len(unit)), np.full(12, 2.0), level)
    doubled = krippendorff_alpha(np.hstack([ratings, ratings]), level=level)
    if level != "ordinal":  # ranks are counted without the copies' own share
        assert twice == pytest.approx(doubled, abs=0.02)


def test_track_agreement_by_hand() -> None:
    entropy, agreement, n = track_agreement([0, 0, 0, 1, 1], [0, 0, 1, 2, 2], n_tracks=3, n_classes=4)
    assert n.tolist() == [3, 2, 0]
    assert entropy[0] == pytest.approx(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)))
    assert agreement[:2].tolist() == pytest.approx([1 / 3, 1.0])
    assert math.isnan(entropy[2])
    with pytest.raises(ParameterError, match="class_index"):
        track_agreement([0], [4], n_tracks=1, n_classes=4)


@pytest.mark.data
def test_agreement_of_trompa_listeners(research_data: Path) -> None:
    from dissensus.datasets import trompa

    notes = trompa.load(research_data / "trompa_mer").annotations
    people, rater = np.unique(notes.listener_id, return_inverse=True)
    songs, unit = np.unique(notes.track_id, return_inverse=True)

    def alpha(values: np.ndarray) -> float:
        ratings = np.full((len(people), len(songs)), nan)
        ratings[rater, unit] = values
        return krippendorff_alpha(ratings, level="nominal")

    assert alpha(notes.label.astype(float)) == pytest.approx(0.315, abs=5e-4)
    assert alpha(np.asarray(notes.extra["arousal"], dtype=float)) == pytest.approx(0.449, abs=5e-4)
    assert alpha(np.asarray(notes.extra["valence"], dtype=float)) == pytest.approx(0.311, abs=5e-4)
    moods = np.unique(notes.extra["mood"], return_inverse=True)[1]
    assert alpha(moods.astype(float)) == pytest.approx(0.182, abs=5e-4)
