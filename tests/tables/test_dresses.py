"""One table in every dress that spreadsheets and statistics programs give it: the same cells come out."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus.errors import DataFormatError, ParameterError
from dissensus.tables import Table, open_table

HEADER = ["track_id", "Größe", "x"]
ROWS = [["007", "1.5", "-2"], ["señor", "0.25", "1e3"], ["b, c", "-0.5", "0"]]


def written(mark: str = ",", *, end: str = "\n", comma: bool = False, quoting: int = csv.QUOTE_MINIMAL) -> str:
    """The table as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=mark, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(HEADER)
    writer.writerows([[i, *(c.replace(".", ",") if comma else c for c in cells)] for i, *cells in ROWS])
    return file.getvalue()


DRESSES: dict[str, Callable[[], bytes]] = {
    "as it is": lambda: written().encode(),
    "byte-order mark": lambda: written().encode("utf-8-sig"),
    "two byte-order marks": lambda: b"\xef\xbb\xbf" + written().encode("utf-8-sig"),
    "Windows line ends": lambda: written(end="\r\n").encode(),
    "old Macintosh line ends": lambda: written(end="\r").encode(),
    "no line end at the end": lambda: written().rstrip("\n").encode(),
    "Latin-1": lambda: written().encode("latin-1"),
    "Windows-1252 with a euro in a name": lambda: written().replace("Größe", "Größe").encode("cp1252"),
    "UTF-16 with a mark": lambda: written().encode("utf-16"),
    "UTF-16, big end first, with a mark": lambda: b"\xfe\xff" + written().encode("utf-16-be"),
    "UTF-16 without a mark": lambda: written().encode("utf-16-le"),
    "UTF-16, big end first, without a mark": lambda: written().encode("utf-16-be"),
    "UTF-32": lambda: written().encode("utf-32"),
    "semicolons": lambda: written(";").encode(),
    "semicolons and decimal commas": lambda: written(";", comma=True).encode(),
    "tabs": lambda: written("\t").encode(),
    "tabs and decimal commas": lambda: written("\t", comma=True).encode(),
    "bars": lambda: written("|").encode(),
    "commas and quoted decimal commas": lambda: written(",", comma=True).encode(),
    "Excel's sep= line": lambda: ("sep=;\n" + written(";")).encode(),
    "everything quoted": lambda: written(quoting=csv.QUOTE_ALL).encode(),
    "texts quoted": lambda: written(";", quoting=csv.QUOTE_NONNUMERIC).encode(),
    "Excel of a German: mark, semicolons, commas, Windows": lambda: written(";", comma=True, end="\r\n").encode("utf-8-sig"),
    "blanks around names": lambda: written().replace("track_id,", " track_id , ").encode(),
    "empty lines behind": lambda: (written() + "\n\n\n").encode(),
    "empty lines in front and between": lambda: ("\n\n" + written().replace("\nseñor", "\n\nseñor")).encode(),
    "empty rows behind": lambda: (written() + ",,\n,,\n").encode(),
    "rows of blanks behind": lambda: (written() + "  , , \n").encode(),
    "empty columns behind": lambda: "".join(line + ",,\n" for line in written().splitlines()).encode(),
    "empty cells behind the rows alone": lambda: written().replace("\n", ",\n").replace("x,\n", "x\n", 1).encode(),
    "gzipped": lambda: gzip.compress(written().encode()),
    "a minus of typesetters": lambda: written().replace(",-", ",\u2212").encode(),
    "a plus in front": lambda: written().replace(",1.5", ",+1.5").encode(),
    "blanks around cells": lambda: written().replace(",1.5,", ", 1.5 ,").replace("007", " 007 ").encode(),
    "hard blanks around cells": lambda: written().replace(",1.5,", ",\u00a01.5\u00a0,").replace("007", "\u00a0007").encode(),
}  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
def test_every_dress_gives_the_same_cells(tmp_path: Path, dress: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(DRESSES[dress]())
    table = open_table(path, required=("track_id",))
    assert [n for n in table.names if n] == HEADER
    assert table.ids("track_id").tolist() == ["007", "señor", "b, c"]
    values, gap = table.numbers(["Größe", "x"])
    assert values.tolist() == [[1.5, -2], [0.25, 1000], [-0.5, 0]] and not gap.any()
    assert table.features(("track_id",)) == (["Größe", "x"], [])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".tab", ".csv.gz", ".CSV"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_name_of_the_file_decides_nothing_that_the_cells_tell(tmp_path: Path, suffix: str, mark: str) -> None:
    path = tmp_path / f"t{suffix}"
    raw = written(mark).encode()
    path.write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    assert open_table(path).ids("track_id").tolist() == ["007", "señor", "b, c"]


def test_one_column_alone_needs_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("track_id\na\nb\n")
    assert open_table(tmp_path / "t.csv").texts("track_id").tolist() == ["a", "b"]


QUOTES: dict[str, tuple[str, list[str]]] = {
    "line breaks": ('id,c,y\n1,"two\nlines",a\n2,"x\n\n\ny",b\n', ["1", "2"]),
    "line breaks with commas": ('id,c,y\n1,"I felt\nsomething, honestly",a\n2,ok,b\n', ["1", "2"]),
    "doubled quotes": ('id,c,y\n1,"he said ""no""",a\n2,"""",b\n', ["1", "2"]),
    "a quote inside a cell": ('id,c,y\n1,5" speaker,a\n2,6" speaker,b\n', ["1", "2"]),
    "one quote inside a cell": ('id,c,y\n1,5" speaker,a\n2,ok,b\n', ["1", "2"]),
    "one quote in front of a cell": ('id,c,y\n1,"oops,a\n2,ok,b\n3,ok,a\n', ["1", "2", "3"]),
    "one quote in the last row": ('id,c,y\n1,ok,a\n2,"oops,b\n', ["1", "2"]),
    "two cells that open and never close": ('id,c,y\n1,"oops,a\n2,"oops,b\n3,ok,a\n', ["1", "2", "3"]),
    "quotes within quotes": ('id,c,y\n1,"He said "hello" to me",a\n2,ok,b\n', ["1", "2"]),
    "quotes within quotes with a comma": ('id,c,y\n1,"He, said "hello" to me",a\n2,ok,b\n', ["1", "2"]),
    "text behind a closing quote": ('id,c,y\n1,"yes"!,a\n2,ok,b\n', ["1", "2"]),
    "a quoted header with a line break": ('"id","a\nb","y"\n1,x,a\n2,z,b\n', ["1", "2"]),
    "apostrophes": ("id,c,y\n1,don't,a\n2,'tis,b\n", ["1", "2"]),
    "backslashes": ('id,c,y\n1,"C:\\",a\n2,\\n,b\n', ["1", "2"]),
    "a delimiter in quotes": ('id,c,y\n"1","a,b,c,,,",a\n"2",",",b\n', ["1", "2"]),
    "broken in one row, line breaks in another": ('id,c,y\n1,5" x,a\n2,"two\nlines",b\n3,"oops,a\n4,ok,b\n', list("1234")),
}  # fmt: skip


@pytest.mark.parametrize("case", QUOTES)
def test_quotes_and_line_breaks_in_a_column_nobody_uses_cost_no_row(tmp_path: Path, case: str) -> None:
    text, ids = QUOTES[case]
    (tmp_path / "t.csv").write_text(text)
    table = open_table(tmp_path / "t.csv", required=("id", "y"))
    assert table.ids("id").tolist() == ids
    assert table.texts("y").tolist() == [("a", "b")[i % 2] for i in range(len(ids))]


@pytest.mark.parametrize(
    "text",
    [
        'id,y,c\n1,a,ok\n2,a,"open\n3,b,mid\n4,a,closed"\n5,b,ok\n',
        'id,y,c\n1,a,ok\n2,a,"open\n3,b,closed"\n4,a,ok\n',
        'id,y,c\n1,a,5" x\n2,a,"open\n3,b,closed"\n4,a,ok\n',
        '"id","y","c"\n"1","a","ok"\n"2","a","as in\n3,b,x"\n',
    ],
)
def test_a_quote_that_has_two_readings_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(
        DataFormatError, match="line 3: the quoted cell that begins here holds lines that look like rows"
    ):
        open_table(tmp_path / "t.csv", required=("id", "y"))


def test_quoted_line_breaks_are_read_in_files_of_many_blocks(tmp_path: Path) -> None:
    n = 40_000
    rows = "".join(f'{i},u{i % 50},Q{i % 4 + 1},"I felt\nsomething {i}, honestly"\n' for i in range(n))
    (tmp_path / "t.csv").write_text("track_id,listener_id,label,comment\n" + rows)
    table = open_table(tmp_path / "t.csv")
    assert table.n_rows == n
    assert table.ids("track_id").tolist() == list(map(str, range(n)))
    assert table.at(n - 1).endswith(f"line {2 * n + 1}, row {n}")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells, the header has 2"),
        (b"a,b\n1,2\n3,4,5\n", "line 3: 3 cells, the header has 2"),
        (b'a,b,c\n1,2,3\n4,"5,6\n7,8\n', "line 3: 3 cells|line 4: 2 cells"),
        (b"a,b\n1,\x00\n", "line 2: cannot be read: holds a zero byte"),
        ("a,b\n1,é\n".encode() + b"2,\xe9\n", "line 3: cannot be read: byte 0xe9 is not UTF-8"),
        (b"a,b\n1,\x81\x8d\n", "line 2: cannot be read: neither"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        (b"PAR1rest", "call it .parquet"),
        (b"\x1f\x8brest", "damaged compression"),
        (b"\xff\xfea", "cannot be read as utf-16-le"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(DataFormatError, match=message) as caught:
        open_table(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_that_is_not_there_or_called_otherwise(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataFormatError, match="no such file"):
            open_table(tmp_path / name)
    with pytest.raises(ParameterError, match="save the table as CSV"):
        open_table(tmp_path / "book.xlsx")
    with pytest.raises(DataFormatError, match="cannot be read"):
        open_table(_folder(tmp_path / "f.csv"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_the_line_of_a_row_counts_lines_not_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('sep=;\nid;x\n\n1;"a\nb"\n\n2;c\n;\n3;d\n')
    table = open_table(path)
    assert [table.at(row) for row in range(3)] == [f"{path}, line {n}, row {i}" for i, n in ((1, 5), (2, 7), (3, 9))]


_cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff", exclude_categories=("Cs",)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(_cells, _cells, _cells).filter(lambda r: any(c.strip() for c in r)), min_size=1, max_size=8
    ),
    mark=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_writer_of_csv_quotes_right_comes_back(
    tmp_path: Path, rows: list[tuple[str, str, str]], mark: str, end: str, encoding: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "two", "three"), *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(file.getvalue().encode(encoding))
    try:
        table = open_table(path, required=("one", "two", "three"))
    except DataFormatError:
        assert any("\n" in cell for row in rows for cell in row)  # lines in a cell that look like rows are refused
        return
    expected = [[cell.replace("\r\n", "\n") for cell in row] for row in rows]
    assert [
        list(r) for r in zip(*(table.column(n).to_pylist() for n in ("one", "two", "three")), strict=True)
    ] == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-1e17, 1e17, allow_nan=False), min_size=1, max_size=30),
    st.booleans(),
    st.sampled_from(["csv", "parquet"]),
)
def test_numbers_come_back_to_the_last_bit_from_pandas(
    tmp_path: Path, values: list[float], comma: bool, kind: str
) -> None:
    frame = pd.DataFrame({"id": [f"t{i}" for i in range(len(values))], "x": values})
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=";", decimal="," if comma else ".")
    got = open_table(path).numbers(["x"])[0][:, 0]
    np.testing.assert_array_equal(got, np.array(values))


def test_tables_share_nothing_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x\na,1\n")
    table = open_table(path)
    path.unlink()
    assert isinstance(table, Table) and table.number("x").tolist() == [1]
