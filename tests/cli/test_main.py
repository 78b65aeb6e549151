"""The command line: one line an error, exit codes that mean something, help that teaches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dissensus.cli import main as cli
from dissensus.errors import DissensusWarning, ParameterError


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n")


@pytest.fixture(autouse=True)
def _leave_the_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("DISSENSUS_DEBUG", raising=False)
    monkeypatch.setitem(cli.DEBUG, "on", False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from dissensus import __version__

    assert run(capsys, "--version") == (0, f"dissensus {__version__}\n", "")


def test_help_names_every_verb_and_where_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "dissensus demo" in out
    assert "Exit codes" in out
    for verb in ("demo", "synth", "evaluate"):
        assert f" {verb} " in out


@pytest.mark.parametrize("verb", ["demo", "synth", "evaluate"])
def test_help_of_a_verb_teaches_with_examples(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert "Example" in out
    assert f"dissensus {verb}" in out
    assert "--seed" in out
    assert "--jobs" in out


def test_nothing_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert code == 2
    assert "Usage" in out + err


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["demo", "--sed", "1"], ["--sed", "--seed", "dissensus demo --help"]),
        (["demo", "--rounds", "many"], ["--rounds"]),
        (["demo", "--rounds", "0"], ["--rounds"]),
        (["demo", "extra"], ["extra"]),
        (["evaluat"], ["evaluat", "evaluate"]),
        (["synth"], ["--out"]),
        (["evaluate", "deezer"], ["deezer", "trompa"]),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], names: list[str]
) -> None:
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert one_line(err)
    assert all(name in err for name in names)


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["demo", "--rounds", "40"], ["40 rounds", "300"]),
        (["evaluate", "trompa", "--data", "/nowhere/at/all"], ["/nowhere/at/all"]),
    ],
)
def test_errors_of_ours_are_one_line_and_code_1(
    capsys: pytest.CaptureFixture[str], argv: list[str], names: list[str]
) -> None:
    code, _, err = run(capsys, *argv)
    assert code == 1
    assert one_line(err)
    assert err.startswith("dissensus: ")
    assert all(name in err for name in names)


def test_a_folder_that_cannot_be_written_is_found_out_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run(capsys, "demo", "--out", str(tmp_path / "file" / "under"))
    assert code == 1
    assert out == ""
    assert one_line(err)
    assert "file" in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ParameterError("two\nlines"), 1, "dissensus: two lines"),
        (ZeroDivisionError("oh"), 3, "dissensus: unforeseen ZeroDivisionError: oh"),
        (KeyboardInterrupt(), 130, "dissensus: interrupted"),
    ],
)
def test_every_kind_of_end_has_a_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    code: int,
    line: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("dissensus.evaluation.showcase.experiment.run_showcase", fail)
    got, _, err = run(capsys, "demo", "--out", str(tmp_path))
    assert got == code
    assert [row for row in err.splitlines() if row.strip()] == [row for row in err.splitlines() if row.startswith(line)]
    if code != 130:
        with pytest.raises(type(error)):
            cli.main(["--debug", "demo", "--out", str(tmp_path)])


def test_warnings_are_one_line() -> None:
    import warnings

    cli.main(["--version"])
    assert warnings.formatwarning("slow", DissensusWarning, "x.py", 3) == "dissensus: DissensusWarning: slow\n"


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["demo", "--help"], ["evaluate", "--help"]])
def test_telling_about_itself_loads_nothing_heavy(argv: list[str]) -> None:
    script = (
        "import sys; from dissensus.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'numba', 'scipy', 'sklearn', 'xgboost', 'torch', 'matplotlib', 'pyarrow', 'soundfile'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_a_reader_that_leaves_is_no_error_of_ours() -> None:
    script = "from dissensus.cli.main import run; import sys; sys.argv = ['dissensus', '--help']; run()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
