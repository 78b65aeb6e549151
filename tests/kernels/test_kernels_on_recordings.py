"""Every kernel of the front end on 400 recorded minutes: each backend and instruction set against float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dissensus import _backend
from dissensus.features import is13_descriptors, load_audio
from dissensus.features.mel import MelPlan
from dissensus.features.summary import SUMMARY_NAMES, summary

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.compiled]
SR = 16000
PLANS = [
    MelPlan(),
    MelPlan(n_fft=256, hop_length=128, n_mels=40),
    MelPlan(n_fft=1024, n_mels=96, htk=False, norm="slaney"),
]


@pytest.fixture(scope="module")
def tracks(research_data: Path) -> list[Path]:
    found = sorted((research_data / "emotify" / "audio").glob("*.ogg"))
    assert len(found) == 400
    return found


def twins(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Backends that are not the reference, the compiled one in each instruction set of this machine."""
    yield "numba", "numba"
    native = _backend._native()
    if native is not None:
        for isa in ("baseline", "avx2", "avx512"):
            monkeypatch.setenv("DISSENSUS_CAPS", isa)
            native.refresh_instruction_set()
            if native.instruction_set() == isa:
                yield "native", isa
        monkeypatch.delenv("DISSENSUS_CAPS")
        native.refresh_instruction_set()


def test_log_mel_of_every_track_is_within_the_stated_bound(tracks: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of each track with the default plan, ten seconds of it with two others."""
    for number, path in enumerate(tracks):
        y = load_audio(path)
        assert len(y) > 10 * SR
        for plan in PLANS[: 1 if number % 5 else 3]:
            part = y if plan is PLANS[0] else y[: 10 * SR]
            want = plan(part, backend="reference")
            for backend, isa in twins(monkeypatch):
                error = np.abs(plan(part, backend=backend) - want).max()
                assert error < 1e-4, (path.name, plan.n_fft, isa, error)


def test_summary_features_of_every_track_are_the_references(tracks: list[Path]) -> None:
    """Twenty seconds of each, from its first sample on every second time; in near-silence two strongest bins may tie."""
    decided = np.array([name.startswith("pitch") for name in SUMMARY_NAMES])
    pitches: list[np.ndarray] = []
    for number, path in enumerate(tracks):
        y = load_audio(path, start_s=17.0 * (number % 2), duration_s=20.0)
        slow, fast = summary(y, SR, backend="reference"), summary(y, SR, backend="numba")
        np.testing.assert_allclose(fast[:, ~decided], slow[:, ~decided], rtol=1e-3, atol=2e-3, err_msg=path.name)
        pitches.append(np.isclose(fast[:, decided], slow[:, decided], rtol=1e-3, atol=2e-3))
    assert np.concatenate(pitches).mean() > 0.999


def test_descriptors_of_every_track_are_the_references(tracks: list[Path]) -> None:
    """A second of each, from its first sample on every second time; where two peaks tie a decision may fall otherwise."""
    close, spectral = [], []
    for number, path in enumerate(tracks):
        y = load_audio(path, start_s=7.0 * (number % 2), duration_s=1.0)
        slow, fast = is13_descriptors(y, SR, backend="reference"), is13_descriptors(y, SR, backend="numba")
        assert np.isfinite(fast).all()
        right = np.abs(fast - slow) <= 1e-4 * (np.abs(slow).max(0) + 1e-12)
        close.append(right.mean(0))
        spectral.append(right[:, 6:65].mean())
    assert np.mean(close, axis=0).min() > 0.98
    assert np.mean(spectral) > 0.9999
