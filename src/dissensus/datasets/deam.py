"""DEAM: arousal and valence of 1802 songs, twice a second, averaged over raters.

Aljanaki, Yang & Soleymani, "Developing a benchmark for emotional analysis of music", PLoS ONE 12(3), 2017. How to obtain
it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._dynamic import DynamicDataset, SongLabel, assemble, read_curves, read_static
from dissensus.datasets._read import find_file, read_numeric, require_folder
from dissensus.datasets._types import Boundary
from dissensus.errors import DataFormatError

__all__ = ["load"]

_AVERAGED = "annotations/annotations averaged per song"
_DYNAMIC = f"{_AVERAGED}/dynamic (per second annotations)"
_STATIC = ("static_annotations_averaged_songs_1_2000.csv", "static_annotations_averaged_songs_2000_2058.csv")


def load(
    folder: str | Path,
    *,
    features: str | Path | None = None,
    song_label: SongLabel = "majority",
    boundary: Boundary = "nonneg",
) -> DynamicDataset:
    """Read the averaged dynamic annotations, with or without the released features.

    Parameters
    ----------
    folder : path
        Holds ``arousal.csv`` and ``valence.csv`` (each plain or gzipped), itself or in the sub-folders of the release;
        for ``song_label="static"`` also the static annotations averaged per song.
    features : path, optional
        Folder of the released feature files, ``<song>.csv``, semicolons, first column ``frameTime`` in seconds. Without
        it the data set has no feature columns.
    song_label : {"majority", "mean", "static", "published"}
        How a song's quadrant follows from its windows: the most frequent, of the mean point, of the separate rating of
        the whole song, or the alphabetical maximum that the published CNN training took by mistake.
    boundary : str
        What a zero means; see :func:`~dissensus.datasets.quadrant`.

    Returns
    -------
    DynamicDataset
        One window an annotated instant (2 Hz, from 15 s on); with features, those instants that also have a feature row
        of the same millisecond. One annotation a song, by ``"population"``; ``weak_label`` is the same.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.

    Notes
    -----
    The release has 129 995 instants of 1802 songs: Q1 49.4 %, Q2 15.7 %, Q3 21.2 %, Q4 13.7 %.
    """
    root = require_folder(folder, "expected the annotations of DEAM")
    files = [
        find_file(root, f"{axis}.csv", f"{_DYNAMIC}/{axis}.csv", f"dynamic/{axis}.csv", what=f"DEAM's dynamic {axis}")
        for axis in ("arousal", "valence")
    ]
    static = None
    if song_label == "static":
        paths = [find_file(root, n, f"{_AVERAGED}/song_level/{n}", what="DEAM's static annotations") for n in _STATIC]
        static = read_static(paths, ("song_id", "arousal_mean", "valence_mean"), 5.0)
    curves = read_curves(*files)
    rows, names = (None, None) if features is None else _features(Path(features), curves.keys())
    return assemble(
        "deam",
        curves,
        rows,
        names,
        static=static,
        song_label=song_label,
        boundary=boundary,
        source="DEAM, Aljanaki, Yang & Soleymani, PLoS ONE 2017; cvml.unige.ch/databases/DEAM",
    )


def _features(
    folder: Path, songs: Iterable[str]
) -> tuple[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]], list[str]]:
    root = require_folder(folder, "expected DEAM's feature files")
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    names: list[str] | None = None
    for song in songs:
        path = find_file(root, f"{song}.csv", what=f"the features of song {song}")
        columns, values = read_numeric(path, delimiter=";")
        if columns[0] != "frameTime" or len(columns) < 2:
            raise DataFormatError(
                f"{path}: the first column must be frameTime, the others features; found {columns[:3]}"
            )
        if names is not None and columns[1:] != names:
            raise DataFormatError(f"{path}: its columns differ from those of the files before")
        names = columns[1:]
        found[song] = (np.rint(values[:, 0] * 1000).astype(np.int64), values[:, 1:])
    return found, names or []
