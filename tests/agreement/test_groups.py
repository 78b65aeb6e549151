"""Groups of ratings: who is in, how far they agree, and what random groups of that size show."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dissensus.agreement.alpha import krippendorff_alpha
from dissensus.agreement.groups import GroupSpec, RatingTable, group_agreement, random_masks
from dissensus.datasets import ismir2020
from dissensus.errors import ParameterError


def made_up(n_people: int = 30, n_units: int = 12, seed: int = 0) -> RatingTable:
    """People below 10 follow the units, the others answer at random."""
    rng = np.random.default_rng(seed)
    rater, unit = (index.reshape(-1) for index in np.indices((n_people, n_units)))
    truth = rng.integers(1, 6, n_units)
    value = np.where(rater < 10, truth[unit], rng.integers(1, 6, len(unit)))
    liking = rng.integers(1, 6, len(unit))
    language = np.where(rater % 2 == 0, "english", "german")
    return RatingTable(rater, unit, {"value": value, "liking": liking, "person": rater, "language": language})


@pytest.mark.parametrize(
    ("text", "kept"),
    [("x>3", [4, 5]), ("x>=3", [3, 4, 5]), ("x < 3", [1, 2]), ("x<=3", [1, 2, 3]), ("x==3", [3]), ("name==b", [2])],
)
def test_a_group_keeps_its_side(text: str, kept: list[int]) -> None:
    x = np.array([1, 2, 3, 4, 5])
    spec = GroupSpec.parse(text)
    assert x[spec.mask({"x": x, "name": np.array(list("abcde"))})].tolist() == kept
    assert GroupSpec.parse(str(spec)) == spec


def test_a_missing_number_is_in_no_group_and_truth_values_compare() -> None:
    x = {"x": np.array([1.0, math.nan, 5.0]), "known": np.array([True, False, True])}
    assert GroupSpec("x", ">", 3).mask(x).tolist() == [False, False, True]
    assert GroupSpec("x", "<", 3, strict=False).mask(x).tolist() == [True, False, False]
    assert GroupSpec.parse("known==False").mask(x).tolist() == [False, True, False]


@pytest.mark.parametrize("text", ["", "x", "x=3", ">3", "x>"])
def test_text_that_is_no_group(text: str) -> None:
    with pytest.raises(ParameterError, match="write a column"):
        GroupSpec.parse(text)


def test_groups_that_cannot_be() -> None:
    with pytest.raises(ParameterError, match="op='>='"):
        GroupSpec("x", ">=", 3)
    with pytest.raises(ParameterError, match="finite"):
        GroupSpec("x", ">", "three")
    with pytest.raises(ParameterError, match="no column 'y'; there are x"):
        GroupSpec("y", ">", 3).mask({"x": np.ones(2)})
    with pytest.raises(ParameterError, match="does not compare"):
        GroupSpec("x", ">", 3).mask({"x": np.array(["a"])})


def test_the_matrix_is_the_ratings() -> None:
    table = RatingTable(np.array(["b", "a", "b"]), np.array([7, 3, 3]), {"v": np.array([5, 1, 2])})
    assert np.array_equal(table.matrix("v"), [[1, math.nan], [2, 5]], equal_nan=True)
    kept = table.matrix("v", np.array([True, False, True]))
    assert np.array_equal(kept, [[math.nan, math.nan], [2, 5]], equal_nan=True)
    with pytest.raises(ParameterError, match="no column"):
        table.matrix("w")


def test_a_pair_twice_is_refused() -> None:
    with pytest.raises(ParameterError, match="twice"):
        RatingTable(np.array(["a", "a"]), np.array([1, 1]), {"v": np.array([1, 2])})
    with pytest.raises(ParameterError, match="v has 1 rows"):
        RatingTable(np.array(["a", "a"]), np.array([1, 2]), {"v": np.array([1])})


def test_random_groups_of_people_are_whole_people() -> None:
    table = made_up()
    mask = GroupSpec("person", "<", 10).mask(table.columns)
    drawn = random_masks(table, mask, 20)
    assert (drawn.sum(axis=1) == mask.sum()).all()
    for one in drawn:
        assert len(np.unique(table.rater[one])) == 10
    assert len(np.unique(drawn, axis=0)) > 15
    assert np.array_equal(drawn, random_masks(table, mask, 20))
    assert not np.array_equal(drawn, random_masks(table, mask, 20, random_state=1))


def test_random_groups_of_ratings_keep_the_count_of_every_unit() -> None:
    table = made_up()
    mask = GroupSpec("liking", ">", 3).mask(table.columns)
    per_unit = np.bincount(table.unit, weights=mask)
    for one in random_masks(table, mask, 10):
        assert np.array_equal(np.bincount(table.unit, weights=one), per_unit)
        assert not np.array_equal(one, mask)


def test_a_group_that_agrees_stands_out_and_one_that_does_not_does_not() -> None:
    table = made_up()
    (real,) = group_agreement(table, ["value"], GroupSpec("person", "<", 10), level="ordinal", n_draws=50, n_random=60)
    assert real.alpha == 1.0
    assert real.p_random < 0.05
    assert real.random_range[1] < real.alpha
    assert (real.n_raters, real.n_ratings) == (10, 120)
    (idle,) = group_agreement(table, ["value"], GroupSpec.parse("language==german"), level="ordinal", n_random=60)
    assert idle.random_range[0] <= idle.alpha <= idle.random_range[1]
    assert idle.p_random > 0.05
    assert idle.interval is None


def test_everybody_has_no_random_group() -> None:
    table = made_up()
    (every,) = group_agreement(table, ["value"], level="nominal", n_random=10)
    assert every.random == ()
    assert every.p_random == 1.0
    assert math.isnan(every.random_mean)
    assert every.alpha == krippendorff_alpha(table.matrix("value"), level="nominal")


@pytest.mark.data
def test_neutral_ratings_are_on_both_sides_of_the_published_groups(research_data: Path) -> None:
    data = ismir2020.load(research_data / "agreement_emotion")
    columns = data.annotations.extra
    legacy = [GroupSpec("preference", op, 3, strict=False).mask(columns) for op in "><"]
    strict = [GroupSpec("preference", op, 3).mask(columns) for op in "><"]
    assert (legacy[0] & legacy[1]).sum() == (columns["preference"] == 3).sum() > 0
    assert not (strict[0] & strict[1]).any()
