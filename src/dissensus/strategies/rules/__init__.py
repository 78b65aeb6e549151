"""The strategies that come with the package, one file per idea; a new one is a file and a line here."""

from dissensus.strategies.rules.human import HUMAN
from dissensus.strategies.rules.hybrid import HYBRID, HYBRID_STACKED
from dissensus.strategies.rules.machine import MACHINE
from dissensus.strategies.rules.random import RANDOM, RANDOM_BALANCED

__all__ = ["STRATEGIES"]

#: In the order of tables and legends.
STRATEGIES = (
    MACHINE,
    HUMAN,
    HYBRID,
    HYBRID_STACKED,
    RANDOM,
    RANDOM_BALANCED,
)
