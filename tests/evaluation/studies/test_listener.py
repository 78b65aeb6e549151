"""The listener study on made-up listeners: what it must find, what it must not, and its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dissensus import set_threads
from dissensus.cli.main import app
from dissensus.datasets import QUADRANTS, Annotations, Dataset, trompa
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.studies.asking import run_asking_study
from dissensus.evaluation.studies.listener import (
    SCORE_NAMES,
    ListenerPlan,
    ListenerScores,
    held_out_crowd,
    run_listener_study,
    track_info,
)
from dissensus.evaluation.studies.rows import asking_rows, calibration_rows, study_rows, write_report
from dissensus.evaluation.studies.values import run_values_study, values_rows
from dissensus.features.pool import Pool
from dissensus.personalisation.listener.model import ListenerModel


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    set_threads(1)  # small matrices: more threads only wait for each other


PLAN = ListenerPlan(repeats=2, min_tracks=35, few=8)


def listeners(*, personal: float, seed: int = 0, n_tracks: int = 60, n_listeners: int = 10) -> Dataset:
    """Listeners who share opinions of tracks, with class preferences of their own."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_tracks, 4))
    scores = 2.0 * features @ rng.normal(size=(4, 4)) + rng.normal(size=(n_tracks, 4))
    taste = personal * rng.normal(size=(n_listeners, 4))
    track, listener = np.nonzero(rng.random((n_tracks, n_listeners)) < 0.9)
    logits = scores[track] + taste[listener] + rng.gumbel(size=(len(track), 4))
    ids = np.array([f"track {i}" for i in range(n_tracks)])
    who = np.array([f"listener {i}" for i in range(n_listeners)])
    annotations = Annotations(who[listener], ids[track], logits.argmax(axis=1), QUADRANTS)
    return Dataset("made up", Pool(features, ids), annotations)


@pytest.fixture(scope="module")
def personal() -> ListenerScores:
    return run_listener_study(listeners(personal=2.0), PLAN)


def test_personal_listeners_gain_and_nulls_do_not(personal: ListenerScores) -> None:
    gain = personal.column("personal", "nll") - personal.column("prior", "nll")
    assert gain.mean() < -0.1
    assert (gain < 0).mean() > 0.8
    assert (personal.column("permuted", "nll") - personal.column("prior", "nll")).mean() > 0
    null = personal.column("null personal", "nll") - personal.column("null prior", "nll")
    assert -0.02 < null.mean() < 0.04
    few = personal.column("personal@few", "nll").mean()
    assert personal.column("personal", "nll").mean() < few < personal.column("prior", "nll").mean()


def test_nothing_is_gained_where_nothing_is_personal() -> None:
    scores = run_listener_study(listeners(personal=0.0), replace(PLAN, fresh_tracks=False))
    gain = scores.column("personal", "nll") - scores.column("prior", "nll")
    assert abs(gain.mean()) < 0.05
    assert "fresh prior" not in scores.table


def test_votes_on_test_tracks_help_and_are_gone_in_the_fresh_variant(personal: ListenerScores) -> None:
    assert personal.column("prior", "nll").mean() < personal.column("fresh prior", "nll").mean() - 0.05


def test_the_study_does_not_depend_on_who_else_is_evaluated() -> None:
    dataset = listeners(personal=1.0)
    one = run_listener_study(dataset, replace(PLAN, repeats=1))
    few = run_listener_study(dataset, replace(PLAN, repeats=1, min_tracks=55))
    assert 0 < len(few.listeners) < len(one.listeners)
    rows = [one.listeners.index(who) for who in few.listeners]
    np.testing.assert_array_equal(few.table["personal"], one.table["personal"][rows])


def test_the_past_holds_only_what_was_said_before() -> None:
    dataset = listeners(personal=1.0)
    said = dataset.annotations
    number = np.array([int(who.split()[1]) for who in said.listener_id.tolist()])
    timed = replace(dataset, annotations=replace(said, timestamp=100 * number))
    scores = run_listener_study(timed, replace(PLAN, repeats=1, fresh_tracks=False, past_only=True))
    prior, past = scores.column("prior", "nll"), scores.column("past prior", "nll")
    assert past.mean() > prior.mean()
    first, last = scores.listeners.index("listener 0"), scores.listeners.index("listener 9")
    assert past[last] == pytest.approx(prior[last], abs=1e-9)  # everybody came before
    assert past[first] == pytest.approx(np.log(4), abs=0.01)  # nobody did
    assert scores.column("past personal", "nll")[first] < past[first]
    with pytest.raises(ParameterError, match="when annotations were made"):
        run_listener_study(dataset, replace(PLAN, past_only=True))


def test_held_out_opinions_are_those_without_the_rater() -> None:
    dataset = listeners(personal=1.0, n_tracks=20, n_listeners=5)
    model = ListenerModel(dataset.pool, dataset.annotations, info=track_info(dataset))
    proba, label, who = held_out_crowd(model, dataset)
    rows = np.flatnonzero(who == 2)
    own = model.for_listener(model.listener_ids[2]).proba
    np.testing.assert_array_equal(proba[rows], own[model.crowd.track[rows]])
    np.testing.assert_array_equal(label, model.crowd.label)


def test_curves_start_together_and_end_where_the_pool_ends() -> None:
    dataset = listeners(personal=1.5, n_tracks=36, n_listeners=8)
    strategies = ("mc-bal", "draws-bal", "hc-bal", "rand")
    plan = replace(PLAN, repeats=1, min_tracks=20)
    curves = run_asking_study(dataset, plan, strategies=strategies, rounds=8)
    nll = {name: curves.column(name, "nll") for name in strategies}
    for name in strategies:
        assert nll[name].shape[1] == 9
        np.testing.assert_array_equal(nll[name][:, 0], nll["rand"][:, 0])
        np.testing.assert_allclose(nll[name][:, -1], nll["rand"][:, -1], atol=1e-9)  # everything has been asked
        assert (nll[name][:, -1] - nll[name][:, 0]).mean() < 0
    assert np.abs(nll["mc-bal"] - nll["rand"]).max() > 0
    with pytest.raises(ParameterError, match="strategy 'best'"):
        run_asking_study(dataset, PLAN, strategies=("best",))


def test_the_report_has_a_line_per_figure_and_no_listeners_values(personal: ListenerScores, tmp_path: Path) -> None:
    curves = run_asking_study(listeners(personal=1.5), replace(PLAN, repeats=1), rounds=2)
    rows = study_rows(personal, few=8) + calibration_rows(personal) + asking_rows(curves)
    text = write_report(tmp_path / "out", "Study", rows, personal, curves, {"data": "made up"})
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8") == text
    assert "| personal − prior, NLL | -" in text
    content = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    means = content["means"]["personal"]
    assert set(means) == set(SCORE_NAMES)
    assert means["nll"] == pytest.approx(personal.column("personal", "nll").mean(), abs=1e-5)
    assert "listener 0" not in json.dumps(content)  # means only
    figures = {row["what"]: row["value"] for row in content["rows"]}
    assert figures["crowd prior, no own label, NLL"] == f"{personal.column('prior', 'nll').mean():.4f}"
    assert "answers permuted − prior, NLL (must hurt)" in figures
    assert "AULC accuracy|own, mc-bal − rand" in figures


def test_scale_use_is_found_in_continuous_ratings() -> None:
    dataset = listeners(personal=0.0)
    said = dataset.annotations
    rng = np.random.default_rng(0)
    offset = {who: rng.normal() for who in np.unique(said.listener_id).tolist()}
    truth = 5 + 1.5 * dataset.pool.X[dataset.pool.index_of(said.track_id.tolist()), 0]
    rating = truth + [offset[who] for who in said.listener_id.tolist()] + rng.normal(size=len(said))
    asked = np.where(np.arange(len(said)) % 10 == 0, np.nan, rating)
    rated = replace(dataset, annotations=replace(said, extra={"arousal": asked}))
    scores = run_values_study(rated, ("arousal",), middle=5.0, repeats=2, min_tracks=30)
    error = {name: values[:, 0, 0] for name, values in scores.items()}
    assert (error["all"] < error["crowd"]).mean() > 0.6
    assert error["all"].mean() < error["few"].mean() < error["crowd"].mean() - 0.05
    rows = values_rows(scores, ("arousal",))
    assert len(rows) == 4
    assert "all ratings, RMSE, 10 listeners" in rows[2].what
    with pytest.raises(ParameterError, match="no listener rated 500"):
        run_values_study(rated, ("arousal",), middle=5.0, min_tracks=500)


def test_without_enough_labels_it_says_so() -> None:
    with pytest.raises(ParameterError, match="no listener has 500"):
        run_listener_study(listeners(personal=1.0), replace(PLAN, min_tracks=500))


@pytest.mark.data
def test_the_command_on_real_listeners(research_data: Path, tmp_path: Path) -> None:
    arguments = ["study-listeners", "trompa", "--data", str(research_data / "trompa_mer"), "--out", str(tmp_path)]
    arguments += ["--repeats", "1", "--min-tracks", "100", "--no-asking"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert content["rows"][0]["value"] == "8"
    assert content["means"]["prior"]["nll"] < 1.3


@pytest.mark.data
@pytest.mark.slow
def test_the_listener_model_beats_the_crowd_on_real_listeners_and_harms_little(research_data: Path) -> None:
    """The limits that the model was accepted with, on the 35 listeners who rated at least 80 tracks of TROMPA-MER."""
    data = trompa.load(research_data / "trompa_mer", spotify_quadrant=True, zscore="none")
    scores = run_listener_study(data, ListenerPlan(repeats=6, min_tracks=80))
    assert len(scores.listeners) == 35
    assert scores.column("prior", "f1_macro|crowd").mean() >= 0.520
    assert scores.column("prior", "accuracy|crowd").mean() >= 0.562
    assert scores.column("prior", "nll").mean() <= 1.04
    gain = scores.column("personal", "nll") - scores.column("prior", "nll")
    found = bootstrap_interval(gain)
    assert found.mean <= -0.040 and found.high < -0.02 and (gain < 0).mean() >= 0.75
    harm = scores.column("null personal", "nll") - scores.column("null prior", "nll")
    assert bootstrap_interval(harm).mean <= 0.012
    assert bootstrap_interval(scores.column("permuted", "nll") - scores.column("prior", "nll")).low > 0
