"""Slow twins of ``kernels/members.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lay_panels", "panel_scores", "panel_votes", "standardise", "tile_votes"]


LANES = 32


def standardise(
    X: NDArray[Any], mean: NDArray[np.float64], inverse: NDArray[np.float64], out: NDArray[np.float32]
) -> int:
    """Write (X - mean) * inverse to ``out``; return the first row with a value that is not finite, else -1."""
    with np.errstate(over="ignore"):
        out[:] = (X - mean) * inverse
    bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
    return int(bad[0]) if len(bad) else -1


def lay_panels(
    X: NDArray[Any],
    mean: NDArray[np.float64],
    inverse: NDArray[np.float64],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    panels: NDArray[np.float32],
) -> int:
    """Standardise the windows of some tiles into panels; return the first row with a value that is not finite, else -1."""
    del start
    for row, windows, _, _, panel in tiles[begin:end].tolist():
        padded = np.zeros((-(-windows // LANES) * LANES, X.shape[1]), dtype=np.float32)
        bad = standardise(X[row : row + windows], mean, inverse, padded[:windows])
        if bad >= 0:
            return int(row + bad)
        panels[panel : panel + len(padded) // LANES] = padded.reshape(-1, LANES, X.shape[1]).transpose(0, 2, 1)
    return -1


def panel_scores(
    panels: NDArray[np.float32],
    first: int,
    last: int,
    linear: NDArray[np.float32],
    quadratic: NDArray[np.float32],
    column: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Write the scores x·linear + x²·quadratic of some models for some panels where they are held."""
    for p in range(first, last):
        x = panels[p].astype(np.float64)
        score = linear.astype(np.float64) @ x
        if len(quadratic):
            score += quadratic.astype(np.float64) @ x**2
        out[p, column] = score


def _lanes(held: NDArray[np.float32], panel: int, windows: int) -> NDArray[np.float64]:
    """What is held for a tile's windows, ``(rows, windows)``."""
    part = held[panel : panel + -(-windows // LANES)].astype(np.float64)
    return part.transpose(1, 0, 2).reshape(part.shape[1], len(part) * LANES)[:, :windows]


def panel_votes(
    panels: NDArray[np.float32],
    linear: NDArray[np.float32],
    quadratic: NDArray[np.float32],
    column: NDArray[np.int64],
    bent: NDArray[np.float32],
    straight: NDArray[np.float32],
    small: NDArray[np.float32],
    move: NDArray[np.float32],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    offset: NDArray[np.float32],
    n_softmax: int,
    work: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> None:
    """Add the probabilities of softmax and sigmoid members for some tiles to the sums of tracks, from held scores; some anew."""
    del work
    n_members, n_classes = offset.shape
    for row, windows, first, n_tracks, panel in tiles[begin:end].tolist():
        panel_scores(panels, panel, panel + -(-windows // LANES), linear, quadratic, column, bent)
        curved = _lanes(bent, panel, windows).reshape(n_softmax, -1, windows) if n_softmax else None
        plain = _lanes(straight, panel, windows) + move.astype(np.float64) @ _lanes(small, panel, windows)
        plain = plain.reshape(n_members - n_softmax, n_classes, windows)
        for m in range(n_members):
            full = np.zeros((n_classes, windows))
            if curved is not None and m < n_softmax:
                full[n_classes - curved.shape[1] :] = curved[m]
            else:
                full[:] = plain[m - n_softmax]
            full += offset[m][:, None]
            proba = np.exp(full - full.max(axis=0)) if m < n_softmax else np.exp(-np.logaddexp(0.0, -full))
            proba /= proba.sum(axis=0)
            for i in range(first, first + n_tracks):
                sums[m, i] += proba[:, max(start[i] - row, 0) : start[i + 1] - row].sum(axis=1)


def tile_votes(
    X: NDArray[Any],
    mean: NDArray[np.float64],
    inverse: NDArray[np.float64],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    bent: NDArray[np.float32],
    bend: NDArray[np.float32],
    straight: NDArray[np.float32],
    offset: NDArray[np.float32],
    n_softmax: int,
    panels: NDArray[np.float32],
    held: NDArray[np.float32],
    work: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> int:
    """All of it in one pass; return the first row that is not finite, else -1."""
    del held
    for j in range(begin, end):
        tile = tiles[j : j + 1].copy()
        tile[0, 4] = 0
        bad = lay_panels(X, mean, inverse, start, tile, 0, 1, panels)
        if bad >= 0:
            return bad
        curved = np.empty((len(panels), len(bent), LANES), dtype=np.float32)
        plain = np.empty((len(panels), len(straight), LANES), dtype=np.float32)
        used = -(-int(tile[0, 1]) // LANES)
        panel_scores(panels, 0, used, bent, bend, np.arange(len(bent)), curved)
        panel_scores(panels, 0, used, straight, straight[:0], np.arange(len(straight)), plain)
        panel_votes(
            panels, bent[:0], bend[:0], np.arange(0), curved, plain, panels[:, :0], straight[:, :0], start, tile, 0, 1, offset,
            n_softmax, work, sums,
        )  # fmt: skip
    return -1
