"""What the twins share."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lines", "plane", "write"]


def write(path: Path, text: str) -> None:
    """Write text, gzipped where the name says so; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


def lines(rows: Sequence[Sequence[Any]], delimiter: str = ",") -> str:
    """Rows as delimited text."""
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows)


def plane(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2) latent arousal and valence, in [-1, 1], never zero."""
    return np.where(rng.random((n, 2)) < 0.5, -1.0, 1.0) * rng.uniform(0.05, 1.0, (n, 2))
