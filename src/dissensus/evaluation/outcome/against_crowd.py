"""Members of an evaluation against the crowd without the listener: is what was learnt better than what others said?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.evaluation.curves import Columns, curves_of
from dissensus.evaluation.intervals import area_under_curve, bootstrap_interval
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.scores import COMMITTEE, SCORES
from dissensus.evaluation.text_table import aligned

__all__ = ["against_crowd", "format_against_crowd"]

Floats = NDArray[np.float64]


def _opponent(member: str, protocol: Protocol) -> str:
    """Whose start is the crowd that a member is held against; a personal model starts as its crowd."""
    new = member.endswith("-new")
    order = ("crowd-new", "residual-new") if new else ("crowd", "residual", "crowd-new", "residual-new")
    return next(kind for kind in order if kind in protocol.listener_kinds)


def _differences(columns: Columns, protocol: Protocol, update: str, member: str) -> dict[str, tuple[Floats, Floats]]:
    """By score: last round, and area under the curve, less the crowd; one value per listener, mean over all curves."""
    out = {}
    for score in SCORES:
        curves = curves_of(columns, score)
        mine = curves.pick(update=update, member=member)
        theirs = curves.pick(update=update, member=_opponent(member, protocol))
        if not len(mine) or not len(theirs):
            return {}
        end = np.array([curve[-1] for curve in curves.score])
        start = np.array([curve[0] for curve in curves.score])
        area = np.array([area_under_curve(n, s) for n, s in zip(curves.n_labels, curves.score, strict=True)])
        crowd = curves.by_listener(start, theirs)
        out[score] = (curves.by_listener(end, mine) - crowd, curves.by_listener(area, mine) - crowd)
    return out


def _interval(values: Floats) -> dict[str, float]:
    found = bootstrap_interval(values)
    return {"mean": found.mean, "low": found.low, "high": found.high}


def against_crowd(protocol: Protocol, scores: Columns, permuted: Columns, drawn: Columns) -> dict[str, Any]:
    """Every member less the crowd without the listener, paired by listener, with both nulls.

    Parameters
    ----------
    protocol : Protocol
        That made the tables.
    scores, permuted, drawn : mapping of str to ndarray
        Tidy tables: own answers, the same permuted (may be empty), answers drawn from the crowd's probabilities by
        listeners who have nothing personal (may be empty).

    Returns
    -------
    dict
        For JSON, to be joined to a summary. ``against_crowd``: one entry an update and member, mean over strategies, with
        intervals over listeners of the difference in each score at the last round (``f1_weighted``, …) and over the whole
        curve (``aulc_…``), the share of listeners with a better likelihood, and the difference in ``nll`` under permuted
        (``permuted_nll``) and drawn answers (``drawn_nll``). Empty without a member of the listener model.
    """
    if not protocol.listener_kinds:
        return {}
    rows: list[dict[str, Any]] = []
    members = [*protocol.classic_kinds, *([COMMITTEE] * bool(protocol.classic_kinds)), *protocol.listener_kinds]
    for update in protocol.learned_updates:
        for member in members:
            opponent = _opponent(member, protocol)
            if member.startswith("crowd") and member == opponent:
                continue
            found = _differences(scores, protocol, update, member)
            row: dict[str, Any] = {"update": update, "member": member, "against": opponent}
            for score, (end, area) in found.items():
                row[score], row[f"aulc_{score}"] = _interval(end), _interval(area)
            row["share_better_nll"] = float((found["nll"][0] < 0).mean())
            for name, table, learnt in (("permuted_nll", permuted, update), ("drawn_nll", drawn, "replay")):
                null = _differences(table, protocol, learnt, member) if table else {}
                if null:
                    row[name] = _interval(null["nll"][0])
            rows.append(row)
    return {"against_crowd": rows}


def _text(interval: dict[str, float] | None) -> str:
    if interval is None:
        return ""
    return f"{interval['mean']:+.3f} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def format_against_crowd(summary: dict[str, Any]) -> str:
    """The comparison as text; empty where the listener model took no part."""
    rows = summary.get("against_crowd", [])
    if not rows:
        return ""
    table = [
        ["update", "member", "weighted F1", "macro F1", "accuracy", "NLL", "NLL better", "NLL, permuted", "NLL, drawn"]
    ]
    for row in rows:
        cells = [row["update"], row["member"], *(_text(row[score]) for score in SCORES)]
        cells += [f"{row['share_better_nll']:.0%}", _text(row.get("permuted_nll")), _text(row.get("drawn_nll"))]
        table.append(cells)
    said = (
        "Less the crowd without the listener, last round, mean over strategies, paired by listener. NLL: lower is better. "
        "Drawn: answers drawn from the crowd's probabilities, nothing personal in them.\n"
        "crowd and residual hear what others said of the held-out tracks, never the listener; -new and the committee do not."
    )
    return "\n".join([said, "", *aligned(table)])
