"""Write the table of docs/reference/audio_containers.md: every odd file as we decode it, beside ffmpeg.

Run ``python benchmarks/audio_containers.py docs/reference/audio_containers.md`` where an ffmpeg program is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import beside_ffmpeg as beside
import odd_audio as odd
from beside_ffmpeg import Row

MARK = "<!-- what follows is written by benchmarks/audio_containers.py -->"


def line(row: Row) -> str:
    """A row of the table."""
    difference = "" if row.difference is None else "0" if row.difference == 0 else f"{row.difference:.0e}"
    remarks = "; ".join(part for part in ("cut off, told" if row.told else "", row.remark) if part)
    theirs = "–" if not row.ffmpeg else f"{row.ffmpeg}"
    return f"| {row.case.container} | {row.case.oddity} | {row.ours} | {theirs} | {difference} | {remarks} |"


def table(rows: list[Row]) -> str:
    """The whole table, with what it sums up to."""
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    same = sum(row.ours == row.ffmpeg for row in rows)
    more = sum(row.ours > row.ffmpeg for row in rows)
    less = len(rows) - same - more
    head = (
        f"{len(rows)} files, ffmpeg {said}: as many samples in {same}, more in {more}, fewer in {less} (what is left out "
        "there is no music, or a decoder's own addition: the last column says).\n\n"
        "| container | oddity | samples, ours | ffmpeg | largest difference | |\n|---|---|--:|--:|--:|---|\n"
    )
    return head + "\n".join(line(row) for row in rows) + "\n"


def main(target: Path) -> int:
    """Measure and write; 1 where something is missing beside ffmpeg and nothing says why."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [beside.measure(case, Path(folder)) for case in odd.cases()]
    text = target.read_text(encoding="utf-8")
    target.write_text(text[: text.index(MARK) + len(MARK)] + "\n\n" + table(rows), encoding="utf-8")
    wrong = [row for row in rows if not beside.acceptable(row)]
    for row in wrong:
        print(f"not explained: {line(row)}")
    print(f"{target}: {len(rows)} rows")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
