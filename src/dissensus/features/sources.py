"""Which audio to extract: folders, globs, files, and tables of excerpts."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dissensus._names import escape_name, unescape_name
from dissensus.errors import DataFormatError, ParameterError
from dissensus.features._folders import files_below, match_pattern

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
        ".aif",
        ".aiff",
        ".aifc",
        ".w64",
        ".rf64",
        ".au",
        ".caf",
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
        such as ``"music/**/*.mp3"`` (ids are the paths as found), or a ``.csv`` table with a column ``path`` and, if wanted,
        ``track_id``, ``start_s``, ``duration_s`` (paths are relative to the table, and may be escaped as in
        ``errors.csv``). Names that are not UTF-8 give ids escaped by :func:`dissensus.features.escape_name`. Ids of a table
        are whole numbers where all of them are and fit 64 bits; beside ids of the other kind all are text.

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


def _from_table(table: Path) -> list[Excerpt]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise ParameterError(f"{table}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataFormatError(f"{table}: cannot be read as CSV ({error})") from None
    if not rows:
        raise DataFormatError(f"{table}: no rows; a header with a column 'path' and one row an excerpt are needed")
    if "path" not in rows[0]:
        raise DataFormatError(f"{table}: no column 'path'; it has {', '.join(map(str, rows[0]))}")
    ids = [(row.get("track_id") or "").strip() for row in rows]
    whole = all(_WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63 for text in ids)
    return [_excerpt(table, number, row, whole) for number, row in enumerate(rows, start=2)]


def _excerpt(table: Path, line: int, row: dict[str, str], whole_ids: bool) -> Excerpt:
    name = (row["path"] or "").strip()
    if not name:
        raise DataFormatError(f"{table}, line {line}: the path is empty")
    start, duration = (_seconds(table, line, row, column) for column in ("start_s", "duration_s"))
    text = (row.get("track_id") or "").strip()
    if not text:
        text = (
            name
            if start is None and duration is None
            else f"{name}#{start or 0:g}+{'' if duration is None else duration}"
        )
    path = table.parent / name
    if not os.path.lexists(path):
        path = table.parent / unescape_name(name)
    return Excerpt(int(text) if whole_ids else text, str(path), start or 0.0, duration)


def _seconds(table: Path, line: int, row: dict[str, str], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise DataFormatError(f"{table}, line {line}: {column}={text!r} is not a number of seconds") from None
    if not 0 <= value < 1e9 or (column == "duration_s" and value == 0):
        raise DataFormatError(f"{table}, line {line}: {column}={text} is out of range")
    return value
