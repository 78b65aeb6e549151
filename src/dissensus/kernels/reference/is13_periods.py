"""Slow twin of the IS13 kernel that compares neighbouring pitch periods: jitter, shimmer, harmonics to noise.

A mark walks along the voiced stretch. From it, the lag between 1 -+ ``search`` times the expected period whose stretch of
signal correlates best with the stretch that follows is the period. The mark moves on by it while it stays within the step
of the frame, else the next frame compares the same stretch again. Periods that correlate by less than one half move the
mark, but are not counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is13_periods"]

LEAST_CORRELATION = 0.5


def _period(x: NDArray[np.float64], at: int, expected: float, search: float) -> tuple[int, float, float]:
    """Whole lag, exact lag and correlation of the best peak; the expected period and 0 where there is no peak."""
    lags = np.arange(max(int(expected * (1.0 - search)), 2), int(expected * (1.0 + search)) + 1)
    score = np.zeros(len(lags))
    for k, lag in enumerate(lags):
        head, tail = x[at : at + lag], x[at + lag : at + 2 * lag]
        head, tail = head - head.mean(), tail - tail.mean()
        power = (head @ head) * (tail @ tail)
        score[k] = head @ tail / np.sqrt(power) if power > 0.0 else 0.0
    i = np.arange(1, len(lags) - 1)
    peaks = i[(score[i] > score[i - 1]) & (score[i] >= score[i + 1])]
    if len(peaks) == 0:
        return int(expected), expected, 0.0
    k = int(peaks[np.argmax(score[peaks])])
    a, b, c = score[k - 1 : k + 2]
    offset = 0.5 * (a - c) / (a - 2.0 * b + c)
    return int(lags[k]), float(lags[k] + offset), float(b - 0.25 * (a - c) * offset)


def _ratio(x: NDArray[np.float64], starts: list[int], n: int) -> float:
    """Ten times the log of the power of the mean cycle over that of what the cycles differ from it."""
    cycles = np.stack([x[s : s + n] for s in starts])
    mean = cycles.mean(0)
    harmonic, noise = float(np.mean(mean**2)), float(np.mean((cycles - mean) ** 2))
    return float(max(10.0 * np.log10(max(harmonic, 1e-30) / max(noise, 1e-10 * harmonic, 1e-30)), -100.0))


def is13_periods(
    signal: NDArray[np.float32],
    pitch: NDArray[np.float32],
    rate: float,
    hop: int,
    length: int,
    search: float,
    start: int,
    state: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Write local jitter, its difference, local shimmer and log HNR (dB) of each frame; 0, 0, 0, -100 where unvoiced.

    ``pitch`` is that of the frames from ``start`` on, where ``signal`` begins at frame 0. ``state`` (8,) carries the walk
    from call to call: the mark (a sample), whether the last frame was voiced, its last period and change of period (0 for
    none yet), and the four values.
    """
    x = signal.astype(np.float64)
    at, voiced, last, bend = int(state[0]), bool(state[1]), float(state[2]), float(state[3])
    held = [float(value) for value in state[4:]]
    for row in range(len(pitch)):
        t = start + row
        if not pitch[row] > 0.0:
            voiced = False
            out[row] = (0.0, 0.0, 0.0, -100.0)
            continue
        if not voiced:
            at, voiced, last, bend, held = t * hop, True, 0.0, 0.0, [0.0, 0.0, 0.0, -100.0]
        expected = rate / float(pitch[row])
        need = 2 * int(expected * (1.0 + search)) + 4
        limit = min(max((t + 1) * hop, at + need), t * hop + length)
        starts: list[int] = []
        whole: list[int] = []
        new, steps, bends, spans, jumps = [], [], [], [], []
        while at + need <= limit:
            lag, exact, score = _period(x, at, expected, search)
            starts.append(at)
            whole.append(lag)
            if score >= LEAST_CORRELATION:
                first, second = np.ptp(x[at : at + lag]), np.ptp(x[at + lag : at + 2 * lag])
                spans.append(0.5 * (first + second))
                jumps.append(abs(first - second))
                new.append(exact)
                if last > 0.0:
                    change = abs(exact - last)
                    steps.append(0.0 if change < 1e-9 * exact else change)  # the same stretch, compared again
                    if bend > 0.0:
                        bends.append(abs(steps[-1] - bend))
                    bend = steps[-1]
                last = exact
            if at + lag >= (t + 1) * hop - 1:
                break
            at += lag
        out[row, :2] = held[:2]
        if new:
            average = float(np.mean(new))
            out[row, :2] = 0.0
            if steps:
                out[row, 0] = held[0] = min(float(np.mean(steps)) / average, 1.0)
            if bends:
                out[row, 1] = held[1] = min(float(np.mean(bends)) / average, 1.0)
            held[2] = float(np.sum(jumps) / np.sum(spans)) if np.sum(spans) > 0.0 else 0.0
        if starts:
            held[3] = _ratio(x, [*starts, starts[-1] + whole[-1]], min(whole))
        out[row, 2:] = held[2:]
    state[:] = (at, voiced, last, bend, *held)
