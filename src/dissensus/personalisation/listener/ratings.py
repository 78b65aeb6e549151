"""Who rated what, found by track and by listener: one table for all listeners, and versions of it that differ by few ratings.

A table is sorted once, both ways, and never changes. A version is a table, the places of ratings that are gone and the few
that came since: making one costs what changed, not what is there. Once more than :data:`MAX_EDITS` have changed, the next
version gets a table of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_EDITS", "Columns", "RatingRows", "RatingTable", "Ratings"]

Ints = NDArray[np.int64]
#: Track, listener, label, instrument and serial of some ratings.
Columns: TypeAlias = tuple[Ints, Ints, Ints, Ints, Ints]

#: Ratings that may differ from the table before a version gets a table of its own.
MAX_EDITS: Final = 1024


@dataclass(frozen=True, eq=False)
class RatingRows:
    """Ratings of some tracks (or of some listeners), one after the other.

    Attributes
    ----------
    start : (n + 1,) ndarray of int64
        Where the ratings of each track (listener) begin and end.
    other : (m,) ndarray
        Listener (track) of each rating, rising within a track (listener).
    label : (m,) ndarray
        Class index of each.
    row : (m,) ndarray of int64
        Where each is in its version, for :meth:`Ratings.columns`.
    """

    start: Ints
    other: NDArray[Any]
    label: NDArray[Any]
    row: NDArray[Any]

    def owner(self) -> Ints:
        """``(m,)`` position of the track (listener) that each rating belongs to."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


class RatingTable:
    """Ratings in the order of arrival and sorted by track and by listener. Immutable.

    Parameters
    ----------
    track, listener, label, instrument, serial : (n,) ndarray of int64
        Who rated what, how, in which questionnaire, and the number of the annotation it came from (−1: none).
    n_tracks, n_listeners : int
        Sizes; every index is below.
    """

    def __init__(
        self, track: Ints, listener: Ints, label: Ints, instrument: Ints, serial: Ints, n_tracks: int, n_listeners: int
    ) -> None:
        self.track, self.listener = track.astype(np.int32), listener.astype(np.int32)
        self.label, self.instrument = label.astype(np.int32), instrument.astype(np.int64)
        self.serial = serial.astype(np.int64)
        self.n_tracks, self.n_listeners = n_tracks, n_listeners
        order = np.lexsort((track, listener))
        self.by_listener = RatingRows(_starts(listener, n_listeners), self.track[order], self.label[order], order)
        order = order[np.argsort(track[order], kind="stable")]
        self.by_track = RatingRows(
            _starts(track, n_tracks), self.listener[order].astype(np.uint32), self.label[order], order
        )

    def __len__(self) -> int:
        return len(self.track)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        arrays: list[NDArray[Any]] = [self.track, self.listener, self.label, self.instrument, self.serial]
        for rows in (self.by_track, self.by_listener):
            arrays += [rows.start, rows.other, rows.label, rows.row]
        return sum(int(array.nbytes) for array in arrays)


def _starts(key: Ints, size: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(key, minlength=size))]).astype(np.int64)


_COLUMNS: Final = ("track", "listener", "label", "instrument", "serial")


@dataclass(frozen=True, eq=False)
class Ratings:
    """One version of everybody's ratings. Immutable.

    A rating's *row* is its place in the table, or the table's length plus its place among the ratings that came since; a row
    means nothing in another version.

    Attributes
    ----------
    table : RatingTable
        What most versions share.
    gone : (g,) ndarray of int64
        Rows of the table that are no longer there, rising.
    extra : (5, e) ndarray of int64
        Ratings that came since: track, listener, label, instrument, serial.
    n_listeners : int
        Listeners known so far, those without a rating included.
    """

    table: RatingTable
    gone: Ints
    extra: Ints
    n_listeners: int

    @classmethod
    def of(cls, track: Ints, listener: Ints, label: Ints, instrument: Ints, n_tracks: int, n_listeners: int) -> Ratings:
        """The first version: every rating's serial is its position here."""
        table = RatingTable(track, listener, label, instrument, np.arange(len(track)), n_tracks, n_listeners)
        return cls(table, np.empty(0, np.int64), np.empty((5, 0), np.int64), n_listeners)

    def __len__(self) -> int:
        return len(self.table) - len(self.gone) + int(self.extra.shape[1])

    @property
    def n_tracks(self) -> int:
        """Tracks of the catalogue, rated or not."""
        return self.table.n_tracks

    def everything(self) -> Columns:
        """``track, listener, label, instrument, serial`` of every rating, in the order of arrival."""
        out = np.empty((5, len(self)), dtype=np.int64)
        n = len(self.table) - len(self.gone)
        for place, name in zip(out, _COLUMNS, strict=True):
            column = getattr(self.table, name)
            place[:n] = np.delete(column, self.gone) if len(self.gone) else column
        out[:, n:] = self.extra
        return out[0], out[1], out[2], out[3], out[4]

    def columns(self, rows: Ints) -> Columns:
        """``track, listener, label, instrument, serial`` of these rows."""
        n = len(self.table)
        old = rows < n
        out = np.empty((5, len(rows)), dtype=np.int64)
        for place, name in zip(out, _COLUMNS, strict=True):
            place[old] = getattr(self.table, name)[rows[old]]
        out[:, ~old] = self.extra[:, rows[~old] - n]
        return out[0], out[1], out[2], out[3], out[4]

    def of_tracks(self, tracks: Ints) -> RatingRows:
        """Ratings of these tracks, each named once; listeners rise within a track."""
        return self._some(self.table.by_track, tracks, 0)

    def of_listeners(self, listeners: Ints) -> RatingRows:
        """Ratings by these listeners, each named once; tracks rise within a listener."""
        return self._some(self.table.by_listener, listeners, 1)

    def _some(self, base: RatingRows, keys: Ints, axis: int) -> RatingRows:
        size = len(base.start) - 1
        inside = np.minimum(keys, size - 1) if size else np.zeros(len(keys), dtype=np.int64)
        first = base.start[inside]
        length = np.where(keys < size, base.start[inside + 1] - first if size else 0, 0)
        start = np.concatenate([[0], np.cumsum(length)])
        places = np.arange(start[-1]) + np.repeat(first - start[:-1], length)
        other, label, row = base.other[places], base.label[places], base.row[places]
        if len(self.gone) == 0 and self.extra.shape[1] == 0:
            return RatingRows(start, other, label, row)
        owner = np.repeat(np.arange(len(keys)), length)
        if _among(keys, self._touched[axis]).any():
            kept = ~_among(row, self.gone)
            owner, other, label, row = owner[kept], other[kept], label[kept], row[kept]
        order = np.argsort(keys, kind="stable")
        place = np.searchsorted(keys, self.extra[axis], sorter=order)
        found = order[np.minimum(place, len(keys) - 1)] if len(keys) else np.zeros(len(place), dtype=np.int64)
        mine = np.flatnonzero(keys[found] == self.extra[axis]) if len(keys) else np.empty(0, np.int64)
        if len(mine):
            owner = np.concatenate([owner, found[mine]])
            other = np.concatenate([other.astype(np.int64), self.extra[1 - axis, mine]])
            label = np.concatenate([label, self.extra[2, mine]])
            row = np.concatenate([row, len(self.table) + mine])
            order = np.lexsort((other, owner))
            owner, other, label, row = owner[order], other[order], label[order], row[order]
        return RatingRows(_starts(owner, len(keys)), other, label, row)

    @cached_property
    def _touched(self) -> tuple[Ints, Ints]:
        """Tracks and listeners that the table says more of than is there."""
        table = self.table
        return np.unique(table.track[self.gone]).astype(np.int64), np.unique(table.listener[self.gone]).astype(np.int64)

    @cached_property
    def n_raters(self) -> Ints:
        """``(n_tracks,)`` ratings of each track."""
        count = np.diff(self.table.by_track.start)
        count -= np.bincount(self.table.track[self.gone], minlength=self.n_tracks)
        count += np.bincount(self.extra[0], minlength=self.n_tracks)
        return count

    def rows_of(self, *, listeners: Ints | None = None, tracks: Ints | None = None) -> Ints:
        """Rows by any of these listeners or about any of these tracks, rising."""
        parts = []
        if listeners is not None:
            parts.append(self.of_listeners(np.unique(listeners)).row)
        if tracks is not None:
            parts.append(self.of_tracks(np.unique(tracks)).row)
        if not parts:
            return np.empty(0, dtype=np.int64)
        return np.unique(np.concatenate(parts)) if len(parts) > 1 else np.sort(parts[0])

    def pairs(self, track: Ints, listener: Ints) -> Ints:
        """Rows of these pairs of track and listener, rising; a pair that is not there has none."""
        mine = self.of_listeners(np.unique(listener))
        who = np.unique(listener)[mine.owner()]
        wanted = np.unique(listener * np.int64(self.n_tracks) + track)
        return np.sort(mine.row[_among(who * np.int64(self.n_tracks) + mine.other, wanted)])

    def without(self, rows: Ints) -> Ratings:
        """The version without these rows; it keeps the table."""
        n = len(self.table)
        old = rows[rows < n]
        gone = np.insert(self.gone, np.searchsorted(self.gone, old), old) if len(old) else self.gone
        extra = np.delete(self.extra, rows[rows >= n] - n, axis=1) if len(old) < len(rows) else self.extra
        return replace(self, gone=gone, extra=extra)

    def with_more(self, track: Ints, listener: Ints, label: Ints, instrument: Ints) -> Ratings:
        """The version with these ratings as well; it keeps the table."""
        more = np.stack([track, listener, label, instrument, np.full(len(track), -1)])
        n_listeners = max(self.n_listeners, int(listener.max(initial=-1)) + 1)
        return replace(self, extra=np.hstack([self.extra, more]), n_listeners=n_listeners)

    def compact(self) -> Ratings:
        """The same ratings in a table of their own."""
        table = RatingTable(*self.everything(), self.n_tracks, self.n_listeners)
        return replace(self, table=table, gone=np.empty(0, np.int64), extra=np.empty((5, 0), np.int64))

    @property
    def n_edits(self) -> int:
        """Ratings that differ from the table."""
        return len(self.gone) + int(self.extra.shape[1])


def _among(values: NDArray[Any], some: Ints) -> NDArray[np.bool_]:
    """Which values are in ``some``, which rises."""
    if len(some) == 0:
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(some, values), len(some) - 1)
    return np.asarray(some[place] == values)
