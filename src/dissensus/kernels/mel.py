"""Numba twin of the log-mel kernel: sixteen frames side by side, so that every butterfly is a vector operation.

The transform is compiled once per size: LLVM vectorises a pass only where its strides are constants (it then sees that
reads and writes never overlap). Complex numbers sit in one flat scratch array: sixteen real parts, sixteen imaginary parts.
Double precision up to the powers of the bins, single from there on, where every number is positive and rounding stays relative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel

__all__ = ["log_mel_frames"]

_SIZES = (256, 512, 1024, 2048, 4096)


@kernel
def _frames_into_lanes(signal, starts, window, z):  # type: ignore[no-untyped-def]
    """Even samples become real parts, odd ones imaginary parts, of the sixteen frames that begin at ``starts``."""
    for at in range(0, window.shape[0], 16):
        w = window[at : at + 16]
        for lane in range(16):
            frame = signal[starts[lane] + at : starts[lane] + at + 16]
            to = z[at * 16 + lane : at * 16 + lane + 241]
            for n in range(16):
                to[n * 16] = frame[n] * w[n]


def _radix4(length: int, n_half: int, last: bool) -> Any:
    """A pass over every sub-transform of ``length`` complex numbers (decimation in frequency)."""
    quarter, step = length // 4, length // 4 * 32

    @kernel
    def turned(z, twiddle):  # type: ignore[no-untyped-def]
        for base in range(n_half // length):
            for n in range(quarter):
                c1, s1, c2, s2, c3, s3 = (
                    twiddle[n, 0], twiddle[n, 1], twiddle[n, 2], twiddle[n, 3], twiddle[n, 4], twiddle[n, 5]
                )  # fmt: skip
                p = z[(base * length + n) * 32 : (base * length + n) * 32 + 3 * step + 32]
                for l in range(16):
                    ar, ai, br, bi = p[l], p[l + 16], p[l + step], p[l + step + 16]
                    cr, ci, dr, di = p[l + 2 * step], p[l + 2 * step + 16], p[l + 3 * step], p[l + 3 * step + 16]
                    er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
                    gr, gi, hr, hi = br + dr, bi + di, bi - di, dr - br
                    p[l], p[l + 16] = er + gr, ei + gi
                    xr, xi = fr + hr, fi + hi
                    p[l + step], p[l + step + 16] = xr * c1 - xi * s1, xr * s1 + xi * c1
                    xr, xi = er - gr, ei - gi
                    p[l + 2 * step], p[l + 2 * step + 16] = xr * c2 - xi * s2, xr * s2 + xi * c2
                    xr, xi = fr - hr, fi - hi
                    p[l + 3 * step], p[l + 3 * step + 16] = xr * c3 - xi * s3, xr * s3 + xi * c3

    @kernel
    def plain(z, twiddle):  # type: ignore[no-untyped-def]
        for base in range(n_half // 4):
            p = z[base * 128 : base * 128 + 128]
            for l in range(16):
                ar, ai, br, bi = p[l], p[l + 16], p[l + 32], p[l + 48]
                cr, ci, dr, di = p[l + 64], p[l + 80], p[l + 96], p[l + 112]
                er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
                gr, gi, hr, hi = br + dr, bi + di, bi - di, dr - br
                p[l], p[l + 16] = er + gr, ei + gi
                p[l + 32], p[l + 48] = fr + hr, fi + hi
                p[l + 64], p[l + 80] = er - gr, ei - gi
                p[l + 96], p[l + 112] = fr - hr, fi - hi

    return plain if last else turned


def _radix2(n_half: int) -> Any:
    @kernel
    def plain(z):  # type: ignore[no-untyped-def]
        for base in range(n_half // 2):
            p = z[base * 64 : base * 64 + 64]
            for l in range(32):
                a, b = p[l], p[l + 32]
                p[l], p[l + 32] = a + b, a - b

    return plain


@kernel
def _power_spectrum(z, where, real, magnitude, power):  # type: ignore[no-untyped-def]
    """Untangle the packed spectrum: ``|X|**2`` (or ``|X|``) of sixteen frames, bin after bin; the window was halved."""
    n_half = where.shape[0]
    first, last = power[:16], power[n_half * 16 : n_half * 16 + 16]
    for l in range(16):
        x, y = z[l] + z[l + 16], z[l] - z[l + 16]
        first[l], last[l] = x * x * 4.0, y * y * 4.0
    for k in range(1, n_half // 2 + 1):
        a, b = z[where[k] * 32 : where[k] * 32 + 32], z[where[n_half - k] * 32 : where[n_half - k] * 32 + 32]
        up, down = power[k * 16 : k * 16 + 16], power[(n_half - k) * 16 : (n_half - k) * 16 + 16]
        c, s = real[k, 0], real[k, 1]
        for l in range(16):
            er, ei = a[l] + b[l], a[l + 16] - b[l + 16]
            dr, di = a[l + 16] + b[l + 16], b[l] - a[l]
            tr, ti = dr * c - di * s, dr * s + di * c
            ur, ui, vr, vi = er + tr, ei + ti, er - tr, ei - ti
            up[l] = ur * ur + ui * ui
            down[l] = vr * vr + vi * vi
    if magnitude:
        for i in range((n_half + 1) * 16):
            power[i] = np.sqrt(power[i])


@kernel
def _mel_sums(power, band, weight, mel):  # type: ignore[no-untyped-def]
    """Weighted sums over the bins of each band, four bins at a time."""
    for m in range(band.shape[0]):
        total = mel[m * 16 : m * 16 + 16]
        at, n = band[m, 1], band[m, 2]
        for l in range(16):
            total[l] = np.float32(0.0)
        for i in range(0, n - 3, 4):
            bins = power[(band[m, 0] + i) * 16 : (band[m, 0] + i) * 16 + 64]
            w0, w1, w2, w3 = weight[at + i], weight[at + i + 1], weight[at + i + 2], weight[at + i + 3]
            for l in range(16):
                total[l] += bins[l] * w0 + bins[l + 16] * w1 + bins[l + 32] * w2 + bins[l + 48] * w3
        for i in range(n - n % 4, n):
            bins, w = power[(band[m, 0] + i) * 16 : (band[m, 0] + i) * 16 + 16], weight[at + i]
            for l in range(16):
                total[l] += bins[l] * w


@kernel
def _levels(level, mel):  # type: ignore[no-untyped-def]
    """The logarithm in place: exponent by bits, polynomial on [sqrt(1/2), sqrt(2)); NaN and infinity stay."""
    floor, offset = np.float32(level[1]), np.float32(level[2])
    scale, shift = np.float32(level[3]), np.float32(level[4])
    octave = np.float32(scale * np.float32(math.log(2.0)))
    for l in range(mel.shape[0]):
        x = mel[l]
        x = np.float32((floor if x < floor else x) + offset)
        bits = np.float32(x).view(np.int32)
        exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))
        f = np.int32(bits - np.int32(exponent << np.int32(23))).view(np.float32) - np.float32(1.0)
        p = np.float32(7.0376836292e-2)
        p = p * f + np.float32(-1.1514610310e-1)
        p = p * f + np.float32(1.1676998740e-1)
        p = p * f + np.float32(-1.2420140846e-1)
        p = p * f + np.float32(1.4249322787e-1)
        p = p * f + np.float32(-1.6668057665e-1)
        p = p * f + np.float32(2.0000714765e-1)
        p = p * f + np.float32(-2.4999993993e-1)
        p = p * f + np.float32(3.3333331174e-1)
        ff = f * f
        mantissa = p * f * ff + (f - np.float32(0.5) * ff)
        y = np.float32(exponent) * octave + (mantissa * scale + shift)
        mel[l] = y if x < np.float32(np.inf) else x


@kernel
def _lane_into_row(mel, lane, row):  # type: ignore[no-untyped-def]
    for m in range(row.shape[0]):
        row[m] = mel[m * 16 + lane]


def _unit(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


@cache
def _tables(n_fft: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Twiddles of all passes and where each pass begins, those of the real transform, and the place of each output."""
    n_half = n_fft // 2
    twiddles = []
    length, where = n_half, np.zeros(n_half, dtype=np.int64)
    k, span = np.arange(n_half), 1
    while length > 2:
        quarter = length // 4
        angle = -2.0 * np.pi / length * np.outer(np.arange(quarter), [1, 2, 3])
        twiddles.append(_unit(angle).reshape(quarter, 6))
        where += k // span % 4 * quarter
        length, span = quarter, span * 4
    if length == 2:
        where += k // span % 2
    starts = np.cumsum([0, *map(len, twiddles)])
    return np.concatenate(twiddles), starts, _unit(-2.0 * np.pi * np.arange(n_half // 2 + 1) / n_fft), where


@kernel
def _no_pass(z):  # type: ignore[no-untyped-def]
    """Stands where a size needs no radix-2 pass."""


@cache
def _compiled(n_fft: int) -> Callable[..., None]:
    n_half = n_fft // 2
    lengths = [n_half]
    while lengths[-1] > 8:
        lengths.append(lengths[-1] // 4)
    passes = [_radix4(length, n_half, length == 4) for length in lengths]
    first_pass, second_pass, third_pass, middle_pass, last_pass = (*passes[:3], passes[-2], passes[-1])
    n_passes = len(passes)
    halves = _radix2(n_half) if lengths[-1] == 8 else _no_pass

    @kernel
    def transform(z, turns, places):  # type: ignore[no-untyped-def]
        first_pass(z, turns[places[0] : places[1]])
        second_pass(z, turns[places[1] : places[2]])
        third_pass(z, turns[places[2] : places[3]])
        if n_passes == 5:
            middle_pass(z, turns[places[3] : places[4]])
        if n_passes >= 4:
            last_pass(z, turns[places[n_passes - 1] : places[n_passes]])
        halves(z)

    @kernel
    def run(signal, first, hop, window, tables, band, weight, level, out):  # type: ignore[no-untyped-def]
        turns, places, real, where = tables
        z, power = np.empty(n_fft * 16, np.float64), np.empty((n_half + 1) * 16, np.float32)
        mel, starts = np.empty(band.shape[0] * 16, np.float32), np.empty(16, np.int64)
        n_frames = out.shape[0]
        for frame in range(0, n_frames, 16):
            for lane in range(16):  # lanes past the end repeat the last frame
                starts[lane] = first + min(frame + lane, n_frames - 1) * hop
            _frames_into_lanes(signal, starts, window, z)
            transform(z, turns, places)
            _power_spectrum(z, where, real, level[0] == 1.0, power)
            _mel_sums(power, band, weight, mel)
            if level[3] != 0.0:
                _levels(level, mel)
            for lane in range(min(16, n_frames - frame)):
                _lane_into_row(mel, lane, out[frame + lane])

    return run  # type: ignore[no-any-return]


def log_mel_frames(
    signal: NDArray[np.float32],
    first: int,
    hop: int,
    window: NDArray[np.float64],
    band: NDArray[np.int64],
    weight: NDArray[np.float32],
    level: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """As :func:`dissensus.kernels.reference.mel.log_mel_frames`, for transforms of 256, 512, ... 4096 samples."""
    n_fft = len(window)
    if n_fft not in _SIZES:
        raise ValueError(f"n_fft={n_fft}: the vectorised transform knows {_SIZES}")
    _compiled(n_fft)(signal, first, hop, window * 0.5, _tables(n_fft), band, weight, level, out)
