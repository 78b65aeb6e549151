"""A classic committee that knows the crowd, as a member, as its prior or as an input: which is best, and is any better
than the crowd?

Every setting (replay weight, share or power) is chosen for each listener on the other listeners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.committee import Committee
from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.listener_members import listener_model
from dissensus.evaluation.run.pretraining import pretrain_on_crowd, pretrain_on_weak
from dissensus.evaluation.splits import Splits
from dissensus.evaluation.studies.listener import SCORE_NAMES, ListenerPlan, StudyTask, score_row, study_tasks
from dissensus.evaluation.studies.rows import Row
from dissensus.features.pool import Pool
from dissensus.personalisation.learner import CommitteeLearner
from dissensus.personalisation.listener import (
    JOINS,
    ListenerModel,
    PersonalModel,
    join_crowd,
    opinion_folds,
    with_opinion,
)

__all__ = ["CommitteeScores", "choose_nested", "committee_rows", "run_committee_study"]

Floats = NDArray[np.float64]

#: Total weights of the rehearsal to choose from, in own answers.
REPLAY_WEIGHTS: Final = (100.0, 200.0, 300.0)
#: Shares of the crowd as a member, and powers of the committee's evidence, to choose from.
WEIGHTS: Final = {
    "member": (0.5, 0.75, 0.9, 0.95),
    "prior": (0.02, 0.05, 0.1, 0.25, 0.5),
    "change": (0.05, 0.1, 0.25, 0.5),
}


@dataclass
class CommitteeScores:
    """Scores of every condition at every setting.

    Attributes
    ----------
    listeners : list
        Ids.
    table : dict of str to (n_listeners, n_settings, n_scores) ndarray
        Means over repeats; columns as :data:`~dissensus.evaluation.studies.listener.SCORE_NAMES`. ``crowd`` and ``listener
        model`` have one setting.
    settings : dict of str to list of str
        Their names.
    """

    listeners: list[Any]
    table: dict[str, Floats]
    settings: dict[str, list[str]]


def run_committee_study(
    dataset: Dataset,
    plan: ListenerPlan,
    *,
    kinds: Sequence[str] = ("gnb", "sgd", "xgb"),
    opinion_parts: int = 10,
    say: Callable[[str], None] | None = None,
) -> CommitteeScores:
    """Score the crowd, the listener model, the committee, and the three ways to join them, in the same splits.

    Parameters
    ----------
    dataset : Dataset
        With annotations of many listeners.
    plan : ListenerPlan
        Listeners, repeats, share held out, exponent, seed.
    kinds : sequence of str
        Classifiers of the committee, five of each.
    opinion_parts : int
        Folds of listeners for the opinions that a committee with the crowd as input is trained on.

    Raises
    ------
    ParameterError
        No listener has as many tracks as the plan wants.
    """
    protocol = Protocol(kinds=tuple(kinds), seed=plan.seed)
    model = listener_model(dataset, dataset.annotations)
    weak = pretrain_on_weak(dataset, protocol)
    splits = Splits(plan.seed, plan.test_share)
    settings: dict[str, list[str]] = {}
    rows: dict[str, list[Floats]] = {}
    listeners = []
    for task in study_tasks(dataset, plan):
        tracks = np.sort(task.track)
        label = task.label[np.argsort(task.track)]
        start = PersonalModel(model.for_listener(task.who, instrument=task.instrument).prior.of_tracks(tracks))
        informed = _train_with_opinion(model, task, dataset, protocol, opinion_parts)
        pool = dataset.pool.subset(dataset.pool.track_ids[tracks])
        heard = with_opinion(pool, start.proba)
        each: dict[str, list[Floats]] = {}
        for repeat in range(plan.repeats):
            split = splits.draw(task.who, repeat, task.track)
            train, test = (np.searchsorted(tracks, np.asarray(side)) for side in (split.pool, split.test))
            committee = weak
            if committee is None:
                held_out = np.asarray(split.test)
                committee = pretrain_on_crowd(dataset.pool, dataset.annotations, task.who, held_out, protocol)
            told = start.with_answers(dict(zip(train.tolist(), label[train].tolist(), strict=True)))
            found = {"crowd": {"": start.proba}, "listener model": {"": told.proba}}
            found |= _joined(committee, pool, start.proba, train, label[train])
            found["input"] = {
                f"n0={n0:g}": _taught(informed, heard, n0, train, label[train])[1] for n0 in REPLAY_WEIGHTS
            }
            for name, by_setting in found.items():
                settings[name] = list(by_setting)
                scored = [score_row(p, label, test, start, plan.exponent) for p in by_setting.values()]
                each.setdefault(name, []).append(np.array(scored))
        listeners.append(task.who)
        for name, values in each.items():
            rows.setdefault(name, []).append(np.mean(values, axis=0))
        if say is not None:
            say(f"{len(listeners)} listeners")
    return CommitteeScores(listeners, {name: np.array(values) for name, values in rows.items()}, settings)


def _train_with_opinion(
    model: ListenerModel, task: StudyTask, dataset: Dataset, protocol: Protocol, parts: int
) -> Committee:
    """A committee whose inputs are the track's features and the opinion of people other than whose label it learns."""
    crowd = model.crowd
    who = int(np.flatnonzero(model.listener_ids == task.who)[0])
    X, y, track = [], [], []
    for rows, proba in opinion_folds(crowd, who, n_folds=parts):
        heard = with_opinion(dataset.pool, proba)
        for row in rows.tolist():
            windows = np.flatnonzero(heard.groups == crowd.track[row])
            X.append(heard.X[windows])
            y.append(np.full(len(windows), crowd.label[row]))
            track.append(np.full(len(windows), crowd.track[row]))
    return Committee.pretrain(
        np.concatenate(X),
        np.asarray(dataset.classes)[np.concatenate(y)],
        np.concatenate(track),
        kinds=protocol.kinds,
        n_folds=protocol.n_folds,
        classes=dataset.classes,
        random_state=protocol.seed,
    )


def _taught(
    committee: Committee, pool: Pool, n0: float, track: NDArray[np.int64], label: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """The committee's mean before and after these answers."""
    learner = CommitteeLearner(committee, pool, n0=n0)
    before = learner.pool_proba().mean(axis=0, dtype=np.float64)
    after = (
        learner.update((tuple(zip(track.tolist(), label.tolist(), strict=True)),))
        .pool_proba()
        .mean(axis=0, dtype=np.float64)
    )
    floor = np.maximum(after, 1e-4)
    return before, floor / floor.sum(axis=1, keepdims=True)


def _joined(
    committee: Committee, pool: Pool, crowd: Floats, track: NDArray[np.int64], label: NDArray[np.int64]
) -> dict[str, dict[str, Floats]]:
    found: dict[str, dict[str, Floats]] = {"committee": {}, **{how: {} for how in JOINS}}
    for n0 in REPLAY_WEIGHTS:
        before, after = _taught(committee, pool, n0, track, label)
        found["committee"][f"n0={n0:g}"] = after
        for how in JOINS:
            for weight in WEIGHTS[how]:
                joined = join_crowd(crowd, after, how, weight, start=before)
                found[how][f"n0={n0:g}, weight {weight:g}"] = joined
    return found


def choose_nested(table: Floats, score: str = "nll") -> NDArray[np.int64]:
    """``(n_listeners,)`` setting with the best mean score over the *other* listeners; the first on ties.

    Parameters
    ----------
    table : (n_listeners, n_settings, n_scores) ndarray
        Of a :class:`CommitteeScores`.
    """
    values = table[:, :, SCORE_NAMES.index(score)] * (1.0 if score in ("nll", "brier") else -1.0)
    if len(values) < 2:
        raise ParameterError("a setting is chosen on other listeners: two listeners or more are needed")
    chosen: NDArray[np.int64] = (values.sum(axis=0) - values).argmin(axis=1)
    return chosen


def committee_rows(scores: CommitteeScores) -> list[Row]:
    """A line a condition: NLL, macro F1 and accuracy, each less the crowd's, at the settings chosen on other listeners."""
    rows = [Row("listeners", str(len(scores.listeners)))]
    crowd = scores.table["crowd"][:, 0]
    for name, table in scores.table.items():
        picked = choose_nested(table)
        mine = table[np.arange(len(table)), picked]
        text, least = [], scores.settings[name]
        for score in ("nll", "f1_macro|own", "accuracy|own"):
            column = SCORE_NAMES.index(score)
            found = bootstrap_interval(mine[:, column] - crowd[:, column])
            text.append(
                f"{score} {mine[:, column].mean():.3f} ({found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}])"
            )
        names, count = np.unique(picked, return_counts=True)
        used = least[int(names[count.argmax()])]
        rows.append(Row(f"{name}{f' ({used} for {count.max()})' if used else ''}", "; ".join(text)))
    return rows
