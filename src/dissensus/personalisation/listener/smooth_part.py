"""A smooth kernel between tracks whose columns many listeners share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["SmoothPart"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Columns are applied to so many tracks at a time.
_BLOCK = 8192


class SmoothPart:
    """``weight * exp(-|a - b|^2 / (2 length^2 D))`` between tracks, one kept column per track that somebody answered.

    Threads share it without a lock: a column, once there, never changes, and making one twice does no harm.

    Parameters
    ----------
    table : (n_tracks, D) ndarray
        Coordinates of the tracks.
    weight, length : float
        Variance and length.
    limit : int
        Bytes of columns kept; when they are full, all are dropped and made again as they are needed.
    """

    def __init__(self, table: Floats, weight: float, length: float, limit: int) -> None:
        self.table, self.weight, self.length, self.limit = table, weight, length, limit
        self._squares: Floats = np.einsum("ij,ij->i", table, table)
        self._kept: dict[int, Floats] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the columns kept."""
        return 8 * len(self.table) * len(self._kept)

    def column(self, track: int) -> Floats:
        """``(n_tracks,)`` covariance of every track with ``track``; not to be written to."""
        kept = self._kept
        found = kept.get(track)
        if found is not None:
            return found
        out: Floats = self.table @ self.table[track]
        out *= -2.0
        out += self._squares
        out += self._squares[track]
        np.maximum(out, 0.0, out=out)
        out /= -2.0 * self.length**2 * self.table.shape[1]
        np.exp(out, out=out)
        out *= self.weight
        size = out.nbytes
        if size * (len(kept) + 1) > self.limit:
            self._kept = kept = {}
        if size <= self.limit:
            kept[track] = out
        return out

    def columns(self, tracks: Ints) -> Iterator[tuple[slice, Floats]]:
        """The columns of these tracks, stacked, for one slice of the tracks after the other."""
        columns = [self.column(track) for track in tracks.tolist()]
        if not columns:
            return
        for first in range(0, len(self.table), _BLOCK):
            some = slice(first, first + _BLOCK)
            yield some, np.stack([column[some] for column in columns])
