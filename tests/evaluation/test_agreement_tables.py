"""The published tables of agreement, from the raw surveys and the snapshot, to three decimals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.datasets import Annotations, Dataset, ismir2020, trompa
from dissensus.errors import ParameterError
from dissensus.evaluation.agreement_tables import (
    TABLE_1_ORDER,
    format_agreement,
    ismir2020_table_1,
    ismir2020_table_2,
    rating_table,
    trompa_table,
)
from dissensus.evaluation.groups import GroupAgreement, GroupSpec, group_agreement
from dissensus.features.pool import Pool

pytestmark = pytest.mark.filterwarnings("error")

#: ISMIR 2020, Table 1: joy, surprise, power, anger, fear, tension, sad, bitter, peace, tender, transcendence; strict count.
TABLE_1 = """
all                      27720 .393 .064 .273 .335 .169 .253 .340 .215 .357 .396 .062
preference +             11275 .402 .074 .275 .264 .142 .171 .367 .204 .363 .414 .066
preference -              8976 .325 .036 .267 .368 .158 .309 .308 .191 .352 .384 .049
familiarity +             4477 .445 .065 .199 .314 .223 .158 .376 .284 .266 .297 .038
familiarity -            21439 .319 .047 .275 .329 .145 .270 .304 .173 .385 .414 .070
understanding +          13827 .428 .074 .276 .269 .160 .195 .361 .250 .324 .365 .046
understanding -           9977 .328 .044 .263 .361 .156 .299 .308 .159 .361 .391 .070
musical training +       12320 .406 .074 .327 .407 .190 .268 .364 .235 .424 .456 .067
musical training -       15400 .381 .052 .231 .283 .151 .236 .318 .194 .306 .348 .054
emotions +               16500 .430 .058 .299 .381 .212 .288 .378 .260 .411 .426 .068
emotions -               11220 .343 .067 .230 .273 .114 .206 .287 .149 .289 .351 .046
general sophistication + 13640 .415 .083 .319 .400 .195 .274 .357 .251 .441 .466 .091
general sophistication - 14080 .371 .043 .225 .275 .147 .226 .327 .180 .283 .331 .038
"""

#: ISMIR 2020, Table 2: English, Spanish, Mandarin, German, all.
TABLE_2 = """
anger         .429 .311 .367 .482 .364
bitter        .278 .209 .155 .278 .202
fear          .241 .175 .091 .207 .171
joy           .304 .437 .311 .476 .372
peace         .401 .332 .401 .438 .371
power         .379 .287 .296 .325 .289
sad           .330 .343 .279 .378 .326
surprise      .041 .055 .068 .218 .075
tender        .444 .314 .452 .581 .396
tension       .264 .324 .282 .323 .296
transcendence .080 .049 .083 -.012 .057
"""


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
    for line in TABLE_1.strip().splitlines():
        *words, count = line[:30].split()
        name = " ".join(words)
        for emotion, printed in zip(TABLE_1_ORDER, line[30:].split(), strict=True):
            assert round(ours[name, emotion].alpha, 3) == float(printed), (name, emotion)
        assert strict[name, "joy"].n_ratings * 11 == int(count)
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
    for line in TABLE_2.strip().splitlines():
        emotion, *printed = line.split()
        for group, value in zip(("english", "spanish", "mandarin", "german", "all"), printed, strict=True):
            assert round(ours[group, emotion].alpha, 3) == float(value), (group, emotion)
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
    with pytest.raises(ParameterError, match="same groups"):
        format_agreement(every, beside=known)
