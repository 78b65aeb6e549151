"""The listener study as a table of figures, and as JSON."""

from __future__ import annotations

import json
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

    def line(self) -> str:
        """Markdown."""
        return f"| {self.what} | {self.value} |"


def _best_rule(scores: ListenerScores, condition: str, score: str) -> str:
    """The rule under which a condition does best: the harder opponent."""
    return max(RULES, key=lambda rule: scores.column(condition, f"{score}|{rule}").mean())


def _difference(scores: ListenerScores, a: str, b: str, score: str, other: str | None = None) -> Floats:
    return scores.column(a, score) - scores.column(b, score if other is None else other)


def _show(interval: Interval, values: Floats, *, lower_is_better: bool = False) -> str:
    better = (values < 0).mean() if lower_is_better else (values > 0).mean()
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}], better for {100 * better:.0f} %"


def study_rows(scores: ListenerScores, *, few: int = 10) -> list[Row]:
    """Figures of the study.

    Parameters
    ----------
    scores : ListenerScores
        From :func:`~dissensus.evaluation.studies.listener.run_listener_study`.
    few : int
        Answers of the early look.
    """
    rows = [Row("listeners", str(len(scores.listeners)))]
    for condition, label in (
        ("prior", "crowd prior, no own label"),
        ("fresh prior", "the same, nobody rated the test track"),
        ("past prior", "the same, only votes cast before the listener's first"),
    ):
        if condition in scores.table:
            rows += _prior_rows(scores, condition, label)
    for name, label in (
        ("personal", "personal"),
        ("geometric", "geometric mean of two models"),
        ("residual", "residual Gaussian process"),
    ):
        nll = _difference(scores, name, "prior", "nll")
        rows.append(Row(f"{label} − prior, NLL", _show(bootstrap_interval(nll), nll, lower_is_better=True)))
        for score in ("accuracy", "f1_macro", "f1_weighted"):
            for rule in ("crowd", "own"):
                gain = _difference(scores, name, "prior", f"{score}|{rule}")
                rows.append(Row(f"{label} − prior, {score}, rule {rule}", _show(bootstrap_interval(gain), gain)))
            strongest = _best_rule(scores, "prior", score)
            gain = _difference(scores, name, "prior", f"{score}|own", f"{score}|{strongest}")
            what = f"{label} (rule own) − prior (its best rule: {strongest}), {score}"
            rows.append(Row(what, _show(bootstrap_interval(gain), gain)))
    return rows + _null_rows(scores, few=few)


def _prior_rows(scores: ListenerScores, condition: str, label: str) -> list[Row]:
    rows = [
        Row(f"{label}, {score}, rule {rule}", f"{float(scores.column(condition, f'{score}|{rule}').mean()):.4f}")
        for score in ("f1_macro", "accuracy")
        for rule in RULES
    ]
    return [*rows, Row(f"{label}, NLL", f"{float(scores.column(condition, 'nll').mean()):.4f}")]


def _null_rows(scores: ListenerScores, *, few: int) -> list[Row]:
    rows = []
    for a, b, label in (
        ("personal", "recalibrated", "personal − prior recalibrated on the others, NLL"),
        ("personal@few", "prior", f"personal with {few} answers − prior, NLL"),
        ("permuted", "prior", "answers permuted − prior, NLL (must hurt)"),
        ("null personal", "null prior", "nothing personal (simulated) − prior, NLL"),
        ("fresh personal", "fresh prior", "personal − prior, nobody rated the test track, NLL"),
        ("past personal", "past prior", "personal − prior, only votes cast before the listener's first, NLL"),
    ):
        if a in scores.table:
            values = _difference(scores, a, b, "nll")
            rows.append(Row(label, _show(bootstrap_interval(values), values, lower_is_better=True)))
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


def asking_rows(curves: AskingCurves, *, against: str = CONTROL) -> list[Row]:
    """Area under the curve of each strategy against random: accuracy, macro F1 (rule own) and NLL."""
    rows = []
    for score in ("accuracy|own", "accuracy|crowd", "f1_macro|own", "nll"):
        areas = {name: area_under_curve(curves.n_answers, curves.column(name, score)) for name in curves.curve}
        for pair in compare_paired(areas, against=against):
            values = areas[pair.a] - areas[against]
            shown = _show(pair.difference, values, lower_is_better=score == "nll") + f", Holm p {pair.p_holm:.3f}"
            rows.append(Row(f"AULC {score}, {pair.a} − {against}", shown))
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
    lines += ["| what | figure [95 % interval over listeners] |", "|---|---|"]
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
