"""Features with names: the columns of a frame go to their own places in any order, or one line says which is amiss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dissensus import Committee, Pool, Session
from dissensus.errors import FeatureMismatchError, ParameterError

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(80, 3)), columns=["tempo", "level", "mode"])
Y, G = np.array(["calm", "loud"])[np.arange(80) % 2], np.arange(80)


@pytest.fixture(scope="module")
def committee() -> Committee:
    return Committee.pretrain(FRAME, Y, G, n_folds=2, kinds=("gnb", "sgd"))


def test_a_frame_gives_the_names(committee: Committee) -> None:
    assert committee.feature_names == ("tempo", "level", "mode")
    plain = Committee.pretrain(FRAME.to_numpy(), Y, G, n_folds=2, kinds=("gnb", "sgd"))
    np.testing.assert_array_equal(plain.predict_proba(FRAME.to_numpy()), committee.predict_proba(FRAME))
    assert plain.feature_names is None
    numbered = Committee.pretrain(pd.DataFrame(FRAME.to_numpy()), Y, G, n_folds=2, kinds=("gnb",))
    assert numbered.feature_names is None


@pytest.mark.parametrize("order", [["mode", "tempo", "level"], ["level", "tempo", "mode"], ["tempo", "level", "mode"]])
@pytest.mark.parametrize(
    "kind", [lambda frame: frame, lambda frame: pa.table(dict(frame)), lambda frame: frame.astype(object)]
)
def test_columns_in_another_order_give_the_same_answers(committee: Committee, order: list[str], kind: Any) -> None:
    expected = committee.predict_proba(FRAME)
    np.testing.assert_array_equal(committee.predict_proba(kind(FRAME[order])), expected)
    np.testing.assert_array_equal(committee.scale(kind(FRAME[order])), committee.scale(FRAME))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (FRAME[["tempo", "level"]], "X lacks feature 'mode'"),
        (FRAME.assign(track_id=G), "X has a column 'track_id'"),
        (FRAME.rename(columns={"mode": "Mode"}), "X lacks feature 'mode'"),
        (pd.concat([FRAME, FRAME[["mode"]]], axis=1), "X has a column"),
    ],
)
def test_columns_that_are_not_the_committees_are_named(committee: Committee, frame: Any, says: str) -> None:
    with pytest.raises(FeatureMismatchError, match=says):
        committee.predict_proba(frame)


def test_frames_that_cannot_be_trained_on() -> None:
    for frame, says in (
        (FRAME.assign(track_id=[f"t{i}" for i in G]), "column 'track_id' of X holds 't0' in row 0"),
        (pd.concat([FRAME, FRAME[["mode"]]], axis=1), "two columns 'mode'"),
        (FRAME.assign(mode=FRAME["mode"].where(G != 7)), r"X\[7, 2\] is not finite"),
    ):
        with pytest.raises(ParameterError, match=says):
            Committee.pretrain(frame, Y, G, n_folds=2, kinds=("gnb",))
    with pytest.raises(ParameterError, match="feature_names are not the columns of X"):
        Committee.pretrain(FRAME, Y, G, n_folds=2, kinds=("gnb",), feature_names=("a", "b", "c"))


def test_a_session_tells_how_to_turn_a_pool(committee: Committee) -> None:
    turned = Pool(FRAME[["mode", "tempo", "level"]].to_numpy(), G, feature_names=["mode", "tempo", "level"])
    with pytest.raises(FeatureMismatchError, match=r"pool\.select\(committee\.feature_names\) puts them right"):
        Session(committee, turned)
    right = turned.select(committee.feature_names or ())
    np.testing.assert_array_equal(right.X, FRAME.to_numpy())
    np.testing.assert_allclose(
        Session(committee, right).predict_proba(), committee.predict_proba(FRAME).mean(axis=0), atol=1e-5
    )
