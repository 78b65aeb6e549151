"""Which tracks to ask about: disagreement, the four strategies, and taking the best.

Everything here works on probabilities, never on models, so that other models can use it.
"""

from dissensus.strategies.disagreement import (
    Top,
    consensus_entropy,
    margin,
    mean_kl,
    mutual_information,
    query_top,
    vote_entropy,
)
from dissensus.strategies.select import select_top

__all__ = [
    "Top",
    "consensus_entropy",
    "margin",
    "mean_kl",
    "mutual_information",
    "query_top",
    "select_top",
    "vote_entropy",
]
