"""Pictures of the report. Greyscale: told apart by line, marker and position, readable in print and in the dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.agreement.groups import GroupAgreement
from dissensus.evaluation.curves import Curves
from dissensus.evaluation.outcome.personalised import EffectivePersonalisation, share_interval
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.report.learning_curves import _mean_curve, _pyplot, line_of
from dissensus.evaluation.report.markup import svg
from dissensus.strategies.strategy import CONTROL, registered_strategies, strategy_named

__all__ = [
    "agreement_bars",
    "curve_panels",
    "gain_dots",
    "listener_panels",
    "personalisation_bars",
    "plane_panels",
    "strategy_curves",
]

_UPDATE_STYLE: Final = {"replay": ("-", "0.0", "0.80"), "incremental": ("--", "0.35", "0.90")}


def _strategies() -> list[str]:
    return [known.name for known in registered_strategies()]


def _in(order: Sequence[str], there: NDArray[Any]) -> list[str]:
    found = set(there.tolist())
    return [name for name in order if name in found] + sorted(found - set(order))


def members_of(results: Results) -> list[str]:
    """Members in the order of the protocol, the whole committee last."""
    return _in((*results.protocol.kinds, "committee"), results.curves.member)


def curve_panels(results: Results) -> str:
    """Learning curves with intervals over listeners: a row per member, a column per strategy, the null dotted; an SVG element.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    curves = results.curves
    null = results.null_curves
    members, strategies = members_of(results), _in(results.protocol.strategies, curves.strategy)
    updates = _in(results.protocol.updates, curves.update)
    size = (2.35 * len(strategies) + 0.7, 1.75 * len(members) + 0.9)
    drawn, axes = plt.subplots(len(members), len(strategies), figsize=size, sharex=True, sharey=True, squeeze=False)
    for i, member in enumerate(members):
        for j, strategy in enumerate(strategies):
            axis = axes[i][j]
            for update in updates:
                if not len(curves.pick(update=update, member=member, strategy=strategy)):
                    continue
                line, grey, band = _UPDATE_STYLE.get(update, ("-.", "0.5", "0.93"))
                n, mean, low, high = _mean_curve(curves, update, member, strategy)
                axis.fill_between(n, low, high, color=band, linewidth=0, zorder=0)
                axis.plot(n, mean, linestyle=line, color=grey, linewidth=1.3, label=update)
                axis.axhline(mean[0], color="0.6", linewidth=0.5, zorder=1)
                if null is not None and len(null.pick(update=update, member=member, strategy=strategy)):
                    n, permuted, _, _ = _mean_curve(null, update, member, strategy)
                    shifted = permuted - permuted[0] + mean[0]  # fewer splits: another start
                    axis.plot(n, shifted, linestyle=":", color=grey, linewidth=0.9, label=f"{update}, permuted")
            axis.set_title(f"{member}, {strategy_named(strategy).label}", fontsize=8, pad=3)
            axis.tick_params(labelsize=7)
    axes[0][0].legend(fontsize=6, frameon=False, handlelength=1.8, loc="best")
    drawn.supxlabel("answers", fontsize=8)
    drawn.supylabel("weighted F1", fontsize=8)
    drawn.tight_layout()
    return svg(plt, drawn)


def strategy_curves(results: Results, member: str) -> str:
    """All strategies of one member in one panel an update, with the interval of random as a band; an SVG element."""
    plt = _pyplot()
    curves = results.curves
    updates, strategies = (
        _in(o, v)
        for o, v in (
            (results.protocol.updates, curves.update),
            (_strategies(), curves.strategy),
        )
    )
    size = (3.6 * len(updates) + 0.6, 2.9)
    drawn, axes = plt.subplots(1, len(updates), figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis, update in zip(axes[0], updates, strict=True):
        for strategy in [s for s in strategies if len(curves.pick(update=update, member=member, strategy=s))]:
            n, mean, low, high = _mean_curve(curves, update, member, strategy)
            axis.plot(n, mean, **line_of(strategy))
            if strategy == CONTROL:
                axis.fill_between(n, low, high, color="0.9", linewidth=0, zorder=0)
            axis.axhline(mean[0], color="0.6", linewidth=0.5, zorder=0)
        axis.set_title(f"{member}, {update}", fontsize=9)
        axis.set_xlabel("answers", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0][0].set_ylabel("weighted F1", fontsize=8)
    axes[0][0].legend(fontsize=7, frameon=False)
    drawn.tight_layout()
    return svg(plt, drawn)


def gain_dots(several: Sequence[Results]) -> str:
    """Gain of every member with its interval, that under permuted answers beside: a panel a data set and protocol.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    height = max(len([r for r in one.summary["rows"] if r["strategy"] == "all"]) for one in several)
    size = (3.3 * len(several) + 1.4, 0.34 * height + 1.2)
    drawn, axes = plt.subplots(1, len(several), figsize=size, sharex=True, squeeze=False)
    for axis, one in zip(axes[0], several, strict=True):
        rows = [row for row in one.summary["rows"] if row["strategy"] == "all"]
        for k, row in enumerate(rows):
            for shift, name, face, label in (
                (-0.14, "gain", "0.0", "true answers"),
                (0.14, "null_gain", "1.0", "permuted"),
            ):
                found = row.get(name)
                if found is None:
                    continue
                axis.plot([found["low"], found["high"]], [k + shift] * 2, color="0.3", linewidth=1.1)
                axis.plot(
                    found["mean"], k + shift, "o", markersize=5, markerfacecolor=face, markeredgecolor="0.1",
                    linestyle="none", label=label if k == 0 else None,
                )  # fmt: skip
        axis.axvline(0.0, color="0.5", linewidth=0.6, zorder=0)
        axis.set_yticks(range(len(rows)), [f"{row['member']}, {row['update']}" for row in rows], fontsize=7)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        label = " (paper)" if one.is_paper else ""
        axis.set_title(f"{one.dataset}, {len(one.listeners)} listeners\n{one.protocol.name}{label}", fontsize=8)
        axis.set_xlabel("gain in weighted F1", fontsize=8)
        axis.tick_params(axis="x", labelsize=7)
    handles, labels = axes[0][0].get_legend_handles_labels()
    drawn.legend(handles, labels, fontsize=7, frameon=False, ncols=2, loc="upper center")
    drawn.tight_layout(rect=(0, 0, 1, 0.95))
    return svg(plt, drawn)


def listener_panels(curves: Curves, update: str, member: str) -> str:
    """Learning curves of every listener, a small panel each, mean over repeats; an SVG element.

    Parameters
    ----------
    curves : Curves
    update, member : str
        Which curves.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    at = curves.pick(update=update, member=member)
    people = np.unique(curves.who[at]).tolist()
    strategies = _in(_strategies(), curves.strategy[at])
    n_columns = min(8, len(people))
    n_rows = math.ceil(len(people) / n_columns)
    means = {
        (k, strategy): (curves.n_labels[mine[0]][:length], np.mean([curves.score[i][:length] for i in mine], axis=0))
        for k, who in enumerate(people)
        for strategy in strategies
        if len(mine := at[(curves.who[at] == who) & (curves.strategy[at] == strategy)])
        for length in [min(len(curves.score[i]) for i in mine)]
    }
    low, high = (f(f(mean) for _, mean in means.values()) for f in (min, max))
    last = max(int(n[-1]) for n, _ in means.values())
    # one pair of axes for all panels: forty pairs take forty times as long
    drawn, axis = plt.subplots(figsize=(1.3 * n_columns + 0.4, 1.1 * n_rows + 0.5))
    wide, tall = 1.15, 1.35
    for k in range(len(people)):
        x, y = wide * (k % n_columns), -tall * (k // n_columns)
        axis.plot([x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], color="0.6", linewidth=0.5)
        axis.text(x + 0.5, y + 1.04, f"{k + 1}", fontsize=7, ha="center", va="bottom")
        if k % n_columns == 0:
            for place, value in ((y, low), (y + 1, high)):
                axis.text(x - 0.04, place, f"{value:.2f}", fontsize=6, ha="right", va="center")
        if k + n_columns >= len(people):
            for place, value in ((x, 0), (x + 1, last)):
                axis.text(place, y - 0.05, f"{value}", fontsize=6, ha="center", va="top")
        for strategy in strategies:
            if (k, strategy) not in means:
                continue
            n, mean = means[k, strategy]
            line, grey, name = (line_of(strategy)[part] for part in ("linestyle", "color", "label"))
            height = y + (mean - low) / max(high - low, 1e-9)
            axis.plot(
                x + n / max(last, 1), height, linestyle=line, color=grey, linewidth=0.9, label=name if k == 0 else None
            )
            axis.plot([x, x + 1], [height[0]] * 2, color="0.75", linewidth=0.5, zorder=0)
    axis.set_axis_off()
    axis.set_xlim(-0.35, wide * n_columns)
    axis.set_ylim(-tall * (n_rows - 1) - 0.25, 1.3)
    drawn.legend(fontsize=7, frameon=False, ncols=len(strategies), loc="upper center")
    drawn.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.3 / drawn.get_figheight())
    return svg(plt, drawn)


def personalisation_bars(rows: Sequence[EffectivePersonalisation]) -> str:
    """Shares of personalised listeners by each criterion with Wilson's intervals, the null as a mark; an SVG element.

    Parameters
    ----------
    rows : sequence of EffectivePersonalisation

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    drawn, axis = plt.subplots(figsize=(max(5.0, 0.95 * len(rows) + 1.2), 3.1))
    x = np.arange(len(rows))
    bars = (
        ("published slope", "0.85", [r.published for r in rows], [r.null_published for r in rows]),
        ("ends above start", "0.55", [r.above_start for r in rows], [r.null_above_start for r in rows]),
        ("surely above start", "0.15", [r.surely_above for r in rows], [r.null_surely_above for r in rows]),
    )
    for k, (name, grey, count, null) in enumerate(bars):
        place = x + 0.27 * (k - 1)
        share = np.array([c / r.n_listeners for c, r in zip(count, rows, strict=True)])
        ends = np.array([share_interval(c, r.n_listeners) for c, r in zip(count, rows, strict=True)]).reshape(-1, 2)
        axis.bar(place, share, width=0.25, color=grey, edgecolor="0.1", linewidth=0.5, label=name)
        spread = np.abs(ends.T - share)
        axis.errorbar(place, share, yerr=spread, fmt="none", ecolor="0.4", elinewidth=0.8, capsize=1.5)
        if not all(math.isnan(value) for value in null):
            label = "the same, answers permuted" if k == 0 else None
            axis.plot(
                place, null, linestyle="none", marker="D", markersize=4.5, markerfacecolor="1.0", markeredgecolor="0.0",
                markeredgewidth=1.2, label=label,
            )  # fmt: skip
    axis.set_xticks(x, [f"{r.member}\n{r.update}" for r in rows], fontsize=7)
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("share of listeners", fontsize=8)
    axis.tick_params(axis="y", labelsize=7)
    axis.legend(fontsize=7, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    drawn.tight_layout()
    return svg(plt, drawn)


def plane_panels(place: NDArray[np.float64], asked: Mapping[str, NDArray[np.float64]], n_answers: int) -> str:
    """Where the tracks lie on the plane and which were asked about, a panel a strategy; an SVG element.

    Parameters
    ----------
    place : (n_tracks, 2) ndarray of float64
        Valence and arousal.
    asked : mapping of str to (n_tracks,) ndarray of float64
        By strategy: how often a track was among the first questions, of the listeners who rated it; NaN where nobody did.
    n_answers : int
        How many questions these are; for the title.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    drawn, axes = plt.subplots(
        1, len(asked), figsize=(2.5 * len(asked) + 0.6, 2.9), sharex=True, sharey=True, squeeze=False
    )
    for axis, (strategy, share) in zip(axes[0], asked.items(), strict=True):
        rated = np.isfinite(share)
        axis.scatter(*place[rated].T, s=3, color="0.75", linewidths=0)
        often = rated & (share > 0)
        axis.scatter(*place[often].T, s=34 * share[often], facecolor="0.1", alpha=0.45, linewidths=0)
        axis.axhline(0, color="0.6", linewidth=0.5)
        axis.axvline(0, color="0.6", linewidth=0.5)
        axis.set_title(strategy_named(strategy).label, fontsize=9)
        axis.set_xlabel("valence", fontsize=8)
        axis.locator_params(nbins=4)
        axis.tick_params(labelsize=6)
    for (x, y), name in zip(
        ((0.98, 0.98), (0.02, 0.98), (0.02, 0.02), (0.98, 0.02)), ("Q1", "Q2", "Q3", "Q4"), strict=True
    ):
        sides = {"ha": "right" if x > 0.5 else "left", "va": "top" if y > 0.5 else "bottom"}
        for axis in axes[0]:
            axis.text(x, y, name, transform=axis.transAxes, fontsize=7, color="0.3", **sides)
    axes[0][0].set_ylabel("arousal", fontsize=8)
    drawn.suptitle(f"first {n_answers} questions; larger: asked of more of those who rated the track", fontsize=8)
    drawn.tight_layout()
    return svg(plt, drawn)


def agreement_bars(found: Sequence[GroupAgreement]) -> str:
    """Krippendorff's alpha of every group with its interval, random groups of the same size beside; an SVG element.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    columns = list(dict.fromkeys(one.column for one in found))
    groups = list(dict.fromkeys(one.group for one in found))
    by = {(one.group, one.column): one for one in found}
    size = (2.2 * len(columns) + 1.6, 0.36 * len(groups) + 1.2)
    drawn, axes = plt.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False)
    for axis, column in zip(axes[0], columns, strict=True):
        for k, group in enumerate(groups):
            one = by.get((group, column))
            if one is None or math.isnan(one.alpha):
                continue
            low, high = one.random_range
            if not math.isnan(low):
                axis.plot([low, high], [k + 0.22] * 2, color="0.7", linewidth=4, solid_capstyle="butt")
            if one.interval is not None:
                axis.plot([one.interval.low, one.interval.high], [k - 0.08] * 2, color="0.2", linewidth=1.1)
            axis.plot(one.alpha, k - 0.08, "o", markersize=4.5, color="0.0")
        axis.set_title(column, fontsize=9)
        axis.axvline(0, color="0.6", linewidth=0.5)
        axis.set_xlabel("alpha", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0][0].set_yticks(range(len(groups)), groups, fontsize=7)
    axes[0][0].set_ylim(len(groups) - 0.4, -0.6)
    drawn.tight_layout()
    return svg(plt, drawn)
