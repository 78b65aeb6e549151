"""Text tables from disk, plain or gzipped, with errors that say which file, which line and what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import DataFormatError
from dissensus.tables.delimited import line_numbers, read_delimited
from dissensus.tables.numbers import BadCell, as_numbers, decimal_comma
from dissensus.tables.table import open_text_table
from dissensus.tables.text import read_bytes

__all__ = [
    "Table",
    "find_file",
    "number",
    "read_json",
    "read_numeric",
    "read_table",
    "require_folder",
    "unique_index",
]


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


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises
    ------
    DataFormatError
        It is not JSON; the message has line and column.
    """
    try:
        return json.loads(_utf8(path))
    except json.JSONDecodeError as error:
        raise DataFormatError(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None


def _utf8(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: cannot be read as text: {error}") from None


def read_table(
    path: Path, *, required: Iterable[str] = (), delimiter: str | None = None, ragged: bool = False
) -> Table:
    """A delimited table with one header line; ``ragged``: rows may leave out empty cells at their end.

    The delimiter is found by itself, so that a file that a spreadsheet has saved again is read as well; ``delimiter`` is
    taken where the header leaves a choice.

    Raises
    ------
    DataFormatError
        No header, a column twice or missing, or a line with another number of cells.
    """
    wanted = tuple(required)
    found = read_delimited(path, required=wanted, delimiter=delimiter, ragged=ragged)
    header = found.header
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if twice:
        raise DataFormatError(f"{path}, line 1: column {twice[0]!r} appears twice")
    missing = [name for name in wanted if name not in header]
    if missing:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        raise DataFormatError(f"{path}, line 1: no column {', '.join(map(repr, missing))}; there are: {shown}")
    columns = [column.to_pylist() for column in found.columns]
    lines = (
        found.lines if found.lines is not None else _Lines(path, wanted, delimiter, len(columns[0]) if columns else 0)
    )
    return Table(dict(zip(header, columns, strict=True)), path, lines)


class _Lines(Sequence[int]):
    """The line of each row, found when the first message needs one."""

    def __init__(self, path: Path, required: tuple[str, ...], delimiter: str | None, n_rows: int) -> None:
        self._arguments = (path, required, delimiter)
        self._n_rows = n_rows
        self._found: list[int] | None = None

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, row: Any) -> Any:
        if self._found is None:
            path, required, delimiter = self._arguments
            self._found = line_numbers(path, required=required, delimiter=delimiter)
        return self._found[row]


def number(table: Table, column: str, *, missing: Sequence[str] = ()) -> NDArray[np.float64]:
    """A column as float64; cells found in ``missing`` become NaN. Decimals stand behind a point, or all behind a comma.

    Raises
    ------
    DataFormatError
        A cell is not a finite number, or larger than 1e18.
    """
    import pyarrow as pa

    cells = pa.chunked_array([pa.array(table[column], pa.string())])
    try:
        found = as_numbers(cells, gaps={text.lower() for text in missing}, comma=decimal_comma([cells]))
    except BadCell as bad:
        raise DataFormatError(f"{table.at(bad.row)}: {column} {bad}") from None
    return found.values


def read_numeric(path: Path, *, delimiter: str | None = None) -> tuple[list[str], NDArray[np.float64]]:
    """A table of numbers alone, with one header line: names of the columns and (n_rows, n_columns) values.

    Row numbers that pandas or R wrote in front are left out.

    Raises
    ------
    DataFormatError
        It cannot be read, or holds text, gaps or values that are not finite.
    """
    table = open_text_table(path, delimiter=delimiter)
    names, _ = table.features(())
    if not names:
        raise DataFormatError(f"{path}: cannot be read as a table: no column of numbers")
    values, gap = table.numbers(names, hint="; column {name!r} has text or gaps where only numbers are expected")
    if gap.any():
        row, column = np.argwhere(gap)[0].tolist()
        raise DataFormatError(
            f"{table.at(row)}: column {names[column]!r} has text or gaps where only numbers are expected"
        )
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
    key, *names = (name for name in table if name not in leave and (name or any(table[name])))
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
