"""A listener's correction of boosted trees: small trees grown from the pre-trained margins."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dissensus.committee.members.margins import same_windows
from dissensus.committee.members.small_trees import Bins, grow

if TYPE_CHECKING:
    from dissensus.committee.members.boosted import BoostedTrees
    from dissensus.committee.rehearsal import Rehearsal

__all__ = ["Taken", "binned", "corrected"]

#: Windows of a track ``(n, n_features)``, their bins in the rehearsal's cuts, and margins ``(n_members, n, n_outputs)``.
Taken = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]


def corrected(
    members: Sequence[BoostedTrees],
    taken: Sequence[Taken],
    y: NDArray[np.int64],
    weight: NDArray[np.float64],
    rehearsal: Rehearsal | None,
    n0: float,
) -> list[BoostedTrees]:
    """Copies of the members that have learnt the windows that were taken in, and nothing else."""
    new = [copy.copy(member) for member in members]
    for member in new:
        member.correction_ = None
    if not taken:
        return new
    first = members[0]
    rows, index = (np.concatenate([track[i] for track in taken]) for i in (0, 1))
    margins = np.concatenate([track[2] for track in taken], axis=1)
    answers = np.zeros((len(rows), first._n_outputs))
    answers[np.arange(len(rows)), y] = 1.0
    start, target = list(margins.astype(np.float64)), [answers] * len(new)
    if rehearsal is None:
        bins = Bins.of(rows, first.rehearse_bins)
        index = bins.index(rows)
    else:
        bins, known_index = binned(rehearsal, first.rehearse_bins)
        index = np.concatenate([known_index, index])
        weight = np.concatenate([rehearsal.weight(len(first.classes_), n0), weight])
        known, odds = _known(rehearsal, members)
        start = [np.concatenate(pair) for pair in zip(known, start, strict=True)]
        target = [np.concatenate([mine, answers]) for mine in odds]
    for member, margin, wanted in zip(new, start, target, strict=True):
        member.correction_ = grow(
            bins,
            index,
            wanted,
            weight,
            margin,
            n_trees=member.rehearse_rounds,
            depth=member.rehearse_depth,
            settings=(member.rehearse_rate, member.reg_lambda, member.min_child_weight),
            seed=member.seed_,
        )
    return new


def _known(
    rehearsal: Rehearsal, members: Sequence[BoostedTrees]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Margins and probabilities of the rehearsal windows; the same members are asked once."""
    source = [trees for member in members for trees in (member.booster_, *member.continued_)]
    kept = rehearsal.kept.get("boosted")
    if kept is None or len(kept[0]) != len(source) or any(a is not b for a, b in zip(kept[0], source, strict=True)):
        with same_windows(rehearsal.X):
            margins = [member._base(rehearsal.X) for member in members]
        odds = [np.asarray(softmax(margin, axis=1), dtype=np.float64) for margin in margins]
        kept = rehearsal.kept["boosted"] = (source, [margin.astype(np.float64) for margin in margins], odds)
    return kept[1], kept[2]


def binned(rehearsal: Rehearsal, max_bin: int) -> tuple[Bins, NDArray[np.uint8]]:
    """Bins of a rehearsal buffer, and its windows in them."""
    if ("bins", max_bin) not in rehearsal.kept:
        bins = Bins.of(rehearsal.X, max_bin)
        rehearsal.kept["bins", max_bin] = bins, bins.index(rehearsal.X)
    held: tuple[Bins, NDArray[np.uint8]] = rehearsal.kept["bins", max_bin]
    return held
