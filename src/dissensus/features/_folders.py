"""Audio files below a folder: links followed, every folder entered once, in a fixed order."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import deque
from collections.abc import Iterator

__all__ = ["files_below", "match_pattern"]

#: What other systems leave behind on disks that they share: never music.
_FOREIGN = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information"})


def files_below(top: str, *, hidden: bool = True) -> Iterator[str]:
    """Paths relative to ``top`` of everything below it that is not a folder.

    Links to folders are followed. A folder that can be reached in several ways is entered once, by its own place if that is
    below ``top`` and else by the first link to it, so that a circle of links ends and no file comes twice. A folder that
    cannot be listed comes as a path that ends in a separator, for whoever opens it to say why.

    Parameters
    ----------
    top : str
        A folder.
    hidden : bool
        Whether folders whose name begins with a dot are entered.
    """
    entered: set[tuple[int, int]] = set()
    linked: deque[str] = deque()
    waiting = deque([""])
    while waiting or linked:
        here = waiting.popleft() if waiting else linked.popleft()
        place = os.path.join(top, here)
        try:
            about = os.stat(place)
            if (about.st_dev, about.st_ino) in entered:
                continue
            entered.add((about.st_dev, about.st_ino))
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if here:
                yield os.path.join(here, "")
            continue
        for entry in entries:
            path = os.path.join(here, entry.name)
            if entry.name in _FOREIGN:
                continue
            if not _is_folder(entry):
                yield path
            elif hidden or not entry.name.startswith("."):
                (linked if entry.is_symlink() else waiting).append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere or in a circle
        return False


def match_pattern(pattern: str) -> list[str]:
    """Files that a pattern names, sorted; ``**`` as :func:`glob.glob` reads it, with circles of links cut.

    The leading parts of a pattern that exist as they are written are taken literally: ``"live [1999]/*.mp3"`` looks into the
    folder of that name.
    """
    literal = os.sep if pattern.startswith(os.sep) else ""
    parts = pattern.lstrip(os.sep).split(os.sep)
    while len(parts) > 1 and os.path.isdir(os.path.join(literal, parts[0])):
        literal = os.path.join(literal, parts.pop(0))
    if "**" not in parts:
        found = glob.iglob(os.path.join(glob.escape(literal), *parts))
        return sorted(path for path in found if not os.path.isdir(path))
    n_before = parts.index("**")
    tops = glob.glob(os.path.join(glob.escape(literal), *parts[:n_before])) if n_before else [literal]
    return sorted(
        os.path.join(top, path)
        for top in tops
        for path in files_below(top or os.curdir, hidden=any(part.startswith(".") for part in parts))
        if path.endswith(os.sep) or _matches(path.split(os.sep), parts[n_before:])
    )


def _matches(parts: list[str], patterns: list[str]) -> bool:
    """Whether the parts of a path are as the patterns say; ``**`` stands for any number of parts."""
    if not patterns or not parts:
        return not parts and not [pattern for pattern in patterns if pattern != "**"]
    first, *rest = patterns
    if first == "**":
        if _matches(parts, rest):
            return True
        return not parts[0].startswith(".") and _matches(parts[1:], patterns)
    hidden = parts[0].startswith(".") and not first.startswith(".")
    return not hidden and fnmatch.fnmatch(parts[0], first) and _matches(parts[1:], rest)
