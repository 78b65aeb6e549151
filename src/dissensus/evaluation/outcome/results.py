"""What ``dissensus evaluate`` left in a folder, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from dissensus.errors import DataFormatError, ParameterError
from dissensus.evaluation.curves import COLUMNS, Columns, Curves, curves_of, read_columns
from dissensus.evaluation.outcome.summary import summarise
from dissensus.evaluation.protocol import Protocol

__all__ = ["Results", "read_results"]

_NEEDED: Final = ("protocol", "rows", "n_listeners", "n_repeats", "label", "faults")
_QUERIES: Final = ("listener", "repeat", "strategy", "update", "round", "track_id")


@dataclass(frozen=True, eq=False)
class Results:
    """One evaluation.

    Attributes
    ----------
    folder : Path
    summary : dict
        See :func:`dissensus.evaluation.outcome.summary.summarise`.
    scores : dict of str to ndarray
        The tidy table.
    null : dict of str to ndarray or None
        The same for permuted answers.
    """

    folder: Path
    summary: dict[str, Any]
    scores: Columns
    null: Columns | None

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.summary.get("dataset", "the data set"))

    @property
    def is_paper(self) -> bool:
        """Whether a published protocol made it, faults included."""
        return bool(self.summary["label"] == "paper")

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol that made it; settings that a newer or older version knows are left at their defaults."""
        known = {field.name for field in fields(Protocol)}
        named: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.summary["protocol"].items()
            if name in known
        }
        return Protocol(**named)

    @cached_property
    def curves(self) -> Curves:
        """Learning curves of weighted F1."""
        return curves_of(self.scores)

    @cached_property
    def null_curves(self) -> Curves | None:
        """The same of permuted answers; None without such runs."""
        return None if self.null is None or not len(self.null["round"]) else curves_of(self.null)

    @cached_property
    def listeners(self) -> tuple[str, ...]:
        """Ids, sorted."""
        return tuple(np.unique(self.scores["listener"]).tolist())

    @cached_property
    def queries(self) -> Columns | None:
        """The tracks that were asked about; None where they were not kept."""
        path = self.folder / "details" / "queries.parquet"
        return read_columns(path, required=_QUERIES) if path.exists() else None

    def of(self, listeners: Iterable[str]) -> Results:
        """The same evaluation as if only these listeners had been in it.

        Raises
        ------
        ParameterError
            One of them is not in it.
        """
        wanted = set(listeners)
        unknown = wanted - set(self.listeners)
        if unknown or not wanted:
            raise ParameterError(f"{self.folder}: {len(unknown)} of {len(wanted)} listeners are not in these results")
        if wanted == set(self.listeners):
            return self
        scores = _only(self.scores, wanted)
        null = None if self.null is None else _only(self.null, wanted)
        summary = summarise(scores, self.protocol, null)
        summary |= {name: self.summary[name] for name in ("dataset", "source", "run") if name in self.summary}
        return replace(self, summary=summary, scores=scores, null=null)


def _only(table: Columns, listeners: set[str]) -> Columns:
    keep = np.isin(table["listener"], list(listeners))
    return {name: column[keep] for name, column in table.items()}


def read_results(folder: str | Path) -> Results:
    """Read a folder that ``dissensus evaluate --out`` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Results

    Raises
    ------
    DataFormatError
        The folder holds no results, or damaged ones; the message says which file and what to do.
    """
    folder = Path(folder)
    path = folder / "summary.json"
    if not folder.is_dir() or not path.exists() or not (folder / "scores.parquet").exists():
        raise DataFormatError(
            f"{folder}: no scores.parquet and summary.json; give the folder that `dissensus evaluate --out` wrote"
        )
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in _NEEDED if name not in summary]
    except (ValueError, TypeError) as error:
        raise DataFormatError(
            f"{path}: not a summary of an evaluation ({error}); run `dissensus evaluate` again"
        ) from None
    if missing:
        raise DataFormatError(f"{path}: {missing[0]!r} is missing; run `dissensus evaluate` again")
    permuted = folder / "details" / "permuted.parquet"
    has_null = permuted.exists() and summary.get("n_null_repeats")
    null = read_columns(permuted, required=COLUMNS) if has_null else None
    return Results(folder, summary, read_columns(folder / "scores.parquet"), null)
