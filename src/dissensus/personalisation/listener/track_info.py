"""What a listener model knows of tracks: means of their windows, and what is told besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._spread import column_deviation
from dissensus.errors import DataFormatError, ParameterError

if TYPE_CHECKING:
    from dissensus.features.pool import Pool

__all__ = ["TrackInfo", "descriptor_shares", "group_codes", "standardised", "track_means"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrackInfo:
    """What is known of tracks besides their features; every part optional.

    Parameters
    ----------
    weak_label : (n_tracks,) array_like of int, optional
        A class that needs no listener; −1 = none. Used for tracks that nobody rated.
    group : (n_tracks,) array_like, optional
        Selection, style or the like: what a listener says of one track speaks for its group.
    descriptors : (n_annotations, k) array_like, optional
        What each annotator added to their label, as shares in [0, 1]: one-hot mood words, liking. Their means over the
        others say which tracks sound alike.
    instrument : (n_annotations,) array_like of int, optional
        Questionnaire of each annotation.
    """

    weak_label: ArrayLike | None = None
    group: ArrayLike | None = None
    descriptors: ArrayLike | None = None
    instrument: ArrayLike | None = None


def track_means(pool: Pool) -> Floats:
    """``(n_tracks, n_features)`` mean window of each track."""
    if pool.n_windows == pool.n_tracks:
        return np.asarray(pool.X, dtype=np.float64)[np.argsort(pool.groups, kind="stable")]
    out = np.zeros((pool.n_tracks, pool.n_features))
    np.add.at(out, pool.groups, np.asarray(pool.X, dtype=np.float64))
    means: Floats = out / np.bincount(pool.groups, minlength=pool.n_tracks)[:, None]
    return means


def standardised(table: Floats, *, binary: bool = True) -> Floats:
    """Columns with mean 0 and deviation 1; constant ones become 0, those of two values stay if ``binary``."""
    if table.shape[0] == 0 or table.shape[1] == 0:
        return table
    out: Floats = (table - table.mean(axis=0)) / column_deviation(table, constant=np.inf)
    if binary:
        two = ((table == table.min(axis=0)) | (table == table.max(axis=0))).all(axis=0)
        out[:, two] = table[:, two] - table[:, two].min(axis=0)
    return out


def group_codes(group: ArrayLike, n_tracks: int) -> Ints:
    values = np.asarray(group)
    if values.shape != (n_tracks,):
        raise ParameterError(f"group must name the group of each of the {n_tracks} tracks; got shape {values.shape}")
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def descriptor_shares(descriptors: ArrayLike, n: int) -> Floats:
    values = np.asarray(descriptors, dtype=np.float64)
    if values.ndim != 2 or len(values) != n:
        raise DataFormatError(f"descriptors must be ({n}, k), one row an annotation; got shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataFormatError("descriptors must be shares between 0 and 1 (one-hot words, yes or no)")
    return values
