"""Text tables from disk, plain or gzipped, with errors that say which file, which line and what."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import DataFormatError

__all__ = [
    "Table",
    "find_file",
    "number",
    "read_json",
    "read_numeric",
    "read_table",
    "read_text",
    "require_folder",
    "unique_index",
]


#: Larger numbers are taken for damage: their squares would not fit into the features' float32.
_LARGEST: Final = 1e18


class Table(dict[str, list[str]]):
    """Columns of text by name, and where they come from.

    ``line`` holds the line of the file where each row ends, for messages.
    """

    def __init__(self, columns: Mapping[str, list[str]], path: Path, line: Sequence[int]) -> None:
        super().__init__(columns)
        self.path = path
        self.line = line

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.line)

    def at(self, row: int) -> str:
        """Place of a row, for a message."""
        return f"{self.path}, line {self.line[row]}"


def require_folder(folder: str | Path, what: str) -> Path:
    """The folder as a path.

    Raises
    ------
    DataFormatError
        There is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise DataFormatError(f"{path}: no such folder; {what} (docs/reference/datasets.md says how to obtain it)")
    return path


def find_file(folder: Path, *names: str, what: str) -> Path:
    """The first of the names that exists below the folder, as given or with ``.gz`` behind.

    Raises
    ------
    DataFormatError
        None does.
    """
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    raise DataFormatError(f"{folder}: no {' or '.join(names)} (plain or .gz) here; expected {what}")


def read_text(path: Path) -> str:
    """The whole file as UTF-8, decompressed where its name ends in ``.gz``.

    Raises
    ------
    DataFormatError
        It cannot be read, decompressed or decoded.
    """
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, ValueError) as error:
        raise DataFormatError(f"{path}: cannot be read as {'gzipped ' * (path.suffix == '.gz')}text: {error}") from None
    except Exception as error:  # zlib.error is a bare Exception
        raise DataFormatError(f"{path}: damaged compression: {error}") from None


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises
    ------
    DataFormatError
        It is not JSON; the message has line and column.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataFormatError(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None


def read_table(path: Path, *, required: Iterable[str] = (), delimiter: str = ",", ragged: bool = False) -> Table:
    """A delimited table with one header line; ``ragged``: rows may leave out, or add, empty cells at their end.

    Raises
    ------
    DataFormatError
        No header, a column twice or missing, or a line with another number of cells.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            raise DataFormatError(f"{path}: empty; a header line is expected")
        twice = sorted({name for name in header if header.count(name) > 1 and name})
        if twice:
            raise DataFormatError(f"{path}, line 1: column {twice[0]!r} appears twice")
        missing = [name for name in required if name not in header]
        if missing:
            shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
            raise DataFormatError(f"{path}, line 1: no column {', '.join(map(repr, missing))}; there are: {shown}")
        rows: list[list[str]] = []
        line: list[int] = []
        for cells in reader:
            if not cells:
                continue
            if ragged:
                while len(cells) > len(header) and not cells[-1]:
                    cells.pop()
                cells += [""] * (len(header) - len(cells))
            if len(cells) != len(header):
                raise DataFormatError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, the header has {len(header)}"
                )
            rows.append(cells)
            line.append(reader.line_num)
    except csv.Error as error:
        raise DataFormatError(f"{path}, line {reader.line_num}: {error}") from None
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return Table({name: list(column) for name, column in zip(header, columns, strict=True)}, path, line)


def number(table: Table, column: str, *, missing: Sequence[str] = ()) -> NDArray[np.float64]:
    """A column as float64; cells found in ``missing`` become NaN.

    Raises
    ------
    DataFormatError
        A cell is not a finite number, or larger than 1e18.
    """
    cells = [cell.strip() for cell in table[column]]
    absent = np.array([cell in missing for cell in cells], dtype=bool)
    try:
        out = np.array(["nan" if gone else cell for cell, gone in zip(cells, absent, strict=True)], dtype=np.float64)
    except ValueError:
        out = np.array([_float_or_nan(cell) for cell in cells])
    bad = ~(np.abs(out) <= _LARGEST) & ~absent
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataFormatError(f"{table.at(row)}: {column} is {cells[row]!r}, not a finite number of usable size")
    return out


def _float_or_nan(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def read_numeric(path: Path, *, delimiter: str = ",") -> tuple[list[str], NDArray[np.float64]]:
    """A table of numbers alone, with one header line: names of the columns and (n_rows, n_columns) values.

    Raises
    ------
    DataFormatError
        It cannot be read, or holds text, gaps or values that are not finite.
    """
    import pyarrow as pa
    import pyarrow.csv

    try:
        table = pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(delimiter=delimiter))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataFormatError(f"{path}: cannot be read as a table: {str(error).splitlines()[0]}") from None
    names = [name.strip() for name in table.column_names]
    values = np.empty((table.num_rows, len(names)))
    for i, name in enumerate(names):
        column = table.column(i)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) or column.null_count:
            raise DataFormatError(f"{path}: column {name!r} has text or gaps where only numbers are expected")
        values[:, i] = column.to_numpy()
    usable = np.abs(values) <= _LARGEST
    if not usable.all():
        row, i = np.argwhere(~usable)[0]
        raise DataFormatError(f"{path}, row {row + 1} below the header: {names[i]} is {values[row, i]}")
    return names, values


def read_numeric_by_id(
    path: Path, ids: Sequence[str], *, leave: Sequence[str] = ()
) -> tuple[list[str], NDArray[np.float32]]:
    """Rows of a table, first column an id and the others numbers, in the order of ``ids``; names of the others.

    Columns named in ``leave`` are not read.

    Raises
    ------
    DataFormatError
        An id is missing, twice or without values, or a value is not a finite number.
    """
    table = read_table(path)
    key, *names = (name for name in table if name not in leave)
    if not names:
        raise DataFormatError(f"{path}, line 1: no column beside {key!r}")
    index = unique_index([cell.strip() for cell in table[key]], table, key or "id")
    missing = [i for i in ids if i not in index]
    if missing:
        raise DataFormatError(f"{path}: no row for {missing[0]!r} ({len(missing)} missing in all)")
    values = np.stack([number(table, name) for name in names], axis=1)
    return names, values[[index[i] for i in ids]].astype(np.float32)


def unique_index(values: Sequence[str], table: Table, what: str) -> dict[str, int]:
    """Row of each value.

    Raises
    ------
    DataFormatError
        A value appears twice.
    """
    index: dict[str, int] = {}
    for row, value in enumerate(values):
        if value in index:
            raise DataFormatError(f"{table.at(row)}: {what} {value!r} was already in line {table.line[index[value]]}")
        index[value] = row
    return index
