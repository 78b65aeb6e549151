"""Ties are broken by id, seed and listener alone, evenly, and without a call per id."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus._ties import TieKeys, id_hashes, mix64

IDS = np.array([f"track {i}" for i in range(4000)])


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_a_number_and_its_digits_are_one_id(numbers: list[int]) -> None:
    given = np.array(numbers)
    np.testing.assert_array_equal(id_hashes(given), id_hashes(given.astype(str)))


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=2, max_size=12, unique=True))
def test_an_ids_number_does_not_depend_on_the_others(texts: list[str]) -> None:
    together = id_hashes(np.array(texts))
    np.testing.assert_array_equal(together, np.concatenate([id_hashes(np.array([text])) for text in texts]))
    assert len(set(together.tolist())) == len(texts)


def test_mixing_is_a_bijection_that_spreads_every_bit() -> None:
    numbers = np.arange(1 << 14, dtype=np.uint64)
    mixed = mix64(numbers)
    assert len(np.unique(mixed)) == len(numbers)
    flipped = mix64(numbers ^ np.uint64(1)) ^ mixed
    share = np.unpackbits(flipped.view(np.uint8)).mean()
    assert share == pytest.approx(0.5, abs=0.005)


def test_keys_are_a_function_of_id_seed_and_listener() -> None:
    hashes = id_hashes(IDS)
    ann = TieKeys(hashes, 3, "ann")
    np.testing.assert_array_equal(ann[:], TieKeys(hashes, 3, "ann")[:])
    np.testing.assert_array_equal(ann[[7, 3]], ann[:][[7, 3]])
    assert len(ann) == len(IDS)
    for other in (TieKeys(hashes, 3, "bob"), TieKeys(hashes, 4, "ann"), TieKeys(hashes, 3)):
        assert (other[:] != ann[:]).all()
    np.testing.assert_array_equal(TieKeys(hashes, np.random.SeedSequence(3), "ann")[:], ann[:])
    np.testing.assert_array_equal(TieKeys(hashes, 3, 7)[:], TieKeys(hashes, 3, "7")[:])


def test_every_place_in_the_order_is_as_likely_for_every_track() -> None:
    hashes = id_hashes(IDS[:20])
    first = [int(np.argmin(TieKeys(hashes, 0, who)[:])) for who in range(4000)]
    count = np.bincount(first, minlength=20)
    assert ((count - 200) ** 2 / 200).sum() < 45  # chi square with 19 degrees of freedom, p about .0007
