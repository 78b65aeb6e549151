"""Tables of users, made up at random: read right, or one typed error of one line each, and never a crash or a hang.

Four kinds take turns. *Dressed*: a table that is known cell by cell, in a random encoding, delimiter and habit of a spreadsheet,
must come out equal. *Spoilt*: the same with one cell, quote or line that is wrong; where it is read all the same, the rows that
were not touched must be equal. *Mutated*: bytes of CSV or Parquet changed at random. *Soup*: delimiters, quotes, line breaks and
awkward cells in any order.

Run ``python tests/support/fuzz_tables.py --count 20000``; what is at fault is kept under ``build/fuzz`` and told.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("dressed", "spoilt", "mutated", "soup")
HANG_S = 60.0  # wall time without a word from the process that reads
LIMIT_S = 5.0  # CPU time of one table

AWKWARD = [
    "", " ", "NA", "NaN", "null", "None", "#N/A", "#DIV/0!", "-", "?", "inf", "-Infinity", "1e400", "1e-400", "0x10", "1_000",
    "1,234", "1.234,5", "1 234", "1'000", "12%", "2024-01-31", "31.01.2024", "10:30", "true", "FALSE", "yes", "007", "1.0",
    "1.23E+15", "12345678901234567890123", "\u22121", "\u0661", "\u00a0", "\ufeff", "\u200b", "caf\u00e9", "cafe\u0301", "=1+1",
    "a\nb", "a,b", "a;b", "a\tb", '"', '""', "'", "\\", "a" * 3000, "1" * 400, "\U0001f3b5", "\x1a", "\x0b", "\u2028", "Q1", "q1",
]  # fmt: skip


@dataclass
class Truth:
    """A pair of tables, cell by cell."""

    features: list[list[str]]
    annotations: list[list[str]]

    @property
    def values(self) -> dict[str, list[float]]:
        """Features of each track."""
        return {row[0]: [float(cell) for cell in row[1:3]] for row in self.features[1:]}


@dataclass
class Result:
    """What came of the tables."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


class WrongValues(AssertionError):
    """A table was read, and not as it is."""


def truth_of(rng: np.random.Generator) -> Truth:
    """A few tracks with two features and a comment, and judgements about them."""
    names = [
        "NA",
        "007",
        "7",
        "caf\u00e9",
        "a b",
        "x,y",
        "null",
        "t-1",
        "1.5",
        "Q1",
        "\u6b4c",
        "so; so",
        "tab\there",
        "3",
    ]
    ids = [names[i] for i in rng.permutation(len(names))[: rng.integers(3, len(names))]]
    number = [f"{v:.3f}" for v in rng.normal(size=2 * len(ids)) * 10]
    if rng.random() < 0.3:
        number = [str(int(float(v))) for v in number]
    features = [["track_id", "tempo", "level", "comment"]]
    comment = ["fine", "", "two\nlines", 'he said "no"', "a, b; c", "1,5"]
    for i, track in enumerate(ids):
        features.append([track, number[2 * i], number[2 * i + 1], comment[rng.integers(len(comment))]])
    annotations = [["track_id", "listener_id", "label", "note"]]
    for track in ids:
        for who in ("ann", "3", "NA"):
            if rng.random() < 0.7 or len(annotations) == 1:
                annotations.append(
                    [track, who, ("joy", "NA", "sad")[rng.integers(3)], comment[rng.integers(len(comment))]]
                )
    return Truth(features, annotations)


def dress(rows: list[list[str]], rng: np.random.Generator, numbers: tuple[int, ...]) -> tuple[bytes, str]:
    """The rows as bytes of a file, and the suffix of its name."""
    mark = [",", ";", "\t", "|"][rng.integers(4)]
    comma = (
        bool(numbers) and mark != "," and rng.random() < 0.5 and any("." in row[i] for row in rows[1:] for i in numbers)
    )
    # commas before three decimals alone may be separators of thousands: such a file is refused, rightly
    comma = comma and any(row[i].lstrip("-").startswith("0.") for row in rows[1:] for i in numbers)
    table = [row[:] for row in rows]
    for row in table[1:]:
        for i in numbers:
            row[i] = row[i].replace(".", ",") if comma else row[i]
            row[i] = f" {row[i]} " if rng.random() < 0.1 else row[i]
        row[0] = f" {row[0]}\u00a0" if rng.random() < 0.1 else row[0]
    if rng.random() < 0.2:  # the index of pandas
        table = [[str(i - 1) if i else "", *row] for i, row in enumerate(table)]
    if rng.random() < 0.2:  # empty columns behind
        table = [[*row, ""] for row in table]
    text = io.StringIO(newline="")
    end = ["\n", "\r\n"][rng.integers(2)]
    quoting = csv.QUOTE_ALL if rng.random() < 0.3 else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=mark, lineterminator=end, quoting=quoting).writerows(table)
    content = text.getvalue()
    if rng.random() < 0.2:
        content += (mark * (len(table[0]) - 1) + end) * int(rng.integers(1, 4))
    if rng.random() < 0.2:
        content = end * int(rng.integers(1, 3)) + content
    if rng.random() < 0.1:
        content = f"sep={mark}{end}" + content
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
    if "\u6b4c" not in content and "\u00a0" not in content.replace("caf\u00e9", ""):
        encodings += ["cp1252", "latin-1"]
    if content[:200].count("\x00") or not content[:60].isascii():
        encodings = ["utf-8", "utf-8-sig", "utf-16"]
    raw = content.encode(encodings[rng.integers(len(encodings))])
    suffix = [".csv", ".tsv", ".txt"][rng.integers(3)]
    return (gzip.compress(raw, 1), f"{suffix}.gz") if rng.random() < 0.1 else (raw, suffix)


def check(folder: Path, features: str, annotations: str, truth: Truth, *, but: tuple[str, ...] = ()) -> None:
    """Load both tables and compare; rows of the tracks ``but`` are not looked at."""
    from dissensus.datasets import table
    from dissensus.datasets.table import Columns

    chosen = Columns(features=("tempo", "level"))
    data = table.load(folder / features, folder / annotations, chosen, impute="drop", duplicates="newest")
    first = np.unique(data.pool.groups, return_index=True)[1]
    found = {t: data.pool.X[first[i]].tolist() for i, t in enumerate(data.pool.track_ids.tolist())}
    expected = {_plain(t): v for t, v in truth.values.items() if t not in but}
    if {t: v for t, v in found.items() if t in expected} != expected:
        raise WrongValues(f"features {found} are not {expected}")
    said = {(t, w): data.classes[c] for t, w, c in zip(*_columns(data.annotations), strict=True)}
    wanted = {(_plain(t), w): c for t, w, c, _ in truth.annotations[1:] if t not in but}
    if {pair: c for pair, c in said.items() if pair in wanted} != wanted:
        raise WrongValues(f"judgements {said} are not {wanted}")


def _columns(annotations: Any) -> tuple[list[str], list[str], list[int]]:
    return annotations.track_id.tolist(), annotations.listener_id.tolist(), annotations.label.tolist()


def _plain(track: str) -> str:
    return unicodedata.normalize("NFC", track.strip("\ufeff\u200b").strip())


def dressed(folder: Path, rng: np.random.Generator) -> None:
    truth = truth_of(rng)
    names = []
    for what, rows, numbers in (("f", truth.features, (1, 2)), ("a", truth.annotations, ())):
        raw, suffix = dress(rows, rng, numbers)
        (folder / f"{what}{suffix}").write_bytes(raw)
        names.append(f"{what}{suffix}")
    check(folder, names[0], names[1], truth)


def spoilt(folder: Path, rng: np.random.Generator) -> None:
    truth = truth_of(rng)
    tables = {"f": [row[:] for row in truth.features], "a": [row[:] for row in truth.annotations]}
    what = ("f", "a")[rng.integers(2)]
    at = int(rng.integers(1, len(tables[what])))
    but = (tables[what][at][0],)
    how = rng.integers(3)
    if how == 0:
        tables[what][at][rng.integers(4)] = AWKWARD[rng.integers(len(AWKWARD))]
        but = (*but, _plain(tables[what][at][0]))  # the row may have become one of another track
    elif how == 1:
        tables[what][at] = tables[what][at][: rng.integers(1, 4)]
    else:
        tables[what].insert(at, tables[what][at][:])
    for name, rows in tables.items():
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        content = text.getvalue()
        if name == what and rng.random() < 0.3:  # a quote astray in the last column
            end = content.rfind("\n", 0, len(content) - 1)
            content = content[: end + 1] + content[end + 1 :].rstrip("\n") + '"' + "\n"
            but = (*but, rows[-1][0])
        (folder / f"{name}.csv").write_text(content, encoding="utf-8", newline="")
    check(folder, "f.csv", "a.csv", truth, but=but)


def mutated(folder: Path, rng: np.random.Generator) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    truth = truth_of(rng)
    for name, rows in (("f", truth.features), ("a", truth.annotations)):
        if rng.random() < 0.5:
            columns = {rows[0][i]: [row[i] for row in rows[1:]] for i in range(len(rows[0]))}
            kinds: dict[str, Any] = dict(columns)
            if name == "f":
                kinds["tempo"] = pa.array([float(v) for v in columns["tempo"]], pa.float32())
            path = folder / f"{name}.parquet"
            pa.parquet.write_table(pa.table(kinds), path)
        else:
            raw, suffix = dress(rows, rng, ())
            path = folder / f"{name}{suffix}"
            path.write_bytes(raw)
        path.write_bytes(_hurt(path.read_bytes(), rng))
    use(folder, next(folder.glob("f.*")).name, next(folder.glob("a.*")).name)


def _hurt(raw: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 4))):
        i, j = sorted(int(v) for v in rng.integers(0, len(raw) + 1, 2))
        how = rng.integers(5)
        if how == 0:
            raw = raw[:i]
        elif how == 1:
            raw = raw[:i] + raw[min(j, i + 50) :]
        elif how == 2:
            raw = (
                raw[:i]
                + [b",", b"\n", b'"', b"\t", b";", b"\x00", b"\xff", b"nan", b"\r", b"1e999"][rng.integers(10)]
                + raw[i:]
            )
        elif how == 3:
            raw = raw[:i] + rng.bytes(4) + raw[i + 4 :]
        else:
            raw = raw[:i] + raw[i : min(j, i + 200)] * 3 + raw[j:]
    return raw


def soup(folder: Path, rng: np.random.Generator) -> None:
    parts = [
        *AWKWARD,
        *[",", ";", "\t", "|", "\n", "\r\n", '"', "track_id", "listener_id", "label", "x", "a", "1", "2.5"] * 6,
    ]
    for name, head in (("f", "track_id,x\n"), ("a", "track_id,listener_id,label\n")):
        count = int(rng.integers(0, 120))
        text = "".join(parts[i] for i in rng.integers(0, len(parts), count))
        if rng.random() < 0.6:
            text = head + text
        (folder / f"{name}.csv").write_text(
            text, encoding=["utf-8", "utf-8-sig", "utf-16"][rng.integers(3)], newline=""
        )
    use(folder, "f.csv", "a.csv")


def use(folder: Path, features: str, annotations: str) -> None:
    """Every way in which a table is read; the last error of ours is raised."""
    from dissensus.datasets import _read, table
    from dissensus.errors import DissensusError
    from dissensus.features.sources import gather_audio
    from dissensus.tables import open_table

    last: DissensusError | None = None

    def attempt(read: Any) -> Any:
        nonlocal last
        try:
            return read()
        except DissensusError as error:
            last = error

    for name in (features, annotations):
        opened = attempt(lambda name=name: open_table(folder / name))
        for column in [] if opened is None else opened.names:
            for read in (opened.texts, opened.ids, opened.number, opened.seconds):
                attempt(lambda read=read, column=column: read(column))
        if opened is not None:
            attempt(lambda opened=opened: opened.numbers(opened.features(())[0]))
        if not name.endswith(".parquet"):
            attempt(lambda name=name: _read.read_numeric(folder / name))
            attempt(lambda name=name: _read.read_table(folder / name, required=("track_id",), ragged=True))
    if features.endswith(".csv"):
        attempt(lambda: gather_audio([folder / features]))
    for impute in ("median", "drop"):
        attempt(lambda impute=impute: table.load(folder / features, folder / annotations, impute=impute))
    if last is not None:
        raise last


def one(number: int, seed: int, folder: Path) -> tuple[str, str, str]:
    """Table ``number``: its kind, what came of it, and the message where it is at fault."""
    from dissensus.errors import DissensusError

    rng = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    for old in folder.iterdir():
        old.unlink()
    try:
        {"dressed": dressed, "spoilt": spoilt, "mutated": mutated, "soup": soup}[kind](folder, rng)
    except DissensusError as error:
        message = str(error)
        if "\n" in message or str(folder) not in message:
            return kind, "no one line that names the file", message
        return (kind, "refused though it is right", message) if kind == "dressed" else (kind, type(error).__name__, "")
    except WrongValues as error:
        return kind, "read wrong", str(error)
    except Exception as error:
        return kind, "another exception", f"{type(error).__name__}: {error}"
    return kind, "read", ""


def work(progress: Path, seed: int, first: int, count: int) -> None:
    """Read tables ``first`` to ``count``; a line of JSON each."""
    with tempfile.TemporaryDirectory() as folder, open(progress, "a", encoding="utf-8", buffering=1) as file:
        for number in range(first, count):
            began = time.process_time()
            kind, what, message = one(number, seed, Path(folder))
            took = time.process_time() - began
            if took > LIMIT_S:
                what, message = "slow", f"{took:.1f} s of CPU time"
            file.write(json.dumps([number, kind, what, message, took]) + "\n")


def watch(folder: Path, count: int, *, seed: int = 20) -> Result:
    """Have a process read the tables, start another behind one that ended or stopped it, and gather what came out."""
    result, first, attempt = Result(), 0, 0
    while first < count:
        attempt += 1
        progress = folder / f"progress-{attempt}"
        progress.touch()
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--work",
            str(progress),
            str(seed),
            str(first),
            str(count),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        size, since, hung = 0, time.monotonic(), False
        while process.poll() is None:
            time.sleep(0.05)
            if progress.stat().st_size != size:
                size, since = progress.stat().st_size, time.monotonic()
            elif time.monotonic() - since > HANG_S:
                hung = True
                process.kill()
                process.wait()
        told = process.communicate()[1][-300:]
        for line in progress.read_text(encoding="utf-8").splitlines():
            number, kind, what, message, took = json.loads(line)
            result.outcomes[f"{kind}: {what}"] += 1
            result.slowest_s = max(result.slowest_s, took)
            if message:
                result.faults.append(f"{number} ({kind}) {what}: {message}")
            first = number + 1
        if process.returncode:
            what = "hung" if hung else f"ended the process with {process.returncode} {told}"
            result.outcomes[f"{KINDS[first % len(KINDS)]}: crash"] += 1
            result.faults.append(f"{first} {what}")
            first += 1
    return result


def report(result: Result) -> str:
    """Counts by kind and outcome."""
    lines = [f"{sum(result.outcomes.values())} tables, slowest {result.slowest_s:.2f} s, {len(result.faults)} faults"]
    lines += [f"  {name:<44} {n}" for name, n in sorted(result.outcomes.items())]
    return "\n".join([*lines, *result.faults[:20]])


def main() -> int:
    """Run from the command line; 1 where anything is at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = watch(Path(folder), chosen.count, seed=chosen.seed)
    print(f"seed {chosen.seed}; " + report(result))
    for fault in result.faults[:50]:
        number = int(fault.split()[0])
        target = chosen.out / f"tables-{chosen.seed}-{number}"
        target.mkdir(parents=True, exist_ok=True)
        one(number, chosen.seed, target)
    return bool(result.faults)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
