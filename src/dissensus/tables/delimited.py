"""Text with delimiters as columns of cells: which delimiter, what quotes mean, and in which line a row stands.

A file whose quotes follow RFC 4180 (quoted cells may hold delimiters and line breaks) is read by Arrow. Where a quote is
astray, lines are read one by one: a line that has the right number of cells when its quotes are taken as text is read so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dissensus.errors import DataFormatError
from dissensus.tables.text import read_text

__all__ = ["DELIMITERS", "Delimited", "read_delimited"]

DELIMITERS: Final = (",", ";", "\t", "|")

#: Lines that one quoted cell may span where quotes are astray.
_LONGEST_CELL: Final = 1000

#: Lines looked at to find the delimiter.
_SAMPLE: Final = 50


class Delimited(NamedTuple):
    """Cells of a file, all of them text.

    Attributes
    ----------
    header : list of str
        Names of the columns, without blanks around them.
    columns : list of pyarrow.ChunkedArray of string
        One for each name, of equal length. Rows without any text are left out.
    lines : list of int or None
        Line in which each row ends; None: to be found by :func:`line_numbers` when a message needs it.
    """

    header: list[str]
    columns: list[Any]
    lines: list[int] | None


def read_delimited(
    path: Path, *, required: Iterable[str] = (), delimiter: str | None = None, ragged: bool = False
) -> Delimited:
    """Read a delimited file with one header line.

    Parameters
    ----------
    path : path
        Plain or gzipped text.
    required : iterable of str
        Names that the header should have; they decide between delimiters.
    delimiter : str, optional
        Where the header leaves a choice. Default: the one that fits the most rows.
    ragged : bool
        Rows may leave out cells at their end.

    Raises
    ------
    DataFormatError
        No header, or a row with another number of cells; the message has the line.
    """
    text = read_text(path)
    body_at, first_line, given = _skip_to_header(text)
    if body_at == len(text):
        raise DataFormatError(f"{path}: cannot be read: it is empty, with no rows; a header line is expected")
    text = text[body_at:]
    mark = given or _delimiter(text, set(required), delimiter)
    header, header_lines, start = _header(text, mark, path, first_line)
    body = text[start:]
    header = _with_row_names(header, body, mark)
    first_row = first_line + header_lines
    found = _by_arrow(body, mark, len(header)) if _well_formed(body, mark, len(header), path, first_row) else None
    if found is not None:
        return _without_blank_rows(Delimited(header, found, None))
    rows = list(_by_line(body, mark, len(header), path, first_row, ragged=ragged))
    return _without_blank_rows(Delimited(header, _as_columns([r for r, _ in rows], len(header)), [n for _, n in rows]))


def line_numbers(path: Path, *, required: Iterable[str] = (), delimiter: str | None = None) -> list[int]:
    """Line in which each row of a file ends, by reading it again."""
    text = read_text(path)
    body_at, first_line, given = _skip_to_header(text)
    text = text[body_at:]
    mark = given or _delimiter(text, set(required), delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    lines = [reader.line_num + first_line - 1 for row in reader if any(cell.strip() for cell in row)]
    return lines[1:]


def _skip_to_header(text: str) -> tuple[int, int, str | None]:
    """Where the header begins, its line, and the delimiter that Excel's ``sep=`` line names."""
    at, line, given = 0, 1, None
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        content = text[at:end]
        if line == 1 and content[:4].lower() == "sep=" and len(content) >= 5:
            given = content[4]
        elif content.strip(" \t,;|"):
            return at, line, given
        at, line = min(end + 1, len(text)), line + 1
    return len(text), line, given


def _delimiter(text: str, required: set[str], preferred: str | None) -> str:
    """The delimiter that finds the most required names, then fits the most rows, then gives the most columns."""
    sample = text[:200_000].split("\n")[: _SAMPLE + 1]

    def fit(mark: str) -> tuple[int, float, bool, int]:
        try:
            reader = csv.reader(sample, delimiter=mark)
            rows = [row for row in reader if row]
        except csv.Error:
            return (0, 0.0, False, 0)
        names = [name.strip() for name in rows[0]] if rows else []
        share = sum(len(row) == len(names) for row in rows) / len(rows) if rows and len(names) > 1 else 0.0
        return (len(required & set(names)), share, mark == preferred, len(names))

    return max(DELIMITERS, key=fit)


def _header(text: str, mark: str, path: Path, first_line: int) -> tuple[list[str], int, int]:
    """Names, number of lines of the header, and where the rows begin."""
    end = text.find("\n")
    line = text if end < 0 else text[:end]
    names = _strict(line, mark)
    n_lines = 1
    while names is None and end >= 0 and n_lines < 50:  # a name with a line break
        end = text.find("\n", end + 1)
        line, n_lines = (text if end < 0 else text[:end]), n_lines + 1
        names = _strict(line, mark)
    if names is None:
        end, n_lines = text.find("\n"), 1
        names = [_unquoted(cell) for cell in (text if end < 0 else text[:end]).split(mark)]
    clean = [" ".join(name.strip("\ufeff\u200b").split()) for name in names]
    if not any(clean):
        raise DataFormatError(f"{path}, line {first_line}: no column has a name; a header line is expected")
    return clean, n_lines, len(text) if end < 0 else end + 1


def _with_row_names(header: list[str], body: str, mark: str) -> list[str]:
    """R leaves the column of row names without a name, and without its delimiter in the header."""
    rows = [
        cells for line in body[:200_000].split("\n")[:_SAMPLE] if line and (cells := _strict(line, mark)) is not None
    ]
    one_more = bool(rows) and all(len(cells) == len(header) + 1 for cells in rows) and any(cells[-1] for cells in rows)
    return ["", *header] if one_more else header


def _well_formed(body: str, mark: str, n: int, path: Path, first_line: int) -> bool:
    """Whether every quoted cell begins and ends where a cell does; one that seems to have swallowed rows is refused."""
    if '"' not in body:
        return True
    parts = body.split('"')
    if len(parts) % 2 == 0:
        return False
    edges = (mark, "\n")
    last = len(parts) - 1
    for i in range(0, len(parts), 2):
        outside = parts[i]
        if not outside:
            continue  # a doubled quote, or one cell after another at an edge of the text
        if (i > 0 and not outside.startswith(edges)) or (i < last and not outside.endswith(edges)):
            return False
    for i in range(1, len(parts), 2):
        if "\n" in parts[i] and _swallowed(parts[i], mark, n):
            raise _two_readings(path, first_line + sum(part.count("\n") for part in parts[:i]))
    return True


def _two_readings(path: Path, line: int) -> DataFormatError:
    return DataFormatError(
        f"{path}, line {line}: the quoted cell that begins here holds lines that look like rows: close its quote in this line, "
        "or take the line breaks out of the cell"
    )


def _swallowed(cell: str, mark: str, n: int) -> bool:
    """Whether every line of a quoted cell but its first looks like a row of its own: the quote that opened it is astray."""
    rows = [line.split(mark) for line in cell.split("\n")[1:]]
    return n > 1 and all(len(cells) == n and not any(c.startswith(" ") for c in cells) for cells in rows)


def _by_arrow(body: str, mark: str, n: int) -> list[Any] | None:
    """The columns; None where a row has another number of cells."""
    import pyarrow as pa
    import pyarrow.csv

    names = [str(i) for i in range(n)]
    if not body.strip("\n"):
        return [pa.chunked_array([pa.array([], pa.string())]) for _ in names]
    raw = body.encode("utf-8", errors="surrogatepass")
    quoted = '"' in body
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(raw),
            read_options=pa.csv.ReadOptions(
                column_names=names, block_size=min(len(raw) + 1, 2**30) if quoted else min(len(raw) + 1, 2**26)
            ),
            parse_options=pa.csv.ParseOptions(delimiter=mark, newlines_in_values=quoted),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
            ),
        )
    except (pa.ArrowException, ValueError):
        return None
    return [table.column(i) for i in range(n)]


def _by_line(
    body: str, mark: str, n: int, path: Path, line_before: int, *, ragged: bool
) -> Iterator[tuple[list[str], int]]:
    """Rows and the lines in which they end, where quotes are astray or rows ragged."""
    lines = body.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
            continue
        cells, used = _row(lines, at, mark, n, path, line_before)
        while len(cells) > n and not cells[-1].strip():
            cells.pop()
        if ragged or not any(cell.strip() for cell in cells):
            cells += [""] * (n - len(cells))
        if len(cells) != n:
            astray = ", or close the quote that was opened" if '"' in line else ""
            raise DataFormatError(
                f"{path}, line {line_before + at}: {len(cells)} cells, the header has {n}; the table cannot be read so: "
                f"quote cells that hold the delimiter{astray}"
            )
        at += used
        yield cells, line_before + at - 1


def _row(lines: Sequence[str], at: int, mark: str, n: int, path: Path, first_line: int) -> tuple[list[str], int]:
    """The cells of the row that begins here, and how many lines it takes."""
    line = lines[at]
    cells = _strict(line, mark)
    if cells is not None:
        return cells, 1
    literal = [_unquoted(cell) for cell in line.split(mark)]
    after = _strict(lines[at + 1], mark) if at + 1 < len(lines) and lines[at + 1].strip() else None
    alone = len(literal) == n and (at + 1 >= len(lines) or not lines[at + 1].strip() or _fits(after, n))
    several = _joined(lines, at, mark, n)
    if alone and several is not None:
        raise _two_readings(path, first_line + at)
    if alone:
        return literal, 1
    if line.count('"') % 2 == 0:
        lenient = _lenient(line, mark)
        if lenient is not None and len(lenient) == n:
            return lenient, 1
    return several or (literal, 1)


def _joined(lines: Sequence[str], at: int, mark: str, n: int) -> tuple[list[str], int] | None:
    """The row that begins here if its quoted cells go on over the next lines."""
    joined, quotes = [lines[at]], lines[at].count('"')
    for following in lines[at + 1 : at + _LONGEST_CELL]:
        joined.append(following)
        quotes += following.count('"')
        if quotes % 2 or '"' not in following:
            continue
        cells = _strict("\n".join(joined), mark)
        if cells is not None and len(cells) == n:
            return cells, len(joined)
    return None


def _fits(cells: list[str] | None, n: int) -> bool:
    return cells is not None and len(cells) == n and not any(cell.startswith(" ") for cell in cells[1:])


def _strict(text: str, mark: str) -> list[str] | None:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True), [])
    except csv.Error:
        return None


def _lenient(text: str, mark: str) -> list[str] | None:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), [])
    except csv.Error:
        return None


def _unquoted(cell: str) -> str:
    bare = cell.strip()
    return bare[1:-1].replace('""', '"') if len(bare) > 1 and bare[0] == bare[-1] == '"' else cell


def _as_columns(rows: list[list[str]], n: int) -> list[Any]:
    import pyarrow as pa

    columns: Iterable[tuple[str, ...]] = zip(*rows, strict=True) if rows else [()] * n
    return [pa.chunked_array([pa.array(column, pa.string())]) for column in columns]


def _without_blank_rows(found: Delimited) -> Delimited:
    """Without the rows of empty cells that spreadsheets leave behind the table."""
    import pyarrow.compute as pc

    blank = None
    for column in found.columns:
        empty = pc.equal(pc.utf8_trim_whitespace(column), "")
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return found
    keep = pc.invert(blank)
    kept = None if found.lines is None else [n for n, k in zip(found.lines, keep.to_pylist(), strict=True) if k]
    return Delimited(found.header, [column.filter(keep) for column in found.columns], kept)
