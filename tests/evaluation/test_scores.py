from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss

from dissensus.errors import ParameterError
from dissensus.evaluation.scores import SCORES, track_scores


@given(seed=st.integers(0, 2**32 - 1), n_tracks=st.integers(1, 20), n_classes=st.integers(2, 6))
def test_equals_scikit_learn_over_all_classes(seed: int, n_tracks: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=(3, n_tracks))
    y = rng.integers(0, n_classes, n_tracks)
    found = track_scores(proba, y)
    assert set(found) == set(SCORES)
    labels = list(range(n_classes))
    for k in range(3):
        said = proba[k].argmax(axis=1)
        for average in ("weighted", "macro"):
            expected = f1_score(y, said, labels=labels, average=average, zero_division=0)
            assert found[f"f1_{average}"][k] == pytest.approx(expected, abs=1e-12)
        assert found["accuracy"][k] == pytest.approx(accuracy_score(y, said))
        assert found["nll"][k] == pytest.approx(log_loss(y, proba[k], labels=labels), rel=1e-6)


def test_ties_go_to_the_lowest_index_and_rows_are_renormalised() -> None:
    found = track_scores([[0.25, 0.25], [0.1, 0.3]], [0, 1])
    assert found["accuracy"] == 1.0
    assert found["nll"] == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)


def test_a_class_that_nobody_names_counts_zero_in_the_macro_score() -> None:
    found = track_scores(np.eye(4)[[0, 1]], [0, 1])
    assert found["f1_macro"] == pytest.approx(0.5)
    assert found["f1_weighted"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("proba", "y"),
    [
        (np.ones((2, 4)) / 4, [0]),
        (np.ones((2, 4)) / 4, [0, 4]),
        (np.ones((2, 4)) / 4, [0, -1]),
        (np.ones((2, 4)) / 4, [0.0, 1.0]),
        (np.ones((0, 4)), []),
        (np.full((1, 4), np.nan), [0]),
        (np.zeros((1, 4)), [0]),
        (np.ones(4), [0]),
    ],
)
def test_refuses_what_cannot_be_scored(proba: np.ndarray, y: list[int]) -> None:
    with pytest.raises(ParameterError):
        track_scores(proba, np.array(y) if y else np.array([], dtype=int))
