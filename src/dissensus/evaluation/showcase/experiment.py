"""The demo's experiment: made-up listeners whom the committee never met answer a handful of questions each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dissensus._threads import run_blocks
from dissensus._validate import check_count
from dissensus.catalog import embed_clips
from dissensus.catalog.embed import embedding_fingerprint
from dissensus.committee import Committee, shipped_cnn
from dissensus.datasets.synthetic import Music, Panel, SyntheticDataset, make
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import Interval, bootstrap_interval
from dissensus.evaluation.scores import track_scores
from dissensus.evaluation.splits import Split, Splits, child_seed
from dissensus.evaluation.studies.cnn import check_unheard
from dissensus.features import IS13_NAMES, Pool, is13
from dissensus.personalisation import CommitteeLearner, JointLearner, Session
from dissensus.strategies.consensus import leave_listener_out
from dissensus.strategies.strategy import CONTROL, strategy_named

__all__ = ["Asked", "Showcase", "ShowcaseSettings", "Team", "run_showcase"]

#: Strategies that are run side by side, from the same start on the same tracks.
ARMS: Final = ("mc", CONTROL)

#: Committees that are run side by side: classifiers of the 260 emotion features, heads of the CNN that comes along, and the
#: members of both as one committee.
TEAMS: Final = {"classic": ("classic",), "cnn": ("cnn",), "both": ("classic", "cnn")}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ShowcaseSettings:
    """What the demo does.

    Parameters
    ----------
    n_listeners : int
        Listeners who are asked, at least 2: intervals are over them.
    rounds, queries : int
        Rounds, and tracks asked in each.
    n_clips : int
        Clips of music; 60 % are rated, the others pre-train the committee.
    duration_s : float
        Length of a clip, s; the CNN hears every 3.69 s that fit into it.
    rho : float
        How personally the made-up listeners hear (see :class:`~dissensus.datasets.synthetic.Panel`).
    n0 : float
        What the memory of everybody weighs, in answers.
    seed : int
        Seed of all that is drawn. Not the one that made the music which the CNN was trained on.
    """

    n_listeners: int = 12
    rounds: int = 10
    queries: int = 4
    n_clips: int = 300
    duration_s: float = 7.5
    rho: float = 0.8
    n0: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.n_listeners, "n_listeners", minimum=2)
        check_count(self.rounds, "rounds")
        check_count(self.queries, "queries")
        check_count(self.n_clips, "n_clips")
        check_count(self.seed, "seed", minimum=0)
        if self.rounds * self.queries > self.per_listener - self.held_out:
            raise ParameterError(
                f"{self.rounds} rounds of {self.queries} are more than the {self.per_listener - self.held_out} clips that a "
                f"listener can be asked about; ask less, or make more clips than {self.n_clips}"
            )

    @property
    def per_listener(self) -> int:
        """Clips that each listener rated."""
        return int(0.3 * self.n_clips)

    @property
    def held_out(self) -> int:
        """Clips of each listener that are kept for scoring."""
        return self.per_listener - max(int(self.per_listener * (1.0 - TEST_SHARE)), 1)


TEST_SHARE: Final = 0.4


@dataclass(frozen=True)
class Asked:
    """One question to the listener who is shown in full."""

    round: int
    track_id: str
    utility: float
    reason: str
    thought: str
    answer: str


@dataclass(frozen=True, eq=False)
class Team:
    """A committee and the pool whose features it reads."""

    committee: Committee
    pool: Pool


@dataclass(frozen=True, eq=False)
class Showcase:
    """What came out.

    Attributes
    ----------
    settings : ShowcaseSettings
    data : SyntheticDataset
    teams : dict of str to Team
        ``"classic"`` and ``"cnn"``, pre-trained on the same clips, before anybody was asked.
    listeners : tuple of str
        The first one is shown in full; it is not picked by its result.
    f1 : dict of str to (n_listeners, rounds + 1) ndarray
        Weighted F1 of the classic committee on the held-out tracks before and after each round, by strategy.
    cnn_f1 : dict of str to (n_listeners, rounds + 1) ndarray
        The same of the CNN's heads.
    both_f1 : dict of str to (n_listeners, rounds + 1) ndarray
        The same of all these members as one committee.
    crowd : (n_listeners,) ndarray
        Weighted F1 of what others said about the held-out tracks, the listener's own votes left out.
    asked : tuple of Asked
        Questions of the classic committee to the first listener under machine consensus.
    """

    settings: ShowcaseSettings
    data: SyntheticDataset
    teams: dict[str, Team]
    listeners: tuple[str, ...]
    f1: dict[str, NDArray[np.float64]]
    cnn_f1: dict[str, NDArray[np.float64]]
    both_f1: dict[str, NDArray[np.float64]]
    crowd: NDArray[np.float64]
    asked: tuple[Asked, ...]

    @property
    def committee(self) -> Committee:
        """The classic committee, before anybody was asked."""
        return self.teams["classic"].committee

    @property
    def n_labels(self) -> NDArray[np.int64]:
        """Answers given at each column of ``f1``."""
        return np.arange(self.settings.rounds + 1) * self.settings.queries

    def intervals(self) -> dict[str, Interval]:
        """Means over listeners with their 95 % intervals; differences are paired."""
        values = {"crowd": self.crowd, "cnn end - end": self.cnn_f1["mc"][:, -1] - self.f1["mc"][:, -1]}
        for prefix, f1 in (("", self.f1), ("cnn ", self.cnn_f1), ("both ", self.both_f1)):
            machine, random = f1["mc"], f1["rand"]
            values |= {
                f"{prefix}start": machine[:, 0],
                f"{prefix}end": machine[:, -1],
                f"{prefix}gain": machine[:, -1] - machine[:, 0],
                f"{prefix}random end": random[:, -1],
                f"{prefix}end - random end": machine[:, -1] - random[:, -1],
                f"{prefix}end - crowd": machine[:, -1] - self.crowd,
            }
        return {name: bootstrap_interval(value) for name, value in values.items()}


def run_showcase(
    settings: ShowcaseSettings | None = None, *, n_threads: int = 1, progress: Progress | None = None
) -> Showcase:
    """Make music and listeners, pre-train on the music nobody rated, let each listener answer, score as it goes.

    Parameters
    ----------
    settings : ShowcaseSettings, optional
    n_threads : int
        Clips, then listeners, worked on at a time; the result does not depend on it.
    progress : callable, optional
        Called as ``progress(stage, done, total)``, possibly from several threads.

    Returns
    -------
    Showcase

    Raises
    ------
    ParameterError
        More questions than tracks, or a number outside its range.
    """
    settings = settings or ShowcaseSettings()
    say: Progress = progress or (lambda stage, done, total: None)
    data, pools = _music(settings, n_threads, say)
    teams = {name: Team(_pretrain(data, pools[name], settings, name, say), pools[name]) for name in pools}
    listeners = tuple(str(who) for who in data.annotations.listeners().tolist() if str(who).startswith("listener-"))
    splits = Splits(settings.seed, TEST_SHARE)
    own = [data.annotations.of(listener) for listener in listeners]
    split = [splits.draw(listener, 0, a.track_id) for listener, a in zip(listeners, own, strict=True)]
    answers = [dict(zip(a.track_id.tolist(), a.label.tolist(), strict=True)) for a in own]
    runs = [(who, team, arm) for who in range(len(listeners)) for team in TEAMS for arm in ARMS]
    f1 = {team: {arm: np.zeros((len(listeners), settings.rounds + 1)) for arm in ARMS} for team in TEAMS}
    asked: list[list[Asked]] = [[] for _ in runs]
    done: list[None] = []

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            who, team, arm = runs[i]
            f1[team][arm][who], asked[i] = _one(
                [teams[name] for name in TEAMS[team]],
                settings,
                listeners[who],
                split[who],
                answers[who],
                data.classes,
                arm,
            )
            done.append(None)
            say("listeners answer", len(done), len(runs))

    run_blocks(work, len(runs), n_threads=n_threads, block_size=1)
    crowd = np.array([_crowd_f1(data, who, s, a) for who, s, a in zip(listeners, split, answers, strict=True)])
    return Showcase(settings, data, teams, listeners, f1["classic"], f1["cnn"], f1["both"], crowd, tuple(asked[0]))


def _music(settings: ShowcaseSettings, n_threads: int, say: Progress) -> tuple[SyntheticDataset, dict[str, Pool]]:
    """Music and listeners; every clip is made once and heard twice, by the emotion features and by the CNN."""
    model = shipped_cnn(provider="cpu")
    check_unheard(model, settings.seed)
    data = make(
        settings.n_clips,
        settings.n_listeners,
        music=Music(duration_s=settings.duration_s),
        panel=Panel(tracks_per_listener=settings.per_listener, rho=settings.rho),
        features=None,
        seed=settings.seed,
    )
    ids = data.pool.track_ids
    windows: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(ids)
    embeddings = list(windows)
    made: list[None] = []

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            signal = data.clip(str(ids[i]))
            windows[i] = is13(signal, data.sr)
            embeddings[i] = embed_clips(model, [(ids[i], signal)]).pool.X
            made.append(None)
            say("making music", len(made), len(ids))

    run_blocks(work, len(ids), n_threads=n_threads, block_size=1)
    pools = {
        "classic": Pool(np.concatenate(windows), np.repeat(ids, [len(w) for w in windows]), feature_names=IS13_NAMES),
        "cnn": Pool(
            np.concatenate(embeddings),
            np.repeat(ids, [len(e) for e in embeddings]),
            fingerprint=embedding_fingerprint(model),
        ),
    }
    return replace(data, pool=pools["classic"]), pools


def _pretrain(data: SyntheticDataset, pool: Pool, settings: ShowcaseSettings, name: str, say: Progress) -> Committee:
    """A committee of the tracks that nobody rated, labelled with the quadrant they were made for."""
    assert data.weak_label is not None
    rated = set(data.annotations.track_id.tolist())
    rest = pool.subset([track for track in pool.track_ids.tolist() if track not in rated])
    label = np.array(data.classes)[data.weak_label[pool.index_of(rest.track_ids)]]
    kinds, n_folds = (("gnb", "sgd", "xgb"), 3) if name == "classic" else (("cnn",), 5)
    return Committee.pretrain(
        rest.X,
        label[rest.groups],
        rest.groups,
        kinds=kinds,
        classes=data.classes,
        n_folds=n_folds,
        random_state=settings.seed,
        feature_names=rest.feature_names,
        fingerprint=rest.fingerprint,
        progress=lambda done, total: say(f"pre-training, {name}", done, total),
    )


def _one(
    parts: list[Team],
    settings: ShowcaseSettings,
    listener: str,
    split: Split,
    answers: dict[str, int],
    classes: tuple[str, ...],
    strategy: str,
) -> tuple[NDArray[np.float64], list[Asked]]:
    """One listener under one strategy: F1 before and after each round, and what was asked."""
    pools = [part.pool.subset(split.pool) for part in parts]
    learners = [
        CommitteeLearner(part.committee, pool, n0=settings.n0, random_state=settings.seed)
        for part, pool in zip(parts, pools, strict=True)
    ]
    session = Session(
        None,
        pools[0],
        model=JointLearner(learners),
        strategy=strategy,
        balanced=strategy_named(strategy).balance is not False,
        listener=listener,
        budget=settings.rounds * settings.queries,
        random_state=child_seed(settings.seed, listener, "session"),
    )
    tests = [part.pool.subset(split.test) for part in parts]
    truth = np.array([answers[track] for track in tests[0].track_ids.tolist()])

    def score() -> float:
        assert isinstance(session.learner, JointLearner)
        proba = session.learner.predict_proba(tests).mean(axis=0)
        return float(track_scores(proba, truth)["f1_weighted"])

    scores, asked = [score()], []
    for number in range(settings.rounds):
        query = session.ask(settings.queries)
        thought = session.predict(query.track_ids).tolist()
        said = {track: classes[answers[track]] for track in query}
        for i, track in enumerate(query):
            asked.append(Asked(number + 1, track, float(query.utility[i]), query.reason[i], thought[i], said[track]))
        session.tell(said)
        scores.append(score())
    return np.array(scores), asked


def _crowd_f1(data: SyntheticDataset, listener: str, split: Split, answers: dict[str, int]) -> float:
    votes = data.annotations
    proba, _ = leave_listener_out(
        votes.listener_id,
        data.pool.index_of(votes.track_id),
        votes.label,
        listener,
        n_tracks=data.pool.n_tracks,
        n_classes=len(data.classes),
        prior=1.0,
    )
    truth = np.array([answers[track] for track in split.test])
    return float(track_scores(proba[data.pool.index_of(split.test)], truth)["f1_weighted"])
