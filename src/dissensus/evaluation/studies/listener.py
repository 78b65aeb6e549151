"""Does a personal model beat the crowd, listener by listener: the study behind the listener model.

The strongest opponent is the crowd without the listener, under the same decision rule. Every condition shares one split a
listener and repeat. Nulls run beside: answers permuted, and listeners simulated from the crowd, who have nothing personal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus._ids import is_same_id
from dissensus.datasets import Annotations, Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.run.listener_members import instruments, track_info
from dissensus.evaluation.scores import track_scores
from dissensus.evaluation.splits import Splits, child_seed
from dissensus.personalisation.listener.calibration import Recalibration
from dissensus.personalisation.listener.model import ListenerModel
from dissensus.personalisation.listener.personal_kernel import PersonalWeights
from dissensus.personalisation.listener.personal_model import PersonalModel

__all__ = [
    "RULES",
    "SCORE_NAMES",
    "ListenerPlan",
    "ListenerScores",
    "held_out_crowd",
    "run_listener_study",
    "score_row",
    "study_tasks",
    "track_info",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Decision rules: plain argmax; divided by a power of the crowd's class frequencies; of the model's own.
RULES: Final = ("argmax", "crowd", "own")
#: Columns of a table of scores. All but ``nll`` and ``brier`` exist under each rule.
SCORE_NAMES: Final = (
    "nll",
    "brier",
    *(f"{score}|{rule}" for rule in RULES for score in ("f1_macro", "f1_weighted", "accuracy")),
)


@dataclass(frozen=True)
class ListenerPlan:
    """What to run.

    Parameters
    ----------
    repeats : int
        Splits per listener.
    test_share : float
        Share of a listener's tracks held out.
    min_tracks, max_tracks : int
        Which listeners: those with so many labelled tracks.
    few : int
        Number of answers of the early look.
    exponent : float
        Of the decision rules.
    fresh_tracks : bool
        Also run the variant where nobody has rated the test tracks.
    past_only : bool
        Also run the variant with only the votes cast before the listener's first; a fit a listener.
    weights : PersonalWeights, optional
        Of the personal kernel; default: the usual ones.
    seed : int
        Master seed.
    """

    repeats: int = 30
    test_share: float = 0.3
    min_tracks: int = 80
    max_tracks: int = 10**9
    few: int = 10
    exponent: float = 0.5
    fresh_tracks: bool = True
    past_only: bool = False
    weights: PersonalWeights | None = None
    seed: int = 0


@dataclass
class ListenerScores:
    """Scores by condition.

    Attributes
    ----------
    listeners : list
        Ids, in the order of the rows.
    table : dict of str to (n_listeners, n_scores) ndarray
        Means over repeats; columns as :data:`SCORE_NAMES`.
    held_out : dict of str to list of (proba, label, n_raters)
        Predictions of the first repeat, for calibration curves.
    """

    listeners: list[Any] = field(default_factory=list)
    table: dict[str, Floats] = field(default_factory=dict)
    held_out: dict[str, list[tuple[Floats, Ints, Ints]]] = field(default_factory=dict)

    def column(self, condition: str, score: str) -> Floats:
        """``(n_listeners,)`` one score of one condition."""
        return self.table[condition][:, SCORE_NAMES.index(score)]


@dataclass(frozen=True, eq=False)
class StudyTask:
    """One listener's labelled tracks."""

    who: Any
    track: Ints
    label: Ints
    instrument: Ints | int


def study_tasks(dataset: Dataset, plan: ListenerPlan) -> list[StudyTask]:
    annotations: Annotations = dataset.annotations
    many = annotations.listeners(min_tracks=plan.min_tracks)
    too_many = annotations.listeners(min_tracks=min(plan.max_tracks, 10**8) + 1)
    tasks = []
    for who in many[~np.isin(many, too_many)].tolist():
        own = annotations.of(who)
        own = own.subset(own.label >= 0)
        track = dataset.pool.index_of(own.track_id.tolist())
        instrument: Ints | int = 0
        used = instruments(own)
        if used is not None:
            instrument = np.zeros(dataset.pool.n_tracks, dtype=np.int64)
            instrument[track] = used
        tasks.append(StudyTask(who, track, own.label, instrument))
    if not tasks:
        raise ParameterError(f"no listener has {plan.min_tracks} labelled tracks or more in {dataset.name!r}")
    return tasks


def held_out_crowd(model: ListenerModel, dataset: Dataset) -> tuple[Floats, Ints, Ints]:
    """The crowd's opinion of every rating, without the one who gave it: probabilities, labels, listener numbers."""
    crowd = model.crowd
    proba = np.empty((len(crowd.track), crowd.n_classes))
    for who in range(crowd.n_listeners):
        rows = np.flatnonzero(crowd.listener == who)
        instrument = np.zeros(crowd.n_tracks, dtype=np.int64)
        instrument[crowd.track[rows]] = crowd.instrument[rows]
        proba[rows] = crowd.belief(without_listener=who, instrument=instrument).proba[crowd.track[rows]]
    return proba, crowd.label, crowd.listener


def run_listener_study(
    dataset: Dataset, plan: ListenerPlan, *, say: Callable[[str], None] | None = None
) -> ListenerScores:
    """Score every condition for every listener.

    Conditions: ``prior`` (the crowd), ``recalibrated`` (the crowd, recalibrated on the other listeners), ``personal``,
    ``geometric`` and ``residual`` (all training answers), ``personal@few``, ``permuted`` (answers shuffled among the
    tracks), ``null prior`` and ``null personal`` (answers drawn from the crowd's probabilities), and with
    ``plan.fresh_tracks`` ``fresh prior`` and ``fresh personal`` (nobody has rated the test tracks), with ``plan.past_only``
    ``past prior`` and ``past personal`` (only votes cast before the listener's first).

    Returns
    -------
    ListenerScores
    """
    info = track_info(dataset)
    model = ListenerModel(dataset.pool, dataset.annotations, info=info, weights=plan.weights)
    others = {name: ListenerModel.__new__(ListenerModel) for name in ("geometric", "residual")}
    for name, other in others.items():
        other.__dict__.update(model.__dict__)
        other.model = name
    crowd_proba, crowd_label, crowd_who = held_out_crowd(model, dataset)
    splits = Splits(plan.seed, plan.test_share)
    scores = ListenerScores()
    sums: dict[str, list[Floats]] = {}
    for task in study_tasks(dataset, plan):
        number = int(np.flatnonzero(model.listener_ids == task.who)[0])
        start = model.for_listener(task.who, instrument=task.instrument)
        starts = {"personal": start}
        for name in others:
            starts[name] = PersonalModel(start.prior.with_model(name))
        if plan.past_only:
            past = _past(dataset, task.who)
            known = ListenerModel(past.pool, past.annotations, info=track_info(past), weights=plan.weights)
            starts["past personal"] = known.for_listener(task.who, instrument=task.instrument)
        keep = crowd_who != number
        recalibrated = Recalibration(crowd_proba[keep], crowd_label[keep])(start.proba)
        of_listener: dict[str, list[Floats]] = {}
        for repeat in range(plan.repeats):
            split = splits.draw(task.who, repeat, task.track)
            rng = np.random.default_rng(child_seed(plan.seed, str(task.who), repeat, "null"))
            predicted = _conditions(model, task, starts, recalibrated, split, plan, rng)
            test = np.asarray(split.test)
            for condition, (proba, label) in predicted.items():
                row = score_row(proba, label, np.searchsorted(np.sort(task.track), test), start, plan.exponent)
                of_listener.setdefault(condition, []).append(row)
                if repeat == 0 and condition in ("prior", "personal", "fresh prior", "fresh personal"):
                    at = np.searchsorted(np.sort(task.track), test)
                    raters = start.prior.belief.n_raters[test]
                    scores.held_out.setdefault(condition, []).append((proba[at], label[at], raters))
        scores.listeners.append(task.who)
        for condition, rows in of_listener.items():
            sums.setdefault(condition, []).append(np.mean(rows, axis=0))
        if say is not None:
            say(f"{len(scores.listeners)} listeners")
    scores.table = {condition: np.array(rows) for condition, rows in sums.items()}
    return scores


def _past(dataset: Dataset, who: Any) -> Dataset:
    """The data set as it was before this listener's first annotation, and the listener's own."""
    annotations = dataset.annotations
    if annotations.timestamp is None:
        raise ParameterError(f"past_only needs to know when annotations were made; {dataset.name!r} does not say")
    own = is_same_id(annotations.listener_id, who)
    before = annotations.timestamp < annotations.timestamp[own].min()
    return replace(dataset, annotations=annotations.subset(own | before))


def _conditions(
    model: ListenerModel,
    task: StudyTask,
    starts: dict[str, PersonalModel],
    recalibrated: Floats,
    split: Any,
    plan: ListenerPlan,
    rng: np.random.Generator,
) -> dict[str, tuple[Floats, Ints]]:
    """Probabilities and labels of all the listener's tracks, sorted by track, under each condition."""
    order = np.argsort(task.track)
    tracks, labels = task.track[order], task.label[order]
    train = np.asarray(split.pool)
    train_label = labels[np.searchsorted(tracks, train)]
    start = starts["personal"]

    def told(base: PersonalModel, track: Ints, label: Ints) -> Floats:
        return base.with_answers(dict(zip(track.tolist(), label.tolist(), strict=True))).proba[tracks]

    out = {"prior": (start.proba[tracks], labels), "recalibrated": (recalibrated[tracks], labels)}
    for name, base in starts.items():
        out[name] = (told(base, train, train_label), labels)
    if "past personal" in starts:
        out["past prior"] = (starts["past personal"].proba[tracks], labels)
    few = rng.permutation(len(train))[: plan.few]
    out["personal@few"] = (told(start, train[few], train_label[few]), labels)
    out["permuted"] = (told(start, train, rng.permutation(train_label)), labels)
    cumulated = start.proba[tracks].cumsum(axis=1)[:, :-1]
    simulated = (rng.random(len(tracks))[:, None] > cumulated).sum(axis=1)
    out["null prior"] = (start.proba[tracks], simulated)
    out["null personal"] = (told(start, train, simulated[np.searchsorted(tracks, train)]), simulated)
    if plan.fresh_tracks:
        fresh = model.for_listener(task.who, without_tracks=np.asarray(split.test), instrument=task.instrument)
        out["fresh prior"] = (fresh.proba[tracks], labels)
        out["fresh personal"] = (told(fresh, train, train_label), labels)
    return out


def score_row(proba: Floats, label: Ints, test: Ints, start: PersonalModel, exponent: float) -> Floats:
    """Scores on the test rows; the model's own frequencies are those of all the listener's tracks."""
    p, y = proba[test], label[test]
    crowd = start.prior.belief.class_frequency
    share = {"argmax": np.ones(p.shape[1]), "crowd": crowd, "own": proba.mean(axis=0)}
    ruled = np.stack([p / share[rule] ** exponent for rule in RULES])
    found = track_scores(ruled, y)
    target = np.eye(p.shape[1])[y]
    row = [float(-np.log(p[np.arange(len(y)), y]).mean()), float(((p - target) ** 2).sum(axis=1).mean())]
    for i in range(len(RULES)):
        row += [float(found[score][i]) for score in ("f1_macro", "f1_weighted", "accuracy")]
    return np.array(row)
