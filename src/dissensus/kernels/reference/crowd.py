"""Reference twins of the passes over everybody's ratings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _owner(start: NDArray[Any]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def gather_sums(start: NDArray[Any], who: NDArray[Any], effect: NDArray[Any], out: NDArray[Any]) -> None:
    """``out[t]`` becomes the sum of ``effect[who]`` over the ratings of track ``t``."""
    out[:] = 0.0
    np.add.at(out, _owner(start), effect[who])


def scatter_sums(start: NDArray[Any], who: NDArray[Any], value: NDArray[Any], out: NDArray[Any]) -> None:
    """``out[who] += value[t]`` for every rating of track ``t``."""
    np.add.at(out, who, value[_owner(start)])


def couple_raters(
    start: NDArray[Any],
    who: NDArray[Any],
    weight: NDArray[Any],
    effect: NDArray[Any],
    scratch: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """``out[who] -= weight[t] * (sum of effect over the raters of t)`` for every rating of track ``t``, in one pass."""
    sums = np.zeros((len(start) - 1, effect.shape[1]))
    gather_sums(start, who, effect, sums)
    scatter_sums(start, who, -weight[:, None] * sums, out)


def corated_sums(
    start: NDArray[Any],
    person: NDArray[Any],
    mine: NDArray[Any],
    begin: NDArray[Any],
    other: NDArray[Any],
    label: NDArray[Any],
    own: NDArray[Any],
    proba: NDArray[Any],
    sums: NDArray[Any],
    common: NDArray[Any],
) -> None:
    """Add the products of residuals over common raters to ``sums[k]``, and their number to ``common[k]``."""
    classes = np.eye(own.shape[1])
    for k in range(len(start) - 1):
        for p, said in zip(person[start[k] : start[k + 1]], mine[start[k] : start[k + 1]], strict=True):
            some = slice(begin[p], begin[p + 1])
            here = classes[said] - own[k]
            np.add.at(sums[k], other[some], (classes[label[some]] - proba[other[some]]) @ here)
            np.add.at(common[k], other[some], 1)
