"""What the settings of boosted members are worth on real listeners: each one varied around its default.

    python benchmarks/study_boosted.py --data DIR

DIR holds TROMPA-MER, as for ``dissensus evaluate trompa --data DIR``. Every setting meets the same listeners, splits and
questions (strategy ``rand``, update ``replay``, the sound protocol): five boosted members are pre-trained, asked, taught and
scored by the same code as the evaluation. They are pre-trained on the catalogue's own quadrants of tracks that nobody
annotated or, with ``--crowd``, on what most of the other listeners said, without the held-out tracks. Printed is a table in
Markdown. Settings that begin with ``rehearse_`` are of the trees that a listener's answers grow, the others of those grown at
pre-training.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus import set_threads
from dissensus.committee import Committee
from dissensus.committee.members.boosted import BoostedTrees
from dissensus.datasets import Annotations, Dataset, trompa
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.outcome.paired_tests import paired_tests
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.pretraining import majority_label, weak_tracks
from dissensus.evaluation.run.unit import Task, Workplace, run_unit
from dissensus.evaluation.scores import COMMITTEE
from dissensus.evaluation.splits import Split, Splits, child_seed
from dissensus.personalisation.update import prepare_tracks, replay

DEFAULT = "default"

#: Values of each setting; the default's own is left out, it is the first row.
REPLAYED: dict[str, tuple[float, ...]] = {
    "rehearse_rounds": (5, 10, 20, 40),
    "rehearse_depth": (1, 2, 3, 5),
    "rehearse_bins": (16, 64, 256),
    "rehearse_rate": (0.05, 0.1, 0.2, 0.4),
}
PRETRAINED: dict[str, tuple[float, ...]] = {
    "n_rounds": (5, 10, 20, 40, 100),
    "max_depth": (1, 2, 3, 5),
    "max_bin": (16, 64, 256),
    "learning_rate": (0.1, 0.3),
}


@dataclass(frozen=True, eq=False)
class Study:
    """The data, and what every setting shares."""

    dataset: Dataset
    votes: Annotations
    protocol: Protocol
    splits: Splits
    crowd: bool
    label: NDArray[np.int64]  # of each track of the pool: the catalogue's, −1 where a listener may be asked

    def trained(self, split: Split, listener: Any, parameters: dict[str, Any]) -> Committee:
        """Five boosted members, as :mod:`dissensus.evaluation.run.pretraining` trains them, with these parameters."""
        pool, label = self.dataset.pool, self.label
        if self.crowd:
            label = majority_label(self.votes.without(listener), pool)
            label[pool.index_of(list(split.test))] = -1
        rows = np.flatnonzero(label[pool.groups] >= 0)
        groups = pool.groups[rows]
        return Committee.pretrain(
            pool.X[rows],
            np.array(self.dataset.classes)[label[groups]],
            groups,
            kinds=[BoostedTrees(**parameters)],
            n_folds=self.protocol.n_folds,
            classes=self.dataset.classes,
            random_state=int(child_seed(self.protocol.seed, "pretrain").generate_state(1)[0]),
        )

    def unit(self, committee: Committee, listener: Any, repeat: int) -> tuple[float, float, list[str]]:
        """Macro F1 before and after all answers on the held-out tracks of one split, and the questions."""
        named = dict.fromkeys(self.protocol.strategies, self.splits)
        place = Workplace(self.protocol, self.dataset.pool, self.votes, committee, named, None, (listener,))
        found = run_unit(place, Task(str(listener), repeat))
        curve = found.scores["f1_macro"][found.scores["member"] == COMMITTEE]
        return float(curve[0]), float(curve[-1]), found.queries["track_id"].tolist()

    def answer(self, committee: Committee, listener: Any) -> Callable[[], float]:
        """Seconds that the last of a listener's answers takes: its track is taken in, five members learn all answers."""
        own = self.votes.of(listener)
        count = self.protocol.rounds * self.protocol.queries
        pool = self.dataset.pool
        rows = np.concatenate([np.flatnonzero(pool.groups == i) for i in pool.index_of(own.track_id[:count])])
        X, groups = committee.scale(pool.X[rows]), pool.groups[rows]
        start = np.concatenate([np.flatnonzero(np.diff(groups, prepend=-1)), [len(groups)]])
        known, last = prepare_tracks(committee, X, start)[:-1], X[start[-2] :]

        def learn() -> float:
            began = time.perf_counter()
            heard = [*known, *prepare_tracks(committee, last, np.array([0, len(last)]))]
            replay(committee, heard, own.label[:count], n0=self.protocol.n0)
            return time.perf_counter() - began

        return learn


def settings() -> dict[str, dict[str, Any]]:
    """Parameters by the name of the row."""
    usual = BoostedTrees().get_params()
    rows: dict[str, dict[str, Any]] = {DEFAULT: {}}
    for name, values in (REPLAYED | PRETRAINED).items():
        rows |= {f"{name} {value:g}": {name: value} for value in values if value != usual[name]}
    return rows


def with_parameters(committee: Committee, parameters: dict[str, Any]) -> Committee:
    """The same trees, rehearsing otherwise."""
    members = [copy.copy(member).set_params(**parameters) for member in committee.members]
    return Committee(
        members,
        committee.classes_,
        scaler=committee.scaler_,
        member_kinds=committee.member_kinds,
        rehearsal=committee.rehearsal,
    )


def committees(study: Study, listener: Any, repeat: int) -> dict[str, Committee]:
    """One of each setting; those that differ in the replay alone share the trees of pre-training."""
    split = study.splits.of(listener, repeat)
    usual = study.trained(split, listener, {})
    return {
        name: with_parameters(usual, given) if set(given) <= set(REPLAYED) else study.trained(split, listener, given)
        for name, given in settings().items()
    }


def table(scores: dict[str, NDArray[np.float64]], seconds: NDArray[np.float64]) -> str:
    """Markdown of scores ``(n_listeners, 2)``, before and after, of each setting."""
    tests = {test.a: test for test in paired_tests({k: v[:, 1] for k, v in scores.items()}, against=DEFAULT)}
    lines = [
        "| setting | F1 before | F1 after | gain | after, minus the default's | p | ms an answer |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, found), least in zip(scores.items(), seconds, strict=True):
        (before, after), gain, test = found.mean(axis=0), bootstrap_interval(found[:, 1] - found[:, 0]), tests.get(name)
        against = f"{test.difference} | {test.p_permutation:.2f}" if test else "– | –"
        lines.append(f"| {name} | {before:.3f} | {after:.3f} | {gain} | {against} | {1e3 * least:.1f} |")
    smallest = min(test.holm_permutation for test in tests.values())
    lines += ["", f"Smallest p of the {len(tests)} comparisons, Holm-adjusted: {smallest:.2f}"]
    return "\n".join(lines).replace("-0.", "−0.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of TROMPA-MER")
    parser.add_argument(
        "--crowd", action="store_true", help="pre-train on the other listeners' majority, split by split"
    )
    parser.add_argument("--repeats", type=int, default=3, help="splits of each listener")
    parser.add_argument("--listeners", type=int, help="the first so many listeners only")
    parser.add_argument("--seed", type=int, default=0, help="master seed")
    options = parser.parse_args()
    set_threads(1)
    protocol = Protocol(
        kinds=("xgb",), strategies=("rand",), updates=("replay",), repeats=options.repeats, seed=options.seed
    )
    dataset = trompa.load(options.data)
    votes = dataset.annotations.subset(dataset.annotations.label >= 0).newest()
    able = votes.listeners(min_tracks=protocol.min_tracks).tolist()[: options.listeners]
    label, weak = np.full(dataset.pool.n_tracks, -1, dtype=np.int64), weak_tracks(dataset)
    assert weak is not None and dataset.weak_label is not None  # TROMPA-MER has them
    label[weak] = dataset.weak_label[weak]
    study = Study(dataset, votes, protocol, Splits(protocol.seed, protocol.test_share), options.crowd, label)

    scores = {name: np.zeros((len(able), 2)) for name in settings()}
    ready: dict[str, Committee] = {}
    for i, listener in enumerate(able):
        for repeat in range(protocol.repeats):
            study.splits.draw(listener, repeat, votes.of(listener).track_id)
            if study.crowd or not ready:
                ready = committees(study, listener, repeat)
            asked = None
            for name, committee in ready.items():
                before, after, queries = study.unit(committee, listener, repeat)
                scores[name][i] += np.array([before, after]) / protocol.repeats
                if queries != (asked := asked or queries):
                    raise SystemExit(f"{name}: other questions were asked than under the default")
        print(f"{i + 1} of {len(able)} listeners", file=sys.stderr, flush=True)
    # turn by turn, so that whatever else the machine does meets every setting; the least of each counts
    timers = [study.answer(committee, able[-1]) for committee in ready.values()]
    seconds = np.array([[learn() for learn in timers] for _ in range(30)]).min(axis=0)
    source = "the other listeners' majority" if study.crowd else "the catalogue's quadrants"
    n_answers = protocol.rounds * protocol.queries
    print(f"{len(able)} listeners, {protocol.repeats} splits each, {n_answers} answers; pre-trained on {source}\n")
    print(table(scores, seconds))


if __name__ == "__main__":
    main()
