"""The tidy table of scores: one row per listener, repeat, strategy, update, member and round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus._files import replace_file
from dissensus.errors import DataFormatError
from dissensus.evaluation.scores import COMMITTEE, SCORES

__all__ = [
    "COLUMNS",
    "COMMITTEE",
    "Columns",
    "Curves",
    "concatenate",
    "curves_of",
    "read_columns",
    "slopes",
    "write_columns",
]

#: Columns of the table. Round −1 is before any answer.
COLUMNS: Final = ("listener", "repeat", "strategy", "update", "member", "round", "n_labels", *SCORES)

#: A table as named columns of equal length.
Columns = Mapping[str, NDArray[Any]]


def write_columns(path: Path, columns: Columns) -> None:
    """Write columns as Parquet (zstd); the file is replaced in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        column = pa.array(values.tolist() if values.dtype.kind in "UO" else values)
        arrays[name] = column.dictionary_encode() if values.dtype.kind == "U" else column
    table = pa.table(arrays)
    replace_file(path, lambda beside: pq.write_table(table, beside, compression="zstd"))


def read_columns(path: Path, required: Sequence[str] = COLUMNS) -> dict[str, NDArray[Any]]:
    """Read columns back.

    Raises
    ------
    DataFormatError
        Not a Parquet file, or a required column is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataFormatError(f"{path}: not a readable Parquet file ({error})") from None
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise DataFormatError(f"{path}: column {missing[0]!r} is missing; it has {', '.join(table.column_names)}")
    out: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        out[name] = np.array(column.to_pylist(), dtype=str) if is_text else column.to_numpy()
    return out


def concatenate(parts: Iterable[Columns]) -> dict[str, NDArray[Any]]:
    """One table below the other; all with the same columns."""
    tables = list(parts)
    return {name: np.concatenate([table[name] for table in tables]) for name in (tables[0] if tables else ())}


@dataclass(frozen=True)
class Curves:
    """Learning curves cut out of a table: one entry a listener, repeat, strategy, update and member."""

    listener: NDArray[Any]
    repeat: NDArray[np.int64]
    strategy: NDArray[Any]
    update: NDArray[Any]
    member: NDArray[Any]
    n_labels: list[NDArray[np.int64]]
    score: list[NDArray[np.float64]]

    def pick(self, **where: str) -> NDArray[np.int64]:
        """Positions of the curves whose keys have these values."""
        keep = np.ones(len(self.listener), dtype=bool)
        for name, value in where.items():
            keep &= getattr(self, name) == value
        return np.flatnonzero(keep)

    def by_listener(self, values: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean of one value a curve over each listener's curves among these; listeners sorted by id."""
        who = self.who[positions]
        count = np.bincount(who)
        return np.asarray(np.bincount(who, values[positions])[count > 0] / count[count > 0])

    @cached_property
    def who(self) -> NDArray[np.int64]:
        """Position of each curve's listener among all of them, sorted by id."""
        return np.asarray(np.unique(self.listener, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def curves_of(columns: Columns, score: str = "f1_weighted") -> Curves:
    """Cut a table into learning curves of one score.

    Raises
    ------
    DataFormatError
        A curve without its start (round −1), or with a round twice or missing.
    """
    keys = [np.unique(columns[name], return_inverse=True)[1] for name in COLUMNS[:5]]
    order = np.lexsort((columns["round"], *reversed(keys)))
    rounds = np.asarray(columns["round"])[order]
    starts = np.flatnonzero(rounds == -1)
    change = np.zeros(len(order), dtype=bool)
    change[:1] = True
    for key in keys:
        change[1:] |= np.diff(key[order]) != 0
    step = np.diff(rounds, prepend=-2)
    if not np.array_equal(np.flatnonzero(change), starts) or (step[~change] != 1).any():
        raise DataFormatError("the table of scores has a curve without its start, or rounds that repeat or are missing")
    first = order[starts]
    cuts = starts[1:]
    listener, repeat, strategy, update, member = (np.asarray(columns[name])[first] for name in COLUMNS[:5])
    n_labels = np.split(np.asarray(columns["n_labels"])[order], cuts)
    scores = np.split(np.asarray(columns[score], dtype=np.float64)[order], cuts)
    return Curves(listener, repeat, strategy, update, member, n_labels, scores)


def slopes(curves: Curves, *, with_start: bool) -> NDArray[np.float64]:
    """Least-squares slope of each curve on its rounds.

    Parameters
    ----------
    curves : Curves
    with_start : bool
        False, as published: the score before any answer is left out.

    Returns
    -------
    (n_curves,) ndarray of float64
        Score a round; 0 where fewer than two points are left.
    """
    out = np.zeros(len(curves.score))
    length = np.array([len(score) for score in curves.score])
    for n in np.unique(length).tolist():
        at = np.flatnonzero(length == n)
        kept = np.stack([curves.score[i] for i in at])[:, 0 if with_start else 1 :]
        if kept.shape[1] > 1:
            x = np.arange(kept.shape[1]) - (kept.shape[1] - 1) / 2
            out[at] = kept @ x / (x @ x)
    return np.where(np.abs(out) < 1e-12, 0.0, out)
