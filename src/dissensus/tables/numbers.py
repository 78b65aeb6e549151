"""Cells as numbers: decimal points and decimal commas, gaps, and what is no number and looks like one."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAPS", "LARGEST", "BadCell", "Numbers", "as_numbers", "decimal_comma"]

#: Larger numbers are taken for damage or ids: their squares would not fit into the features' float32.
LARGEST: Final = 1e18

#: What stands in an empty cell of numbers, in lower case: nothing, or what R, pandas, Excel and SQL write.
GAPS: Final = frozenset(
    {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "-", "--", ".", "?", "missing"}
    | {"1.#qnan", "-1.#ind", "1.#ind", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"}
)

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA: Final = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_BOOLEANS: Final = {"true": 1.0, "false": 0.0}

_SEPARATED: Final = r"[+-]?[0-9]{1,3}(?:[,.'\u2019 \u00a0\u202f_][0-9]{3})+(?:[.,][0-9]+)?"

#: What a cell that is no number probably is.
_KINDS: Final = (
    (re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:[T ].*)?"), "a date; remove the column, or name the features"),
    (re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9.]+)?"), "a time of day; write seconds"),
    (re.compile(r"[+-]?[0-9.,]+ ?%"), "a percentage; write it as a share"),
    (re.compile(_SEPARATED), "with a separator of thousands; remove it"),
    (re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?[fdL]"), "with a letter behind; remove it"),
    (re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE), "infinite; remove such rows"),
    (re.compile(r"0[xX][0-9a-fA-F]+"), "hexadecimal; write it in decimal"),
)  # fmt: skip


class BadCell(Exception):
    """A cell that is no number: its row, its text, what is wrong with it, and the column among those given."""

    def __init__(self, row: int, text: str, why: str, column: int = 0) -> None:
        super().__init__(row, text, why, column)
        self.row, self.text, self.why, self.column = row, text, why, column

    def __str__(self) -> str:
        shown = self.text if self.text.strip().lower().strip("+-") == "inf" else repr(self.text[:40])
        return f"is {shown}, {self.why}"


class Numbers(NamedTuple):
    """A column of numbers.

    Attributes
    ----------
    values : (n,) ndarray of float64
        NaN where there is a gap.
    gap : (n,) ndarray of bool
    """

    values: NDArray[np.float64]
    gap: NDArray[np.bool_]


def decimal_comma(columns: Sequence[Any]) -> bool:
    """Whether the numbers of a file have a comma before their decimals.

    Parameters
    ----------
    columns : sequence of pyarrow.ChunkedArray of string
        The columns of numbers of one file.

    Raises
    ------
    BadCell
        Points occur beside commas, or all commas may as well separate thousands.

    Examples
    --------
    >>> import pyarrow as pa
    >>> decimal_comma([pa.chunked_array([["0,5", "1"]])]), decimal_comma([pa.chunked_array([["0.5", "1"]])])
    (True, False)
    """
    import pyarrow.compute as pc

    first: BadCell | None = None
    thousands = True
    for i, column in enumerate(columns):
        has = pc.match_substring(column, ",")
        if not pc.any(has).as_py():
            continue
        for row, cell in zip(np.flatnonzero(has.to_numpy()).tolist(), column.filter(has).to_pylist(), strict=True):
            bare = cell.strip().replace("\u2212", "-")
            separated = _THOUSANDS.fullmatch(bare) is not None
            if separated or _COMMA.fullmatch(bare):  # else text, or both marks in one cell: told where it is read
                first = first or BadCell(row, cell, "", i)
                thousands = thousands and separated
    if first is None:
        return False
    point = r"^\s*[+-]?[0-9]*\.[0-9]"
    if any(pc.any(pc.match_substring_regex(column, point)).as_py() for column in columns):
        first.why = "with a comma, though other numbers of the file have a point; write them all with a point"
        raise first
    if thousands:
        first.why = "which may be a thousand or have a decimal comma; write numbers with a point and no separators"
        raise first
    return True


def as_numbers(column: Any, *, gaps: Collection[str] = GAPS, comma: bool = False) -> Numbers:
    """A column of text as numbers.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string
        The cells.
    gaps : collection of str
        What an empty cell holds, in lower case.
    comma : bool
        Decimals stand behind a comma.

    Raises
    ------
    BadCell
        A cell is neither a gap nor a finite number of at most 1e18.

    Examples
    --------
    >>> import pyarrow as pa
    >>> as_numbers(pa.chunked_array([["1.5", " -2 ", "NA"]])).values
    array([ 1.5, -2. ,  nan])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.utf8_trim_whitespace(column)
    if comma:
        cells = pc.replace_substring(cells, ",", ".")
    try:
        values = np.asarray(pc.cast(cells, pa.float64()).to_numpy(), dtype=np.float64)
        if (np.abs(values) <= LARGEST).all():  # NaN compares false
            return Numbers(values, np.zeros(len(values), dtype=bool))
    except pa.ArrowInvalid:
        pass
    return _one_by_one(cells.to_pylist(), column, gaps)


def _one_by_one(cells: list[str], given: Any, gaps: Collection[str]) -> Numbers:
    values = np.full(len(cells), np.nan)
    gap = np.zeros(len(cells), dtype=bool)
    words = {cell.lower() for cell in cells if cell.lower() in _BOOLEANS}
    if words and all(cell.lower() in _BOOLEANS or cell.lower() in gaps for cell in cells):
        values = np.array([_BOOLEANS.get(cell.lower(), np.nan) for cell in cells])
        return Numbers(values, np.isnan(values))
    for row, cell in enumerate(cells):
        bare = cell.strip("\ufeff\u200b \u00a0").replace("\u2212", "-")
        if _NUMBER.fullmatch(bare):
            values[row] = float(bare)
            if not abs(values[row]) <= LARGEST:
                raise BadCell(row, cell, f"larger than {LARGEST:g}: damage, or an id rather than a number")
        elif bare.lower() in gaps:
            gap[row] = True
        else:
            text = given[row].as_py()
            raise BadCell(row, text, _why(bare, text))
    return Numbers(values, gap)


def _why(bare: str, text: str) -> str:
    for candidate in (text.strip(), bare):
        for pattern, what in _KINDS:
            if pattern.fullmatch(candidate):
                return f"not a {'finite ' * what.startswith('infinite')}number but {what}"
    if _COMMA.fullmatch(text.strip()):
        return "not a number here; write decimals with a point"
    if bare.lower() in GAPS:
        return "empty, where a number is expected"
    return "not a number"
