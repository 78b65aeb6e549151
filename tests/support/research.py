"""Where the research data is."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def data_root() -> Path | None:
    """``$DISSENSUS_DATA``, else ``shared/data`` beside the checkout; None where there is neither."""
    given = os.environ.get("DISSENSUS_DATA")
    root = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    return root if root.is_dir() else None
