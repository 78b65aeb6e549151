"""Dawid and Skene's model: it finds the careless, never loses ground, and leaves the listener out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.agreement.annotators import fit_dawid_skene, weighted_human_consensus
from dissensus.datasets import trompa
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.strategies.consensus import leave_listener_out


def crowd(
    n_tracks: int = 150, accuracy: tuple[float, ...] = (0.9, 0.9, 0.8, 0.8, 0.25, 0.25), seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Raters of four classes; .25 is one who answers blindly. The last says always 0 where it errs."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n_tracks)
    rater, track = (index.reshape(-1) for index in np.indices((len(accuracy), n_tracks)))
    right = rng.random(len(rater)) < np.array(accuracy)[rater]
    wrong = (truth[track] + rng.integers(1, 4, len(rater))) % 4
    return truth, rater, track, np.where(right, truth[track], wrong)


def test_finds_the_careless_and_the_truth() -> None:
    truth, rater, track, label = crowd()
    model = fit_dawid_skene(rater, track, label, n_raters=6, n_tracks=150, n_classes=4)
    assert model.converged
    assert model.reliability == pytest.approx([0.9, 0.9, 0.8, 0.8, 0.25, 0.25], abs=0.08)
    assert model.informativeness[:4].min() > 5 * model.informativeness[4:].max()
    votes = np.zeros((150, 4))
    np.add.at(votes, (track, label), 1)
    ours, plain = (np.mean(p.argmax(axis=1) == truth) for p in (model.posterior, votes))
    assert ours > plain
    assert ours > 0.93


def test_somebody_who_names_the_classes_otherwise_still_tells() -> None:
    truth, rater, track, label = crowd(accuracy=(0.9, 0.9, 0.9, 0.9))
    label = np.where(rater == 3, (label + 1) % 4, label)  # always one further
    model = fit_dawid_skene(rater, track, label, n_raters=4, n_tracks=150, n_classes=4)
    assert model.reliability[3] < 0.2
    assert model.informativeness[3] > 0.5
    assert np.mean(model.posterior.argmax(axis=1) == truth) > 0.93


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 12), st.integers(2, 5), st.integers(1, 60))
def test_the_objective_never_falls_and_rows_are_distributions(
    seed: int, n_raters: int, n_tracks: int, n_classes: int, n_votes: int
) -> None:
    rng = np.random.default_rng(seed)
    columns = (rng.integers(0, n, n_votes) for n in (n_raters, n_tracks, n_classes))
    model = fit_dawid_skene(*columns, n_raters=n_raters, n_tracks=n_tracks, n_classes=n_classes, max_iter=40)
    assert (np.diff(model.objective) >= -1e-9 * np.abs(model.objective[1:])).all()
    assert model.posterior.sum(axis=1) == pytest.approx(np.ones(n_tracks))
    assert model.confusion.sum(axis=2) == pytest.approx(np.ones((n_raters, n_classes)))
    assert ((model.reliability >= 0) & (model.reliability <= 1)).all()
    assert (model.informativeness >= 0).all()


def test_a_track_without_a_vote_has_the_shares_and_order_does_not_matter() -> None:
    _, rater, track, label = crowd(40)
    model = fit_dawid_skene(rater, track, label, n_raters=7, n_tracks=41, n_classes=4)
    assert model.posterior[40] == pytest.approx(model.class_share)
    turn = np.random.default_rng(0).permutation(len(rater))
    again = fit_dawid_skene(rater[turn], track[turn], label[turn], n_raters=7, n_tracks=41, n_classes=4)
    assert again.posterior == pytest.approx(model.posterior)


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        (([], [], []), "no vote"),
        (([0], [0], [4]), "class_index must lie in 0..3"),
        (([0.5], [0], [0]), "rater_index must be one whole number"),
        (([0], [0, 1], [0]), "different number"),
    ],
)
def test_bad_votes(votes: tuple[list[float], ...], says: str) -> None:
    columns = [np.array(v, dtype=int) if all(x == int(x) for x in v) else np.array(v) for v in votes]
    with pytest.raises(ParameterError, match=says):
        fit_dawid_skene(*columns, n_raters=2, n_tracks=3, n_classes=4)


def test_smoothing_must_be_positive() -> None:
    with pytest.raises(ParameterError, match="smoothing=0"):
        fit_dawid_skene([0], [0], [0], n_raters=1, n_tracks=1, n_classes=2, smoothing=0)


def test_the_listeners_own_votes_change_nothing() -> None:
    _, rater, track, label = crowd()
    first = weighted_human_consensus(rater, track, label, 2, n_tracks=150, n_classes=4)
    changed = np.where(rater == 2, (label + 1) % 4, label)
    second = weighted_human_consensus(rater, track, changed, 2, n_tracks=150, n_classes=4)
    assert np.array_equal(first[0], second[0])
    assert (first[1] == 5).all()
    other = weighted_human_consensus(rater, track, changed, 1, n_tracks=150, n_classes=4)
    assert not np.array_equal(first[0], other[0])


def test_careless_votes_weigh_less_than_in_the_plain_consensus() -> None:
    truth, rater, track, label = crowd(accuracy=(0.9, 0.85, 0.85, 0.25, 0.25, 0.25))
    weighted, _ = weighted_human_consensus(rater, track, label, "nobody", n_tracks=150, n_classes=4, prior=0.5)
    plain, _ = leave_listener_out(rater, track, label, "nobody", n_tracks=150, n_classes=4, prior=0.5)
    score = [-np.log(p[np.arange(150), truth]).mean() for p in (weighted, plain)]
    assert score[0] < score[1]
    assert weighted.sum(axis=1) == pytest.approx(np.ones(150), abs=1e-6)


def test_nobody_else() -> None:
    proba, n_raters = weighted_human_consensus(["a", "a"], [0, 1], [1, 0], "a", n_tracks=2, n_classes=2)
    assert proba.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert n_raters.tolist() == [0, 0]


def test_a_session_and_a_selection_ask_by_the_weighted_consensus() -> None:
    """Tracks that the blind raters alone dispute are asked by plain shares, not by weighted ones."""
    from dissensus.committee import Committee
    from dissensus.features.pool import Pool
    from dissensus.personalisation import Session
    from dissensus.strategies import select

    truth, rater, track, label = crowd(accuracy=(0.95, 0.9, 0.9, 0.25, 0.25))
    sizes = {"n_tracks": 150, "n_classes": 4}
    weighted = weighted_human_consensus(rater, track, label, "me", **sizes)
    plain = leave_listener_out(rater, track, label, "me", **sizes)
    rng = np.random.default_rng(1)
    X = rng.standard_normal((150, 5))
    classes = ("Q1", "Q2", "Q3", "Q4")
    committee = Committee.pretrain(X, np.array(classes)[truth], np.arange(150), kinds=("gnb",), n_folds=2)
    pool = Pool(X.astype(np.float32), np.array([f"t{i}" for i in range(150)]))
    asked = {}
    for name, told in (("weighted", weighted), ("plain", plain)):
        query = Session(committee, pool, strategy="hc", crowd=told, balanced=False).ask(20)
        asked[name] = {int(t[1:]) for t in query.track_ids.tolist()}
        chosen = select("hc", 20, human=told[0], n_raters=told[1])
        assert np.allclose(np.sort(chosen.utility), np.sort(query.utility))
    assert asked["weighted"] != asked["plain"]
    disputed = []  # by those who listen
    for t in range(150):
        _, n = np.unique(label[(track == t) & (rater < 3)], return_counts=True)
        disputed.append(-(n / n.sum() * np.log(n / n.sum())).sum())
    by = {name: np.mean([disputed[t] for t in tracks]) for name, tracks in asked.items()}
    assert by["weighted"] > by["plain"]


def test_repeated_votes_count_once_and_weights_are_checked() -> None:
    from dissensus.strategies import human_consensus

    _, rater, track, label = crowd(40)
    first = weighted_human_consensus(rater, track, label, "me", n_tracks=40, n_classes=4)
    twice = [
        np.concatenate([(column + 1) % 4 if column is label else column, column]) for column in (rater, track, label)
    ]
    again = weighted_human_consensus(*twice, "me", n_tracks=40, n_classes=4)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    for weight in ([1.0], [1.0, -1.0], [1.0, np.nan]):
        with pytest.raises(ParameterError, match="weight must be 2"):
            human_consensus([0, 1], [0, 1], n_tracks=2, n_classes=2, weight=weight)
    proba, n_raters = human_consensus([0, 0, 1], [0, 1, 1], n_tracks=2, n_classes=2, weight=[3.0, 1.0, 0.0])
    assert proba.tolist() == [[0.75, 0.25], pytest.approx([2 / 3, 1 / 3])]
    assert n_raters.tolist() == [2, 1]


@pytest.mark.data
def test_on_real_listeners_weighting_does_not_help(research_data: Path) -> None:
    data = trompa.load(research_data / "trompa_mer")
    votes = data.annotations
    track = data.pool.index_of(votes.track_id)
    sizes = {"n_tracks": data.pool.n_tracks, "n_classes": 4, "prior": 2.0}
    nll: dict[str, list[float]] = {"weighted": [], "plain": []}
    for who in votes.listeners(min_tracks=80).tolist():
        own = votes.listener_id == who
        for name, consensus in (("weighted", weighted_human_consensus), ("plain", leave_listener_out)):
            proba, n_raters = consensus(votes.listener_id, track, votes.label, who, **sizes)
            at = own & (n_raters[track] > 0)
            nll[name].append(float(-np.log(proba[track[at], votes.label[at]]).mean()))
    assert len(nll["plain"]) == 35
    assert np.mean(nll["plain"]) == pytest.approx(1.027, abs=0.002)
    assert bootstrap_interval(np.subtract(nll["weighted"], nll["plain"])).sign >= 0
