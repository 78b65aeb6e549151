"""Human consensus: the tracks that other people disagree on."""

from __future__ import annotations

from dissensus.strategies.balanced import Ranking
from dissensus.strategies.strategy import LineStyle, Opinions, Strategy, by_entropy

__all__ = ["HUMAN"]


def _rank(opinions: Opinions) -> list[Ranking]:
    assert opinions.human is not None
    return [by_entropy(opinions.human)]


HUMAN = Strategy(
    name="hc",
    aliases=("human",),
    label="human",
    description="human consensus: the tracks other people disagree on",
    needs=frozenset({"human"}),
    rank=_rank,
    why="human consensus {utility:.2f} nats",
    style=LineStyle("--", "s", "0.3"),
    unrated_last=True,  # the crowd at large is no disagreement about a track
    paper_order=0,
)
