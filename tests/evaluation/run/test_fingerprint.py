"""Which sources decide whether a half-done evaluation is continued."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dissensus
from dissensus.evaluation.run import fingerprint

SOURCE = Path(dissensus.__file__).resolve().parent
KNOWN = fingerprint.sources()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's sources that can be edited."""
    source = tmp_path / "dissensus"
    shutil.copytree(SOURCE, source, ignore=lambda folder, names: [n for n in names if not _kept(Path(folder) / n)])
    monkeypatch.setattr(fingerprint, "_PACKAGE", source)
    return source


def _kept(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")


def digest() -> str:
    return fingerprint.code_fingerprint.__wrapped__()


@pytest.mark.parametrize(
    "path",
    [
        "evaluation/run/unit.py",
        "evaluation/scores.py",
        "evaluation/splits.py",
        "evaluation/run/pretraining.py",
        "personalisation/update.py",
        "personalisation/listener/residual.py",
        "committee/members/boosted.py",
        "strategies/consensus.py",
        "kernels/entropy.py",
        "kernels/reference/entropy.py",
        "features/pool.py",
        "_backend.py",
    ],
)
def test_what_can_change_a_number_counts(path: str) -> None:
    assert (SOURCE / path).is_file()
    assert SOURCE / path in KNOWN


@pytest.mark.parametrize(
    "path",
    [
        "evaluation/report/page.py",
        "evaluation/report/learning_curves.py",
        "evaluation/outcome/summary.py",
        "evaluation/curves.py",
        "agreement/alpha.py",
        "evaluation/run/grid.py",
    ],
)
def test_what_only_reports_or_hands_out_work_does_not(path: str) -> None:
    assert (SOURCE / path).is_file()
    assert SOURCE / path not in KNOWN


def test_every_source_of_a_room_that_is_looked_up_by_name_counts_however_deep() -> None:
    for folder in ("kernels", "committee"):
        assert set((SOURCE / folder).rglob("*.py")) <= set(KNOWN)


def test_other_compiled_kernels_are_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "_native.so"
    binary.write_bytes(b"one")
    monkeypatch.setattr(fingerprint, "compiled_modules", lambda: [binary])
    before = digest()
    binary.write_bytes(b"two")
    assert digest() != before


def test_the_compiled_module_in_use_counts() -> None:
    native = pytest.importorskip("dissensus._native")
    assert fingerprint.compiled_modules() == [Path(native.__file__)]


def test_an_edit_of_a_report_changes_nothing_and_one_of_a_source_does(copy: Path) -> None:
    before = digest()
    assert len(before) == 64
    for name in ("evaluation/report/page.py", "cli/evaluate.py"):
        (copy / name).write_text((copy / name).read_text() + "\n")
    assert digest() == before
    (copy / "evaluation" / "scores.py").write_text((copy / "evaluation" / "scores.py").read_text() + "\n")
    assert digest() != before


def test_a_new_import_of_the_runner_counts_at_once_also_when_late_relative_or_through_a_package(copy: Path) -> None:
    folder = copy / "evaluation" / "hall"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .far import thing\nfrom .other import unused\n")
    (folder / "far.py").write_text("thing = 1\n")
    (folder / "other.py").write_text("unused = 1\n")
    runner = copy / "evaluation" / "run" / "unit.py"
    before = set(fingerprint.sources())
    runner.write_text(runner.read_text() + "\ndef _late() -> None:\n    from dissensus.evaluation.hall import thing\n")
    assert set(fingerprint.sources()) - before == {folder / "far.py"}
    known = digest()
    (folder / "other.py").write_text("unused = 2\n")
    assert digest() == known
    (folder / "far.py").write_text("thing = 2\n")
    assert digest() != known


def test_everything_that_the_runner_makes_python_load_from_its_room_counts() -> None:
    """The closure against Python itself."""
    code = (
        "import sys, dissensus.evaluation.run.unit\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('dissensus.evaluation.')), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {Path(line).resolve() for line in done.stdout.split()}
    assert SOURCE / "evaluation" / "run" / "unit.py" in loaded
    assert {path for path in loaded if path.name != "__init__.py"} <= set(KNOWN)
