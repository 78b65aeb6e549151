"""A file as named columns: ids, classes, numbers, times; what is wrong is told with file, line, column and value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus._ids import id_array
from dissensus.errors import DataFormatError, ParameterError
from dissensus.tables.delimited import line_numbers, read_delimited
from dissensus.tables.numbers import LARGEST, BadCell, as_numbers, decimal_comma

__all__ = ["SUFFIXES", "Table", "open_table", "open_text_table"]

#: Names of files that hold tables, plain or with ``.gz`` behind (Parquet is compressed inside).
SUFFIXES: Final = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")

#: Names of the index that pandas and R write, and names under which spreadsheets hold the number of a row.
_INDEX: Final = re.compile(r"|unnamed: ?[0-9]+")
_ROW_NUMBER: Final = re.compile(r"index|level_0|row|row[ _.]?(?:id|names?|number|nr|index)|rn|nr|no|#")

#: A column that counts its rows is taken for their numbers, whatever its name, in a table of so many.
_COUNTED: Final = 20

_OTHERS_ARE_TEXT: Final = "; name the feature columns where others are text"

_FLOAT_ID: Final = re.compile(r"-?[0-9]+\.0")
_ROUNDED_ID: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]+")


def open_table(path: str | Path, *, required: Iterable[str] = (), delimiter: str | None = None) -> Table:
    """Read a table.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.tab``, ``.txt`` (each may end in ``.gz``), ``.parquet`` or ``.pq``. Text in UTF-8, UTF-16 or
        Windows-1252; cells between commas, semicolons, tabs or bars.
    required : iterable of str
        Names that help to find the delimiter.
    delimiter : str, optional
        As in :func:`~dissensus.tables.delimited.read_delimited`.

    Raises
    ------
    DataFormatError
        It cannot be read.
    ParameterError
        Its name ends in something else.
    """
    file = Path(path)
    suffix = Path(file.name.lower().removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise ParameterError(
            f"{file}: must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet; save the table as CSV (UTF-8)"
        )
    if suffix in (".parquet", ".pq"):
        return _parquet(file)
    return open_text_table(
        file, required=required, delimiter=delimiter or ("\t" if suffix in (".tsv", ".tab") else None)
    )


def open_text_table(path: Path, *, required: Iterable[str] = (), delimiter: str | None = None) -> Table:
    """Read a table of text whatever the file is called; parameters and errors as in :func:`open_table`."""
    wanted = tuple(required)
    found = read_delimited(path, required=wanted, delimiter=delimiter)

    def lines() -> list[int]:
        return found.lines or line_numbers(path, required=wanted, delimiter=delimiter)

    return Table(path, found.header, found.columns, lines=lines)


class Table:
    """Columns by name. ``names`` are those of the file; where two are equal neither can be asked for.

    Parameters
    ----------
    path : path
        For messages.
    names : sequence of str
    columns : sequence of pyarrow.ChunkedArray
    lines : callable, optional
        Gives the line of each row; called when a message needs one. None: a file without lines, such as Parquet.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        columns: Sequence[Any],
        *,
        lines: Callable[[], list[int]] | None = None,
    ) -> None:
        self.path = path
        self.names = list(names)
        self.n_rows = len(columns[0]) if columns else 0
        self._columns = list(columns)
        self._lines = lines

    def at(self, row: int) -> str:
        """Place of a row (from 0) for a message: file, line, and the row below the header, from 1."""
        lines = [] if self._lines is None else self._lines()
        return f"{self.path}, line {lines[row]}, row {row + 1}" if row < len(lines) else f"{self.path}, row {row + 1}"

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def column(self, name: str) -> Any:
        """A column as it is, a pyarrow.ChunkedArray.

        Raises
        ------
        DataFormatError
            No column has this name, or two have.
        """
        places = [i for i, other in enumerate(self.names) if other == name]
        if not places:
            shown = ", ".join(self.names[:12]) + (", …" if len(self.names) > 12 else "")
            alike = [n for n in self.names if n.casefold().replace(" ", "_") == name.casefold().replace(" ", "_")]
            hint = f" (did you mean {alike[0]!r}?)" if alike else ""
            raise DataFormatError(f"{self.path}: no column {name!r}; there are: {shown}{hint}")
        if len(places) > 1:
            raise DataFormatError(f"{self.path}: column {name!r} appears twice; rename one of the two")
        return self._columns[places[0]]

    def texts(self, name: str, *, empty: bool = False) -> NDArray[np.str_]:
        """``(n_rows,)`` cells as text, without blanks around them; text stays text: NA is a word.

        Raises
        ------
        DataFormatError
            A cell is empty, unless ``empty`` allows it.
        """
        column = self.column(name)
        cells = [_text(v) for v in column.to_pylist()]
        if not empty and "" in cells:
            row = cells.index("")
            raise DataFormatError(f"{self.at(row)}: {name} is empty; fill it in or remove the row")
        if cells and all(_FLOAT_ID.fullmatch(cell) for cell in cells if cell):
            cells = [cell.removesuffix(".0") for cell in cells]  # whole numbers that a gap elsewhere made floats of
        return np.array(cells, dtype=np.str_)

    def ids(self, name: str) -> NDArray[np.str_]:
        """``(n_rows,)`` ids as text in the composed form of Unicode (NFC).

        Raises
        ------
        DataFormatError
            A cell is empty or no id, or a number that a spreadsheet has rounded (``1.23E+15``).
        """
        column = self.column(name)
        if not _is_text(column):
            if column.null_count:
                row = column.is_null().to_pylist().index(True)
                raise DataFormatError(f"{self.at(row)}: {name} is empty; fill it in or remove the row")
            try:
                return np.array([str(v) for v in id_array(column.to_pylist(), what=name).tolist()], dtype=np.str_)
            except ParameterError as error:
                raise DataFormatError(f"{self.path}: {error} (positions from 0)") from None
        cells = self.texts(name).tolist()
        for row, cell in enumerate(cells):
            if _ROUNDED_ID.fullmatch(cell):
                raise DataFormatError(
                    f"{self.at(row)}: {name} is {cell!r}: a spreadsheet has rounded the id; format the column as text"
                )
        return np.array(
            [cell if cell.isascii() else unicodedata.normalize("NFC", cell) for cell in cells], dtype=np.str_
        )

    def numbers(self, names: Sequence[str], *, hint: str = _OTHERS_ARE_TEXT) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Columns of numbers: ``(n_rows, n_names)`` values, NaN in the gaps, and where the gaps are.

        float32 where all columns of the file are, else float64. A file has one decimal mark. ``hint`` says what to do about
        a cell that is no number.

        Raises
        ------
        DataFormatError
            A cell that is neither empty nor a finite number.
        """
        columns = [self.column(name) for name in names]
        out = np.empty((self.n_rows, len(names)), dtype=np.float64)
        gap = np.zeros((self.n_rows, len(names)), dtype=bool)
        single = bool(columns)
        try:
            texts = [i for i, column in enumerate(columns) if _is_text(column)]
            comma = decimal_comma([columns[i] for i in texts])
        except BadCell as bad:
            raise DataFormatError(f"{self.at(bad.row)}: {names[texts[bad.column]]} {bad}") from None
        for i, column in enumerate(columns):
            try:
                single = single and str(column.type) == "float"
                found = as_numbers(_filled(column), comma=comma) if i in texts else _plain_numbers(column)
            except BadCell as bad:
                what = hint.format(name=names[i]) if bad.why == "not a number" else ""
                raise DataFormatError(f"{self.at(bad.row)}: {names[i]} {bad}{what}") from None
            out[:, i], gap[:, i] = found
        return (out.astype(np.float32) if single else out), gap

    def number(self, name: str) -> NDArray[np.float64]:
        """``(n_rows,)`` one column of numbers without gaps.

        Raises
        ------
        DataFormatError
            A cell is empty or no finite number.
        """
        values, gap = self.numbers([name])
        if gap.any():
            raise DataFormatError(
                f"{self.at(int(gap[:, 0].argmax()))}: {name} is missing; fill it in or remove the row"
            )
        return np.asarray(values[:, 0], dtype=np.float64)

    def seconds(self, name: str) -> NDArray[np.int64]:
        """``(n_rows,)`` times in unix seconds, from numbers or from dates as ISO 8601 writes them (UTC unless they say).

        Raises
        ------
        DataFormatError
            A cell is empty or no time.
        """
        column = self.column(name)
        if str(column.type).startswith(("timestamp", "date")):
            moments = column.to_pylist()
        elif _is_text(column) and any(re.match(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}", v or "") for v in column.to_pylist()):
            moments = []
            for row, cell in enumerate(self.texts(name).tolist()):
                try:
                    moments.append(datetime.fromisoformat(cell))
                except ValueError:
                    raise DataFormatError(
                        f"{self.at(row)}: {name} is {cell!r}, neither unix seconds nor a time such as 2024-05-31T18:30:00"
                    ) from None
        else:
            return self.number(name).astype(np.int64)
        out = np.empty(self.n_rows, dtype=np.int64)
        for row, moment in enumerate(moments):
            if moment is None:
                raise DataFormatError(f"{self.at(row)}: {name} is missing; fill it in or remove the row")
            if not isinstance(moment, datetime):
                moment = datetime(moment.year, moment.month, moment.day)
            out[row] = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        return out

    def features(self, leave: Collection[str]) -> tuple[list[str], list[str]]:
        """Names of the columns that may be features, and in words what was left out beside those in ``leave``.

        The index that pandas writes (without a name, ``Unnamed: 0``, ``__index_level_0__``) is left out, whole numbers that
        rise under a name that says so (``index``, ``row_id``, …) are, and so is an empty column without a name.

        Raises
        ------
        DataFormatError
            A column without a name holds something else, or one under another name counts the rows: taken as a feature it
            would give the order of the file away.
        """
        keep: list[str] = []
        notes: list[str] = []
        for i, name in enumerate(self.names):
            if name in leave:
                continue
            column = self._columns[i]
            whole = _whole_numbers(column)
            if not name and _is_empty(column):
                continue
            if name.startswith("__index_level_") or (_INDEX.fullmatch(name.lower()) and whole is not None):
                notes.append(f"column {i + 1} ({name!r}) is an index and was left out")
            elif _ROW_NUMBER.fullmatch(name.lower()) and whole in ("rising", "counting"):
                notes.append(f"column {i + 1} ({name!r}) holds row numbers and was left out")
            elif not name:
                raise DataFormatError(f"{self.path}: column {i + 1} has no name; name it, or remove it")
            elif whole == "counting" and self.n_rows >= _COUNTED:
                raise DataFormatError(
                    f"{self.path}: column {name!r} counts the rows, and as a feature it would give away their order; remove "
                    "it, or name the feature columns"
                )
            else:
                keep.append(name)
        for name in keep:
            self.column(name)
        return keep, notes


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value == int(value) and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip("\ufeff\u200b").strip()


def _is_text(column: Any) -> bool:
    return str(column.type) in ("string", "large_string", "string_view")


def _filled(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.fill_null(pc.cast(column, pa.string()), "")


def _plain_numbers(column: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column of Parquet that is no text."""
    import pyarrow as pa

    kind = str(column.type)
    gap = np.asarray(column.is_null().to_numpy(), dtype=bool)
    if kind == "null":
        return np.full(len(column), np.nan), gap
    if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool", "decimal")):
        row = int((~gap).argmax())
        what = (
            "a date; remove the column, or name the features"
            if kind.startswith(("date", "timestamp", "time"))
            else kind
        )
        raise BadCell(row, str(column[row].as_py()), f"not a number but {what}")
    if kind == "bool":
        column = column.cast(pa.int8())
    values = np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    gap |= np.isnan(values)
    wrong = ~gap & ~(np.abs(values) <= LARGEST)
    if wrong.any():
        row = int(wrong.argmax())
        why = (
            "not a finite number" if np.isinf(values[row]) else f"larger than {LARGEST:g}: an id rather than a number?"
        )
        raise BadCell(row, f"{values[row]:g}", why)
    return values, gap


def _is_empty(column: Any) -> bool:
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return True
    return _is_text(column) and bool(pc.all(pc.equal(pc.utf8_trim_whitespace(column.drop_null()), "")).as_py())


def _whole_numbers(column: Any) -> Literal["counting", "rising", "whole"] | None:
    """Whether a column counts the rows from 0 or 1, holds whole numbers that rise, or whole numbers in any order."""
    for part in (column.slice(0, 2 * _COUNTED), column):  # most columns are told by their first cells
        try:
            values, gap = as_numbers(_filled(part)) if _is_text(part) else _plain_numbers(part)
        except BadCell:
            return None
        if gap.any() or not len(values) or (values != np.trunc(values)).any():
            return None
    step = np.diff(values)
    if values[0] in (0, 1) and (step == 1).all():
        return "counting"
    return "rising" if (step > 0).all() else "whole"


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise DataFormatError(f"{path}: no such file")
    try:
        with parquet.ParquetFile(path) as file:
            found = file.read()
        found.validate(full=True)  # offsets, dictionaries and UTF-8, before anything follows them
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError) as error:
        raise DataFormatError(f"{path}: cannot be read: {(str(error) or repr(error)).splitlines()[0][:200]}") from None
    names = [name.strip() for name in found.column_names]
    if not names:
        raise DataFormatError(f"{path}: cannot be read: it has no columns")
    columns = []
    for i in range(len(names)):
        column = found.column(i)
        columns.append(_plain_type(column))
    return Table(path, names, columns)


def _plain_type(column: Any) -> Any:
    """A column without a dictionary; bytes that are text as text."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if str(column.type) in ("binary", "large_binary"):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            return column
    return column
