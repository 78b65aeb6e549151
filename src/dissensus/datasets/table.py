"""Any table of features with any table of annotations, CSV, TSV or Parquet, by the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._ids import look_alike
from dissensus.datasets._types import QUADRANTS, Annotations, Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool
from dissensus.tables import Table, open_table

__all__ = ["Columns", "FeatureTable", "Impute", "load", "read_annotations", "read_features"]

#: What becomes of empty cells among the features; None: they are refused.
Impute = Literal["median", "drop"] | None

#: More classes than this, on more than half as many rows, are taken for something else.
_MOST_CLASSES = 50


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
        Numbers, in the annotations; both or neither. Kept in ``extra`` where ``label`` is given too.
    timestamp : str, optional
        Unix seconds, or times as ISO 8601 writes them, in the annotations.
    weak_label : str, optional
        A class that needs no listener, in the features; empty = none.
    features : tuple of str, optional
        Feature columns. Default: every column of the features that is not named here; row numbers are left out.
    extra : tuple of str
        Further columns of the annotations to keep.
    track_in_features : str, optional
        Track id in the features, where it is called something else there. Default: ``track``.
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
    track_in_features: str | None = None

    def __post_init__(self) -> None:
        if (self.arousal is None) != (self.valence is None):
            raise ParameterError("name both an arousal and a valence column, or neither")
        if self.label is None and self.arousal is None:
            raise ParameterError("name a label column, or an arousal and a valence column to make quadrants from")

    @property
    def in_features(self) -> str:
        """Name of the track id in the features."""
        return self.track if self.track_in_features is None else self.track_in_features


def load(
    features: str | Path,
    annotations: str | Path,
    columns: Columns | None = None,
    *,
    classes: Sequence[str] | None = None,
    boundary: Boundary = "nonneg",
    middle: float | tuple[float, float] | None = None,
    impute: Impute = None,
    duplicates: Literal["error", "newest"] = "error",
    name: str | None = None,
) -> Dataset:
    """Read two tables into a data set.

    Parameters
    ----------
    features : path
        One row per window (a track with several windows repeats its id) or one row per track. ``.csv``, ``.tsv``, ``.txt``,
        each also with ``.gz`` behind, or ``.parquet``. CSV may be in UTF-8, UTF-16 or Windows-1252, between commas,
        semicolons, tabs or bars, with decimal points or commas.
    annotations : path
        One row per judgement; the same kinds of files.
    columns : Columns, optional
        Names of the columns. Default: ``track_id``, ``listener_id``, ``label``, and every other column a feature.
    classes : sequence of str, optional
        Class names in the order of their index. Default: Q1..Q4 where all labels are among them, else the sorted labels.
    boundary : str
        What a zero of arousal or valence means where labels are made from them; see
        :func:`~dissensus.datasets.quadrant`.
    middle : float or (float, float), optional
        Middle of the scale of arousal and valence, subtracted from both: 5 for ratings from 1 to 9. Default: 0, which is
        refused where nothing is below zero.
    impute : {"median", "drop"}, optional
        Empty feature cells take the median of their column, or their rows are left out (with the judgements of tracks that
        are left with none). Default: they are refused.
    duplicates : {"error", "newest"}
        A listener who judged a track twice: an error, or the newest (without timestamps the last) row wins.
    name : str, optional
        Of the data set. Default: the name of the annotations' file.

    Returns
    -------
    Dataset
        float32 features where the file holds float32 only, float64 otherwise; ids are text. ``notes`` says what was left
        out or filled in.

    Raises
    ------
    DataFormatError
        A file that cannot be read, a column missing or named twice, a value that is no number or missing, an unknown
        class, ratings without a value below zero, a judgement twice, an annotated track without features; with file, line
        and value.
    ParameterError
        Columns or options that do not go together.

    Notes
    -----
    Rows are counted from 1, the header not included.
    """
    if duplicates not in ("error", "newest"):
        raise ParameterError(f"duplicates={duplicates!r}: must be 'error' or 'newest'")
    names = columns or Columns()
    read = read_features(features, names, impute=impute)
    judged = open_table(
        annotations, required=_given(names.track, names.listener, names.label, names.arousal, names.valence)
    )
    weak_classes = None if read.weak is None else set(read.weak.tolist()) - {""}
    every = read_annotations(judged, names, classes=classes, boundary=boundary, middle=middle, weak=weak_classes)
    in_pool = read.pool.track_ids.astype(np.str_)
    known = np.isin(every.track_id, in_pool)
    strange = ~known & ~np.isin(every.track_id, read.dropped)
    if strange.any():
        raise _stranger(every.track_id, strange, judged, read)
    once = _check_pairs(every, judged, newest=duplicates == "newest")
    found = once.subset(np.isin(once.track_id, in_pool))
    found = replace(found, track_id=read.pool.track_ids[read.pool.index_of(found.track_id)])  # ids as the pool has them
    notes = read.notes
    if len(found) < len(once):
        notes = (*notes, f"{len(once) - len(found)} judgements about tracks without features were left out")
    weak = None if read.weak is None else _weak(read, found.classes)
    return Dataset(name or judged.path.stem, read.pool, found, weak, {}, f"{features} and {judged.path}", notes=notes)


class FeatureTable(NamedTuple):
    """Features as they were read.

    Attributes
    ----------
    pool : Pool
    weak : (n_windows,) ndarray of str or None
        Weak label of each window, empty = none.
    dropped : ndarray of str
        Tracks of the file that are not in the pool, for gaps among their features.
    notes : tuple of str
        In words, what was left out or filled in.
    table : Table or None
        For messages; None for a pool.
    row : (n_windows,) ndarray of int64
        Row of the file that each window comes from.
    """

    pool: Pool
    weak: NDArray[np.str_] | None
    dropped: NDArray[np.str_]
    notes: tuple[str, ...]
    table: Table | None
    row: NDArray[np.int64]


def read_features(features: str | Path, names: Columns | None = None, *, impute: Impute = None) -> FeatureTable:
    """Read a table of features, or open a pool on disk where ``features`` is a folder.

    Parameters, errors and notes as in :func:`load`.
    """
    names = names or Columns()
    if impute not in (None, "median", "drop"):
        raise ParameterError(f"impute={impute!r}: must be None, 'median' or 'drop'")
    if Path(features).is_dir():
        return _opened(Path(features), names)
    key = names.in_features
    table = open_table(features, required=_given(key, names.weak_label, *(names.features or ())))
    wanted = list(names.features or ())
    notes: list[str] = []
    table.column(key)
    if not wanted:
        wanted, notes = table.features([n for n in (key, names.weak_label) if n is not None])
    if not wanted:
        raise DataFormatError(f"{table.path}: no feature column beside {key!r}")
    if not table.n_rows:
        raise DataFormatError(f"{table.path}: no row below the header")
    ids = table.ids(key)
    weak = None if names.weak_label is None else table.texts(names.weak_label, empty=True)
    X, gap = table.numbers(wanted)
    row = np.arange(table.n_rows)
    if gap.any():
        X, row, note = _without_gaps(X, gap, wanted, table, impute)
        notes.append(note)
    pool = Pool(X, ids[row], feature_names=wanted)
    dropped = np.setdiff1d(ids, pool.track_ids)
    return FeatureTable(pool, None if weak is None else weak[row], dropped, tuple(notes), table, row)


def _opened(folder: Path, names: Columns) -> FeatureTable:
    if names.weak_label is not None or names.track_in_features is not None:
        raise ParameterError(f"{folder}: a pool has tracks and features alone; name no further column of the features")
    pool = Pool.open(folder)
    if names.features is not None:
        pool = pool.select(names.features)
    return FeatureTable(pool, None, np.array([], dtype=np.str_), (), None, np.arange(pool.n_windows))


def _without_gaps(
    X: NDArray[Any], gap: NDArray[np.bool_], names: Sequence[str], table: Table, impute: Impute
) -> tuple[NDArray[Any], NDArray[np.int64], str]:
    """Features without gaps, the rows that are left, and a word about it."""
    row, column = (int(i) for i in np.argwhere(gap)[0])
    n_gaps, n_rows = int(gap.sum()), int(gap.any(axis=1).sum())
    if impute is None:
        raise DataFormatError(
            f"{table.at(row)}: {names[column]} is missing ({n_gaps} empty cells in {n_rows} of {len(X)} rows): impute='median' "
            "fills them with the median of their column, impute='drop' leaves out their rows (--impute on the command line)"
        )
    empty = gap.all(axis=0)
    if empty.any():
        raise DataFormatError(f"{table.path}: column {names[int(empty.argmax())]!r} is empty; remove it")
    if impute == "drop":
        kept = np.flatnonzero(~gap.any(axis=1))
        if not len(kept):
            raise DataFormatError(f"{table.path}: every row has an empty cell; impute='median' fills them")
        return X[kept], kept, f"{n_rows} of {len(X)} rows with empty cells were left out"
    filled = np.where(gap, np.nanmedian(X, axis=0), X).astype(X.dtype)
    return filled, np.arange(len(X)), f"{n_gaps} empty cells in {n_rows} of {len(X)} rows were filled with medians"


def read_annotations(
    table: Table,
    names: Columns,
    *,
    classes: Sequence[str] | None = None,
    boundary: Boundary = "nonneg",
    middle: float | tuple[float, float] | None = None,
    weak: set[str] | None = None,
) -> Annotations:
    """Read the judgements of a table; parameters and errors as in :func:`load`, ``weak`` the weak labels in use."""
    extra: dict[str, NDArray[Any]] = {}
    order: tuple[str, ...] = QUADRANTS
    if names.arousal is not None and names.valence is not None:
        both = {"arousal": table.number(names.arousal), "valence": table.number(names.valence)}
        extra = both if names.label is not None and middle is None else _centred(both, table, middle, boundary)
    elif middle is not None:
        raise ParameterError("middle= is of arousal and valence; name their columns")
    if names.label is None:
        if classes is not None and tuple(classes) != QUADRANTS:
            raise ParameterError("classes: labels made from arousal and valence are Q1, Q2, Q3, Q4")
        try:
            label = quadrant(extra["arousal"], extra["valence"], boundary=boundary)
        except ParameterError as error:
            raise DataFormatError(f"{table.path}: {error}") from None
    else:
        given = table.texts(names.label)
        order = _classes(given, weak or set(), classes, names.label, table)
        index = {c: i for i, c in enumerate(order)}
        for row, value in enumerate(given.tolist()):
            if value not in index:
                raise DataFormatError(f"{table.at(row)}: {names.label} is {value!r}, not one of {order}")
        label = np.array([index[v] for v in given.tolist()], dtype=np.int64)
    stamp = None if names.timestamp is None else table.seconds(names.timestamp)
    extra |= {n: _as_it_is(table, n) for n in names.extra}
    return Annotations(table.ids(names.listener), table.ids(names.track), label, order, stamp, extra)


def _given(*names: str | None) -> list[str]:
    return [name for name in names if name is not None]


def _centred(
    ratings: dict[str, NDArray[np.float64]],
    table: Table,
    middle: float | tuple[float, float] | None,
    boundary: Boundary,
) -> dict[str, NDArray[np.float64]]:
    """Arousal and valence around zero; ratings that cannot be are refused."""
    if middle is not None:
        pair = middle if isinstance(middle, tuple) else (middle, middle)
        if len(pair) != 2 or not np.isfinite(np.array(pair, dtype=np.float64)).all():
            raise ParameterError(f"middle={middle!r}: must be a number, or one for arousal and one for valence")
        return {name: values - float(m) for (name, values), m in zip(ratings.items(), pair, strict=True)}
    if boundary == "strict" or not len(ratings["arousal"]):
        return ratings
    one_sided = [name for name, values in ratings.items() if values.min() >= 0]
    few = len(ratings["arousal"]) < 4
    if len(one_sided) == 2 or (one_sided and not few):
        low, high = min(ratings[n].min() for n in one_sided), max(ratings[n].max() for n in one_sided)
        guess = next((m for top, m in ((1, 0.5), (5, 3), (7, 4), (9, 5), (10, 5), (100, 50)) if high <= top), high / 2)
        raise DataFormatError(
            f"{table.path}: {' and '.join(one_sided)} {'is' if len(one_sided) == 1 else 'are'} never below zero ({low:g} to "
            f"{high:g}), and all tracks would be on one side: give the middle of the scale, such as middle={guess:g} "
            f"(--middle {guess:g} on the command line), or middle=0 if zero it is"
        )
    return ratings


def _classes(
    given: NDArray[np.str_], weak: set[str], classes: Sequence[str] | None, column: str, table: Table
) -> tuple[str, ...]:
    seen = set(given.tolist()) | weak
    order = tuple(classes or (QUADRANTS if seen <= set(QUADRANTS) else sorted(seen)))
    if len(set(order)) != len(order):
        raise ParameterError(f"classes={order}: a name appears twice")
    if classes is None:
        folded: dict[str, str] = {}
        for value in sorted(seen):
            other = folded.setdefault(" ".join(value.casefold().split()), value)
            if other != value:
                row = given.tolist().index(value) if value in given else 0
                raise DataFormatError(
                    f"{table.at(row)}: {column} is {value!r}, elsewhere {other!r}: write one class in one way, or give classes="
                )
        if len(seen) > _MOST_CLASSES and 2 * len(seen) > len(given):
            raise DataFormatError(
                f"{table.path}: {column} has {len(seen)} different values in {len(given)} rows; a class is expected"
            )
    return order


def _as_it_is(table: Table, name: str) -> NDArray[Any]:
    """A column as numbers where all its cells are, else as text."""
    try:
        values, gap = table.numbers([name])
    except DataFormatError:
        return table.texts(name, empty=True)
    whole = not gap.any() and len(values) and (values == np.trunc(values)).all()
    return values[:, 0].astype(np.int64) if whole else values[:, 0]


def _stranger(tracks: NDArray[Any], strange: NDArray[np.bool_], judged: Table, read: FeatureTable) -> DataFormatError:
    """An annotated track without features."""
    row = int(strange.argmax())
    wanted, where = str(tracks[row]), "the pool" if read.table is None else str(read.table.path)
    other = look_alike(wanted, read.pool.track_ids.tolist())
    if other is not None:
        hint = f", but {other!a} looks like it: write ids in both tables in the same way"
    elif strange.all():
        hint = f", nor has any other ({read.pool.track_ids[0]!s} is one there): are these the columns of ids?"
    else:
        hint = f" ({int(strange.sum())} judgements about such tracks in all); remove them or add the features"
    return DataFormatError(f"{judged.at(row)}: track {wanted!r} has no row in {where}{hint}")


def _check_pairs(found: Annotations, table: Table, *, newest: bool) -> Annotations:
    kept = found.newest()
    if newest or len(kept) == len(found):
        return kept
    seen: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(zip(found.listener_id.tolist(), found.track_id.tolist(), strict=True)):
        if pair in seen:
            raise DataFormatError(
                f"{table.at(row)}: listener {pair[0]!r} already judged track {pair[1]!r} in row "
                f"{seen[pair] + 1}; duplicates='newest' keeps the newest"
            )
        seen[pair] = row
    return kept


def _weak(read: FeatureTable, classes: tuple[str, ...]) -> NDArray[np.int64]:
    assert read.weak is not None
    assert read.table is not None
    index = {c: i for i, c in enumerate(classes)} | {"": -1}
    weak = np.full(read.pool.n_tracks, -2, dtype=np.int64)
    for row, group, value in zip(read.row.tolist(), read.pool.groups.tolist(), read.weak.tolist(), strict=True):
        if value not in index:
            raise DataFormatError(f"{read.table.at(row)}: weak label {value!r} is not one of {classes}")
        if weak[group] not in (-2, index[value]):
            raise DataFormatError(
                f"{read.table.at(row)}: weak label {value!r} of track {str(read.pool.track_ids[group])!r} differs from "
                "that of its earlier windows"
            )
        weak[group] = index[value]
    return weak
