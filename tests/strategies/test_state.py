"""The running mean, as users keep it."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.errors import ParameterError
from dissensus.strategies import ConsensusState, consensus_entropy, query_top

BACKENDS = ("auto", "numba", "reference")


def draw(rng: np.random.Generator, *shape: int, dtype: str = "f4") -> np.ndarray:
    p = rng.dirichlet(np.ones(shape[-1]) * 0.4, shape[:-1])
    if shape[-2]:
        p[..., rng.integers(shape[-2], size=1), 0] = rng.choice([np.nan, -1.0, 7.0, 0.0])
    return p.astype(dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["f4", "f8"]), weighted=st.booleans())
def test_any_history_ends_where_the_full_pass_does(backend: str, seed: int, dtype: str, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    m, n, c = int(rng.integers(1, 9)), int(rng.integers(0, 400)), int(rng.integers(2, 7))
    weight = rng.random(m) + 0.1 if weighted else None
    p = draw(rng, m, n, c, dtype=dtype)
    state = ConsensusState(p, member_weight=weight, backend=backend)
    for _ in range(6):
        step = rng.integers(4)
        if step == 0:
            new = draw(rng, m, int(rng.integers(0, 50)), c, dtype=dtype)
            np.testing.assert_array_equal(state.grow(new), np.arange(p.shape[1], p.shape[1] + new.shape[1]))
            p = np.concatenate([p, new], axis=1)
        elif step == 1 and p.shape[1]:
            gone = rng.integers(p.shape[1], size=rng.integers(0, 5))
            state.drop(gone)
            p = np.delete(p, gone, axis=1)
        else:
            member = int(rng.integers(m))
            p[member] = draw(rng, p.shape[1], c, dtype=dtype)
            state.update(member, p[member])
        assert state.n_tracks == p.shape[1]
    exclude = np.flatnonzero(rng.random(p.shape[1]) < 0.2)
    for measure in ("consensus_entropy", "margin"):
        top = state.query(12, measure=measure, exclude=exclude)
        full = query_top(p, 12, measure=measure, member_weight=weight, exclude=exclude, backend=backend)
        np.testing.assert_array_equal(top.index, full.index)
        np.testing.assert_array_equal(top.utility, full.utility)
        fresh = ConsensusState(p, member_weight=weight, backend=backend)
        np.testing.assert_array_equal(state.utility(measure=measure), fresh.utility(measure=measure))
    np.testing.assert_allclose(
        state.utility(), consensus_entropy(p, member_weight=weight, backend="reference"), atol=1e-5
    )


def test_threads_change_no_bit() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), (5, 150_001)).astype("f4")
    new = rng.dirichlet(np.ones(4), 150_001).astype("f4")
    states = [ConsensusState(p) for _ in range(3)]
    for n_threads, state in enumerate(states, 1):
        state.update(2, new, n_threads=n_threads)
    base, top = states[0].utility(), states[0].query(25)
    for n_threads, state in enumerate(states, 1):
        np.testing.assert_array_equal(state.utility(n_threads=n_threads), base)
        np.testing.assert_array_equal(state.query(25, n_threads=n_threads).index, top.index)


def test_a_thousand_updates_do_not_drift() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(4), (3, 200)).astype("f4")
    state = ConsensusState(p)
    for _ in range(1000):
        member = int(rng.integers(3))
        state.update(member, rng.dirichlet(np.ones(4), 200).astype("f4"))
    for member in range(3):
        state.update(member, p[member])
    np.testing.assert_array_equal(state.utility(), ConsensusState(p).utility())


def test_queries_beside_updates_see_a_whole_state() -> None:
    rng = np.random.default_rng(2)
    sure, unsure = np.eye(4, dtype="f4")[rng.integers(4, size=60_000)], np.full((60_000, 4), 0.25, "f4")
    state = ConsensusState(np.stack([unsure, unsure]))
    expected = {}
    for name, rows in (("sure", sure), ("unsure", unsure)):
        for member in (0, 1):
            state.update(member, rows)
        expected[name] = state.utility()
    state.update(0, unsure)
    # from here on only member 1 changes: a query sees it as one or the other, never half
    mixed = {}
    for name, rows in (("sure", sure), ("unsure", unsure)):
        state.update(1, rows)
        mixed[name] = state.utility().tobytes()
    assert len({*mixed.values()}) == 2
    stop, seen, errors = threading.Event(), [], []

    def ask() -> None:
        try:
            while not stop.is_set():
                seen.append(state.utility().tobytes() in mixed.values())
                state.query(5)
        except Exception as error:  # reported by the test
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        state.update(1, sure if turn % 2 else unsure)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert seen
    assert all(seen)


def test_the_state_keeps_its_own_copy() -> None:
    p = np.full((2, 3, 4), 0.25, "f4")
    state = ConsensusState(p)
    p[:] = np.eye(4, dtype="f4")[:3]
    np.testing.assert_allclose(state.utility(), np.log(4), atol=1e-6)


def test_memory_is_as_stated() -> None:
    state = ConsensusState(np.full((20, 1000, 4), 0.25, "f4"))
    assert state.nbytes == 1000 * (20 * 4 * 4 + 4 * 4 + 2) + 4 * 8
    state.grow(np.full((20, 1, 4), 0.25, "f4"))
    assert state.nbytes <= 1.126 * 1001 * (20 * 4 * 4 + 4 * 4 + 2) + 5 * 8


def test_memory_a_million_tracks_is_what_the_docstring_says() -> None:
    """16 MB for the mean, 2 MB for flags, 31 kB for ceilings, 16 MB a member: 338 MB for twenty. Nothing else is held."""
    n, per_million = 100_000, 10
    text = " ".join((ConsensusState.__doc__ or "").split())
    assert "Memory per million tracks of 4 classes: 16 MB for the mean, 2 MB for flags, 31 kB for what blocks" in text
    assert "rows, 16 MB each in float32 (338 MB for twenty members)" in text
    p = np.full((20, n, 4), 0.25, "f4")
    ConsensusState(p[:, :10])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        state = ConsensusState(p)
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.reset_peak()
        state.update(3, p[0])
        state.query(10)
        passing = tracemalloc.get_traced_memory()[1] - before - held
    finally:
        tracemalloc.stop()
    assert held * per_million == pytest.approx(338e6, rel=1e-3)
    assert state.nbytes == pytest.approx(held, rel=1e-3)
    assert passing < n / 8
    without = {name: getattr(state, f"_{name}").nbytes * per_million for name in ("total", "odd", "ceiling")}
    assert without["total"] == 16e6
    assert without["odd"] == 2e6
    assert without["ceiling"] == pytest.approx(31e3, rel=0.02)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "?"])
def test_what_is_told_takes_the_type_of_the_state(dtype: str) -> None:
    rng = np.random.default_rng(4)
    start = rng.dirichlet(np.ones(4), (3, 50)).astype("f4")
    rows = (np.eye(4)[rng.integers(4, size=(3, 50))]).astype(dtype)
    state, same = ConsensusState(start), ConsensusState(start)
    state.update(1, rows[1])
    same.update(1, rows[1].astype("f4"))
    state.grow(rows)
    same.grow(rows.astype("f4"))
    np.testing.assert_array_equal(state.utility(), same.utility())
    np.testing.assert_array_equal(state.query(9).utility, same.query(9).utility)
    with pytest.raises(ParameterError, match="real numbers"):
        state.update(1, rows[1].astype(str))


def test_an_update_interrupted_while_it_waits_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ConsensusState(np.full((2, 3, 4), 0.25, "f4"))

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with state._lock.reading():
        monkeypatch.setattr(state._lock._change, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            state.update(0, np.eye(4, dtype="f4")[:3])
        monkeypatch.undo()
    later = threading.Thread(target=state.query, args=(1,), daemon=True)
    later.start()
    later.join(timeout=30)
    assert not later.is_alive()


def test_memory_that_runs_out_leaves_the_state_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.random.default_rng(5).dirichlet(np.ones(4), (3, 600)).astype("f4")
    state = ConsensusState(p)
    before = state.utility()

    def none_left(*_: object, **__: object) -> None:
        raise MemoryError

    for name, call in (("ascontiguousarray", lambda: state.drop([0])), ("zeros", lambda: state.grow(p))):
        with monkeypatch.context() as patch:
            patch.setattr(np, name, none_left)
            with pytest.raises(MemoryError):
                call()
        np.testing.assert_array_equal(state.utility(), before)
        np.testing.assert_array_equal(state.query(9).index, ConsensusState(p).query(9).index)


def test_what_cannot_be_is_refused_and_the_state_is_as_before() -> None:
    p = np.random.default_rng(3).dirichlet(np.ones(4), (3, 20))
    state = ConsensusState(p)
    before = state.utility()
    for call, says in (
        (lambda: state.update(3, p[0]), r"members 0\.\.2"),
        (lambda: state.update(-1, p[0]), "member=-1"),
        (lambda: state.update(0, p[0, :5]), r"\(20, 4\)"),
        (lambda: state.grow(p[:2]), r"\(3, n_new, 4\)"),
        (lambda: state.drop([20]), r"0\.\.19"),
        (lambda: state.query(2, measure="mean_kl"), "consensus_entropy and margin"),
        (lambda: state.query(-2), "k=-2"),
        (lambda: ConsensusState(p[0]), "got shape"),
    ):
        with pytest.raises(ParameterError, match=says):
            call()
    np.testing.assert_array_equal(state.utility(), before)
    assert (state.n_members, state.n_tracks, state.n_classes) == (3, 20, 4)
