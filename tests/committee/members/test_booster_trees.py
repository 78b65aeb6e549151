"""XGBoost's trees as arrays: the same margins, and nothing unchecked reaches XGBoost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.committee import BoostedTrees
from dissensus.committee.members.booster_trees import BoosterTrees
from dissensus.committee.members.ubjson import read_ubjson, write_ubjson
from dissensus.errors import ModelFormatError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)).astype(np.float32)
Y = RNG.integers(0, 4, 300)
MEMBER = BoostedTrees(n_rounds=6, max_depth=4).fit(X, Y)
TREES = BoosterTrees.of(MEMBER.booster_, 4, 5)
RAW = bytes(MEMBER.booster_.save_raw("ubj"))


def test_a_booster_made_of_arrays_has_the_same_margins_to_the_last_bit() -> None:
    far = np.concatenate([RNG.normal(size=(500, 5)) * 3, np.full((1, 5), np.nan)]).astype(np.float32)
    far[::7, 2] = np.nan
    made = TREES.booster(4, 5)
    for rows in (X, far):
        theirs = MEMBER.booster_.inplace_predict(rows, predict_type="margin")
        np.testing.assert_array_equal(made.inplace_predict(rows, predict_type="margin"), theirs)
    assert made.num_boosted_rounds() == 6


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_any_number_of_classes(classes: int) -> None:
    y = np.arange(300) % classes
    member = BoostedTrees(n_rounds=3).fit(X, y)
    made = BoosterTrees.of(member.booster_, classes, 5).booster(classes, 5)
    np.testing.assert_array_equal(made.inplace_predict(X), member.booster_.inplace_predict(X))


def changed(**parts: object) -> BoosterTrees:
    return dataclasses.replace(TREES, **parts)  # type: ignore[arg-type]


def with_value(part: str, place: int, value: float) -> BoosterTrees:
    array = getattr(TREES, part).copy()
    array[place] = value
    return changed(**{part: array})


INNER = int(np.flatnonzero(TREES.left >= 0)[1])
LEAF = int(np.flatnonzero(TREES.left < 0)[0])


@pytest.mark.parametrize(
    ("trees", "says"),
    [
        (with_value("left", INNER, 0), "circles"),
        (with_value("left", INNER, 10_000), "circles, or out"),
        (with_value("left", INNER, TREES.right[INNER]), "child of several"),
        (with_value("left", INNER, -2), "one child|circles"),
        (with_value("right", LEAF, 3), "one child"),
        (with_value("left", INNER, -1), "one child"),
        (with_value("feature", INNER, 5), "beyond the 5"),
        (with_value("feature", INNER, -1), "beyond the 5"),
        (with_value("value", INNER, np.nan), "not finite"),
        (with_value("value", LEAF, np.inf), "not finite"),
        (with_value("base", 0, np.nan), "not finite"),
        (with_value("missing_left", INNER, 2), "neither left nor right"),
        (with_value("start", 1, TREES.start[2]), "do not cover|circles|child"),
        (with_value("start", 0, 1), "do not cover"),
        (with_value("start", -1, 7), "do not cover"),
        (changed(start=TREES.start[:1]), "do not cover"),
        (changed(start=TREES.start[[0, *range(2, len(TREES.start))]]), "for 4 classes"),
        (changed(value=TREES.value[:-1]), "different lengths"),
        (changed(base=np.zeros(2, np.float32)), "different lengths"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(trees: BoosterTrees, says: str) -> None:
    with pytest.raises(ModelFormatError, match=says):
        trees.check(4, 5)


@given(
    st.sampled_from(["start", "feature", "left", "right", "missing_left"]), st.integers(0, 10**6), st.integers(-3, 300)
)
def test_one_wrong_number_anywhere_is_refused_or_a_tree_all_the_same(part: str, place: int, value: int) -> None:
    array = getattr(TREES, part)
    trees = with_value(part, place % len(array), value % 256 if part == "missing_left" else value)
    try:
        trees.check(4, 5)
    except ModelFormatError:
        return
    assert np.isfinite(trees.booster(4, 5).inplace_predict(X)).all()


@given(st.data())
def test_damaged_bytes_of_an_older_file_end_in_a_typed_error_or_in_trees(data: st.DataObject) -> None:
    raw = bytearray(RAW)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(raw) - 50, len(raw)))
    try:
        trees = BoosterTrees.from_bytes(bytes(raw[:cut]), 4, 5)
    except ModelFormatError:
        return
    assert np.isfinite(trees.booster(4, 5).inplace_predict(X)).all()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "end early"),
        (b"[" * 1000, "nested deeper"),
        (b"{U\x01a" * 1000, "nested deeper"),
        (b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "end early"),
        (b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", "an array of"),
        (b"[$Z#L\x00\x00\x00\x00\x7f\xff\xff\xff", "an array of"),
        (b"SL\x00\x00\x00\x00\x7f\xff\xff\xff", "a text of"),
        (b"Si\xff", "a length of -1"),
        (b"SD\x00\x00\x00\x00\x00\x00\x00\x00", "a length of the type"),
        (b"i\x01i\x01", "behind the end"),
        (b"?", "of the type"),
        (b"{U\x01aTU\x01aT}", "twice"),
        (b"[$d", "without a count|end early"),
    ],
)
def test_the_reader_believes_no_length_and_no_type(raw: bytes, says: str) -> None:
    with pytest.raises(ModelFormatError, match=says):
        read_ubjson(raw)


def test_what_is_written_is_read_back() -> None:
    value = {"a": {"b": [1, -2, "drei"], "c": []}, "n": 2**40, "text": "ä"}
    assert read_ubjson(write_ubjson(value)) == value
    arrays = {
        "f": np.array([1.5, -0.0], np.float32),
        "i": np.array([-1, 2**31 - 1], np.int32),
        "u": np.zeros(0, np.uint8),
    }
    again = read_ubjson(write_ubjson(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
