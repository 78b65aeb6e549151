"""Log-mel frames, every twin: what goes through double precision, and what a frame must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from awkward_signals import patchy

from dissensus._backend import resolve
from dissensus.features.mel import MelPlan, _tables

Twin = Callable[[str], Callable[..., Any]]


def frames(kernel: Callable[..., Any], plan: MelPlan, y: np.ndarray, first: int, n: int) -> np.ndarray:
    """``n`` frames from frame ``first`` on, without padding."""
    out = np.full((n, plan.n_mels), -7.0, dtype=np.float32)
    kernel(y, first * plan.hop_length, plan.hop_length, *_tables(plan), out)
    return out


@pytest.mark.compiled
@pytest.mark.parametrize("n_fft", [256, 512, 1024])
def test_a_frame_does_not_depend_on_the_frames_it_is_computed_with(twin: Twin, n_fft: int) -> None:
    """Where a block ends, the list of frames that go through double precision has gaps and is filled with its last one."""
    kernel, slow = twin("log_mel_frames"), resolve("log_mel_frames", "reference")
    plan = MelPlan(n_fft=n_fft, hop_length=n_fft // 2, n_mels=n_fft // 4)
    rng = np.random.default_rng(0)
    for seed in range(6):
        y = patchy(n_fft * 60, seed, n_fft)
        n = len(y) // plan.hop_length - 1
        alone = np.concatenate([frames(kernel, plan, y, t, 1) for t in range(n)])
        want = frames(slow, plan, y, 0, n)
        loud = want > -80.0
        np.testing.assert_allclose(alone[loud], want[loud], atol=2e-3)
        for start, length in [(0, n), *zip(rng.integers(0, n, 100), rng.integers(1, 90, 100), strict=True)]:
            block = frames(kernel, plan, y, start, min(length, n - start))
            np.testing.assert_array_equal(block, alone[start : start + length])
