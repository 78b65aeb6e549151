"""Cells that are numbers, gaps, and cells that only look like numbers."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dissensus.errors import DataFormatError
from dissensus.tables import open_table


def column(tmp_path: Path, *cells: str, mark: str = ";") -> Path:
    (tmp_path / "t.csv").write_text(f"id{mark}x\n" + "".join(f"t{i}{mark}{cell}\n" for i, cell in enumerate(cells)))
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "+3"], [1, -2, 3]),
        (["1.5", ".5", "5."], [1.5, 0.5, 5]),
        (["1e3", "1E-3", "2e+2"], [1000, 0.001, 200]),
        (["0,5", "1,25", "3"], [0.5, 1.25, 3]),
        (["0,500", "1,234"], [0.5, 1.234]),
        (["1,5e3", "2"], [1500, 2]),
        (["\u22121.5", "2"], [-1.5, 2]),
        (["true", "FALSE", "True"], [1, 0, 1]),
        (["007", "010"], [7, 10]),
        (["0", "-0.0"], [0, 0]),
        (["1e-400", "2"], [0, 2]),
        (["123456789012345678", "1"], [float(123456789012345678), 1]),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, cells: list[str], values: list[float]) -> None:
    assert open_table(column(tmp_path, *cells)).number("x").tolist() == values


@pytest.mark.parametrize(
    "cell",
    [
        "",
        " ",
        "NA",
        "N/A",
        "n/a",
        "NaN",
        "nan",
        "null",
        "NULL",
        "None",
        "#N/A",
        "-",
        "?",
        ".",
        "#DIV/0!",
        "#VALUE!",
        "<NA>",
    ],
)
def test_gaps_as_programs_write_them(tmp_path: Path, cell: str) -> None:
    values, gap = open_table(column(tmp_path, "1.5", cell, "2")).numbers(["x"])
    assert gap[:, 0].tolist() == [False, True, False]
    assert np.isnan(values[1, 0]) and values[[0, 2], 0].tolist() == [1.5, 2]
    with pytest.raises(DataFormatError, match="line 3, row 2: x is missing"):
        open_table(column(tmp_path, "1.5", cell, "2")).number("x")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["loud"], "x is 'loud', not a number"),
        (["1,234", "2,345"], "may be a thousand or have a decimal comma"),
        (["1,234,567"], "a thousand or have a decimal comma"),
        (["1.234,5"], "separator of thousands"),
        (["1'234.5"], "separator of thousands"),
        (["1 234"], "separator of thousands"),
        (["1_000"], "separator of thousands"),
        (["0,5", "1.5"], "with a comma, though other numbers of the file have a point"),
        (["2024-01-31"], "a date"),
        (["31.01.2024"], "a date"),
        (["1/2/24"], "a date"),
        (["2024-01-31T10:00:00"], "a date"),
        (["10:30"], "a time of day"),
        (["12%"], "a percentage"),
        (["12.5 %"], "a percentage"),
        (["inf"], "x is inf, not a finite number"),
        (["-Infinity"], "not a finite number but infinite"),
        (["1e400"], "larger than 1e\\+18"),
        (["12345678901234567890"], "an id rather than a number"),
        (["0x1F"], "hexadecimal"),
        (["1.5f"], "with a letter behind"),
        (["1.2.3"], "not a number"),
        (["--1"], "not a number"),
        (["true", "1"], "not a number"),
        (["yes"], "not a number"),
        (["\u0661"], "not a number"),
    ],
)
def test_what_only_looks_like_a_number_is_told_with_line_and_column(
    tmp_path: Path, cells: list[str], message: str
) -> None:
    with pytest.raises(DataFormatError, match=message) as caught:
        open_table(column(tmp_path, *cells)).number("x")
    assert "t.csv, line " in str(caught.value) and ": x is " in str(caught.value) and "\n" not in str(caught.value)


def test_the_decimal_mark_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id;x;y\na;0,5;1.234\n")
    with pytest.raises(DataFormatError, match="line 2, row 1: x is '0,5', with a comma, though other numbers"):
        open_table(path).numbers(["x", "y"])
    path.write_text("id;x;y;note\na;0,5;1234;v1.2\n")
    assert open_table(path).numbers(["x", "y"])[0].tolist() == [[0.5, 1234]]


def parquet(tmp_path: Path, **columns: object) -> Path:
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2], pa.int8()), pa.array([1, 2], pa.uint64()), pa.array([1, 2], pa.float16()),
        pa.array([Decimal("1"), Decimal("2")]), pa.array(["1", " 2 "]), pa.array(["1", "2"], pa.large_string()),
        pa.array(["1", "2"]).dictionary_encode(), pa.array([1.0, 2.0]).dictionary_encode(), pa.array([b"1", b"2"]),
    ],
    ids=lambda a: str(a.type),
)  # fmt: skip
def test_every_type_of_parquet_that_holds_numbers(tmp_path: Path, values: pa.Array) -> None:
    assert open_table(parquet(tmp_path, x=values)).number("x").tolist() == [1, 2]


def test_booleans_of_parquet_are_numbers_and_float32_stays(tmp_path: Path) -> None:
    assert open_table(parquet(tmp_path, x=pa.array([True, False]))).number("x").tolist() == [1, 0]
    single = parquet(tmp_path, x=pa.array([0.1, 0.2], pa.float32()))
    assert open_table(single).numbers(["x"])[0].dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1.0, None]), "row 2: x is missing"),
        (pa.array([1.0, float("nan")]), "row 2: x is missing"),
        (pa.array([None, None]), "row 1: x is missing"),
        (pa.array([1.0, float("inf")]), "row 2: x is inf"),
        (pa.array([datetime.date(2024, 1, 31)]), "row 1: x is '2024-01-31', not a number but a date"),
        (pa.array([[1.0]]), "row 1: x is '\\[1.0\\]', not a number but list"),
        (pa.array([2**63], pa.uint64()), "an id rather than a number"),
        (pa.array([b"\xff"]), "not a number but binary"),
    ],
)
def test_what_is_no_number_in_parquet(tmp_path: Path, values: pa.Array, message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        open_table(parquet(tmp_path, x=values)).number("x")


def test_times_as_numbers_or_as_dates(tmp_path: Path) -> None:
    assert open_table(column(tmp_path, "10", "20.9")).seconds("x").tolist() == [10, 20]
    iso = column(tmp_path, "1970-01-01T00:00:10", "1970-01-01 01:00:00+01:00", "1970-01-02")
    assert open_table(iso).seconds("x").tolist() == [10, 0, 86400]
    stamps = pa.array([datetime.datetime(1970, 1, 1, 0, 1)])
    assert open_table(parquet(tmp_path, x=stamps)).seconds("x").tolist() == [60]
    for cells, message in ((("1970-01-01", "soon"), "neither unix seconds nor a time"), (("10", ""), "x is missing")):
        with pytest.raises(DataFormatError, match=message):
            open_table(column(tmp_path, *cells)).seconds("x")


@pytest.mark.parametrize(
    ("cells", "ids"),
    [
        (["007", "7"], ["007", "7"]),
        (["1.0", "2.0"], ["1", "2"]),
        (["1.0", "x"], ["1.0", "x"]),
        (["NA", "null"], ["NA", "null"]),
        ([" a ", "\u00a0b"], ["a", "b"]),
        (["cafe\u0301", "b"], ["caf\u00e9", "b"]),
        (["12345678901234567890123", "1"], ["12345678901234567890123", "1"]),
        (["True", "False"], ["True", "False"]),
        (["2024-01-01", "1e5"], ["2024-01-01", "1e5"]),
        (["#1", "=A1"], ["#1", "=A1"]),
    ],
)
def test_ids_are_text(tmp_path: Path, cells: list[str], ids: list[str]) -> None:
    assert open_table(column(tmp_path, *cells)).ids("x").tolist() == ids


def test_ids_that_are_none(tmp_path: Path) -> None:
    for cells, message in (
        (["a", ""], "line 3, row 2: x is empty; fill it in or remove the row"),
        (["1,23E+15", "b"], "a spreadsheet has rounded the id"),
        (["1.23457E+15", "b"], "a spreadsheet has rounded the id"),
    ):
        with pytest.raises(DataFormatError, match=message):
            open_table(column(tmp_path, *cells)).ids("x")
    for values, ids in (
        (pa.array([3.0, 4.0]), ["3", "4"]),
        (pa.array([3, 4], pa.uint8()), ["3", "4"]),
        (pa.array(["3", "x"]), ["3", "x"]),
    ):
        assert open_table(parquet(tmp_path, x=values)).ids("x").tolist() == ids
    for wrong in (pa.array([3.5]), pa.array([True]), pa.array([None, 1]), pa.array(["a", None]), pa.array([b"\xff"])):
        with pytest.raises(DataFormatError, match=r"t\.parquet"):
            open_table(parquet(tmp_path, x=wrong)).ids("x")


@pytest.mark.parametrize(
    "name", ["", "Unnamed: 0", "index", "row_id", "rownames", "__index_level_0__", "rn", "Row Number"]
)
def test_row_numbers_are_no_feature(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"{name},id,x\n" + "".join(f"{i},t{i},{i % 3}.5\n" for i in (0, 2, 3, 7)))
    kept, notes = open_table(tmp_path / "t.csv").features(("id",))
    assert kept == ["x"] and len(notes) == 1 and "left out" in notes[0]


def test_an_index_in_any_order_is_no_feature(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",id,x\n3,a,.5\n0,b,.25\n0,c,1\n")
    assert open_table(tmp_path / "t.csv").features(("id",))[0] == ["x"]
    (tmp_path / "t.csv").write_text('"id","x"\n"1","a",.5\n"2","b",.25\n')  # R's row names have no name in the header
    assert open_table(tmp_path / "t.csv").features(("id",))[0] == ["x"]
    assert open_table(tmp_path / "t.csv").ids("id").tolist() == ["a", "b"]


def test_what_is_a_feature_though_it_could_be_a_row_number(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,index,x\na,0.5,1\nb,0.25,2\nc,3,3\n")
    assert open_table(tmp_path / "t.csv").features(("id",)) == (["index", "x"], [])


def test_a_column_that_counts_a_long_table_or_has_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,number,x\n" + "".join(f"t{i},{i},{i % 7}\n" for i in range(40)))
    with pytest.raises(DataFormatError, match="column 'number' counts the rows"):
        open_table(tmp_path / "t.csv").features(("id",))
    (tmp_path / "t.csv").write_text("id,,x\na,0.5,1\nb,0.25,2\n")
    with pytest.raises(DataFormatError, match="column 2 has no name"):
        open_table(tmp_path / "t.csv").features(("id",))
    (tmp_path / "t.csv").write_text("id,x,x\na,0.5,1\n")
    with pytest.raises(DataFormatError, match="column 'x' appears twice"):
        open_table(tmp_path / "t.csv").features(("id",))
    with pytest.raises(DataFormatError, match=r"no column 'ID'; there are: id, x, x \(did you mean 'id'\?\)"):
        open_table(tmp_path / "t.csv").ids("ID")


def test_text_of_parquet_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=pa.array(["caf\u00e9", "b"]), x=pa.array([1, 2]))
    raw = path.read_bytes()
    at = raw.index("caf\u00e9".encode())
    path.write_bytes(raw[: at + 3] + b"\xa6\xa6" + raw[at + 5 :])
    with pytest.raises(DataFormatError, match=r"t\.parquet: cannot be read: .*UTF8"):
        open_table(path)
