"""Slow twin of the IS13 kernel that compares neighbouring pitch periods: jitter, shimmer, harmonics to noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is13_periods"]


def is13_periods(
    signal: NDArray[np.float32],
    pitch: NDArray[np.float32],
    rate: float,
    hop: int,
    length: int,
    search: float,
    out: NDArray[np.float32],
) -> None:
    """Write local jitter, its difference, local shimmer and log HNR of each frame into ``out``; 0, 0, 0, -100 unvoiced."""
    x = signal.astype(np.float64)
    for t in range(len(pitch)):
        out[t] = (0.0, 0.0, 0.0, -100.0)
        if pitch[t] <= 0.0:
            continue
        period = rate / float(pitch[t])
        low, high = int(period * (1.0 - search)), int(np.ceil(period * (1.0 + search)))
        at, stop = t * hop, min(t * hop + length, len(x))
        periods, peaks = [], []
        while at + 2 * high <= stop:
            head = x[at : at + high]
            scores = np.array([head[:low] @ x[at + lag : at + lag + low] for lag in range(low, high + 1)])
            power = np.array(
                [np.sqrt(x[at + lag : at + lag + low] @ x[at + lag : at + lag + low]) for lag in range(low, high + 1)]
            )
            scores = scores / np.maximum(power, 1e-12)
            best = int(np.argmax(scores))
            shift = 0.0
            if 0 < best < len(scores) - 1:
                a, b, c = scores[best - 1 : best + 2]
                if a - 2.0 * b + c < 0.0:
                    shift = 0.5 * (a - c) / (a - 2.0 * b + c)
            lag = low + best
            periods.append(lag + shift)
            cycle = x[at : at + lag]
            peaks.append(cycle.max() - cycle.min())
            at += lag
        if len(periods) < 2:
            continue
        p, a = np.array(periods), np.array(peaks)
        steps = np.diff(p)
        out[t, 0] = np.abs(steps).mean() / p.mean()
        if len(steps) > 1:
            out[t, 1] = np.abs(np.diff(steps)).mean() / p.mean()
        out[t, 2] = np.abs(np.diff(a)).mean() / max(a.mean(), 1e-12)
        size = int(round(float(p.mean())))
        starts = t * hop + np.concatenate([[0], np.cumsum(np.round(p[:-1]))]).astype(int)
        cycles = np.stack([x[s : s + size] for s in starts if s + size <= len(x)])
        mean = cycles.mean(0)
        harmonic = np.sqrt((mean**2).mean())
        noise = np.sqrt(((cycles - mean) ** 2).mean())
        if harmonic > 0.0 and noise > 0.0:
            out[t, 3] = max(np.log(harmonic / noise), -100.0)
