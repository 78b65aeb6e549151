"""A reader meets the old file or the new one; whatever fails, nothing is lost and nothing is left beside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dissensus import _files
from dissensus.errors import StoreError

STEPS = ("fsync", "replace")


def _record(monkeypatch: pytest.MonkeyPatch, *, fail_at: int = -1, error: OSError | None = None) -> list[str]:
    """Note the steps that reach the disk, in order; let one of them fail."""
    done: list[str] = []

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def step(*args: Any) -> Any:
            place = os.readlink(f"/proc/self/fd/{args[0]}") if isinstance(args[0], int) else str(args[-1])
            done.append(f"{name} {'folder' if os.path.isdir(place) else 'file'}")
            if len(done) - 1 == fail_at:
                raise error or OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*args)

        return step

    for name in STEPS:
        monkeypatch.setattr(os, name, wrap(name))
    return done


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: _files.write_text(path, "new"),
    "bytes": lambda path: _files.write_bytes(path, b"new"),
    "handle": lambda path: _files.replace_by_handle(path, lambda handle: handle.write(b"new")),
    "path": lambda path: _files.replace_file(path, lambda beside: beside.write_bytes(b"new")),
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file a descriptor is of")


@pytest.mark.parametrize("how", WRITERS)
def test_a_file_is_replaced_and_folders_are_made(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    for _ in range(2):
        WRITERS[how](path)
        assert path.read_text() == "new"
        assert os.listdir(path.parent) == ["file.txt"]


@linux
@pytest.mark.parametrize("how", WRITERS)
def test_content_is_on_disk_before_the_name_and_the_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    done = _record(monkeypatch)
    WRITERS[how](tmp_path / "file.txt")
    assert done == ["fsync file", "replace file", "fsync folder"]


@linux
def test_folders_that_are_made_are_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _record(monkeypatch)
    _files.write_text(tmp_path / "a" / "b" / "file.txt", "new")
    assert done == ["fsync folder", "fsync folder", "fsync file", "replace file", "fsync folder"]


@linux
@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.parametrize("fail_at", [0, 1, 2])
def test_whichever_step_fails_a_whole_file_is_there_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, fail_at: int
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    _record(monkeypatch, fail_at=fail_at)
    with pytest.raises(StoreError, match=r"file\.txt: cannot be written \(Input/output error\); check the disk"):
        WRITERS[how](path)
    monkeypatch.undo()
    assert path.read_text() == ("new" if fail_at == 2 else "old")
    assert os.listdir(tmp_path) == ["file.txt"]


@linux
@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room on the disk"),
        (errno.EDQUOT, "make room on the disk"),
        (errno.EROFS, "change its permissions"),
        (errno.EACCES, "change its permissions"),
    ],
)
def test_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str) -> None:
    _record(monkeypatch, fail_at=0, error=OSError(number, os.strerror(number)))
    with pytest.raises(StoreError, match=remedy) as caught:
        _files.write_text(tmp_path / "file.txt", "new")
    assert os.strerror(number) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@linux
def test_a_file_system_that_cannot_flush_folders_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _record(monkeypatch, fail_at=2, error=OSError(errno.EINVAL, "Invalid argument"))
    _files.write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_that_takes_no_more_keeps_the_old_file(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from dissensus import _files, errors\n"
        "path = Path(sys.argv[1])\n"
        "_files.write_text(path, 'old')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for write in (lambda: _files.write_bytes(path, bytes(5000)),\n"
        "              lambda: _files.replace_file(path, lambda beside: beside.write_bytes(bytes(5000)))):\n"
        "    try: write()\n"
        "    except errors.StoreError as error: print(error)\n"
    )
    path = tmp_path / "file.txt"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot be written (File too large)") == 2
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("how", ["replace_file", "replace_by_handle"])
def test_an_exception_of_the_caller_passes_and_leaves_the_old_file(tmp_path: Path, how: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def half(where: Any) -> None:
        if isinstance(where, Path):
            where.write_bytes(b"ha")
        else:
            where.write(b"ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        getattr(_files, how)(path, half)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_places_that_cannot_hold_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for path, says in (
        (tmp_path / "file" / "x", "a file stands where a folder is needed"),
        (tmp_path / "folder", "a folder where a file is"),
        (tmp_path / ("x" * 300), "choose a shorter name"),
        (Path(), "is no name of a file"),
    ):
        with pytest.raises(StoreError, match=says):
            _files.write_text(path, "new")
    with pytest.raises(StoreError, match="make the folder .*none first"):
        _files.write_text(tmp_path / "none" / "x", "new", parents=False)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_long_name_that_the_system_takes_is_taken(tmp_path: Path) -> None:
    for name in ("x" * 255, "ä" * 127, "🎵" * 63):
        _files.write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


def test_what_a_killed_writer_leaves_is_found_by_no_pattern_for_data(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from dissensus import _files\n"
        "_files.replace_by_handle(Path(sys.argv[1]), lambda handle: (handle.write(b'half'), os._exit(9)))\n"
    )
    path = tmp_path / "scores.parquet"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert len(os.listdir(tmp_path)) == 1
    assert not [*tmp_path.glob("*.parquet"), *tmp_path.glob("scores*")]


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    texts = [str(i) * 50_000 for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: _files.write_text(path, text), texts * 4))
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["file.txt"]


def test_characters_that_utf8_cannot_hold_follow_the_choice(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        _files.write_text(tmp_path / "file.txt", "\udc80")
    _files.write_text(tmp_path / "file.txt", "\udc80", errors="backslashreplace")
    assert (tmp_path / "file.txt").read_text() == "\\udc80"


def _fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "new.txt").write_text("new")


@pytest.mark.parametrize("there", ["nothing", "empty", "full"])
def test_a_folder_is_replaced_whole(tmp_path: Path, there: str) -> None:
    target = tmp_path / "up" / "folder"
    if there != "nothing":
        target.mkdir(parents=True)
    if there == "full":
        (target / "old.txt").write_text("old")
    _files.replace_folder(target, _fill)
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*")) == ["inner", "inner/new.txt"]
    assert os.listdir(target.parent) == ["folder"]


@linux
@pytest.mark.parametrize("fail_at", range(6))
def test_whichever_step_of_a_folder_fails_a_whole_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old.txt").write_text("old")
    done = _record(monkeypatch, fail_at=fail_at)
    with pytest.raises(StoreError, match="folder: cannot be written"):
        _files.replace_folder(target, _fill)
    monkeypatch.undo()
    # the folder, the folder in it, its file; the old one aside, the new one in its place; the folder above
    assert [step.split()[0] for step in done[:6]][: fail_at + 1] == ["fsync"] * min(3, fail_at + 1) + [
        *(["replace"] * 2 + ["fsync"])[: max(0, fail_at - 2)]
    ]
    assert os.listdir(target) == (["inner"] if fail_at == 5 else ["old.txt"])
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_whose_filling_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def half(folder: Path) -> None:
        _fill(folder)
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        _files.replace_folder(target, half)
    assert os.listdir(target) == ["old.txt"]
    assert os.listdir(tmp_path) == ["folder"]
