"""Our logarithm: within 2 units in the last place, on every exponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hard_committees import JIT_OFF

Twin = Callable[[str], Callable[..., Any]]


def test_within_two_ulp_on_every_exponent(twin: Twin) -> None:
    rng = np.random.default_rng(0)
    log = twin("log_into")
    edges = np.array([0, 1, 2, 0x3504F2, 0x3504F3, 0x3504F4, 0x400000, 0x7FFFFE, 0x7FFFFF], np.uint32)
    for exponent in range(255):
        drawn = rng.integers(0, 1 << 23, 20 if JIT_OFF else 4000, dtype=np.uint32)
        x = ((np.uint32(exponent) << np.uint32(23)) | np.concatenate([edges, drawn])).view(np.float32)
        x = x[x > 0]
        out = np.empty_like(x)
        log(x, out)
        exact = np.log(x.astype(np.float64))
        unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
        assert (np.abs(out - exact) <= 2 * unit).all(), f"exponent {exponent - 127}"


def test_all_mantissas_of_the_octave_below_one(twin: Twin) -> None:
    # where probabilities are, and where the logarithm passes through zero
    step = 1 << 14 if JIT_OFF else 7
    x = np.arange(0x3F000000, 0x3F800001, step, dtype=np.uint32).view(np.float32)
    out = np.empty_like(x)
    twin("log_into")(x, out)
    exact = np.log(x.astype(np.float64))
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(out - exact) <= 2 * unit).all()


@pytest.mark.slow
def test_every_float32_there_is(twin: Twin) -> None:
    log = twin("log_into")
    step = 1 << 24
    out, worst = np.empty(step, np.float32), 0.0
    for first in range(0, 1 << 31, step):
        bits = np.arange(first, first + step, dtype=np.uint32)
        x = bits.view(np.float32)
        log(x, out)
        if first >= 0x7F800000 - step:  # up to infinity and the numbers that are none
            finite = bits < 0x7F800000
            assert np.isnan(out[bits > 0x7F800000]).all()
            assert (out[bits == 0x7F800000] == np.inf).all()
        elif first == 0:
            finite = bits > 0
            assert out[0] == -np.inf
        else:
            finite = np.ones(step, bool)
        with np.errstate(all="ignore"):
            exact = np.log(x, dtype=np.float64)
            unit = np.spacing(np.abs(exact).astype(np.float32))
            error = np.abs(out - exact) / unit
        worst = max(worst, float(error[finite].max(initial=0.0)))
        log((bits | np.uint32(1 << 31)).view(np.float32), out)
        assert np.isnan(out[1 if first == 0 else 0 :]).all()
    assert worst <= 2


def test_edges(twin: Twin) -> None:
    x = np.array([0.0, -0.0, -1.0, -1e-45, np.inf, -np.inf, np.nan, 1.0] * 5, np.float32)
    out = np.empty_like(x)
    twin("log_into")(x, out)
    np.testing.assert_array_equal(out, [-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan, np.nan, 0.0] * 5)
