"""Shared fixtures: a quick hypothesis profile and the place of the research data, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from research import data_root

settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


@pytest.fixture(scope="session")
def research_data() -> Path:
    """The research data sets; tests that need them skip where they are missing."""
    root = data_root()
    if root is None:
        pytest.skip("the research data is not here; set DISSENSUS_DATA to its folder to run this")
    return root
