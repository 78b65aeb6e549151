"""Which audio to extract: folders, globs, files, and tables of excerpts."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dissensus.errors import DataFormatError, ParameterError

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
        A folder (searched through; ids are paths within it), a file, a glob such as ``"music/**/*.mp3"`` (ids are the paths
        as found), or a ``.csv`` table with a column ``path`` and, if wanted, ``track_id``, ``start_s``, ``duration_s``
        (paths are relative to the table).

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
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
            found += [Excerpt(p.relative_to(path).as_posix(), str(p)) for p in files]
            if not files:
                raise ParameterError(f"{text}: no audio files in this folder ({', '.join(sorted(AUDIO_SUFFIXES))})")
        elif path.suffix.lower() == ".csv":
            found += _from_table(path)
        elif path.exists():
            found.append(Excerpt(text, text))
        else:
            matches = sorted(m for m in glob.glob(text, recursive=True) if os.path.isfile(m))
            if not matches:
                raise ParameterError(f"{text}: no such file or folder, and no file matches it as a pattern")
            found += [Excerpt(m, m) for m in matches]
    _check_ids(found)
    return found


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
    whole = all(text.removeprefix("-").isdecimal() and str(int(text)) == text for text in ids)
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
    return Excerpt(int(text) if whole_ids else text, str(table.parent / name), start or 0.0, duration)


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
