"""Committees that kernels find hard, drawn by hypothesis."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

JIT_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
MOST_NUMBERS = 600 if JIT_OFF else 30_000

FLAVOURS = (
    "smooth", "sharp", "one-hot", "uniform", "alike", "zeros", "subnormal", "duplicates", "scaled", "broken",
)  # fmt: skip


@dataclass(frozen=True)
class Hard:
    """One drawn committee; its arrays are read-only."""

    proba: NDArray[Any]
    weight: NDArray[np.float64]
    flavour: str

    def __post_init__(self) -> None:
        self.proba.flags.writeable = False  # as callers hand it over: Numba compiles for one kind of array


def build(flavour: str, m: int, n: int, c: int, seed: int, dtype: str, weighted: bool) -> Hard:
    rng = np.random.default_rng(seed)
    alpha = {"smooth": 2.0, "sharp": 0.05}.get(flavour, 0.7)
    gamma = rng.standard_gamma(alpha, (m, n, c)) + 1e-300
    proba = gamma / gamma.sum(axis=2, keepdims=True)
    if flavour == "one-hot":
        proba = np.eye(c)[rng.integers(c, size=(m, n))]
    elif flavour == "uniform":
        proba = np.full((m, n, c), 1.0 / c)
    elif flavour == "alike" and n:
        proba[:] = proba[0, 0]  # every member says the same of every track
    elif flavour == "zeros" and n:
        proba[rng.random((m, n, c)) < 0.5] = 0.0
        proba[:, rng.random(n) < 0.1] = 0.0
        proba[rng.random((m, n, c)) < 0.1] = -0.0  # no negative probability
    elif flavour == "subnormal":
        proba[rng.random((m, n, c)) < 0.3] = 1e-42
        proba[:, rng.random(n) < 0.1] *= 1e-40
        if dtype == "f8":
            proba[rng.random((m, n, c)) < 0.1] = 5e-324
            proba[:, rng.random(n) < 0.05] = 1e-310
    elif flavour == "duplicates" and n:
        proba = proba[:, rng.integers(max(1, n // 8), size=n)]
        moved = rng.random(n) < 0.5
        proba[:, moved] = proba[:, moved][:, :, rng.permutation(c)]
    elif flavour == "scaled":
        proba *= rng.choice([1e-3, 0.3, 1.0, 5.0, 100.0], size=(m, n, 1))
    elif flavour == "broken" and n:
        for value in (np.nan, np.inf, -np.inf, -0.25, 1e38):
            where = rng.random((m, n, c)) < 0.3 / (m * c)
            proba[where] = value
    proba = proba.astype(dtype, order="C")
    weight = rng.random(m) + (rng.random(m) < 0.5) if weighted else np.ones(m)
    if weighted and m > 1:
        weight[rng.integers(m)] = 0.0
    if not weight.sum() > 0:
        weight[:] = 1.0
    return Hard(proba, weight, flavour)


@st.composite
def hard_committees(draw: st.DrawFn) -> Hard:
    """1 to 64 members, 2 to 64 classes, up to a few hundred tracks."""
    m, c = draw(st.integers(1, 64)), draw(st.one_of(st.integers(2, 8), st.integers(2, 64)))
    most = max(2, MOST_NUMBERS // (m * c))
    n = draw(st.one_of(st.integers(0, min(67, most)), st.integers(0, min(5000, most))))
    return build(
        draw(st.sampled_from(FLAVOURS)),
        m,
        n,
        c,
        draw(st.integers(0, 2**32 - 1)),
        draw(st.sampled_from(["f4", "f4", "f8"])),
        draw(st.booleans()),
    )
