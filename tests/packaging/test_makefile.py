"""The Makefile has every target that anybody names, and builds again what an edit made old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def _targets(text: str) -> set[str]:
    """The targets that have a rule."""
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))


def _phony(text: str) -> set[str]:
    return set(re.findall(r"^\.PHONY:((?:.*\\\n)*.*)", text, re.MULTILINE)[0].replace("\\\n", " ").split())


def _named(text: str) -> set[str]:
    """Targets that a text tells its reader to make: between backticks, after a prompt, or at the start of a line."""
    return {
        word
        for words in re.findall(r"(?:^|`|\$ )make((?: +[a-z][a-z-]+)+)", text, re.MULTILINE)
        for word in words.split()
    }


def _texts() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".ci/run", "pyproject.toml"))
    for folder in ("docs", "benchmarks", "native", "src"):
        yield from (p for p in (ROOT / folder).rglob("*") if p.suffix in {".md", ".py", ".cpp", ".hpp", ".txt"})


def test_phony_is_what_has_a_rule() -> None:
    assert _phony(MAKEFILE) == _targets(MAKEFILE)


def test_the_head_names_what_there_is() -> None:
    head = MAKEFILE[: MAKEFILE.index("PYTHON ?=")]
    named = {word for line in head.splitlines() for word in line.partition(":")[2].replace("make ", "").split()}
    assert {"demo", "test", "lint", "wheel"} <= named <= _targets(MAKEFILE)


def test_every_target_says_what_it_does() -> None:
    said = set(re.findall(r"^([a-z][a-z-]*):.*##", MAKEFILE, re.MULTILINE))
    assert said == _targets(MAKEFILE)


def test_no_text_names_a_target_that_is_not_there() -> None:
    there = _targets(MAKEFILE)
    named = {path.relative_to(ROOT).as_posix(): _named(path.read_text(encoding="utf-8")) for path in _texts()}
    assert {"README.md", "CHANGELOG.md"} <= {path for path, words in named.items() if words}
    assert {path: words - there for path, words in named.items() if words - there} == {}


def test_a_target_that_is_not_there_is_noticed() -> None:
    assert _named("run `make evaluate` or\nmake bench\n$ make lint types\nto make do") == {
        "evaluate",
        "bench",
        "lint",
        "types",
    }
    assert _phony(".PHONY: a b \\\n   c\n\nx:") == {"a", "b", "c"}
    assert _targets("a: b ## c\nSOURCES := d\n\te: f\n$(G): h\n") == {"a"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment counts as installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "native", tmp_path / "native")
    (tmp_path / "src" / "dissensus").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "dissensus" / "_version.py", tmp_path / "src" / "dissensus")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        os.utime(path, (1_000_000, 1_000_000))
    for i, name in enumerate(("bin/python", ".installed", ".installed-dev")):
        stamp = tmp_path / ".venv" / name
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        os.utime(stamp, (2_000_000 + i, 2_000_000 + i))
    return tmp_path


def _would_install(checkout: Path) -> bool:
    done = subprocess.run(["make", "-n", "test"], cwd=checkout, capture_output=True, text=True, check=True)
    assert "pytest" in done.stdout
    return "pip install --quiet -e" in done.stdout


def test_nothing_is_installed_again_without_an_edit(checkout: Path) -> None:
    assert not _would_install(checkout)


def test_an_edit_of_any_native_file_installs_again(checkout: Path) -> None:
    files = [path for path in (checkout / "native").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".cpp", ".hpp", ".txt"}
    kinds = {(path.parent, path.suffix): path for path in files}
    for path in kinds.values():
        os.utime(path, (3_000_000, 3_000_000))
        assert _would_install(checkout), path
        os.utime(path, (1_000_000, 1_000_000))


@pytest.mark.parametrize("name", ["pyproject.toml", "src/dissensus/_version.py"])
def test_an_edit_of_what_says_how_to_build_installs_again(checkout: Path, name: str) -> None:
    os.utime(checkout / name, (3_000_000, 3_000_000))
    assert _would_install(checkout)


def test_a_native_file_that_comes_or_goes_installs_again(checkout: Path) -> None:
    path = next((checkout / "native" / "src").rglob("*.hpp"))
    folder = path.parent
    path.unlink()
    assert _would_install(checkout)
    os.utime(folder, (1_000_000, 1_000_000))
    assert not _would_install(checkout)
    (folder / "new.inc").touch()
    assert _would_install(checkout)
