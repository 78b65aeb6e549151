"""Passes over everybody's ratings, sorted by track: sums over a track's raters, and back to them."""

from __future__ import annotations

from typing import Any

from dissensus.kernels._jit import kernel


@kernel(exact=True)
def gather_sums(start: Any, who: Any, effect: Any, out: Any) -> None:
    """``out[t]`` becomes the sum of ``effect[who]`` over the ratings of track ``t``."""
    n_columns = effect.shape[1]
    for t in range(len(start) - 1):
        for c in range(n_columns):
            out[t, c] = 0.0
        for i in range(start[t], start[t + 1]):
            rater = who[i]
            for c in range(n_columns):
                out[t, c] += effect[rater, c]


@kernel(exact=True)
def scatter_sums(start: Any, who: Any, value: Any, out: Any) -> None:
    """``out[who] += value[t]`` for every rating of track ``t``."""
    n_columns = value.shape[1]
    for t in range(len(start) - 1):
        for i in range(start[t], start[t + 1]):
            rater = who[i]
            for c in range(n_columns):
                out[rater, c] += value[t, c]


@kernel(exact=True)
def couple_raters(start: Any, who: Any, weight: Any, effect: Any, scratch: Any, out: Any) -> None:
    """``out[who] -= weight[t] * (sum of effect over the raters of t)`` for every rating of track ``t``, in one pass.

    ``scratch`` has a place for each column. Four columns, the quadrants, stay in registers.
    """
    n_columns = effect.shape[1]
    if n_columns == 4:
        for t in range(len(start) - 1):
            first, last, share = start[t], start[t + 1], weight[t]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for i in range(first, last):
                rater = who[i]
                a += effect[rater, 0]
                b += effect[rater, 1]
                c += effect[rater, 2]
                d += effect[rater, 3]
            a *= share
            b *= share
            c *= share
            d *= share
            for i in range(first, last):
                rater = who[i]
                out[rater, 0] -= a
                out[rater, 1] -= b
                out[rater, 2] -= c
                out[rater, 3] -= d
        return
    for t in range(len(start) - 1):
        for k in range(n_columns):
            scratch[k] = 0.0
        for i in range(start[t], start[t + 1]):
            rater = who[i]
            for k in range(n_columns):
                scratch[k] += effect[rater, k]
        for k in range(n_columns):
            scratch[k] *= weight[t]
        for i in range(start[t], start[t + 1]):
            rater = who[i]
            for k in range(n_columns):
                out[rater, k] -= scratch[k]


@kernel(exact=True)
def corated_sums(
    start: Any, person: Any, mine: Any, begin: Any, other: Any, label: Any, own: Any, proba: Any, sums: Any, common: Any
) -> None:
    """Add the products of residuals over common raters to ``sums[k]``, and their number to ``common[k]``.

    Row ``k`` is a track with probabilities ``own[k]`` and the raters ``person[start[k]:start[k + 1]]``, who said ``mine``;
    ``other[begin[p]:begin[p + 1]]`` are the tracks (columns of ``sums``) that person ``p`` rated, and ``label`` how.
    """
    n_classes = own.shape[1]
    for k in range(len(start) - 1):
        for i in range(start[k], start[k + 1]):
            said = mine[i]
            for j in range(begin[person[i]], begin[person[i] + 1]):
                track, one = other[j], label[j]
                product = -own[k, one]
                if one == said:
                    product += 1.0
                for c in range(n_classes):
                    product += own[k, c] * proba[track, c]
                product -= proba[track, said]
                sums[k, track] += product
                common[k, track] += 1
