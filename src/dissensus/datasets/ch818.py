"""CH-818: 818 clips of Chinese pop music, arousal and valence by three experts.

Hu & Yang, "Cross-dataset and cross-cultural music mood prediction: a case on Western and Chinese pop songs", IEEE Trans.
Affective Computing 8(2), 2017. How to obtain it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._dynamic import population
from dissensus.datasets._read import Table, find_file, number, read_table, unique_index
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
    """Read the ratings of the clips: two sheets saved as CSV, or one CSV table.

    The data set is handed out by its authors on request, as a workbook ``CH818_Annotations.xlsx`` with the sheets
    ``Arousal`` and ``Valence``: a row a song, its number first, then one column an expert. Save the two sheets as
    ``Arousal.csv`` and ``Valence.csv`` and give their folder; of any other table name the columns.

    Parameters
    ----------
    path : path
        The folder of the two sheets, or a CSV file, one row a song (``.gz`` too).
    song : str
        Column of the song's id; in the two sheets the first column is.
    arousal, valence : str or sequence of str
        Columns of the mean ratings, or one column an expert; about [-10, 10], middle 0. In the two sheets all columns
        but the first are experts.
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
        The file cannot be read, a column is missing, a value is no number or outside [-10, 10], a song is there twice or
        in one sheet only.
    ParameterError
        Not as many arousal as valence columns.
    """
    file = Path(path)
    if file.is_dir():
        parts = [_sheet(file, name) for name in ("Arousal", "Valence")]
    else:
        axes = [[name] if isinstance(name, str) else list(name) for name in (arousal, valence)]
        if len(axes[0]) != len(axes[1]) or not axes[0]:
            raise ParameterError(f"{len(axes[0])} arousal and {len(axes[1])} valence columns: name as many of each")
        if not file.is_file():
            raise DataFormatError(
                f"{file}: no such file; expected a table of CH-818 (docs/reference/datasets.md says how to obtain it)"
            )
        if file.suffix.lower() in (".xlsx", ".xls", ".ods"):
            raise DataFormatError(
                f"{file}: a workbook; save its sheets Arousal and Valence as Arousal.csv and Valence.csv, and give their folder"
            )
        table = read_table(file, required=(song, *axes[0], *axes[1]))
        parts = [(table, song, names) for names in axes]
    indices = [unique_index([cell.strip() for cell in table[key]], table, key) for table, key, _ in parts]
    songs = list(indices[0])
    if not songs:
        raise DataFormatError(f"{parts[0][0].path}: no song below the header")
    alone = sorted(indices[0].keys() ^ indices[1].keys())
    if alone:
        has = parts[0 if alone[0] in indices[0] else 1][0].path
        raise DataFormatError(f"{has}: song {alone[0]!r} is in this sheet only")
    if len(parts[0][2]) != len(parts[1][2]):
        raise DataFormatError(f"{file}: {len(parts[0][2])} experts of arousal, {len(parts[1][2])} of valence")
    values: list[list[NDArray[Any]]] = []
    for (table, _, names), index in zip(parts, indices, strict=True):
        rows = [index[name] for name in songs]
        values.append([_ratings(table, name)[rows] for name in names])
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


def _sheet(folder: Path, name: str) -> tuple[Table, str, list[str]]:
    """One sheet of the workbook: its table, the column of the song and those of the experts."""
    table = read_table(
        find_file(folder, f"{name}.csv", f"{name.lower()}.csv", what=f"the sheet {name} of CH-818 as CSV")
    )
    key, *others = table
    experts = [column for column in others if column]
    if not experts:
        raise DataFormatError(f"{table.path}, line 1: no column of an expert beside {key!r}")
    return table, key, experts


def _ratings(table: Table, name: str) -> NDArray[Any]:
    column = number(table, name)
    if (np.abs(column) > 10).any():
        row = int(np.flatnonzero(np.abs(column) > 10)[0])
        raise DataFormatError(f"{table.at(row)}: {name} is {column[row]:g}, expected -10 to 10")
    return column
