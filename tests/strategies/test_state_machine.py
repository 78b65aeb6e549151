"""A running mean through any history of changes and questions, beside arrays that are simply concatenated and cut.

Whatever was done before, in whatever order and from however many threads, the state answers as a full pass over the
predictions it should hold does, to the last bit.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dissensus.errors import ParameterError
from dissensus.strategies import ConsensusState, query_top

MEASURES = ("consensus_entropy", "margin")
BACKENDS = ("auto", "numba", "reference")
ODD = (np.nan, np.inf, -1.0, 7.0, 0.0, -0.0, 1e-42)
seeds = st.integers(0, 2**32 - 1)
threads = st.sampled_from([1, 2, 3])


class History(RuleBasedStateMachine):
    """The state, and the predictions it should hold."""

    backend = "auto"

    @initialize(
        seed=seeds,
        members=st.integers(1, 12),
        tracks=st.sampled_from([1000, 1500, 700, 257, 256, 30, 1, 0]),
        classes=st.integers(2, 9),
        dtype=st.sampled_from(["f4", "f8"]),
        weighted=st.booleans(),
    )
    def start(self, seed: int, members: int, tracks: int, classes: int, dtype: str, weighted: bool) -> None:
        self.classes, self.dtype = classes, dtype
        rng = np.random.default_rng(seed)
        self.weight = rng.random(members) + 0.1 if weighted else None
        self.held = self.drawn(rng, members, tracks)
        self.state = ConsensusState(self.held, member_weight=self.weight, backend=self.backend)

    def drawn(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """Rows in runs of tracks that are sharp or flat, so that whole blocks are passed over; some equal, some odd."""
        run = rng.choice([0.02, 0.02, 0.1, 0.3, 1.0, 30.0], 1 + shape[-1] // 130)[np.arange(shape[-1]) // 130]
        rows = rng.standard_gamma(np.broadcast_to(run[:, None], (*shape, self.classes))) + 1e-9
        rows /= rows.sum(axis=-1, keepdims=True)
        if rng.random() < 0.3:
            rows = np.round(rows * 8) / 8 + 1e-9
        if rng.random() < 0.3:
            rows[rng.random(rows.shape) < 0.002] = rng.choice(ODD)
        return rows.astype(self.dtype)

    @rule(seed=seeds, n_threads=threads)
    def update(self, seed: int, n_threads: int) -> None:
        rng = np.random.default_rng(seed)
        member = int(rng.integers(len(self.held)))
        rows = self.drawn(rng, self.held.shape[1])
        self.state.update(member, rows, n_threads=n_threads)
        self.held = self.held.copy()
        self.held[member] = rows

    @rule(seed=seeds)
    def change_few_rows(self, seed: int) -> None:
        """What most updates are: nearly all rows as they were, the best ones gone or come."""
        rng = np.random.default_rng(seed)
        member = int(rng.integers(len(self.held)))
        self.held = self.held.copy()
        few = rng.random(self.held.shape[1]) < 0.01
        self.held[member, few] = self.drawn(rng, int(few.sum()))
        self.state.update(member, self.held[member])

    @rule(seed=seeds, n=st.sampled_from([300, 700, 1, 0]))
    def grow(self, seed: int, n: int) -> None:
        before = self.held.shape[1]
        rows = self.drawn(np.random.default_rng(seed), len(self.held), n)
        np.testing.assert_array_equal(self.state.grow(rows), np.arange(before, before + n))
        self.held = np.concatenate([self.held, rows], axis=1)

    @rule(seed=seeds, share=st.sampled_from([0.3, 0.5, 0.01, 0.0, 0.3, 1.0]), mask=st.booleans())
    def drop(self, seed: int, share: float, mask: bool) -> None:
        """Some here and there, or the oldest: what stays moves to other blocks."""
        rng = np.random.default_rng(seed)
        n = self.held.shape[1]
        gone = rng.random(n) < share if mask else np.arange(n) < share * n
        self.state.drop(gone if mask else np.flatnonzero(gone)[::-1])
        self.held = self.held[:, ~gone]

    @rule(seed=seeds)
    def what_is_refused_changes_nothing(self, seed: int) -> None:
        wrong = np.zeros((self.held.shape[1] + 1, self.classes), self.dtype)
        with pytest.raises(ParameterError):
            self.state.update(0, wrong)
        with pytest.raises(ParameterError):
            self.state.grow(self.held[:, :, :-1])
        with pytest.raises(ParameterError):
            self.state.drop([self.held.shape[1]])

    def full(self, k: int, measure: str, exclude: Any) -> Any:
        return query_top(
            self.held, k, measure=measure, member_weight=self.weight, exclude=exclude, backend=self.backend
        )

    @rule(
        seed=seeds,
        k=st.sampled_from([3, 1, 10, 300, 5000, 0]),
        measure=st.sampled_from(MEASURES),
        left_out=st.sampled_from([0.0, 0.0, 0.2, 1.0]),
        best_too=st.booleans(),
        n_threads=threads,
    )
    def query(self, seed: int, k: int, measure: str, left_out: float, best_too: bool, n_threads: int) -> None:
        exclude = np.random.default_rng(seed).random(self.held.shape[1]) < left_out
        if best_too:
            exclude[self.full(5, measure, None).index] = True
        expected = self.full(k, measure, exclude)
        got = self.state.query(k, measure=measure, exclude=exclude, n_threads=n_threads)
        np.testing.assert_array_equal(got.index, expected.index)
        np.testing.assert_array_equal(got.utility, expected.utility)
        assert len(got.index) == min(k, int((~exclude).sum()))

    @rule(measure=st.sampled_from(MEASURES), n_threads=threads)
    def utility(self, measure: str, n_threads: int) -> None:
        fresh = ConsensusState(self.held, member_weight=self.weight, backend=self.backend)
        np.testing.assert_array_equal(
            self.state.utility(measure=measure, n_threads=n_threads), fresh.utility(measure=measure)
        )

    @rule(seed=seeds)
    def queries_from_two_threads_while_a_third_updates(self, seed: int) -> None:
        """Each answer is that of the whole state before the update, or of the whole state after it."""
        rng = np.random.default_rng(seed)
        member = int(rng.integers(len(self.held)))
        rows = self.drawn(rng, self.held.shape[1])
        before = self.full(5, "consensus_entropy", None)
        with ThreadPoolExecutor(3) as host:
            asked = [host.submit(self.state.query, 5, n_threads=1 + i % 2) for i in range(3)]
            changed = host.submit(self.state.update, member, rows)
            asked += [host.submit(self.state.query, 5, n_threads=1 + i % 2) for i in range(3)]
            answers = [one.result() for one in asked]
            changed.result()
        self.held = self.held.copy()
        self.held[member] = rows
        after = self.full(5, "consensus_entropy", None)
        allowed = {(top.index.tobytes(), top.utility.tobytes()) for top in (before, after)}
        assert all((top.index.tobytes(), top.utility.tobytes()) in allowed for top in answers)

    @precondition(lambda self: hasattr(self, "state"))
    @invariant()
    def the_best_are_the_full_passes(self) -> None:
        for measure in MEASURES:
            got, expected = self.state.query(3, measure=measure), self.full(3, measure, None)
            np.testing.assert_array_equal(got.index, expected.index)
            np.testing.assert_array_equal(got.utility, expected.utility)

    @precondition(lambda self: hasattr(self, "state"))
    @invariant()
    def it_says_what_it_holds(self) -> None:
        members, tracks, classes = self.held.shape
        assert (self.state.n_members, self.state.n_tracks, self.state.n_classes) == (members, tracks, classes)
        bytes_each = members * classes * self.held.itemsize + 4 * classes + 2
        blocks = -(-tracks // 256)
        assert tracks * bytes_each + 8 * blocks <= self.state.nbytes
        # room for growth: an eighth of the tracks there were when it last grew, which is the most it ever held
        self.most = max(getattr(self, "most", 0), tracks)
        assert self.state.nbytes <= (self.most * 9 // 8 + 1) * bytes_each + 8 * (self.most * 9 // 8 // 256 + 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_history(backend: str) -> None:
    machine = type("History", (History,), {"backend": backend})
    interpreted = backend == "numba" and os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    with warnings.catch_warnings():
        if interpreted:  # Numba's sources run as numpy scalars, in several threads, and those warn of NaN
            warnings.simplefilter("ignore", RuntimeWarning)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=5 if interpreted else 100,
                stateful_step_count=5 if interpreted else 25,
                phases=[Phase.generate] if interpreted else list(Phase),
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
