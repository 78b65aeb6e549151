"""Who was personalised, as a table a person can read: every criterion with its null beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from dissensus.evaluation.curves import COMMITTEE
from dissensus.evaluation.outcome.personalised import (
    ALL,
    EffectivePersonalisation,
    effective_personalisation,
    listener_groups,
    share_interval,
)
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.text_table import aligned

__all__ = [
    "CRITERIA",
    "count_text",
    "format_personalised",
    "group_counts",
    "headline_member",
    "most_misleading",
    "personalised_cells",
    "personalised_head",
    "personalised_rows",
    "personalised_words",
    "share_text",
]

#: What the columns ask, in words.
CRITERIA: Final = (
    "slope >= 0: the published criterion; the curve does not fall after the first answers, the start is left out",
    "ends above start: the last score above the one before any answer",
    "surely above (below): the whole interval of the gain over the splits lies there, and the slope with the start agrees",
    "beyond permuted: gains more than 95 % of listeners whose answers were permuted, on the same splits; 5 % by chance",
    "permuted: the same share under permuted answers; in brackets that of the true answers on the same splits",
    "permuted, surely above: from five permuted splits on",
)

#: Members that hear no answer: never an example of a criterion that misleads.
_STILL: Final = ("crowd", "crowd-new")

_COUNTED: Final = "published: slopes that do not fall, over members and strategies"


def share_text(value: float) -> str:
    """A share in per cent; ``not run`` where there is none."""
    return "not run" if math.isnan(value) else f"{value:.0%}"


def count_text(count: int, n: int) -> str:
    """A share of listeners in per cent with its interval."""
    low, high = share_interval(count, n)
    return f"{count / n:.0%} [{100 * low:.0f}, {100 * high:.0f}]"


def _null(null: float, same: float, otherwise: str = "not run") -> str:
    return otherwise if math.isnan(null) else f"{null:.0%} ({same:.0%})"


def personalised_cells(row: EffectivePersonalisation) -> list[str]:
    """The cells of one row, in the order of :func:`personalised_head`."""
    return [
        row.update,
        row.member,
        row.strategy,
        count_text(row.published, row.n_listeners),
        _null(row.null_published, row.same_published),
        count_text(row.above_start, row.n_listeners),
        _null(row.null_above_start, row.same_above_start),
        count_text(row.surely_above, row.n_listeners),
        _null(row.null_surely_above, row.same_surely_above, "not run" if math.isnan(row.null_published) else "too few"),
        count_text(row.surely_below, row.n_listeners),
        share_text(row.beyond_null),
    ]


def personalised_head() -> list[str]:
    """Names of the columns."""
    return [
        "update", "member", "strategy", "slope >= 0", "permuted", "ends above start", "permuted", "surely above", "permuted",
        "surely below", "beyond permuted",
    ]  # fmt: skip


def headline_member(results: Results) -> str:
    """The whole committee where it is in the table, else the first member."""
    there = results.curves.member.tolist()
    return COMMITTEE if COMMITTEE in there else str(there[0])


def personalised_rows(results: Results) -> list[EffectivePersonalisation]:
    """Every criterion for every update, member and strategy, in the order of the protocol."""
    share = results.protocol.test_share
    rows = effective_personalisation(results.curves, results.null_curves, test_share=share, overall=True)
    protocol = results.protocol
    order = (protocol.updates, (*protocol.kinds, COMMITTEE), (*protocol.strategies, ALL))

    def place(row: EffectivePersonalisation) -> tuple[int, ...]:
        names = (row.update, row.member, row.strategy)
        return tuple(known.index(n) if n in known else len(known) for n, known in zip(names, order, strict=True))

    return sorted(rows, key=place)


def group_counts(results: Results, update: str) -> dict[str, dict[str, int]]:
    """How many listeners are in each group: by the interval of the headline member's gain, and as published."""
    curves, share = results.curves, results.protocol.test_share
    sure = listener_groups(curves, update=update, member=headline_member(results), test_share=share)
    published = listener_groups(curves, update=update, rule="published")
    return {
        "interval": {name: list(sure.values()).count(name) for name in ("gains", "undecided", "loses")},
        "published": {name: list(published.values()).count(name) for name in ("high", "medium", "low", "boundary")},
    }


def most_misleading(rows: Sequence[EffectivePersonalisation]) -> EffectivePersonalisation:
    """The row, over all strategies, whose published criterion calls most personalised who do not end above their start."""
    learned = [row for row in rows if row.strategy == ALL and row.member not in _STILL] or list(rows)
    return max(learned, key=lambda row: row.published - row.above_start)


def personalised_words(results: Results, rows: Sequence[EffectivePersonalisation]) -> list[str]:
    """How far the criteria are apart, an update a sentence, and how many listeners gain."""
    said = []
    for update in dict.fromkeys(row.update for row in rows):
        worst = most_misleading([row for row in rows if row.update == update])
        n = worst.n_listeners
        text = (
            f"{update}: the published slope calls {worst.published} of {n} listeners personalised for {worst.member}, "
            f"{worst.above_start} end above their start, {worst.surely_above} surely"
        )
        if not math.isnan(worst.null_published):
            text += f"; with permuted answers the slope calls {worst.null_published:.0%} personalised"
        said.append(text + ".")
        counts = group_counts(results, update)["interval"]
        said.append(
            f"{update}, {headline_member(results)}: by the interval over the splits {counts['gains']} of {n} listeners gain, "
            f"{counts['loses']} lose, {counts['undecided']} are undecided."
        )
    return said


def format_personalised(results: Results, rows: Sequence[EffectivePersonalisation]) -> str:
    """The table as text, what its columns ask, and the groups of listeners.

    Parameters
    ----------
    results : Results
        Whose listeners they are.
    rows : sequence of EffectivePersonalisation
        From :func:`~dissensus.evaluation.outcome.personalised.effective_personalisation`.
    """
    label = " (paper)" if results.is_paper else ""
    lines = [
        f"Who was personalised: {results.dataset}, {len(results.listeners)} listeners, protocol {results.protocol.name}{label}",
        "",
        *aligned([personalised_head(), *(personalised_cells(row) for row in rows)]),
        "",
        *CRITERIA,
        "",
    ]
    if results.summary["n_repeats"] == 1:
        lines += ["One split per listener: nobody can be surely above or below.", ""]
    for update in dict.fromkeys(row.update for row in rows):
        for rule, counts in group_counts(results, update).items():
            named = ", ".join(f"{name} {n}" for name, n in counts.items())
            what = f"interval of the gain, {headline_member(results)}" if rule == "interval" else _COUNTED
            lines.append(f"Groups, {update} ({what}): {named}")
    return "\n".join([*lines, *personalised_words(results, rows)])
