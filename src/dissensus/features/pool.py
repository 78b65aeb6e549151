"""A pool: the tracks that may be asked about, each a run of feature windows, in memory or on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import IdIndex, id_array
from dissensus._order import number_by_appearance
from dissensus._ties import id_hashes
from dissensus.errors import FeatureMismatchError, ParameterError, UnknownTrackError

if TYPE_CHECKING:
    from dissensus.features.pool_store import StoredPool

__all__ = ["Pool"]


class Pool:
    """Feature windows grouped by track.

    Parameters
    ----------
    X : (n_windows, n_features) array_like of float
        One row per window. float32 and float64 are kept as they are, without a copy.
    track_ids : (n_windows,) array_like of int or str
        The track of each window; a track with several windows repeats its id. Tracks are numbered in order of first
        appearance. Ids are compared by value: ``3``, ``3.0`` and ``"3"`` are one track.
    feature_names : sequence of str, optional
        Names of the columns.
    fingerprint : str, optional
        What made the features (see the feature plans); a committee refuses a pool with another fingerprint.

    Raises
    ------
    ParameterError
        Shapes that do not fit together, or an id that is missing or neither a whole number nor a text.

    Attributes
    ----------
    track_ids : (n_tracks,) ndarray
        Distinct ids, in order of first appearance.
    groups : (n_windows,) ndarray of int64
        Index of each window's track in ``track_ids``.

    Examples
    --------
    >>> pool = Pool([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["a", "a", "b"])
    >>> pool.n_tracks, pool.n_windows, pool.n_features
    (2, 3, 2)
    >>> pool.index_of(["b"])
    array([1])

    On disk, with the windows memory-mapped:

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "pool"
    >>> pool.save(folder)
    >>> Pool.open(folder)
    Pool(2 tracks, 3 windows, 2 features)
    """

    X: NDArray[Any]
    feature_names: tuple[str, ...] | None
    fingerprint: str | None
    _stored: StoredPool | None = None

    def __init__(
        self,
        X: ArrayLike,
        track_ids: ArrayLike | Sequence[Any],
        *,
        feature_names: Sequence[str] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        windows = np.asarray(X)
        if windows.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            windows = windows.astype(np.float64)
        if windows.ndim != 2:
            raise ParameterError(f"X must be (n_windows, n_features); got shape {windows.shape}")
        ids = id_array(track_ids, what="track_ids")
        if ids.shape != (len(windows),):
            raise ParameterError(
                f"track_ids must name the track of each of the {len(windows)} windows; got shape {ids.shape}"
            )
        if feature_names is not None and len(feature_names) != windows.shape[1]:
            raise ParameterError(f"{len(feature_names)} feature_names for {windows.shape[1]} columns")
        self.X = windows
        self.groups, self.track_ids = number_by_appearance(ids)
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.fingerprint = fingerprint

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = False) -> Pool:
        """Open a pool on disk, in milliseconds: the windows stay there until they are used.

        A pool that is being written may be opened: it holds the tracks that were complete at the last commit.

        Parameters
        ----------
        path : str or path
            A folder made by :meth:`save`, :class:`~dissensus.features.PoolWriter` or ``dissensus extract``.
        verify : bool
            Read everything and compare it with its checksums.

        Returns
        -------
        Pool
            ``X`` is a read-only memory map of float32; ``track_ids`` and ``groups`` are made at first use.

        Raises
        ------
        PoolFormatError
            No pool there, a damaged or incomplete one, or one of a newer version.
        """
        from dissensus.features.pool_store import StoredPool

        stored = StoredPool(path)
        if verify:
            stored.verify()
        pool = cls.__new__(cls)
        pool._stored = stored
        pool.X = stored.windows
        pool.feature_names = stored.feature_names
        pool.fingerprint = stored.fingerprint
        return pool

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pool to a new folder, as float32; windows of one track come to stand together.

        Raises
        ------
        PoolFormatError
            There is a pool already.
        ParameterError
            Windows that are not finite, or ids that are neither whole numbers nor text.
        """
        from dissensus.features.pool_writer import PoolWriter

        order = np.argsort(self.groups, kind="stable")
        ends = np.cumsum(np.bincount(self.groups, minlength=self.n_tracks))
        with PoolWriter(
            path,
            n_features=self.n_features,
            feature_names=self.feature_names,
            fingerprint=self.fingerprint,
            resume=False,
        ) as writer:
            for track_id, rows in zip(self.track_ids.tolist(), np.split(order, ends[:-1]), strict=True):
                writer.append(track_id, self.X[rows])

    @cached_property
    def track_ids(self) -> NDArray[Any]:
        """Distinct ids, in order of first appearance."""
        assert self._stored is not None
        return self._stored.ids()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Index of each window's track in ``track_ids``."""
        assert self._stored is not None
        return np.repeat(np.arange(self.n_tracks, dtype=np.int64), np.diff(self._stored.starts))

    @cached_property
    def _index(self) -> IdIndex:
        return IdIndex(self.track_ids, what="track")

    @property
    def n_tracks(self) -> int:
        """Number of distinct tracks."""
        return len(self.track_ids) if self._stored is None else len(self._stored.starts) - 1

    @property
    def n_windows(self) -> int:
        """Number of rows of ``X``."""
        return len(self.X)

    @property
    def n_features(self) -> int:
        """Number of columns of ``X``."""
        return int(self.X.shape[1])

    def __len__(self) -> int:
        return self.n_tracks

    def __contains__(self, track_id: object) -> bool:
        return self._index.find(track_id) is not None

    def __repr__(self) -> str:
        return f"Pool({self.n_tracks} tracks, {self.n_windows} windows, {self.n_features} features)"

    def index_of(self, track_ids: Iterable[Any]) -> NDArray[np.int64]:
        """Positions of tracks in ``self.track_ids``.

        Raises
        ------
        UnknownTrackError
            A track is not in the pool.
        """
        position = self._index.find
        found = [(position(t), t) for t in track_ids]
        for at, track_id in found:
            if at is None:
                raise UnknownTrackError(f"track {track_id!r} is not in the pool of {self.n_tracks} tracks")
        return np.array([at for at, _ in found], dtype=np.int64)

    def rows_of(self, track_ids: Iterable[Any]) -> NDArray[np.int64]:
        """Row numbers of all windows of these tracks, in the order of the rows."""
        wanted = np.unique(self.index_of(track_ids))
        if self._stored is not None:
            starts = self._stored.starts
            runs = [np.arange(starts[i], starts[i + 1], dtype=np.int64) for i in wanted]
            return np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)
        mask = np.zeros(self.n_tracks, dtype=bool)
        mask[wanted] = True
        return np.flatnonzero(mask[self.groups])

    @cached_property
    def id_hashes(self) -> NDArray[np.uint64]:
        """A pseudo-random number per track, a function of its id alone; shared by all who break ties."""
        return id_hashes(self.track_ids)

    @cached_property
    def _runs(self) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
        """Windows track by track (None: they lie so), and where each track begins."""
        if self._stored is not None:
            return None, np.asarray(self._stored.starts, dtype=np.int64)
        start = np.concatenate([[0], np.cumsum(np.bincount(self.groups, minlength=self.n_tracks))])
        return (None if (np.diff(self.groups) >= 0).all() else np.argsort(self.groups, kind="stable")), start

    def windows_of(self, index: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Windows of some tracks, and nobody else's: on disk, only these are read.

        Parameters
        ----------
        index : (n,) array_like of int
            Positions of the tracks, in any order.

        Returns
        -------
        X : (n_windows, n_features) ndarray
            Track by track, in the order of ``index``.
        start : (n + 1,) ndarray of int64
            Where each track begins, and the end.

        Examples
        --------
        >>> X, start = Pool([[0.0], [1.0], [2.0]], ["a", "b", "a"]).windows_of([1, 0])
        >>> X.ravel().tolist(), start.tolist()
        ([1.0, 0.0, 2.0], [0, 1, 3])
        """
        order, begin = self._runs
        tracks = np.asarray(index, dtype=np.int64)
        length = begin[tracks + 1] - begin[tracks]
        start = np.concatenate([[0], np.cumsum(length)])
        rows = np.arange(start[-1]) + np.repeat(begin[tracks] - start[:-1], length)
        return np.asarray(self.X[rows if order is None else order[rows]]), start

    def select(self, feature_names: Sequence[str]) -> Pool:
        """A pool of these feature columns, in this order, in memory: what puts columns right for a committee.

        Raises
        ------
        FeatureMismatchError
            The pool's features have no names, or one of the names is not among them.

        Examples
        --------
        >>> pool = Pool([[1.0, 2.0]], ["a"], feature_names=["tempo", "level"])
        >>> pool.select(["level", "tempo"]).X
        array([[2., 1.]])
        """
        if self.feature_names is None:
            raise FeatureMismatchError("the features of this pool have no names to select them by")
        place = {name: i for i, name in enumerate(self.feature_names)}
        missing = [name for name in feature_names if name not in place]
        if missing:
            raise FeatureMismatchError(
                f"the pool has no feature {missing[0]!r}; it has {', '.join(self.feature_names[:12])}"
                + (", …" if len(self.feature_names) > 12 else "")
            )
        wanted = [place[name] for name in feature_names]
        if wanted == list(range(self.n_features)):
            return self
        return Pool(self.X[:, wanted], self.track_ids[self.groups], feature_names=tuple(feature_names))

    def subset(self, track_ids: Iterable[Any]) -> Pool:
        """A pool of these tracks only, in memory; windows keep their order."""
        rows = self.rows_of(track_ids)
        starts = None if self._stored is None else self._stored.starts
        track = self.groups[rows] if starts is None else np.searchsorted(starts, rows, side="right") - 1
        return Pool(
            self.X[rows],
            self.track_ids[track],
            feature_names=self.feature_names,
            fingerprint=self.fingerprint,
        )
