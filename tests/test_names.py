"""Names that are not Unicode: valid text, distinct names distinct, found again."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dissensus._names import escape_name, unescape_name

NAMES = st.one_of(
    st.binary(max_size=20).map(os.fsdecode),
    st.text(st.sampled_from("\\xud89abe0c5 é\udce9\udcff\ud83c\U0001f3b5/"), max_size=12),
)


@given(NAMES)
@example("\\x\udce9")
@example("\\\udce9")
@example("\\x5cxe9")
@example("\\ud8\udce9")
def test_a_name_comes_back_from_its_escaped_form(name: str) -> None:
    text = escape_name(name)
    text.encode()
    assert unescape_name(text) == name


@given(NAMES, NAMES)
def test_distinct_names_stay_distinct(a: str, b: str) -> None:
    assert (escape_name(a) == escape_name(b)) == (a == b)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\")))
def test_a_name_without_need_of_it_stays_as_it_is(name: str) -> None:
    assert escape_name(name) == name


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xe9.wav", r"caf\xe9.wav"),
        ("café.wav".encode(), "café.wav"),
        (b"a\\b.wav", r"a\b.wav"),
        (b"\\xe9.wav", r"\x5cxe9.wav"),
        (b"\\xavier.wav", r"\xavier.wav"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"\xf0\x9f\x8e.mp3", r"\xf0\x9f\x8e.mp3"),
        (b"\xc3.wav", r"\xc3.wav"),
        (b"\x80", r"\x80"),
        (b"n\xc3\xa9\xe9", r"né\xe9"),
    ],
)
def test_how_it_is_written(raw: bytes, text: str) -> None:
    assert escape_name(os.fsdecode(raw)) == text
    assert os.fsencode(unescape_name(text)) == raw
