"""One listener's session over shared pools: ask, tell, begin, come back, and what a listener adds.

Ten linear members (five naive Bayes, five logistic), one thread. The peer is a session as it was at 0.1.0 where that can still be
done in a line: every member asked about every track of the pool, the mean's entropies sorted. Run with one BLAS thread:

    OPENBLAS_NUM_THREADS=1 pytest benchmarks/test_bench_session.py --benchmark-enable --benchmark-group-by=group
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dissensus import Committee, Pool, Session, set_threads
from dissensus.personalisation import CommitteeLearner, SessionKeeper, SessionState
from dissensus.strategies import consensus_entropy

SHAPES = [(2_000, 10, 64), (100_000, 10, 64), (1_000_000, 1, 64)]
CLASSES = np.array(["Q1", "Q2", "Q3", "Q4"])


def made(shape: tuple[int, int, int]) -> SimpleNamespace:
    n_tracks, n_windows, n_features = shape
    set_threads(1)
    rng = np.random.default_rng(0)
    y = np.repeat(CLASSES, 60)
    known = rng.normal(size=(240, n_features)).astype(np.float32)
    known[:, :4] += y[:, None] == CLASSES
    committee = Committee.pretrain(known, y, np.arange(240), kinds=("gnb", "sgd"), n_folds=5)
    X = rng.normal(size=(n_tracks * n_windows, n_features)).astype(np.float32)
    pool = Pool(X, np.repeat(np.arange(n_tracks), n_windows))
    shared = CommitteeLearner(committee, pool)
    return SimpleNamespace(
        committee=committee, pool=pool, shared=shared, rng=rng, name=f"{n_tracks}x{n_windows}x{n_features}"
    )


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def place(request: pytest.FixtureRequest) -> SimpleNamespace:
    return made(request.param)


def begun(place: SimpleNamespace, who: Any = None, **more: Any) -> Session:
    return Session(None, place.pool, model=place.shared, listener=who, **more)


def answered(place: SimpleNamespace, query: Any) -> dict[Any, str]:
    return {track: str(CLASSES[place.rng.integers(4)]) for track in query}


@pytest.mark.parametrize("who", ["dissensus", "every member, every track"])
def test_ask_after_a_tell(benchmark: Any, place: SimpleNamespace, who: str) -> None:
    benchmark.group = f"ask(10) after a tell, ten linear members|{place.name}"
    session = begun(place)

    def tell() -> None:
        session.tell(answered(place, session.ask(10)))

    def by_hand() -> Any:
        utility = consensus_entropy(session.committee.predict_proba(place.pool.X, place.pool.groups))
        order = np.argsort(-utility, kind="stable")
        return [track for track in order[: 10 + session.n_answers].tolist() if track not in session.answers][:10]

    ask = (lambda: session.ask(10)) if who == "dissensus" else by_hand
    found = benchmark.pedantic(ask, setup=tell, rounds=8, warmup_rounds=1)
    assert len(set(found) & set(by_hand())) >= 9  # equally useful tracks may come in another order


def test_ask_again(benchmark: Any, place: SimpleNamespace) -> None:
    benchmark.group = f"ask(10) again, nothing told|{place.name}"
    session = begun(place)
    session.tell(answered(place, session.ask(10)))

    def skip() -> None:
        for track in session.ask(10):
            session.skip(track)

    query = benchmark.pedantic(lambda: session.ask(10), setup=skip, rounds=8, warmup_rounds=1)
    assert len(query) == 10


def test_back_from_sixty_answers(benchmark: Any, place: SimpleNamespace) -> None:
    benchmark.group = f"back from 60 answers + ask(10)|{place.name}"
    session = begun(place)
    for _ in range(6):
        session.tell(answered(place, session.ask(10)))
    text = session.state.to_json()

    def back() -> Any:
        return begun(place, state=SessionState.from_json(text)).ask(10)

    assert list(benchmark.pedantic(back, rounds=6, warmup_rounds=1)) == list(session.ask(10))
    benchmark.extra_info["kB_per_listener"] = round(session.nbytes / 1e3, 1)
    assert session.nbytes < 200_000


def test_begin(benchmark: Any, place: SimpleNamespace) -> None:
    benchmark.group = f"new session|{place.name}"
    place.shared.pool_proba()
    names = iter(range(10**6))
    session = benchmark.pedantic(lambda: begun(place, next(names)), rounds=20, warmup_rounds=1)
    assert session.n_answers == 0


def test_listeners_under_a_limit(benchmark: Any) -> None:
    """Zipf traffic of ask, tell and ask over a keeper, 1 000 tracks; the 99th percentiles are noted."""
    import time

    place = made((1_000, 10, 64))
    kept: dict[Any, SessionState] = {}
    source = SimpleNamespace(load=kept.get, save=kept.__setitem__)
    limit = 20 << 20
    keeper = SessionKeeper(source, lambda who, state: begun(place, who, state=state), limit_bytes=limit)
    traffic = iter((np.random.default_rng(0).zipf(1.3, 50_000) % 2_000).tolist())
    warm, cold = [], []

    def step() -> None:
        who, before = next(traffic), keeper.stats.misses
        start = time.perf_counter()
        with keeper.session(who) as session:
            if session.finished is None:
                session.tell(answered(place, session.ask(3)))
                session.ask(3)
        (cold if keeper.stats.misses > before else warm).append(time.perf_counter() - start)
        assert keeper.stats.nbytes <= limit

    benchmark.group = "ask + tell + ask of many listeners, memory limited|1000x10x64"
    benchmark.pedantic(step, rounds=2_000, warmup_rounds=20)
    for name, times in (("p99_ms", warm), ("cold_p99_ms", cold)):
        benchmark.extra_info[name] = round(float(np.quantile(times, 0.99)) * 1e3, 2)
