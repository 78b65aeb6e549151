"""Signals that front ends get wrong: what recordings hold and made-up music does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

__all__ = ["AWKWARD", "awkward", "patchy", "signals"]


def patchy(n: int, seed: int, frame: int = 512) -> np.ndarray:
    """Noise with low-passed and near-silent passages at odd places, some frames of ``frame`` samples long."""
    rng = np.random.default_rng(seed)
    y = 0.1 * rng.standard_normal(n)
    for _ in range(int(rng.integers(1, 2 + n // (3 * frame)))):
        length = int(rng.integers(frame // 2, 4 * frame))
        at = int(rng.integers(0, max(1, n - length)))
        passage = y[at : at + length]
        if rng.random() < 0.7:
            passage[:] = np.convolve(passage, np.ones(32) / 32, "full")[: len(passage)]
        else:
            passage *= 1e-3
    return y.astype(np.float32)


def _music(n: int, rng: np.random.Generator) -> np.ndarray:
    t = np.arange(n) / 16000
    tones = [0.1 * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in rng.uniform(80, 6000, 6)]
    return np.asarray(sum(tones) * np.exp(-2 * (t % 0.5)) + 0.003 * rng.standard_normal(n))


def _passages(n: int, rng: np.random.Generator, *kinds: Callable[[int], np.ndarray]) -> np.ndarray:
    cuts = np.sort(rng.integers(0, n + 1, len(kinds) - 1))
    parts = np.diff(np.concatenate([[0], cuts, [n]]))
    return np.concatenate([kind(int(length)) for kind, length in zip(kinds, parts, strict=True)])


def _clicks(n: int, rng: np.random.Generator) -> np.ndarray:
    y = np.zeros(n)
    y[rng.integers(0, n, 1 + n // 3000)] = rng.choice([-1.0, 1.0], 1 + n // 3000)
    return y


def _low_passed(n: int, rng: np.random.Generator) -> np.ndarray:
    y = rng.standard_normal(n + 63)
    for _ in range(2):
        y = np.convolve(y, np.ones(32) / 32, "same")
    return y[:n]


#: Name -> signal of n samples, in float64 before it is rounded to float32; full scale is +-1.
AWKWARD: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "silence": lambda n, rng: np.zeros(n),
    "silence, then music": lambda n, rng: _passages(n, rng, np.zeros, lambda m: _music(m, rng)),
    "music, then silence": lambda n, rng: _passages(n, rng, lambda m: _music(m, rng), np.zeros),
    "silence, one step, music": lambda n, rng: _passages(
        n, rng, np.zeros, lambda m: np.r_[np.full(min(m, 1), 3e-5), _music(max(m - 1, 0), rng)]
    ),
    "fade in": lambda n, rng: _music(n, rng) * np.linspace(0, 1, n) ** 4,
    "fade out": lambda n, rng: _music(n, rng) * np.geomspace(1, 1e-9, n),
    "low-passed passage": lambda n, rng: _passages(
        n, rng, lambda m: _music(m, rng), lambda m: _low_passed(m, rng), lambda m: _music(m, rng)
    ),
    "patches": lambda n, rng: patchy(n, int(rng.integers(1 << 30))),
    "clicks": _clicks,
    "heavy tails": lambda n, rng: np.clip(1e-3 * rng.standard_t(1.2, n), -1, 1),
    "DC": lambda n, rng: np.full(n, 0.5),
    "DC and a whisper": lambda n, rng: 0.9 + 1e-5 * rng.standard_normal(n),
    "denormals": lambda n, rng: 1e-40 * rng.standard_normal(n),
    "clipped": lambda n, rng: np.clip(30 * _music(n, rng), -1, 1),
    "square": lambda n, rng: np.sign(np.sin(2 * np.pi * 441 * np.arange(n) / 16000) + 1e-9),
    "-120 dB noise": lambda n, rng: 1e-6 * rng.standard_normal(n),
    "16-bit steps": lambda n, rng: np.round(3 * rng.standard_normal(n)) / 32768,
    "Nyquist": lambda n, rng: (-1.0) ** np.arange(n),
    "full-scale sweep": lambda n, rng: np.sin(1800 * np.pi * (np.arange(n) / 16000) ** 2),
    "tone beside a quiet one": lambda n, rng: (
        0.9 * np.sin(0.3 * np.arange(n)) + 1e-5 * np.sin(2.0 * np.arange(n) + rng.uniform(0, 6))
    ),
    "one sample": lambda n, rng: np.r_[np.zeros(n - 1), 1.0],
    "least float32": lambda n, rng: np.full(n, 1.5e-45),
}


def awkward(name: str, n: int, seed: int = 0) -> np.ndarray:
    """``n`` float32 samples of the kind ``name``."""
    return np.asarray(AWKWARD[name](n, np.random.default_rng(seed)), dtype=np.float32)


@st.composite
def signals(draw: st.DrawFn, least: int = 1, most: int = 20000) -> np.ndarray:
    """Any awkward signal, or two of them joined, scaled, with a few samples replaced: within +-1, float32."""
    n = draw(st.integers(least, most))
    cut = draw(st.integers(0, n))
    seed, names = draw(st.integers(0, 1000)), st.sampled_from(sorted(AWKWARD))
    parts = [awkward(draw(names), length, seed + i) for i, length in enumerate((cut, n - cut)) if length]
    y = np.concatenate(parts) * np.float32(draw(st.sampled_from([1.0, 1.0, 1e-3, 1e-5, 1e-9, 1e-20])))
    for at in draw(st.lists(st.integers(0, n - 1), max_size=3)):
        y[at] = draw(st.floats(-1, 1, width=32))
    return y
