"""What the benchmarks aim at, and what a run reached: the short table above the long one.

An aim names how a group begins, the row that stands for us and, where the aim is a ratio, the row of the same session to
compare with.
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
    peer_group: str = ""

    def asked(self) -> str:
        """The aim, in words."""
        if self.noted:
            return f"≤ {self.noted[1]:g} ms"
        if self.seconds:
            return f"≤ {self.seconds * 1e3:g} ms"
        return f"≥ {self.ratio:.0%}" if self.share else f"≥ {self.ratio:g}x"

    def reached(self, rows: list[Row]) -> tuple[str, bool] | None:
        """The figure of a run and whether it is enough; None where the run has no such rows."""
        found = {row.who: row for row in rows if row.group.startswith(self.group)}
        peers = {row.who: row for row in rows if row.group.startswith(self.peer_group or self.group)}
        if self.ours not in found or (self.peer and self.peer not in peers):
            return None
        ours = found[self.ours]
        if self.noted:
            value = float(ours.extra[self.noted[0]])
            return f"{value:.3g} ms", value <= self.noted[1]
        if self.seconds:
            return f"{ours.seconds * 1e3:.3g} ms", ours.seconds <= self.seconds
        times = peers[self.peer].seconds / ours.seconds
        shown = f"{times:.0%}" if self.share else f"{times:.0f}x" if times >= 20 else f"{times:.2f}x"
        return shown, times >= self.ratio


_ENTROPY = "consensus entropy, best 10|20x{}x4 float32"
_CEILING = "reading the bytes (ceiling)"
_RANK = "rank again after one member changed|"
_TELL = "tell + ask, ten linear members|"
_CNN = "short-chunk CNN, 3.7 million weights|"
_MEL = "log-mel|8 x 30 s, noise"

AIMS = (
    Aim(
        "consensus entropy and best 10, 20 x 1e6 x 4, against numpy + scipy",
        _ENTROPY.format(1000000),
        peer="numpy + scipy",
        ratio=8,
    ),
    Aim("– against modAL's formula", _ENTROPY.format(1000000), peer="modAL's formula", ratio=40),
    Aim("– two threads against one", _ENTROPY.format(1000000), "dissensus, 2 threads", OURS, 1.6),
    Aim("– at 5e6: share of the read bandwidth", _ENTROPY.format(5000000), peer=_CEILING, ratio=0.85, share=True),
    Aim(
        "– at 5e6, two threads: share of what two threads read",
        _ENTROPY.format(5000000),
        "dissensus, 2 threads",
        "reading the bytes, 2 threads (ceiling)",
        0.7,
        share=True,
    ),
    Aim("vote entropy, 20 x 1e6 uint8, against numpy", "vote entropy|20x1000000 uint8", peer="numpy", ratio=100),
    Aim("query of 1e6 tracks kept ready, against the full pass", _RANK, peer="full pass", ratio=5),
    Aim("– with the update of one member", _RANK, "dissensus, update and query", "full pass", 5),
    Aim("– slowest of a hundred (p99)", _RANK, noted=("p99_ms", 20)),
    Aim(
        "ten linear members over 120 000 windows, against scikit-learn",
        "ten linear members predict|",
        peer="scikit-learn",
        ratio=40,
    ),
    Aim("tell and next ask, ten linear members, 1 000 x 60 windows", _TELL, "dissensus, replay", seconds=5e-3),
    Aim("– two threads", _TELL, "dissensus, replay, 2 threads", seconds=5e-3),
    Aim(
        "ask(10) right after a tell, 2 000 tracks x 10 windows",
        "ask(10) after a tell, ten linear members|2000x",
        seconds=2e-3,
    ),
    Aim("– 100 000 x 10", "ask(10) after a tell, ten linear members|100000x", seconds=25e-3),
    Aim("– 1 000 000 x 1", "ask(10) after a tell, ten linear members|1000000x", seconds=50e-3),
    Aim("ask(10) again with nothing told, 100 000 tracks", "ask(10) again, nothing told|100000x", seconds=1e-3),
    Aim("– 1 000 000 tracks", "ask(10) again, nothing told|1000000x", seconds=20e-3),
    Aim("back from 60 answers and ask, 100 000 tracks", "back from 60 answers + ask(10)|100000x", seconds=40e-3),
    Aim(
        "many listeners under a limit of bytes, one who is there, p99",
        "ask + tell + ask of many listeners",
        noted=("p99_ms", 10),
    ),
    Aim("– one who is brought back, p99", "ask + tell + ask of many listeners", noted=("cold_p99_ms", 20)),
    Aim(
        "grid of one listener, 15 members, against the research loop",
        "one listener of the grid, gnb, sgd and xgb|",
        peer="the research loop",
        ratio=25,
    ),
    Aim(
        "– naive Bayes and SGD alone, against the loop with all 15",
        "one listener of the grid, gnb and sgd|",
        peer="the research loop",
        ratio=250,
        peer_group="one listener of the grid, gnb, sgd and xgb|",
    ),
    Aim("first query of a new process", "first query of a new process|", seconds=0.25),
    Aim("log-mel with AVX-512, against librosa", _MEL, "dissensus avx512", "librosa", 10),
    Aim("– with AVX2", _MEL, "dissensus avx2", "librosa", 6),
    Aim("– Numba", _MEL, "dissensus numba", "librosa", 5),
    Aim("– two threads against one", _MEL, "dissensus avx512, 2 threads", "dissensus avx512", 1.7),
    Aim("– recorded music, AVX-512", "log-mel|8 x 30 s, recorded", "dissensus avx512", "librosa", 10),
    Aim("first log-mel of a process", "first log-mel in a process|", seconds=0.05),
    Aim("mp3 to 16 kHz mono, against librosa", "mp3 to 16 kHz mono|", peer="librosa.load", ratio=1.4),
    Aim(
        "IS13 at 22.05 kHz, against openSMILE", "IS13 features, 10 s of music|22050", peer="openSMILE, as used", ratio=5
    ),
    Aim("CNN, batch of 32, against torch eager", _CNN, peer="torch, eager", ratio=4),
    Aim("– against bare onnxruntime", _CNN, peer="onnxruntime, bare", ratio=0.95, share=True),
    Aim("– int8, against torch eager", _CNN, "dissensus, int8", "torch, eager", 10),
    Aim(
        "– one member against five on one trunk", _CNN, "dissensus, five members, one trunk", OURS, 1 / 1.15, share=True
    ),
    Aim(
        "files to probabilities, share of the network's own time",
        "audio files to 5 CNN members' probabilities|",
        peer="the network alone",
        ratio=1 / 1.1,
        share=True,
    ),
    Aim("tell and next ask, five CNN heads, 1 000 tracks", "tell and next ask, five CNN heads|", seconds=0.01),
    Aim(
        "Krippendorff's alpha, 1 000 x 10 000, against krippendorff",
        "krippendorff_alpha|",
        peer="krippendorff, from PyPI",
        ratio=50,
    ),
    Aim("crowd prior: 5 000 annotations", "crowd_prior fit|5000x1000", seconds=10),
    Aim("– one listener left out", "crowd_prior leave out|5000x1000", seconds=0.05),
    Aim("an answer, then the probabilities of 1 000 tracks", "answer|1000 tracks", seconds=0.01),
    Aim("– of 100 000 tracks", "answer|100000 tracks", seconds=0.1),
    Aim("a listener's start, 10⁶ ratings of 100 000 tracks", "new listener|", seconds=0.01),
    Aim("– and the first belief, somebody new", "first belief of a stranger|", seconds=0.01),
    Aim("– back from 60 answers, 1 000 tracks", "back from 60 answers|1000 of 1000 ", seconds=0.0074),
    Aim("– a hundred of 10⁶ votes erased, and the next belief", "erase a listener|", seconds=0.2),
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
