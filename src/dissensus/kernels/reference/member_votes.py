"""Slow twins of ``kernels/member_votes.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["held_scores", "held_votes", "linear_scores", "linear_votes", "quadratic_scores", "standardise"]


def standardise(
    X: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64], out: NDArray[np.float32]
) -> int:
    """Write (X - mean) / scale to ``out``; return the first row with a value that is not finite, else -1."""
    with np.errstate(over="ignore"):
        out[:] = (X - mean) / scale
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


def _votes(
    full: NDArray[np.float64],
    offset: NDArray[np.float32],
    is_softmax: NDArray[np.bool_],
    start: NDArray[np.int64],
    tile: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    full = full + offset[:, :, None]
    row, first, n_tracks = tile
    for m in range(len(full)):
        proba = np.exp(full[m] - full[m].max(axis=0)) if is_softmax[m] else np.exp(-np.logaddexp(0.0, -full[m]))
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
    is_softmax: NDArray[np.bool_],
    score: NDArray[np.float32],
    work: NDArray[np.float32],
    power: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """Add the probabilities of quadratic and linear members for some tiles to the sums of tracks."""
    del work, power
    width, (n_members, n_classes) = score.shape[1], offset.shape
    n_softmax = int(is_softmax.sum())
    for tile in tiles[begin:end]:
        rows = X[tile[0] : tile[0] + width].astype(np.float64)
        curved = bent.astype(np.float64) @ rows.T + bend.astype(np.float64) @ (rows**2).T
        plain = straight.astype(np.float64) @ rows.T
        full = np.concatenate([curved[: n_softmax * n_classes], plain[: (n_members - n_softmax) * n_classes]]).reshape(
            n_members, n_classes, width
        )
        _votes(full, offset, is_softmax, start, tile, sums)


def held_scores(
    X: NDArray[np.float32],
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
    width = score.shape[1]
    for j in range(begin, end):
        rows = X[tiles[j, 0] : tiles[j, 0] + width].astype(np.float64)
        full = linear.astype(np.float64) @ rows.T
        if len(quadratic):
            full += quadratic.astype(np.float64) @ (rows**2).T
        held[j, column] = full[: len(column)]


def held_votes(
    bent: NDArray[np.float32],
    straight: NDArray[np.float32],
    Z: NDArray[np.float32],
    move: NDArray[np.float32],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    begin: int,
    end: int,
    offset: NDArray[np.float32],
    is_softmax: NDArray[np.bool_],
    score: NDArray[np.float32],
    work: NDArray[np.float32],
    power: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """As linear_votes, from scores that are held and a move of the sigmoid members' weights in a small space."""
    del work, power
    width, (n_members, n_classes) = score.shape[1], offset.shape
    n_softmax = int(is_softmax.sum())
    for j in range(begin, end):
        rows = Z[tiles[j, 0] : tiles[j, 0] + width].astype(np.float64)
        n = (n_members - n_softmax) * n_classes
        plain = straight[j, :n].astype(np.float64) + (move.astype(np.float64) @ rows.T)[:n]
        full = np.concatenate([bent[j, : n_softmax * n_classes].astype(np.float64), plain])
        _votes(full.reshape(n_members, n_classes, width), offset, is_softmax, start, tiles[j], sums)
