"""Sections of the report that need the data set itself: where the queried tracks lie, how far the listeners agree."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dissensus.agreement.groups import GroupAgreement, GroupSpec, group_agreement
from dissensus.datasets import Dataset
from dissensus.evaluation.outcome.personalised import agreement_of_groups, listener_groups
from dissensus.evaluation.outcome.results import Results
from dissensus.evaluation.papers.agreement_tables import rating_table
from dissensus.evaluation.report.figures import agreement_bars, plane_panels
from dissensus.evaluation.report.markup import details, figure, table
from dissensus.evaluation.report.personalised_table import headline_member

__all__ = ["agreement", "plane"]

_ALL: Final = "everybody"

#: Fewer listeners are no group.
_FEWEST: Final = 4


def _coordinates(dataset: Dataset) -> NDArray[np.float64] | None:
    """Mean valence and arousal of each track over the listeners, drawn a little to the middle where few rated it."""
    extra = dataset.annotations.extra
    arousal = next((extra[name] for name in ("arousal", "energy") if name in extra), None)
    if arousal is None or "valence" not in extra:
        return None
    track = dataset.pool.index_of(dataset.annotations.track_id)
    out = np.full((dataset.pool.n_tracks, 2), np.nan)
    for column, raw in enumerate((extra["valence"], arousal)):
        value = np.asarray(raw, dtype=np.float64)
        known = np.isfinite(value)
        if not known.any():
            return None
        middle = 0.0 if value[known].min() < 0 else (value[known].min() + value[known].max()) / 2
        total = np.bincount(track[known], value[known] - middle, minlength=len(out))
        n = np.bincount(track[known], minlength=len(out))
        out[:, column] = np.where(n > 0, total / (n + 1), np.nan)
    return out


def plane(results: Results, dataset: Dataset, n_rounds: int = 3) -> str:
    """Where on the plane of valence and arousal each strategy asks first; empty where that is not known."""
    queries = results.queries
    place = _coordinates(dataset)
    if queries is None or place is None:
        return ""
    first = (queries["round"] < n_rounds) & (queries["update"] == results.protocol.updates[0])
    named = dataset.annotations.subset(dataset.annotations.label >= 0).newest()
    mine = np.isin(named.listener_id.astype(str), results.listeners)
    rated = np.bincount(dataset.pool.index_of(named.track_id[mine]), minlength=dataset.pool.n_tracks).astype(np.float64)
    known = {str(track): i for i, track in enumerate(dataset.pool.track_ids.tolist())}
    if any(str(track) not in known for track in np.unique(queries["track_id"]).tolist()):
        return ""
    rated[~np.isfinite(place).all(axis=1)] = 0.0
    asked = {}
    for strategy in [s for s in results.protocol.strategies if s in set(queries["strategy"].tolist())]:
        at = first & (queries["strategy"] == strategy)
        index = np.array([known[str(track)] for track in queries["track_id"][at].tolist()], dtype=np.int64)
        count = np.bincount(index, minlength=len(rated)) / results.summary["n_repeats"]
        asked[strategy] = np.divide(count, rated, out=np.full(len(rated), np.nan), where=rated > 0)
    n_answers = n_rounds * results.protocol.queries
    return figure(
        plane_panels(place, asked, n_answers),
        "Tracks on the plane of valence and arousal, marked by how often each strategy asks about them first.",
        "Each dot a track, at the mean of what listeners said (drawn to the middle where few did); dark: asked about.",
    )


def agreement(results: Results, dataset: Dataset, *, n_draws: int = 200, n_random: int = 100) -> str:
    """Krippendorff's alpha of everybody, of the evaluated listeners, and of groups by how well they personalise."""
    ratings = rating_table(dataset)
    columns = [name for name in ("quadrant", "arousal", "valence", "mood") if name in ratings.columns]
    if "condition" in ratings.columns:
        columns = ["quadrant"]

    def of(group: GroupSpec | NDArray[np.bool_] | None, name: str | None) -> list[GroupAgreement]:
        return group_agreement(
            ratings,
            columns,
            group,
            level="nominal",
            name=name,
            n_draws=n_draws,
            n_random=n_random if name != _ALL else 0,
        )

    found = of(None, _ALL)
    mine = np.isin(ratings.rater.astype(str), results.listeners)
    found += of(mine, "evaluated here")
    if "known" in ratings.columns:
        for value in ("True", "False"):
            found += of(GroupSpec.parse(f"known=={value}"), None)
    update, member = results.protocol.updates[0], headline_member(results)
    for rule, name in (("interval", f"{update}: "), ("published", f"{update}, published: ")):
        groups = listener_groups(
            results.curves, update=update, rule=rule, member=member if rule == "interval" else None,
            test_share=results.protocol.test_share,
        )  # fmt: skip
        sizes = {group: list(groups.values()).count(group) for group in groups.values()}
        named = {who: f"{name}{group}" for who, group in groups.items() if sizes[group] >= _FEWEST}
        if named:
            found += agreement_of_groups(ratings, named, columns, level="nominal", n_draws=n_draws, n_random=n_random)
    rows = [
        [
            one.group, one.column, str(one.n_raters), f"{one.alpha:.3f}",
            "" if one.interval is None else f"[{one.interval.low:.3f}, {one.interval.high:.3f}]",
            "" if not one.random else "{:.3f} [{:.3f}, {:.3f}]".format(one.random_mean, *one.random_range),
            "" if not one.random else f"{one.p_random:.3f}",
        ]
        for one in found
    ]  # fmt: skip
    head = ["group", "judgement", "listeners", "alpha", "95 % over tracks", "random groups of that size", "p"]
    drawing = figure(
        agreement_bars(found),
        "Krippendorff's alpha by group with intervals; grey bars: random groups of the same size.",
        "Dot and line: alpha with its 95 % interval over tracks; grey: 95 % of random groups of as many listeners.",
    )
    said = (
        "<p>Krippendorff's alpha, nominal: 1 where listeners always agree, 0 where they agree as by chance. Where people "
        "hardly agree there is something personal to learn, and a crowd is no safe guide. A group of which random ones of "
        "its size agree as much has nothing to do with agreement.</p>"
    )
    return said + drawing + details(f"Table ({len(rows)} rows)", table(head, rows, group=0))
