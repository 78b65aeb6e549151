"""What the scripts of `.ci` refuse: wheels that hold strangers, licences that are not allowed."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "dissensus-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
MODULE = "dissensus/_native.cpython-311-x86_64-linux-gnu.so"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for name in ("__init__.py", "py.typed", "committee/__init__.py", "committee/models/a.onnx"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def _wheel(folder: Path, sources: Path, *, name: str = NAME, extra: dict[str, bytes], without: str = "") -> Path:
    content = {f"dissensus/{p.relative_to(sources).as_posix()}": p.read_bytes() for p in sources.rglob("*.*")}
    content |= {MODULE: b"\x7fELF", "dissensus/_native.pyi": b"", "dissensus-0.1.0.dist-info/METADATA": b""} | extra
    content.pop(without, None)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return folder / name


def test_a_good_wheel_has_no_fault(tmp_path: Path, sources: Path) -> None:
    assert (
        _script("wheel").faults(_wheel(tmp_path, sources, extra={"dissensus/committee/": b""}), sources, ("/a/",)) == []
    )


@pytest.mark.parametrize(
    ("extra", "without", "says"),
    [
        ({"dissensus/__pycache__/a.cpython-311.pyc": b""}, "", "holds 1 files that are no sources"),
        ({"dissensus/kernels/a.nbc": b"", "dissensus/kernels/a.nbi": b""}, "", "holds 2 files that are no sources"),
        ({"dissensus/old.py": b""}, "", "holds 1 files that are no sources: ['dissensus/old.py']"),
        ({"dissensus/_native.cpython-312-x86_64-linux-gnu.so": b""}, "", "holds the compiled modules"),
        ({}, MODULE, "holds the compiled modules []"),
        ({}, "dissensus/committee/__init__.py", "lacks 1 sources"),
        ({MODULE: b"at /home/me/native/a.cpp"}, "", "holds the path /home/me/"),
        ({"dissensus-0.1.0.dist-info/big": bytes(4_100_000)}, "", "is 4.1 MB long; at most 4"),
    ],
)
def test_a_bad_wheel_is_refused(
    tmp_path: Path, sources: Path, extra: dict[str, bytes], without: str, says: str
) -> None:
    faults = _script("wheel").faults(_wheel(tmp_path, sources, extra=extra, without=without), sources, ("/home/me/",))
    assert len(faults) == 1
    assert says in faults[0]


def test_a_wheel_for_one_machine_is_refused(tmp_path: Path, sources: Path) -> None:
    name = "dissensus-0.1.0-cp311-cp311-linux_x86_64.whl"
    assert _script("wheel").faults(_wheel(tmp_path, sources, name=name, extra={}), sources) == ["is not for manylinux"]


def _component(name: str, *licences: str) -> dict[str, Any]:
    return {"name": name, "licenses": [{"license": {"id": text}} for text in licences]}


#: What the table of exceptions must find installed.
NAMED = [_component("protobuf"), _component("soxr", "LGPL-2.1-or-later")]


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("License :: OSI Approved :: BSD License", True),
        ("BSD-3-Clause AND 0BSD AND MIT", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("CC-BY-NC-4.0", False),
        ("a licence of our own", False),
        ("", False),
    ],
)
def test_licences_are_allowed_or_refused(licence: str, fine: bool) -> None:
    pytest.importorskip("license_expression", reason="of the group `pack`")
    faults = _script("licences").faults([*NAMED, _component("thing", licence)], ["a.libs/libgomp-1.so.1"])
    assert (faults == []) is fine
    assert all(fault.startswith("thing: ") for fault in faults)


def test_what_nobody_named_is_refused() -> None:
    pytest.importorskip("license_expression", reason="of the group `pack`")
    script = _script("licences")
    assert "names no licence" in script.faults([*NAMED, _component("thing")], [])[0]
    assert "nobody named" in script.faults(NAMED, ["thing.libs/libmystery.so.1"])[0]
    assert script.faults(NAMED[:1], []) == ["soxr: in COMPONENTS and no longer installed; remove it"]


def test_libraries_that_wheels_carry_are_found_and_extension_modules_are_not(tmp_path: Path) -> None:
    pytest.importorskip("license_expression", reason="of the group `pack`")
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    elf, text = b"\x7fELF....", b"text"
    for name, content in {
        "a/core.cpython-311-x86_64-linux-gnu.so": elf,
        "a/core.abi3.so": elf,
        "a.libs/libgomp-1.so.1.0": elf,
        "b/lib/libb.so": elf,
        "b/data.so.txt": text,
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
    assert _script("licences").shared_libraries(tmp_path) == ["a.libs/libgomp-1.so.1.0", "b/lib/libb.so"]


def test_the_settings_of_pytest_come_along_with_the_tests(tmp_path: Path) -> None:
    _script("suite").copy_tests(tmp_path, "/where/it/is/dissensus")
    text = (tmp_path / "pytest.ini").read_text()
    for words in (
        "filterwarnings = error",
        "--import-mode=importlib",
        "xfail_strict = true",
        "testpaths = tests/where/it/is/dissensus",
    ):
        assert words in text.replace("\n    ", "")
    assert not list(tmp_path.rglob("test_makefile.py"))
    assert list(tmp_path.rglob("test_contracts.py"))


def test_every_dependency_declares_its_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "all"}
    named = [*project["dependencies"], *(need for needs in extras.values() for need in needs)]
    assert [need for need in named if not re.search(r">=|==", need)] == []
