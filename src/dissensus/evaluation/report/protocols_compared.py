"""The published protocol and the sound one on the same listeners, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dissensus._files import write_text
from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.outcome.personalised import ALL, EffectivePersonalisation
from dissensus.evaluation.outcome.published_tests import published_tests
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.outcome.summary import interval_text
from dissensus.evaluation.protocol import PROTOCOLS, Protocol
from dissensus.evaluation.report.personalised_table import count_text, most_misleading, personalised_rows, share_text
from dissensus.evaluation.text_table import aligned
from dissensus.strategies.rules.human import HUMAN
from dissensus.strategies.strategy import CONTROL

__all__ = ["Comparison", "SideRow", "able_listeners", "compare_protocols", "sound_beside", "write_comparison"]


def sound_beside(name: str, repeats: int, null_repeats: int, **changes: Any) -> tuple[Protocol, Protocol]:
    """A published protocol, and the sound one that asks as many questions of the same listeners.

    Parameters
    ----------
    name : str
        Of the published protocol.
    repeats, null_repeats : int
        Of the sound one. The published one keeps its single split, which is run again with permuted answers where
        ``null_repeats`` is not 0.
    **changes
        Settings of both.

    Returns
    -------
    paper, sound : Protocol
    """
    paper = replace(PROTOCOLS[name], null_repeats=min(null_repeats, PROTOCOLS[name].repeats), **changes)
    same = {key: getattr(paper, key) for key in ("rounds", "queries", "balanced", "min_tracks")}
    return paper, replace(PROTOCOLS["sound"], repeats=repeats, null_repeats=null_repeats, **(same | changes))


def able_listeners(dataset: Dataset, *protocols: Protocol) -> list[Any]:
    """Ids of the listeners with enough labelled tracks for all of these protocols."""
    votes = dataset.annotations.subset(dataset.annotations.label >= 0).newest()
    return list(votes.listeners(min_tracks=max(protocol.min_tracks for protocol in protocols)).tolist())


@dataclass(frozen=True)
class SideRow:
    """One protocol, update, member and strategy.

    Attributes
    ----------
    protocol, label, update, member, strategy : str
        ``label`` is ``paper`` or ``sound``; ``strategy`` is ``all`` for the mean over them.
    start, first, end, gain : dict
        Weighted F1 before any answer, after the first round, at the end, and end less start: mean, low, high over listeners.
    null_gain, gain_over_null : dict or None
        The gain under permuted answers, and the true less the permuted on the same splits; None without such runs.
    criteria : EffectivePersonalisation
        Who was personalised, by every criterion.
    """

    protocol: str
    label: str
    update: str
    member: str
    strategy: str
    start: dict[str, float]
    first: dict[str, float]
    end: dict[str, float]
    gain: dict[str, float]
    null_gain: dict[str, float] | None
    gain_over_null: dict[str, float] | None
    criteria: EffectivePersonalisation

    def cells(self) -> list[str]:
        """For a table, in the order of :data:`HEAD`."""
        c = self.criteria
        return [
            self.label,
            self.update,
            self.strategy,
            *(f"{value['mean']:.3f}" for value in (self.start, self.first, self.end)),
            *("not run" if v is None else interval_text(v) for v in (self.gain, self.null_gain, self.gain_over_null)),
            count_text(c.published, c.n_listeners),
            count_text(c.above_start, c.n_listeners),
            count_text(c.surely_above, c.n_listeners),
            share_text(c.beyond_null),
        ]


#: Columns of the table of :class:`SideRow`.
HEAD: Final = (
    "", "update", "strategy", "start", "1st round", "end", "gain", "gain, permuted", "true less permuted", "slope >= 0",
    "ends above start", "surely above", "beyond permuted",
)  # fmt: skip

#: The first of them are the scores, the others the criteria.
N_SCORES: Final = 9


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`compare_protocols` found; ``str()`` is the table, the strategies against random, and the words."""

    paper: Results
    sound: Results
    rows: list[SideRow]
    contrasts: list[dict[str, Any]]

    @property
    def members(self) -> list[str]:
        """In the order of the table."""
        return list(dict.fromkeys(row.member for row in self.rows))

    def table(self, member: str, *, strategies: bool = False) -> list[list[str]]:
        """Cells of one member: the mean over the strategies, or each of them."""
        return [row.cells() for row in self.rows if row.member == member and (row.strategy != ALL) == strategies]

    def words(self) -> list[str]:
        """What came out, a sentence each."""
        return [*_collapses(self.rows), *_human(self.contrasts)]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.sound.dataset,
            "n_listeners": len(self.sound.listeners),
            "paper": self.paper.protocol.as_dict(),
            "faults": self.paper.summary["faults"],
            "sound": self.sound.protocol.as_dict(),
            "rows": [asdict(row) for row in self.rows],
            "strategies_against_random": self.contrasts,
            "words": self.words(),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self, *, strategies: bool = False) -> str:
        """The table as text; ``strategies``: each strategy, not their mean alone."""
        paper, sound = self.paper, self.sound
        lines = [
            f"{sound.dataset}, {len(sound.listeners)} listeners: {paper.protocol.name} (paper) beside {sound.protocol.name}",
            "weighted F1, 95 % intervals over listeners",
            "paper, with its known faults: " + "; ".join(paper.summary["faults"]) + ".",
            "splits per listener: "
            + ", ".join(
                f"{side.summary['label']} {side.summary['n_repeats']} (permuted {side.summary['n_null_repeats']})"
                for side in (paper, sound)
            ),
        ]
        for member in self.members:
            rows = self.table(member)
            if strategies:
                rows += self.table(member, strategies=True)
            lines += ["", member, *aligned([list(HEAD), *rows])]
        if self.contrasts:
            lines += ["", "Strategies against random, height of the learning curve, listeners paired", ""]
            lines += aligned([list(_CONTRAST_HEAD), *map(_contrast_cells, self.contrasts)])
        return "\n".join([*lines, "", *self.words()])


_CONTRAST_HEAD: Final = (
    "", "update", "member", "strategies", "difference", "p (Wilcoxon)", "p (Holm, a member)",
    "last round, published test (paper)",
)  # fmt: skip


def _contrast_cells(row: dict[str, Any]) -> list[str]:
    published = "" if row["p_published"] is None else f"p {row['p_published']:.3f}"
    tests = (f"{row['p_wilcoxon']:.3f}", f"{row['p_holm']:.3f}")
    pair = f"{row['strategy']} - {row['against']}"
    return [row["label"], row["update"], row["member"], pair, interval_text(row["difference"]), *tests, published]


def _first_round(results: Results, update: str, member: str, strategy: str) -> dict[str, float]:
    curves = results.curves
    where = {"update": update, "member": member} | ({} if strategy == ALL else {"strategy": strategy})
    at = curves.pick(**where)
    first = np.array([score[min(1, len(score) - 1)] for score in curves.score])
    found = bootstrap_interval(curves.by_listener(first, at))
    return {"mean": found.mean, "low": found.low, "high": found.high}


def _rows(results: Results) -> list[SideRow]:
    criteria = {(row.update, row.member, row.strategy): row for row in personalised_rows(results)}
    rows = []
    for row in results.summary["rows"]:
        key = (row["update"], row["member"], row["strategy"])
        rows.append(
            SideRow(
                results.protocol.name,
                results.summary["label"],
                *key,
                row["start"],
                _first_round(results, *key),
                row["end"],
                row["gain"],
                row.get("null_gain"),
                row.get("gain_over_null"),
                criteria[key],
            )
        )
    return rows


def _contrasts(results: Results, against: str) -> list[dict[str, Any]]:
    """Every other strategy less ``against``, and p of the published test at the last round."""
    out = []
    for row in results.summary["comparisons"]:
        if against not in (row["a"], row["b"]):
            continue
        sign = 1.0 if row["b"] == against else -1.0
        difference = {name: sign * row["difference"][name] for name in ("mean", "low", "high")}
        if sign < 0:
            difference["low"], difference["high"] = difference["high"], difference["low"]
        strategy = row["a"] if sign > 0 else row["b"]
        out.append(
            {"protocol": results.protocol.name, "label": results.summary["label"]}
            | {"update": row["update"], "member": row["member"], "strategy": strategy, "against": against}
            | {"difference": difference, "p_wilcoxon": row["p_wilcoxon"], "p_holm": row["p_holm"]}
            | {"p_published": _published(results, row["update"], row["member"], strategy, against)}
        )
    return out


def _published(results: Results, update: str, member: str, a: str, b: str) -> float | None:
    if not results.is_paper:
        return None
    try:
        tests = published_tests(results.scores, update=update, member=member)
    except ParameterError:  # too few listeners, or curves that do not vary
        return None
    return next((test.p for test in tests if (test.a, test.b) == (a, b)), None)


def compare_protocols(paper: Results, sound: Results) -> Comparison:
    """Put the results of a published protocol and of the sound one side by side.

    Parameters
    ----------
    paper, sound : Results
        Of the same data set; each is cut down to the listeners that both have.

    Returns
    -------
    Comparison

    Raises
    ------
    ParameterError
        Data sets differ, there is no common listener, or the two are not a published protocol and the sound one.
    """
    if not paper.is_paper or sound.is_paper:
        raise ParameterError(
            f"{paper.folder} is of protocol {paper.protocol.name}, {sound.folder} of {sound.protocol.name}; "
            "give a published protocol first and the sound one second"
        )
    if paper.dataset != sound.dataset:
        raise ParameterError(f"{paper.folder} is of {paper.dataset}, {sound.folder} of {sound.dataset}")
    common = sorted(set(paper.listeners) & set(sound.listeners))
    if not common:
        raise ParameterError(f"{paper.folder} and {sound.folder} have no listener in common")
    sides = [paper.of(common), sound.of(common)]
    rows = [row for side in sides for row in _rows(side)]
    order = list(dict.fromkeys(row.member for row in rows))
    rows.sort(key=lambda row: order.index(row.member))
    contrasts = [row for side in sides for row in _contrasts(side, CONTROL)]
    contrasts.sort(key=lambda row: (order.index(row["member"]), row["strategy"]))
    return Comparison(sides[0], sides[1], rows, contrasts)


def _collapses(rows: Sequence[SideRow]) -> list[str]:
    """A sentence a protocol and update, about the member whose published criterion and whose end are farthest apart."""
    said = []
    for label, update in dict.fromkeys((row.label, row.update) for row in rows):
        mine = [row for row in rows if (row.label, row.update, row.strategy) == (label, update, ALL)]
        worst = most_misleading([row.criteria for row in mine])
        row = next(row for row in mine if row.criteria is worst)
        text = (
            f"{'As published' if label == 'paper' else 'Sound'}, {update}, {row.member}: weighted F1 {row.start['mean']:.3f}, "
            f"{row.first['mean']:.3f} after the first round, {row.end['mean']:.3f} at the end. The published slope calls "
            f"{row.criteria.published} of {row.criteria.n_listeners} listeners personalised, {row.criteria.above_start} end "
            "above their start"
        )
        if row.null_gain is not None and row.gain_over_null is not None:
            text += (
                f". Gain {interval_text(row.gain)}, with permuted answers {interval_text(row.null_gain)}, true less permuted "
                f"on the same splits {interval_text(row.gain_over_null)}"
            )
        said.append(text + ".")
    return said


def _human(contrasts: Sequence[dict[str, Any]]) -> list[str]:
    said = []
    for label, when in (("paper", "As published"), ("sound", "With the listener's own vote left out of the crowd")):
        mine = [row for row in contrasts if row["label"] == label and row["strategy"] == HUMAN.name]
        if not mine:
            continue
        above = [f"{r['member']} ({r['update']})" for r in mine if r["difference"]["low"] > 0 and r["p_holm"] < 0.05]
        below = [f"{r['member']} ({r['update']})" for r in mine if r["difference"]["high"] < 0 and r["p_holm"] < 0.05]
        rest = len(mine) - len(above) - len(below)
        said.append(
            f"{when}, human consensus is above random for {', '.join(above) or 'no member'}, below it for "
            f"{', '.join(below) or 'no member'} (Holm p < .05 among the pairs of a member), undecided for the "
            f"other {rest}."
        )
    return said


def write_comparison(comparison: Comparison, out: Path) -> list[Path]:
    """Write ``comparison.txt`` (every strategy) and ``comparison.json``; each file is replaced in one step."""
    paths = [out / "comparison.txt", out / "comparison.json"]
    write_text(paths[0], comparison.text(strategies=True) + "\n")
    write_text(paths[1], json.dumps(comparison.as_dict(), indent=1, default=float) + "\n")
    return paths
