"""dissensus: a committee of classifiers that learns to hear emotion in music as one listener does.

Public names are loaded on first use, so that ``import dissensus`` costs little more than numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np  # the one dependency that importing dissensus loads

from dissensus._version import __version__

if TYPE_CHECKING:
    from dissensus._backend import capabilities
    from dissensus._threads import set_threads
    from dissensus.agreement.alpha import krippendorff_alpha
    from dissensus.committee import Committee
    from dissensus.features import IS13_NAMES, Pool, load_audio, log_mel
    from dissensus.features.is13 import is13
    from dissensus.personalisation import ListenerModel, Session
    from dissensus.personalisation.warmup import warmup
    from dissensus.strategies import (
        ConsensusState,
        consensus_entropy,
        human_consensus,
        margin,
        mean_kl,
        mutual_information,
        query_top,
        query_votes,
        select_top,
        vote_entropy,
    )

_HOME: dict[str, str] = {
    "Committee": "committee",
    "ConsensusState": "strategies",
    "IS13_NAMES": "features",
    "ListenerModel": "personalisation",
    "Pool": "features",
    "Session": "personalisation",
    "capabilities": "_backend",
    "consensus_entropy": "strategies",
    "human_consensus": "strategies",
    "is13": "features",
    "krippendorff_alpha": "agreement.alpha",
    "load_audio": "features",
    "log_mel": "features",
    "margin": "strategies",
    "mean_kl": "strategies",
    "mutual_information": "strategies",
    "query_top": "strategies",
    "query_votes": "strategies",
    "select_top": "strategies",
    "set_threads": "_threads",
    "vote_entropy": "strategies",
    "warmup": "personalisation.warmup",
}

__all__ = [
    "IS13_NAMES",
    "Committee",
    "ConsensusState",
    "ListenerModel",
    "Pool",
    "Session",
    "__version__",
    "capabilities",
    "consensus_entropy",
    "human_consensus",
    "is13",
    "krippendorff_alpha",
    "load_audio",
    "log_mel",
    "margin",
    "mean_kl",
    "mutual_information",
    "query_top",
    "query_votes",
    "select_top",
    "set_threads",
    "vote_entropy",
    "warmup",
]

_SUBPACKAGES = frozenset(
    {
        "agreement",
        "catalog",
        "cli",
        "committee",
        "datasets",
        "errors",
        "evaluation",
        "features",
        "personalisation",
        "strategies",
        "training",
    }
)

assert np.__version__  # keeps the import honest for linters


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME) | _SUBPACKAGES)
