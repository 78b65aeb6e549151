"""TROMPA-MER: what listeners perceived in folk and choir music, with features of a streaming service.

Gómez-Cañón, Gutiérrez-Páez, Porcaro, Gómez et al., "TROMPA-MER: an open dataset for personalized music emotion
recognition", Journal of Intelligent Information Systems, 2022. How to obtain it: ``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dissensus._spread import column_deviation
from dissensus.datasets._read import Table, find_file, number, read_json, read_table, require_folder
from dissensus.datasets._types import QUADRANTS, Annotations, Dataset, quadrant
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features.pool import Pool

__all__ = ["MOODS", "MOOD_QUADRANT", "NUMERIC_FEATURES", "SNAPSHOTS", "load"]

#: Snapshots by date, and their files.
SNAPSHOTS: Final = {"2022-03-07": "data_07_03_2022.json", "2024-09-20": "data_20_09_2024.json"}

#: The eleven mood words and the quadrant each belongs to.
MOOD_QUADRANT: Final = {
    "joy": "Q1",
    "power": "Q1",
    "surprise": "Q1",
    "anger": "Q2",
    "tension": "Q2",
    "fear": "Q2",
    "sadness": "Q3",
    "bitterness": "Q3",
    "peace": "Q4",
    "tenderness": "Q4",
    "transcendence": "Q4",
}
MOODS: Final = tuple(MOOD_QUADRANT)

#: The numeric features, in the order of the columns.
NUMERIC_FEATURES: Final = (
    "popularity",
    "year",
    "danceability",
    "energy",
    "valence",
    "key_sin",
    "key_cos",
    "loudness",
    "mode",
    "log_speechiness",
    "acousticness",
    "instrumentalness",
    "log_liveness",
    "tempo",
    "norm_energy",
    "norm_valence",
)

_PLAIN = ("popularity", "danceability", "energy", "valence", "loudness", "mode", "acousticness", "instrumentalness")
_TRACK_COLUMNS = (*_PLAIN, "key", "speechiness", "liveness", "tempo", "norm_energy", "norm_valence", "quadrant")
_SOURCE = "TROMPA-MER, Gómez-Cañón et al., JIIS 2022; github.com/juansgomez87/vis-mtg-mer, data/"


def load(
    folder: str | Path,
    snapshot: str = "2022-03-07",
    *,
    spotify_quadrant: bool = False,
    zscore: Literal["selection", "none"] = "selection",
    repeats: Literal["newest", "keep"] = "newest",
) -> Dataset:
    """Read a snapshot of TROMPA-MER and join it with the features of its tracks.

    Parameters
    ----------
    folder : path
        Holds ``data_07_03_2022.json`` or ``data_20_09_2024.json`` and ``summary_anno.tsv`` (``.csv``) or
        ``summary.tsv``; each may be gzipped.
    snapshot : {"2022-03-07", "2024-09-20"}
        The one of the paper, or the newest.
    spotify_quadrant : bool
        Adds the service's quadrant as four one-hot columns. Leave it out where ``weak_label``, the same thing, is what
        a model learns from.
    zscore : {"selection", "none"}
        Numeric features are standardised inside each selection (choir, latam, …), because their levels differ so much
        between selections that a model of one fails on another; or left raw.
    repeats : {"newest", "keep"}
        A listener who judged a track twice: keep the newest judgement, or all of them.

    Returns
    -------
    Dataset
        One row per track: 16 numeric features (``NUMERIC_FEATURES``), 6 one-hot selections, and the quadrant's four where
        asked for; float32, finite. Labels are the quadrants Q1..Q4 of the listener's own arousal and valence (±1).
        ``annotations.extra`` has ``arousal``, ``valence`` (±1), ``mood`` (one of ``MOODS``), ``favourite``, ``known``
        (bool) and ``duration_ms``; free text and everything about the people behind the ids stay in the file.
        ``weak_label`` is the quadrant of the service's energy and valence; ``track_table`` has ``selection``,
        ``spotify_quadrant`` and the raw numbers.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    ParameterError
        An unknown snapshot or option.

    Notes
    -----
    Counts with repeats collapsed, 2022-03-07: 4685 annotations, 181 listeners, 691 tracks, 35 listeners with at least
    80 tracks. The field that names the listener is ``userId`` or, in older snapshots, ``userid``: both are read.
    """
    if snapshot not in SNAPSHOTS:
        raise ParameterError(f"snapshot={snapshot!r}: must be one of {', '.join(SNAPSHOTS)}")
    if zscore not in ("selection", "none"):
        raise ParameterError(f"zscore={zscore!r}: must be 'selection' or 'none'")
    if repeats not in ("newest", "keep"):
        raise ParameterError(f"repeats={repeats!r}: must be 'newest' or 'keep'")
    root = require_folder(folder, "expected the files of TROMPA-MER")
    pool, tracks = _tracks(root, spotify_quadrant=spotify_quadrant, zscore=zscore == "selection")
    path = find_file(root, SNAPSHOTS[snapshot], what=f"the snapshot of {snapshot}")
    annotations = _annotations(path)
    known = np.isin(annotations.track_id, pool.track_ids)
    if not known.all():
        stranger = annotations.track_id[~known][0]
        raise DataFormatError(f"{path}: externalID {str(stranger)!r} is not a cdr_track_num of the track table")
    if repeats == "newest":
        annotations = annotations.newest()
    return Dataset(f"trompa {snapshot}", pool, annotations, tracks["spotify_quadrant"], tracks, _SOURCE)


def _tracks(root: Path, *, spotify_quadrant: bool, zscore: bool) -> tuple[Pool, dict[str, NDArray[Any]]]:
    """Features and table of the distinct tracks, in the order of the file; of a repeated track the first row counts."""
    names = ("summary_anno.tsv", "summary_anno.csv", "summary.tsv", "summary.csv")
    path = find_file(root, *names, what="the track table with the Spotify features")
    table = read_table(path, required=("selection", "cdr_track_num", "year_rec", *_TRACK_COLUMNS), delimiter="\t")
    if table.n_rows == 0:
        raise DataFormatError(f"{path}: no track below the header")
    ids, first = np.unique(np.array(table["cdr_track_num"]), return_index=True)
    if "" in ids:
        raise DataFormatError(f"{table.at(table['cdr_track_num'].index(''))}: cdr_track_num is empty")
    rows = np.sort(first)
    raw = {name: number(table, name) for name in _TRACK_COLUMNS}
    raw["year"] = _year(table)
    for name in ("speechiness", "liveness"):
        if (raw[name] <= 0).any():
            row = int(np.flatnonzero(raw[name] <= 0)[0])
            raise DataFormatError(f"{table.at(row)}: {name} is {raw[name][row]:g}, its logarithm is taken")
    whole = np.isin(raw["quadrant"], (1, 2, 3, 4))
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise DataFormatError(f"{table.at(row)}: quadrant is {raw['quadrant'][row]:g}, expected 1, 2, 3 or 4")
    raw = {name: column[rows] for name, column in raw.items()}
    selection = np.array(table["selection"])[rows]
    angle = 2 * np.pi * raw["key"] / 12
    derived = {
        "key_sin": np.sin(angle),
        "key_cos": np.cos(angle),
        "log_speechiness": np.log(raw["speechiness"]),
        "log_liveness": np.log(raw["liveness"]),
    }
    features = np.stack([(raw | derived)[name] for name in NUMERIC_FEATURES], axis=1)
    if zscore:
        features = _zscore_within(features, selection)
    selections = np.unique(selection)
    weak = raw["quadrant"].astype(np.int64) - 1
    blocks = [features, selection[:, None] == selections]
    columns = [*NUMERIC_FEATURES, *(f"selection_{name}" for name in selections)]
    if spotify_quadrant:
        blocks.append(weak[:, None] == np.arange(4))
        columns += [f"spotify_{name}" for name in QUADRANTS]
    X = np.concatenate([np.asarray(block, dtype=np.float32) for block in blocks], axis=1)
    pool = Pool(X, np.array(table["cdr_track_num"])[rows], feature_names=columns)
    return pool, {"selection": selection, "spotify_quadrant": weak, **{k: raw[k] for k in raw if k != "quadrant"}}


def _year(table: Table) -> NDArray[np.float64]:
    """Year of the recording from ``YYYY`` or ``YYYY-MM-DD``."""
    years = np.empty(table.n_rows)
    for row, text in enumerate(map(str.strip, table["year_rec"])):
        if not (text[:4].isdigit() and (len(text) == 4 or text[4] == "-")):
            raise DataFormatError(f"{table.at(row)}: year_rec is {text!r}, expected YYYY or YYYY-MM-DD")
        years[row] = float(text[:4])
    return years


def _zscore_within(features: NDArray[np.float64], group: NDArray[Any]) -> NDArray[np.float64]:
    """Standardise every column inside each group; what does not vary there becomes 0."""
    out = np.empty_like(features)
    for name in np.unique(group):
        part = features[group == name]
        out[group == name] = (part - part.mean(axis=0)) / column_deviation(part, constant=np.inf)
    return out


def _annotations(path: Path) -> Annotations:
    """All judgements of a snapshot, repeats included."""
    document = read_json(path)
    records = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(records, list) or not records:
        raise DataFormatError(f"{path}: expected an object with a list 'annotations', not empty")
    fields = {
        "track": ("externalID",),
        "listener": ("userId", "userid"),
        "timestamp": ("timestamp",),
        "arousal": ("arousalValue",),
        "valence": ("valenceValue",),
        "mood": ("moodValue",),
        "favourite": ("favSong",),
        "known": ("knownSong",),
        "duration_ms": ("annotationTime",),
    }
    columns: dict[str, list[str]] = {name: [] for name in fields}
    for i, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataFormatError(f"{path}, annotations[{i}]: expected an object, found {type(record).__name__}")
        for name, spellings in fields.items():
            value = next((record[s] for s in spellings if record.get(s) not in (None, "")), None)
            if value is None:
                raise DataFormatError(f"{path}, annotations[{i}]: no {' or '.join(spellings)}")
            columns[name].append(str(value))
    for name, allowed in {
        "arousal": ("1", "-1"),
        "valence": ("1", "-1"),
        "mood": MOODS,
        "favourite": ("0", "1"),
        "known": ("0", "1"),
    }.items():
        for i, value in enumerate(columns[name]):
            if value not in allowed:
                raise DataFormatError(
                    f"{path}, annotations[{i}]: {fields[name][0]} is not one of {', '.join(allowed)}: {value[:20]!r}"
                )
    whole = {name: _whole(columns[name], path, fields[name][0]) for name in ("timestamp", "duration_ms")}
    arousal = np.array(columns["arousal"], dtype=np.int64)
    valence = np.array(columns["valence"], dtype=np.int64)
    return Annotations(
        np.array(columns["listener"]),
        np.array(columns["track"]),
        quadrant(arousal, valence, boundary="strict"),
        QUADRANTS,
        whole["timestamp"],
        {
            "arousal": arousal,
            "valence": valence,
            "mood": np.array(columns["mood"]),
            "favourite": np.array(columns["favourite"]) == "1",
            "known": np.array(columns["known"]) == "1",
            "duration_ms": whole["duration_ms"],
        },
    )


def _whole(column: list[str], path: Path, name: str) -> NDArray[np.int64]:
    for i, value in enumerate(column):
        if not value.isdecimal() or len(value) > 18:
            raise DataFormatError(f"{path}, annotations[{i}]: {name} is not a whole number: {value[:20]!r}")
    return np.array(column, dtype=np.int64)
