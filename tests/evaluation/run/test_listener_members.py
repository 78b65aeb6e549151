"""The listener model as members of an evaluation: what they may know, and that they disturb nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latent import QUICK, latent_dataset
from typer.testing import CliRunner

from dissensus import set_threads
from dissensus.cli.main import app
from dissensus.datasets._types import Annotations, Dataset
from dissensus.evaluation.curves import Columns, read_columns
from dissensus.evaluation.outcome.against_crowd import against_crowd, format_against_crowd
from dissensus.evaluation.protocol import LISTENER_KINDS, Protocol
from dissensus.evaluation.run.grid import Evaluation, run_evaluation
from dissensus.evaluation.run.listener_members import ListenerMembers, listener_model
from dissensus.evaluation.scores import SCORES, track_scores
from dissensus.evaluation.splits import Split, Splits
from dissensus.personalisation.listener import decide

WHO = "listener 1"
DATA = latent_dataset(n_listeners=8, n_free=80)
ALONE = replace(QUICK, kinds=LISTENER_KINDS, strategies=("mc", "hc", "rand"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    set_threads(1)


def run(data: Dataset, out: Path, protocol: Protocol = ALONE, **options: object) -> Evaluation:
    return run_evaluation(data, protocol, out=out, **({"listeners": [WHO]} | options))


def rows(table: Columns, **where: object) -> dict[str, np.ndarray]:
    keep = np.ones(len(table["round"]), dtype=bool)
    for name, value in where.items():
        keep &= table[name] == value
    return {name: column[keep] for name, column in table.items()}


def same(a: Columns, b: Columns) -> bool:
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


def relabelled(data: Dataset, keep: np.ndarray) -> Dataset:
    a = data.annotations
    label = np.where(keep, (a.label + 1) % 4, a.label)
    return replace(data, annotations=Annotations(a.listener_id, a.track_id, label, a.classes))


def split_of(repeat: int, data: Dataset = DATA) -> Split:
    return Splits(QUICK.seed, QUICK.test_share).draw(WHO, repeat, data.annotations.of(WHO).track_id)


def members(data: Dataset, repeat: int = 0) -> ListenerMembers:
    split = split_of(repeat, data)
    track = data.pool.index_of([*split.pool, *split.test])
    model = listener_model(data, data.annotations)
    return ListenerMembers.of(LISTENER_KINDS, model, data.annotations.of(WHO), track, len(split.pool))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    out = tmp_path_factory.mktemp("alone")
    return run(DATA, out), out


def test_members_beside_the_committee_leave_it_as_it_is(tmp_path: Path) -> None:
    once = replace(QUICK, repeats=1)
    plain = run(DATA, tmp_path / "plain", once)
    both = run(DATA, tmp_path / "both", replace(once, kinds=("residual", *QUICK.kinds, "crowd")))
    for member in (*QUICK.kinds, "committee"):
        assert same(rows(both.scores, member=member), rows(plain.scores, member=member))
        assert same(rows(both.null, member=member), rows(plain.null, member=member))
    assert set(both.scores["member"].tolist()) == {*QUICK.kinds, "committee", "crowd", "residual"}
    for update in QUICK.updates:
        crowd = rows(both.scores, member="crowd", update=update)
        assert len(crowd["round"]) == 4 * 4
        assert len(set(crowd["nll"].tolist())) == 1
        residual = rows(both.scores, member="residual", update=update)
        start = residual["round"] == -1
        assert set(residual["nll"][start].tolist()) == set(crowd["nll"].tolist())
        assert not np.array_equal(residual["nll"][~start], crowd["nll"][~start])
    named = {row["member"] for row in both.summary["rows"]}
    assert named == set(both.scores["member"].tolist())
    beside = [(row["update"], row["member"]) for row in both.summary["against_crowd"]]
    assert beside == [(u, m) for u in QUICK.updates for m in ("gnb", "sgd", "committee", "residual")]


def test_alone_they_need_no_committee_and_know_one_update(alone: tuple[Evaluation, Path]) -> None:
    result, out = alone
    assert set(result.scores["update"].tolist()) == {"replay"}
    assert set(result.scores["member"].tolist()) == set(LISTENER_KINDS)
    assert not list(out.rglob("committee.safetensors"))
    assert len(result.scores["round"]) == 2 * 3 * 4 * 4  # repeats, strategies, members, rounds
    log = read_columns(out / "details" / "queries.parquet", required=())
    for repeat in (0, 1):
        for strategy in ALONE.strategies:
            asked = log["track_id"][(log["repeat"] == repeat) & (log["strategy"] == strategy)].tolist()
            assert len(set(asked)) == 12
            assert set(asked) <= set(split_of(repeat).pool)


def test_nothing_of_the_listener_is_in_the_start() -> None:
    """All of the own votes are other ones: the starts are the same, to rounding."""
    changed = relabelled(DATA, DATA.annotations.listener_id == WHO)
    for repeat in (0, 1):
        a, b = members(DATA, repeat), members(changed, repeat)
        np.testing.assert_allclose(a.proba(a.taught({})), b.proba(b.taught({})), atol=1e-12)
        np.testing.assert_allclose(a.machine(a.taught({}), 20), b.machine(b.taught({}), 20), atol=1e-6)


def test_what_others_said_of_the_held_out_tracks_is_known_to_some_and_not_to_the_others() -> None:
    a = DATA.annotations
    votes = np.isin(a.track_id, split_of(0).test) & (a.listener_id != WHO)
    first, second = members(DATA), members(relabelled(DATA, votes))
    told = {0: 1, 3: 2, 7: 0}
    before, after = first.proba(first.taught(told)), second.proba(second.taught(told))
    for i, kind in enumerate(LISTENER_KINDS):
        equal = np.abs(before[i] - after[i]).max() < 1e-12
        assert equal == kind.endswith("-new")


def test_held_out_answers_reach_nothing_but_the_scores(alone: tuple[Evaluation, Path], tmp_path: Path) -> None:
    a = DATA.annotations
    hidden = np.isin(a.track_id, split_of(0).test) & (a.listener_id == WHO)
    once = run(relabelled(DATA, hidden), tmp_path, replace(ALONE, repeats=1, null_repeats=0))
    queries = [
        rows(read_columns(out / "details" / "queries.parquet", required=()), repeat=0) for out in (alone[1], tmp_path)
    ]
    assert same(*queries)
    assert not np.array_equal(once.scores["nll"], rows(alone[0].scores, repeat=0)["nll"])


def test_a_row_is_what_the_listener_model_says_after_the_answers_asked(alone: tuple[Evaluation, Path]) -> None:
    result, out = alone
    split, model = split_of(1), listener_model(DATA, DATA.annotations)
    own = dict(zip(*(getattr(DATA.annotations.of(WHO), n).tolist() for n in ("track_id", "label")), strict=True))
    log = rows(read_columns(out / "details" / "queries.parquet", required=()), repeat=1, strategy="mc")
    test = DATA.pool.index_of(split.test)
    truth = np.array([own[t] for t in split.test])
    for kind, gone in (("residual", None), ("residual-new", test)):
        whole = model.for_listener(WHO, without_tracks=gone)
        for number in range(-1, 3):
            asked = log["track_id"][log["round"] <= number].tolist()
            index = DATA.pool.index_of(asked).tolist()
            told = whole.with_answers({i: own[t] for i, t in zip(index, asked, strict=True)})
            found = rows(result.scores, repeat=1, strategy="mc", member=kind, round=number)
            expected = track_scores(told.proba[test], truth)
            for score in SCORES:
                np.testing.assert_allclose(found[score], [float(expected[score])], atol=1e-9)


def test_a_few_tracks_are_asked_as_they_are_in_the_whole_catalogue() -> None:
    model = listener_model(DATA, DATA.annotations).for_listener(WHO)
    tracks = np.random.default_rng(0).permutation(DATA.pool.n_tracks)[:30]
    few = type(model)(model.prior.of_tracks(tracks), {0: 1, 4: 3, 9: 0})
    whole = model.with_answers({int(tracks[i]): c for i, c in few.answers.items()})
    np.testing.assert_allclose(few.proba, whole.proba[tracks], atol=1e-10)
    np.testing.assert_allclose(few.draws(np.arange(30)), whole.draws(tracks), atol=1e-8)
    assert few.proba.sum(axis=1) == pytest.approx(np.ones(30))


def test_any_number_of_jobs_gives_the_same_numbers(alone: tuple[Evaluation, Path], tmp_path: Path) -> None:
    two = run(DATA, tmp_path, jobs=2)
    assert same(two.scores, alone[0].scores)
    assert same(two.null, alone[0].null)
    assert two.summary["against_crowd"] == alone[0].summary["against_crowd"]


def test_a_killed_run_continues_to_the_same_numbers(alone: tuple[Evaluation, Path], tmp_path: Path) -> None:
    def killed_after_two(done: int, total: int) -> None:
        assert total == 4  # two splits, one of them permuted and one drawn
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(DATA, tmp_path, progress=killed_after_two)
    ticks: list[int] = []
    resumed = run(DATA, tmp_path, progress=lambda done, total: ticks.append(done))
    assert ticks == [2, 3, 4]
    assert same(resumed.scores, alone[0].scores)
    assert resumed.summary["against_crowd"] == alone[0].summary["against_crowd"]


@pytest.fixture(scope="module")
def personal(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    data = latent_dataset(n_listeners=8, n_free=0, n_rated=60, n_each=50, personal=0.9, weak=False, seed=2)
    wide = Protocol(
        kinds=("crowd", "residual"), rounds=8, repeats=3, null_repeats=3, min_tracks=30, strategies=("mc", "rand")
    )
    return run_evaluation(data, wide, out=tmp_path_factory.mktemp("personal"))


def test_personal_answers_teach_and_both_nulls_do_not(personal: Evaluation) -> None:
    (row,) = personal.summary["against_crowd"]
    assert row["member"] == "residual"
    assert row["nll"]["mean"] < -0.1
    assert row["share_better_nll"] >= 0.75
    assert row["accuracy"]["mean"] > 0.05
    assert row["permuted_nll"]["mean"] > row["nll"]["mean"] + 0.1
    assert -0.01 < row["drawn_nll"]["mean"] < 0.05
    text = str(personal)
    assert "NLL, drawn" in text
    assert "residual" in text.split("Less the crowd")[1]


def test_drawn_listeners_are_scored_for_the_members_of_one_crowd(alone: tuple[Evaluation, Path]) -> None:
    drawn = read_columns(alone[1] / "details" / "drawn.parquet")
    assert set(drawn["member"].tolist()) == {"crowd", "residual"}
    by_member = {row["member"]: row for row in alone[0].summary["against_crowd"]}
    assert set(by_member) == {"residual", "residual-new"}
    assert "drawn_nll" in by_member["residual"]
    assert "drawn_nll" not in by_member["residual-new"]
    assert by_member["residual-new"]["against"] == "crowd-new"


def test_without_a_member_of_the_listener_model_there_is_no_comparison(alone: tuple[Evaluation, Path]) -> None:
    assert against_crowd(QUICK, alone[0].scores, {}, {}) == {}
    assert format_against_crowd({}) == ""


def test_the_decision_rule_is_the_one_of_the_listener_model(tmp_path: Path) -> None:
    once = replace(ALONE, kinds=("crowd",), repeats=1, null_repeats=0, strategies=("rand",), rounds=1)
    plain = run(DATA, tmp_path / "plain", once).scores
    ruled = run(DATA, tmp_path / "ruled", replace(once, exponent=1.0)).scores
    there, split = members(DATA), split_of(0)
    proba = there.proba(there.taught({}))[0]
    own = dict(zip(*(getattr(DATA.annotations.of(WHO), n).tolist() for n in ("track_id", "label")), strict=True))
    truth = np.array([own[t] for t in split.test])
    decided = decide(proba, exponent=1.0)[len(split.pool) :]
    assert ruled["accuracy"] == pytest.approx((decided == truth).mean())
    assert plain["accuracy"] == pytest.approx((proba.argmax(axis=1)[len(split.pool) :] == truth).mean())
    assert np.array_equal(plain["nll"], ruled["nll"])


def test_settings_of_the_protocol() -> None:
    mixed = replace(QUICK, kinds=("crowd", "gnb", "residual-new"))
    assert (mixed.classic_kinds, mixed.listener_kinds) == (("gnb",), ("crowd", "residual-new"))
    assert mixed.drawn_kinds == ("crowd",)
    assert replace(QUICK, kinds=("crowd-new", "residual-new")).drawn_kinds == ("crowd-new", "residual-new")
    only = replace(ALONE, updates=("incremental",))
    assert only.digest() == ALONE.digest()
    assert replace(ALONE, exponent=0.5).digest() != ALONE.digest()
    with pytest.raises(ValueError, match="exponent"):
        replace(ALONE, exponent=-0.5)
    with pytest.raises(ValueError, match="kinds"):
        replace(ALONE, kinds=("crowd", "crowd"))


def test_from_the_command_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        "evaluate synthetic --listeners 3 --repeats 1 --null-repeats 1 --rounds 2 --members crowd,residual --strategies"
        f" mc,rand --exponent 0.5 --jobs 1 --out {tmp_path}".split(),
    )
    assert done.exit_code == 0, done.output
    assert "Less the crowd without the listener" in done.output
    assert (tmp_path / "learning_curves.png").exists()
    assert "Less the crowd" in (tmp_path / "summary.txt").read_text()
