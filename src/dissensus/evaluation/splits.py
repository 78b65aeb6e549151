"""Splits of a listener's tracks: one per listener and repeat, kept on disk, shared by everything that is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._files import write_text
from dissensus.errors import DataFormatError, ParameterError

__all__ = ["Split", "Splits", "child_seed"]

_FORMAT = 1


def child_seed(seed: int, *key: str | int) -> np.random.SeedSequence:
    """The random stream that belongs to a purpose, whatever else was drawn before.

    Parameters
    ----------
    seed : int
        Master seed.
    *key : str or int
        Names the stream, for instance listener, repeat, purpose. A string counts by its SHA-256, so that a listener has
        the same stream in whatever company it is evaluated.

    Returns
    -------
    numpy.random.SeedSequence

    Examples
    --------
    >>> a, b = child_seed(0, "ann", 3), child_seed(0, "ann", 4)
    >>> bool((a.generate_state(2) == child_seed(0, "ann", 3).generate_state(2)).all())
    True
    >>> bool((a.generate_state(2) == b.generate_state(2)).any())
    False
    """
    words: list[int] = []
    for part in key:
        if isinstance(part, str):
            digest = hashlib.sha256(part.encode()).digest()
            words += [int.from_bytes(digest[i : i + 4], "little") for i in (0, 4)]
        else:
            words.append(int(part))
    return np.random.SeedSequence(seed, spawn_key=tuple(words))


@dataclass(frozen=True)
class Split:
    """The tracks of one listener in one repeat: those that may be asked, and those held out."""

    pool: tuple[Any, ...]
    test: tuple[Any, ...]


class Splits:
    """Splits by listener and repeat.

    Drawn from ``child_seed(seed, listener, repeat, "split")``, so that neither the other listeners nor the order of
    calls matter; no strategy, member or update has a say in them.

    Parameters
    ----------
    seed : int
        Master seed.
    test_share : float
        Share of a listener's tracks held out, in (0, 1); at least one track stays on either side.
    variant : str, optional
        Draws other splits than those of another variant. Only the re-statement of a published protocol that gave every
        strategy its own split needs this.

    Raises
    ------
    ParameterError
        ``test_share`` outside (0, 1).

    Examples
    --------
    >>> splits = Splits(seed=0, test_share=0.25)
    >>> split = splits.draw("ann", 0, ["a", "b", "c", "d"])
    >>> len(split.pool), len(split.test), splits.draw("ann", 0, ["d", "c", "b", "a"]) == split
    (3, 1, True)
    """

    def __init__(self, seed: int = 0, test_share: float = 0.15, variant: str = "") -> None:
        if not 0.0 < test_share < 1.0:
            raise ParameterError(f"test_share={test_share!r}: must lie between 0 and 1")
        self.seed = seed
        self.test_share = test_share
        self.variant = variant
        self._drawn: dict[tuple[str, int], Split] = {}

    def draw(self, listener: Any, repeat: int, tracks: Sequence[Any] | NDArray[Any]) -> Split:
        """The split of this listener's tracks in this repeat; the order of ``tracks`` has no influence.

        Raises
        ------
        ParameterError
            Fewer than two tracks, or the kept split is of other tracks.
        """
        items = sorted(set(np.asarray(tracks).tolist()))
        if len(items) < 2:
            raise ParameterError(f"listener {listener!r} has {len(items)} tracks; a split needs two")
        key = (str(listener), int(repeat))
        kept = self._drawn.get(key)
        if kept is not None:
            if sorted((*kept.pool, *kept.test)) != items:
                raise ParameterError(f"the kept split of listener {listener!r}, repeat {repeat} is of other tracks")
            return kept
        purpose = ("split", self.variant) if self.variant else ("split",)
        rng = np.random.default_rng(child_seed(self.seed, key[0], key[1], *purpose))
        n_pool = min(max(int(len(items) * (1.0 - self.test_share)), 1), len(items) - 1)
        order = rng.permutation(len(items))
        pool = tuple(items[i] for i in sorted(order[:n_pool]))
        test = tuple(items[i] for i in sorted(order[n_pool:]))
        return self._drawn.setdefault(key, Split(pool, test))

    def of(self, listener: Any, repeat: int) -> Split:
        """A split drawn or read before.

        Raises
        ------
        ParameterError
            It was not.
        """
        split = self._drawn.get((str(listener), int(repeat)))
        if split is None:
            raise ParameterError(f"no split was drawn for listener {listener!r}, repeat {repeat}")
        return split

    def save(self, path: Path) -> None:
        """Write every split drawn so far as JSON; the file is replaced in one step."""
        rows = [
            {"listener": who, "repeat": repeat, "pool": list(split.pool), "test": list(split.test)}
            for (who, repeat), split in sorted(self._drawn.items())
        ]
        head = {"format": _FORMAT, "seed": self.seed, "test_share": self.test_share, "variant": self.variant}
        body = ",\n".join(json.dumps(row) for row in rows)
        write_text(path, json.dumps(head)[:-1] + f', "splits": [\n{body}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> Splits:
        """Read splits written by :meth:`save`.

        Raises
        ------
        DataFormatError
            The file is not a file of splits, or a split has a track on both sides.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise DataFormatError(f"{path}: format {content['format']!r} of splits, expected {_FORMAT}")
            splits = cls(content["seed"], content["test_share"], content["variant"])
            for row in content["splits"]:
                split = Split(tuple(row["pool"]), tuple(row["test"]))
                if set(split.pool) & set(split.test):
                    raise DataFormatError(f"{path}: {row['listener']!r}, repeat {row['repeat']}: a track on both sides")
                splits._drawn[(row["listener"], row["repeat"])] = split
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataFormatError(f"{path}: not a file of splits ({type(error).__name__}: {error})") from None
        return splits

    def __len__(self) -> int:
        return len(self._drawn)
