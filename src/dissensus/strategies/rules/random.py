"""Random tracks: the control, and the control that is as balanced over the classes as the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dissensus.strategies.balanced import Ranking, strict_argmax
from dissensus.strategies.strategy import CONTROL, LineStyle, Opinions, Strategy

__all__ = ["RANDOM", "RANDOM_BALANCED"]


def _rank(opinions: Opinions) -> list[Ranking]:
    by = opinions.machine if opinions.machine is not None else opinions.human
    assert by is not None
    return [Ranking(np.zeros(len(by), dtype=np.float32), lambda: strict_argmax(by))]


RANDOM = Strategy(
    name=CONTROL,
    aliases=("random",),
    label="random",
    description="random tracks",
    needs=frozenset(),
    rank=_rank,
    why="drawn at random",
    style=LineStyle(":", "x", "0.55"),
    ranked=False,
    balance=False,
    paper_order=3,
)

RANDOM_BALANCED = replace(
    RANDOM,
    name="rand-balanced",
    aliases=(),
    label="random, balanced",
    description="random tracks, as many of each predicted class",
    style=LineStyle((0, (3, 1, 1, 1, 1, 1)), "+", "0.2"),
    balance=True,
    paper_order=None,
)
