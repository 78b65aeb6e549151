"""A pool: the tracks that may be asked about, each a run of feature windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError, UnknownTrackError

__all__ = ["Pool"]


class Pool:
    """Feature windows grouped by track.

    Parameters
    ----------
    X : (n_windows, n_features) array_like of float
        One row a window. float32 and float64 are kept as they are, without a copy.
    track_ids : (n_windows,) array_like
        The track of each window; a track with several windows repeats its id. Tracks are numbered in order of first
        appearance.
    feature_names : sequence of str, optional
        Names of the columns.
    fingerprint : str, optional
        What made the features (see the feature plans); a committee refuses a pool with another fingerprint.

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
    """

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
        ids = np.asarray(track_ids)
        if ids.shape != (len(windows),):
            raise ParameterError(
                f"track_ids must name the track of each of the {len(windows)} windows; got shape {ids.shape}"
            )
        if feature_names is not None and len(feature_names) != windows.shape[1]:
            raise ParameterError(f"{len(feature_names)} feature_names for {windows.shape[1]} columns")
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        self.X: NDArray[Any] = windows
        self.track_ids: NDArray[Any] = ids[first[order]]
        self.groups: NDArray[np.int64] = rank[inverse.reshape(-1)]
        self.feature_names: tuple[str, ...] | None = None if feature_names is None else tuple(feature_names)
        self.fingerprint = fingerprint
        self._index: dict[Any, int] = {value: i for i, value in enumerate(self.track_ids.tolist())}

    @property
    def n_tracks(self) -> int:
        """Number of distinct tracks."""
        return len(self.track_ids)

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
        return track_id in self._index

    def __repr__(self) -> str:
        return f"Pool({self.n_tracks} tracks, {self.n_windows} windows, {self.n_features} features)"

    def index_of(self, track_ids: Iterable[Any]) -> NDArray[np.int64]:
        """Positions of tracks in ``self.track_ids``.

        Raises
        ------
        UnknownTrackError
            A track is not in the pool.
        """
        try:
            return np.array([self._index[t.item() if isinstance(t, np.generic) else t] for t in track_ids], dtype=np.int64)
        except KeyError as error:
            raise UnknownTrackError(f"track {error.args[0]!r} is not in the pool of {self.n_tracks} tracks") from None

    def rows_of(self, track_ids: Iterable[Any]) -> NDArray[np.int64]:
        """Row numbers of all windows of these tracks, in the order of the rows."""
        wanted = np.zeros(self.n_tracks, dtype=bool)
        wanted[self.index_of(track_ids)] = True
        return np.flatnonzero(wanted[self.groups])

    def subset(self, track_ids: Iterable[Any]) -> Pool:
        """A pool of these tracks only; windows keep their order."""
        rows = self.rows_of(track_ids)
        return Pool(
            self.X[rows],
            self.track_ids[self.groups[rows]],
            feature_names=self.feature_names,
            fingerprint=self.fingerprint,
        )
