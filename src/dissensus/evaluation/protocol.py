"""Protocols of evaluation: the one that holds, and the published ones with the faults that change their conclusions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from dissensus._defaults import REPLAY_WEIGHT
from dissensus.committee.members import KINDS
from dissensus.errors import ParameterError
from dissensus.strategies.strategy import published_strategies, registered_strategies

__all__ = ["LISTENER_KINDS", "PROTOCOLS", "Protocol"]

#: Kinds of members that are no classifiers of a committee: the crowd without the listener, and the personal model on it;
#: the same two where nobody's votes on the held-out tracks may be used.
LISTENER_KINDS: Final = ("crowd", "residual", "crowd-new", "residual-new")

#: The strategies of the published experiments, in the order of tables.
PUBLISHED: Final = tuple(known.name for known in registered_strategies() if known.name in published_strategies())
UPDATES: Final = ("replay", "incremental")


@dataclass(frozen=True)
class Protocol:
    """What an evaluation does. The defaults are the ``sound`` protocol.

    Parameters
    ----------
    name : str
        ``"sound"``, or ``"ismir2021"`` and ``"trompa2022"``, which re-state published experiments with their faults and
        are labelled ``paper`` wherever they are printed.
    kinds : tuple of str
        Kinds of members: classifiers of the committee (``gnb``, ``sgd``, ``xgb``, ``cnn``), and contestants beside it
        (:data:`LISTENER_KINDS`), which are scored in the same rounds and splits but do not vote. Without a classifier the
        listener model asks: machine consensus is then that of draws from its posterior, and its one update is ``replay``.
    strategies : tuple of str
        Names of registered ones (:func:`dissensus.strategies.registered_strategies`). Default: the published four, ``mc``
        machine, ``hc`` human, ``mix`` hybrid consensus, ``rand`` random. ``rand-balanced`` is the random control with the
        class balance of the others.
    updates : tuple of str
        ``replay`` and ``incremental``.
    rounds, queries : int
        Rounds, and tracks asked in each.
    balanced : bool
        Queries balanced over the predicted classes, where a strategy does not say so itself (``rand`` never is).
    repeats : int
        Splits of each listener.
    null_repeats : int
        Splits that are run once more with the listener's answers permuted among the tracks of the pool.
    test_share : float
        Share of a listener's tracks held out.
    min_tracks : int
        Listeners with fewer distinct tracks are left out.
    seed : int
        Master seed.
    n_folds : int
        Members of each kind.
    n0 : float
        Weight of the rehearsal buffer of ``replay``, in own labels.
    shared_split : bool
        One split for all strategies. False: a split of its own for each (fault T1).
    crowd : {"others", "everyone", "evaluated"}
        Whose votes human consensus counts: everybody but the listener; everybody, the listener's own hidden answer
        included (fault T2); or the evaluated listeners alone, with the own answer.
    scaling : {"pretrained", "all", "sides"}
        Standardisation of the features: by the tracks of pre-training; by all tracks of the listener, the test side
        included; or the pool and the test side each by itself (fault T4).
    mix : {"mean", "stack"}
        How machine and human consensus are joined.
    exponent : float
        Decisions take the class with the largest ``p / share ** exponent``, ``share`` being the member's own mean over the
        listener's tracks; the same for every member. 0: the most probable class. Likelihoods are of ``p`` itself.
    """

    name: str = "sound"
    kinds: tuple[str, ...] = ("gnb", "sgd", "xgb")
    strategies: tuple[str, ...] = PUBLISHED
    updates: tuple[str, ...] = ("replay", "incremental")
    rounds: int = 15
    queries: int = 4
    balanced: bool = True
    repeats: int = 20
    null_repeats: int = 2
    test_share: float = 0.15
    min_tracks: int = 80
    seed: int = 0
    n_folds: int = 5
    n0: float = REPLAY_WEIGHT
    shared_split: bool = True
    crowd: Literal["others", "everyone", "evaluated"] = "others"
    scaling: Literal["pretrained", "all", "sides"] = "pretrained"
    mix: Literal["mean", "stack"] = "mean"
    exponent: float = 0.0

    def __post_init__(self) -> None:
        for name, values, allowed in (
            ("kinds", self.kinds, (*KINDS, *LISTENER_KINDS)),
            ("strategies", self.strategies, [known.name for known in registered_strategies()]),
            ("updates", self.updates, UPDATES),
        ):
            if not values or len(set(values)) != len(values):
                raise ParameterError(f"{name}={values!r}: give one or more, each once")
            for value in values:
                if value not in allowed:
                    raise ParameterError(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        for name in ("rounds", "queries", "repeats", "min_tracks", "n_folds"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name}={getattr(self, name)!r}: must be at least 1")
        if self.null_repeats < 0:
            raise ParameterError(f"null_repeats={self.null_repeats!r}: must be 0 or more")
        if not 0.0 < self.test_share < 1.0:
            raise ParameterError(f"test_share={self.test_share!r}: must lie between 0 and 1")
        if not 0.0 <= self.exponent <= 2.0:
            raise ParameterError(f"exponent={self.exponent!r}: must lie between 0 and 2")

    @property
    def classic_kinds(self) -> tuple[str, ...]:
        """Kinds of the committee's classifiers."""
        return tuple(kind for kind in self.kinds if kind not in LISTENER_KINDS)

    @property
    def listener_kinds(self) -> tuple[str, ...]:
        """Kinds of the listener model's members."""
        return tuple(kind for kind in self.kinds if kind in LISTENER_KINDS)

    @property
    def drawn_kinds(self) -> tuple[str, ...]:
        """Those of :attr:`listener_kinds` that start from one crowd, from which listeners with nothing personal are drawn."""
        informed = tuple(kind for kind in self.listener_kinds if not kind.endswith("-new"))
        return informed or self.listener_kinds

    @property
    def learned_updates(self) -> tuple[str, ...]:
        """The updates that are run: the listener model alone knows one."""
        return self.updates if self.classic_kinds else ("replay",)

    @property
    def is_paper(self) -> bool:
        """Whether this re-states a published protocol, faults included."""
        return self.name != "sound"

    def faults(self) -> list[str]:
        """The known faults that this protocol reproduces, in words."""
        found = []
        if not self.shared_split:
            found.append("every strategy has a test set of its own")
        if self.crowd != "others":
            found.append("human consensus counts the listener's own hidden answer")
        if self.scaling != "pretrained":
            found.append("features are standardised with the test side")
        if self.mix == "stack":
            found.append("hybrid queries stack the machine and human rows of a track")
        if self.repeats == 1 and self.is_paper:
            found.append("one split per listener")
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def digest(self, *fingerprints: str) -> str:
        """A short hash of everything that decides the numbers of one listener and repeat.

        The numbers of repeats are left out: more repeats continue a run, they do not start another.
        """
        content = self.as_dict() | {"updates": self.learned_updates}
        for name in ("repeats", "null_repeats"):
            del content[name]
        text = json.dumps([content, *fingerprints], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


#: The protocols by name.
PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType(
    {
        "sound": Protocol(),
        "ismir2021": Protocol(
            name="ismir2021",
            rounds=10,
            queries=10,
            balanced=False,
            repeats=1,
            null_repeats=0,
            min_tracks=150,
            updates=("incremental",),
            shared_split=False,
            crowd="everyone",
            scaling="all",
            mix="stack",
        ),
        "trompa2022": Protocol(
            name="trompa2022",
            repeats=1,
            null_repeats=0,
            updates=("incremental",),
            crowd="evaluated",
            scaling="sides",
        ),
    }
)
