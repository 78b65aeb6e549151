"""One bad input never stops a job: names, ids and files as they come; each row says the true reason."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dissensus import Pool
from dissensus.catalog import embed_files, score_files
from dissensus.committee import shipped_cnn
from dissensus.errors import DecodeError, ParameterError
from dissensus.features import PoolWriter, load_audio, unescape_name, write_audio
from dissensus.features._source import LibsndfileSource
from dissensus.features.extract import FeatureChoice, extract
from dissensus.features.sources import Excerpt, gather_audio

SUMMARY = FeatureChoice("summary")
DISSENSUS = [sys.executable, "-c", "from dissensus.cli.main import run; run()"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    sound("m/a.wav")
    return tmp_path


def sound(name: str | bytes, seconds: float = 2.0) -> None:
    write_audio("sound.wav", np.random.default_rng(0).uniform(-0.1, 0.1, round(16000 * seconds)), 16000)
    os.rename("sound.wav", name)


def table(pool: str) -> list[dict[str, str]]:
    with open(f"{pool}/errors.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


NAMES = [
    b"caf\xe9.wav", b"\xff.wav", b"n\xc3\xa9\xe9.wav", b"a b\xa0.wav", b"\\xe9.wav", b"\xe9/\xe8.wav", b"\xf0\x9f\x8e.wav",
    b"quote\"\xe9.wav", b"comma,\xe9.wav", b"line\n\xe9.wav", b"-\xe9.wav", b"\xed\xa0\x80.wav",
]  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2])
def test_names_that_are_not_unicode_are_tracks_like_others(jobs: int, here: Path) -> None:
    for name in NAMES:
        path = b"m/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sound(path)
    report = extract(gather_audio(["m"]), "pool", SUMMARY, jobs=jobs)
    assert (report.n_added, report.errors) == (len(NAMES) + 1, [])
    ids = Pool.open("pool", verify=True).track_ids.tolist()
    "".join(ids).encode()
    assert {os.fsencode(unescape_name(name)) for name in ids} == {*NAMES, b"a.wav"}
    again = extract(gather_audio(["m"]), "pool", SUMMARY, jobs=jobs)
    assert (again.n_added, again.n_there) == (0, len(NAMES) + 1)


def test_a_bad_file_whose_name_is_not_unicode_is_listed_and_the_list_can_be_given_back(here: Path) -> None:
    for name in NAMES:
        path = b"m/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"no sound")
    done = subprocess.run(
        [*DISSENSUS, "extract", "m", "-o", "pool", "-f", "summary", "-j", "1"], capture_output=True, check=True
    )
    assert rb"m/caf\xe9.wav" in done.stdout or rb"m/-\xe9.wav" in done.stdout
    rows = table("pool")
    assert {os.fsencode(unescape_name(row["path"])) for row in rows} == {b"m/" + name for name in NAMES}
    assert all(row["path"] in row["message"] for row in rows)
    for name in NAMES:
        sound(b"m/" + name)
    shutil.copy("pool/errors.csv", "again.csv")
    report = extract(gather_audio(["again.csv"]), "pool", SUMMARY)
    assert (report.n_added, report.errors) == (len(NAMES), [])


def test_a_folder_whose_name_is_not_unicode_holds_a_pool(here: Path) -> None:
    done = subprocess.run(
        [*DISSENSUS, "extract", "m", "-o", b"p\xe9", "-f", "summary", "-j", "1"], capture_output=True, check=True
    )
    assert b"p\xe9: Pool(1 tracks" in done.stdout
    assert Pool.open(os.fsdecode(b"p\xe9")).n_tracks == 1


def test_names_and_files_come_through_a_network_too(here: Path) -> None:
    model = shipped_cnn()
    sound(b"m/caf\xe9.wav", 4.0)
    Path("m/bad.wav").write_bytes(b"no sound")
    os.symlink("/proc/self/mem", "m/mem.wav")
    excerpts = [*gather_audio(["m"]), Excerpt(2**70, "m/a.wav"), Excerpt("a.wav", "m/a.wav")]
    report = embed_files(model, excerpts, "pool")
    assert Pool.open("pool", verify=True).track_ids.tolist() == ["a.wav", r"caf\xe9.wav", str(2**70)]
    assert [row["kind"] for row in table("pool")] == ["ParameterError", "UnsupportedFormatError", "DecodeError"]
    assert report.n_added == 3
    scored = list(score_files([os.fsdecode(b"m/caf\xe9.wav"), "m/mem.wav", "m/a.wav"], model))
    assert [s.proba is None for s in scored] == [False, True, False]
    assert "Input/output error" in str(scored[1].error)


#: ids as a table has them -> ids of the pool
IDS: dict[str, tuple[list[str], list[int | str]]] = {
    "whole numbers": (["7", "-2"], [7, -2]),
    "one beyond 64 bits": (["12345678901234567890", "2"], ["12345678901234567890", "2"]),
    "the largest and the smallest": (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)]),
    "one more": (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
    "one less": (["-9223372036854775809", "1"], ["-9223372036854775809", "1"]),
    "very long": (["9" * 500, "1"], ["9" * 500, "1"]),
    "leading zeros": (["007", "8"], ["007", "8"]),
    "a number and a word": (["7", "seven"], ["7", "seven"]),
    "decimals": (["1.5", "2"], ["1.5", "2"]),
    "a plus": (["+1", "2"], ["+1", "2"]),
    "minus nought": (["-0", "2"], ["-0", "2"]),
    "digits of another script": (["\u0663", "2"], ["\u0663", "2"]),
    "none": (["", "5"], ["m/a.wav", "5"]),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_of_a_table(name: str, here: Path) -> None:
    given, expected = IDS[name]
    sound("m/b.wav")
    Path("t.csv").write_text(f"path,track_id\nm/a.wav,{given[0]}\nm/b.wav,{given[1]}\n", encoding="utf-8")
    report = extract(gather_audio(["t.csv"]), "pool", SUMMARY)
    assert report.errors == []
    assert Pool.open("pool", verify=True).track_ids.tolist() == expected


def test_a_folder_beside_a_table_of_numbers(here: Path) -> None:
    Path("t.csv").write_text("path,track_id\nm/a.wav,7\n")
    assert [excerpt.track_id for excerpt in gather_audio(["m", "t.csv"])] == ["a.wav", "7"]


#: first id of the pool, id that comes later -> how the pool holds it, or why it cannot
LATER: list[tuple[int | str, object, int | str, str]] = [
    (1, 2, 2, ""),
    (1, "2", 2, ""),
    (1, np.int64(2), 2, ""),
    (1, "two", "", "whole numbers"),
    (1, "02", "", "whole numbers"),
    (1, 2**63, "", "64 bits"),
    (1, str(2**70), "", "64 bits"),
    (1, True, "", "a whole number or a text"),
    (1, 2.0, "", "a whole number or a text"),
    (1, None, "", "a whole number or a text"),
    ("a", 2, "2", ""),
    ("a", 2**70, str(2**70), ""),
    ("a", "caf\udce9", "", "not valid Unicode"),
    ("a", "", "", "missing"),
]


@pytest.mark.parametrize(("first", "later", "held", "words"), LATER)
def test_an_id_that_a_pool_cannot_hold_is_a_row_of_the_list(
    first: int | str, later: object, held: int | str, words: str, here: Path
) -> None:
    extract([Excerpt(first, "m/a.wav")], "pool", SUMMARY)
    excerpts = [Excerpt(later, "m/a.wav"), Excerpt("3", "m/a.wav"), Excerpt(3, "m/a.wav")]  # type: ignore[arg-type]
    report = extract(excerpts, "pool", SUMMARY)
    assert "has the id" in report.errors.pop()[3]  # "3" and 3 are one
    last = "3" if isinstance(first, str) else 3
    if words:
        assert Pool.open("pool").track_ids.tolist() == [first, last]
        [(_, path, kind, message)] = report.errors
        assert (path, kind) == ("m/a.wav", "ParameterError")
        assert words in message
        assert len(table("pool")) == 2
    else:
        assert Pool.open("pool").track_ids.tolist() == [first, held, last]
        again = extract([Excerpt(held, "m/a.wav")], "pool", SUMMARY)
        assert (again.n_there, again.errors) == (1, [])


def test_a_writer_refuses_what_the_pool_cannot_hold(tmp_path: Path) -> None:
    with PoolWriter(tmp_path / "p", n_features=1) as writer:
        writer.append("a", [[1.0]])
        writer.append(7, [[1.0]])
        with pytest.raises(ParameterError, match="in the pool already"):
            writer.append("7", [[1.0]])
        with pytest.raises(ParameterError, match="escape_name"):
            writer.append("\udce9", [[1.0]])
    assert Pool.open(tmp_path / "p").track_ids.tolist() == ["a", "7"]


def _mem() -> None:
    os.symlink("/proc/self/mem", "m/b.wav")


#: How m/b.wav comes to be no good -> what the list says.
UNREADABLE = {
    "a bad sector at its beginning": (_mem, "cannot be read (Input/output error)"),
    "a link that leads nowhere": (lambda: os.symlink("nowhere.wav", "m/b.wav"), "no such file"),
    "a link to itself": (lambda: os.symlink("b.wav", "m/b.wav"), "symbolic links"),
    "a pipe": (lambda: os.mkfifo("m/b.wav"), "not a regular file"),
    "a device": (lambda: os.symlink("/dev/zero", "m/b.wav"), "not a regular file"),
    "nothing in it": (lambda: Path("m/b.wav").touch(), "the file is empty"),
    "a sparse file of nothing": (lambda: (Path("m/b.wav").touch(), os.truncate("m/b.wav", 1 << 24)), "convert it first"),
    "a text": (lambda: Path("m/b.wav").write_text("sound"), "convert it first"),
    "a page": (lambda: Path("m/b.wav").write_text("<html>" * 99), "convert it first"),
    "half of it": (lambda: (sound("m/b.wav"), os.truncate("m/b.wav", 20000)), "ends early"),
    "a picture": (lambda: Path("m/b.wav").write_bytes(b"\x89PNG\r\n\x1a\n" * 9), "convert it first"),
    "an archive": (lambda: Path("m/b.wav").write_bytes(b"PK\x03\x04" * 9), "convert it first"),
}  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_cannot_be_used_is_a_row_with_the_true_reason(jobs: int, here: Path) -> None:
    excerpts = []
    for number, (why, (make, _)) in enumerate(UNREADABLE.items()):
        make()  # type: ignore[operator]
        os.rename("m/b.wav", f"m/{number}.wav")
        if why == "a link to itself":
            os.remove(f"m/{number}.wav")
            os.symlink(f"{number}.wav", f"m/{number}.wav")
        excerpts.append(Excerpt(why, f"m/{number}.wav"))
    report = extract([*excerpts, Excerpt("good", "m/a.wav")], "pool", SUMMARY, jobs=jobs)
    assert report.n_added == 1
    said = {str(name): message for name, _, _, message in report.errors}
    assert {why: words for why, (_, words) in UNREADABLE.items() if words not in said[why]} == {}
    assert sorted(os.listdir("pool")) == sorted(
        [".writer", "ends.i64", "errors.csv", "ids.i64", "ids.utf8", "manifest.json", "windows.f32"]
    )


@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), MemoryError(), ValueError("odd"), RuntimeError("odd"), ZeroDivisionError()],
)
def test_whatever_a_decoder_raises_is_the_files_row(
    error: Exception, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound("m/b.wav")
    real = LibsndfileSource.blocks

    def blocks(self: LibsndfileSource, *more: object) -> object:
        if self.name.endswith("b.wav"):
            raise error
        return real(self, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(LibsndfileSource, "blocks", blocks)
    report = extract(gather_audio(["m"]), "pool", SUMMARY)
    assert report.n_added == 1
    [(name, _, kind, message)] = report.errors
    assert (name, kind) == ("b.wav", type(error).__name__)
    assert message.startswith("m/b.wav: ")
    assert getattr(error, "strerror", None) is None or message.endswith("Input/output error")
    scored = list(score_files(["m/b.wav", "m/a.wav"], shipped_cnn()))
    assert isinstance(scored[0].error, DecodeError)
    assert scored[1].error is None


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_bad_sector_in_the_middle_is_not_called_damage(here: Path) -> None:
    support = Path(__file__).resolve().parent.parent / "support"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shim.so", str(support / "bad_sector.c"), "-ldl"], check=True)
    kinds = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus", ".w64")
    for suffix in kinds:
        rate = 48000 if suffix == ".opus" else 16000
        write_audio(f"x{suffix}", np.random.default_rng(0).uniform(-0.1, 0.1, 40 * rate), rate)
        os.rename(f"x{suffix}", f"m/sector{suffix}")
    done = subprocess.run(
        [*DISSENSUS, "extract", "m", "-o", "pool", "-f", "summary", "-j", "1"],
        capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(here / "shim.so")},
    )  # fmt: skip
    assert "1 tracks added" in done.stdout, done.stderr
    rows = table("pool")
    assert len(rows) == len(kinds)
    assert {row["message"] for row in rows} == {f"{row['path']}: cannot be read (Input/output error)" for row in rows}


def test_loading_one_file_says_the_same(here: Path) -> None:
    _mem()
    with pytest.raises(DecodeError, match=r"m/b\.wav: cannot be read \(Input/output error\)"):
        load_audio("m/b.wav")
