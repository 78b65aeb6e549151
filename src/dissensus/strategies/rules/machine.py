"""Machine consensus: the tracks that the committee is least sure about."""

from __future__ import annotations

from dissensus.strategies.balanced import Ranking
from dissensus.strategies.strategy import LineStyle, Opinions, Strategy, by_entropy

__all__ = ["MACHINE"]


def _rank(opinions: Opinions) -> list[Ranking]:
    assert opinions.machine is not None
    return [by_entropy(opinions.machine)]


MACHINE = Strategy(
    name="mc",
    aliases=("machine",),
    label="machine",
    description="machine consensus: the tracks the committee is least sure about",
    needs=frozenset({"machine"}),
    rank=_rank,
    why="machine consensus {utility:.2f} nats",
    style=LineStyle("-", "o", "0.0"),
    paper_order=2,
)
