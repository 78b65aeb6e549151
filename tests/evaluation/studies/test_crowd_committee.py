"""The study of the crowd inside a committee, and of ratings as ordered answers, on made-up listeners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from latent import latent_dataset

from dissensus import set_threads
from dissensus.datasets._types import Annotations
from dissensus.errors import ParameterError
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.listener_members import listener_model
from dissensus.evaluation.studies.crowd_committee import (
    CommitteeScores,
    _train_with_opinion,
    choose_nested,
    committee_rows,
    run_committee_study,
)
from dissensus.evaluation.studies.listener import SCORE_NAMES, ListenerPlan, study_tasks
from dissensus.evaluation.studies.ordinal import ORDINAL, ordinal_rows, run_ordinal_study
from dissensus.personalisation.listener import with_opinion

PLAN = ListenerPlan(repeats=2, min_tracks=30)
DATA = latent_dataset(n_listeners=5, n_each=40, personal=0.6)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    set_threads(1)


@pytest.fixture(scope="module")
def scores() -> CommitteeScores:
    return run_committee_study(DATA, PLAN, kinds=("gnb",), opinion_parts=3)


def test_every_way_is_scored_at_every_setting(scores: CommitteeScores) -> None:
    assert set(scores.table) == {"crowd", "listener model", "committee", "member", "prior", "change", "input"}
    assert len(scores.listeners) == 5
    for name, table in scores.table.items():
        assert table.shape == (5, len(scores.settings[name]), len(SCORE_NAMES))
        assert np.isfinite(table).all()
    assert len(scores.settings["committee"]) == len(scores.settings["input"]) == 3
    lines = [row.line() for row in committee_rows(scores)]
    assert len(lines) == 8
    assert "+0.000 [+0.000, +0.000]" in lines[1]


def test_a_setting_is_chosen_without_the_listener(scores: CommitteeScores) -> None:
    table = scores.table["member"]
    chosen = choose_nested(table)
    for who in range(5):
        other = table.copy()
        other[who] = np.random.default_rng(who).random(other[who].shape)
        assert choose_nested(other)[who] == chosen[who]
        mean = np.delete(table, who, axis=0)[:, :, SCORE_NAMES.index("nll")].mean(axis=0)
        assert chosen[who] == mean.argmin()
    best = choose_nested(table, "accuracy|own")
    mean = np.delete(table, 0, axis=0)[:, :, SCORE_NAMES.index("accuracy|own")].mean(axis=0)
    assert mean[best[0]] == mean.max()
    with pytest.raises(ParameterError, match="two listeners"):
        choose_nested(table[:1])


def test_the_opinion_as_input_is_learnt_without_the_listener() -> None:
    """Whatever the listener said, held-out answers included, the committee that is to be theirs starts as the same."""
    a = DATA.annotations
    own = a.listener_id == "listener 2"
    label = np.where(own, (a.label + 1) % 4, a.label)
    changed = replace(DATA, annotations=Annotations(a.listener_id, a.track_id, label, a.classes))
    starts = []
    for data in (DATA, changed):
        task = next(t for t in study_tasks(data, PLAN) if t.who == "listener 2")
        model = listener_model(data, data.annotations)
        committee = _train_with_opinion(model, task, data, Protocol(kinds=("gnb",)), 3)
        heard = with_opinion(data.pool, model.for_listener("listener 2").proba)
        starts.append(committee.predict_proba(heard.X, heard.groups))
    np.testing.assert_allclose(starts[0], starts[1], atol=1e-5)


def test_the_study_of_ordered_ratings() -> None:
    rng = np.random.default_rng(4)
    pool = DATA.pool
    track, listener = np.nonzero(rng.random((pool.n_tracks, 8)) < 0.4)
    opinion = pool.X[np.searchsorted(pool.groups, np.arange(pool.n_tracks)), :2]
    offset = 1.5 * rng.normal(size=(8, 2))
    felt = np.clip(
        np.rint(3.0 + 0.6 * opinion[track] + offset[listener] + 0.6 * rng.normal(size=(len(track), 2))), 1, 5
    )
    who = np.array([f"listener {i}" for i in range(8)])[listener]
    extra = {"energy": felt[:, 0], "valence": felt[:, 1]}
    label = np.zeros(len(track), dtype=np.int64)
    data = replace(DATA, annotations=Annotations(who, pool.track_ids[track], label, DATA.classes, extra=extra))
    given = {"levels": np.arange(1, 6), "middle": 3.0, "repeats": 1}
    scored = run_ordinal_study(data, ("energy", "valence"), **given)
    assert set(scored) == set(ORDINAL)
    assert all(table.shape == (8, 3, 2) for table in scored.values())
    nll = {name: table[:, 0].mean() for name, table in scored.items()}
    assert nll["ordinal"] < nll["ordinal few"] < nll["ordinal crowd"] - 0.05
    assert nll["drawn ordinal"] - nll["drawn crowd"] < 0.05
    halves = [run_ordinal_study(data, ("energy", "valence"), half=half, **given) for half in (0, 1)]
    assert [len(table["ordinal"]) for table in halves] == [4, 4]
    together = np.sort(np.concatenate([table["normal"][:, 1, 0] for table in halves]))
    np.testing.assert_allclose(together, np.sort(scored["normal"][:, 1, 0]))
    assert len(ordinal_rows(scored, ("energy", "valence"))) == 6
    with pytest.raises(ParameterError, match="no listener rated 400"):
        run_ordinal_study(data, ("energy", "valence"), min_tracks=400, **given)
