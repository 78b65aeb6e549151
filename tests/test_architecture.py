"""How the source is laid out: which folder may import which, where libraries are used, how files are written.

Each rule is a function from a source tree to the list of what is wrong in it. Every rule is run on the package, and on a bad
sample that it must refuse. A new folder, top-level module or library is one line in a table below; what is not listed fails,
and so does what is listed and not there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import dissensus

SOURCE = Path(dissensus.__file__).resolve().parent

#: Top-level modules. They import one another and no folder.
BASICS = {
    "_backend",
    "_chunks",
    "_defaults",
    "_files",
    "_fork",
    "_ids",
    "_mean",
    "_measures",
    "_memory",
    "_ties",
    "_names",
    "_quiet",
    "_order",
    "_spread",
    "_threads",
    "_validate",
    "_version",
    "_workers",
    "errors",
}

#: Folder -> the folders it may import. Each may import itself and the basics.
FOLDERS: dict[str, set[str]] = {
    "adapters": {"committee", "strategies"},
    "agreement": {"strategies"},
    "catalog": {"committee", "features", "personalisation", "strategies"},
    "cli": {
        *("agreement", "catalog", "committee", "datasets", "evaluation", "features"),
        *("personalisation", "store", "strategies", "tables", "training"),
    },
    "committee": set(),
    "datasets": {"features", "tables"},
    "evaluation": {
        *("agreement", "catalog", "committee", "datasets", "features", "personalisation", "strategies", "training"),
    },
    "features": {"tables"},
    "kernels": set(),
    "personalisation": {"committee", "features", "store", "strategies"},
    "store": set(),
    "strategies": set(),
    "tables": set(),
    "training": {"committee"},
}

#: What only some may import: module -> (files, what to do instead).
DOORS: dict[str, tuple[tuple[str, ...], str]] = {
    "kernels": (("kernels/", "_backend.py"), "ask _backend.resolve for a kernel by name"),
    "_native": (("_backend.py", "evaluation/run/fingerprint.py"), "ask _backend.resolve for a kernel by name"),
}

#: Libraries that any file may import, and those that belong to some files only.
EVERYWHERE = {"numpy", "scipy", "sklearn", "pyarrow", "safetensors", "soxr", "threadpoolctl", "numba"}
HOMES: dict[str, tuple[str, ...]] = {
    "torch": ("training/",),
    "onnx": ("training/",),
    "onnxscript": ("training/",),
    "onnxruntime": ("committee/cnn.py", "training/"),
    "xgboost": ("committee/members/boosted.py", "committee/members/booster_trees.py"),
    "soundfile": ("features/audio.py", "features/_source.py"),
    "opensmile": ("features/opensmile_adapter.py",),
    "skactiveml": ("adapters/scikit_activeml.py",),
    "matplotlib": ("evaluation/",),
    "statsmodels": ("evaluation/",),
    "pandas": ("evaluation/outcome/mixed.py",),
    "umap": ("evaluation/papers/clusters.py",),
    "sqlalchemy": ("store/",),
    "alembic": ("store/",),
    "psycopg": ("store/postgres.py",),
    "typer": ("cli/",),
    "rich": ("cli/", "evaluation/text_table.py"),
}

#: Imported inside the function that needs them, never at the top of a file.
LATE = {
    "torch",
    "onnx",
    "onnxruntime",
    "xgboost",
    "soundfile",
    "soxr",
    "matplotlib",
    "opensmile",
    "skactiveml",
    "statsmodels",
    "threadpoolctl",
}
#: … except that whoever imports these files has asked for the library.
EARLY = {"torch": ("training/",), "skactiveml": ("adapters/scikit_activeml.py",)}

#: What kernels may import beside each other.
OF_KERNELS = {"numpy", "numba", "scipy"}

#: They can run code that comes from a file.
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}

#: Files that write without `_files`, and why.
WRITERS = {
    "_files.py": "the one that does it",
    "features/pool_writer.py": "appends to a pool and takes its lock; the manifest, through _files, makes it count",
    "features/extract.py": "windows of a long file on their way to the pool, removed at the next start",
    "datasets/_twins/_files.py": "made-up data for a test",
    "store/sqlite.py": "the empty file of a database, readable by its owner alone",
    "training/quantise.py": "a temporary folder",
    "evaluation/showcase/page.py": "a buffer in memory",
    "cli/main.py": "closes the standard output",
}

#: About 420 lines are a good length. A file that is longer because it holds one thing stays whole; past this it holds two.
MOST_LINES = 560


@dataclass(frozen=True)
class Import:
    """One import: the module's full name, the file and line it stands in, and whether it runs with the file."""

    name: str
    file: str
    line: int
    at_top: bool

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def _tree(path: Path) -> ast.Module:
    return _parsed(path.read_text(encoding="utf-8"))


@cache  # each rule reads every file, and a sample changes one of them
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _face(root: Path) -> dict[str, str]:
    """Public name -> the module it comes from, as ``__init__.py`` says."""
    for node in _tree(root / "__init__.py").body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_HOME" and node.value is not None:
            homes: dict[str, str] = ast.literal_eval(node.value)
            return homes
    raise AssertionError("dissensus/__init__.py no longer keeps its public names in _HOME: mend this test")


def _for_types(tree: ast.Module) -> set[int]:
    """The nodes under ``if TYPE_CHECKING``: they never run."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            found.update(id(inner) for child in node.body for inner in ast.walk(child))
    return found


def _literal(node: ast.expr) -> str:
    """The text of a module's name, as far as it is written out; "" where it is made at run time."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
        return str(node.values[0].value).rstrip(".")
    return ""


def _called(node: ast.Call) -> str:
    """The last name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _names(node: ast.AST, package: tuple[str, ...], aliases: set[str]) -> list[str]:
    """The modules that one node makes Python load; ``"?"`` where the name is made at run time."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            base = ".".join((*package[: len(package) - node.level + 1], *([node.module] if node.module else [])))
        return [f"{base}.{alias.name}" for alias in node.names] if base == "dissensus" else [base]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
        return [f"dissensus.{node.attr}"]
    if isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__", "find_spec", "resolve_name"}:
        return [_literal(node.args[0]) or "?"] if node.args else []
    return []


def _imports(root: Path) -> Iterator[Import]:
    face = tuple(_face(root).items())
    for path in _files(root):
        yield from _imports_of(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), face)


@cache
def _imports_of(text: str, file: str, face: tuple[tuple[str, str], ...]) -> tuple[Import, ...]:
    tree, homes = _parsed(text), dict(face)
    package = ("dissensus", *file.split("/")[:-1])
    nodes = list(ast.walk(tree))
    aliases = {
        alias.asname or "dissensus"
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "dissensus" or (alias.name.startswith("dissensus.") and not alias.asname)
    }
    top, types = {id(node) for node in tree.body}, _for_types(tree)
    found = []
    for node in nodes:
        for name in _names(node, package, aliases):
            head, _, rest = name.partition(".")
            if head == "dissensus" and rest in homes:
                name = f"dissensus.{homes[rest]}"
            at_top = id(node) in top and id(node) not in types
            found.append(Import(name, file, getattr(node, "lineno", 0), at_top))
    return tuple(found)


def _part(file: str) -> str:
    """The folder or top-level module that a file belongs to."""
    return file.partition("/")[0].removesuffix(".py")


def everything_is_listed(root: Path) -> list[str]:
    folders = {p.name for p in root.iterdir() if p.is_dir() and p.name != "__pycache__" and any(p.rglob("*.py"))}
    modules = {p.stem for p in root.glob("*.py")} - {"__init__"}
    return [
        *(f"folder {name}/ is not in FOLDERS: say there what it may import" for name in sorted(folders - set(FOLDERS))),
        *(f"folder {name}/ is in FOLDERS and not in the source" for name in sorted(set(FOLDERS) - folders)),
        *(f"module {name}.py is not in BASICS: list it, or move it into a folder" for name in sorted(modules - BASICS)),
        *(f"module {name}.py is in BASICS and not in the source" for name in sorted(BASICS - modules)),
    ]


def imports_go_one_way(root: Path) -> list[str]:
    wrong = []
    for found in _imports(root):
        if found.name == "?":
            if found.file not in {"__init__.py", "_backend.py"}:
                wrong.append(
                    f"{found.place}: the module's name is made at run time, so nobody can see what is imported"
                )
            continue
        if found.root != "dissensus" or found.name == "dissensus":
            continue
        source, target = _part(found.file), found.name.split(".")[1]
        if target in {"*", "__version__", "__file__"}:
            if target == "*":
                wrong.append(f"{found.place}: imports everything of dissensus; name what is needed")
        elif target in DOORS and not found.file.startswith(DOORS[target][0]):
            wrong.append(f"{found.place}: imports {found.name}; {DOORS[target][1]}")
        elif target in DOORS or source == "__init__" or source == target or target in BASICS:
            continue
        elif target not in FOLDERS:
            wrong.append(f"{found.place}: imports {found.name}, which is no folder, basic module or public name")
        elif source in BASICS:
            wrong.append(f"{found.place}: imports {found.name}; a top-level module imports no folder")
        elif target not in FOLDERS.get(source, set()):
            may = ", ".join(sorted(FOLDERS.get(source, set()))) or "no other folder"
            wrong.append(f"{found.place}: imports {found.name}; {source} may import {may}")
    return wrong


def importing_the_package_loads_numpy_alone(root: Path) -> list[str]:
    allowed = {"dissensus._version", "numpy"}
    return [
        f"{found.place}: imports {found.name} at the top; add the name to _HOME instead"
        for found in _imports(root)
        if found.file == "__init__.py"
        and found.at_top
        and found.root not in sys.stdlib_module_names
        and found.name not in allowed
    ]


def libraries_stay_where_they_belong(root: Path) -> list[str]:
    wrong = []
    for found in _imports(root):
        if found.root in sys.stdlib_module_names or found.root in {"dissensus", "?"}:
            if found.root in FORBIDDEN:
                wrong.append(f"{found.place}: {found.name} can run code from a file")
        elif found.root in FORBIDDEN:
            wrong.append(f"{found.place}: {found.name} can run code from a file")
        elif found.root not in EVERYWHERE | set(HOMES):
            wrong.append(
                f"{found.place}: {found.root} is not listed: add it to EVERYWHERE or HOMES, and to pyproject.toml"
            )
        elif found.root in HOMES and not found.file.startswith(HOMES[found.root]):
            wrong.append(f"{found.place}: {found.name} belongs in {' or '.join(HOMES[found.root])}")
        elif _part(found.file) == "kernels" and found.root not in OF_KERNELS:
            wrong.append(f"{found.place}: imports {found.name}; kernels know arrays and numbers only")
    return wrong


def heavy_libraries_come_late(root: Path) -> list[str]:
    return [
        f"{found.place}: {found.name} is imported at the top; import it in the function that needs it"
        for found in _imports(root)
        if found.at_top and found.root in LATE and not found.file.startswith(EARLY.get(found.root, ("-",)))
    ]


def files_are_written_by_one_module(root: Path) -> list[str]:
    wrong = []
    for path in _files(root):
        file = path.relative_to(root).as_posix()
        for node in ast.walk(_tree(path)):
            what = _writes(node) if isinstance(node, ast.Call) and file not in WRITERS else ""
            if isinstance(node, (ast.Call, ast.ImportFrom)) and file != "_files.py":
                what = what or _renames(node)
            if what:
                wrong.append(f"{file}:{node.lineno}: {what}; use dissensus._files")
    return wrong


def _writes(node: ast.Call) -> str:
    """What a call writes by itself, if it does."""
    if isinstance(node.func, ast.Attribute) and node.func.attr in {"write_text", "write_bytes"}:
        return f"{ast.unparse(node.func)} writes in place" if ast.unparse(node.func.value) != "_files" else ""
    if _called(node) != "open":
        return ""
    # open(path, mode) and gzip.open(path, mode), but path.open(mode) and os.open(path, flags)
    words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    words += [k.value.value for k in node.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
    modes = [word for word in words if 0 < len(word) <= 3 and set(word) <= set("rwaxbt+")]
    flags = any("O_WRONLY" in ast.unparse(arg) or "O_RDWR" in ast.unparse(arg) for arg in node.args)
    return f"{ast.unparse(node)} writes in place" if flags or any(set(mode) & set("wax+") for mode in modes) else ""


def _renames(node: ast.Call | ast.ImportFrom) -> str:
    """What a node renames or flushes by itself, if it does."""
    moving = {"os.replace", "os.rename", "os.renames", "os.fsync", "os.fdatasync", "shutil.move"}
    if isinstance(node, ast.ImportFrom):
        hit = {f"{node.module}.{alias.name}" for alias in node.names} & moving
        return f"imports {', '.join(sorted(hit))}" if hit else ""
    if _called(node) not in {name.rpartition(".")[2] for name in moving}:
        return ""
    name = ast.unparse(node.func)
    if name in moving:
        return name
    # Path.rename(new) and Path.replace(new); str.replace takes two, and dataclasses.replace takes keywords
    method = isinstance(node.func, ast.Attribute) and node.func.attr in {"rename", "replace"}
    return f"{name} renames" if method and len(node.args) == 1 and not node.keywords else ""


def no_file_holds_two_things(root: Path) -> list[str]:
    counts = {p.relative_to(root).as_posix(): p.read_text(encoding="utf-8").count("\n") for p in _files(root)}
    return [f"{file}: {n} lines; split it by meaning" for file, n in counts.items() if n > MOST_LINES]


def no_folder_is_empty(root: Path) -> list[str]:
    return [
        f"{folder.relative_to(root)}/ holds no code"
        for folder in sorted(root.rglob("*"))
        if folder.is_dir()
        and folder.name != "__pycache__"
        and not any(p.read_text(encoding="utf-8").strip() for p in folder.rglob("*.py"))
    ]


RULES: tuple[Callable[[Path], list[str]], ...] = (
    everything_is_listed,
    imports_go_one_way,
    importing_the_package_loads_numpy_alone,
    libraries_stay_where_they_belong,
    heavy_libraries_come_late,
    files_are_written_by_one_module,
    no_file_holds_two_things,
    no_folder_is_empty,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_obeys(rule: Callable[[Path], list[str]]) -> None:
    wrong = rule(SOURCE)
    assert not wrong, "\n".join(wrong)


#: (the rule, file, its content, what the message says); one line per way to break a rule.
BAD: list[tuple[Callable[[Path], list[str]], str, str, str]] = [
    (everything_is_listed, "attic/things.py", "x = 1", "folder attic/ is not in FOLDERS"),
    (everything_is_listed, "helpers.py", "x = 1", "module helpers.py is not in BASICS"),
    (
        imports_go_one_way,
        "features/bad.py",
        "from dissensus.committee import Committee",
        "features may import tables",
    ),
    (imports_go_one_way, "features/bad.py", "from dissensus import Committee", "imports dissensus.committee;"),
    (
        imports_go_one_way,
        "features/bad.py",
        "import dissensus\nx = dissensus.Session",
        "imports dissensus.personalisation;",
    ),
    (imports_go_one_way, "features/bad.py", "import dissensus as d\nx = d.evaluation", "imports dissensus.evaluation;"),
    (
        imports_go_one_way,
        "features/bad.py",
        "import dissensus.features\nx = dissensus.Session",
        "dissensus.personalisation",
    ),
    (
        imports_go_one_way,
        "features/bad.py",
        "def f():\n from dissensus import committee",
        "bad.py:2: imports dissensus.com",
    ),
    (imports_go_one_way, "features/bad.py", "from ..committee import Committee", "imports dissensus.committee;"),
    (imports_go_one_way, "features/bad.py", "from .. import committee", "imports dissensus.committee;"),
    (imports_go_one_way, "features/bad.py", "from dissensus import *", "imports everything"),
    (
        imports_go_one_way,
        "features/bad.py",
        "from dissensus.attic import x",
        "imports dissensus.attic, which is no folder",
    ),
    (imports_go_one_way, "features/bad.py", "from dissensus import Kommittee", "which is no folder"),
    (imports_go_one_way, "features/bad.py", "import_module('dissensus.cli')", "features may import tables"),
    (imports_go_one_way, "features/bad.py", "importlib.import_module(f'dissensus.cli.{x}')", "imports dissensus.cli;"),
    (imports_go_one_way, "features/bad.py", "importlib.import_module(x)", "made at run time"),
    (
        imports_go_one_way,
        "features/bad.py",
        "if TYPE_CHECKING:\n from dissensus.cli import x",
        "imports dissensus.cli;",
    ),
    (
        imports_go_one_way,
        "strategies/bad.py",
        "from dissensus.committee import Committee",
        "strategies may import no other",
    ),
    (
        imports_go_one_way,
        "personalisation/bad.py",
        "from dissensus.evaluation import x",
        "imports dissensus.evaluation;",
    ),
    (imports_go_one_way, "attic/bad.py", "from dissensus.committee import x", "attic may import no other folder"),
    (imports_go_one_way, "_memory.py", "from dissensus.evaluation import x", "a top-level module imports no folder"),
    (imports_go_one_way, "_files.py", "from dissensus import Session", "a top-level module imports no folder"),
    (imports_go_one_way, "features/bad.py", "from dissensus.kernels import mel", "ask _backend.resolve"),
    (imports_go_one_way, "evaluation/bad.py", "from dissensus._native import x", "ask _backend.resolve"),
    (imports_go_one_way, "kernels/bad.py", "from dissensus._native import x", "ask _backend.resolve"),
    (importing_the_package_loads_numpy_alone, "__init__.py", "import scipy", "imports scipy at the top"),
    (
        importing_the_package_loads_numpy_alone,
        "__init__.py",
        "from dissensus import Session",
        "imports dissensus.person",
    ),
    (libraries_stay_where_they_belong, "features/bad.py", "def f():\n import torch", "torch belongs in training/"),
    (libraries_stay_where_they_belong, "features/bad.py", "import requests", "requests is not listed"),
    (
        libraries_stay_where_they_belong,
        "features/bad.py",
        "from rich.table import Table",
        "rich.table belongs in cli/ or",
    ),
    (libraries_stay_where_they_belong, "features/bad.py", "import pickle", "can run code from a file"),
    (libraries_stay_where_they_belong, "features/bad.py", "from joblib import load", "can run code from a file"),
    (
        libraries_stay_where_they_belong,
        "kernels/bad.py",
        "from sklearn import svm",
        "kernels know arrays and numbers only",
    ),
    (heavy_libraries_come_late, "features/audio.py", "import soundfile", "soundfile is imported at the top"),
    (files_are_written_by_one_module, "cli/bad.py", "os.replace(a, b)", "os.replace; use dissensus._files"),
    (files_are_written_by_one_module, "cli/bad.py", "os.rename(a, b)", "os.rename; use"),
    (files_are_written_by_one_module, "cli/bad.py", "from os import fsync", "imports os.fsync; use"),
    (files_are_written_by_one_module, "cli/bad.py", "a.rename(b)", "a.rename renames; use"),
    (files_are_written_by_one_module, "cli/bad.py", "a.replace(b)", "a.replace renames; use"),
    (files_are_written_by_one_module, "cli/bad.py", "a.write_text(b)", "a.write_text writes in place; use"),
    (files_are_written_by_one_module, "cli/bad.py", "with open(a, 'wb') as f: pass", "writes in place; use"),
    (files_are_written_by_one_module, "cli/bad.py", "with a.open(mode='a') as f: pass", "writes in place; use"),
    (files_are_written_by_one_module, "cli/bad.py", "os.open(a, os.O_RDWR)", "writes in place; use"),
    (files_are_written_by_one_module, "features/pool_writer.py", "os.fsync(1)", "os.fsync; use"),
    (no_file_holds_two_things, "cli/bad.py", "x = 1\n" * (MOST_LINES + 1), "split it by meaning"),
    (no_folder_is_empty, "cli/attic/__init__.py", "", "cli/attic/ holds no code"),
]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A tree that has every listed part and breaks no rule."""
    root = tmp_path / "dissensus"
    for part in (*(f"{name}/__init__.py" for name in FOLDERS), *(f"{name}.py" for name in BASICS)):
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).write_text(f'"""{part}"""\n')
    (root / "__init__.py").write_text((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    return root


def test_a_good_tree_breaks_no_rule(good: Path) -> None:
    (good / "features" / "good.py").write_text(
        "import dissensus\nfrom dissensus import Pool, errors\nfrom . import pool\nx = dissensus.features, dissensus.Pool\n"
        "y = 'a'.replace('a', 'b'); replace(x, a=1); open(y); open(y, 'rb'); gzip.open(y, 'rt'); Pool.open('pool')\n"
    )
    for rule in RULES:
        assert rule(good) == []


@pytest.mark.parametrize(("rule", "file", "content", "says"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_each_rule_refuses(good: Path, rule: Callable[[Path], list[str]], file: str, content: str, says: str) -> None:
    path = good / file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if file == "__init__.py" else ""
    path.write_text(f"{before}{content}\n" if content else "")
    assert says in "\n".join(rule(good))


def test_every_rule_has_a_sample_that_it_refuses() -> None:
    assert {rule for rule, *_ in BAD} == set(RULES)


@pytest.mark.parametrize("gone", ["features", "_memory.py"])
def test_what_is_listed_must_be_there(good: Path, gone: str) -> None:
    for path in (good / gone).glob("*") if (good / gone).is_dir() else [good / gone]:
        path.unlink()
    assert f"{gone}{'' if gone.endswith('.py') else '/'} is in" in "\n".join(everything_is_listed(good))


def test_every_exception_is_of_a_file_that_is_there() -> None:
    named = {
        *WRITERS,
        *(file for files, _ in DOORS.values() for file in files),
        *(f for h in HOMES.values() for f in h),
    }
    assert [name for name in sorted(named) if not (SOURCE / name).exists()] == []
