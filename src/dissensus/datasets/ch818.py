"""CH-818: 818 clips of Chinese pop music, arousal and valence by three experts.

Hu & Yang, "Cross-dataset and cross-cultural music mood prediction: a case on Western and Chinese pop songs", IEEE Trans.
Affective Computing 8(2), 2017. How to obtain it: ``docs/datasets.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._dynamic import population
from dissensus.datasets._read import number, read_table, unique_index
from dissensus.datasets._types import QUADRANTS, Annotations, Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = ["load"]


def load(
    path: str | Path,
    *,
    song: str = "song_id",
    arousal: str | Sequence[str] = "arousal",
    valence: str | Sequence[str] = "valence",
    boundary: Boundary = "nonneg",
) -> Dataset:
    """Read the ratings of the clips from a CSV table.

    The data set is handed out by its authors on request, and its tables have come under several headings; name the
    columns of yours.

    Parameters
    ----------
    path : path
        A CSV file (``.gz`` too), one row a song.
    song : str
        Column of the song's id.
    arousal, valence : str or sequence of str
        Columns of the mean ratings, or one column an expert; about [-10, 10], middle 0.
    boundary : str
        What a zero means; see :func:`~dissensus.datasets.quadrant`.

    Returns
    -------
    Dataset
        Without feature columns. One annotation a song by ``"population"``, or one a song and expert (``expert-1``…);
        ``weak_label`` is the quadrant of the mean.

    Raises
    ------
    DataFormatError
        The file cannot be read, a column is missing, a value is no number or outside [-10, 10], a song is there twice.
    ParameterError
        Not as many arousal as valence columns.
    """
    axes = [[name] if isinstance(name, str) else list(name) for name in (arousal, valence)]
    if len(axes[0]) != len(axes[1]) or not axes[0]:
        raise ParameterError(f"{len(axes[0])} arousal and {len(axes[1])} valence columns: name as many of each")
    file = Path(path)
    if not file.is_file():
        raise DataFormatError(
            f"{file}: no such file; expected a table of CH-818 (docs/datasets.md says how to obtain it)"
        )
    table = read_table(file, required=(song, *axes[0], *axes[1]))
    songs = [cell.strip() for cell in table[song]]
    unique_index(songs, table, song)
    if not songs:
        raise DataFormatError(f"{file}: no song below the header")
    values: list[list[NDArray[Any]]] = [[number(table, name) for name in names] for names in axes]
    for names, columns in zip(axes, values, strict=True):
        for name, column in zip(names, columns, strict=True):
            if (np.abs(column) > 10).any():
                row = int(np.flatnonzero(np.abs(column) > 10)[0])
                raise DataFormatError(f"{table.at(row)}: {name} is {column[row]:g}, expected -10 to 10")
    a, v = (np.stack(columns) for columns in values)
    weak = quadrant(a.mean(axis=0), v.mean(axis=0), boundary=boundary)
    ids = np.array(songs)
    if len(a) == 1:
        annotations = population(ids, weak, arousal=a[0], valence=v[0])
    else:
        experts = np.array([f"expert-{i + 1}" for i in range(len(a))])
        label = quadrant(a, v, boundary=boundary).reshape(-1)
        extra = {"arousal": a.reshape(-1), "valence": v.reshape(-1)}
        annotations = Annotations(np.repeat(experts, len(ids)), np.tile(ids, len(a)), label, QUADRANTS, None, extra)
    table_of = {"arousal": a.mean(axis=0), "valence": v.mean(axis=0)}
    pool = Pool(np.zeros((len(ids), 0), dtype=np.float32), ids)
    return Dataset("ch818", pool, annotations, weak, table_of, "CH-818, Hu & Yang, IEEE TAFFC 2017")
