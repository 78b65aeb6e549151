"""Pictures of learning curves. matplotlib comes with the ``plot`` extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dissensus._files import replace_file
from dissensus.errors import MissingDependencyError
from dissensus.evaluation.curves import COMMITTEE, Columns, Curves, curves_of
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.protocol import Protocol
from dissensus.strategies.strategy import strategy_named

__all__ = ["learning_curves"]


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise MissingDependencyError("matplotlib is missing; install dissensus[plot]") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def line_of(strategy: str) -> dict[str, Any]:
    """How a strategy is drawn: arguments of matplotlib's ``plot``."""
    known = strategy_named(strategy)
    line, marker, colour = known.style.line, known.style.marker, known.style.colour
    width = {"markersize": 3.5, "linewidth": 1.2}
    return {"linestyle": line, "marker": marker, "color": colour, **width, "label": known.label}


def _mean_curve(curves: Curves, update: str, member: str, strategy: str) -> Any:
    """Answers given, mean over listeners and the ends of its interval; rounds that every curve has."""
    at = curves.pick(update=update, member=member, strategy=strategy)
    length = min(len(curves.score[i]) for i in at)
    points = []
    for r in range(length):
        value = np.zeros(len(curves.listener))
        value[at] = [curves.score[i][r] for i in at]
        interval = bootstrap_interval(curves.by_listener(value, at), n_boot=1000)
        points.append((curves.n_labels[at[0]][r], interval.mean, interval.low, interval.high))
    return np.array(points, dtype=np.float64).T


def learning_curves(columns: Columns, protocol: Protocol, out: Path, *, score: str = "f1_weighted") -> list[Path]:
    """Draw the learning curves: a panel an update (row) and member (column), a line a strategy.

    Readable in black and white: strategies differ by line and marker, the band is the interval over listeners of
    the first strategy, the thin line the start.

    Parameters
    ----------
    columns : mapping of str to ndarray
        The tidy table of scores.
    protocol : Protocol
        That made it; named in the title.
    out : Path
        File name without suffix; ``.png`` and ``.svg`` are written.
    score : str
        Column to draw.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    curves = curves_of(columns, score)
    members = [m for m in (*protocol.kinds, COMMITTEE) if m in set(curves.member.tolist())]
    updates = [u for u in protocol.updates if u in set(curves.update.tolist())]
    strategies = [s for s in protocol.strategies if s in set(curves.strategy.tolist())]
    size = (2.9 * len(members) + 0.6, 2.6 * len(updates) + 0.9)
    figure, axes = plt.subplots(len(updates), len(members), figsize=size, sharex=True, sharey=True, squeeze=False)
    for i, update in enumerate(updates):
        for j, member in enumerate(members):
            axis = axes[i][j]
            for k, strategy in enumerate(strategies):
                n, mean, low, high = _mean_curve(curves, update, member, strategy)
                axis.plot(n, mean, **line_of(strategy))
                if k == 0:
                    axis.fill_between(n, low, high, color="0.88", linewidth=0, zorder=0)
                    axis.axhline(mean[0], color="0.7", linewidth=0.6, zorder=0)
            axis.set_title(f"{member}, {update}", fontsize=9)
            axis.tick_params(labelsize=7)
            if i == len(updates) - 1:
                axis.set_xlabel("answers", fontsize=8)
            if j == 0:
                axis.set_ylabel(score.replace("_", " "), fontsize=8)
    axes[0][0].legend(fontsize=7, frameon=False)
    listeners = len(np.unique(curves.listener))
    label = " (paper)" if protocol.is_paper else ""
    figure.suptitle(f"{listeners} listeners, protocol {protocol.name}{label}; band: 95 % over listeners", fontsize=9)
    figure.tight_layout()
    paths = [out.with_suffix(".png"), out.with_suffix(".svg")]
    with plt.rc_context({"svg.hashsalt": "dissensus"}):
        replace_file(paths[0], lambda beside: figure.savefig(beside, format="png", dpi=150))
        replace_file(paths[1], lambda beside: figure.savefig(beside, format="svg", metadata={"Date": None}))
    plt.close(figure)
    return paths
