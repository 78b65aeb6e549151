"""PMEmo: choruses of 794 pop songs, arousal and valence along time and as a whole, with released features.

Zhang, Zhang, Li, Yang & Sun, "The PMEmo dataset for music emotion recognition", ICMR 2018 (files of the 2019 release). How
to obtain it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._dynamic import Curve, DynamicDataset, SongLabel, assemble, read_static
from dissensus.datasets._read import find_file, read_numeric, require_folder
from dissensus.datasets._types import Boundary
from dissensus.errors import DataFormatError, ParameterError

__all__ = ["load"]

_MIDDLE: Final = 0.5
_AXES: Final = ("Arousal(mean)", "Valence(mean)")
_SOURCE: Final = "PMEmo, Zhang et al., ICMR 2018; github.com/HuiZhangDB/PMEmo"


def load(
    folder: str | Path,
    *,
    level: Literal["dynamic", "static"] = "dynamic",
    features: bool = True,
    song_label: SongLabel = "static",
    boundary: Boundary = "nonneg",
) -> DynamicDataset:
    """Read the averaged annotations, with or without the released features.

    Parameters
    ----------
    folder : path
        ``PMEmo2019``, with ``annotations/`` and, for features, ``features/``.
    level : {"dynamic", "static"}
        One row an annotated instant (2 Hz, from 15 s on), or one a song.
    features : bool
        Read ``features/dynamic_features.csv`` or ``features/static_features.csv``. Without, there are no feature columns.
    song_label : {"static", "majority", "mean", "published"}
        A song's quadrant: of the rating of the whole chorus (0 to 1, middle 0.5), or from its windows as in
        :func:`dissensus.datasets.deam.load`.
    boundary : str
        What the middle means; see :func:`~dissensus.datasets.quadrant`.

    Returns
    -------
    DynamicDataset
        Arousal and valence are centred: the middle, 0.5, is 0.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    ParameterError
        An unknown level.
    """
    if level not in ("dynamic", "static"):
        raise ParameterError(f"level={level!r}: must be 'dynamic' or 'static'")
    root = require_folder(folder, "expected PMEmo2019")
    annotated = find_file(root, "annotations/static_annotations.csv", what="PMEmo's static annotations")
    static = read_static([annotated], ("musicId", *_AXES), _MIDDLE)
    if level == "static":
        curves: dict[str, Curve] = {
            song: (np.zeros(1, dtype=np.int64), np.array([a]), np.array([v])) for song, (a, v) in static.items()
        }
    else:
        path = find_file(root, "annotations/dynamic_annotations.csv", what="PMEmo's dynamic annotations")
        names, songs = _by_song(path, timed=True)
        if [n for n in _AXES if n not in names]:
            raise DataFormatError(f"{path}: expected the columns {_AXES} beside musicId and frameTime; found {names}")
        a, v = (names.index(n) for n in _AXES)
        curves = {song: (time, x[:, a] - _MIDDLE, x[:, v] - _MIDDLE) for song, (time, x) in songs.items()}
    rows, columns = None, None
    if features:
        path = find_file(root, f"features/{level}_features.csv", what=f"PMEmo's {level} features")
        columns, rows = _by_song(path, timed=level == "dynamic")
        curves = {song: curve for song, curve in curves.items() if song in rows}
        if not curves:
            raise DataFormatError(f"{path}: none of its songs is annotated")
    return assemble(
        f"pmemo {level}", curves, rows, columns, static=static, song_label=song_label, boundary=boundary, source=_SOURCE
    )


def _by_song(path: Path, *, timed: bool) -> tuple[list[str], dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    """Song → times (ms) and values; names of the value columns."""
    names, values = read_numeric(path)
    keys = ("musicId", "frameTime") if timed else ("musicId",)
    missing = [key for key in keys if key not in names]
    if missing or len(names) <= len(keys):
        raise DataFormatError(f"{path}: expected the columns {keys} and values; found {names[:6]}")
    others = [i for i, name in enumerate(names) if name not in keys]
    song = values[:, names.index("musicId")]
    seconds = values[:, names.index("frameTime")] if timed else np.zeros(len(values))
    time: NDArray[np.int64] = np.rint(1000 * seconds).astype(np.int64)
    order = np.lexsort((time, song))
    song, time, body = song[order], time[order], values[order][:, others]
    if (twice := (np.diff(song) == 0) & (np.diff(time) == 0)).any():
        row = int(np.flatnonzero(twice)[0])
        raise DataFormatError(f"{path}: song {song[row]:g} has two rows for {time[row] / 1000:g} s")
    ids, start = np.unique(song, return_index=True)
    stop = np.append(start[1:], len(song))
    parts = {f"{i:g}": (time[a:b], body[a:b]) for i, a, b in zip(ids, start, stop, strict=True)}
    return [names[i] for i in others], parts
