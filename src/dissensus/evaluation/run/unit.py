"""One listener and one repeat: ask, answer, update, score, for every strategy and update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._ids import is_same_id
from dissensus._spread import column_deviation
from dissensus.committee import Committee, TrackScorer
from dissensus.datasets._types import Annotations
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.listener_members import ListenerMembers
from dissensus.evaluation.run.pretraining import pretrain_on_crowd
from dissensus.evaluation.scores import COMMITTEE, SCORES, track_scores
from dissensus.evaluation.splits import Split, Splits, child_seed
from dissensus.features.pool import Pool
from dissensus.personalisation.listener import ListenerModel, PersonalModel
from dissensus.personalisation.told import Told, answers_of
from dissensus.personalisation.update import Updates
from dissensus.strategies.balanced import tie_keys
from dissensus.strategies.consensus import human_consensus, select
from dissensus.strategies.strategy import strategy_named

__all__ = ["Task", "UnitResult", "Workplace", "run_unit"]


@dataclass(frozen=True, order=True)
class Task:
    """One unit of work: a listener's own answers, the same permuted, or answers drawn from the crowd's probabilities."""

    listener: str
    repeat: int
    permuted: bool = False
    drawn: bool = False


@dataclass
class UnitResult:
    """What one unit gives: columns of the table of scores, and the queries."""

    scores: dict[str, NDArray[Any]]
    queries: dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Workplace:
    """What the units of one evaluation share; nothing in it is changed.

    Attributes
    ----------
    protocol : Protocol
        What to do.
    pool : Pool
        Features of all tracks.
    annotations : Annotations
        One labelled row per listener and track.
    committee : Committee, optional
        Pre-trained on tracks that nobody rated; None: each split trains its own on the other listeners' votes.
    splits : dict of str to Splits
        By strategy; the same object under every key unless the protocol gives each strategy its own.
    proba : (n_members, n_tracks, n_classes) ndarray of float32, optional
        The pre-trained committee's probabilities for all tracks of the pool; None where features are standardised
        a listener, which makes them differ.
    listeners : tuple
        Ids of those evaluated.
    model : ListenerModel, optional
        Fitted on all annotations; for members ``crowd`` and ``residual``.
    """

    protocol: Protocol
    pool: Pool
    annotations: Annotations
    committee: Committee | None
    splits: Mapping[str, Splits]
    proba: NDArray[np.float32] | None
    listeners: tuple[Any, ...]
    model: ListenerModel | None = None
    rows_of_track: list[NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.pool.groups, kind="stable")
        bounds = np.cumsum(np.bincount(self.pool.groups, minlength=self.pool.n_tracks))[:-1]
        object.__setattr__(self, "rows_of_track", np.split(order, bounds))


@dataclass(frozen=True, eq=False)
class _Table:
    """A listener's tracks in one split: the pool's tracks first, then the held-out ones."""

    track: NDArray[np.int64]
    n_pool: int
    label: NDArray[np.int64]
    answer: NDArray[np.int64]
    human: NDArray[np.float32]
    n_raters: NDArray[np.int64]
    tie_key: NDArray[np.uint64]
    committee: Committee | None
    scorer: TrackScorer | None
    members: ListenerMembers | None
    updates: Mapping[str, Updates]  # by name; each prepares a track once for all strategies

    def answers(self, tracks: list[int]) -> tuple[tuple[int, int], ...]:
        """Answers about these tracks."""
        return tuple((i, int(self.answer[i])) for i in tracks)


def _crowd(place: Workplace, listener: Any, pool_tracks: NDArray[np.int64]) -> tuple[Any, Any]:
    """Other people's votes on the tracks that may be asked; nobody's vote on a held-out track comes in."""
    votes = place.annotations
    keep = np.ones(len(votes), dtype=bool)
    if place.protocol.crowd == "evaluated":
        keep = np.isin(votes.listener_id, place.listeners)
    elif place.protocol.crowd == "others":
        keep = ~is_same_id(votes.listener_id, listener)
    position = np.full(place.pool.n_tracks, -1, dtype=np.int64)
    position[pool_tracks] = np.arange(len(pool_tracks))
    at = position[place.pool.index_of(votes.track_id[keep])]
    return human_consensus(
        at[at >= 0],
        votes.label[keep][at >= 0],
        n_tracks=len(pool_tracks),
        n_classes=len(votes.classes),
        prior=1.0 if place.protocol.crowd == "others" else 0.0,
    )


def _standardised(X: NDArray[Any], by: NDArray[Any], committee: Committee) -> NDArray[Any]:
    """Features that the committee's own scaler turns into z-scores by the rows ``by``."""
    assert committee.scaler_ is not None
    mean, scale = committee.scaler_
    z = (X - by.mean(axis=0)) / column_deviation(by, constant=np.inf)
    return np.asarray(z * scale + mean, dtype=X.dtype)


def _lay_out(place: Workplace, task: Task, listener: Any, split: Split) -> _Table:
    own = place.annotations.of(listener)
    label_of = dict(zip(own.track_id.tolist(), own.label.tolist(), strict=True))
    ids = [*split.pool, *split.test]
    track = place.pool.index_of(ids)
    n_pool = len(split.pool)
    members = None
    if place.model is not None:
        beside = place.protocol.drawn_kinds if task.drawn else place.protocol.listener_kinds
        members = ListenerMembers.of(beside, place.model, own, track, n_pool)
    label = np.array([label_of[i] for i in ids], dtype=np.int64)
    if task.drawn and members is not None:
        label = members.simulated(np.random.default_rng(_seed(place.protocol, task, "draw")))
    answer = label.copy()
    if task.permuted:
        rng = np.random.default_rng(child_seed(place.protocol.seed, task.listener, task.repeat, "permute"))
        answer[:n_pool] = rng.permutation(answer[:n_pool])
    committee = None if task.drawn else place.committee
    if committee is None and place.protocol.classic_kinds and not task.drawn:
        committee = pretrain_on_crowd(place.pool, place.annotations, listener, track[n_pool:], place.protocol)
    rows = [place.rows_of_track[i] for i in track]
    length = np.array([len(r) for r in rows])
    X = place.pool.X[np.concatenate(rows)]
    group = np.repeat(np.arange(len(track)), length)
    if committee is not None and place.protocol.scaling == "all":
        X = _standardised(X, X, committee)
    elif committee is not None and place.protocol.scaling == "sides":
        side = group < n_pool
        X[side], X[~side] = (_standardised(X[s], X[s], committee) for s in (side, ~side))
    human, n_raters = _crowd(place, listener, track[:n_pool])
    keys = tie_keys(ids[:n_pool], child_seed(place.protocol.seed, task.listener, task.repeat, "ties"))
    scorer, updates = None, {}
    if committee is not None:
        scorer, seed = TrackScorer(committee, X, group), _seed(place.protocol, task, "update")
        windows = Pool(X, group)
        updates = {
            name: Updates(committee, windows, update=name, n0=place.protocol.n0, random_state=seed)
            for name in place.protocol.learned_updates
        }
    return _Table(track, n_pool, label, answer, human, n_raters, keys, committee, scorer, members, updates)


def _by_kind(proba: NDArray[np.float32], kinds: tuple[str, ...]) -> NDArray[np.float32]:
    """Mean probabilities of the members of each kind, which stand together, and of the whole committee last."""
    means = [proba[kinds.index(name) :][: kinds.count(name)].mean(axis=0) for name in dict.fromkeys(kinds)]
    return np.stack([*means, proba.mean(axis=0)])


def _select(
    table: _Table, machine: NDArray[np.float32], asked: list[int], strategy: str, protocol: Protocol
) -> list[int]:
    """Positions of the tracks to ask next."""
    exclude = np.array(asked, dtype=np.int64)
    k = min(protocol.queries, table.n_pool - len(asked))
    rule = strategy_named(strategy)
    selection = select(
        strategy,
        k,
        machine=machine[:, : table.n_pool].mean(axis=0),
        members=machine[:, : table.n_pool] if "members" in rule.needs else None,
        human=table.human,
        n_raters=table.n_raters,
        balanced=protocol.balanced if rule.balance is None else rule.balance,
        mix=protocol.mix,
        exclude=exclude,
        random_state=table.tie_key,
    )
    return [int(i) for i in selection.index]


@dataclass(frozen=True, eq=False)
class _Predictors:
    """What everybody has learnt so far: the committee, the members beside it, or both."""

    table: _Table
    kinds: tuple[str, ...]
    committee: Committee | None
    proba: NDArray[np.float32] | None
    models: Mapping[bool, PersonalModel]

    def machine(self) -> NDArray[np.float32]:
        """``(n_members, n_pool or more, n_classes)``: whose disagreement decides what is asked."""
        if self.proba is not None:
            return self.proba
        assert self.table.members is not None
        return self.table.members.machine(self.models, self.table.n_pool)

    def predicted(self) -> NDArray[Any]:
        """``(n_names, n_tracks, n_classes)``: kinds of the committee, the whole committee, the members beside it."""
        parts: list[NDArray[Any]] = [] if self.proba is None else [_by_kind(self.proba, self.kinds)]
        if self.table.members is not None:
            parts.append(self.table.members.proba(self.models))
        return np.concatenate(parts)

    def after(self, told: Told, update: str) -> _Predictors:
        """The same after one more batch of answers."""
        committee, proba, models = self.committee, self.proba, self.models
        if committee is not None and self.table.scorer is not None:
            committee = self.table.updates[update].taught(told, committee, told[:-1])
            proba = self.table.scorer.predict_proba(committee)
        if self.table.members is not None:
            models = self.table.members.taught(answers_of(told))
        return _Predictors(self.table, self.kinds, committee, proba, models)


def _start(place: Workplace, table: _Table) -> _Predictors:
    protocol = place.protocol
    models = {} if table.members is None else table.members.taught({})
    if table.scorer is None or table.committee is None:
        return _Predictors(table, (), None, None, models)
    kinds = tuple(kind for kind in protocol.classic_kinds for _ in range(protocol.n_folds))
    if place.proba is None:
        proba = table.scorer.predict_proba(table.committee)
    else:
        proba = np.ascontiguousarray(place.proba[:, table.track])
    return _Predictors(table, kinds, table.committee, proba, models)


def _scored(predicted: NDArray[Any], table: _Table, exponent: float) -> dict[str, NDArray[np.float64]]:
    """Scores ``(n_rounds, n_names)`` on the held-out tracks, decisions by the protocol's rule."""
    scores = track_scores(predicted[:, :, table.n_pool :], table.label[table.n_pool :])
    if exponent > 0:
        share = predicted.mean(axis=2, keepdims=True, dtype=np.float64)
        ruled = predicted[:, :, table.n_pool :] / np.maximum(share, 1e-12) ** exponent
        decided = track_scores(ruled, table.label[table.n_pool :])
        scores = {name: scores[name] if name == "nll" else decided[name] for name in SCORES}
    return scores


def run_unit(place: Workplace, task: Task) -> UnitResult:
    """Run every strategy and update of one listener and repeat.

    Parameters
    ----------
    place : Workplace
        What is shared.
    task : Task
        Which listener, which repeat; own, permuted or drawn answers. Drawn ones are for the listener model alone.

    Returns
    -------
    UnitResult
        Depends on the master seed, the listener, the repeat and the data alone.
    """
    protocol = place.protocol
    listener = next(i for i in place.listeners if str(i) == task.listener)
    if task.drawn:
        names = list(protocol.drawn_kinds)
    else:
        names = [*protocol.classic_kinds, *([COMMITTEE] * bool(protocol.classic_kinds)), *protocol.listener_kinds]
    out: dict[str, list[Any]] = {name: [] for name in ("strategy", "update", "member", "round", "n_labels", *SCORES)}
    log: dict[str, list[Any]] = {name: [] for name in ("strategy", "update", "round", "rank", "track_id", "n_raters")}
    laid: dict[Split, _Table] = {}
    for strategy in protocol.strategies:
        split = place.splits[strategy].of(task.listener, task.repeat)
        table = laid.get(split) or laid.setdefault(split, _lay_out(place, task, listener, split))
        start = _start(place, table)
        for update in ("replay",) if task.drawn else protocol.learned_updates:
            predictors, asked = start, list[int]()
            told: Told = ()
            predicted, answered = [predictors.predicted()], [0]
            for number in range(protocol.rounds):
                if len(asked) == table.n_pool:
                    break
                new = _select(table, predictors.machine(), asked, strategy, protocol)
                asked += new
                told = (*told, table.answers(new))
                predictors = predictors.after(told, update)
                predicted.append(predictors.predicted())
                answered.append(len(asked))
                for rank, i in enumerate(new):
                    row = (strategy, update, number, rank, str(place.pool.track_ids[table.track[i]]), table.n_raters[i])
                    for column, value in zip(log.values(), row, strict=True):
                        column.append(value)
            scores = _scored(np.stack(predicted), table, protocol.exponent)
            n_rounds, n_names = len(predicted), len(names)
            out["strategy"] += [strategy] * (n_rounds * n_names)
            out["update"] += [update] * (n_rounds * n_names)
            out["member"] += names * n_rounds
            out["round"] += np.repeat(np.arange(n_rounds) - 1, n_names).tolist()
            out["n_labels"] += np.repeat(answered, n_names).tolist()
            for name in SCORES:
                out[name] += scores[name].ravel().tolist()
    return UnitResult(_columns(task, out), _columns(task, log))


def _seed(protocol: Protocol, task: Task, *purpose: str | int) -> int:
    return int(child_seed(protocol.seed, task.listener, task.repeat, *purpose).generate_state(1)[0])


def _columns(task: Task, named: Mapping[str, list[Any]]) -> dict[str, NDArray[Any]]:
    n = len(next(iter(named.values())))
    head = {"listener": np.full(n, task.listener), "repeat": np.full(n, task.repeat, dtype=np.int64)}
    return head | {name: np.array(values) for name, values in named.items()}
