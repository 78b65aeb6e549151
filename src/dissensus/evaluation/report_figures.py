"""Pictures of the report: every listener by themselves, and bars of effective personalisation with their null."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dissensus.evaluation.figures import STYLES, _pyplot
from dissensus.evaluation.personalised import EffectivePersonalisation
from dissensus.evaluation.table import Curves

__all__ = ["listener_panels", "personalisation_bars"]


def _svg(plt: Any, figure: Any) -> str:
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "dissensus"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def listener_panels(curves: Curves, update: str, member: str, score: str) -> str:
    """Learning curves of every listener, a small panel each, mean over repeats; an SVG element.

    Parameters
    ----------
    curves : Curves
    update, member : str
        Which curves.
    score : str
        Named at the axis.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    at = curves.pick(update=update, member=member)
    listeners = np.unique(curves.listener[at]).tolist()
    strategies = [s for s in STYLES if s in set(curves.strategy[at].tolist())]
    n_columns = min(7, len(listeners))
    n_rows = math.ceil(len(listeners) / n_columns)
    size = (1.45 * n_columns + 0.4, 1.25 * n_rows + 0.7)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for k, axis in enumerate(axes.flat):
        if k >= len(listeners):
            axis.set_visible(False)
            continue
        for strategy in strategies:
            mine = [i for i in at if curves.listener[i] == listeners[k] and curves.strategy[i] == strategy]
            if not mine:
                continue
            length = min(len(curves.score[i]) for i in mine)
            mean = np.mean([curves.score[i][:length] for i in mine], axis=0)
            line, _, grey, name = STYLES[strategy]
            axis.plot(curves.n_labels[mine[0]][:length], mean, linestyle=line, color=grey, linewidth=1.0, label=name)
            axis.axhline(mean[0], color="0.75", linewidth=0.5, zorder=0)
        axis.set_title(f"{k + 1}", fontsize=7, pad=2)
        axis.tick_params(labelsize=6)
    axes[0][0].legend(fontsize=5, frameon=False)
    figure.supxlabel("answers", fontsize=8)
    figure.supylabel(score.replace("_", " "), fontsize=8)
    figure.tight_layout()
    return _svg(plt, figure)


def personalisation_bars(rows: Sequence[EffectivePersonalisation]) -> str:
    """Shares of personalised listeners by the published slope and by our criteria, the null as a mark; an SVG element.

    Parameters
    ----------
    rows : sequence of EffectivePersonalisation
        Of one update.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(max(5.0, 0.55 * len(rows) + 2.0), 3.2))
    x = np.arange(len(rows))
    bars = (
        ("published slope", "0.85", "", [r.published / r.n_listeners for r in rows], [r.null_published for r in rows]),
        (
            "end above start",
            "0.55",
            "",
            [r.above_start / r.n_listeners for r in rows],
            [r.null_above_start for r in rows],
        ),
        ("surely above start", "0.15", "", [r.surely_above / r.n_listeners for r in rows], [math.nan] * len(rows)),
    )
    for k, (name, grey, hatch, share, null) in enumerate(bars):
        place = x + 0.27 * (k - 1)
        axis.bar(place, share, width=0.25, color=grey, hatch=hatch, edgecolor="0.1", linewidth=0.5, label=name)
        if not all(math.isnan(value) for value in null):
            label = "the same under permuted answers" if k == 0 else None
            axis.plot(
                place, null, linestyle="none", marker="_", markersize=11, color="0.0", markeredgewidth=2, label=label
            )
    axis.set_xticks(x, [f"{r.member}\n{r.strategy}" for r in rows], fontsize=7)
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("share of listeners", fontsize=8)
    axis.tick_params(axis="y", labelsize=7)
    axis.legend(fontsize=7, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.14))
    figure.tight_layout()
    return _svg(plt, figure)
