"""Which tracks to ask about: disagreement, the four strategies, and taking the best.

Everything here works on probabilities, never on models, so that other models can use it.
"""

from dissensus.strategies.balanced import Ranking, strict_argmax, tie_keys
from dissensus.strategies.consensus import human_consensus, leave_listener_out, machine_consensus, select
from dissensus.strategies.disagreement import (
    Top,
    consensus_entropy,
    margin,
    mean_kl,
    mutual_information,
    query_top,
    query_votes,
    vote_entropy,
)
from dissensus.strategies.diverse import select_diverse
from dissensus.strategies.selection import Selection
from dissensus.strategies.state import ConsensusState
from dissensus.strategies.strategy import LineStyle, Opinions, Strategy, register_strategy, registered_strategies
from dissensus.strategies.top import select_top

__all__ = [
    "ConsensusState",
    "LineStyle",
    "Opinions",
    "Ranking",
    "Selection",
    "Strategy",
    "Top",
    "consensus_entropy",
    "human_consensus",
    "leave_listener_out",
    "machine_consensus",
    "margin",
    "mean_kl",
    "mutual_information",
    "query_top",
    "query_votes",
    "register_strategy",
    "registered_strategies",
    "select",
    "select_diverse",
    "select_top",
    "strict_argmax",
    "tie_keys",
    "vote_entropy",
]
