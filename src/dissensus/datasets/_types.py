"""What every loader returns, and the one rule that turns arousal and valence into a quadrant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import id_array, is_same_id
from dissensus._order import newest_rows
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = ["QUADRANTS", "Annotations", "Boundary", "Dataset", "quadrant"]

#: Class names in the order of their index: A+V+, A+V−, A−V−, A−V+.
QUADRANTS: Final = ("Q1", "Q2", "Q3", "Q4")

Boundary = Literal["nonneg", "drop", "amg1608", "strict"]


def quadrant(arousal: ArrayLike, valence: ArrayLike, *, boundary: Boundary = "nonneg") -> NDArray[np.int64]:
    """Quadrant of points of the arousal–valence plane.

    Parameters
    ----------
    arousal, valence : array_like of float
        Centred on zero, any range; shapes must broadcast. Subtract the middle of the scale first where it is not zero.
    boundary : {"nonneg", "drop", "amg1608", "strict"}
        What a zero means. ``"nonneg"``: a zero counts as positive, on both axes (the DEAM pre-training rule).
        ``"drop"``: a zero on either axis gives −1, no quadrant. ``"amg1608"``: the asymmetric chain of the published
        AMG1608 experiments, (0, −) and (−, 0) are Q3, for reproducing them. ``"strict"``: only +1 and −1 are allowed,
        as in TROMPA-MER.

    Returns
    -------
    ndarray of int64
        0..3 = Q1 (A+V+), Q2 (A+V−), Q3 (A−V−), Q4 (A−V+), or −1 where ``"drop"`` dropped the point.

    Raises
    ------
    ParameterError
        A value is NaN or infinite, the shapes do not broadcast, the rule is unknown, or ``"strict"`` met something
        else than ±1.

    References
    ----------
    .. [1] Gómez-Cañón et al., "Let's agree to disagree", ISMIR 2021.

    Examples
    --------
    >>> quadrant([0.5, 0.5, -0.5, -0.5, 0.0], [0.5, -0.5, -0.5, 0.5, -0.1])
    array([0, 1, 2, 3, 1])
    >>> quadrant([0.0, -1.0], [1.0, 1.0], boundary="drop")
    array([-1,  3])
    """
    try:
        a, v = np.broadcast_arrays(np.asarray(arousal, dtype=np.float64), np.asarray(valence, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"arousal and valence must be numbers of one shape: {error}") from None
    bad = ~(np.isfinite(a) & np.isfinite(v))
    if bad.any():
        where = np.argwhere(bad)[0].tolist()
        raise ParameterError(f"arousal or valence is not finite at {where} ({int(bad.sum())} in all); drop these first")
    if boundary == "strict":
        wrong = (np.abs(a) != 1) | (np.abs(v) != 1)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            raise ParameterError(f"arousal {a[at]:g}, valence {v[at]:g} at {list(at)}: only +1 and -1 are allowed here")
    elif boundary not in ("nonneg", "drop", "amg1608"):
        raise ParameterError(f"boundary={boundary!r}: must be 'nonneg', 'drop', 'amg1608' or 'strict'")
    up, right = a >= 0, v >= 0
    if boundary == "amg1608":
        up = up & ~((a == 0) & (v < 0))
        right = right & ~((a < 0) & (v == 0))
    index = np.where(up, np.where(right, 0, 1), np.where(right, 3, 2)).astype(np.int64)
    if boundary == "drop":
        index[(a == 0) | (v == 0)] = -1
    return index


@dataclass(frozen=True, eq=False)
class Annotations:
    """Judgements of listeners about tracks, one row each.

    Parameters
    ----------
    listener_id, track_id : (n,) ndarray of int or str
        Who judged which track. Ids are compared by value: ``3``, ``3.0`` and ``"3"`` are one listener.
    label : (n,) ndarray of int64
        Index into ``classes``; −1 = this judgement names no class.
    classes : tuple of str
        Class names by index.
    timestamp : (n,) ndarray of int64, optional
        When, in unix seconds.
    extra : mapping of str to (n,) ndarray
        Further columns of the data set (arousal, valence, mood word, …).

    Raises
    ------
    DataFormatError
        Columns of different lengths, an id that is missing or no id, or a label outside the classes.

    Examples
    --------
    >>> a = Annotations(np.array(["ann", "ann", "bob"]), np.array(["x", "y", "x"]), np.array([0, 2, 1]), QUADRANTS)
    >>> len(a), a.listeners().tolist(), a.listeners(min_tracks=2).tolist()
    (3, ['ann', 'bob'], ['ann'])
    >>> a.of("ann").track_id.tolist(), a.without("ann").label.tolist()
    (['x', 'y'], [1])
    """

    listener_id: NDArray[Any]
    track_id: NDArray[Any]
    label: NDArray[np.int64]
    classes: tuple[str, ...]
    timestamp: NDArray[np.int64] | None = None
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", np.asarray(self.label, dtype=np.int64))
        for name in ("listener_id", "track_id"):
            try:
                object.__setattr__(self, name, id_array(getattr(self, name), what=name))
            except ParameterError as error:
                raise DataFormatError(f"annotations: {error}") from None
        n = len(self.listener_id)
        columns = {"track_id": self.track_id, "label": self.label, **self.extra}
        if self.timestamp is not None:
            columns["timestamp"] = self.timestamp
        for name, column in columns.items():
            if len(column) != n:
                raise DataFormatError(f"annotations: {name} has {len(column)} rows, listener_id has {n}")
        outside = (self.label < -1) | (self.label >= len(self.classes))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataFormatError(
                f"annotations: label {self.label[row]} in row {row} is not an index of {self.classes}, nor -1 for none"
            )

    def __len__(self) -> int:
        return len(self.listener_id)

    def subset(self, rows: ArrayLike) -> Annotations:
        """The rows picked by a boolean mask or by row numbers."""
        keep = np.asarray(rows)
        return Annotations(
            self.listener_id[keep],
            self.track_id[keep],
            self.label[keep],
            self.classes,
            None if self.timestamp is None else self.timestamp[keep],
            {name: column[keep] for name, column in self.extra.items()},
        )

    def of(self, listener_id: Any) -> Annotations:
        """This listener's rows; ids are compared by value, so that ``3`` and ``"3"`` are the same.

        Raises
        ------
        ParameterError
            No id, or one that nobody has but that looks like somebody's.
        """
        return self.subset(is_same_id(self.listener_id, listener_id))

    def without(self, listener_id: Any) -> Annotations:
        """Everybody else's rows: the crowd, seen from this listener; ids and errors as in :meth:`of`."""
        return self.subset(~is_same_id(self.listener_id, listener_id))

    def listeners(self, *, min_tracks: int = 1) -> NDArray[Any]:
        """Sorted ids of the listeners with at least ``min_tracks`` distinct labelled tracks."""
        named = self.label >= 0
        people, person = np.unique(self.listener_id[named], return_inverse=True)
        tracks, track = np.unique(self.track_id[named], return_inverse=True)
        pairs = np.unique(person.reshape(-1) * np.int64(max(len(tracks), 1)) + track.reshape(-1))
        count = np.bincount(pairs // max(len(tracks), 1), minlength=len(people))
        return people[count >= min_tracks]

    def matrix(self, column: str | None = None) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
        """The annotations as a table of listeners by tracks, as measures of agreement want them.

        Parameters
        ----------
        column : str, optional
            A numeric column of ``extra``. Default: the labels, −1 counting as missing.

        Returns
        -------
        ratings : (n_listeners, n_tracks) ndarray of float64
            NaN where a listener did not judge a track; of several judgements the newest.
        listeners, tracks : ndarray
            Sorted ids of the rows and columns.

        Raises
        ------
        ParameterError
            There is no such column, or it does not hold numbers.

        Examples
        --------
        >>> a = Annotations(np.array(["ann", "bob"]), np.array(["x", "y"]), np.array([0, 2]), QUADRANTS)
        >>> a.matrix()[0]
        array([[ 0., nan],
               [nan,  2.]])
        """
        once = self.newest()
        if column is None:
            values = np.where(once.label < 0, np.nan, once.label)
        elif column not in once.extra or once.extra[column].dtype.kind not in "biuf":
            names = [name for name, array in once.extra.items() if array.dtype.kind in "biuf"]
            raise ParameterError(
                f"column={column!r}: must be a numeric column of extra: {', '.join(names) or 'none here'}"
            )
        else:
            values = once.extra[column].astype(np.float64)
        listeners, row = np.unique(once.listener_id, return_inverse=True)
        tracks, place = np.unique(once.track_id, return_inverse=True)
        ratings = np.full((len(listeners), len(tracks)), np.nan)
        ratings[row.reshape(-1), place.reshape(-1)] = values
        return ratings, listeners, tracks

    def newest(self) -> Annotations:
        """One row per listener and track: that of the newest timestamp; without one, or on equal ones, the last."""
        return self.subset(newest_rows(self.listener_id, self.track_id, self.timestamp))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features of tracks and what listeners said about them.

    Parameters
    ----------
    name : str
        Of the data set.
    pool : Pool
        Feature windows of every track; zero columns where a data set comes without features.
    annotations : Annotations
        All about tracks of the pool.
    weak_label : (n_tracks,) ndarray of int64, optional
        A label that needs no listener (from metadata or from the population), in the order of ``pool.track_ids``;
        −1 = none.
    track_table : mapping of str to (n_tracks,) ndarray
        What else is known of the tracks, in the order of ``pool.track_ids``.
    source : str
        Where the data come from and how to cite them.
    notes : tuple of str
        In words, what reading the files left out or filled in.

    Raises
    ------
    DataFormatError
        Columns that do not fit the pool, or annotations about tracks that it does not hold.
    """

    name: str
    pool: Pool
    annotations: Annotations
    weak_label: NDArray[np.int64] | None = None
    track_table: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        columns = dict(self.track_table)
        if self.weak_label is not None:
            columns["weak_label"] = self.weak_label
        for name, column in columns.items():
            if len(column) != self.pool.n_tracks:
                raise DataFormatError(f"{self.name}: {name} has {len(column)} rows for {self.pool.n_tracks} tracks")
        strangers = [t for t in np.unique(self.annotations.track_id).tolist() if t not in self.pool]
        if strangers:
            raise DataFormatError(
                f"{self.name}: {len(strangers)} annotated tracks have no features, among them {strangers[0]!r}"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return self.annotations.classes

    def __repr__(self) -> str:
        people = len(np.unique(self.annotations.listener_id))
        return f"Dataset({self.name!r}: {self.pool!r}, {len(self.annotations)} annotations by {people} listeners)"
