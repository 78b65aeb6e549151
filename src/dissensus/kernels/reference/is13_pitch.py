"""Slow twins of the IS13 kernels that find pitch: sub-harmonic candidates in 60 ms frames, then the smoothest path."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]

__all__ = ["is13_candidates", "is13_pitch_path"]

N_CANDIDATES = 6


def _enhance(magnitude: F) -> F:
    """Clear what is more than two bins away from a peak on both sides; the first bin is a peak where the spectrum falls."""
    rising = np.diff(magnitude) > 0.0
    falling = np.diff(magnitude) < 0.0
    peaks = [int(k) + 1 for k in np.flatnonzero(rising[:-1] & falling[1:])]
    if falling[0]:
        peaks.insert(0, 0)
    if rising[-1]:
        peaks.append(len(magnitude) - 1)
    out = magnitude.copy()
    for a, b in pairwise(peaks):
        out[a + 3 : max(a + 3, b - 2)] = 0.0
    padded = np.pad(out, 1)
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])


def _second_derivatives(values: F, knots: F) -> F:
    """Of the natural cubic spline through ``values``, by the elimination prepared in ``knots``."""
    gap, factor, inverse = knots.T
    n = len(values)
    slope = np.diff(values) / gap[:-1]
    right = np.zeros(n)
    for i in range(1, n - 1):
        right[i] = 6.0 * (slope[i] - slope[i - 1]) - factor[i] * right[i - 1]
    second = np.zeros(n)
    for i in range(n - 2, 0, -1):
        second[i] = inverse[i] * (right[i] - gap[i] * second[i + 1])
    return second


def is13_candidates(
    signal: NDArray[np.float32],
    window: F,
    knots: F,
    targets: F,
    left: NDArray[np.int64],
    shifts: NDArray[np.int64],
    axis: F,
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Write zero crossings, RMS, count, six pitches (Hz) and their voicing of the frames ``start:stop`` into rows of ``out``."""
    n, n_points = len(window), len(left)
    for t in range(start, stop):
        frame = signal[t * hop : t * hop + n].astype(np.float64)
        before, here, after = frame[:-2], frame[1:-1], frame[2:]
        crossings = np.sum(before * here < 0.0) + np.sum((here == 0.0) & (before * after <= 0.0))
        windowed = frame * window
        row = out[t]
        row[:] = 0.0
        row[0] = crossings / n
        row[1] = np.sqrt(np.mean(windowed**2))
        values = _enhance(np.abs(np.fft.rfft(windowed, 2 * (n_points - 1))))
        second = _second_derivatives(values, knots)
        octave = (targets * np.stack([values[left], values[left + 1], second[left], second[left + 1]], 1)).sum(1)
        octave = np.maximum(octave, 0.0)
        total = np.zeros(n_points)
        for k, shift in enumerate(shifts):
            total[: max(n_points - shift, 0)] += 0.85**k * octave[shift:]
        total /= len(shifts)
        i = np.arange(1, n_points - 1)
        peaks = i[(total[i] > total[i - 1]) & (total[i] > total[i + 1])]
        count = 0
        for p in peaks[np.argsort(-total[peaks], kind="stable")[:N_CANDIDATES]]:
            a, b, c = total[p - 1], total[p], total[p + 1]
            offset = 0.5 * (a - c) / (a - 2.0 * b + c)
            position = axis[0] + (p + offset) * axis[1]
            if axis[2] <= position <= axis[3]:
                row[3 + count] = 2.0**position
                row[9 + count] = max(1.0 - total.mean() / (b - 0.25 * (a - c) * offset), 0.0)
                count += 1
        row[2] = count


def is13_pitch_path(
    candidates: NDArray[np.float32],
    weights: F,
    lag: int,
    first: int,
    final: bool,
    back: NDArray[np.int8],
    state: F,
    out: NDArray[np.float32],
) -> None:
    """Write F0 (Hz, 0 where unvoiced) and voicing of the cheapest path, decided ``lag`` frames late, into ``out``.

    ``weights`` are local, voiced-voiced, voiced-unvoiced, threshold, range, unvoiced-unvoiced, the voicing threshold and
    the least RMS. The rows before ``first`` were given before and are not decided yet; ``back`` (n_frames, 7) holds where
    their states came from. ``final`` decides the rest. ``state`` (22,) carries the path from call to call: seven costs, the
    pitches of the last frame, their steps, how many there were, the number of frames so far; and tells how many of these
    rows are decided now.
    """
    local, change, switch, threshold, in_range, silence, cutoff, least_rms = weights
    n_frames = len(candidates)
    pitch, voicing = candidates[:, 3:9].astype(np.float64), candidates[:, 9:15].astype(np.float64)
    cost, before, seen = state[:7].copy(), state[7:13].copy(), int(state[20])
    m = int(state[19])
    done = 0
    for t in range(first, n_frames):
        n = int(candidates[t, 2])
        here = np.full(7, np.inf)
        f, v = pitch[t, :n], voicing[t, :n]
        outside = np.where(f < 100.0, (100.0 - f) / 100.0, np.where(f > 350.0, (f - 350.0) / 250.0, 0.0))
        outside[f > 600.0] = 1.2
        here[:n] = local * (-np.log(np.maximum(v, 1e-30)) + np.where(v < cutoff, threshold, 0.0)) + in_range * outside
        here[6] = local * threshold if n and v[0] >= cutoff else 0.0
        if seen:
            step = np.full((7, 7), switch)  # [from, to]
            step[6, 6] = silence
            if m and n:
                jump = np.abs(np.log(f[None, :] / before[:m, None]))
                spread = jump.copy()
                spread[1:] = np.abs(np.log(before[: m - 1] / before[1:m]))[:, None]
                if seen == 1:
                    spread[0, 0] = abs(np.log(f[0] / before[0]) - 1.0)
                step[:m, :n] = change * (jump + spread)
            total = cost[:, None] + step
            back[t] = np.argmin(total, 0)
            cost = total.min(0) + here
        else:
            cost = here
        before, m = pitch[t], n
        seen += 1
        last = final and t == n_frames - 1
        if last or t - done + 1 >= lag:
            at = int(np.argmin(cost))
            upto = n_frames - 1 if last else t - lag + 1
            for s in range(t, done - 1, -1):
                if s <= upto:
                    silent = candidates[s, 1] < least_rms
                    out[s, 0] = 0.0 if at == 6 or silent else pitch[s, at]
                    out[s, 1] = 0.0 if silent else voicing[s, 0 if at == 6 else at]
                at = int(back[s, at])
            done = upto + 1
    state[:7], state[7:13], state[19], state[20], state[21] = cost, before, m, seen, done
