"""The quadrant rules and the two containers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.datasets import QUADRANTS, Annotations, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

# (arousal, valence): (0,+) (0,0) (0,-) (+,0) (-,0), as the sources have them
ZEROS = ([0, 0, 0, 1, -1], [1, 0, -1, 0, 0])


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [("nonneg", [0, 0, 1, 0, 3]), ("amg1608", [0, 0, 2, 0, 2]), ("drop", [-1, -1, -1, -1, -1])],
)
def test_zero_follows_the_stated_rule(boundary, expected):
    assert quadrant(*ZEROS, boundary=boundary).tolist() == expected


@given(st.floats(-10, 10).filter(bool), st.floats(-10, 10).filter(bool))
def test_off_the_axes_all_rules_agree(a, v):
    expected = {(True, True): 0, (True, False): 1, (False, False): 2, (False, True): 3}[(a > 0, v > 0)]
    for boundary in ("nonneg", "amg1608", "drop"):
        assert quadrant(a, v, boundary=boundary) == expected
    assert quadrant(np.sign(a), np.sign(v), boundary="strict") == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_quadrant_refuses_what_is_not_finite(value):
    with pytest.raises(ParameterError, match=r"not finite at \[1\]"):
        quadrant([0.0, value], [1.0, 1.0])


def test_strict_refuses_anything_but_plus_and_minus_one():
    with pytest.raises(ParameterError, match=r"only \+1 and -1"):
        quadrant([1, 0], [1, 1], boundary="strict")


def test_quadrant_refuses_unknown_rules_and_shapes():
    with pytest.raises(ParameterError, match="boundary="):
        quadrant(1, 1, boundary="positive")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="one shape"):
        quadrant([1, 2], [1, 2, 3])


def make(listener, track, label, when=None):
    stamp = None if when is None else np.array(when)
    return Annotations(
        np.array(listener), np.array(track), np.array(label), QUADRANTS, stamp, {"n": np.arange(len(label))}
    )


def test_newest_keeps_one_row_a_pair():
    a = make(["a", "b", "a", "a", "b"], ["x", "x", "x", "y", "x"], [0, 1, 2, 3, 0], [5, 9, 3, 1, 9])
    kept = a.newest()
    assert kept.extra["n"].tolist() == [0, 3, 4]  # newest wins; on equal stamps the later row
    assert make(["a", "a"], ["x", "x"], [0, 1]).newest().label.tolist() == [1]


def test_listeners_counts_distinct_labelled_tracks():
    a = make(["a", "a", "a", "b", "b"], ["x", "x", "y", "x", "z"], [0, 1, -1, 2, 3])
    assert a.listeners().tolist() == ["a", "b"]
    assert a.listeners(min_tracks=2).tolist() == ["b"]


def test_annotations_refuse_ragged_columns_and_strange_labels():
    with pytest.raises(DataFormatError, match="track_id has 1 rows"):
        make(["a", "b"], ["x"], [0, 1])
    with pytest.raises(DataFormatError, match="label 4 in row 1"):
        make(["a", "b"], ["x", "y"], [0, 4])


def test_dataset_refuses_unknown_tracks_and_ragged_tables():
    pool = Pool([[0.0], [1.0]], ["x", "y"])
    with pytest.raises(DataFormatError, match="'z'"):
        Dataset("d", pool, make(["a"], ["z"], [0]))
    with pytest.raises(DataFormatError, match="weak_label has 1 rows for 2 tracks"):
        Dataset("d", pool, make(["a"], ["x"], [0]), np.array([0]))
    assert Dataset("d", pool, make(["a"], ["x"], [0])).classes == QUADRANTS


def test_matrix_has_a_row_a_listener_and_gaps_where_nobody_judged():
    a = make(["b", "a", "a", "a"], ["x", "y", "x", "x"], [0, -1, 2, 3], [1, 1, 1, 5])
    ratings, listeners, tracks = a.matrix()
    assert (listeners.tolist(), tracks.tolist()) == (["a", "b"], ["x", "y"])
    np.testing.assert_array_equal(ratings, [[3, np.nan], [0, np.nan]])
    np.testing.assert_array_equal(a.matrix("n")[0], [[3, 1], [0, np.nan]])
    with pytest.raises(ParameterError, match="numeric column of extra: n"):
        a.matrix("mood")
