"""Soundtracks: 110 film music excerpts, rated by everybody: half of them in five emotions, half in three dimensions.

Eerola & Vuoskoski, "A comparison of the discrete and dimensional models of emotion in music", Psychology of Music 39(1),
2011; the raw ratings and excerpt features that T. Eerola published later. How to obtain them: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._read import Table, find_file, number, read_table, require_folder, unique_index
from dissensus.datasets._types import QUADRANTS, Annotations, Dataset, quadrant
from dissensus.errors import DataFormatError
from dissensus.features.pool import Pool

__all__ = ["load"]

_DISCRETE: Final = ("Anger", "Fear", "Happy", "Sad", "Tender")
_DIMENSIONAL: Final = ("Valence", "Energy", "Tension")
_TARGET: Final = {"Happy": 0, "Anger": 1, "Fear": 1, "Sad": 2, "Tender": 3}
_PEOPLE: Final = ("Gender", "Age", "Musicianship")
_GAP: Final = ("", "NA", "NaN", "nan")
_SOURCE: Final = (
    "Soundtracks, Eerola & Vuoskoski, Psychology of Music 2011; github.com/tuomaseerola/emr, MusicScienceData"
)


def load(folder: str | Path, *, link: bool = True, features: bool = True) -> Dataset:
    """Read the ratings of every person, with or without the excerpt features.

    Parameters
    ----------
    folder : path
        Holds ``raw_ratings.csv`` and, for features, ``soundtrack_features.csv``, each plain or gzipped.
    link : bool
        The file numbers people anew in each condition. True: people of the two conditions who heard the two different
        halves are taken for one where their order in the file and their gender, age and musicianship agree: 114 people ×
        110 excerpts. That is an inference, not documented by the authors. False: 230 listeners with 50 or 60 excerpts.
    features : bool
        25 means of audio descriptors per excerpt. Without, there are no feature columns.

    Returns
    -------
    Dataset
        Labels: from the dimensions the quadrant of energy − 5 and valence − 5, none where either is 5; from the emotions
        the quadrant of the strongest (happy Q1, anger and fear Q2, sad Q3, tender Q4), none on a tie between quadrants.
        ``extra`` has ``condition`` and the eight ratings (NaN in the other condition); gender, age and musicianship stay
        in the file. ``weak_label`` is the quadrant of the emotion an excerpt was chosen for, −1 where it was chosen for a
        dimension; ``track_table`` has ``category``, ``level`` and ``album``.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    """
    root = require_folder(folder, "expected the raw ratings of Soundtracks")
    path = find_file(root, "raw_ratings.csv", what="the raw ratings of Soundtracks")
    needed = ("Track", "Category", "Level", "Album", "id", "Emotion", *_DISCRETE, *_DIMENSIONAL, *_PEOPLE)
    table = read_table(path, required=needed)
    if table.n_rows == 0:
        raise DataFormatError(f"{path}: no rating below the header")
    discrete = _conditions(table)
    values = {name: number(table, name, missing=_GAP) for name in (*_DISCRETE, *_DIMENSIONAL)}
    for names, here in ((_DISCRETE, discrete), (_DIMENSIONAL, ~discrete)):
        for name in names:
            gap = np.isnan(values[name]) & here
            if gap.any():
                raise DataFormatError(
                    f"{table.at(int(np.flatnonzero(gap)[0]))}: {name} is missing in its own condition"
                )
    tracks = [cell.strip() for cell in table["Track"]]
    listener = _people(table, discrete, tracks, link=link)
    annotations = Annotations(
        listener,
        np.array(tracks),
        _labels(values, discrete),
        QUADRANTS,
        None,
        {"condition": np.where(discrete, "discrete", "dimensional"), **{n.lower(): v for n, v in values.items()}},
    )
    if len(annotations.newest()) != len(annotations):
        raise DataFormatError(f"{path}: somebody rates an excerpt twice in one condition")
    ids = sorted(set(tracks), key=lambda t: (len(t), t))
    first = [tracks.index(t) for t in ids]
    columns = {n.lower(): np.array([table[n][row] for row in first]) for n in ("Category", "Level", "Album")}
    weak = np.array([_TARGET.get(c, -1) for c in columns["category"].tolist()], dtype=np.int64)
    pool = _features(root, ids) if features else Pool(np.zeros((len(ids), 0), dtype=np.float32), np.array(ids))
    return Dataset("soundtracks", pool, annotations, weak, columns, _SOURCE)


def _conditions(table: Table) -> NDArray[np.bool_]:
    """True where a row rates emotions, False where dimensions."""
    given = [cell.strip() for cell in table["Emotion"]]
    for row, value in enumerate(given):
        if value not in ("Discrete", "Dimensional"):
            raise DataFormatError(f"{table.at(row)}: Emotion is {value!r}, expected Discrete or Dimensional")
    return np.array([value == "Discrete" for value in given], dtype=bool)


def _labels(values: dict[str, NDArray[np.float64]], discrete: NDArray[np.bool_]) -> NDArray[np.int64]:
    label = np.full(len(discrete), -1, dtype=np.int64)
    energy, valence = (values[name][~discrete] - 5 for name in ("Energy", "Valence"))
    label[~discrete] = quadrant(energy, valence, boundary="drop")
    strength = np.full((int(discrete.sum()), 4), -np.inf)
    for name, q in _TARGET.items():
        strength[:, q] = np.maximum(strength[:, q], values[name][discrete])
    top = strength == strength.max(axis=1, keepdims=True)
    label[discrete] = np.where(top.sum(axis=1) == 1, top.argmax(axis=1), -1)
    return label


def _people(table: Table, discrete: NDArray[np.bool_], tracks: list[str], *, link: bool) -> NDArray[np.str_]:
    """A name for the person of each row."""
    heard: dict[tuple[bool, str], set[str]] = {}
    about: dict[tuple[bool, str], tuple[str, ...]] = {}
    keys = [(bool(d), cell.strip()) for d, cell in zip(discrete, table["id"], strict=True)]
    for row, key in enumerate(keys):
        heard.setdefault(key, set()).add(tracks[row])
        facts = tuple(table[name][row] for name in _PEOPLE)
        if about.setdefault(key, facts) != facts:
            raise DataFormatError(f"{table.at(row)}: person {key[1]!r} changes {', '.join(_PEOPLE)} within a condition")
    name = {key: f"{'discrete' if key[0] else 'dimensional'}-{key[1].zfill(3)}" for key in heard}
    if link:
        halves = {frozenset(tracks) for tracks in heard.values()}
        for half in halves:
            one = [key for key in heard if key[0] and heard[key] == half]
            for other_half in halves:
                other = [key for key in heard if not key[0] and heard[key] == other_half]
                if one and other and not half & other_half:
                    _link(one, other, about, name)
    return np.array([name[key] for key in keys])


def _link(
    one: list[tuple[bool, str]],
    other: list[tuple[bool, str]],
    about: dict[tuple[bool, str], tuple[str, ...]],
    name: dict[tuple[bool, str], str],
) -> None:
    """Give people of two conditions one name where they stand in the same order with the same facts."""
    facts: list[list[Any]] = [[about[key] for key in group] for group in (one, other)]
    for i, j, size in SequenceMatcher(None, facts[0], facts[1], autojunk=False).get_matching_blocks():
        for k in range(size):
            name[one[i + k]] = name[other[j + k]] = f"person-{one[i + k][1].zfill(3)}"


def _features(root: Path, ids: list[str]) -> Pool:
    path = find_file(root, "soundtrack_features.csv", what="the excerpt features of Soundtracks")
    table = read_table(path, required=("Track",))
    index = unique_index([cell.strip() for cell in table["Track"]], table, "Track")
    missing = [i for i in ids if i not in index]
    if missing:
        raise DataFormatError(f"{path}: no row for track {missing[0]!r}")
    names = [name for name in table if name not in ("Track", "File", "")]
    X = np.stack([number(table, name) for name in names], axis=1)[[index[i] for i in ids]]
    return Pool(X.astype(np.float32), np.array(ids), feature_names=names)
