"""What can change a result: the runner's sources, all they import or look up by name, and the compiled kernels."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["code_fingerprint", "compiled_modules", "sources"]

_PACKAGE: Final = Path(__file__).resolve().parents[2]
#: Where numbers are made: everything these import, directly or not, counts.
_ROOTS: Final = ("dissensus.evaluation.run.unit",)
#: Folders whose modules are found by name at run time (backends of kernels, kinds of members): all of them count.
_LOOKED_UP: Final = ("kernels", "committee")


def _place(module: str) -> Path | None:
    """File of a module or package of ours; None for anybody else's."""
    head, *rest = module.split(".")
    path = _PACKAGE.joinpath(*rest)
    if head != _PACKAGE.name or not rest:
        return None
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


def _imports(path: Path) -> tuple[tuple[str, str | None], ...]:
    """Modules that a file imports, at the top or late, each with a name taken from it; not those for type checkers."""
    package = ".".join([_PACKAGE.name, *path.relative_to(_PACKAGE).parent.parts])
    return _imports_of(path.read_text(encoding="utf-8"), package)


@cache
def _imports_of(text: str, package: str) -> tuple[tuple[str, str | None], ...]:
    tree = ast.parse(text)
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for line in block.body
        for node in ast.walk(line)
    }
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found += ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (above, node.module or "") if part)
            found += ((module, alias.name) for alias in node.names)
    return tuple(found)


def _follow(module: str, name: str | None, seen: set[Path]) -> None:
    """Add the file that defines ``name`` of ``module``, and what it imports. Of a package only what is asked for counts."""
    within = None if name is None else _place(f"{module}.{name}")
    path = within or _place(module)
    if path is None or path in seen:
        return
    if path.name == "__init__.py" and within is None and name is not None:
        for source, taken in _imports(path):
            if taken == name:
                _follow(source, taken, seen)
                return
    seen.add(path)
    for source, taken in _imports(path):
        _follow(source, taken, seen)


def sources() -> list[Path]:
    """Files of this package that can change a result of an evaluation, sorted."""
    seen: set[Path] = set()
    for module in _ROOTS:
        _follow(module, None, seen)
    for folder in _LOOKED_UP:
        for path in (_PACKAGE / folder).rglob("*.py"):
            inside = path.relative_to(_PACKAGE).with_suffix("").parts
            _follow(".".join([_PACKAGE.name, *inside]), None, seen)
    return sorted(seen)


def compiled_modules() -> list[Path]:
    """The compiled module that is in use, as a list of one file, or of none where there is none."""
    found = find_spec("dissensus._native")
    return [Path(found.origin)] if found is not None and found.origin else []


@cache
def code_fingerprint() -> str:
    """SHA-256 of the sources and the compiled module that can change a result.

    A run is not continued with other code, but survives any edit of what only reports.
    """
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    for binary in compiled_modules():
        digest.update(binary.name.encode())
        digest.update(binary.read_bytes())
    return digest.hexdigest()
