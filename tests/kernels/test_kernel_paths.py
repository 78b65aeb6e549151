"""What is rare in a kernel is met by a test: each special path of the compiled kernels is taken, and gives the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from anchored_problem import Problem
from awkward_signals import patchy

from dissensus import _backend
from dissensus.features.mel import MelPlan
from dissensus.strategies import ConsensusState, query_top, query_votes, vote_entropy

native = _backend._native()
BACKENDS = ("reference", "native")
pytestmark = pytest.mark.skipif(native is None, reason="dissensus was installed without its compiled module")


@pytest.fixture(params=["baseline", "avx2", "avx512"], autouse=True)
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Count from zero, in one instruction set."""
    assert native is not None
    monkeypatch.setenv("DISSENSUS_CAPS", request.param)
    native.refresh_instruction_set()
    if native.instruction_set() != request.param:
        monkeypatch.undo()
        native.refresh_instruction_set()
        pytest.skip(f"this machine has no {request.param}")
    native.forget_paths()
    yield
    monkeypatch.undo()
    native.refresh_instruction_set()


def taken(path: str) -> int:
    assert native is not None
    return int(native.paths_taken()[path])


def awkward_proba(n: int, seed: int) -> np.ndarray:
    """(4 members, n tracks, 4 classes): certain ones, doubtful ones, repeated and constant rows, one class in a thousand."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(4, 0.05), size=(4, n))
    proba[:, ::7] = 0.25
    proba[:, 3::11] = proba[:, 3:4]
    proba[:, 5::13] = [0.0, 0.0, 1.0, 0.0]
    proba[:, n // 2 :] = rng.dirichlet([1e-3, 30, 1e-3, 1e-3], size=(4, n - n // 2))
    return proba.astype(np.float32)


def same_top(got: Any, want: Any) -> None:
    np.testing.assert_array_equal(got.index, want.index)
    np.testing.assert_allclose(got.utility, want.utility, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [15, 16, 17, 255, 257, 1023, 1025, 5000])
def test_tiles_that_nobody_of_can_be_best_are_left_out_and_ties_scored_again(n: int) -> None:
    proba = awkward_proba(n, n)
    for measure in ("consensus_entropy", "margin"):
        got, want = (query_top(proba, min(n, 10), measure=measure, backend=b) for b in ("native", "reference"))
        same_top(got, want)
    assert taken("query_tracks_again") >= min(n, 10)
    if n >= 1023:
        assert taken("query_tiles_left_out") > 0


def test_blocks_of_a_state_under_its_best_are_left_out() -> None:
    proba = awkward_proba(5000, 3)
    states = [ConsensusState(proba, backend=backend) for backend in ("native", "reference")]
    for member in (2, 0):
        fresh = awkward_proba(5000, 4 + member)[member]
        for state in states:
            state.update(member, fresh)
        same_top(*(state.query(10) for state in states))
    assert taken("state_blocks_left_out") > 0
    assert taken("state_tracks_again") >= 20


@pytest.mark.parametrize("n_classes", [4, 20])
def test_blocks_of_votes_without_anyone_above_the_best_are_left_out(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 3, (9, 20_000)).astype(np.uint8)  # nobody is as split as can be
    votes[:, 4000:] = votes[0, 4000:]  # all members agree
    votes[:, ::5] = votes[:, :1]
    got, want = (query_votes(votes, 10, n_classes=n_classes, backend=b) for b in ("native", "reference"))
    same_top(got, want)
    assert taken("votes_blocks_left_out") > 0
    assert taken("votes_tracks_again") >= 10


@pytest.mark.parametrize("n", [1, 63, 64, 65, 127, 129, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize(("n_members", "n_classes"), [(31, 8), (32, 8), (31, 9), (3, 255), (300, 2)])
def test_votes_that_are_alike_repeated_or_rare(n: int, n_members: int, n_classes: int) -> None:
    """The table in registers holds 31 members and 8 classes; the counters hold 64 to 1024 tracks at once."""
    rng = np.random.default_rng((n, n_members))
    votes = np.where(rng.random((n_members, n)) < 0.01, rng.integers(0, n_classes, (n_members, n)), 0).astype(np.uint8)
    votes[:, 1::7] = n_classes - 1
    votes[:, 2::5] = votes[:, 2:3]
    votes[:, 3::5] = rng.integers(0, n_classes, (n_members, 1))
    votes[:, -1] = np.arange(n_members) % n_classes  # as split as can be, and last
    for k in (1, min(n, 7)):
        got, want = (query_votes(votes, k, n_classes=n_classes, backend=b) for b in ("native", "reference"))
        same_top(got, want)
    whole = [vote_entropy(votes, n_classes=n_classes, backend=b) for b in ("native", "reference")]
    np.testing.assert_allclose(*whole, rtol=0, atol=1e-6)
    assert taken("votes_tracks_again") >= 1 + min(n, 7)


@pytest.mark.parametrize("kind", ["constant", "repeated", "heavy"])
@pytest.mark.parametrize(
    ("n_known", "n_told", "n_models", "n_classes"),
    [
        (0, 31, 4, 4),
        (31, 33, 5, 5),
        (33, 127, 6, 3),
        (127, 1, 7, 7),
        (128, 128, 31, 31),
        (129, 257, 33, 3),
        (257, 129, 12, 4),
    ],
)
def test_descents_over_rows_that_are_alike_repeated_or_far_out(
    kind: str, n_known: int, n_told: int, n_models: int, n_classes: int
) -> None:
    """Panels hold 32 rows, runs 128, and five or six models are worked on at once, 32 in all."""
    problem = Problem(n_known, n_told, n_models, n_classes, kind=kind)
    (expected, _), (move, steps) = (problem.solve(_backend.resolve("anchored_descent", b)) for b in BACKENDS)
    assert steps < 300
    np.testing.assert_allclose(problem.probabilities(move), problem.probabilities(expected), atol=1e-4)


@pytest.mark.parametrize("scale", [0.03, 6.0])
def test_steps_that_lead_past_the_valley_are_shortened(scale: float) -> None:
    """Of undecided models, whose curvature is twice what is guessed at first, and of models that are sure and wrong."""
    problem = Problem(0, 40, 4, 4, scale=scale)
    (expected, _), (move, _) = (problem.solve(_backend.resolve("anchored_descent", b)) for b in BACKENDS)
    np.testing.assert_allclose(problem.probabilities(move), problem.probabilities(expected), atol=1e-4)
    assert taken("descent_steps_shortened") > 0


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**120])
def test_features_beyond_float32_factors_are_scaled_in_double(scale: float) -> None:
    from dissensus import Committee

    rng = np.random.default_rng(0)
    track = np.repeat(np.arange(40), 3)
    X = rng.normal(size=(120, 3)) + np.stack([track % 4, track % 2, track % 3], 1)
    plain, odd = (Committee.pretrain(X * by, track % 4, track, kinds=("gnb", "sgd"), n_folds=2) for by in (1.0, scale))
    want = plain.predict_proba(X, track)
    assert taken("members_scaled_in_double") == 0
    np.testing.assert_allclose(odd.predict_proba(X * scale, track), want, atol=2e-5)
    assert taken("members_scaled_in_double") > 0


def test_halves_are_shared_and_worked_out_apart() -> None:
    for plan in (MelPlan(), MelPlan(hop_length=200)):
        y = patchy(512 * 40, 1)
        np.testing.assert_allclose(plan(y, backend="native"), plan(y, backend="reference"), rtol=0, atol=3e-4)
    assert taken("mel_halves_shared") > 0
    assert taken("mel_halves_apart") > 0
