"""Windows of the same track: numbering by first appearance, runs, means."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import id_array
from dissensus._order import number_by_appearance
from dissensus.errors import ParameterError

__all__ = ["TrackRuns", "number_tracks", "track_runs"]


class TrackRuns(NamedTuple):
    """Windows sorted by track.

    ``order`` lists the windows track by track (None: they already lie so); track ``i`` has ``order[start[i]:start[i + 1]]``.
    """

    order: NDArray[np.int64] | None
    start: NDArray[np.int64]


def number_tracks(groups: ArrayLike, n_windows: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Index of each window's track, and the tracks, in order of first appearance."""
    labels = id_array(groups, what="groups")
    if labels.shape != (n_windows,):
        raise ParameterError(f"groups must name the track of each of the {n_windows} windows; got shape {labels.shape}")
    return number_by_appearance(labels)


def track_runs(groups: ArrayLike | None, n_windows: int) -> TrackRuns:
    """Sort windows by track, tracks in order of first appearance; ``groups=None`` makes every window a track."""
    if groups is None:
        return TrackRuns(None, np.arange(n_windows + 1, dtype=np.int64))
    labels = id_array(groups, what="groups")
    if labels.shape == (n_windows,) and labels.dtype.kind in "iu" and n_windows:
        step = np.diff(labels)
        if labels[0] == 0 and ((step == 0) | (step == 1)).all():  # already 0, 0, 1, 2, 2, …
            start = np.concatenate([[0], np.flatnonzero(step) + 1, [n_windows]])
            return TrackRuns(None, start.astype(np.int64))
    index, tracks = number_tracks(labels, n_windows)
    start = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(tracks)))]).astype(np.int64)
    if n_windows and (np.diff(index) < 0).any():
        return TrackRuns(np.argsort(index, kind="stable"), start)
    return TrackRuns(None, start)
