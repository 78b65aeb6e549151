"""Run the tests on an installed wheel, away from the sources: `python .ci/suite.py --wheel WHEEL -- PYTEST OPTIONS`.

The tests are copied to a temporary folder, without those about the checkout itself. An environment is made that holds
the wheel and takes its libraries from the environment this runs in, which takes seconds; `--python` names one that is there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Folders of tests about the checkout: its pages, its Makefile, its wheels.
OF_THE_CHECKOUT = ("docs", "packaging")


def environment(folder: Path, wheel: Path) -> Path:
    """Make an environment with the wheel in it; returns its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    # A path named in a .pth file brings packages along, and not the .pth files beside them: no editable install comes too.
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--force-reinstall", "--target", str(site), str(wheel)], check=True)
    return python


def copy_tests(folder: Path, package: str) -> None:
    """The tests and the settings of pytest, and nothing else of the checkout; examples are those of the installed package."""
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", *OF_THE_CHECKOUT))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    settings["testpaths"] = ["tests", package]
    lines = ["[pytest]"]
    for key, value in settings.items():
        # one argument per line, but for addopts, which pytest splits at spaces
        text = (" " if key == "addopts" else "\n    ").join(value) if isinstance(value, list) else str(value).lower()
        lines.append(f"{key} = {text}")
    (folder / "pytest.ini").write_text("\n".join(lines) + "\n")


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    which = reader.add_mutually_exclusive_group(required=True)
    which.add_argument("--wheel", type=Path, help="what to install")
    which.add_argument("--python", type=Path, help="an environment that has it already")
    reader.add_argument("options", nargs="*")
    given = reader.parse_args()
    with tempfile.TemporaryDirectory(prefix="dissensus-tests-") as scratch:
        folder = Path(scratch, "work")
        folder.mkdir()
        python = given.python.absolute() if given.python else environment(Path(scratch, "env"), given.wheel.absolute())
        variables = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        where = "import dissensus, dissensus._native; print(*dissensus.__path__)"
        package = subprocess.check_output([python, "-c", where], cwd=folder, env=variables, text=True).strip()
        print(f"tests of {package}", flush=True)
        copy_tests(folder, package)
        done = subprocess.run([python, "-m", "pytest", *given.options], cwd=folder, env=variables)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
