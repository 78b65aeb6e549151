"""The published tables of agreement, from the raw surveys and the snapshot, to three decimals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.agreement.groups import GroupAgreement, GroupSpec, group_agreement
from dissensus.datasets import Annotations, Dataset, ismir2020, trompa
from dissensus.errors import ParameterError
from dissensus.evaluation.papers.agreement_tables import (
    format_agreement,
    ismir2020_table_1,
    ismir2020_table_2,
    rating_table,
    trompa_table,
)
from dissensus.evaluation.papers.printed import TABLE_1, TABLE_2
from dissensus.features.pool import Pool

pytestmark = pytest.mark.filterwarnings("error")

#: ISMIR 2020, Table 1: ratings of each group, neutral answers on neither side.
RATINGS = {
    "all": 27720,
    "preference +": 11275,
    "preference -": 8976,
    "familiarity +": 4477,
    "familiarity -": 21439,
    "understanding +": 13827,
    "understanding -": 9977,
    "musical training +": 12320,
    "musical training -": 15400,
    "emotions +": 16500,
    "emotions -": 11220,
    "general sophistication +": 13640,
    "general sophistication -": 14080,
}


def keyed(rows: list[GroupAgreement]) -> dict[tuple[str, str], GroupAgreement]:
    out = {(row.group, row.column): row for row in rows}
    assert len(out) == len(rows)
    return out


@pytest.fixture(scope="module")
def surveys(research_data: Path) -> Dataset:
    return ismir2020.load(research_data / "agreement_emotion")


@pytest.mark.data
def test_table_1_with_the_papers_filters(surveys: Dataset) -> None:
    ours = keyed(ismir2020_table_1(surveys))
    strict = keyed(ismir2020_table_1(surveys, strict=True))
    for cell, printed in TABLE_1.items():
        assert round(ours[cell].alpha, 3) == printed, cell
    for name, count in RATINGS.items():
        assert strict[name, "joy"].n_ratings * 11 == count
    assert len(TABLE_1) == 13 * 11
    assert len(ours) == 13 * 11


@pytest.mark.data
def test_strict_filters_give_other_numbers(surveys: Dataset) -> None:
    strict = keyed(ismir2020_table_1(surveys, strict=True))
    for group, emotion, value in [
        ("understanding +", "joy", 0.451),
        ("understanding +", "anger", 0.282),
        ("understanding +", "peace", 0.345),
        ("familiarity +", "joy", 0.421),
        ("preference +", "joy", 0.445),
    ]:
        assert round(strict[group, emotion].alpha, 3) == value


@pytest.mark.data
def test_table_2_from_the_raw_surveys(surveys: Dataset) -> None:
    ours = keyed(ismir2020_table_2(surveys))
    for cell, printed in TABLE_2.items():
        assert round(ours[cell].alpha, 3) == printed, cell
    assert len(TABLE_2) == 5 * 11
    assert len(ours) == 5 * 11


@pytest.mark.data
def test_trompa(research_data: Path) -> None:
    ours = keyed(trompa_table(trompa.load(research_data / "trompa_mer")))
    for group, printed in {
        "all": (0.315, 0.449, 0.311, 0.182),
        "n_tracks >= 80": (0.314, 0.440, 0.315, 0.176),  # 35 listeners; with the repeats uncollapsed there are 36
    }.items():
        for column, value in zip(("quadrant", "arousal", "valence", "mood"), printed, strict=True):
            assert round(ours[group, column].alpha, 3) == value
    assert (ours["all", "mood"].n_ratings, ours["all", "mood"].n_raters) == (4685, 181)
    assert ours["n_tracks >= 80", "mood"].n_raters == 35


def small() -> Dataset:
    ids = np.array(["a", "b", "c"])
    who = np.repeat(np.array(["x", "y"]), 3)
    label = np.array([0, 1, 2, 0, 1, -1])
    annotations = Annotations(who, np.tile(ids, 2), label, ("Q1", "Q2", "Q3"), None, {"known": label > 0})
    return Dataset("small", Pool(np.zeros((3, 1), dtype=np.float32), ids), annotations)


def test_a_judgement_without_a_class_is_a_gap() -> None:
    table = rating_table(small())
    assert np.array_equal(table.matrix("quadrant"), [[0, 1, 2], [0, 1, np.nan]], equal_nan=True)
    assert table.columns["n_tracks"].tolist() == [3] * 6


def test_as_text() -> None:
    table = rating_table(small())
    every = group_agreement(table, ["quadrant"], level="nominal", n_draws=20)
    known = group_agreement(table, ["quadrant"], GroupSpec("known", "==", "True"), level="nominal", n_random=5)
    text = format_agreement([*every, *known])
    assert "all (6 x 2 people)" in text
    assert "1.000" in text
    assert "no variation" in text
    assert "random groups of that size" in text
    both = format_agreement(every, beside=every, beside_name="again")
    assert "alpha, again" in both
    beside = format_agreement(every, published={("all", "quadrant"): 0.75})
    assert beside.splitlines()[1].split()[-5:-2] == ["0.750", "1.000", "+0.250"]
    with pytest.raises(ParameterError, match="same groups"):
        format_agreement(every, beside=known)
