"""Spectra of sixteen frames side by side: a Stockham FFT of radix 4, so that every inner loop runs over contiguous lanes.

Even samples are the real parts, odd ones the imaginary parts of a transform of half the length. Frames may be shorter than
the transform; nothing is read past them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel

__all__ = ["spectra"]

_LANES = 16


@kernel
def _quarter(xr, xi, yr, yi, n, stride, turns):  # type: ignore[no-untyped-def]
    """One pass of radix 4 over transforms of length ``n``; ``stride`` numbers lie between neighbours."""
    m = n // 4
    for p in range(m):
        c1, s1, c2, s2, c3, s3 = turns[p, 0], turns[p, 1], turns[p, 2], turns[p, 3], turns[p, 4], turns[p, 5]
        a, b, c, d = stride * p, stride * (p + m), stride * (p + 2 * m), stride * (p + 3 * m)
        ar_, ai_, br_, bi_ = xr[a : a + stride], xi[a : a + stride], xr[b : b + stride], xi[b : b + stride]
        cr_, ci_, dr_, di_ = xr[c : c + stride], xi[c : c + stride], xr[d : d + stride], xi[d : d + stride]
        at = stride * 4 * p
        tor, toi = yr[at : at + 4 * stride], yi[at : at + 4 * stride]
        for q in range(stride):
            er, ei, fr, fi = ar_[q] + cr_[q], ai_[q] + ci_[q], ar_[q] - cr_[q], ai_[q] - ci_[q]
            gr, gi, hr, hi = br_[q] + dr_[q], bi_[q] + di_[q], bi_[q] - di_[q], dr_[q] - br_[q]
            tor[q], toi[q] = er + gr, ei + gi
            ur, ui = fr + hr, fi + hi
            tor[q + stride], toi[q + stride] = ur * c1 - ui * s1, ur * s1 + ui * c1
            ur, ui = er - gr, ei - gi
            tor[q + 2 * stride], toi[q + 2 * stride] = ur * c2 - ui * s2, ur * s2 + ui * c2
            ur, ui = fr - hr, fi - hi
            tor[q + 3 * stride], toi[q + 3 * stride] = ur * c3 - ui * s3, ur * s3 + ui * c3


@kernel
def _half(xr, xi, yr, yi, stride):  # type: ignore[no-untyped-def]
    for q in range(stride):
        yr[q], yr[q + stride] = xr[q] + xr[q + stride], xr[q] - xr[q + stride]
        yi[q], yi[q + stride] = xi[q] + xi[q + stride], xi[q] - xi[q + stride]


@kernel
def _load(signal, first, hop, window, n_lanes, re, im):  # type: ignore[no-untyped-def]
    n = window.shape[0]
    for i in range(re.shape[0]):
        re[i], im[i] = np.float32(0.0), np.float32(0.0)
    for lane in range(n_lanes):
        frame = signal[first + lane * hop : first + lane * hop + n]
        for i in range(n // 2):
            re[i * _LANES + lane] = frame[2 * i] * window[2 * i]
            im[i * _LANES + lane] = frame[2 * i + 1] * window[2 * i + 1]
        if n % 2 == 1:
            re[n // 2 * _LANES + lane] = frame[n - 1] * window[n - 1]


@kernel
def _powers(re, im, real, power):  # type: ignore[no-untyped-def]
    """Untangle the transform of packed real numbers into ``|X|**2`` of bins 0 to half."""
    half = re.shape[0] // _LANES
    for l in range(_LANES):
        x, y = re[l] + im[l], re[l] - im[l]
        power[l], power[half * _LANES + l] = x * x, y * y
    quarter = np.float32(0.25)
    for k in range(1, half // 2 + 1):
        c, s = real[k, 0], real[k, 1]
        i, j = k * _LANES, (half - k) * _LANES
        ar_, ai_, br_, bi_ = re[i : i + _LANES], im[i : i + _LANES], re[j : j + _LANES], im[j : j + _LANES]
        up, down = power[i : i + _LANES], power[j : j + _LANES]
        for l in range(_LANES):
            er, ei, dr, di = ar_[l] + br_[l], ai_[l] - bi_[l], ai_[l] + bi_[l], br_[l] - ar_[l]
            tr, ti = dr * c - di * s, dr * s + di * c
            ur, ui, vr, vi = er + tr, ei + ti, er - tr, ei - ti
            up[l] = quarter * (ur * ur + ui * ui)
            down[l] = quarter * (vr * vr + vi * vi)


@kernel
def _spectra(signal, first, hop, window, turns, starts, real, magnitude, work, out):  # type: ignore[no-untyped-def]
    half = out.shape[1] - 1
    power = np.empty((half + 1) * _LANES, dtype=np.float32)
    for frame in range(0, out.shape[0], _LANES):
        n_lanes = min(_LANES, out.shape[0] - frame)
        xr, xi, yr, yi = work[0], work[1], work[2], work[3]
        _load(signal, first + frame * hop, hop, window, n_lanes, xr, xi)
        n, stride, step = half, _LANES, 0
        while n >= 4:
            _quarter(xr, xi, yr, yi, n, stride, turns[starts[step] :])
            xr, xi, yr, yi = yr, yi, xr, xi
            n, stride, step = n // 4, stride * 4, step + 1
        if n == 2:
            _half(xr, xi, yr, yi, stride)
            xr, xi, yr, yi = yr, yi, xr, xi
        _powers(xr, xi, real, power)
        if magnitude:
            for i in range(power.shape[0]):
                power[i] = np.sqrt(power[i])
        for lane in range(n_lanes):
            row = out[frame + lane]
            for k in range(half + 1):
                row[k] = power[k * _LANES + lane]


def _unit(angle: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


@cache
def _tables(n_fft: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Twiddles of all passes, where each pass begins, and those of the real transform."""
    n, turns = n_fft // 2, []
    while n >= 4:
        turns.append(_unit(-2.0 * np.pi / n * np.outer(np.arange(n // 4), [1, 2, 3])).reshape(n // 4, 6))
        n //= 4
    starts = np.cumsum([0, *map(len, turns)])
    return np.concatenate(turns), starts, _unit(-2.0 * np.pi * np.arange(n_fft // 4 + 1) / n_fft)


def spectra(
    signal: NDArray[np.float32],
    first: int,
    hop: int,
    window: NDArray[np.float64],
    magnitude: bool,
    out: NDArray[np.float32],
) -> None:
    """Write the power (or magnitude) spectra of the frames from sample ``first`` into the rows of ``out``."""
    half = out.shape[1] - 1
    work = np.empty((4, half * _LANES), dtype=np.float32)
    _spectra(signal, first, hop, window.astype(np.float32), *_tables(2 * half), magnitude, work, out)
