"""Which audio to extract: folders, globs, files, and tables of excerpts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from dissensus._names import escape_name, unescape_name
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features._folders import files_below, match_pattern
from dissensus.tables import Table, open_table

__all__ = ["AUDIO_SUFFIXES", "Excerpt", "gather_audio"]

#: File names taken from a folder; whatever else a folder holds is passed over.
AUDIO_SUFFIXES: Final = frozenset(
    {
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".aif",
        ".aiff",
        ".aifc",
        ".w64",
        ".rf64",
        ".bw64",
        ".au",
        ".snd",
        ".caf",
        *(".m4a", ".m4b", ".aac", ".wma", ".mka", ".ape", ".wv", ".tta", ".mpc", ".amr"),  # by the ffmpeg program
    }
)


_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,19}")


@dataclass(frozen=True)
class Excerpt:
    """A span of an audio file and the id it goes by."""

    track_id: int | str
    path: str
    start_s: float = 0.0
    duration_s: float | None = None


def gather_audio(sources: Iterable[str | os.PathLike[str]]) -> list[Excerpt]:
    """List what the sources name, in a fixed order.

    Parameters
    ----------
    sources : iterable of str or path
        A folder (searched through, links to folders included, each folder once; ids are paths within it), a file, a glob
        such as ``"music/**/*.mp3"`` (ids are the paths as found), or a ``.csv`` table, as any spreadsheet saves it, with a
        column ``path`` and, if wanted, ``track_id``, ``start_s``, ``duration_s`` (paths are relative to the table, and may be
        escaped as in ``errors.csv``). Names that are not UTF-8 give ids escaped by :func:`dissensus.features.escape_name`.
        Ids of a table are whole numbers where all of them are and fit 64 bits; beside ids of the other kind all are text.

    Returns
    -------
    list of Excerpt

    Raises
    ------
    ParameterError
        A source that names nothing, or two excerpts with one id.
    DataFormatError
        A table that cannot be read; the message names the row.
    """
    found: list[Excerpt] = []
    for source in sources:
        text = os.fspath(source)
        path = Path(text)
        if path.is_dir():
            names = [name for name in files_below(text) if _is_audio(name)]
            names.sort(key=lambda name: name.split(os.sep))
            found += [Excerpt(escape_name(Path(name).as_posix()), str(path / name)) for name in names]
            if not names:
                raise ParameterError(f"{text}: no audio files in this folder ({', '.join(sorted(AUDIO_SUFFIXES))})")
        elif path.suffix.lower() == ".csv":
            found += _from_table(path)
        elif os.path.lexists(path):
            found.append(Excerpt(escape_name(text), text))
        else:
            matches = match_pattern(text)
            if not matches:
                brackets = "; for a bracket of a name write [[]" if "[" in text else ""
                raise ParameterError(f"{text}: no such file or folder, and no file matches it as a pattern{brackets}")
            found += [Excerpt(escape_name(match), match) for match in matches]
    if len({isinstance(excerpt.track_id, str) for excerpt in found}) > 1:
        found = [replace(excerpt, track_id=str(excerpt.track_id)) for excerpt in found]
    _check_ids(found)
    return found


def _is_audio(name: str) -> bool:
    """Whether a name below a folder is one to try: music, or a folder that cannot be listed."""
    last = os.path.basename(name)
    return not last or (Path(last).suffix.lower() in AUDIO_SUFFIXES and not last.startswith("._"))


def _check_ids(found: Sequence[Excerpt]) -> None:
    seen: dict[int | str, Excerpt] = {}
    for excerpt in found:
        other = seen.setdefault(excerpt.track_id, excerpt)
        if other is not excerpt:
            raise ParameterError(
                f"{other.path} and {excerpt.path} would both be called {excerpt.track_id!r}; list them in a CSV with a "
                "track_id column"
            )


def _from_table(path: Path) -> list[Excerpt]:
    if not path.is_file():
        raise ParameterError(f"{path}: no such file")
    table = open_table(path, required=("path", "track_id", "start_s", "duration_s"))
    if not table.n_rows:
        raise DataFormatError(
            f"{path}: no rows, the table is empty; a header with 'path' and one row per excerpt are needed"
        )
    names = table.texts("path", empty=True).tolist()
    if "" in names:
        raise DataFormatError(f"{table.at(names.index(''))}: the path is empty")
    ids = table.texts("track_id", empty=True).tolist() if "track_id" in table else [""] * table.n_rows
    start, duration = (_seconds(table, column) for column in ("start_s", "duration_s"))
    whole = all(_WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63 for text in ids)
    found = []
    for name, given, begin, length in zip(names, ids, start, duration, strict=True):
        text = given
        if not text:
            spanned = f"{name}#{begin or 0:g}+{'' if length is None else length}"
            text = name if begin is None and length is None else spanned
        place = path.parent / name
        if not os.path.lexists(place):
            place = path.parent / unescape_name(name)
        found.append(Excerpt(int(text) if whole else text, str(place), begin or 0.0, length))
    return found


def _seconds(table: Table, column: str) -> list[float | None]:
    """Spans of a column, None where its cell is empty."""
    if column not in table:
        return [None] * table.n_rows
    values, gap = table.numbers([column], hint=" of seconds")
    for row in np.flatnonzero(~gap[:, 0]).tolist():
        value = float(values[row, 0])
        if not 0 <= value < 1e9 or (column == "duration_s" and value == 0):
            raise DataFormatError(f"{table.at(row)}: {column}={value:g} is out of range")
    return [None if empty else float(value) for value, empty in zip(values[:, 0], gap[:, 0], strict=True)]
