"""A published protocol beside the sound one: same listeners, every gain with its null, the leak and the collapse in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dissensus.committee import shipped_cnn
from dissensus.datasets.synthetic import Panel, latent_listeners
from dissensus.errors import DataFormatError, ParameterError
from dissensus.evaluation.curves import COLUMNS, write_columns
from dissensus.evaluation.outcome.for_whom import agreement_with_others, thirds_by_agreement, thirds_by_start
from dissensus.evaluation.outcome.paired_tests import paired_tests
from dissensus.evaluation.outcome.personalised import effective_personalisation, share_interval
from dissensus.evaluation.outcome.published_tests import published_tests
from dissensus.evaluation.outcome.results import Results, read_results
from dissensus.evaluation.outcome.summary import summarise
from dissensus.evaluation.protocol import PROTOCOLS, Protocol
from dissensus.evaluation.report.personalised_table import format_personalised, group_counts, personalised_rows
from dissensus.evaluation.report.protocols_compared import (
    able_listeners,
    compare_protocols,
    sound_beside,
    write_comparison,
)
from dissensus.evaluation.run.grid import run_evaluation
from dissensus.evaluation.studies.cnn import embedded_music
from dissensus.features.pool import Pool

N_ROUNDS = 4
SOUND = Protocol(kinds=("xgb",), strategies=("hc", "rand"), rounds=N_ROUNDS, repeats=4, null_repeats=2)
PAPER = replace(PROTOCOLS["trompa2022"], kinds=("xgb",), strategies=("hc", "rand"), rounds=N_ROUNDS, null_repeats=1)


def shape(update: str, low: bool) -> np.ndarray:
    """A curve that collapses and mends, or one that rises; it rises more where the start is low."""
    if update == "incremental":
        return np.array([0.0, -0.2, -0.18, -0.16, -0.15])
    return np.arange(N_ROUNDS + 1) * (0.02 if low else 0.005)


def table(protocol: Protocol, listeners: range, repeats: int, *, permuted: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(int(permuted))
    rows = []
    for who in listeners:
        start = 0.4 + 0.01 * who
        for repeat in range(repeats):
            for strategy in protocol.strategies:
                for update in protocol.updates:
                    for member in ("xgb", "committee"):
                        curve = shape(update, who < 3) if not permuted else -0.05 * np.arange(N_ROUNDS + 1)
                        for r in range(N_ROUNDS + 1):
                            f1 = start + curve[r] - 0.02 * (strategy == "hc" and r > 0) + 0.001 * rng.normal()
                            rows.append((f"p{who}", repeat, strategy, update, member, r - 1, 4 * r, f1, f1, f1, 1.0))
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def results(folder: Path, protocol: Protocol, listeners: range, dataset: str = "made up") -> Results:
    scores = table(protocol, listeners, protocol.repeats)
    null = table(protocol, listeners, protocol.null_repeats, permuted=True) if protocol.null_repeats else None
    summary = summarise(scores, protocol, null) | {"dataset": dataset}
    write_columns(folder / "scores.parquet", scores)
    if null is not None:
        write_columns(folder / "details" / "permuted.parquet", null)
    (folder / "summary.json").write_text(json.dumps(summary))
    return read_results(folder)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    root = tmp_path_factory.mktemp("sides")
    return results(root / "paper", PAPER, range(9)), results(root / "sound", SOUND, range(1, 12))


def test_both_sides_have_the_same_listeners_and_every_row_its_null(sides: tuple[Results, Results]) -> None:
    found = compare_protocols(*sides)
    assert found.paper.listeners == found.sound.listeners == tuple(f"p{i}" for i in range(1, 9))
    assert {row.criteria.n_listeners for row in found.rows} == {8}
    keys = [(row.label, row.update, row.strategy) for row in found.rows if row.member == "xgb"]
    assert keys[:3] == [("paper", "incremental", s) for s in ("hc", "rand", "all")]
    assert len(keys) == 9
    for row in found.rows:
        assert row.null_gain is not None
        assert row.null_gain["mean"] == pytest.approx(
            -0.2 - 0.02 * {"hc": 1, "rand": 0, "all": 0.5}[row.strategy], abs=2e-3
        )


def test_the_collapse_counts_as_personalised_by_the_slope_alone(sides: tuple[Results, Results]) -> None:
    found = compare_protocols(*sides)
    row = next(r for r in found.rows if (r.label, r.member, r.strategy) == ("paper", "xgb", "rand"))
    assert row.first["mean"] - row.start["mean"] == pytest.approx(-0.2, abs=2e-3)
    assert row.end["mean"] - row.start["mean"] == pytest.approx(-0.15, abs=2e-3)
    assert (row.criteria.published, row.criteria.above_start, row.criteria.surely_above) == (8, 0, 0)
    words = found.words()
    assert words[0].startswith("As published, incremental, ")
    assert "calls 8 of 8 listeners personalised, 0 end above their start" in words[0]
    assert "with permuted answers -0.21" in words[0]


def test_human_against_random_is_signed_and_beside_the_published_test(sides: tuple[Results, Results]) -> None:
    found = compare_protocols(*sides)
    for row in found.contrasts:
        assert (row["strategy"], row["against"]) == ("hc", "rand")
        difference = row["difference"]
        assert difference["low"] <= difference["mean"] <= difference["high"] < 0
        assert difference["mean"] == pytest.approx(-0.02 * (N_ROUNDS - 0.5) / N_ROUNDS, abs=2e-3)
        assert (row["p_published"] is None) == (row["label"] == "sound")
    (paper,) = [r for r in found.contrasts if r["label"] == "paper" and r["member"] == "xgb"]
    tests = published_tests(found.paper.scores, update="incremental", member="xgb")
    assert paper["p_published"] == pytest.approx(tests[0].p)
    assert "human consensus is above random for no member, below it for xgb (incremental)" in found.words()[-2]


def test_what_is_written_holds_every_strategy(sides: tuple[Results, Results], tmp_path: Path) -> None:
    found = compare_protocols(*sides)
    text, data = write_comparison(found, tmp_path)
    assert str(found).count("\npaper  incremental  hc ") == 0
    assert text.read_text().count("\npaper  incremental  hc ") == 2
    content = json.loads(data.read_text())
    assert content["n_listeners"] == 8
    assert len(content["rows"]) == len(found.rows) == 18
    assert content["faults"] == PAPER.faults()
    assert content["rows"][0]["criteria"]["published"] == found.rows[0].criteria.published


def test_sides_that_do_not_belong_together(sides: tuple[Results, Results], tmp_path: Path) -> None:
    paper, sound = sides
    with pytest.raises(ParameterError, match="published protocol first"):
        compare_protocols(sound, paper)
    with pytest.raises(ParameterError, match="no listener in common"):
        compare_protocols(paper, results(tmp_path / "others", SOUND, range(20, 23)))
    with pytest.raises(ParameterError, match="is of made up, .* of else"):
        compare_protocols(paper, results(tmp_path / "else", SOUND, range(3), dataset="else"))


def test_the_sound_protocol_beside_asks_as_much() -> None:
    paper, sound = sound_beside("ismir2021", 5, 2, strategies=("hc", "rand"), min_tracks=30)
    assert (paper.rounds, paper.queries, paper.balanced, paper.min_tracks) == (10, 10, False, 30)
    assert (sound.rounds, sound.queries, sound.balanced, sound.min_tracks) == (10, 10, False, 30)
    assert (paper.repeats, paper.null_repeats, sound.repeats, sound.null_repeats) == (1, 1, 5, 2)
    assert paper.strategies == sound.strategies == ("hc", "rand")
    assert sound.faults() == []
    assert sound_beside("trompa2022", 5, 0)[0].null_repeats == 0


def test_listeners_with_enough_labelled_tracks() -> None:
    data = latent_listeners(60, 4, panel=Panel(tracks_per_listener=30, n_rated=40), seed=1)
    label = data.annotations.label.copy()
    first = data.annotations.listener_id == data.annotations.listener_id[0]
    label[np.flatnonzero(first)[:5]] = -1
    data = replace(data, annotations=replace(data.annotations, label=label))
    able = able_listeners(data, replace(SOUND, min_tracks=10), replace(PAPER, min_tracks=28))
    assert len(able) == 3
    assert data.annotations.listener_id[0] not in able


def test_results_of_some_listeners_are_as_if_only_they_had_been_there(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    some = sound.of(["p2", "p3"])
    keep = np.isin(sound.scores["listener"], ["p2", "p3"])
    null = {name: c[np.isin(sound.null["listener"], ["p2", "p3"])] for name, c in sound.null.items()}  # type: ignore[union-attr,index]
    alone = summarise({name: column[keep] for name, column in sound.scores.items()}, SOUND, null)
    assert some.summary["rows"] == alone["rows"]
    assert some.dataset == "made up"
    assert sound.of(sound.listeners) is sound
    for wrong in ([], ["p2", "nobody"]):
        with pytest.raises(ParameterError, match="listeners are not in these results"):
            sound.of(wrong)


def test_settings_that_this_version_does_not_know_do_not_stop_a_reader(sides: tuple[Results, Results]) -> None:
    summary = sides[1].summary | {"protocol": sides[1].summary["protocol"] | {"colour": "red"}}
    assert replace(sides[1], summary=summary).protocol == SOUND


def test_damaged_results(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="dissensus evaluate --out"):
        read_results(tmp_path / "nothing")


# --- who was personalised, for whom


def test_all_strategies_at_once_and_beyond_the_permuted(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    rows = personalised_rows(sound)
    assert [row.strategy for row in rows[:3]] == ["hc", "rand", "all"]
    assert [row.update for row in rows] == sorted((row.update for row in rows), key=SOUND.updates.index)
    by = {(row.update, row.strategy): row for row in rows if row.member == "xgb"}
    assert by["replay", "rand"].beyond_null == 1.0
    assert by["incremental", "rand"].above_start == 0
    alone = effective_personalisation(sound.scores, sound.null)
    assert {row.strategy for row in alone} == {"hc", "rand"}
    assert by["replay", "rand"] in alone
    assert math.isnan(effective_personalisation(sound.scores)[0].beyond_null)


def test_permuted_answers_are_not_beyond_themselves(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    for row in effective_personalisation(sound.null, sound.null, overall=True):
        assert row.beyond_null <= 0.1


def test_the_text_names_every_criterion_and_the_groups(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    text = format_personalised(sound, personalised_rows(sound))
    assert "11 listeners, protocol sound" in text
    assert "slope >= 0" in text
    assert "5 % by chance" in text
    counts = group_counts(sound, "replay")["interval"]
    assert sum(counts.values()) == 11
    assert f"Groups, replay (interval of the gain, committee): gains {counts['gains']}" in text
    assert "incremental: the published slope calls 11 of 11 listeners personalised" in text


def test_shares_have_wilsons_interval() -> None:
    assert share_interval(0, 10)[0] == 0.0
    assert share_interval(10, 10)[1] == pytest.approx(1.0)
    low, high = share_interval(5, 10)
    assert low == pytest.approx(1 - high)
    assert low == pytest.approx(0.2366, abs=1e-4)
    for count, n in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ParameterError):
            share_interval(count, n)


def test_thirds_by_start_find_who_gains(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    low, middle, high = thirds_by_start(sound, update="replay", member="xgb")
    assert (low.n, middle.n, high.n) == (4, 4, 3)
    assert low.by < middle.by < high.by
    assert low.gain.mean > high.gain.mean + 0.02
    assert low.null_gain is not None
    assert thirds_by_start(sides[0], update="incremental", member="xgb") == []  # one split: sorted by its own noise
    with pytest.raises(ParameterError, match="no curve"):
        thirds_by_start(sound, update="replay", member="cnn")


def test_agreement_with_others_leaves_the_own_vote_out() -> None:
    data = latent_listeners(60, 5, panel=Panel(tracks_per_listener=30, n_rated=40), seed=2)
    found = agreement_with_others(data)
    a = data.annotations
    for who in np.unique(a.listener_id):
        total, n = 0.0, 0
        for track, label in zip(a.track_id[a.listener_id == who], a.label[a.listener_id == who], strict=True):
            others = a.label[(a.track_id == track) & (a.listener_id != who)]
            if len(others):
                votes = np.bincount(others, minlength=4)
                top = np.flatnonzero(votes == votes.max())
                total, n = total + (label in top) / len(top), n + 1
        assert found[str(who)] == pytest.approx(total / n)


def test_thirds_by_agreement_need_everybody(sides: tuple[Results, Results]) -> None:
    _, sound = sides
    agreement = {who: float(i) for i, who in enumerate(sound.listeners)}
    thirds = thirds_by_agreement(sound, agreement, update="replay", member="xgb")
    assert [third.name for third in thirds] == ["lowest third", "middle third", "highest third"]
    assert thirds[0].by == 1.5
    assert thirds_by_agreement(sound, {"p1": 0.0}, update="replay", member="xgb") == []


def test_a_model_that_does_not_move_has_a_slope_of_nought() -> None:
    """By the published criterion it is personalised; rounding must not decide."""
    still = table(replace(SOUND, updates=("replay",)), range(4), 2)
    for name in ("f1_weighted", "f1_macro", "accuracy"):
        still[name] = np.round(0.1 * (1 + still["repeat"]) + 0.3, 12)
    summary = summarise(still, replace(SOUND, updates=("replay",)))
    assert {row["share_slope_not_negative"] for row in summary["rows"]} == {1.0}
    assert {row.published for row in effective_personalisation(still)} == {4}


def test_paired_tests_agree_with_the_contrasts(sides: tuple[Results, Results]) -> None:
    found = compare_protocols(*sides)
    (row,) = [r for r in found.contrasts if (r["label"], r["update"], r["member"]) == ("sound", "replay", "xgb")]
    curves = found.sound.curves
    areas = {}
    for strategy in ("hc", "rand"):
        at = curves.pick(update="replay", member="xgb", strategy=strategy)
        height = np.array([np.trapezoid(s, n) / n[-1] for n, s in zip(curves.n_labels, curves.score, strict=True)])
        areas[strategy] = curves.by_listener(height, at)
    (test,) = paired_tests(areas)
    assert row["difference"]["mean"] == pytest.approx(test.difference.mean)


def test_heads_of_a_cnn_go_through_a_published_protocol(tmp_path: Path) -> None:
    """Rows of embeddings with unequal numbers of windows a track, in ismir2021's stacked queries and scaling of all."""
    data = latent_listeners(90, 2, panel=Panel(tracks_per_listener=40, n_rated=60), n_features=8, seed=5)
    windows = np.repeat(np.arange(data.pool.n_tracks), 1 + np.arange(data.pool.n_tracks) % 3)
    rng = np.random.default_rng(0)
    X = data.pool.X[windows] + 0.1 * rng.normal(size=(len(windows), data.pool.X.shape[1]))
    data = replace(data, pool=Pool(X.astype(np.float32), data.pool.track_ids[windows]))
    small = {"strategies": ("mix", "rand"), "rounds": 2, "queries": 4, "min_tracks": 30, "n_folds": 2}
    paper, sound = sound_beside("ismir2021", 1, 1, kinds=("cnn",), **small)
    sides = []
    for name, protocol in (("paper", paper), ("sound", sound)):
        run_evaluation(data, protocol, out=tmp_path / name)
        sides.append(read_results(tmp_path / name))
    found = compare_protocols(*sides)
    assert found.members == ["cnn", "committee"]
    for results_ in sides:
        alone, all_ = (
            {k: results_.scores[k][results_.scores["member"] == m] for k in COLUMNS[5:]} for m in ("cnn", "committee")
        )
        assert all(np.array_equal(alone[name], all_[name]) for name in alone)  # one kind is the whole committee
        moved = results_.curves.pick(member="cnn", update="incremental")
        assert any(np.ptp(results_.curves.score[i]) > 0 for i in moved)


def test_the_whole_interval_has_its_null_from_five_permuted_splits_on(sides: tuple[Results, Results]) -> None:
    few = effective_personalisation(sides[1].scores, sides[1].null)
    assert all(math.isnan(row.null_surely_above) for row in few)
    many = replace(SOUND, repeats=6, null_repeats=6, updates=("replay",))
    true, null = table(many, range(3), 6), table(many, range(3), 6, permuted=True)
    for row in effective_personalisation(true, null):
        assert (row.surely_above, row.same_surely_above, row.null_surely_above) == (3, 1.0, 0.0)
    for row in effective_personalisation(null, true):
        assert (row.surely_below, row.same_surely_above, row.null_surely_above) == (3, 0.0, 1.0)


@pytest.mark.slow
def test_embedded_clips_go_through_both_published_protocols(tmp_path: Path) -> None:
    data = embedded_music(shipped_cnn(), 72, 2, personal=0.8, seed=3, tracks_per_listener=32)
    small = {"strategies": ("hc", "mix"), "rounds": 2, "queries": 4, "min_tracks": 30, "n_folds": 2}
    for name in ("ismir2021", "trompa2022"):
        sides = []
        for label, protocol in zip(("paper", "sound"), sound_beside(name, 1, 1, kinds=("cnn",), **small), strict=True):
            run_evaluation(data, protocol, out=tmp_path / name / label)
            sides.append(read_results(tmp_path / name / label))
        found = compare_protocols(*sides)
        assert found.members == ["cnn", "committee"]
        assert all(row.null_gain is not None for row in found.rows)
