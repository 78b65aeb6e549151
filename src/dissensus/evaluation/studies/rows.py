"""The listener study as a table of figures beside their bars, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._files import write_text
from dissensus.evaluation.intervals import Interval, area_under_curve, bootstrap_interval, compare_paired
from dissensus.evaluation.studies.asking import AskingCurves
from dissensus.evaluation.studies.listener import RULES, SCORE_NAMES, ListenerScores
from dissensus.personalisation.listener.calibration import calibration_curve
from dissensus.strategies.strategy import CONTROL

__all__ = ["Row", "asking_rows", "calibration_rows", "study_rows", "write_report"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    what: str
    value: str
    bar: str = ""
    reached: bool | None = None

    def line(self) -> str:
        """Markdown."""
        mark = "" if self.reached is None else ("yes" if self.reached else "**no**")
        return f"| {self.what} | {self.value} | {self.bar} | {mark} |"


def _best_rule(scores: ListenerScores, condition: str, score: str) -> str:
    """The rule under which a condition does best: the harder opponent."""
    return max(RULES, key=lambda rule: scores.column(condition, f"{score}|{rule}").mean())


def _difference(scores: ListenerScores, a: str, b: str, score: str, other: str | None = None) -> Floats:
    return scores.column(a, score) - scores.column(b, score if other is None else other)


def _show(interval: Interval, values: Floats, *, lower_is_better: bool = False) -> str:
    better = (values < 0).mean() if lower_is_better else (values > 0).mean()
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}], better for {100 * better:.0f} %"


def study_rows(scores: ListenerScores, *, bars: str = "trompa", few: int = 10) -> list[Row]:
    """Figures of the study and, for a data set that has them, the bars.

    Parameters
    ----------
    scores : ListenerScores
        From :func:`~dissensus.evaluation.studies.listener.run_listener_study`.
    bars : {"trompa", "soundtracks", ""}
        Whose bars stand beside the figures.
    few : int
        Answers of the early look.
    """
    rows: list[Row] = []
    trompa, sound = bars == "trompa", bars == "soundtracks"
    rows.append(Row("listeners", str(len(scores.listeners))))
    rows += _prior_rows(
        scores,
        "prior",
        "crowd prior, no own label",
        (0.520, 0.562, 1.04) if trompa else (None, 0.72 if sound else None, None),
    )
    if "fresh prior" in scores.table:
        rows += _prior_rows(
            scores,
            "fresh prior",
            "the same, nobody rated the test track",
            (0.425, 0.460, None) if trompa else (None, None, None),
        )
    if "past prior" in scores.table:
        label = "the same, only votes cast before the listener's first"
        rows += _prior_rows(scores, "past prior", label, (None, None, None))
    for name, label in (
        ("personal", "personal"),
        ("geometric", "geometric mean of two models"),
        ("residual", "residual Gaussian process"),
    ):
        headline = name == "personal"
        nll = _difference(scores, name, "prior", "nll")
        found = bootstrap_interval(nll)
        ok: bool | None = None
        bar = ""
        if headline and trompa:
            bar, ok = (
                "≤ −.040, upper < −.02, ≥ 75 %",
                found.mean <= -0.040 and found.high < -0.02 and (nll < 0).mean() >= 0.75,
            )
        elif headline and sound:
            bar, ok = "≤ −.030", found.mean <= -0.030
        rows.append(Row(f"{label} − prior, NLL", _show(found, nll, lower_is_better=True), bar, ok))
        for score, limit in (("accuracy", 0.005), ("f1_macro", -0.015), ("f1_weighted", None)):
            for rule in ("crowd", "own"):
                gain = _difference(scores, name, "prior", f"{score}|{rule}")
                found = bootstrap_interval(gain)
                bar, ok = "", None
                if headline and trompa and limit is not None:
                    bar = "≥ +.005, lower > −.015" if score == "accuracy" else "lower > −.015"
                    ok = found.low > -0.015 and (score != "accuracy" or found.mean >= limit)
                rows.append(Row(f"{label} − prior, {score}, rule {rule}", _show(found, gain), bar, ok))
            strongest = _best_rule(scores, "prior", score)
            gain = _difference(scores, name, "prior", f"{score}|own", f"{score}|{strongest}")
            rows.append(
                Row(
                    f"{label} (rule own) − prior (its best rule: {strongest}), {score}",
                    _show(bootstrap_interval(gain), gain),
                )
            )
    rows += _null_rows(scores, few=few, trompa=trompa)
    return rows


def _prior_rows(
    scores: ListenerScores, condition: str, label: str, bars: tuple[float | None, float | None, float | None]
) -> list[Row]:
    rows = []
    for score, bar in zip(("f1_macro", "accuracy"), bars[:2], strict=True):
        for rule in RULES:
            mean = float(scores.column(condition, f"{score}|{rule}").mean())
            wanted = bar is not None and rule == "crowd"
            rows.append(
                Row(
                    f"{label}, {score}, rule {rule}",
                    f"{mean:.4f}",
                    f"≥ {bar:.3f}" if wanted else "",
                    mean >= bar if wanted and bar else None,
                )
            )
    nll = float(scores.column(condition, "nll").mean())
    limit = bars[2]
    rows.append(
        Row(
            f"{label}, NLL",
            f"{nll:.4f}",
            "" if limit is None else f"≤ {limit:.2f}",
            None if limit is None else nll <= limit,
        )
    )
    return rows


def _null_rows(scores: ListenerScores, *, few: int, trompa: bool) -> list[Row]:
    rows = []
    pairs: list[tuple[str, str, str, str, Callable[[Interval], bool | None]]] = [
        ("personal", "recalibrated", "personal − prior recalibrated on the others, NLL", "", lambda f: None),
        ("personal@few", "prior", f"personal with {few} answers − prior, NLL", "upper < 0", lambda f: f.high < 0),
        ("permuted", "prior", "answers permuted − prior, NLL", "must hurt", lambda f: f.low > 0),
        (
            "null personal",
            "null prior",
            "nothing personal (simulated) − prior, NLL",
            "≤ +.012",
            lambda f: f.mean <= 0.012,
        ),
    ]
    if "fresh personal" in scores.table:
        pairs.append(
            ("fresh personal", "fresh prior", "personal − prior, nobody rated the test track, NLL", "", lambda f: None)
        )
    if "past personal" in scores.table:
        label = "personal − prior, only votes cast before the listener's first, NLL"
        pairs.append(("past personal", "past prior", label, "", lambda f: None))
    for a, b, label, bar, test in pairs:
        values = _difference(scores, a, b, "nll")
        found = bootstrap_interval(values)
        ok = test(found)
        shown = bar if ok is not None and (trompa or "ull" in a or a == "permuted") else ""
        rows.append(Row(label, _show(found, values, lower_is_better=True), shown, ok if shown else None))
    for a, b in (("fresh personal", "fresh prior"), ("past personal", "past prior"), ("null personal", "null prior")):
        if a in scores.table:
            for score in ("accuracy", "f1_macro"):
                gain = _difference(scores, a, b, f"{score}|own")
                rows.append(Row(f"{a} − {b}, {score}, rule own", _show(bootstrap_interval(gain), gain)))
    return rows


def calibration_rows(scores: ListenerScores, *, sparse: int = 5) -> list[Row]:
    """Expected calibration error on well and sparsely rated tracks, over the first repeat of all listeners."""
    rows = []
    for condition, parts in scores.held_out.items():
        proba, label, raters = (np.concatenate([part[i] for part in parts]) for i in range(3))
        for name, mask in ((f"> {sparse} raters", raters > sparse), (f"≤ {sparse} raters", raters <= sparse)):
            if mask.any():
                curve = calibration_curve(proba[mask], label[mask])
                sure = float(proba[mask].max(axis=1).mean())
                right = float((proba[mask].argmax(axis=1) == label[mask]).mean())
                value = (
                    f"{curve.error:.3f} (confidence {sure:.3f}, accuracy {right:.3f}, {int(mask.sum())} predictions)"
                )
                rows.append(Row(f"calibration error, {condition}, tracks with {name}", value))
    return rows


def asking_rows(curves: AskingCurves, *, against: str = CONTROL, bars: bool = True) -> list[Row]:
    """Area under the curve of each strategy against random: accuracy, macro F1 (rule own) and NLL."""
    rows = []
    for score in ("accuracy|own", "accuracy|crowd", "f1_macro|own", "nll"):
        areas = {name: area_under_curve(curves.n_answers, curves.column(name, score)) for name in curves.curve}
        for pair in compare_paired(areas, against=against):
            values = areas[pair.a] - areas[against]
            wanted = bars and score == "accuracy|own" and pair.a == "mc-bal"
            shown = _show(pair.difference, values, lower_is_better=score == "nll") + f", Holm p {pair.p_holm:.3f}"
            rows.append(
                Row(
                    f"AULC {score}, {pair.a} − {against}",
                    shown,
                    "lower > −.005" if wanted else "",
                    pair.difference.low > -0.005 if wanted else None,
                )
            )
    return rows


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def write_report(
    out: Path,
    title: str,
    rows: list[Row],
    scores: ListenerScores | None,
    curves: AskingCurves | None,
    about: dict[str, Any],
) -> str:
    """Write ``table.md`` and ``scores.json`` (means by condition, no listener's values) to ``out``; returns the table."""
    lines = [f"# {title}", "", *(f"{key}: {value}  " for key, value in about.items()), ""]
    lines += ["| what | figure [95 % interval over listeners] | bar | reached |", "|---|---|---|---|"]
    text = "\n".join([*lines, *(row.line() for row in rows)]) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "table.md", text)
    content: dict[str, Any] = {"about": about, "rows": [asdict(row) for row in rows]}
    if scores is not None:
        content["means"] = {
            name: dict(zip(SCORE_NAMES, table.mean(axis=0).round(5).tolist(), strict=True))
            for name, table in scores.table.items()
        }
    if curves is not None:
        content["curves"] = {
            name: {s: curve[:, :, i].mean(axis=0).round(5).tolist() for i, s in enumerate(SCORE_NAMES)}
            for name, curve in curves.curve.items()
        }
        content["n_answers"] = curves.n_answers.tolist()
    write_text(out / "scores.json", json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n")
    return text
