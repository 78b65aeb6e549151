"""Shared fixtures: a quick hypothesis profile and the place of the research data, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")

REPOSITORY = Path(__file__).resolve().parent.parent


def data_root() -> Path | None:
    """Where the research data is: ``$DISSENSUS_DATA``, else ``shared/data`` beside the checkout."""
    given = os.environ.get("DISSENSUS_DATA")
    root = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    return root if root.is_dir() else None


@pytest.fixture(scope="session")
def research_data() -> Path:
    """The research data sets; tests that need them skip where they are missing."""
    root = data_root()
    if root is None:
        pytest.skip("the research data is not here; set DISSENSUS_DATA to its folder to run this")
    return root
