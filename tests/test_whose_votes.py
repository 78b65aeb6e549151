"""Nothing that promises to leave a listener out fails silently, whatever type their id has."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissensus import Committee, Pool, Session
from dissensus.agreement.annotators import weighted_human_consensus
from dissensus.datasets import QUADRANTS, Annotations, table
from dissensus.errors import DataFormatError, LabelError, ParameterError
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.grid import run_evaluation
from dissensus.personalisation.listener.model import ListenerModel
from dissensus.personalisation.listener.ordinal import OrdinalModel
from dissensus.personalisation.listener.values import ValueModel
from dissensus.strategies.consensus import leave_listener_out, votes_of_others

SIZE = {"n_tracks": 3, "n_classes": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """120 tracks, five listeners called 1 to 5; ids read from files are text."""
    folder, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(0)
    y = np.arange(120) % 4
    X = rng.normal(size=(120, 3))
    X[:, 0] += y
    features = "".join(f"{i},{','.join(map(str, X[i]))}\n" for i in range(120))
    answers = [
        f"{t},{u},Q{(y[t] + (rng.random() < 0.3) * rng.integers(1, 4)) % 4 + 1}\n"
        for u in range(1, 6)
        for t in range(120)
        if rng.random() < 0.6
    ]
    (folder / "f.csv").write_text("track_id,a,b,c\n" + features)
    (folder / "a.csv").write_text("track_id,listener_id,label\n" + "".join(answers))
    return table.load(folder / "f.csv", folder / "a.csv")


@pytest.mark.parametrize("who", [3, 3.0, np.int64(3), np.float32(3), np.str_("3"), Decimal(3)], ids=repr)
def test_a_listener_of_another_type_is_the_same_listener_everywhere(data: Any, who: Any) -> None:
    own, others = data.annotations.of("3"), data.annotations.without("3")
    assert data.annotations.of(who).track_id.tolist() == own.track_id.tolist()
    assert len(data.annotations.without(who)) == len(others) == len(data.annotations) - len(own)
    for strategy, model in (("hc", None), ("mc", None)):
        text, number = (
            Session(model, data.pool, strategy=strategy, crowd=data.annotations, listener=w) for w in ("3", who)
        )
        np.testing.assert_array_equal(text.predict_proba(), number.predict_proba())
        assert text._asker.n_raters is not None and number._asker.n_raters is not None
        np.testing.assert_array_equal(text._asker.n_raters, number._asker.n_raters)
    of_text, of_who = (ListenerModel(data.pool, data.annotations).for_listener(w).proba for w in ("3", who))
    np.testing.assert_array_equal(of_text, of_who)


@pytest.mark.parametrize("ids", [[3, 4, 3], ["3", "4", "3"], np.array([3.0, 4.0, 3.0]), pd.Series([3, 4, 3])], ids=repr)
@pytest.mark.parametrize("who", [3, "3", 3.0])
def test_votes_of_others_never_hold_ones_own(ids: Any, who: Any) -> None:
    track, label = [0, 0, 1], [1, 2, 3]
    assert votes_of_others(ids, track, label, who)[1].tolist() == [0]
    for consensus in (leave_listener_out, weighted_human_consensus):
        assert consensus(ids, track, label, who, **SIZE)[1].tolist() == [1, 0, 0]


@pytest.mark.parametrize("who", ["03", "3.0", " 3", "3 ", True, b"3", 3.5, float("nan"), "", [3]], ids=repr)
def test_a_listener_who_cannot_be_told_is_refused_in_one_line(data: Any, who: Any) -> None:
    asks: tuple[Callable[[], Any], ...] = (
        lambda: data.annotations.of(who),
        lambda: data.annotations.without(who),
        lambda: leave_listener_out(["3", "4"], [0, 0], [1, 2], who, **SIZE),
        lambda: weighted_human_consensus(["3", "4"], [0, 0], [1, 2], who, **SIZE),
        lambda: Session(None, data.pool, crowd=data.annotations, listener=who),
        lambda: Session(None, data.pool, strategy="hc", crowd=data.annotations, listener=who),
        lambda: ListenerModel(data.pool, data.annotations).for_listener(who),
    )
    for ask in asks:
        with pytest.raises(ParameterError, match="listener") as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("who", [3, "3", 3.0, np.int64(3)], ids=repr)
def test_ratings_as_numbers_leave_the_listener_out_by_value_too(who: Any) -> None:
    rng = np.random.default_rng(0)
    pool, n = Pool(rng.normal(size=(12, 3)), [f"t{i}" for i in range(12)]), 60
    listener, track = rng.integers(1, 6, n).astype(str), np.array([f"t{i}" for i in rng.integers(0, 12, n)])
    values = rng.integers(1, 10, (n, 1)).astype(float)
    model = ValueModel(pool, listener, track, values)
    rest = listener != "3"
    alone = ValueModel(pool, listener[rest], track[rest], values[rest])
    np.testing.assert_allclose(model.crowd([who])[0], alone.crowd()[0], atol=1e-9)
    np.testing.assert_allclose(model.crowd([who])[1], alone.crowd()[1])
    ordinal = OrdinalModel(pool, listener, track, values, levels=list(range(1, 10)))
    np.testing.assert_array_equal(ordinal.for_listener(who).proba, ordinal.for_listener("3").proba)
    for lookalike in ("03", " 3", "3.0"):
        with pytest.raises(ParameterError, match="looks like it"):
            model.crowd([lookalike])


def test_somebody_new_leaves_out_nobody(data: Any) -> None:
    assert len(data.annotations.without("eve")) == len(data.annotations)
    assert len(data.annotations.of("eve")) == 0
    assert leave_listener_out(["3", "4"], [0, 0], [1, 2], "eve", **SIZE)[1].tolist() == [2, 0, 0]
    assert leave_listener_out(["3", "4"], [0, 0], [1, 2], None, **SIZE)[1].tolist() == [2, 0, 0]


def test_tracks_of_another_type_are_the_same_tracks() -> None:
    said = Annotations(np.array(["ann", "bob"]), np.array(["7", "8"]), np.array([0, 2]), QUADRANTS)
    pool = Pool(np.eye(3), [7, 8, 9])
    assert "7" in pool and 7.0 in pool and np.int64(7) in pool and "07" not in pool and True not in pool
    session = Session(None, pool, strategy="hc", crowd=said, listener="eve")
    assert session._asker.n_raters is not None and session._asker.n_raters.tolist() == [1, 1, 0]
    assert Pool(np.eye(2), ["7", "8"]).index_of([8, 7.0]).tolist() == [1, 0]
    assert Pool(np.eye(2), np.array([3, "3"], dtype=object)).n_tracks == 1


def test_the_evaluation_takes_listeners_by_value(data: Any, tmp_path: Path) -> None:
    small = Protocol(
        kinds=("gnb",), strategies=("rand",), rounds=1, queries=2, repeats=1, null_repeats=0, min_tracks=10
    )
    with pytest.raises(ParameterError, match="not all of"):
        run_evaluation(data, small, out=tmp_path / "none", listeners=["03"])
    done = [run_evaluation(data, small, out=tmp_path / repr(who), listeners=[who]) for who in ("3", 3)]
    assert set(done[0].scores["listener"]) == set(done[1].scores["listener"]) == {"3"}
    for name, column in done[0].scores.items():
        assert np.array_equal(column, done[1].scores[name], equal_nan=column.dtype.kind == "f"), name


MISSING = [None, float("nan"), np.nan, pd.NA, pd.NaT, ""]


@pytest.mark.parametrize("gap", MISSING, ids=repr)
def test_a_missing_label_group_or_id_is_named_with_its_row(gap: Any) -> None:
    g = np.arange(60)
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.array(list("abc"), dtype=object)[g % 3]
    with_gap = y.copy()
    with_gap[7] = gap
    for labels in (with_gap, with_gap.tolist(), pd.Series(with_gap)):
        with pytest.raises(LabelError, match=r"y\[7\] is missing"):
            Committee.pretrain(X, labels, g, n_folds=2)
    groups: Any = [*map(str, g[:7]), gap, *map(str, g[8:])]
    with pytest.raises(ParameterError, match=r"groups\[7\] is missing"):
        Committee.pretrain(X, y.astype(str), groups, n_folds=2)
    for ids in (["a", gap, "b"], np.array(["a", gap, "b"], dtype=object), [1, gap, 2]):
        with pytest.raises(ParameterError, match=r"track_ids\[1\] is missing"):
            Pool(X[:3], ids)
        with pytest.raises(DataFormatError, match=r"listener_id\[1\] is missing"):
            Annotations(ids, np.array(["x", "y", "z"]), np.zeros(3, dtype=np.int64), QUADRANTS)  # type: ignore[arg-type]


def test_missing_values_among_numbers_are_named_too() -> None:
    g = np.arange(60)
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(LabelError, match=r"y\[0\] is missing"):
        Committee.pretrain(X, np.where(g == 0, np.nan, g % 3), g, n_folds=2)
    with pytest.raises(ParameterError, match=r"groups\[5\] is missing"):
        Committee.pretrain(X, g % 3, np.where(g == 5, np.nan, g), n_folds=2)
    with pytest.raises(ParameterError, match=r"track_ids\[1\] is missing"):
        Pool(X[:3], [1.0, np.nan, np.nan])
    with pytest.raises(LabelError, match=r"y\[1\] is 1, but y\[0\] is 'a'"):
        Committee.pretrain(X, ["a", 1, *"ab" * 29], g, n_folds=2)


def test_labels_as_objects_are_those_of_their_text() -> None:
    g = np.arange(60)
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.array(list("abc"))[g % 3]
    plain = Committee.pretrain(X, y, g, n_folds=2, kinds=("gnb",))
    for same in (y.astype(object), y.tolist(), pd.Series(y), pd.Series(y, dtype="category")):
        np.testing.assert_array_equal(
            Committee.pretrain(X, same, g, n_folds=2, kinds=("gnb",)).predict_proba(X), plain.predict_proba(X)
        )
    as_bool = Committee.pretrain(X, g % 3 == 0, g, n_folds=2, kinds=("gnb",))
    assert as_bool.classes_.tolist() == [False, True]
