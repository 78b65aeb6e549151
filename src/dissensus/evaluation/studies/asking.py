"""Which questions to ask once the crowd is known: learning curves of the listener model under each strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.splits import Splits, child_seed
from dissensus.evaluation.studies.listener import SCORE_NAMES, ListenerPlan, score_row, study_tasks, track_info
from dissensus.personalisation.listener.model import ListenerModel
from dissensus.personalisation.listener.personal_model import PersonalModel
from dissensus.strategies.consensus import machine_consensus, select

__all__ = ["ASKING", "AskingCurves", "run_asking_study"]

Floats = NDArray[np.float64]

#: Strategies: machine consensus on the probabilities or on posterior draws, human consensus, their mean, random.
ASKING: Final = ("mc-bal", "draws-bal", "hc-bal", "mix-bal", "rand", "rand-bal")


@dataclass
class AskingCurves:
    """Scores after each round, by strategy.

    Attributes
    ----------
    n_answers : (n_rounds + 1,) ndarray
        Answers given at each point of a curve.
    curve : dict of str to (n_listeners, n_rounds + 1, n_scores) ndarray
        Means over repeats.
    """

    n_answers: NDArray[np.int64]
    curve: dict[str, Floats]

    def column(self, strategy: str, score: str) -> Floats:
        """``(n_listeners, n_rounds + 1)`` curves of one score."""
        return self.curve[strategy][:, :, SCORE_NAMES.index(score)]


def run_asking_study(
    dataset: Dataset,
    plan: ListenerPlan,
    *,
    strategies: Sequence[str] = ("mc-bal", "rand"),
    rounds: int = 15,
    n_queries: int = 4,
    test_share: float = 0.15,
    say: Callable[[str], None] | None = None,
) -> AskingCurves:
    """Learning curves of every listener; one split per listener and repeat serves all strategies.

    Parameters
    ----------
    dataset : Dataset
        With annotations of many listeners.
    plan : ListenerPlan
        Repeats, listeners, exponent and seed.
    strategies : sequence of str
        Of :data:`ASKING`; ``-bal`` gives each class its share of a query.
    rounds, n_queries : int
        Rounds, and answers in each. A curve stays level once its tracks run out.
    test_share : float
        Share of a listener's tracks held out.

    Raises
    ------
    ParameterError
        A strategy that is not known.
    """
    unknown = [name for name in strategies if name not in ASKING]
    if unknown:
        raise ParameterError(f"strategy {unknown[0]!r}; choose among {', '.join(ASKING)}")
    model = ListenerModel(dataset.pool, dataset.annotations, info=track_info(dataset), weights=plan.weights)
    splits = Splits(plan.seed, test_share, variant="asking")
    sums: dict[str, list[Floats]] = {name: [] for name in strategies}
    for done, task in enumerate(study_tasks(dataset, plan), start=1):
        start = model.for_listener(task.who, instrument=task.instrument)
        label = np.full(dataset.pool.n_tracks, -1, dtype=np.int64)
        label[task.track] = task.label
        for name in strategies:
            curves = []
            for repeat in range(plan.repeats):
                split = splits.draw(task.who, repeat, task.track)
                seed = child_seed(plan.seed, str(task.who), repeat, "asking")
                curves.append(_curve(start, label, split, name, rounds, n_queries, plan.exponent, seed))
            sums[name].append(np.mean(curves, axis=0))
        if say is not None:
            say(f"{done} listeners")
    return AskingCurves(np.arange(rounds + 1) * n_queries, {name: np.array(rows) for name, rows in sums.items()})


def _curve(
    start: PersonalModel,
    label: NDArray[np.int64],
    split: Any,
    strategy: str,
    rounds: int,
    n_queries: int,
    exponent: float,
    seed: np.random.SeedSequence,
) -> Floats:
    pool, test = np.asarray(split.pool), np.asarray(split.test)
    every = np.sort(np.concatenate([pool, test]))
    at = np.searchsorted(every, test)
    belief = start.prior.belief
    short, _, balanced = strategy.partition("-")
    seeds = seed.spawn(rounds)
    current, rows = start, []
    for turn in range(rounds + 1):
        rows.append(score_row(current.proba[every], label[every], at, start, exponent))
        left = pool[[t not in current.answers for t in pool.tolist()]]
        if turn == rounds or len(left) == 0:
            continue
        machine = current.proba[left].astype(np.float32)
        if short == "draws":
            machine = machine_consensus(current.draws(left))
        chosen = select(
            "mc" if short == "draws" else short,
            min(n_queries, len(left)),
            machine=machine,
            human=belief.proba[left].astype(np.float32),
            n_raters=belief.n_raters[left],
            balanced=bool(balanced),
            random_state=seeds[turn],
        )
        tracks = left[chosen.index]
        current = current.with_answers(dict(zip(tracks.tolist(), label[tracks].tolist(), strict=True)))
    return np.array(rows)
