"""One table of all benchmarks, peers beside ours.

    python benchmarks/table.py build/benchmarks.json docs/benchmarks.md

reads what pytest-benchmark wrote and puts the table between ``<!-- benchmarks:start -->`` and ``<!-- benchmarks:end -->``.
A group is ``what|shape``; rows whose name begins with "dissensus" are ours, the others peers. Times are the best of the
rounds; a ratio is the peer's time over ours, of the same session.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aims

START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


class Row(NamedTuple):
    """One timed call."""

    group: str
    who: str
    seconds: float
    extra: dict[str, Any]

    @property
    def ours(self) -> bool:
        return self.who.startswith("dissensus")


def row_of(group: str | None, name: str, params: dict[str, Any] | None, seconds: float, extra: dict[str, Any]) -> Row:
    """A row from what pytest-benchmark tells of a benchmark."""
    others = {key: value for key, value in (params or {}).items() if key != "who"}
    who = str((params or {}).get("who", "dissensus"))
    if group is None:
        group = name.partition("[")[0].removeprefix("test_").replace("_", " ")
    elif others and not any(str(value) in group for value in others.values()):
        who += " (" + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in others.items()) + ")"
    return Row(group, who, float(extra.get("seconds", seconds)), extra)


def rows_of(file: Path) -> list[Row]:
    """Rows of a file of pytest-benchmark's."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return [
        row_of(b["group"], b["name"], b["params"], b["stats"]["min"], b["extra_info"]) for b in content["benchmarks"]
    ]


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds / scale < 1000 else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(peer: float, ours: float) -> str:
    """How many times ours goes into the peer's time."""
    times = peer / ours
    return f"{times:.0f}x" if times >= 20 else f"{times:.1f}x" if times >= 2 else f"{times:.2f}x"


def _notes(extra: dict[str, Any]) -> str:
    notes = []
    if "gigabytes_per_second" in extra:
        notes.append(f"{extra['gigabytes_per_second']:.1f} GB/s")
    if "p99_ms" in extra:
        notes.append(f"p99 {extra['p99_ms']:.2f} ms")
    if "cores" in extra:
        notes.append(f"{extra['cores']:.2f} cores")
    return ", ".join(notes)


def render(rows: Iterable[Row]) -> str:
    """The table in Markdown: for every group its peers, then ours."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    lines = ["| what | shape | who | time | peer / ours | |", "|---|---|---|---:|---:|---|"]
    for group, members in groups.items():
        what, _, shape = group.partition("|")
        plain = next((row for row in members if row.who == "dissensus"), None)
        if plain is None:  # every row of ours is a variant: the best of those with one thread stands for us
            alone = [row for row in members if row.ours and "threads" not in row.who]
            plain = min(alone, key=lambda row: row.seconds, default=None)
        for place, row in enumerate(sorted(members, key=lambda row: row.ours)):
            compared = "" if plain is None or row is plain else ratio(row.seconds, plain.seconds)
            head = (what, shape) if place == 0 else ("", "")
            shown = f"**{row.who}**" if row.ours else row.who
            lines.append(
                f"| {head[0]} | {head[1]} | {shown} | {duration(row.seconds)} | {compared} | {_notes(row.extra)} |"
            )
    return "\n".join(lines)


def machine_of(file: Path) -> str:
    """A line on where and with what the benchmarks ran."""
    content = json.loads(file.read_text(encoding="utf-8"))
    machine = content["machine_info"]
    import dissensus

    seen = dissensus.capabilities()
    return (
        f"{machine['cpu'].get('brand_raw', machine['processor'] or machine['machine'])}, {machine['cpu']['count']} cores, "
        f"instruction set {seen['instruction_set'] or 'none: no compiled module'}, Python {machine['python_version']}, "
        f"dissensus {seen['version']}, {content['datetime'][:10]}. One thread unless a name says otherwise."
    )


def write(file: Path, readme: Path) -> None:
    """Put the table of ``file`` between the marks of ``readme``."""
    text = readme.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise SystemExit(f"{readme} has no {START} ... {END}")
    before, after = text.partition(START)[0], text.partition(END)[2]
    rows = rows_of(file)
    tables = f"{machine_of(file)}\n\n{aims.render(rows)}\n\n{render(rows)}"
    readme.write_text(f"{before}{START}\n{tables}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    write(Path(sys.argv[1]), Path(sys.argv[2]))
    print(render(rows_of(Path(sys.argv[1]))))
    print(f"\n{aims.render(rows_of(Path(sys.argv[1])))}")
