"""Lists beside a pool: files that could not be used, and remarks on those that were."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from dissensus._files import write_text
from dissensus._names import escape_name
from dissensus.errors import StoreError

__all__ = ["Row", "keep_notes", "write_errors"]

Row = tuple[int | str, str, str, str]
_NOTES: Final = ("track_id", "path", "note")


def write_errors(folder: Path, errors: Sequence[Row]) -> None:
    """Write ``errors.csv``, or remove that of an earlier run where there are none."""
    target = folder / "errors.csv"
    if not errors:
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{target}: of an earlier run, cannot be removed ({error.strerror})") from None
        return
    rows = [(escape_name(str(track_id)), escape_name(path), kind, message) for track_id, path, kind, message in errors]
    _write(target, ("track_id", "path", "kind", "message"), rows)


def keep_notes(folder: Path, notes: Sequence[tuple[int | str, str, str]]) -> None:
    """Add to ``notes.csv``; what earlier runs noted of tracks that are in the pool stays."""
    if not notes:
        return
    target = folder / "notes.csv"
    new = [(escape_name(str(track_id)), escape_name(path), note) for track_id, path, note in notes]
    ours = {track_id for track_id, _, _ in new}
    old: list[tuple[str, ...]] = []
    try:
        with open(target, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        old = [tuple(row) for row in rows if len(row) == 3 and row[0] not in ours]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{target}: of an earlier run, cannot be read ({error})") from None
    _write(target, _NOTES, [*old, *new])


def _write(target: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(head)
    table.writerows(rows)
    write_text(target, text.getvalue())
