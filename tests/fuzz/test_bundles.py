"""The short form of the fuzz of model files."""

from __future__ import annotations

import fuzz_bundles
import pytest


@pytest.mark.parametrize("count", [480, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_and_forged_model_files_end_in_typed_errors_and_run_nothing(count: int) -> None:
    result = fuzz_bundles.run(count, seed=7)
    print(fuzz_bundles.report(result))
    assert result.faults == []
    assert sum(result.outcomes.values()) == count
    assert set(result.outcomes) == {"fine", "ModelFormatError", "UntrustedModelError"}
    forged = sum((counts for name, counts in result.by_seed.items() if "forged" in name), start=type(result.outcomes)())
    assert forged["fine"] > count // 100  # the forgeries get past the digest
