"""Data sets annotated along time: a label for each instant, and one for the whole song made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._read import Table, number, read_table, unique_index
from dissensus.datasets._types import QUADRANTS, Annotations, Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = [
    "POPULATION",
    "Curve",
    "DynamicDataset",
    "SongLabel",
    "assemble",
    "population",
    "read_curves",
    "read_static",
    "song_labels",
]

#: The one listener of data sets that publish means over raters.
POPULATION: Final = "population"

SongLabel = Literal["majority", "mean", "static", "published"]

#: Times (ms), arousal and valence of one song.
Curve = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class DynamicDataset(Dataset):
    """A :class:`~dissensus.datasets.Dataset` with a label for each window too.

    Parameters
    ----------
    window_label : (n_windows,) ndarray of int64
        Quadrant of each window, −1 where the boundary rule drops it.
    window_time_s : (n_windows,) ndarray
        Time of each window in its song, s.
    window_av : (n_windows, 2) ndarray
        Arousal and valence, centred on zero.
    """

    window_label: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    window_time_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    window_av: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    def soft_label(self) -> NDArray[np.float64]:
        """(n_tracks, 4) share of each song's windows in each quadrant; NaN for a song without any."""
        counts = np.zeros((self.pool.n_tracks, len(QUADRANTS)))
        named = self.window_label >= 0
        np.add.at(counts, (self.pool.groups[named], self.window_label[named]), 1)
        total = counts.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0))


def read_curves(arousal: Path, valence: Path) -> dict[str, Curve]:
    """Songs of two wide files, ``song_id, sample_15000ms, …``; the instants that both annotate.

    Raises
    ------
    DataFormatError
        Other columns, a value that is no number, a song twice or in one file only, a song without a common instant.
    """
    tables = [read_table(path, required=("song_id",), ragged=True) for path in (arousal, valence)]
    (time_a, grid_a), (time_v, grid_v) = (_grid(table) for table in tables)
    times, from_a, from_v = np.intersect1d(time_a, time_v, return_indices=True)
    rows = [unique_index([cell.strip() for cell in table["song_id"]], table, "song_id") for table in tables]
    alone = sorted(rows[0].keys() ^ rows[1].keys())
    if alone:
        has = arousal if alone[0] in rows[0] else valence
        raise DataFormatError(
            f"{has}: song {alone[0]!r} is in this file only, not in the other of {arousal.name}, {valence.name}"
        )
    curves: dict[str, Curve] = {}
    for song, row in rows[0].items():
        a, v = grid_a[row, from_a], grid_v[rows[1][song], from_v]
        both = np.isfinite(a) & np.isfinite(v)
        if not both.any():
            raise DataFormatError(f"{tables[0].at(row)}: song {song!r} has no instant with both arousal and valence")
        curves[song] = (times[both], a[both], v[both])
    return curves


def _grid(table: Table) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    names = [name for name in table if name != "song_id"]
    times = [name.removeprefix("sample_").removesuffix("ms") for name in names]
    for name, time in zip(names, times, strict=True):
        if not time.isdecimal():
            raise DataFormatError(f"{table.path}, line 1: column {name!r} is not of the form sample_15000ms")
    if not names:
        raise DataFormatError(f"{table.path}, line 1: no column sample_15000ms, …")
    grid = np.stack([number(table, name, missing=("", "NaN", "nan", "NA")) for name in names], axis=1)
    return np.array(times, dtype=np.int64), grid


def read_static(paths: Sequence[Path], columns: tuple[str, str, str], middle: float) -> dict[str, tuple[float, float]]:
    """Song → centred (arousal, valence) of files with the columns ``(song, arousal, valence)``."""
    found: dict[str, tuple[float, float]] = {}
    for path in paths:
        table = read_table(path, required=columns)
        a, v = (number(table, name) - middle for name in columns[1:])
        for song, row in unique_index([cell.strip() for cell in table[columns[0]]], table, columns[0]).items():
            if song in found:
                raise DataFormatError(f"{table.at(row)}: song {song!r} is in an earlier file too")
            found[song] = (float(a[row]), float(v[row]))
    return found


def population(track_ids: Sequence[str] | NDArray[Any], label: NDArray[np.int64], **extra: NDArray[Any]) -> Annotations:
    """One annotation a track, by everybody."""
    ids = np.asarray(track_ids)
    return Annotations(np.full(len(ids), POPULATION), ids, label, QUADRANTS, None, extra)


def song_labels(
    window_label: NDArray[np.int64],
    window_av: NDArray[np.float64],
    groups: NDArray[np.int64],
    rule: SongLabel,
    boundary: Boundary,
) -> NDArray[np.int64]:
    """One quadrant a song from those of its windows.

    Parameters
    ----------
    window_label : (n_windows,) ndarray of int64
        −1 = none.
    window_av : (n_windows, 2) ndarray
        Centred arousal and valence.
    groups : (n_windows,) ndarray of int64
        Song of each window, 0..n−1.
    rule : {"majority", "mean", "published"}
        The most frequent quadrant, of equals the lowest; the quadrant of the mean point; or the highest quadrant that
        occurs at all, the slip of the published short-chunk CNN training, for reproducing it.
    boundary : str
        As in :func:`~dissensus.datasets.quadrant`, for ``"mean"``.

    Returns
    -------
    (n_songs,) ndarray of int64
        −1 for a song without a labelled window.
    """
    n = int(groups.max(initial=-1)) + 1
    if rule == "mean":
        size = np.maximum(np.bincount(groups, minlength=n), 1)
        mean = [np.bincount(groups, weights=window_av[:, i], minlength=n) / size for i in (0, 1)]
        return quadrant(mean[0], mean[1], boundary=boundary)
    counts = np.zeros((n, len(QUADRANTS)), dtype=np.int64)
    named = window_label >= 0
    np.add.at(counts, (groups[named], window_label[named]), 1)
    if rule == "majority":
        best = counts.argmax(axis=1)
    elif rule == "published":
        best = len(QUADRANTS) - 1 - (counts[:, ::-1] > 0).argmax(axis=1)
    else:
        raise ParameterError(f"song_label={rule!r}: must be 'majority', 'mean', 'static' or 'published'")
    return np.where(counts.any(axis=1), best, -1).astype(np.int64)


def assemble(
    name: str,
    curves: Mapping[str, Curve],
    features: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]] | None,
    feature_names: Sequence[str] | None,
    *,
    static: Mapping[str, tuple[float, float]] | None,
    song_label: SongLabel,
    boundary: Boundary,
    source: str,
) -> DynamicDataset:
    """Join the instants of each song with its feature rows of the same millisecond, and label both.

    Raises
    ------
    DataFormatError
        A song without features, or whose features share no instant with its annotations, or without a static label
        where that is asked for.
    """
    blocks, ids, av, times = [], [], [], []
    for song, (time, a, v) in curves.items():
        if features is None:
            pick, rows = np.arange(len(time)), np.zeros((len(time), 0))
        else:
            if song not in features:
                raise DataFormatError(f"{name}: song {song!r} is annotated but has no features")
            _, pick, take = np.intersect1d(time, features[song][0], return_indices=True)
            if not len(pick):
                raise DataFormatError(f"{name}: features and annotations of song {song!r} have no instant in common")
            rows = features[song][1][take]
        blocks.append(rows)
        ids += [song] * len(pick)
        av.append(np.stack((a[pick], v[pick]), axis=1))
        times.append(time[pick] / 1000)
    pool = Pool(np.concatenate(blocks).astype(np.float32), np.array(ids), feature_names=feature_names)
    window_av = np.concatenate(av)
    window_label = quadrant(window_av[:, 0], window_av[:, 1], boundary=boundary)
    tracks = pool.track_ids.tolist()
    table: dict[str, NDArray[Any]] = {}
    if static is not None:
        point = np.array([static.get(song, (np.nan, np.nan)) for song in tracks])
        table = {"static_arousal": point[:, 0], "static_valence": point[:, 1]}
    if song_label == "static":
        if static is None or np.isnan(point).any():
            raise DataFormatError(f"{name}: song_label='static' needs the static annotations of every song")
        label = quadrant(point[:, 0], point[:, 1], boundary=boundary)
    else:
        label = song_labels(window_label, window_av, pool.groups, song_label, boundary)
    return DynamicDataset(
        name, pool, population(tracks, label), label, table, source, window_label, np.concatenate(times), window_av
    )
