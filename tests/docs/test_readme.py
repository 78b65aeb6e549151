"""What the README shows runs, what it names is there, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lines_on_embedding_run() -> None:
    names: dict[str, Any] = {}
    exec(compile(CODE[0], "README.md", "exec"), names)
    assert len(names["session"].answers) == 4


def test_the_lines_on_a_catalog_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0.0, 0.1, 5 * 16000), 16000)
    names: dict[str, Any] = {"paths": [sound, tmp_path / "none.wav"]}
    exec(compile(CODE[1], "README.md", "exec"), names)
    assert f"{sound} [[" in capsys.readouterr().out
    assert names["scored"].proba is None
    assert "none.wav" in str(names["scored"].error)


def test_it_is_for_a_stranger() -> None:
    assert README.count("\n") <= 150


def test_every_make_target_and_file_it_names_exists() -> None:
    targets = {a or b for a, b in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.MULTILINE)}
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "bench", "docs"} <= targets <= made
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 6
    for link in links:
        assert (ROOT / link).is_file(), link
