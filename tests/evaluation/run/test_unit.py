"""What an evaluation may look at, and what it must not; the published mistakes by their numbers in the literature notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from latent import QUICK, latent_dataset

from dissensus.committee import Committee
from dissensus.datasets._types import Annotations, Dataset
from dissensus.evaluation.curves import COLUMNS, Columns, read_columns
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.grid import Evaluation, run_evaluation
from dissensus.evaluation.run.pretraining import majority_label, weak_tracks
from dissensus.evaluation.splits import Splits
from dissensus.features.pool import Pool

WHO = "listener 1"
DATA = latent_dataset()


def run(data: Dataset, out: Path, protocol: Protocol = QUICK, **options: object) -> Evaluation:
    return run_evaluation(data, protocol, out=out, **({"listeners": [WHO]} | options))


def queries(out: Path, **where: object) -> list[tuple[object, ...]]:
    log = read_columns(out / "details" / "queries.parquet", required=())
    keep = np.ones(len(log["round"]), dtype=bool)
    for name, value in where.items():
        keep &= log[name] == value
    names = ("repeat", "strategy", "update", "round", "rank", "track_id")
    return list(zip(*(log[name][keep].tolist() for name in names), strict=True))


def same(a: Columns, b: Columns) -> bool:
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


def relabelled(data: Dataset, rows: np.ndarray) -> Dataset:
    """The data set with other answers in these rows."""
    a = data.annotations
    label = np.where(rows, (a.label + 1) % 4, a.label)
    return replace(data, annotations=Annotations(a.listener_id, a.track_id, label, a.classes))


def held_out(repeat: int) -> tuple[str, ...]:
    tracks = DATA.annotations.of(WHO).track_id
    return Splits(QUICK.seed, QUICK.test_share).draw(WHO, repeat, tracks).test


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    out = tmp_path_factory.mktemp("plain")
    return run(DATA, out), out


def test_the_table_is_tidy_and_complete(plain: tuple[Evaluation, Path]) -> None:
    result, out = plain
    table = read_columns(out / "scores.parquet")
    assert tuple(table) == COLUMNS
    assert same(table, result.scores)
    keys = list(zip(*(table[name].tolist() for name in COLUMNS[:6]), strict=True))
    assert len(set(keys)) == len(keys) == 2 * 4 * 2 * 3 * 4  # repeats, strategies, updates, members, rounds
    assert set(table["member"].tolist()) == {"gnb", "sgd", "committee"}
    assert np.array_equal(table["n_labels"], 4 * (table["round"] + 1))
    assert ((table["f1_weighted"] >= 0) & (table["f1_weighted"] <= 1)).all()


def test_start_and_test_set_are_the_same_for_every_strategy_and_update_t1(plain: tuple[Evaluation, Path]) -> None:
    table = plain[0].scores
    start = table["round"] == -1
    for member in ("gnb", "sgd", "committee"):
        for repeat in (0, 1):
            at = start & (table["member"] == member) & (table["repeat"] == repeat)
            assert at.sum() == 8
            assert len(set(table["f1_weighted"][at].tolist())) == 1
            assert len(set(table["nll"][at].tolist())) == 1


def test_splits_of_each_strategy_as_published_give_starts_that_differ_t1(tmp_path: Path) -> None:
    table = run(DATA, tmp_path, replace(QUICK, shared_split=False)).scores
    at = (table["round"] == -1) & (table["member"] == "committee") & (table["repeat"] == 0)
    assert len(set(table["nll"][at].tolist())) == 4
    assert len(list(tmp_path.glob("splits-*.json"))) == 4


def test_nobody_is_asked_about_a_held_out_track_or_twice(plain: tuple[Evaluation, Path]) -> None:
    for repeat in (0, 1):
        for strategy in QUICK.strategies:
            for update in QUICK.updates:
                asked = [row[-1] for row in queries(plain[1], repeat=repeat, strategy=strategy, update=update)]
                assert len(asked) == len(set(asked)) == 12
                assert not set(asked) & set(held_out(repeat))


def test_own_vote_is_not_in_the_crowd_t2(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    other_answers = relabelled(DATA, DATA.annotations.listener_id == WHO)
    run(other_answers, tmp_path)
    assert queries(tmp_path, strategy="hc") == queries(plain[1], strategy="hc")
    for strategy in ("mc", "mix"):  # before the first answer nothing of the listener can have come in
        assert queries(tmp_path, strategy=strategy, round=0) == queries(plain[1], strategy=strategy, round=0)


def test_the_published_crowd_leaks_the_own_vote_t2(tmp_path: Path) -> None:
    leaky = replace(QUICK, crowd="everyone", strategies=("hc",))
    run(DATA, tmp_path / "a", leaky)
    run(relabelled(DATA, DATA.annotations.listener_id == WHO), tmp_path / "b", leaky)
    assert queries(tmp_path / "a") != queries(tmp_path / "b")


def test_votes_on_held_out_tracks_have_no_influence(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    a = DATA.annotations
    once = replace(QUICK, repeats=1)
    votes = np.isin(a.track_id, held_out(0)) & (a.listener_id != WHO)
    assert votes.any()
    changed = run(relabelled(DATA, votes), tmp_path, once)
    first = plain[0].scores["repeat"] == 0
    assert same(changed.scores, {name: column[first] for name, column in plain[0].scores.items()})


def _moved(data: Dataset, tracks: tuple[str, ...]) -> Dataset:
    """The data set with the features of these tracks far away."""
    pool = data.pool
    X = pool.X.copy()
    X[pool.rows_of(tracks)] += 5.0
    return replace(data, pool=Pool(X, pool.track_ids[pool.groups]))


def test_no_scaler_sees_the_test_side_t4(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    run(_moved(DATA, held_out(0)), tmp_path, replace(QUICK, repeats=1))
    assert queries(tmp_path) == queries(plain[1], repeat=0)


def test_the_published_scaling_sees_the_test_side_t4(tmp_path: Path) -> None:
    once = replace(QUICK, repeats=1, scaling="all", strategies=("mc",))
    run(DATA, tmp_path / "a", once)
    run(_moved(DATA, held_out(0)), tmp_path / "b", once)
    assert queries(tmp_path / "a") != queries(tmp_path / "b")


def test_published_scaling_of_each_side_ignores_the_level_of_the_test_side(tmp_path: Path) -> None:
    once = replace(QUICK, repeats=1, scaling="sides", strategies=("mc",))
    a = run(DATA, tmp_path / "a", once).scores
    b = run(_moved(DATA, held_out(0)), tmp_path / "b", once).scores
    np.testing.assert_allclose(a["nll"], b["nll"], rtol=1e-4)


def test_permuted_answers_hurt(tmp_path: Path) -> None:
    data = latent_dataset(n_each=48, personal=1.0, seed=3)
    protocol = replace(QUICK, repeats=4, null_repeats=4, rounds=8, updates=("replay",), strategies=("rand",), n0=10.0)
    result = run_evaluation(data, protocol, out=tmp_path)
    rows = {row["member"]: row for row in result.summary["rows"] if row["strategy"] == "all"}
    assert rows["committee"]["gain"]["mean"] > 0
    assert rows["committee"]["gain_over_null"]["mean"] > 0.03
    assert rows["sgd"]["gain_over_null"]["mean"] > 0.03


def test_any_number_of_jobs_gives_the_same_numbers(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    two = run(DATA, tmp_path, jobs=2)
    assert same(two.scores, plain[0].scores)
    assert same(two.null, plain[0].null)
    assert queries(tmp_path) == queries(plain[1])


def test_the_pre_trained_committee_passes_over_the_pool_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once a listener, repeat, strategy or null."""
    whole, plain = [], Committee.predict_proba

    def counted(self: Committee, X: Any, *more: Any, **options: Any) -> Any:
        whole.append(len(X) == len(DATA.pool.X))
        return plain(self, X, *more, **options)

    monkeypatch.setattr(Committee, "predict_proba", counted)
    run(DATA, tmp_path, listeners=[WHO, "listener 2"])
    assert sum(whole) == 1


def test_a_killed_run_continues_to_the_same_numbers(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    def killed_after_two(done: int, total: int) -> None:
        assert total == 3
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(DATA, tmp_path, progress=killed_after_two)
    assert not (tmp_path / "scores.parquet").exists()
    finished = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").rglob("*.parquet")}
    assert len(finished) == 4
    ticks: list[int] = []
    resumed = run(DATA, tmp_path, progress=lambda done, total: ticks.append(done))
    assert ticks == [2, 3]
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    assert same(resumed.scores, plain[0].scores)


def test_more_repeats_are_added_to_those_that_are_there(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    run(DATA, tmp_path, replace(QUICK, repeats=1))
    ticks: list[int] = []
    more = run(DATA, tmp_path, progress=lambda done, total: ticks.append(done))
    assert ticks == [2, 3]
    assert same(more.scores, plain[0].scores)


def test_a_listeners_numbers_do_not_depend_on_the_company(plain: tuple[Evaluation, Path], tmp_path: Path) -> None:
    two = run(DATA, tmp_path, listeners=["listener 0", WHO]).scores
    mine = two["listener"] == WHO
    assert same({name: column[mine] for name, column in two.items()}, plain[0].scores)


def test_without_weak_labels_each_split_learns_from_the_others(tmp_path: Path) -> None:
    data = latent_dataset(n_listeners=6, n_free=0, weak=False)
    once = replace(QUICK, repeats=1, null_repeats=0)
    a = run(data, tmp_path / "a", once)
    votes = np.isin(data.annotations.track_id, Splits().draw(WHO, 0, data.annotations.of(WHO).track_id).test)
    b = run(relabelled(data, votes & (data.annotations.listener_id != WHO)), tmp_path / "b", once)
    assert same(a.scores, b.scores)
    own_start = a.scores["round"] == -1
    c = run(relabelled(data, data.annotations.listener_id == WHO), tmp_path / "c", once)
    assert queries(tmp_path / "a", round=0) == queries(tmp_path / "c", round=0)
    assert not np.array_equal(a.scores["nll"][own_start], c.scores["nll"][own_start])


def test_weak_tracks_are_those_that_nobody_annotated() -> None:
    tracks = weak_tracks(DATA)
    assert tracks is not None
    assert len(tracks) >= 80
    assert not set(DATA.pool.track_ids[tracks].tolist()) & set(DATA.annotations.track_id.tolist())
    assert weak_tracks(replace(DATA, weak_label=None)) is None


def test_majority_label_by_hand() -> None:
    pool = Pool(np.zeros((3, 1)), ["x", "y", "z"])
    a = Annotations(np.array(list("abcab")), np.array(list("xxxyy")), np.array([1, 2, 2, 3, 0]), tuple("0123"))
    assert majority_label(a, pool).tolist() == [2, 0, -1]


def test_curve_ends_where_the_pool_does(tmp_path: Path) -> None:
    long = replace(QUICK, rounds=20, strategies=("rand",), repeats=1, null_repeats=0)
    table = run(DATA, tmp_path, long).scores
    assert table["n_labels"].max() == 30  # 85 % of 36
    assert table["round"].max() == 7


def test_the_balanced_random_control_differs_from_the_plain_one(tmp_path: Path) -> None:
    run(DATA, tmp_path, replace(QUICK, strategies=("rand", "rand-balanced"), updates=("replay",), repeats=1))
    plain_ones = [row[-1] for row in queries(tmp_path, strategy="rand")]
    assert plain_ones != [row[-1] for row in queries(tmp_path, strategy="rand-balanced")]


@pytest.mark.parametrize(
    ("protocol", "options", "message"),
    [
        (replace(QUICK, min_tracks=1000), {"listeners": None}, "0 listeners"),
        (QUICK, {"listeners": ["nobody"]}, "not all of"),
        (QUICK, {"jobs": 0}, "jobs"),
        (replace(QUICK, n_folds=100), {}, "pre-train"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, protocol: Protocol, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(DATA, tmp_path, protocol, **options)
