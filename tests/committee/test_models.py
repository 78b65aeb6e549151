"""The CNN that comes with the package: the file that was published, usable without torch, honest about its origin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dissensus.committee import models, shipped_cnn
from dissensus.errors import ModelFormatError


def test_it_says_what_it_is() -> None:
    model = shipped_cnn(provider="cpu")
    assert (model.n_members, model.classes, model.embedding_size) == (5, ("Q1", "Q2", "Q3", "Q4"), 64)
    about = model.metadata
    assert about["licence"] == "Apache-2.0"
    assert about["data_id"].startswith("dissensus synthetic music")
    assert about["training"]["shared_trunk"] is True
    assert about["parity_max_abs"] <= 1e-4
    assert str(about["training"]["seed"]) in about["data_id"]


def test_it_is_small_and_holds_no_path_of_the_machine_that_made_it() -> None:
    path = Path(models.__file__).with_name(models.SHIPPED_CNN)
    content = path.read_bytes()
    assert len(content) <= 1_500_000
    for trace in (b".py", b"site-packages", b"/root", b"/home"):
        assert trace not in content


def test_its_members_disagree_and_hear_more_than_chance() -> None:
    from dissensus import log_mel
    from dissensus.datasets.synthetic import render

    corners = [(0.9, 0.9), (0.9, -0.9), (-0.9, -0.9), (-0.9, 0.9)]
    clips = [
        render(a, v, duration_s=4.0, setting=sound, seed=seed)[:59_049]
        for seed, sound in enumerate(("piano", "strings", "flute", "reed"))
        for a, v in corners
    ]
    proba, _ = shipped_cnn(provider="cpu").predict(np.stack([log_mel(clip).T[None] for clip in clips]))
    heard = proba.mean(axis=1).argmax(axis=1)
    assert (heard == np.tile(np.arange(4), 4)).mean() >= 0.6
    assert (proba.max(axis=1) - proba.min(axis=1)).max() > 0.01


def test_a_changed_or_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "SHIPPED_CNN_SHA256", "0" * 64)
    with pytest.raises(ModelFormatError, match="was changed; install dissensus again"):
        shipped_cnn()
    monkeypatch.setattr(models, "SHIPPED_CNN", "gone.onnx")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        shipped_cnn()


def test_listing_the_committee_loads_neither_torch_nor_onnxruntime() -> None:
    code = (
        "import sys, json, dissensus.committee as c\nc.shipped_cnn()\n"
        "print(json.dumps([m for m in ('torch', 'onnx', 'onnxruntime') if m in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == []
