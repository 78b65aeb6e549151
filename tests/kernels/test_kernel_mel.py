"""Log-mel frames, every twin against float64: awkward signals, and what a frame must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from awkward_signals import AWKWARD, awkward, patchy

from dissensus._backend import resolve
from dissensus.features.mel import MelPlan, _tables

Twin = Callable[[str], Callable[..., Any]]


#: What docs/explanation/log_mel.md states for every plan here, and a rounding of the reference's float32.
BOUND_DB = 3e-4
PLANS = [
    MelPlan(),
    MelPlan(n_fft=256, hop_length=100, n_mels=40),
    MelPlan(n_fft=1024, hop_length=512, n_mels=80, htk=False, norm="slaney"),
    MelPlan(n_fft=2048, win_length=1024, hop_length=512, power=1.0, pad_mode="constant"),
    MelPlan(n_fft=4096, hop_length=1024, n_mels=229, htk=False),
]


def frames(kernel: Callable[..., Any], plan: MelPlan, y: np.ndarray, first: int, n: int) -> np.ndarray:
    """``n`` frames from frame ``first`` on, without padding."""
    out = np.full((n, plan.n_mels), -7.0, dtype=np.float32)
    kernel(y, first * plan.hop_length, plan.hop_length, *_tables(plan), out)
    return out


@pytest.mark.compiled
@pytest.mark.parametrize("n_fft", [256, 512, 1024])
def test_a_frame_does_not_depend_on_the_frames_it_is_computed_with(twin: Twin, n_fft: int) -> None:
    """One by one, and in blocks of any length that begin anywhere."""
    kernel, slow = twin("log_mel_frames"), resolve("log_mel_frames", "reference")
    plan = MelPlan(n_fft=n_fft, hop_length=n_fft // 2, n_mels=n_fft // 4)
    rng = np.random.default_rng(0)
    for seed in range(6):
        y = patchy(n_fft * 60, seed, n_fft)
        n = len(y) // plan.hop_length - 1
        alone = np.concatenate([frames(kernel, plan, y, t, 1) for t in range(n)])
        want = frames(slow, plan, y, 0, n)
        np.testing.assert_allclose(alone, want, rtol=0, atol=BOUND_DB)
        for start, length in [(0, n), *zip(rng.integers(0, n, 100), rng.integers(1, 90, 100), strict=True)]:
            block = frames(kernel, plan, y, start, min(length, n - start))
            np.testing.assert_array_equal(block, alone[start : start + length])


@pytest.mark.compiled
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.n_fft}-{plan.hop_length}-{plan.power:g}")
def test_every_value_is_within_the_stated_bound_of_float64(twin: Twin, plan: MelPlan) -> None:
    """The frames at the ends, bands just above the floor and digital silence included; lengths around every block size."""
    kernel, slow = twin("log_mel_frames"), resolve("log_mel_frames", "reference")
    lengths = [1, 7, 8, 9, 15, 16, 17, 31, 33]
    for i, name in enumerate(AWKWARD):
        n = lengths[i % len(lengths)]
        y = np.pad(
            awkward(name, (n - 1) * plan.hop_length + 1, seed=i), plan.n_fft // 2, mode="reflect" if n > 9 else "edge"
        )
        n = (len(y) - plan.n_fft) // plan.hop_length + 1
        got, want = frames(kernel, plan, y, 0, n), frames(slow, plan, y, 0, n)
        np.testing.assert_allclose(got, want, rtol=0, atol=BOUND_DB, err_msg=name)
