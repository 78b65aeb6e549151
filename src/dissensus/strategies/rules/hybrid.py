"""Hybrid consensus: the committee and other people, as one distribution or as two lists."""

from __future__ import annotations

import numpy as np

from dissensus.strategies.balanced import Ranking
from dissensus.strategies.strategy import LineStyle, Opinions, Strategy, by_entropy

__all__ = ["HYBRID", "HYBRID_STACKED"]


def _mean(opinions: Opinions) -> list[Ranking]:
    assert opinions.machine is not None
    assert opinions.human is not None
    return [by_entropy(((opinions.machine + opinions.human) / 2).astype(np.float32))]


def _stacked(opinions: Opinions) -> list[Ranking]:
    assert opinions.machine is not None
    assert opinions.human is not None
    crowd = by_entropy(opinions.human)
    if opinions.n_raters is not None:  # the crowd at large is no row about this track
        rated = opinions.n_raters > 0
        lead = crowd.leader
        crowd = Ranking(np.where(rated, crowd.utility, np.float32(np.nan)), np.where(rated, lead, -1))
    return [by_entropy(opinions.machine), crowd]


HYBRID = Strategy(
    name="mix",
    aliases=("hybrid",),
    label="hybrid",
    description="hybrid: both",
    needs=frozenset({"machine", "human"}),
    rank=_mean,
    why="hybrid consensus {utility:.2f} nats",
    style=LineStyle("-.", "^", "0.45"),
    paper_order=1,
)

HYBRID_STACKED = Strategy(
    name="mix-stack",
    label="hybrid, stacked",
    description="hybrid, as published: the two lists ranked as one",
    needs=frozenset({"machine", "human"}),
    rank=_stacked,
    why="hybrid consensus {utility:.2f} nats",
    style=LineStyle((0, (5, 1, 1, 1)), "v", "0.5"),
    reported_as="mix",
)
