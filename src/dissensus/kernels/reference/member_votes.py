"""Slow twins of ``kernels/member_votes.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["held_scores", "held_votes", "linear_scores", "linear_votes", "quadratic_scores", "standardise"]


def standardise(
    X: NDArray[Any], mean: NDArray[np.float64], inverse: NDArray[np.float64], out: NDArray[np.float32]
) -> int:
    """Write (X - mean) * inverse to ``out``; return the first row with a value that is not finite, else -1."""
    with np.errstate(over="ignore"):
        out[:] = (X - mean) * inverse
    bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
    return int(bad[0]) if len(bad) else -1


def quadratic_scores(
    X: NDArray[np.float32], linear: NDArray[np.float32], quadratic: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Scores x·linear + x²·quadratic of a tile of windows."""
    rows = X.astype(np.float64)
    out[:] = linear.astype(np.float64) @ rows.T + quadratic.astype(np.float64) @ (rows**2).T


def linear_scores(X: NDArray[np.float32], linear: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Scores x·linear of a tile of windows."""
    out[:] = linear.astype(np.float64) @ X.astype(np.float64).T


def _rows(X: NDArray[np.float32], start: NDArray[np.int64], tile: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """Windows of a tile."""
    row, first, n_tracks = tile
    return X[row : min(start[first + n_tracks], row + width)].astype(np.float64)


def _votes(
    full: NDArray[np.float64],
    offset: NDArray[np.float32],
    n_softmax: int,
    start: NDArray[np.int64],
    tile: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    full = full + offset[:, :, None]
    row, first, n_tracks = tile
    for m in range(len(full)):
        proba = np.exp(full[m] - full[m].max(axis=0)) if m < n_softmax else np.exp(-np.logaddexp(0.0, -full[m]))
        proba /= proba.sum(axis=0)
        for i in range(first, first + n_tracks):
            sums[m, i] += proba[:, max(start[i] - row, 0) : start[i + 1] - row].sum(axis=1)


def linear_votes(
    X: NDArray[np.float32],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    bent: NDArray[np.float32],
    bend: NDArray[np.float32],
    straight: NDArray[np.float32],
    offset: NDArray[np.float32],
    n_softmax: int,
    score: NDArray[np.float32],
    work: NDArray[np.float32],
    power: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """Add the probabilities of quadratic and linear members for some tiles to the sums of tracks."""
    del work, power
    n_members, n_classes = offset.shape
    for tile in tiles[begin:end]:
        rows = _rows(X, start, tile, score.shape[1])
        full = np.zeros((n_members, n_classes, len(rows)))
        curved = (bent.astype(np.float64) @ rows.T + bend.astype(np.float64) @ (rows**2).T)[
            : n_softmax * (n_classes - 1)
        ]
        plain = (straight.astype(np.float64) @ rows.T)[: (n_members - n_softmax) * n_classes]
        full[:n_softmax, 1:] = curved.reshape(n_softmax, n_classes - 1, len(rows))
        full[n_softmax:] = plain.reshape(n_members - n_softmax, n_classes, len(rows))
        _votes(full, offset, n_softmax, start, tile, sums)


def held_scores(
    X: NDArray[np.float32],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    linear: NDArray[np.float32],
    quadratic: NDArray[np.float32],
    column: NDArray[np.int64],
    score: NDArray[np.float32],
    held: NDArray[np.float32],
) -> None:
    """Write the scores of some models for some tiles where they are held."""
    for j in range(begin, end):
        rows = _rows(X, start, tiles[j], score.shape[1])
        full = linear.astype(np.float64) @ rows.T
        if len(quadratic):
            full += quadratic.astype(np.float64) @ (rows**2).T
        held[j, column, : len(rows)] = full[: len(column)]


def held_votes(
    bent: NDArray[np.float32],
    bend: NDArray[np.float32],
    straight: NDArray[np.float32],
    Z: NDArray[np.float32],
    move: NDArray[np.float32],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    offset: NDArray[np.float32],
    n_softmax: int,
    score: NDArray[np.float32],
    work: NDArray[np.float32],
    power: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """As linear_votes, from scores that are held and a move of the sigmoid members' weights in a small space."""
    del work, power
    n_members, n_classes = offset.shape
    for j in range(begin, end):
        rows = _rows(Z, start, tiles[j], score.shape[1])
        n = (n_members - n_softmax) * n_classes
        plain = straight[j, :n, : len(rows)].astype(np.float64) + (move.astype(np.float64) @ rows.T)[:n]
        curved = bent[j].astype(np.float64) + bend[j]
        full = np.concatenate([curved[: n_softmax * n_classes, : len(rows)], plain])
        _votes(full.reshape(n_members, n_classes, len(rows)), offset, n_softmax, start, tiles[j], sums)
