"""What the report says in words: every sentence follows from the numbers of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dissensus.committee.members import KINDS
from dissensus.evaluation.outcome.for_whom import Third
from dissensus.evaluation.outcome.paired_tests import PairedTests
from dissensus.evaluation.outcome.personalised import ALL, EffectivePersonalisation
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.outcome.summary import interval_text
from dissensus.evaluation.report.personalised_table import group_counts, headline_member, most_misleading
from dissensus.strategies.rules.human import HUMAN
from dissensus.strategies.strategy import CONTROL

__all__ = [
    "asked",
    "gain_sentences",
    "human_sentence",
    "in_short",
    "limits",
    "member_words",
    "row_of",
    "settled",
    "who_sentence",
    "whom_sentence",
]

UPDATE: Final = {
    "replay": "refitted from the pre-trained state on all answers so far and a memory of what it learnt before",
    "incremental": "trained further on the newest answers alone",
}
_BESIDE: Final = {
    "committee": "the mean of all classifiers",
    "crowd": "what other people said of a track, no committee",
    "residual": "the listener model: the crowd and what is personal on top",
    "crowd-new": "the crowd, where nobody's votes on the held-out tracks may be used",
    "residual-new": "the listener model on that crowd",
}


def member_words() -> dict[str, str]:
    """What each member of an evaluation is, by its name."""
    return {name: kind.DESCRIPTION for name, kind in KINDS.items()} | _BESIDE


def row_of(results: Results, update: str, member: str, strategy: str = ALL) -> dict[str, Any] | None:
    """The row of the summary; None where there is none."""
    key = (update, member, strategy)
    return next((r for r in results.summary["rows"] if (r["update"], r["member"], r["strategy"]) == key), None)


def asked(results: Results) -> str:
    """What was done, in two or three sentences."""
    summary, protocol = results.summary, results.protocol
    null, n = summary.get("n_null_repeats", 0), summary["n_repeats"]
    told = (
        f"{null} of the splits were run once more with the listener's answers permuted among the tracks: what is gained "
        "then is no taste, and every gain below stands beside it."
        if null
        else "No run with permuted answers was made, so how much of a gain is no more than a habit of answering stays open."
    )
    return (
        f"{summary['n_listeners']} listeners of {results.dataset}. A committee that had met none of them chose, for each "
        f"listener, {protocol.queries} tracks to ask about, {protocol.rounds} times over, and learnt from the answers. It "
        f"was scored on {protocol.test_share:.0%} of the listener's tracks that it never saw, in {n} random "
        f"split{'s' * (n != 1)} of each listener. {told}"
    )


def _sign(interval: dict[str, float]) -> int:
    return int(interval["low"] > 0) - int(interval["high"] < 0)


_MOVES: Final = {1: "is surely better", 0: "is not surely better or worse", -1: "is surely worse"}


def _worth(gain: int, over_null: int) -> str:
    if over_null == 0:
        return "That the true answers are worth more than that is not sure"
    if over_null < 0:
        return "The true answers are worth less than that"
    return "The listener's true answers " + ("do surely less harm" if gain < 0 else "are surely worth more than that")


def gain_sentences(results: Results) -> list[str]:
    """Gain of the headline member for each update, beside the null."""
    member, said = headline_member(results), []
    n_answers = results.protocol.rounds * results.protocol.queries
    for update in results.protocol.updates:
        row = row_of(results, update, member)
        if row is None:
            continue
        text = (
            f"Learning by {update}, the {member} {_MOVES[_sign(row['gain'])]} after {n_answers} answers than before the first: "
            f"weighted F1 {row['start']['mean']:.3f} to {row['end']['mean']:.3f} ({interval_text(row['gain'])})."
        )
        if row.get("gain_over_null"):
            verdict = _worth(_sign(row["gain"]), _sign(row["gain_over_null"]))
            text += (
                f" The same answers shuffled among the tracks, which is no taste, move it by {interval_text(row['null_gain'])}. "
                f"{verdict} (true less shuffled, same splits: {interval_text(row['gain_over_null'])})."
            )
        said.append(text)
    return said


def member_sentence(results: Results) -> str:
    """Which members gain surely, and surely more than under permuted answers; by the first update."""
    update = results.protocol.updates[0]
    rows = [row for row in results.summary["rows"] if (row["update"], row["strategy"]) == (update, ALL)]
    if not any("gain_over_null" in row for row in rows):
        return ""
    sure = [r for r in rows if _sign(r["gain"]) > 0 and _sign(r["gain_over_null"]) > 0]
    named = "; ".join(
        f"{r['member']}, {interval_text(r['gain'])}, true less shuffled {interval_text(r['gain_over_null'])}"
        for r in sure
    )
    rest = [r["member"] for r in rows if r not in sure]
    if not sure:
        return f"By {update} no member surely gains, and surely more than with the answers shuffled."
    return f"By {update} these surely gain, and surely more than with the answers shuffled: {named}." + (
        f" Not so {', '.join(rest)}." if rest else ""
    )


def who_sentence(results: Results, rows: Sequence[EffectivePersonalisation]) -> str:
    """How many listeners gain, by the strictest and by the published criterion."""
    member, update = headline_member(results), results.protocol.updates[0]
    row = next((r for r in rows if (r.update, r.member, r.strategy) == (update, member, ALL)), None)
    if row is None:
        return ""
    counts = group_counts(results, update)["interval"]
    text = (
        f"By {update} ({member}) {row.above_start} of {row.n_listeners} listeners end above their own start; "
        f"surely so {counts['gains']}, surely below {counts['loses']}, undecided {counts['undecided']}"
    )
    if results.summary["n_repeats"] == 1:
        text += " (one split per listener decides nobody)"
    worst = most_misleading(rows)
    return (
        f"{text}. The published criterion misleads most for {worst.member} ({worst.update}): it calls {worst.published} of "
        f"{worst.n_listeners} personalised, while {worst.above_start} end above their start."
    )


def settled(thirds: Sequence[Third]) -> int:
    """1 where the lowest third surely gains more than the highest, −1 the other way round, 0 where it is open."""
    low, high = thirds[0].gain, thirds[-1].gain
    return int(low.low > high.high) - int(low.high < high.low)


def whom_sentence(thirds: Sequence[Third], what: str, member: str, update: str) -> str:
    """Where the gain is, by thirds of listeners."""
    low, high = thirds[0], thirds[-1]
    verdict = {
        1: f"it helps listeners with a low {what}",
        0: f"whether it helps listeners with a low or a high {what} is not settled",
        -1: f"it helps listeners with a high {what}",
    }[settled(thirds)]
    return (
        f"By {update} ({member}) {verdict}: the lowest third ({low.by:.2f}) gains {low.gain}, the highest ({high.by:.2f}) "
        f"{high.gain}."
    )


def human_sentence(by_update: dict[str, Sequence[PairedTests]], *, is_paper: bool) -> str:
    """Whether human consensus beats random questions."""
    above: list[str] = []
    below: list[str] = []
    n = 0
    for update, tests in by_update.items():
        for test in tests:
            if {test.a, test.b} != {HUMAN.name, CONTROL}:
                continue
            n += 1
            d = test.difference.mean * (1 if test.a == HUMAN.name else -1)
            if test.holm_wilcoxon < 0.05:
                (above if d > 0 else below).append(f"{test.member} ({update}, {d:+.3f})")
    if not n:
        return ""
    closed = "With its known leaks left open" if is_paper else "With the listener's own vote left out of the crowd"
    verdict = "beats random questions for " + ", ".join(above) if above else "does not beat random questions"
    if below:
        verdict += "; it is worse than random for " + ", ".join(below)
    rest = n - len(above) - len(below)
    return f"{closed}, human consensus {verdict}; undecided in {rest} of {n} comparisons (Holm)."


def in_short(
    results: Results, rows: Sequence[EffectivePersonalisation], whom: Sequence[tuple[str, bool]], human: str
) -> list[tuple[str, str]]:
    """The head of the page: a question and its answer.

    Parameters
    ----------
    results : Results
    rows : sequence of EffectivePersonalisation
    whom : sequence of (str, bool)
        Sentences about for whom it helps, and whether each is settled.
    human : str
        From :func:`human_sentence`.
    """
    said = [("Does it learn the listener?" if i == 0 else "", text) for i, text in enumerate(gain_sentences(results))]
    said.insert(1, ("", member_sentence(results)))
    said.append(("Who gains?", who_sentence(results, rows)))
    said.append(("Better than the crowd?", crowd_sentence(results)))
    settled_ones = [text for text, sure in whom if sure]
    said += [("For whom?" if i == 0 else "", t) for i, t in enumerate(settled_ones or [text for text, _ in whom[:1]])]
    said.append(("Does it pay to ask where people disagree?", human))
    return [(question, text) for question, text in said if text]


def crowd_sentence(results: Results) -> str:
    """Whether the listener model is better than what others said; empty where it took no part."""
    rows = results.summary.get("against_crowd", [])
    row = next((r for r in rows if r["member"] in ("residual", "residual-new")), None)
    if row is None:
        return ""
    better = {1: "are surely better", 0: "are not surely better", -1: "are surely worse"}[-_sign(row["nll"])]
    text = (
        f"Beside what other people said of the same tracks, the listener model's probabilities {better}: negative "
        f"log-likelihood {interval_text(row['nll'])} (lower is better, so for {row['share_better_nll']:.0%} of listeners), "
        f"accuracy {interval_text(row['accuracy'])}, weighted F1 {interval_text(row['f1_weighted'])}."
    )
    if "permuted_nll" in row:
        text += f" With shuffled answers the log-likelihood moves by {interval_text(row['permuted_nll'])}."
    if "drawn_nll" in row:
        text += f" For listeners made up without anything personal, by {interval_text(row['drawn_nll'])}."
    return text


def control_sentence(other: Results) -> str:
    """The gain on another data set, in a sentence."""
    found = gain_sentences(other)
    return f"{other.dataset}, {len(other.listeners)} listeners: {found[0]}" if found else ""


def limits(results: Results) -> list[str]:
    """What this does not show."""
    summary = results.summary
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
            "A gain over the own start is not a gain over what other people say about the same tracks; `dissensus evaluate "
            "--members crowd,residual` and `dissensus study-listeners` make that comparison."
        ),
    ]
    if results.null is None:
        said.append(
            "Without runs on permuted answers, part of a gain may be no more than the listener's favourite quadrant."
        )
    elif 0 < summary["n_null_repeats"] < summary["n_repeats"]:
        said.append(
            f"Answers were permuted in {summary['n_null_repeats']} of the {summary['n_repeats']} splits: shares under "
            "permuted answers stand on less than those of the true ones. Where the two are compared, it is on the same splits."
        )
    if summary["n_repeats"] < 10:
        said.append(f"{summary['n_repeats']} split(s) a listener are few; the sound protocol has 20.")
    if "synthetic" in results.dataset:
        said.append("Music and listeners are made up; how differently the listeners hear was chosen.")
    if results.is_paper:
        said.append(
            "This is a published protocol with its faults. Its numbers are for comparison with the paper, not evidence."
        )
    return said
