"""One page of HTML about an evaluation that a person can read without the code: what was asked, what came out, what not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from dissensus.errors import DataFormatError
from dissensus.evaluation._write import write_text
from dissensus.evaluation.personalised import EffectivePersonalisation, effective_personalisation, listener_gains
from dissensus.evaluation.report_figures import listener_panels, personalisation_bars
from dissensus.evaluation.statistics import compare_strategies
from dissensus.evaluation.summary import words
from dissensus.evaluation.table import COMMITTEE, Columns, Curves, curves_of, read_columns

__all__ = ["write_results_report"]

_STRATEGY: Final = {
    "mc": "machine consensus: the tracks the committee is least sure about",
    "hc": "human consensus: the tracks other people disagree on",
    "mix": "hybrid: both",
    "rand": "random tracks",
    "rand-balanced": "random tracks, as many of each predicted class",
}
_UPDATE: Final = {
    "replay": "refitted from the pre-trained state on all answers so far and a memory of what it learnt before",
    "incremental": "trained further on the newest answers alone",
}
_STYLE: Final = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem;
color: #111; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; } td, th { padding: .15rem .8rem .15rem 0; text-align: left;
border-bottom: 1px solid #ddd; vertical-align: top; } svg { max-width: 100%; height: auto; } .paper { border: 2px solid #111;
padding: .5rem 1rem; } .note { color: #444; }"""


def _read(folder: Path) -> tuple[dict[str, Any], Columns, Columns | None]:
    path = folder / "summary.json"
    if not folder.is_dir() or not path.exists() or not (folder / "scores.parquet").exists():
        raise DataFormatError(
            f"{folder}: no scores.parquet and summary.json; give the folder that `dissensus evaluate --out` wrote"
        )
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        missing = [k for k in ("protocol", "rows", "n_listeners", "n_repeats", "label", "faults") if k not in summary]
    except (ValueError, TypeError) as error:
        raise DataFormatError(
            f"{path}: not a summary of an evaluation ({error}); run `dissensus evaluate` again"
        ) from None
    if missing:
        raise DataFormatError(f"{path}: {missing[0]!r} is missing; run `dissensus evaluate` again")
    permuted = folder / "details" / "permuted.parquet"
    has_null = permuted.exists() and summary.get("n_null_repeats")
    return summary, read_columns(folder / "scores.parquet"), read_columns(permuted) if has_null else None


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>\n{body}</table>"


def _span(interval: dict[str, float] | None, sign: str = "+") -> str:
    if interval is None:
        return ""
    return f"{interval['mean']:{sign}.3f} [{interval['low']:{sign}.3f}, {interval['high']:{sign}.3f}]"


def _asked(summary: dict[str, Any]) -> str:
    protocol = summary["protocol"]
    strategies = "".join(f"<li><b>{escape(s)}</b>: {escape(_STRATEGY.get(s, s))}</li>" for s in protocol["strategies"])
    updates = "".join(f"<li><b>{escape(u)}</b>: {escape(_UPDATE.get(u, u))}</li>" for u in protocol["updates"])
    null = summary.get("n_null_repeats", 0)
    told = (
        f"{null} of the splits were run once more with the listener's answers permuted among the tracks: what is gained then "
        "is no taste, and every gain below stands beside it."
        if null
        else "No run with permuted answers was made, so how much of a gain is no more than a habit of answering stays open."
    )
    return f"""<p>{summary["n_listeners"]} listeners of {escape(str(summary.get("dataset", "the data set")))}. A committee
({escape(", ".join(protocol["kinds"]))}) that had met none of them was asked, for each, {protocol["rounds"]} times for the
{protocol["queries"]} tracks to ask about; the listener's own answers were then given to it. It was scored on
{protocol["test_share"]:.0%} of the listener's tracks that it never saw, in {summary["n_repeats"]} random split(s) of each
listener. {told}</p>
<p>Chosen by:</p><ul>{strategies}</ul><p>Learnt by:</p><ul>{updates}</ul>
<p class="note">Scores are weighted F1 (0 to 1) over tracks. A listener's splits are averaged first: the listeners are the
sample, and 95 % intervals are bootstrapped over them.</p>"""


def _came_out(summary: dict[str, Any]) -> str:
    head = [
        "update",
        "member",
        "strategy",
        "start",
        "end",
        "gain from start",
        "gain, answers permuted",
        "true less permuted",
    ]
    rows = [
        [
            row["update"],
            row["member"],
            row["strategy"],
            f"{row['start']['mean']:.3f}",
            f"{row['end']['mean']:.3f}",
            _span(row["gain"]),
            _span(row.get("null_gain")) or "not run",
            _span(row.get("gain_over_null")) or "not run",
        ]
        for row in summary["rows"]
    ]
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in words(summary))
    return f"<ul>{said}</ul>\n{_table(head, rows)}"


def _compared(summary: dict[str, Any], columns: Columns) -> str:
    if len(summary["protocol"]["strategies"]) < 2 or summary["n_listeners"] < 2:
        return "<p>One strategy or one listener: nothing to compare.</p>"
    parts = []
    for update in summary["protocol"]["updates"]:
        found = compare_strategies(columns, update=update)
        rows = [
            [
                t.member,
                f"{t.a} - {t.b}",
                str(t.difference),
                f"{t.dz.mean:+.2f} [{t.dz.low:+.2f}, {t.dz.high:+.2f}]",
                f"{t.rank_biserial:+.2f}",
                f"{t.holm_t:.3f}",
                f"{t.holm_wilcoxon:.3f}",
                f"{t.holm_permutation:.3f}",
            ]
            for t in found
        ]
        head = [
            "member",
            "strategies",
            "height of the curve",
            "Cohen's dz",
            "rank-biserial",
            "p t",
            "p Wilcoxon",
            "p permutation",
        ]
        parts.append(f"<h3>{escape(update)}</h3>{_table(head, rows)}")
    note = "Paired by listener; p two-sided, adjusted by Holm for all rows of a table."
    return f'<p class="note">{note}</p>' + "".join(parts)


def _share(value: float) -> str:
    return "not run" if math.isnan(value) else f"{value:.0%}"


def _personalised(rows: Sequence[EffectivePersonalisation], repeats: int) -> str:
    parts = [
        (
            "<p>How many listeners are personalised depends on the question. The <b>published slope</b> asks whether the curve "
            "does not fall <i>after</i> the first answers: a model that collapses at the first update and slowly mends passes, "
            "and so does one that does not change. <b>End above start</b> compares with what there was before any answer. "
            "<b>Surely above</b>: the whole interval of the gain over the splits lies above zero, and the slope with the start "
            "in it is positive. The bars' marks are the same shares with permuted answers.</p>"
        )
    ]
    if repeats == 1:
        parts.append("<p><b>One split a listener: nobody can be surely above, whatever happened.</b></p>")
    for update in dict.fromkeys(row.update for row in rows):
        mine = [row for row in rows if row.update == update]
        head = [
            "member", "strategy", "published slope", "end above start", "surely above", "surely below",
            "published slope, permuted", "end above start, permuted", "end above start, true, on the same splits",
        ]  # fmt: skip
        cells = [
            [
                row.member,
                row.strategy,
                *(
                    f"{n} of {row.n_listeners}"
                    for n in (row.published, row.above_start, row.surely_above, row.surely_below)
                ),
                _share(row.null_published),
                _share(row.null_above_start),
                _share(row.same_above_start),
            ]
            for row in mine
        ]
        parts.append(f"<h3>{escape(update)}</h3>{personalisation_bars(mine)}{_table(head, cells)}")
    return "".join(parts)


def _each(curves: Curves, columns: Columns, summary: dict[str, Any]) -> str:
    parts = []
    test_share = summary["protocol"]["test_share"]
    for update in summary["protocol"]["updates"]:
        member = COMMITTEE if COMMITTEE in curves.member else str(curves.member[0])
        gains = listener_gains(columns, update=update, member=member, test_share=test_share)
        above, below = (sum(g[1] > 0 for g in gains.values()), sum(g[2] < 0 for g in gains.values()))
        rest = len(gains) - above - below
        parts.append(
            f"<h3>{escape(update)}, {escape(member)}</h3><p>Over all strategies {above} of {len(gains)} listeners surely gain, "
            f"{below} surely lose, {rest} are undecided. Listeners are numbered; thin line: the own start.</p>"
            + listener_panels(curves, update, member, "f1_weighted")
        )
    return "".join(parts)


def _limits(summary: dict[str, Any], null: Columns | None) -> list[str]:
    protocol = summary["protocol"]
    said = [
        (
            f"Answers are those that {summary['n_listeners']} listeners of one data set had already given; nobody was asked "
            "anew, and whether they would answer the same again is not known."
        ),
        (
            "A listener's test tracks are few. The interval over splits allows for tracks that splits share, but it is about "
            "this listener's tracks, not about all music."
        ),
        "No difference found is not no difference: see how wide the intervals are.",
        "F1 rewards the most probable quadrant alone. It does not say whether the probabilities are good (nll in the table).",
        (
            "A gain over the own start is not a gain over what other people say about the same tracks; `dissensus "
            "study-listeners` makes that comparison."
        ),
    ]
    if null is None:
        said.append(
            "Without runs on permuted answers, part of a gain may be no more than the listener's favourite quadrant."
        )
    if summary["n_repeats"] < 10:
        said.append(f"{summary['n_repeats']} split(s) a listener are few; the sound protocol has 20.")
    if "synthetic" in str(summary.get("dataset", "")):
        said.append("Music and listeners are made up; how differently the listeners hear was chosen.")
    if protocol["name"] != "sound":
        said.append(
            "This is a published protocol with its faults. Its numbers are for comparison with the paper, not evidence."
        )
    return said


def write_results_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write one self-contained page about the results in a folder.

    Parameters
    ----------
    folder : path
        What ``dissensus evaluate --out`` wrote.
    out : path, optional
        HTML file; default: ``report.html`` in the folder. Replaced in one step.

    Returns
    -------
    Path

    Raises
    ------
    DataFormatError
        The folder holds no results, or damaged ones.
    MissingDependencyError
        matplotlib is not installed.
    """
    folder = Path(folder)
    summary, columns, null = _read(folder)
    curves = curves_of(columns)
    target = folder / "report.html" if out is None else Path(out)
    rows = effective_personalisation(columns, null, test_share=summary["protocol"]["test_share"])
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in summary["faults"])
    paper = (
        f'<div class="paper"><b>As published ({escape(summary["protocol"]["name"])}), labelled paper.</b> Known faults:'
        f"<ul>{faults}</ul></div>"
        if summary["label"] == "paper"
        else ""
    )
    drawing = folder / "learning_curves.svg"
    picture = ""
    if drawing.exists():
        text = drawing.read_text(encoding="utf-8")
        picture = text[text.index("<svg") :] if "<svg" in text else ""
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in _limits(summary, null))
    settings = json.dumps(summary["protocol"], indent=1)
    version = escape(str(summary.get("run", {}).get("dissensus", "unknown")))
    source = escape(str(summary.get("source", "")))
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dissensus report</title><style>
{_STYLE}
</style></head><body>
<h1>Does a committee learn to hear like one listener?</h1>
{paper}
<h2>What was asked</h2>
{_asked(summary)}
<h2>What came out</h2>
{_came_out(summary)}
{picture}
<h2>Does it matter which tracks are asked about?</h2>
{_compared(summary, columns)}
<h2>Who was personalised</h2>
{_personalised(rows, summary["n_repeats"])}
<h2>Every listener</h2>
{_each(curves, columns, summary)}
<h2>What this does not show</h2>
<ul>{limits}</ul>
<h2>How it was made</h2>
<p class="note">dissensus {version}. {source}</p><pre>{escape(settings)}</pre>
</body></html>
"""
    write_text(target, body)
    return target
