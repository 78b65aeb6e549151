"""What the benchmarks aim at, and what a run reached: the short table above the long one.

An aim names a group, the row that stands for us and, where the aim is a ratio, the row of the same session to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from table import Row

OURS = "dissensus"


@dataclass(frozen=True)
class Aim:
    """One line: ``peer / ours`` at least ``ratio``, or ours within ``seconds``, or a noted figure at most ``noted``."""

    what: str
    group: str
    ours: str = OURS
    peer: str = ""
    ratio: float = 0.0
    seconds: float = 0.0
    share: bool = False
    noted: tuple[str, float] | None = None

    def asked(self) -> str:
        """The aim, in words."""
        if self.noted:
            return f"≤ {self.noted[1]:g} ms"
        if self.seconds:
            return f"≤ {self.seconds * 1e3:g} ms"
        return f"≥ {self.ratio:.0%}" if self.share else f"≥ {self.ratio:g}x"

    def reached(self, rows: list[Row]) -> tuple[str, bool] | None:
        """The figure of a run and whether it is enough; None where the run has no such rows."""
        found = {row.who: row for row in rows if row.group == self.group}
        if self.ours not in found or (self.peer and self.peer not in found):
            return None
        ours = found[self.ours]
        if self.noted:
            value = float(ours.extra[self.noted[0]])
            return f"{value:.3g} ms", value <= self.noted[1]
        if self.seconds:
            return f"{ours.seconds * 1e3:.3g} ms", ours.seconds <= self.seconds
        times = found[self.peer].seconds / ours.seconds
        shown = f"{times:.0%}" if self.share else f"{times:.0f}x" if times >= 20 else f"{times:.2f}x"
        return shown, times >= self.ratio


_ENTROPY = "consensus entropy, best 10|20x{}x4 float32"
_CEILING = "reading the bytes (ceiling)"

AIMS = (
    Aim(
        "consensus entropy, 1e6 tracks, against numpy + scipy", _ENTROPY.format(1000000), peer="numpy + scipy", ratio=8
    ),
    Aim("the same against modAL's formula", _ENTROPY.format(1000000), peer="modAL's formula", ratio=40),
    Aim("the same at 5e6, of the read bandwidth", _ENTROPY.format(5000000), peer=_CEILING, ratio=0.85, share=True),
)


def render(rows: Iterable[Row]) -> str:
    """The table of aims in Markdown; an aim without rows in this run says so."""
    rows = list(rows)
    lines = ["| aim | asked | reached | |", "|---|---:|---:|---|"]
    for aim in AIMS:
        got = aim.reached(rows)
        shown, verdict = ("not run", "") if got is None else (got[0], "met" if got[1] else "**not reached**")
        lines.append(f"| {aim.what} | {aim.asked()} | {shown} | {verdict} |")
    return "\n".join(lines)
