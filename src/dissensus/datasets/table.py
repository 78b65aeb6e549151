"""Any table of features with any table of annotations, CSV, TSV or Parquet, by the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._types import QUADRANTS, Annotations, Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = ["Columns", "load"]


@dataclass(frozen=True)
class Columns:
    """Names of the columns.

    Parameters
    ----------
    track : str
        Track id, in both tables; read as text.
    listener : str
        Who judged, in the annotations; read as text.
    label : str, optional
        The class, in the annotations. None: made from ``arousal`` and ``valence``.
    arousal, valence : str, optional
        Numbers centred on zero, in the annotations; both or neither. Kept in ``extra`` where ``label`` is given too.
    timestamp : str, optional
        Unix seconds, in the annotations.
    weak_label : str, optional
        A class that needs no listener, in the features; empty = none.
    features : tuple of str, optional
        Feature columns. Default: every column of the features that is not named here.
    extra : tuple of str
        Further columns of the annotations to keep, as they are.
    """

    track: str = "track_id"
    listener: str = "listener_id"
    label: str | None = "label"
    arousal: str | None = None
    valence: str | None = None
    timestamp: str | None = None
    weak_label: str | None = None
    features: tuple[str, ...] | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.arousal is None) != (self.valence is None):
            raise ParameterError("name both an arousal and a valence column, or neither")
        if self.label is None and self.arousal is None:
            raise ParameterError("name a label column, or an arousal and a valence column to make quadrants from")


def load(
    features: str | Path,
    annotations: str | Path,
    columns: Columns | None = None,
    *,
    classes: Sequence[str] | None = None,
    boundary: Boundary = "nonneg",
    duplicates: Literal["error", "newest"] = "error",
    name: str | None = None,
) -> Dataset:
    """Read two tables into a data set.

    Parameters
    ----------
    features : path
        One row a window (a track with several windows repeats its id) or one row a track. ``.csv``, ``.tsv`` or
        ``.parquet``; ``.csv.gz`` and ``.tsv.gz`` too.
    annotations : path
        One row a judgement; the same kinds of files.
    columns : Columns, optional
        Names of the columns. Default: ``track_id``, ``listener_id``, ``label``, and every other column a feature.
    classes : sequence of str, optional
        Class names in the order of their index. Default: Q1..Q4 where all labels are among them, else the sorted labels.
    boundary : str
        What a zero of arousal or valence means where labels are made from them; see
        :func:`~dissensus.datasets.quadrant`.
    duplicates : {"error", "newest"}
        A listener who judged a track twice: an error, or the newest (without timestamps the last) row wins.
    name : str, optional
        Of the data set. Default: the name of the annotations' file.

    Returns
    -------
    Dataset
        float32 features where the file holds float32 only, float64 otherwise; ids are text.

    Raises
    ------
    DataFormatError
        A file that cannot be read, a column missing or named twice, a value that is no number or missing, an unknown
        class, a judgement twice, an annotated track without features; with file, row and value.
    ParameterError
        Columns or options that do not go together.

    Notes
    -----
    Rows are counted from 1, the header not included.
    """
    if duplicates not in ("error", "newest"):
        raise ParameterError(f"duplicates={duplicates!r}: must be 'error' or 'newest'")
    names = columns or Columns()
    tracks = _Table(Path(features), text=(names.track, names.weak_label))
    judged = _Table(Path(annotations), text=(names.track, names.listener, names.label))
    reserved = {names.track, names.weak_label}
    wanted = names.features or tuple(n for n in tracks.names if n not in reserved)
    if not wanted:
        raise DataFormatError(f"{tracks.path}: no feature column beside {names.track!r}")
    values = [tracks.numbers(n) for n in wanted]
    X = np.stack(values, axis=1) if len(values[0]) else np.zeros((0, len(wanted)))
    if not len(X):
        raise DataFormatError(f"{tracks.path}: no row below the header")
    pool = Pool(X, tracks.texts(names.track), feature_names=wanted)
    weak_text = None if names.weak_label is None else tracks.texts(names.weak_label, empty=True)
    found = _annotations(judged, names, classes, boundary, None if weak_text is None else set(weak_text) - {""})
    found = _check_pairs(found, judged, newest=duplicates == "newest")
    known = np.isin(found.track_id, pool.track_ids)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise DataFormatError(f"{judged.path}: track {str(found.track_id[row])!r} has no row in {tracks.path}")
    weak = None if weak_text is None else _weak(weak_text, found.classes, pool, tracks)
    return Dataset(name or judged.path.stem, pool, found, weak, {}, f"{tracks.path} and {judged.path}")


class _Table:
    """A file as columns; errors carry its path."""

    def __init__(self, path: Path, text: Sequence[str | None]) -> None:
        self.path = path
        self._table = _read(path, [t for t in text if t is not None])
        self.names: list[str] = list(self._table.column_names)
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            raise DataFormatError(f"{path}: column {twice[0]!r} appears twice")

    def column(self, name: str) -> Any:
        if name not in self.names:
            shown = ", ".join(self.names[:12]) + (", …" if len(self.names) > 12 else "")
            raise DataFormatError(f"{self.path}: no column {name!r}; there are: {shown}")
        return self._table.column(name)

    def texts(self, name: str, *, empty: bool = False) -> NDArray[np.str_]:
        """A column as text; an empty cell is an error unless allowed."""
        cells = ["" if v is None else str(v).strip() for v in self.column(name).to_pylist()]
        if "" in cells and not empty:
            raise DataFormatError(f"{self.path}, row {cells.index('') + 1}: {name} is empty")
        return np.array(cells, dtype=np.str_)

    def numbers(self, name: str) -> NDArray[Any]:
        """A column as finite numbers."""
        import pyarrow.types as kinds

        column = self.column(name)
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataFormatError(f"{self.path}, row {row + 1}: {name} is missing; impute or drop such rows first")
        if not (kinds.is_integer(column.type) or kinds.is_floating(column.type) or kinds.is_boolean(column.type)):
            for row, value in enumerate(column.to_pylist()):
                try:
                    float(value)
                except (TypeError, ValueError):
                    raise DataFormatError(
                        f"{self.path}, row {row + 1}: {name} is {str(value)[:40]!r}, not a number; "
                        "name the feature columns where others are text"
                    ) from None
        values = np.asarray(column.to_pylist() if kinds.is_boolean(column.type) else column.to_numpy())
        values = values if values.dtype == np.float32 else values.astype(np.float64)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataFormatError(f"{self.path}, row {row + 1}: {name} is {values[row]}, not a finite number")
        return values


def _read(path: Path, text: list[str]) -> Any:
    import pyarrow as pa

    kind = path.name.lower().removesuffix(".gz").rsplit(".", 1)[-1]
    if not path.is_file():
        raise DataFormatError(f"{path}: no such file")
    try:
        if kind == "parquet":
            import pyarrow.parquet as parquet

            return parquet.read_table(path)
        if kind in ("csv", "tsv"):
            import pyarrow.csv as csv

            convert = csv.ConvertOptions(column_types={name: pa.string() for name in text}, strings_can_be_null=True)
            return csv.read_csv(
                path, parse_options=csv.ParseOptions(delimiter="," if kind == "csv" else "\t"), convert_options=convert
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataFormatError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    raise ParameterError(f"{path}: must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet")


def _annotations(
    table: _Table, names: Columns, classes: Sequence[str] | None, boundary: Boundary, weak: set[str] | None
) -> Annotations:
    extra: dict[str, NDArray[Any]] = {}
    order: tuple[str, ...] = QUADRANTS
    if names.arousal is not None and names.valence is not None:
        extra = {"arousal": table.numbers(names.arousal), "valence": table.numbers(names.valence)}
    if names.label is None:
        if classes is not None and tuple(classes) != QUADRANTS:
            raise ParameterError("classes: labels made from arousal and valence are Q1, Q2, Q3, Q4")
        label = quadrant(extra["arousal"], extra["valence"], boundary=boundary)
    else:
        given = table.texts(names.label)
        seen = set(given.tolist()) | (weak or set())
        order = tuple(classes or (QUADRANTS if seen <= set(QUADRANTS) else sorted(seen)))
        if len(set(order)) != len(order):
            raise ParameterError(f"classes={order}: a name appears twice")
        index = {c: i for i, c in enumerate(order)}
        for row, value in enumerate(given.tolist()):
            if value not in index:
                raise DataFormatError(f"{table.path}, row {row + 1}: {names.label} is {value!r}, not one of {order}")
        label = np.array([index[v] for v in given.tolist()], dtype=np.int64)
    stamp = None if names.timestamp is None else table.numbers(names.timestamp).astype(np.int64)
    extra |= {n: np.array(table.column(n).to_pylist()) for n in names.extra}
    return Annotations(table.texts(names.listener), table.texts(names.track), label, order, stamp, extra)


def _check_pairs(found: Annotations, table: _Table, *, newest: bool) -> Annotations:
    kept = found.newest()
    if newest or len(kept) == len(found):
        return kept
    seen: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(zip(found.listener_id.tolist(), found.track_id.tolist(), strict=True)):
        if pair in seen:
            raise DataFormatError(
                f"{table.path}, row {row + 1}: listener {pair[0]!r} already judged track {pair[1]!r} in row "
                f"{seen[pair] + 1}; duplicates='newest' keeps the newest"
            )
        seen[pair] = row
    return kept


def _weak(text: NDArray[np.str_], classes: tuple[str, ...], pool: Pool, table: _Table) -> NDArray[np.int64]:
    index = {c: i for i, c in enumerate(classes)} | {"": -1}
    weak = np.full(pool.n_tracks, -2, dtype=np.int64)
    for row, (group, value) in enumerate(zip(pool.groups.tolist(), text.tolist(), strict=True)):
        if value not in index:
            raise DataFormatError(f"{table.path}, row {row + 1}: weak label {value!r} is not one of {classes}")
        if weak[group] not in (-2, index[value]):
            raise DataFormatError(
                f"{table.path}, row {row + 1}: weak label {value!r} of track {str(pool.track_ids[group])!r} differs from "
                "that of its earlier windows"
            )
        weak[group] = index[value]
    return weak
