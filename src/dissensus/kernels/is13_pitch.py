"""Numba twins of the IS13 kernels that find pitch: sixteen frames side by side up to the sub-harmonic sums."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel
from dissensus.kernels.is13_fft import spectra

__all__ = ["is13_candidates", "is13_pitch_path"]

_LANES = 16
_NEGLIGIBLE = np.float32(1e-20)
_INFINITY = np.inf


@kernel
def _enhance(rows, values):  # type: ignore[no-untyped-def]
    """Transpose to ``(n_points, 16)``, clear between peaks, smooth over three bins."""
    n = rows.shape[1]
    for lane in range(_LANES):
        row = rows[lane]
        previous, last = -1, -1
        for k in range(n):
            values[k, lane] = row[k]
        for k in range(n):
            left = k == 0 or row[k] > row[k - 1]
            right = k == n - 1 or row[k] > row[k + 1]
            if left and right:
                if previous >= 0:
                    for i in range(previous + 3, k - 2):
                        values[i, lane] = np.float32(0.0)
                previous = k
        for k in range(n):
            here = values[k, lane]
            after = values[k + 1, lane] if k + 1 < n else np.float32(0.0)
            before = np.float32(0.0) if k == 0 else last
            values[k, lane] = np.float32(0.25) * (before + after) + np.float32(0.5) * here
            last = here


@kernel
def _octave(values, second, knots, targets, left, octave):  # type: ignore[no-untyped-def]
    """The natural cubic spline of ``values`` at the targets, weighted, none below zero."""
    n = values.shape[0]
    for l in range(_LANES):
        second[0, l] = np.float32(0.0)
        second[n - 1, l] = np.float32(0.0)
    for i in range(1, n - 1):
        a = np.float32(6.0 / knots[i - 1, 0])
        b = np.float32(6.0 / knots[i, 0])
        factor = np.float32(knots[i, 1])
        v0, v1, v2, s0, s1 = values[i - 1], values[i], values[i + 1], second[i - 1], second[i]
        for l in range(_LANES):
            s = b * (v2[l] - v1[l]) - a * (v1[l] - v0[l]) - factor * s0[l]
            s1[l] = s if abs(s) > _NEGLIGIBLE else np.float32(0.0)  # subnormal numbers are slow
    for i in range(n - 2, 0, -1):
        inverse, gap = np.float32(knots[i, 2]), np.float32(knots[i, 0])
        s1, s2 = second[i], second[i + 1]
        for l in range(_LANES):
            s = inverse * (s1[l] - gap * s2[l])
            s1[l] = s if abs(s) > _NEGLIGIBLE else np.float32(0.0)
    for i in range(n):
        a, b, c, d = (
            np.float32(targets[i, 0]), np.float32(targets[i, 1]), np.float32(targets[i, 2]), np.float32(targets[i, 3])
        )  # fmt: skip
        at = left[i]
        v0, v1, s0, s1, to = values[at], values[at + 1], second[at], second[at + 1], octave[i]
        for l in range(_LANES):
            y = a * v0[l] + b * v1[l] + c * s0[l] + d * s1[l]
            to[l] = y if y > np.float32(0.0) else np.float32(0.0)


@kernel
def _sum_harmonics(octave, shifts, total):  # type: ignore[no-untyped-def]
    n = octave.shape[0]
    from_, to = octave.reshape(n * _LANES), total.reshape(n * _LANES)
    share = 1.0 / shifts.shape[0]
    for i in range(n * _LANES):
        to[i] = np.float32(share) * from_[i]
    for k in range(1, shifts.shape[0]):
        share *= 0.85
        weight = np.float32(share)
        if shifts[k] < n:
            part = from_[shifts[k] * _LANES :]
            for i in range(part.shape[0]):
                to[i] += weight * part[i]


@kernel
def _best(total, lane, axis, row):  # type: ignore[no-untyped-def]
    """The six highest peaks of one lane, those in range kept."""
    n = total.shape[0]
    place = np.zeros(6, dtype=np.int64)
    height = np.zeros(6)
    count = 0
    mean = 0.0
    for i in range(n):
        mean += total[i, lane]
    mean /= n
    for i in range(1, n - 1):
        y = total[i, lane]
        if y > total[i - 1, lane] and y > total[i + 1, lane] and (count < 6 or y > height[5]):
            at = min(count, 5)
            while at > 0 and y > height[at - 1]:
                height[at], place[at] = height[at - 1], place[at - 1]
                at -= 1
            height[at], place[at] = y, i
            count = min(count + 1, 6)
    kept = 0
    for j in range(count):
        i = place[j]
        a, b, c = np.float64(total[i - 1, lane]), np.float64(total[i, lane]), np.float64(total[i + 1, lane])
        offset = 0.5 * (a - c) / (a - 2.0 * b + c)
        position = axis[0] + (i + offset) * axis[1]
        if axis[2] <= position <= axis[3]:
            row[3 + kept] = 2.0**position
            row[9 + kept] = max(1.0 - mean / (b - 0.25 * (a - c) * offset), 0.0)
            kept += 1
    row[2] = kept


@kernel
def _candidates(rows, n_lanes, signal, window, knots, targets, left, shifts, axis, work, hop, first, out):  # type: ignore[no-untyped-def]
    values, second, octave, total = work[0], work[1], work[2], work[3]
    _enhance(rows, values)
    _octave(values, second, knots, targets, left, octave)
    _sum_harmonics(octave, shifts, total)
    n = window.shape[0]
    for lane in range(n_lanes):
        row = out[first + lane]
        for j in range(15):
            row[j] = 0.0
        frame = signal[(first + lane) * hop : (first + lane) * hop + n]
        crossings, energy = 0, 0.0
        for i in range(1, n - 1):
            a, b, c = frame[i - 1], frame[i], frame[i + 1]
            crossings += 1 if (a * b < 0.0) or (b == 0.0 and a * c <= 0.0) else 0
        for i in range(n):
            y = frame[i] * window[i]
            energy += y * y
        row[0], row[1] = crossings / n, math.sqrt(energy / n)
        _best(total, lane, axis, row)


def is13_candidates(
    signal: NDArray[np.float32],
    window: NDArray[np.float64],
    knots: NDArray[np.float64],
    targets: NDArray[np.float64],
    left: NDArray[np.int64],
    shifts: NDArray[np.int64],
    axis: NDArray[np.float64],
    hop: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """As :func:`dissensus.kernels.reference.is13_pitch.is13_candidates`."""
    n_points = len(left)
    rows = np.zeros((_LANES, n_points), dtype=np.float32)
    work = np.empty((4, n_points, _LANES), dtype=np.float32)
    for first in range(start, stop, _LANES):
        n_lanes = min(_LANES, stop - first)
        spectra(signal, first * hop, hop, window, True, rows[:n_lanes])
        _candidates(rows, n_lanes, signal, window, knots, targets, left, shifts, axis, work, hop, first, out)


@kernel
def is13_pitch_path(candidates, weights, lag, first, final, back, state, out):  # type: ignore[no-untyped-def]
    """As :func:`dissensus.kernels.reference.is13_pitch.is13_pitch_path`."""
    local, change, switch, threshold = weights[0], weights[1], weights[2], weights[3]
    in_range, silence, cutoff, least_rms = weights[4], weights[5], weights[6], weights[7]
    n_frames = candidates.shape[0]
    cost, before, gap = state[:7], state[7:13], state[13:19]
    next_cost, pitch = np.zeros(7), np.zeros(6)
    m, seen = int(state[19]), int(state[20])  # candidates of the frame before, frames before this one
    done = 0
    for t in range(first, n_frames):
        n = int(candidates[t, 2])
        for j in range(n):
            pitch[j] = math.log(np.float64(candidates[t, 3 + j]))
        for j in range(7):
            next_cost[j] = _INFINITY
        for j in range(n):
            f, v = np.float64(candidates[t, 3 + j]), np.float64(candidates[t, 9 + j])
            here = -math.log(max(v, 1e-30))
            if v < cutoff:
                here += threshold
            outside = 0.0
            if f < 100.0:
                outside = (100.0 - f) / 100.0
            elif f > 600.0:
                outside = 1.2
            elif f > 350.0:
                outside = (f - 350.0) / 250.0
            here = local * here + in_range * outside
            best, origin = (0.0, 0) if seen == 0 else (_INFINITY, 0)
            if seen > 0:
                for i in range(m):
                    jump = abs(pitch[j] - before[i])
                    spread = gap[i] if i > 0 else jump
                    if seen == 1 and i == 0 and j == 0:
                        spread = abs(pitch[0] - before[0] - 1.0)
                    total = cost[i] + change * (jump + spread)
                    if total < best:
                        best, origin = total, i
                if cost[6] + switch < best:
                    best, origin = cost[6] + switch, 6
            next_cost[j] = best + here
            back[t, j] = origin
        best, origin = 0.0, 0
        if seen > 0:
            best, origin = cost[6] + silence, 6
            for i in range(m - 1, -1, -1):
                if cost[i] + switch <= best:
                    best, origin = cost[i] + switch, i
        if n > 0 and np.float64(candidates[t, 9]) >= cutoff:
            best += local * threshold
        next_cost[6] = best
        back[t, 6] = origin
        for j in range(7):
            cost[j] = next_cost[j]
        for j in range(n):
            before[j] = pitch[j]
            gap[j] = abs(pitch[j] - pitch[j - 1]) if j > 0 else 0.0
        m = n
        seen += 1
        last = final and t == n_frames - 1
        if last or t - done + 1 >= lag:
            at = 0
            for j in range(1, 7):
                if cost[j] < cost[at]:
                    at = j
            upto = n_frames - 1 if last else t - lag + 1
            for s in range(t, done - 1, -1):
                if s <= upto:
                    out[s, 0], out[s, 1] = 0.0, 0.0
                    if candidates[s, 1] >= least_rms:
                        out[s, 0] = 0.0 if at == 6 else candidates[s, 3 + at]
                        out[s, 1] = candidates[s, 9] if at == 6 else candidates[s, 9 + at]
                at = back[s, at]
            done = upto + 1
    state[19], state[20], state[21] = m, seen, done
