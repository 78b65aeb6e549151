"""How a committee learns from one listener: replay (ours, the default) and incremental (the published baseline).

Both are pure: they return a new committee and leave the one they were given as it is.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.committee._rows import encode
from dissensus.committee._tracks import track_runs
from dissensus.committee.committee import Committee
from dissensus.committee.rehearsal import thin
from dissensus.errors import ParameterError

__all__ = ["UPDATES", "personalise"]

UPDATES = ("replay", "incremental")

#: Windows of a track in the published set-up (30 s in windows of 1 s that overlap by half). An incremental update gives a track
#: of fewer windows this weight: with less, boosting finds no leaf heavy enough and the update would silently do nothing.
PUBLISHED_WINDOWS = 60

#: Windows of an answered track that a replay looks at (evenly spaced; naive Bayes takes all). Neighbours overlap by half.
REPLAY_WINDOWS = 16


def personalise(
    committee: Committee,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    update: str = "replay",
    n0: float = 100.0,
    n_new: int | None = None,
    random_state: int = 0,
) -> Committee:
    """Teach a committee what one listener answered.

    ``"replay"`` refits every member from the pre-trained state that the committee carries, on all answers so far and on what
    it must not forget. The result is a function of the set of answers: their order does not matter, and leaving one out is
    the same, bit for bit, as never having had it. Each answered track weighs 1 in total, pre-training weighs ``n0``.

    ``"incremental"`` is the published procedure: every member continues on the new batch alone (``partial_fit``; 100 more
    rounds of boosting, at most ``BoostedTrees.max_rounds`` in all). A window weighs 1, windows of a track with fewer than 60
    weigh 60 together. It forgets, depends on order, and is here for comparison.

    Parameters
    ----------
    committee : Committee
        Pre-trained, cold, or personalised before.
    X : (n_windows, n_features) array_like of float
        Raw windows of the answered tracks.
    y : (n_windows,) array_like
        The listener's label of each window's track.
    groups : (n_windows,) array_like, optional
        Track of each window. Default: every window is a track.
    update : {"replay", "incremental"}
    n0 : float
        Weight of everything known before, in answered tracks. Ignored by members that were never pre-trained.
    n_new : int, optional
        Incremental: how many tracks, counted from the last one, are new. Default: all.
    random_state : int
        Incremental: seed of the order in which the windows of the batch are visited.

    Returns
    -------
    Committee

    Raises
    ------
    LabelError
        A label is not one of the committee's classes.
    FeatureMismatchError
        Another number of features.
    ParameterError
        Anything else that does not fit.
    """
    if update not in UPDATES:
        raise ParameterError(f"update={update!r}; choose {' or '.join(map(repr, UPDATES))}")
    if not n0 > 0:
        raise ParameterError(f"n0={n0!r}: the weight of what was known before must be positive")
    scaled = committee.scale(X)
    labels = np.asarray(y)
    if labels.shape != (len(scaled),):
        raise ParameterError(f"y must label each of the {len(scaled)} windows; got shape {labels.shape}")
    index = encode(labels, committee.classes_)
    order, start = track_runs(groups, len(scaled))
    if order is not None:
        scaled, index = scaled[order], index[order]
    tracks = list(zip(start[:-1].tolist(), start[1:].tolist(), strict=True))
    for a, b in tracks:
        if (index[a:b] != index[a]).any():
            raise ParameterError(
                "the windows of one track carry different labels; a listener gives one answer per track"
            )
    if update == "incremental":
        return _incremental(committee, scaled, index, tracks[-n_new:] if n_new else tracks, random_state)
    return _replay(committee, scaled, index, tracks, n0)


def _replay(
    committee: Committee, X: NDArray[np.float32], y: NDArray[np.int64], tracks: list[tuple[int, int]], n0: float
) -> Committee:
    """Answers are put in an order that only their contents decide, so that sums come out the same whatever came first."""
    base = committee.base
    tracks = sorted(tracks, key=lambda run: (int(y[run[0]]), run[1] - run[0], X[run[0] : run[1]].tobytes()))
    first, end = np.array(tracks, dtype=np.int64).reshape(-1, 2).T
    start = np.concatenate([[0], np.cumsum(end - first)])
    rows = np.repeat(first - start[:-1], end - first) + np.arange(start[-1])
    weight = np.repeat(1.0 / (end - first), end - first)
    X, y = X[rows], y[rows]
    every = {"X": X, "y": y, "weight": weight, "rehearsal": base.rehearsal, "n0": n0}

    @cache
    def few() -> dict[str, Any]:
        chosen, share = thin(weight, start, REPLAY_WINDOWS) if tracks else (rows, weight)
        return every | {"X": X[chosen], "y": y[chosen], "weight": share}

    members = list(base.members)
    for kind in dict.fromkeys(type(member) for member in members):
        where = [i for i, member in enumerate(members) if type(member) is kind]
        answers = every if getattr(kind, "rehearses_every_window", False) else few()
        if hasattr(kind, "rehearse_together"):
            taught = kind.rehearse_together([members[i] for i in where], **answers)
        elif hasattr(kind, "rehearse"):
            taught = [members[i].rehearse(**answers) for i in where]
        else:
            continue
        for i, member in zip(where, taught, strict=True):
            members[i] = member
    return base.with_members(members)


def _incremental(
    committee: Committee, X: NDArray[np.float32], y: NDArray[np.int64], tracks: list[tuple[int, int]], seed: int
) -> Committee:
    """Each member continues from where it is, on the windows of the new tracks."""
    if not tracks:
        return committee
    rows = np.concatenate([np.arange(a, b) for a, b in tracks])
    weight = np.concatenate([np.full(b - a, max(1.0, PUBLISHED_WINDOWS / (b - a))) for a, b in tracks])
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    rows, weight = rows[shuffled], weight[shuffled]
    labels = committee.classes_[y[rows]]
    return committee.with_members([_continue(member, X[rows], labels, weight) for member in committee.members])


def _continue(member: Any, X: NDArray[np.float32], y: NDArray[Any], weight: NDArray[np.float64]) -> Any:
    if not hasattr(member, "partial_fit"):
        return member
    return copy.deepcopy(member).partial_fit(X, y, sample_weight=weight)
