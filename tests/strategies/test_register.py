"""A strategy is one record: registered, it asks in a session, runs in an evaluation, and is drawn and described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from latent import QUICK, latent_dataset

from dissensus import Committee, Pool, Session
from dissensus.cli.evaluate import STRATEGIES_HELP
from dissensus.errors import ParameterError
from dissensus.evaluation.curves import read_columns
from dissensus.evaluation.outcome.published_tests import published_tests
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.report.learning_curves import learning_curves
from dissensus.evaluation.report.page import write_results_report
from dissensus.evaluation.run.grid import run_evaluation
from dissensus.strategies import (
    LineStyle,
    Opinions,
    Ranking,
    Strategy,
    mean_kl,
    register_strategy,
    registered_strategies,
    select,
    strict_argmax,
)
from dissensus.strategies.strategy import forget_strategy, published_strategies


def divided(opinions: Opinions) -> list[Ranking]:
    assert opinions.members is not None
    assert opinions.machine is not None
    return [Ranking(mean_kl(opinions.members), strict_argmax(opinions.machine))]


TOY = Strategy(
    name="kl",
    aliases=("divided",),
    label="mean divergence",
    description="tracks that the members are divided about",
    needs=frozenset({"members"}),
    rank=divided,
    why="members apart by {utility:.3f} nats",
    style=LineStyle((0, (1, 1)), "D", "0.15"),
)


@pytest.fixture
def toy() -> Iterator[Strategy]:
    yield register_strategy(TOY)
    forget_strategy("kl")


def test_a_session_asks_by_it(toy: Strategy) -> None:
    rng = np.random.default_rng(0)
    y = np.tile(["calm", "loud"], 40)
    X = rng.normal(size=(80, 2)) + 2.0 * (y == "loud")[:, None]
    committee = Committee.pretrain(X, y, np.arange(80), kinds=("gnb", "sgd"), n_folds=2)
    pool = Pool(rng.normal(size=(30, 2)) + 1.0, [f"track {i}" for i in range(30)])
    session = Session(committee, pool, strategy="divided")
    query = session.ask(3)
    utility = mean_kl(session.member_proba())
    assert query.strategy == "kl"
    assert set(pool.index_of(query)) == set(np.argsort(-utility)[:3])
    np.testing.assert_array_equal(query.utility, np.sort(utility)[::-1][:3])
    assert query.reason[0].startswith(f"members apart by {query.utility[0]:.3f} nats: committee ")


def test_an_evaluation_runs_it_and_the_figures_and_the_page_show_it(toy: Strategy, tmp_path: Path) -> None:
    protocol = Protocol(
        **{**QUICK.as_dict(), "kinds": ("gnb", "sgd"), "strategies": ("kl", "rand"), "repeats": 2, "null_repeats": 1}
    )
    run_evaluation(latent_dataset(), protocol, out=tmp_path, jobs=1)
    assert set(read_columns(tmp_path / "scores.parquet")["strategy"].tolist()) == {"kl", "rand"}
    drawn = learning_curves(read_columns(tmp_path / "scores.parquet"), protocol, tmp_path / "curves")
    assert TOY.label in drawn[1].read_text(encoding="utf-8")
    page = write_results_report(tmp_path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<b>kl</b>: {TOY.description}" in page
    assert TOY.label in page
    table = read_columns(tmp_path / "scores.parquet")
    with pytest.raises(ParameterError, match="no two strategies"):  # it was not among the published ones
        published_tests(table, update=protocol.updates[0], member="committee")


def test_unregistered_it_is_refused_everywhere_by_a_message_that_lists_the_others() -> None:
    rng = np.random.default_rng(0)
    pool = Pool(rng.normal(size=(4, 2)), list("abcd"))
    committee = Committee.cold_start(["calm", "loud"], 2, kinds=("gnb",))
    for call in (
        lambda: select("kl", 1, members=np.full((2, 3, 2), 0.5)),
        lambda: Session(committee, pool, strategy="kl"),
    ):
        with pytest.raises(ParameterError, match="'kl'; choose one of 'mc'"):
            call()
    with pytest.raises(ParameterError, match="'kl' is not one of mc, hc"):
        Protocol(strategies=("kl",))


def test_a_name_is_given_once(toy: Strategy) -> None:
    for name in ("kl", "divided", "mc", "machine"):
        with pytest.raises(ParameterError, match="already"):
            register_strategy(Strategy(name, "x", "x", frozenset({"machine"}), divided, "x"))
    with pytest.raises(ParameterError, match="give it a name and needs among"):
        Strategy("new", "x", "x", frozenset({"labels"}), divided, "x")


def test_a_ranking_must_fit_the_tracks_and_have_what_it_needs(toy: Strategy) -> None:
    with pytest.raises(ParameterError, match="needs members"):
        select("kl", 1, machine=np.full((3, 2), 0.5))
    with pytest.raises(ParameterError, match="members is .3, 2., machine is .4, 2."):
        select("kl", 1, members=np.full((2, 3, 2), 0.5), machine=np.full((4, 2), 0.5))
    short = register_strategy(
        Strategy(
            "short",
            "x",
            "x",
            frozenset({"machine"}),
            lambda o: [Ranking(np.zeros(1, np.float32), np.zeros(1, np.int64))],
            "x",
        )
    )
    try:
        with pytest.raises(ParameterError, match="'short' must rank each of the 3 tracks"):
            select("short", 1, machine=np.full((3, 2), 0.5))
    finally:
        forget_strategy(short.name)


def test_the_published_strategies_and_the_help_come_from_the_records() -> None:
    assert published_strategies() == ("hc", "mix", "mc", "rand")
    assert Protocol().strategies == ("mc", "hc", "mix", "rand")
    for strategy in registered_strategies():
        assert f"{strategy.name}: {strategy.description}" in STRATEGIES_HELP
