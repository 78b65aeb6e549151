"""A smooth kernel between tracks whose columns many listeners share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowsOf", "SmoothPart"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Columns are applied to so many tracks at a time.
_BLOCK = 8192


class RowsOf:
    """Rows of a table by number.

    Parameters
    ----------
    table : (n, D) ndarray
        The table.
    """

    def __init__(self, table: Floats) -> None:
        self.table = table

    def __call__(self, rows: Ints) -> Floats:
        """``(len(rows), D)``: those rows."""
        return np.asarray(self.table[rows])


class SmoothPart:
    """``weight * exp(-|a - b|^2 / (2 length^2 D))`` between tracks, one kept column per track that somebody answered.

    Threads share it without a lock: a column, once there, never changes, and making one twice does no harm.

    Parameters
    ----------
    table : (n, D) ndarray
        Coordinates of the tracks that are asked about.
    weight, length : float
        Variance and length.
    limit : int
        Bytes of columns kept; when they are full, all are dropped and made again as they are needed.
    points : callable, optional
        Gives the coordinates ``(k, D)`` of any tracks of the catalogue. Default: these are the rows of ``table``.
    """

    def __init__(
        self,
        table: Floats,
        weight: float,
        length: float,
        limit: int,
        *,
        points: Callable[[Ints], Floats] | None = None,
    ) -> None:
        self.table, self.weight, self.length, self.limit = table, weight, length, limit
        self._points = points
        self._squares: Floats = np.einsum("ij,ij->i", table, table)
        self._kept: dict[int, Floats] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": {}}

    @property
    def nbytes(self) -> int:
        """Bytes of the columns kept."""
        return 8 * len(self.table) * len(self._kept)

    def points(self, tracks: Ints) -> Floats:
        """``(k, D)`` coordinates of some tracks of the catalogue."""
        return self.table[tracks] if self._points is None else self._points(tracks)

    def _shaped(self, squares: Floats) -> Floats:
        """The kernel of squared distances, in their place."""
        np.maximum(squares, 0.0, out=squares)
        squares /= -2.0 * self.length**2 * self.table.shape[1]
        np.exp(squares, out=squares)
        squares *= self.weight
        return squares

    def column(self, track: int) -> Floats:
        """``(n,)`` covariance of every track that is asked about with one of the catalogue; not to be written to."""
        kept = self._kept
        found = kept.get(track)
        if found is not None:
            return found
        point = self.points(np.array([track]))
        out: Floats = self.table @ point[0]
        out *= -2.0
        out += self._squares
        out += np.einsum("ij,ij->i", point, point)
        size = out.nbytes
        if size * (len(kept) + 1) > self.limit:
            self._kept = kept = {}
        out = self._shaped(out)
        if size <= self.limit:
            kept[track] = out
        return out

    def columns(self, tracks: Ints) -> Iterator[tuple[slice, Floats]]:
        """The columns of these tracks, stacked, for one slice of the tracks that are asked about after the other."""
        columns = [self.column(track) for track in tracks.tolist()]
        if not columns:
            return
        for first in range(0, len(self.table), _BLOCK):
            some = slice(first, first + _BLOCK)
            yield some, np.stack([column[some] for column in columns])

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance between tracks of the catalogue."""
        a, b = self.points(rows), self.points(tracks)
        squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2.0 * (a @ b.T)
        return self._shaped(squares)
