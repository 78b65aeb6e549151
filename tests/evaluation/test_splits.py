from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.errors import DataFormatError, ParameterError
from dissensus.evaluation.splits import Split, Splits, child_seed

HEAD = {"format": 1, "seed": 0, "test_share": 0.5, "variant": ""}


@given(n=st.integers(2, 200), share=st.floats(0.01, 0.99), repeat=st.integers(0, 50))
def test_a_split_is_a_partition_with_a_track_on_either_side(n: int, share: float, repeat: int) -> None:
    tracks = [f"t{i}" for i in range(n)]
    split = Splits(0, share).draw("ann", repeat, tracks)
    assert sorted(split.pool + split.test) == sorted(tracks)
    assert not set(split.pool) & set(split.test)
    assert split.pool
    assert split.test


def test_85_15_as_published() -> None:
    split = Splits(0).draw("ann", 0, np.arange(83))
    assert (len(split.pool), len(split.test)) == (70, 13)


def test_no_other_listener_and_no_order_of_calls_has_a_say() -> None:
    tracks = [f"t{i}" for i in range(40)]
    alone = Splits(3).draw("bob", 2, tracks)
    company = Splits(3)
    for who in ("ann", "cid"):
        for repeat in range(5):
            company.draw(who, repeat, tracks)
    assert company.draw("bob", 2, tracks[::-1]) == alone
    assert company.draw("bob", 1, tracks) != alone
    assert company.draw("ann", 2, tracks) != alone
    assert Splits(4).draw("bob", 2, tracks) != alone
    assert Splits(3, variant="hc").draw("bob", 2, tracks) != alone


def test_read_back_as_written(tmp_path: Path) -> None:
    splits = Splits(1, 0.3)
    text, numbers = splits.draw("ann", 0, ["b", "a", "c"]), splits.draw(7, 0, [3, 1, 2])
    splits.save(tmp_path / "splits.json")
    again = Splits.load(tmp_path / "splits.json")
    assert (again.seed, again.test_share, len(again)) == (1, 0.3, 2)
    assert again.of("ann", 0) == text
    assert again.of(7, 0) == numbers == again.draw("7", 0, [1, 2, 3])
    assert [p.name for p in tmp_path.iterdir()] == ["splits.json"]


def test_a_kept_split_wins_over_a_new_draw_and_refuses_other_tracks(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    row = {"listener": "ann", "repeat": 0, "pool": ["a", "b"], "test": ["c"]}
    path.write_text(json.dumps(HEAD | {"splits": [row]}))
    splits = Splits.load(path)
    assert splits.draw("ann", 0, ["c", "b", "a"]) == Split(("a", "b"), ("c",))
    with pytest.raises(ParameterError, match="other tracks"):
        splits.draw("ann", 0, ["a", "b", "d"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps(HEAD | {"format": 2, "splits": []}),
        json.dumps(HEAD | {"splits": [{"listener": "a"}]}),
        json.dumps(HEAD | {"splits": [{"listener": "a", "repeat": 0, "pool": ["x", "y"], "test": ["y"]}]}),
    ],
)
def test_says_so_when_the_file_is_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(DataFormatError, match=r"splits\.json"):
        Splits.load(tmp_path / "splits.json")


def test_bad_arguments() -> None:
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ParameterError):
            Splits(0, share)
    with pytest.raises(ParameterError, match="two"):
        Splits(0).draw("ann", 0, ["a", "a"])
    with pytest.raises(ParameterError, match="no split"):
        Splits(0).of("ann", 0)


def test_child_seeds_differ_by_every_part_of_the_key() -> None:
    keys = [("ann", 0, "split"), ("ann", 1, "split"), ("bob", 0, "split"), ("ann", 0, "ties")]
    states = {tuple(child_seed(0, *key).generate_state(4).tolist()) for key in keys}
    states.add(tuple(child_seed(1, *keys[0]).generate_state(4).tolist()))
    assert len(states) == 5
