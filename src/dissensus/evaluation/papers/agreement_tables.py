"""The published tables of agreement, recomputed: each cell with its interval and with random groups of the same size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from dissensus.agreement.groups import GroupAgreement, GroupSpec, RatingTable, group_agreement
from dissensus.datasets._types import Annotations, Dataset
from dissensus.datasets.ismir2020 import EMOTIONS, LANGUAGES
from dissensus.errors import ParameterError
from dissensus.evaluation.papers.printed import TABLE_1_ORDER, TROMPA_2022_COUNTS
from dissensus.evaluation.text_table import aligned

__all__ = [
    "TABLE_1_GROUPS",
    "TABLE_1_ORDER",
    "format_agreement",
    "ismir2020_table_1",
    "ismir2020_table_2",
    "rating_table",
    "trompa_counts",
    "trompa_table",
]

#: Name, column and middle of the groups of ISMIR 2020: items by their neutral answer, people by population means.
TABLE_1_GROUPS: Final[Mapping[str, tuple[str, float]]] = {
    "preference": ("preference", 3.0),
    "familiarity": ("familiarity", 3.0),
    "understanding": ("understanding", 3.0),
    "musical training": ("musical_training", 26.52),
    "emotions": ("emotional_engagement", 34.66),
    "general sophistication": ("musical_sophistication", 81.58),
}


def rating_table(dataset: Dataset, *, label: str = "quadrant") -> RatingTable:
    """The annotations of a data set as a table of ratings.

    Parameters
    ----------
    dataset : Dataset
    label : str
        What the class is called.

    Returns
    -------
    RatingTable
        The newest judgement of each listener and track, with the columns of ``annotations.extra``, the class and
        ``n_tracks``, how many tracks the listener judged.
    """
    newest = dataset.annotations.newest()
    _, who = np.unique(newest.listener_id, return_inverse=True)
    columns = dict(newest.extra)
    columns["n_tracks"] = np.bincount(who.reshape(-1))[who.reshape(-1)]
    if (newest.label >= 0).any():
        columns[label] = np.where(newest.label >= 0, newest.label.astype(np.float64), math.nan)
    return RatingTable(newest.listener_id, newest.track_id, columns)


def ismir2020_table_1(
    dataset: Dataset, *, strict: bool = False, n_draws: int = 0, n_random: int = 0, random_state: int = 0
) -> list[GroupAgreement]:
    """Table 1 of ISMIR 2020: ordinal alpha of thirteen groups on the 20 clips with lyrics, eleven emotions each.

    Parameters
    ----------
    dataset : Dataset
        Of :func:`dissensus.datasets.ismir2020.load`.
    strict : bool
        False, as published: the neutral 3s are in both groups of an item. True: in neither.
    n_draws, n_random, random_state
        As in :func:`dissensus.agreement.groups.group_agreement`.

    Returns
    -------
    list of GroupAgreement
        Groups as printed, and in each the emotions in the order of :data:`TABLE_1_ORDER`.
    """
    lyrics = np.asarray(dataset.track_table["lyrics"])
    table = rating_table(dataset)
    table = table.subset(lyrics[dataset.pool.index_of(table.unit)])
    out = group_agreement(table, TABLE_1_ORDER, level="ordinal", n_draws=n_draws, random_state=random_state)
    for name, (column, middle) in TABLE_1_GROUPS.items():
        for sign, op in (("+", ">"), ("-", "<")):
            out += group_agreement(
                table,
                TABLE_1_ORDER,
                GroupSpec(column, op, middle, strict=strict),
                level="ordinal",
                name=f"{name} {sign}",
                n_draws=n_draws,
                n_random=n_random,
                random_state=random_state,
            )
    return out


def ismir2020_table_2(
    dataset: Dataset, *, n_draws: int = 0, n_random: int = 0, random_state: int = 0
) -> list[GroupAgreement]:
    """Table 2 of ISMIR 2020: ordinal alpha of the four languages and of everybody, 22 clips, eleven emotions each."""
    table = rating_table(dataset)
    out: list[GroupAgreement] = []
    for language in LANGUAGES:
        out += group_agreement(
            table,
            EMOTIONS,
            GroupSpec("language", "==", language),
            level="ordinal",
            name=language,
            n_draws=n_draws,
            n_random=n_random,
            random_state=random_state,
        )
    return out + group_agreement(table, EMOTIONS, level="ordinal", n_draws=n_draws, random_state=random_state)


def trompa_table(
    dataset: Dataset,
    groups: Sequence[GroupSpec] = (GroupSpec("n_tracks", ">", 80, strict=False),),
    *,
    n_draws: int = 0,
    n_random: int = 0,
    random_state: int = 0,
) -> list[GroupAgreement]:
    """Nominal alpha of quadrant, arousal, valence and mood word, of everybody and of groups; repeats collapsed."""
    table, rated = rating_table(dataset), ("quadrant", "arousal", "valence", "mood")
    out = group_agreement(table, rated, level="nominal", n_draws=n_draws, random_state=random_state)
    for spec in groups:
        out += group_agreement(
            table, rated, spec, level="nominal", n_draws=n_draws, n_random=n_random, random_state=random_state
        )
    return out


def trompa_counts(annotations: Annotations) -> str:
    """How many annotations, listeners and tracks there are, beside those of the published snapshot of 2022.

    Parameters
    ----------
    annotations : Annotations
        With repeats: ``trompa.load(folder, repeats="keep").annotations``.
    """
    ours = {
        "annotations": len(annotations),
        "listeners": len(annotations.listeners()),
        "tracks annotated": len(np.unique(annotations.track_id)),
        **{name: int((annotations.label == i).sum()) for i, name in enumerate(annotations.classes)},
    }
    once = annotations.newest()
    rows = [["", "here", "published"], *([k, str(n), str(TROMPA_2022_COUNTS[k])] for k, n in ours.items())]
    rows.append(["the newest of every listener and track", str(len(once)), ""])
    for least in (20, 50, 80, 100):
        rows.append([f"listeners with {least} tracks or more", str(len(once.listeners(min_tracks=least))), ""])
    return "\n".join(aligned(rows))


def signed(difference: float) -> str:
    """Three decimals with their sign; nothing for NaN, and no sign for what rounds to zero."""
    return "" if math.isnan(difference) else f"{difference:+.3f}".replace("-0.000", "0.000").replace("+0.000", "0.000")


def _cell(found: GroupAgreement) -> list[str]:
    value = "no variation" if math.isnan(found.alpha) else f"{found.alpha:.3f}".replace("-0.000", "0.000")
    span = "" if found.interval is None else f"[{found.interval.low:.3f}, {found.interval.high:.3f}]"
    low, high = found.random_range
    by_chance = "" if not found.random else f"{found.random_mean:.3f} [{low:.3f}, {high:.3f}]"
    return [value, span, by_chance, f"{found.p_random:.3f}" if found.random else ""]


def format_agreement(
    rows: Sequence[GroupAgreement],
    *,
    beside: Sequence[GroupAgreement] = (),
    beside_name: str = "strict",
    published: Mapping[tuple[str, str], float] | None = None,
) -> str:
    """Agreement as text: a block a group, a line a column.

    Parameters
    ----------
    rows : sequence of GroupAgreement
    beside : sequence of GroupAgreement
        The same groups and columns by another rule, printed beside.
    beside_name : str
        Name of that rule.
    published : mapping of (str, str) to float, optional
        Printed values by group and column, put before ours with the difference; from
        :mod:`dissensus.evaluation.papers.printed`.

    Raises
    ------
    ParameterError
        The two do not have the same groups and columns.
    """
    if beside and [(r.group, r.column) for r in rows] != [(r.group, r.column) for r in beside]:
        raise ParameterError("the two tables do not have the same groups and columns")
    intervals, random = any(r.interval for r in rows), any(r.random for r in (*rows, *beside))
    by_chance = ["random groups of that size", "p"] if random else []
    head = ["group", "", *(["published"] if published else []), "alpha", *(["difference"] if published else [])]
    head += [*(["95 % over units"] if intervals else []), *by_chance]
    head += [f"alpha, {beside_name}", *by_chance] if beside else []
    lines = [head]
    last = ""
    for i, found in enumerate(rows):
        value, span, *control = _cell(found)
        title = "" if found.group == last else f"{found.group} ({found.n_ratings} x {found.n_raters} people)"
        last = found.group
        line = [title, found.column, value]
        if published:
            printed = published.get((found.group, found.column), math.nan)
            text = "" if math.isnan(printed) else f"{printed:.3f}"
            line = [title, found.column, text, value, signed(round(found.alpha, 3) - printed)]
        line += [*([span] if intervals else []), *(control if random else [])]
        if beside:
            other = _cell(beside[i])
            line += [other[0], *(other[2:] if random else [])]
        lines.append(line)
    return "\n".join(aligned(lines))
