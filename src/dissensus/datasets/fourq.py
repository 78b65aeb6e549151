"""4Q audio emotion: 900 clips of 30 s, 225 a quadrant, from the mood tags of a music guide.

Panda, Malheiro & Paiva, "Novel audio features for music emotion recognition", IEEE Trans. Affective Computing 11(4), 2020
(online 2018). How to obtain it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dissensus.datasets._dynamic import population
from dissensus.datasets._read import find_file, read_numeric_by_id, read_table, require_folder, unique_index
from dissensus.datasets._types import QUADRANTS, Dataset
from dissensus.errors import DataFormatError
from dissensus.features.pool import Pool

__all__ = ["load"]


def load(folder: str | Path, *, features: str | Path | None = None) -> Dataset:
    """Read the quadrants of the clips.

    Parameters
    ----------
    folder : path
        Holds ``panda_dataset_taffc_annotations.csv`` (or ``panda_dataset_taffc_metadata.csv``, which has the quadrants
        too) and, as released, the clips in ``Q1/`` to ``Q4/``.
    features : path, optional
        A table whose first column is the song id and whose others are numbers, one row a song, such as the released
        ``top100_features.csv``; its column ``Quadrant`` is left where it is.

    Returns
    -------
    Dataset
        One annotation a song, by ``"population"``; ``weak_label`` is the same; ``track_table["file"]`` is where the
        release has the clip, relative to the folder.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    """
    root = require_folder(folder, "expected the 4Q audio emotion data set")
    path = find_file(
        root, *(f"panda_dataset_taffc_{n}.csv" for n in ("annotations", "metadata")), what="4Q's quadrants"
    )
    table = read_table(path, required=("Song", "Quadrant"))
    songs = [cell.strip() for cell in table["Song"]]
    unique_index(songs, table, "Song")
    given = [cell.strip() for cell in table["Quadrant"]]
    for row, value in enumerate(given):
        if value not in QUADRANTS:
            raise DataFormatError(f"{table.at(row)}: Quadrant is {value!r}, expected Q1, Q2, Q3 or Q4")
    if not songs:
        raise DataFormatError(f"{path}: no song below the header")
    label = np.array([QUADRANTS.index(value) for value in given], dtype=np.int64)
    names: list[str] | None = None
    X = np.zeros((len(songs), 0), dtype=np.float32)
    if features is not None:
        names, X = read_numeric_by_id(Path(features), songs, leave=("Quadrant",))
    table_of = {"file": np.array([f"{q}/{song}.mp3" for song, q in zip(songs, given, strict=True)])}
    source = "4Q audio emotion, Panda, Malheiro & Paiva, IEEE TAFFC 2020; mir.dei.uc.pt"
    pool = Pool(X, np.array(songs), feature_names=names)
    return Dataset("fourq", pool, population(songs, label), label, table_of, source)
