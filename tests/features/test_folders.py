"""Which files a folder and a pattern name: links, circles, brackets, what other systems leave behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissensus.errors import ParameterError
from dissensus.features._folders import files_below, match_pattern
from dissensus.features.sources import gather_audio


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def link(place: str, target: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, place)


def ids(*sources: str) -> list[int | str]:
    return [excerpt.track_id for excerpt in gather_audio(sources)]


#: files, links (place, target), ids of the folder m, paths of m/**/*.wav
TREES: dict[str, tuple[list[str], list[tuple[str, str]], list[str]]] = {
    "a link to a folder elsewhere": (["real/a.wav", "m/b.wav"], [("m/link", "../real")], ["b.wav", "link/a.wav"]),
    "nothing but links": (["real/a.wav"], [("m/link", "../real")], ["link/a.wav"]),
    "a link to a link": (["real/a.wav"], [("two", "real"), ("m/one", "../two")], ["one/a.wav"]),
    "a link to a folder of the tree": (["m/z/a.wav"], [("m/a", "z")], ["z/a.wav"]),
    "two links to one folder": (["real/a.wav"], [("m/y", "../real"), ("m/x", "../real")], ["x/a.wav"]),
    "a circle to itself": (["m/b.wav"], [("m/loop", ".")], ["b.wav"]),
    "a circle to its parent": (["m/sub/b.wav"], [("m/sub/up", "..")], ["sub/b.wav"]),
    "two circles": (["m/b.wav"], [("m/one", "."), ("m/two", ".")], ["b.wav"]),
    "two folders that lead to each other": (
        ["m/b.wav", "other/c.wav"], [("m/there", "../other"), ("other/back", "../m")], ["b.wav", "there/c.wav"],
    ),
    "a link out of the tree and back": (
        ["m/sub/b.wav", "other/c.wav"], [("m/out", "../other"), ("other/in", "../m/sub")], ["out/c.wav", "sub/b.wav"],
    ),
    "a link to a file": (["real/a.wav", "m/b.wav"], [("m/c.wav", "../real/a.wav")], ["b.wav", "c.wav"]),
    "a link that leads nowhere": (["m/b.wav"], [("m/gone.wav", "../nowhere.wav")], ["b.wav", "gone.wav"]),
    "a link that leads nowhere and is no music": (["m/b.wav"], [("m/gone", "../nowhere")], ["b.wav"]),
    "a link to itself": (["m/b.wav"], [("m/self.wav", "self.wav")], ["b.wav", "self.wav"]),
    "a folder that is called like music": (["m/live.wav/b.wav"], [], ["live.wav/b.wav"]),
    "capitals": (["m/B.WAV", "m/c.Mp3"], [], ["B.WAV", "c.Mp3"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_what_a_folder_and_its_pattern_name(name: str, here: Path) -> None:
    files, links, expected = TREES[name]
    touch(*files)
    for place, target in links:
        link(place, target)
    assert ids("m") == expected
    as_pattern = [f"m/{path}" for path in expected if path.endswith(".wav")]
    assert match_pattern("m/**/*.wav") == as_pattern
    assert match_pattern(f"{here}/m/**/*.wav") == [f"{here}/{path}" for path in as_pattern]


def test_what_other_systems_leave_behind_is_passed_over(here: Path) -> None:
    touch("m/b.wav", "m/._b.wav", "m/__MACOSX/b.wav", "m/$RECYCLE.BIN/x.wav", "m/.DS_Store")
    assert ids("m") == ["b.wav"]
    assert ids("m/._b.wav") == ["m/._b.wav"]  # named on its own it is tried


PATTERNS = {
    "m [live]/*.wav": ["m [live]/a.wav"],
    "m [[]live]/*.wav": ["m [live]/a.wav"],
    "m [live]/**/*.wav": ["m [live]/a.wav", "m [live]/x/b.wav"],
    "m [live]/a.wa?": ["m [live]/a.wav"],
    "**/*.wav": ["m [live]/a.wav", "m [live]/x/b.wav", "n/c.wav", "n/d/e/f.wav"],
    "**/e/*.wav": ["n/d/e/f.wav"],
    "n/**/e/**/*.wav": ["n/d/e/f.wav"],
    "n/**/*.wav": ["n/c.wav", "n/d/e/f.wav"],
    "./n/*.wav": ["./n/c.wav"],
    "n/**": ["n/c.wav", "n/d/e/f.wav"],
    "[mn]*/*.wav": ["m [live]/a.wav", "n/c.wav"],
    "**/.h/*.wav": [".h/h.wav"],
    "n/*": ["n/c.wav"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str, here: Path) -> None:
    touch("m [live]/a.wav", "m [live]/x/b.wav", "n/c.wav", "n/d/e/f.wav", ".h/h.wav")
    assert match_pattern(pattern) == PATTERNS[pattern]


def test_a_bracket_that_matches_nothing_gets_a_hint(here: Path) -> None:
    touch("m/a [x].wav")
    with pytest.raises(ParameterError, match=r"for a bracket of a name write \[\[\]"):
        gather_audio(["m/a [x]*"])
    assert ids("m/a [x].wav") == ["m/a [x].wav"]


def test_a_folder_that_cannot_be_listed_is_told_by_whoever_opens_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("m/b.wav", "m/closed/c.wav")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if "closed" in path:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(files_below("m")) == ["b.wav", "closed/"]
    assert [excerpt.path for excerpt in gather_audio(["m"])] == ["m/b.wav", "m/closed"]
    assert match_pattern("m/**/*.wav") == ["m/b.wav", "m/closed/"]
