"""What the README shows runs, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines_run() -> None:
    names: dict[str, object] = {}
    exec(compile(CODE[0], "README.md", "exec"), names)
    assert len(names["session"].answers) == 4  # type: ignore[attr-defined]


def test_the_lines_on_sound_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0.0, 0.1, 5 * 16000), 16000)
    names: dict[str, Any] = {"paths": [sound, tmp_path / "none.wav"]}
    exec(compile(CODE[1], "README.md", "exec"), names)
    assert f"{sound} [[" in capsys.readouterr().out
    assert names["scored"].proba is None
    assert "none.wav" in str(names["scored"].error)


def test_every_make_target_and_page_it_names_exists() -> None:
    targets = {a or b for a, b in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.MULTILINE)}
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "bench"} <= targets <= made
    for page in re.findall(r"`(docs/[a-z0-9_]+\.md)`", README):
        assert (ROOT / page).is_file(), page


def test_every_verb_it_names_exists() -> None:
    from dissensus.cli.main import VERBS

    prose = re.sub(r"```python\n.*?```", "", README, flags=re.DOTALL)
    named = set(re.findall(r"dissensus ([a-z][a-z-]+)[ `]", prose))
    known = set(VERBS) | {"study-listeners"}
    assert {"evaluate", "study-listeners"} <= named
    assert named <= known, named - known
