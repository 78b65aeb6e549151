"""The ratings of "Joyful for you and tender for us": 126 people, 22 clips, eleven emotions, four languages.

Gómez-Cañón, Cano, Herrera & Gómez, "Joyful for you and tender for us: the influence of individual characteristics and
language on emotion labeling and classification", ISMIR 2020. How to obtain it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._read import Table, find_file, number, read_table, require_folder
from dissensus.datasets._types import QUADRANTS, Annotations, Dataset
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = ["EMOTIONS", "LANGUAGES", "load"]

#: The rated emotions, in the order of the surveys, and the quadrant of each.
_QUADRANT: Final = {
    "anger": 1,
    "bitter": 2,
    "fear": 1,
    "joy": 0,
    "peace": 3,
    "power": 0,
    "sad": 2,
    "surprise": 0,
    "tender": 3,
    "tension": 1,
    "transcendence": 3,
}
EMOTIONS: Final = tuple(_QUADRANT)
LANGUAGES: Final = ("english", "spanish", "mandarin", "german")

#: Item → number in ``clip:k`` of the surveys.
_ITEMS: Final = {name: k for k, name in enumerate((*EMOTIONS, "preference", "familiarity", "understanding"), start=1)}
#: Gold-MSI scores: our name → column of the surveys, column of the long table.
_SCORES: Final = {
    "musical_training": ("mus_trai:1", "mus_train"),
    "emotional_engagement": ("emo:1", "emotions"),
    "musical_sophistication": ("mus_soph:1", "mus_soph"),
}
#: Clips without a text that could be understood.
_INSTRUMENTAL: Final = ("anger_2", "fear_1")
_SOURCE: Final = "Gómez-Cañón et al., ISMIR 2020; github.com/juansgomez87/agreement-emotion, results/"


def load(folder: str | Path, *, source: Literal["surveys", "long"] = "surveys") -> Dataset:
    """Read the ratings.

    Parameters
    ----------
    folder : path
        Holds ``data_english.csv``, ``data_spanish.csv``, ``data_mandarin.csv``, ``data_german.csv``, or
        ``data_ratings.all.csv``; each plain or gzipped.
    source : {"surveys", "long"}
        The raw surveys, of which those with any gap are left out as in the paper, or the authors' long table. Both give
        the same ratings.

    Returns
    -------
    Dataset
        22 tracks without features. ``annotations.extra`` has the eleven emotions (1 to 5), ``preference``,
        ``familiarity``, ``understanding`` (1 to 5), three Gold-MSI scores of the person (``musical_training``,
        ``emotional_engagement``, ``musical_sophistication``) and ``language``; what else the surveys ask stays in the
        file. Labels: the quadrant of the strongest emotion, none on a tie between quadrants. ``track_table`` has
        ``emotion``, ``quadrant`` (what a clip was chosen for) and ``lyrics``.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    ParameterError
        An unknown source.

    Notes
    -----
    26 English, 56 Spanish, 27 Mandarin and 17 German surveys are complete.
    """
    if source not in ("surveys", "long"):
        raise ParameterError(f"source={source!r}: must be 'surveys' or 'long'")
    root = require_folder(folder, "expected the ratings of ISMIR 2020")
    listener, clip, extra = _surveys(root) if source == "surveys" else _long(root)
    strength = np.full((len(clip), 4), -np.inf)
    for name, q in _QUADRANT.items():
        strength[:, q] = np.maximum(strength[:, q], extra[name])
    top = strength == strength.max(axis=1, keepdims=True)
    label = np.where(top.sum(axis=1) == 1, top.argmax(axis=1), -1).astype(np.int64)
    annotations = Annotations(listener, clip, label, QUADRANTS, None, extra)
    tracks = np.unique(clip)
    emotion = np.array([name.rsplit("_", 1)[0] for name in tracks.tolist()])
    weak = np.array([_QUADRANT[name] for name in emotion.tolist()], dtype=np.int64)
    table = {"emotion": emotion, "quadrant": weak, "lyrics": ~np.isin(tracks, _INSTRUMENTAL)}
    pool = Pool(np.zeros((len(tracks), 0), dtype=np.float32), tracks)
    return Dataset("ismir2020", pool, annotations, weak, table, _SOURCE)


def _surveys(root: Path) -> tuple[NDArray[np.str_], NDArray[np.str_], dict[str, NDArray[Any]]]:
    listener: list[str] = []
    clips: list[str] = []
    extra: dict[str, list[Any]] = {name: [] for name in (*_ITEMS, *_SCORES, "language")}
    for language in LANGUAGES:
        path = find_file(root, f"data_{language}.csv", what=f"the {language} surveys")
        table = read_table(path, required=[column for column, _ in _SCORES.values()], ragged=True)
        stems = sorted({name.split(":")[0] for name in table if name.split(":")[0].rsplit("_", 1)[0] in _QUADRANT})
        wanted = [f"{clip}:{k}" for clip in stems for k in _ITEMS.values()]
        absent = [name for name in wanted if name not in table]
        if not stems or absent:
            raise DataFormatError(f"{path}, line 1: no column {absent[0] if absent else 'joy_1:1'!r}")
        complete = [all(column[row].strip() for column in table.values()) for row in range(table.n_rows)]
        rows = np.flatnonzero(complete)
        values = {name: _rows(table, name, rows) for name in wanted}
        scores = {name: _rows(table, column, rows, top=None) for name, (column, _) in _SCORES.items()}
        for i in range(len(rows)):
            for clip in stems:
                listener.append(f"{language}-{i:03d}")
                clips.append(clip)
                for name, k in _ITEMS.items():
                    extra[name].append(values[f"{clip}:{k}"][i])
                for name, score in scores.items():
                    extra[name].append(score[i])
                extra["language"].append(language)
    if not listener:
        raise DataFormatError(f"{root}: no survey is complete")
    return np.array(listener), np.array(clips), {name: np.array(column) for name, column in extra.items()}


def _rows(table: Table, column: str, rows: NDArray[np.int64], *, top: float | None = 5.0) -> NDArray[np.float64]:
    """Some rows of a column of numbers, from 1 to ``top``."""
    part = Table({column: [table[column][row] for row in rows]}, table.path, [table.line[row] for row in rows])
    values = number(part, column)
    if top is not None and ((values < 1) | (values > top)).any():
        row = int(np.flatnonzero((values < 1) | (values > top))[0])
        raise DataFormatError(f"{part.at(row)}: {column} is {values[row]:g}, expected 1 to {top:g}")
    return values


def _long(root: Path) -> tuple[NDArray[np.str_], NDArray[np.str_], dict[str, NDArray[Any]]]:
    path = find_file(root, "data_ratings.all.csv", what="the long table of ratings")
    scores = {name: column for name, (_, column) in _SCORES.items()}
    table = read_table(path, required=("user", "language", "excerpt", *_ITEMS, *scores.values()))
    every = np.arange(table.n_rows)
    extra: dict[str, NDArray[Any]] = {name: _rows(table, name, every) for name in _ITEMS}
    extra |= {name: _rows(table, column, every, top=None) for name, column in scores.items()}
    extra["language"] = np.array(table["language"])
    clip = [Path(cell.strip()).stem for cell in table["excerpt"]]
    for row, (name, language) in enumerate(zip(clip, table["language"], strict=True)):
        if name.rsplit("_", 1)[0] not in _QUADRANT:
            raise DataFormatError(f"{table.at(row)}: excerpt is {name!r}, expected an emotion and a number, as joy_1")
        if language not in LANGUAGES:
            raise DataFormatError(f"{table.at(row)}: language is {language!r}, expected one of {', '.join(LANGUAGES)}")
    if not clip:
        raise DataFormatError(f"{path}: no rating below the header")
    rank: dict[tuple[str, str], int] = {}
    for key in zip(table["language"], table["user"], strict=True):
        rank.setdefault(key, sum(known[0] == key[0] for known in rank))
    listener = [f"{lang}-{rank[lang, user]:03d}" for lang, user in zip(table["language"], table["user"], strict=True)]
    return np.array(listener), np.array(clip), extra
