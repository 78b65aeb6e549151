"""Build a wheel that can be published, and say what it is: `python .ci/wheel.py dist`.

The wheel is built from the checkout as it lies, caches of earlier runs and all, and repaired for manylinux. With `--again` it
is built a second time, from the source archive in another folder, and must come out byte for byte the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 4_000_000
#: What a file of the package may end in; the compiled module is checked by its own pattern.
SUFFIXES = {".py", ".pyi", ".typed", ".onnx", ".json", ".html", ".css", ".js", ".svg", ".sql", ".mako", ".txt", ".toml"}
MODULE = re.compile(r"dissensus/_native\.cpython-3\d+-[a-z0-9_]+-linux-gnu\.so")


def faults(wheel: Path, sources: Path, places: tuple[str, ...] = ()) -> list[str]:
    """What keeps a wheel from being published: strangers in it, sources not in it, its size, its tags, paths of the build."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        compiled = {name: archive.read(name) for name in names if name.endswith(".so")}
    code = {name for name in names if name.startswith("dissensus/")}
    there = {f"dissensus/{path.relative_to(sources).as_posix()}" for path in sources.rglob("*.py")}
    found = []
    modules = sorted(name for name in compiled if MODULE.fullmatch(name))
    if len(modules) != 1 or len(compiled) != 1:
        found.append(f"holds the compiled modules {sorted(compiled)}; one for this Python belongs there")
    made = {*modules, "dissensus/_native.pyi"}
    strangers = sorted(
        name for name in code - made if Path(name).suffix not in SUFFIXES or not (sources / name[10:]).is_file()
    )
    if strangers:
        found.append(f"holds {len(strangers)} files that are no sources: {strangers[:5]}")
    if missing := sorted(there - code):
        found.append(f"lacks {len(missing)} sources: {missing[:5]}")
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"is {wheel.stat().st_size / 1e6:.1f} MB long; at most {MOST_BYTES / 1e6:.0f}")
    if "manylinux" not in wheel.name:
        found.append("is not for manylinux")
    for name, content in compiled.items():
        found += [f"{name} holds the path {place}" for place in places if place.encode() in content]
    return found


def build(source: Path, into: Path) -> Path:
    """Build and repair; returns the wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        _run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, str(source))
        (built,) = Path(scratch).glob("*.whl")
        if built.name.endswith("-none-any.whl"):
            sys.exit("the compiled module was not built: see `pip wheel -v --no-deps .`")
        into.mkdir(parents=True, exist_ok=True)
        before = set(into.glob("*.whl"))
        _run("-m", "auditwheel", "repair", "--wheel-dir", str(into), str(built))
        (wheel,) = set(into.glob("*.whl")) - before
    return wheel


def rebuild(into: Path) -> Path:
    """Build once more, from the source archive, somewhere else."""
    with tempfile.TemporaryDirectory() as scratch:
        _run("-m", "build", "--sdist", "--outdir", scratch, str(ROOT))
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        return build(Path(scratch, archive.name.removesuffix(".tar.gz")), into)


def _run(*arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:3])} failed:\n{done.stdout}\n{done.stderr}")


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("out", type=Path)
    reader.add_argument("--again", action="store_true", help="build it a second time and compare")
    given = reader.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    wheel = build(ROOT, given.out)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, sha256 {digest}")
    wrong = faults(wheel, ROOT / "src" / "dissensus", (str(ROOT), tempfile.gettempdir() + "/"))
    if given.again:
        with tempfile.TemporaryDirectory() as scratch:
            second = rebuild(Path(scratch))
            if hashlib.sha256(second.read_bytes()).hexdigest() != digest:
                kept = given.out / "second"
                kept.mkdir()
                shutil.copy(second, kept)
                wrong.append(f"another build of the same sources differs: compare with {kept / second.name}")
            else:
                print("the same bytes when built from the source archive in another folder")
    if wrong:
        sys.exit("\n".join(f"{wheel.name} {fault}" for fault in wrong))


if __name__ == "__main__":
    main()
