"""Sections of the report: what came out, beside what, for whom, and how far the listeners agree."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.outcome.for_whom import Third, agreement_with_others, thirds_by_agreement, thirds_by_start
from dissensus.evaluation.outcome.paired_tests import PairedTests
from dissensus.evaluation.outcome.personalised import ALL, EffectivePersonalisation
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.outcome.summary import interval_text
from dissensus.evaluation.report.figures import (
    curve_panels,
    gain_dots,
    listener_panels,
    personalisation_bars,
    strategy_curves,
)
from dissensus.evaluation.report.markup import details, figure, items, table
from dissensus.evaluation.report.personalised_table import (
    CRITERIA,
    group_counts,
    headline_member,
    personalised_cells,
    personalised_head,
)
from dissensus.evaluation.report.protocols_compared import HEAD, N_SCORES, compare_protocols
from dissensus.evaluation.report.sentences import settled, whom_sentence
from dissensus.strategies.strategy import CONTROL

__all__ = [
    "beside",
    "beside_crowd",
    "came_out",
    "compared",
    "every_listener",
    "for_whom",
    "paper_beside",
    "personalised",
]

_GAIN_HEAD = (
    "update",
    "member",
    "strategy",
    "start",
    "end",
    "gain",
    "gain, permuted",
    "true less permuted",
    "nll, gain",
)


def _gain_cells(row: dict[str, Any]) -> list[str]:
    beside = [interval_text(row[name]) if name in row else "not run" for name in ("null_gain", "gain_over_null")]
    ends = [f"{row[name]['mean']:.3f}" for name in ("start", "end")]
    nll = interval_text(row["gain_nll"]) if "gain_nll" in row else ""
    return [row["update"], row["member"], row["strategy"], *ends, interval_text(row["gain"]), *beside, nll]


def came_out(results: Results, control: Sequence[Results]) -> str:
    """Gains with their null; the control data sets in the same picture."""
    rows = results.summary["rows"]
    both = [row for row in rows if row["strategy"] == ALL]
    each = [row for row in rows if row["strategy"] != ALL]
    drawing = figure(
        gain_dots([results, *control]),
        "Gain in weighted F1 of each member and update with its interval, true answers beside permuted ones.",
        "Gain from the own start to the end, mean over strategies, 95 % over listeners. Filled: the listener's own answers; "
        "open: the same answers permuted among the tracks.",
    )
    curves = figure(
        curve_panels(results),
        "Learning curves: a row per member, a column per strategy, with intervals over listeners.",
        "Weighted F1 on held-out tracks against the number of answers. Band: 95 % over listeners; thin line: the start; "
        "dotted: the same with permuted answers, which were run on fewer splits and are drawn from the same start.",
    )
    note = "Mean over the strategies. A negative gain in nll (negative log-likelihood) is better."
    more = details(f"Every strategy ({len(each)} rows)", table(_GAIN_HEAD, [_gain_cells(row) for row in each], group=1))
    return drawing + table(_GAIN_HEAD, [_gain_cells(row) for row in both], caption=note, group=0) + curves + more


def beside(control: Sequence[Results]) -> str:
    """The other data sets: the same table for each."""
    parts = []
    for other in control:
        rows = [_gain_cells(row) for row in other.summary["rows"] if row["strategy"] == ALL]
        title = f"{other.dataset}: {len(other.listeners)} listeners, {other.summary['n_repeats']} split(s) each"
        parts.append(f"<h3>{escape(other.dataset)}</h3>" + table(_GAIN_HEAD, rows, caption=title, group=0))
    return "".join(parts)


def beside_crowd(results: Results) -> str:
    """Every member less the crowd without the listener; empty where the listener model took no part."""
    rows = results.summary.get("against_crowd", [])
    if not rows:
        return ""
    head = [
        "update",
        "member",
        "weighted F1",
        "macro F1",
        "accuracy",
        "NLL",
        "NLL better",
        "NLL, permuted",
        "NLL, nothing personal",
    ]
    scores = ("f1_weighted", "f1_macro", "accuracy", "nll")
    cells = [
        [
            row["update"],
            row["member"],
            *(interval_text(row[name]) for name in scores),
            f"{row['share_better_nll']:.0%}",
            *(interval_text(row[name]) if name in row else "" for name in ("permuted_nll", "drawn_nll")),
        ]
        for row in rows
    ]
    note = (
        "Less the crowd without the listener, at the last round, mean over strategies, paired by listener. NLL: lower is "
        "better. Nothing personal: answers drawn from the crowd's probabilities."
    )
    said = (
        "<p><b>crowd</b> and <b>residual</b> know what other people said of the held-out tracks, never the listener; the "
        "committee and those named <b>-new</b> do not.</p>"
    )
    return said + table(head, cells, caption=note, group=0)


def paper_beside(results: Results, papers: Sequence[Results]) -> tuple[str, list[str]]:
    """A published protocol on the same listeners, and what came out in words; empty where none fits."""
    parts: list[str] = []
    said: list[str] = []
    for paper in papers:
        try:
            found = compare_protocols(paper, results)
        except ParameterError:  # other listeners, or another data set
            continue
        faults, words = "; ".join(paper.summary["faults"]), found.words()
        said += words
        parts.append(
            f'<div class="paper"><b>{escape(paper.protocol.name)}, as published, labelled paper.</b> Known faults: '
            f"{escape(faults)}. {len(found.sound.listeners)} listeners, the same in both.</div>" + items(words)
        )
        for strategies in (False, True):
            rows = [
                [member, *cells] for member in found.members for cells in found.table(member, strategies=strategies)
            ]
            both = table(["member", *HEAD[:N_SCORES]], [row[: N_SCORES + 1] for row in rows], group=0) + table(
                ["member", *HEAD[:3], *HEAD[N_SCORES:]], [row[:4] + row[N_SCORES + 1 :] for row in rows], group=0
            )
            parts.append(details(f"Every strategy ({len(rows)} rows)", both) if strategies else both)
    return "".join(parts), said


def _test_cells(test: PairedTests) -> list[str]:
    effect = f"{test.dz.mean:+.2f} [{test.dz.low:+.2f}, {test.dz.high:+.2f}]"
    tests = (f"{p:.3f}" for p in (test.holm_t, test.holm_wilcoxon, test.holm_permutation))
    return [
        test.update,
        test.member,
        f"{test.a} - {test.b}",
        str(test.difference),
        effect,
        f"{test.rank_biserial:+.2f}",
        *tests,
    ]


def compared(results: Results, tests: dict[str, Sequence[PairedTests]]) -> str:
    """Strategies against each other."""
    if not tests:
        return "<p>One strategy or one listener: nothing to compare.</p>"
    head = [
        "update",
        "member",
        "strategies",
        "difference",
        "Cohen's dz",
        "rank-biserial",
        "p t",
        "p Wilcoxon",
        "p permutation",
    ]
    every = [test for found in tests.values() for test in found]
    against = [test for test in every if CONTROL in (test.a, test.b)] or every
    note = (
        "Difference in the height of the learning curve (weighted F1, mean over the answers), paired by listener; p two-sided, "
        "by Holm for all pairs of an update."
    )
    drawing = figure(
        strategy_curves(results, headline_member(results)),
        "Learning curves of the strategies in one panel an update.",
        "The strategies of one member together. Band: 95 % over listeners around random.",
    )
    more = details(f"Every pair ({len(every)} rows)", table(head, [_test_cells(test) for test in every], group=1))
    main = table(head, [_test_cells(test) for test in against], caption=note, group=1)
    return drawing + main + more


def personalised(results: Results, rows: Sequence[EffectivePersonalisation]) -> str:
    """Who was personalised, by every criterion."""
    both = [row for row in rows if row.strategy == ALL]
    said = (
        "<p>How many listeners are personalised depends on the question. The <b>published slope</b> asks whether the curve "
        "does not fall <i>after</i> the first answers: a model that collapses at the first update and slowly mends passes, "
        "and so does one that does not change.</p>" + items(CRITERIA)
    )
    if results.summary["n_repeats"] == 1:
        said += "<p><b>One split per listener: nobody can be surely above, whatever happened.</b></p>"
    drawing = figure(
        personalisation_bars(both),
        "Share of listeners who are personalised by each criterion, the same share under permuted answers as a mark.",
        "Mean over strategies; lines: Wilson's 95 % interval; diamonds: the same share when the answers were permuted.",
    )
    groups = [
        [
            update,
            "interval of the gain" if rule == "interval" else "published count of slopes",
            ", ".join(f"{k} {n}" for k, n in c.items()),
        ]
        for update in results.protocol.updates
        if update in results.curves.update
        for rule, c in group_counts(results, update).items()
    ]
    each = [personalised_cells(row) for row in rows if row.strategy != ALL]
    return (
        said
        + drawing
        + table(personalised_head(), [personalised_cells(row) for row in both], group=0)
        + details(f"Every strategy ({len(each)} rows)", table(personalised_head(), each, group=1))
        + table(
            ["update", "groups by", "listeners"], groups, caption="Groups of listeners by how well they personalise."
        )
    )


_THIRD_HEAD = ("listeners", "mean", "n", "start", "gain", "gain, permuted")


def _third_cells(what: str, third: Third) -> list[str]:
    start = f"{third.start.mean:.3f} [{third.start.low:.3f}, {third.start.high:.3f}]"
    null = "not run" if third.null_gain is None else str(third.null_gain)
    return [f"{what}, {third.name}", f"{third.by:.2f}", str(third.n), start, str(third.gain), null]


def for_whom(results: Results, dataset: Dataset | None) -> tuple[str, list[tuple[str, bool]]]:
    """Gain by thirds of listeners, and the sentences with whether each is settled; empty where it cannot be said."""
    update = results.protocol.updates[0]
    members = list(dict.fromkeys((headline_member(results), *results.protocol.kinds)))
    rows: list[list[str]] = []
    said: list[tuple[str, bool]] = []
    agreement = {} if dataset is None else agreement_with_others(dataset)
    for member in (m for m in members if len(results.curves.pick(update=update, member=m))):
        for what, thirds in (
            ("score before any answer", thirds_by_start(results, update=update, member=member)),
            ("agreement with others", thirds_by_agreement(results, agreement, update=update, member=member)),
        ):
            rows += [[member, *_third_cells(what, third)] for third in thirds]
            if thirds and (member == members[0] or settled(thirds)):
                said.append((whom_sentence(thirds, what, member, update), bool(settled(thirds))))
    if not rows:
        return "", []
    note = (
        f"Learning by {update}. By score: sorted on the even splits, start and gain from the odd ones, so that a start which is "
        "low by chance is no gain. Agreement: share of the listener's tracks on which most of the others say the same."
    )
    return items([text for text, _ in said]) + table(["member", *_THIRD_HEAD], rows, caption=note, group=0), said


def every_listener(results: Results) -> str:
    """A small panel a listener, and how many surely gain."""
    member, parts = headline_member(results), []
    for update in results.protocol.updates:
        if not len(results.curves.pick(update=update, member=member)):
            continue
        counts = group_counts(results, update)["interval"]
        caption = (
            f"Over all strategies {counts['gains']} of {len(results.listeners)} listeners surely gain, {counts['loses']} surely "
            f"lose, {counts['undecided']} are undecided. Weighted F1 against answers, the same axes in every panel; listeners "
            "are numbered; thin line: the own start."
        )
        alt = f"Learning curves of every listener, {member}, {update}."
        drawing = figure(listener_panels(results.curves, update, member), alt, caption)
        parts.append(f"<h3>{escape(update)}, {escape(member)}</h3>{drawing}")
    return "".join(parts)
