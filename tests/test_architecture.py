"""The house: who may import whom, how long a file may be, what may be imported at the top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "dissensus"

BASICS = {"errors", "_backend", "_threads", "_validate", "_chunks", "_files", "_memory", "_version"}

#: Room -> rooms it may import (itself and the basics are always allowed).
ARROWS: dict[str, set[str]] = {
    "kernels": set(),
    "agreement": {"strategies"},
    "features": set(),
    "committee": set(),
    "strategies": set(),
    "personalisation": {"committee", "features", "strategies"},
    "datasets": {"features"},
    "catalog": {"committee", "features", "strategies", "personalisation"},
    "training": {"committee"},
    "evaluation": {
        *("agreement", "catalog", "committee", "datasets", "features", "personalisation", "strategies", "training"),
    },
    "cli": {
        *("agreement", "catalog", "committee", "datasets", "evaluation", "features"),
        *("personalisation", "strategies", "training"),
    },
}

#: Third party -> the only places that may import it.
HOMES: dict[str, tuple[str, ...]] = {
    "torch": ("training/",),
    "onnx": ("training/",),
    "onnxscript": ("training/",),
    "onnxruntime": ("committee/cnn.py", "training/"),
    "xgboost": ("committee/members/boosted.py",),
    "soundfile": ("features/audio.py",),
    "matplotlib": ("evaluation/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "opensmile": ("features/opensmile_adapter.py",),
}

#: Never imported at the top of a module: they come late, inside the function that needs them.
LATE = {
    "torch",
    "onnx",
    "onnxruntime",
    "xgboost",
    "soundfile",
    "soxr",
    "matplotlib",
    "opensmile",
    "statsmodels",
    "threadpoolctl",
}

FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def _files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def _room(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def _type_checking_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                lines.update(range(child.lineno, (child.end_lineno or child.lineno) + 1))
    return lines


def _imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Every imported module of a file: its full name, whether it is at the top, its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = _type_checking_lines(tree)
    top = {id(node) for node in tree.body}
    package = ("dissensus", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join(package[: len(package) - node.level + 1])
                names = [f"{base}.{node.module}" if node.module else base]
            else:
                names = [node.module or ""]
                if names == ["dissensus"]:
                    names = [f"dissensus.{alias.name}" for alias in node.names]
        else:
            continue
        if node.lineno in typing_only:
            continue
        for name in names:
            yield name, id(node) in top, node.lineno


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    room = _room(path)
    wrong = []
    for name, _, line in _imports(path):
        if not name.startswith("dissensus."):
            continue
        target = name.split(".")[1]
        if target not in ARROWS and target not in BASICS | {"_native", "__version__", "capabilities"}:
            continue
        if room == "__init__":
            continue
        hidden = (target == "_native" and room != "_backend") or (
            target == "kernels" and room not in {"kernels", "_backend"}
        )
        if hidden:
            wrong.append(f"line {line}: {name} (ask _backend.resolve instead)")
        elif target in ARROWS and room in BASICS | {"_backend"} and target != "kernels":
            wrong.append(f"line {line}: {name} (a basic module imports no room)")
        elif target in ARROWS and room in ARROWS and target != room and target not in ARROWS[room]:
            wrong.append(f"line {line}: {name}")
    assert not wrong, f"{path.relative_to(SOURCE)} imports against the arrows: {wrong}"


def test_the_arrow_check_sees_a_wrong_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules[__name__]
    house = tmp_path / "dissensus"
    (house / "features").mkdir(parents=True)
    bad = house / "features" / "bad.py"
    bad.write_text("from dissensus.committee import Committee\n")
    monkeypatch.setattr(module, "SOURCE", house)
    with pytest.raises(AssertionError, match="against the arrows"):
        test_imports_point_one_way(bad)


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_third_parties_stay_in_their_rooms(path: Path) -> None:
    here = path.relative_to(SOURCE).as_posix()
    wrong = []
    for name, at_top, line in _imports(path):
        root = name.split(".")[0]
        if root in HOMES and not here.startswith(HOMES[root]):
            wrong.append(f"line {line}: {name} belongs in {' or '.join(HOMES[root])}")
        if root in FORBIDDEN:
            wrong.append(f"line {line}: {name} can run code from a file")
        if at_top and root in LATE and not (root == "torch" and here.startswith("training/")):
            wrong.append(f"line {line}: {name} is imported at the top; import it where it is used")
    assert not wrong, f"{here}: {wrong}"


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_file_outgrows_its_room(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 420, f"{path.relative_to(SOURCE)} has {lines} lines; move code where it belongs"


def test_no_empty_rooms() -> None:
    for folder in SOURCE.rglob("*"):
        if folder.is_dir() and folder.name != "__pycache__":
            sources = [p for p in folder.rglob("*.py") if p.read_text(encoding="utf-8").strip()]
            assert sources, f"{folder.relative_to(SOURCE)} holds no code"
