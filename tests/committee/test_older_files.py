"""Files that released versions wrote load for ever, and give the same probabilities. Written by 0.1.0 itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.committee import Committee

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.mark.parametrize("kind", ["pretrained", "replay", "incremental"])
def test_a_committee_of_0_1_0_loads_and_says_what_it_said(kind: str, tmp_path: Path) -> None:
    name = "committee-0.1.0.safetensors" if kind == "pretrained" else f"committee-0.1.0-{kind}.safetensors"
    said = np.load(DATA / "committee-0.1.0.npz", allow_pickle=False)
    committee = Committee.load(DATA / name)
    np.testing.assert_allclose(committee.predict_proba(said["X"], said["track"]), said[kind], rtol=0, atol=1e-6)
    committee.save(tmp_path / "again")
    again = Committee.load(tmp_path / "again")
    np.testing.assert_array_equal(
        again.predict_proba(said["X"], said["track"]), committee.predict_proba(said["X"], said["track"])
    )
