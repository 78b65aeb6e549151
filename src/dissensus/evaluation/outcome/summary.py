"""From the table of scores to what can be said: gains, intervals, the null, paired comparisons, and the words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.evaluation.curves import COMMITTEE, Columns, Curves, curves_of, slopes
from dissensus.evaluation.intervals import Interval, area_under_curve, bootstrap_interval, compare_paired
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.scores import SCORES
from dissensus.evaluation.text_table import aligned

__all__ = ["format_summary", "interval_text", "summarise", "words"]


def _in_order(found: NDArray[Any], order: Sequence[str]) -> list[str]:
    """Distinct values, those of ``order`` first and in its order."""
    there = [str(value) for value in np.unique(found)]
    return [name for name in order if name in there] + [name for name in there if name not in order]


def _measures(curves: Curves) -> dict[str, NDArray[np.float64]]:
    start = np.array([score[0] for score in curves.score])
    end = np.array([score[-1] for score in curves.score])
    aulc = np.array([area_under_curve(n, s) for n, s in zip(curves.n_labels, curves.score, strict=True)])
    return {"start": start, "end": end, "gain": end - start, "aulc": aulc}


def summarise(columns: Columns, protocol: Protocol, null: Columns | None = None) -> dict[str, Any]:
    """Everything that is reported, from the table of scores.

    Parameters
    ----------
    columns : mapping of str to ndarray
        The tidy table.
    protocol : Protocol
        That made it.
    null : mapping of str to ndarray, optional
        The tidy table of the runs with permuted answers.

    Returns
    -------
    dict
        For JSON. ``rows``: one entry an update, member and strategy (and ``"all"``, the mean over the strategies) with
        intervals over listeners of start, end, gain and area under the curve of weighted F1, the gains of the other
        scores, the share of listeners above their own start, the gain under permuted answers and the paired difference
        to it, and the share that the published slope criterion would call personalised. ``comparisons``: strategies
        paired by listener on the area under the curve. ``n_listeners``, ``protocol``, ``faults``.
    """
    by_score = {name: curves_of(columns, name) for name in SCORES}
    curves = by_score["f1_weighted"]
    measures = {name: _measures(c) for name, c in by_score.items()}
    slope = slopes(curves, with_start=False)
    null_curves = None if null is None or not len(null["round"]) else curves_of(null)
    null_gain = None if null_curves is None else _measures(null_curves)["gain"]
    rows: list[dict[str, Any]] = []
    comparisons: list[dict[str, Any]] = []
    members = _in_order(curves.member, (*protocol.kinds, COMMITTEE))
    strategies = _in_order(curves.strategy, protocol.strategies)
    for update in _in_order(curves.update, protocol.updates):
        for member in members:
            area: dict[str, NDArray[np.float64]] = {}
            for strategy in [*strategies, "all"]:
                where = {"update": update, "member": member}
                if strategy != "all":
                    where["strategy"] = strategy
                at = curves.pick(**where)
                value = {name: curves.by_listener(m, at) for name, m in measures["f1_weighted"].items()}
                row: dict[str, Any] = {"update": update, "member": member, "strategy": strategy}
                row |= {name: _interval(v) for name, v in value.items()}
                row["share_above_start"] = float((value["gain"] > 0).mean())
                row["share_slope_not_negative"] = float((curves.by_listener(slope, at) >= 0).mean())
                for name in SCORES[1:]:
                    row[f"gain_{name}"] = _interval(by_score[name].by_listener(measures[name]["gain"], at))
                if null_curves is not None and null_gain is not None:
                    there = null_curves.by_listener(null_gain, null_curves.pick(**where))
                    row["null_gain"] = _interval(there)
                    same = at[np.isin(curves.repeat[at], null_curves.repeat)]
                    own = curves.by_listener(measures["f1_weighted"]["gain"], same)
                    row["gain_over_null"] = _interval(own - there)
                    row["null_share_above_start"] = float((there > 0).mean())
                rows.append(row)
                if strategy != "all":
                    area[strategy] = value["aulc"]
            comparisons += [{"update": update, "member": member} | c.as_dict() for c in compare_paired(area)]
    return {
        "protocol": protocol.as_dict(),
        "label": "paper" if protocol.is_paper else "sound",
        "faults": protocol.faults(),
        "n_listeners": len(np.unique(columns["listener"])),
        "n_repeats": int(np.max(columns["repeat"])) + 1,
        "n_null_repeats": 0 if null is None or not len(null["repeat"]) else int(np.max(null["repeat"])) + 1,
        "rows": rows,
        "comparisons": comparisons,
    }


def _interval(values: NDArray[np.float64]) -> dict[str, float]:
    interval = bootstrap_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def interval_text(interval: dict[str, float], *, signed: bool = True) -> str:
    """Mean and ends of an interval, three decimals."""
    form = "+.3f" if signed else ".3f"
    return f"{interval['mean']:{form}} [{interval['low']:{form}}, {interval['high']:{form}}]"


def format_summary(summary: dict[str, Any]) -> str:
    """The summary as text: the table, the paired comparisons, and what held in words."""
    is_paper = summary["label"] == "paper"
    has_null = any("null_gain" in row for row in summary["rows"])
    head = ["update", "member", "strategy", "start", "end", "gain", "AULC", "above start"]
    head += ["slope >= 0"] * is_paper + ["gain, permuted", "above, permuted"] * has_null
    table = [head]
    for row in summary["rows"]:
        cells = [
            row["update"],
            row["member"],
            row["strategy"],
            f"{row['start']['mean']:.3f}",
            f"{row['end']['mean']:.3f}",
        ]
        cells += [
            interval_text(row["gain"]),
            interval_text(row["aulc"], signed=False),
            f"{row['share_above_start']:.0%}",
        ]
        if is_paper:  # what the published criterion would call personalised
            cells.append(f"{row['share_slope_not_negative']:.0%}")
        if has_null:
            cells += [interval_text(row["null_gain"]), f"{row['null_share_above_start']:.0%}"]
        table.append(cells)
    title = (
        f"Weighted F1, {summary['n_listeners']} listeners, {summary['n_repeats']} split(s) each, protocol "
        f"{summary['protocol']['name']} ({summary['label']}); 95 % bootstrap intervals over listeners"
    )
    lines = [title, "", *aligned(table)]
    if summary["comparisons"]:
        paired = [["update", "member", "a - b", "AULC difference", "p (Wilcoxon)", "p (Holm)", "a above b"]]
        for c in summary["comparisons"]:
            d = c["difference"]
            tests = (f"{c['p_wilcoxon']:.3f}", f"{c['p_holm']:.3f}", f"{c['share_above']:.0%}")
            paired.append([c["update"], c["member"], f"{c['a']} - {c['b']}", interval_text(d), *tests])
        lines += ["", "Strategies paired by listener, area under the learning curve", "", *aligned(paired)]
    return "\n".join([*lines, "", *words(summary)])


def words(summary: dict[str, Any]) -> list[str]:
    """What held and what did not, a sentence each."""
    said: list[str] = []
    if summary["faults"]:
        kept = "This protocol is kept as published; known" if summary["label"] == "paper" else "Known"
        said.append(f"{kept} faults: " + "; ".join(summary["faults"]) + ".")
    for update in dict.fromkeys(row["update"] for row in summary["rows"]):
        mine = [row for row in summary["rows"] if row["update"] == update and row["strategy"] == "all"]
        below = [row["member"] for row in mine if row["gain"]["mean"] < 0]
        surely_below = [row["member"] for row in mine if _sign(row["gain"]) < 0]
        above = [row["member"] for row in mine if _sign(row["gain"]) > 0]
        text = f"{update}: "
        text += (
            "no kind of member ends below its own start on average"
            if not below
            else f"{', '.join(below)} end(s) below the own start on average"
            + (f" (whole interval below for {', '.join(surely_below)})" if surely_below else " (intervals hold zero)")
        )
        text += f"; whole interval above the start for {', '.join(above)}." if above else "; none is surely above it."
        said.append(text)
        if mine and "gain_over_null" in mine[0]:
            true = [row["member"] for row in mine if _sign(row["gain_over_null"]) > 0]
            said.append(
                f"{update}: answers beat the same answers permuted among the tracks for {', '.join(true)}."
                if true
                else f"{update}: answers do not surely beat the same answers permuted among the tracks."
            )
    found = [c for c in summary["comparisons"] if c["p_holm"] < 0.05]
    for c in found:
        better, worse = (c["a"], c["b"]) if c["difference"]["mean"] > 0 else (c["b"], c["a"])
        size = abs(c["difference"]["mean"])
        said.append(f"{c['update']}, {c['member']}: {better} above {worse} by {size:.3f} (Holm p {c['p_holm']:.3f}).")
    if summary["comparisons"] and not found:
        said.append("No strategy differs from another after Holm's adjustment.")
    return said


def _sign(interval: dict[str, float]) -> int:
    return Interval(interval["mean"], interval["low"], interval["high"], 0).sign
