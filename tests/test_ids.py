"""Ids: what is the same id, what is none, and what is refused because it only looks like one."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus._ids import IdIndex, id_array, id_text, is_missing, is_same_id
from dissensus.errors import ParameterError

THREE = (3, 3.0, "3", np.int64(3), np.uint8(3), np.float32(3), np.str_("3"), Decimal(3), Decimal("3.0"))


@pytest.mark.parametrize("one", THREE, ids=repr)
@pytest.mark.parametrize("other", THREE, ids=repr)
def test_a_whole_number_and_the_text_of_its_digits_are_one_id(one: Any, other: Any) -> None:
    assert id_text(one) == id_text(other) == "3"
    assert is_same_id(id_array([other, 4]), one).tolist() == [True, False]
    assert IdIndex(id_array([4, other])).get(one) == 1


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        ("03", "3"), ("3", "03"), ("3.0", 3), (3, "3.0"), (" 3", 3), ("3 ", "3"), ("ann", " ann"), ("ann", "ann\t"),
        ("\ufeffann", "ann"), ("cafe\u0301", "caf\u00e9"), ("'ann'", "ann"), ("a b", "a  b"), ("a\u00a0b", "a b"),
        ("+3", 3), ("-03", -3), ("0003", 3.0),
    ],
)  # fmt: skip
def test_an_id_that_only_looks_like_somebody_is_refused_and_both_are_named(wanted: Any, known: Any) -> None:
    for ask in (lambda: is_same_id([known, "zoe"], wanted), lambda: IdIndex([known, "zoe"]).get(wanted)):
        with pytest.raises(ParameterError) as caught:
            ask()
        assert ascii(wanted) in str(caught.value) and "\n" not in str(caught.value)
        assert ascii(str(known).removesuffix(".0") if isinstance(known, float) else str(known)) in str(caught.value)
    assert is_same_id([wanted, known], wanted).tolist() == [True, False]  # both are there: each is itself


@pytest.mark.parametrize(("wanted", "known"), [("Ann", "ann"), ("eve", "ann"), (7, 70), ("30", "3"), ("a-b", "ab")])
def test_another_id_is_somebody_new(wanted: Any, known: Any) -> None:
    assert not is_same_id([known], wanted).any()
    assert IdIndex([known]).get(wanted) is None


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(False), b"3", 3.5, np.float64(1e20), 2.0**60, (1, 2), object(), np.datetime64("2020-01-01"), 1j],
)
def test_what_is_neither_a_whole_number_nor_a_text_is_no_id(value: Any) -> None:
    with pytest.raises(ParameterError, match="not a whole number or a text"):
        id_text(value)


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), "", "  ", Decimal("nan")]
)
def test_a_missing_id_is_refused_with_its_place(value: Any) -> None:
    assert is_missing(value)
    with pytest.raises(ParameterError, match=r"listener is missing"):
        id_text(value, what="listener")
    if value is not None:  # None is nobody
        with pytest.raises(ParameterError, match=r"listener is missing"):
            is_same_id(["a"], value)
    with pytest.raises(ParameterError, match=r"who\[1\] is missing"):
        id_array(["a", value], what="who")


@pytest.mark.parametrize("name", ["nan", "NaN", "None", "NA", "null", "<NA>", "-", "0", "False"])
def test_a_word_that_reads_like_a_missing_value_is_a_text(name: str) -> None:
    assert id_array([name, "b"]).tolist() == [name, "b"]
    assert is_same_id([name, "b"], name).tolist() == [True, False]


def test_ids_beyond_64_bits_are_kept_digit_by_digit() -> None:
    big = 12345678901234567890123
    assert id_array([big, 2]).tolist() == [str(big), "2"]
    assert is_same_id([big, big + 1], str(big)).tolist() == [True, False]
    assert is_same_id([2**64 - 1, 1], 2**64 - 1).tolist() == [True, False]
    assert not is_same_id(np.array([1, 2]), big).any()
    with pytest.raises(ParameterError, match="bits"):
        id_text(10**5000)


def test_numpy_does_not_make_text_of_a_missing_value() -> None:
    with pytest.raises(ParameterError, match=r"ids\[1\] is missing"):
        id_array(["a", float("nan"), "b"])
    masked = np.ma.MaskedArray([1, 2, 3], mask=[0, 1, 0])
    with pytest.raises(ParameterError, match=r"ids\[1\] is missing"):
        id_array(masked)


def test_kinds_of_arrays_that_are_kept_as_they_are() -> None:
    for array in (np.array([3, 1], dtype=np.int32), np.array(["b", "a"]), np.array([7], dtype=np.uint64)):
        assert id_array(array).dtype == array.dtype and (id_array(array) == array).all()
    assert id_array(pd.Series(["b", "a"])).tolist() == ["b", "a"]
    assert id_array(pd.Series([1, 2], dtype="Int64")).tolist() == [1, 2]
    assert id_array([PurePosixPath("a/b.wav"), uuid.UUID(int=3)]).tolist()[0] == "a/b.wav"
    assert id_array([]).shape == (0,)
    with pytest.raises(ParameterError, match="one-dimensional"):
        id_array([[1, 2]])


_ids = st.one_of(
    st.integers(-(10**6), 10**6),
    st.integers(-(10**6), 10**6).map(str),
    st.integers(-(10**6), 10**6).map(float),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6).filter(
        lambda t: not t.isspace()
    ),
)


@given(st.lists(_ids, min_size=1, max_size=12), _ids)
def test_same_means_equal_normal_forms_or_refused(known: list[Any], wanted: Any) -> None:
    expected = [id_text(value) == id_text(wanted) for value in known]
    index = {id_text(value): i for i, value in enumerate(known)}
    distinct = IdIndex(list(index))
    try:
        same = is_same_id(known, wanted).tolist()
    except ParameterError:
        assert not any(expected)
        with pytest.raises(ParameterError):
            distinct.get(wanted)
    else:
        assert same == expected
        assert (distinct.get(wanted) is not None) == any(expected)
        assert (distinct.find(wanted) is not None) == any(expected)
