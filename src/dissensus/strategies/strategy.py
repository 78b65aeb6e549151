"""What a strategy of asking is: one record that a session, an evaluation, its figures, its report and the help all read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.strategies.balanced import Ranking, strict_argmax
from dissensus.strategies.disagreement import consensus_entropy

__all__ = [
    "CONTROL",
    "LineStyle",
    "Opinions",
    "Strategy",
    "by_entropy",
    "published_strategies",
    "register_strategy",
    "registered_strategies",
    "strategy_named",
]

#: Name of the strategy that the others are compared with.
CONTROL: Final = "rand"

#: What a strategy may need.
_SOURCES: Final = ("members", "machine", "human")


class Opinions(NamedTuple):
    """What is known of the tracks; a strategy finds there at least what it needs."""

    members: NDArray[Any] | None  # (n_members, n_tracks, n_classes)
    machine: NDArray[np.float32] | None  # (n_tracks, n_classes)
    human: NDArray[np.float32] | None  # (n_tracks, n_classes)
    n_raters: NDArray[Any] | None  # (n_tracks,)


@dataclass(frozen=True)
class LineStyle:
    """A line in a figure, told apart from others without colour; plain data in matplotlib's words.

    Attributes
    ----------
    line : str or (offset, on-off-sequence)
        Line style.
    marker : str
        Marker.
    colour : str
        Colour; a grey as ``"0.0"`` (black) to ``"1.0"`` (white).
    """

    line: Any = "-"
    marker: str = "."
    colour: str = "0.6"


@dataclass(frozen=True)
class Strategy:
    """How tracks are chosen.

    Parameters
    ----------
    name : str
        Short name, as in the papers.
    label : str
        Name in figures.
    description : str
        For reports and help: what is asked, in a few words.
    needs : frozenset of {"members", "machine", "human"}
        What :attr:`rank` looks at: every member's probabilities, the committee's mean, other people's frequencies.
    rank : callable
        ``rank(opinions)`` gives one :class:`~dissensus.strategies.balanced.Ranking` of all tracks, or several that are read
        as one list. A pure function of its :class:`Opinions`.
    why : str
        Beginning of the reason that a query gives for a track; ``{utility}`` is filled in.
    aliases : tuple of str
        Other names that are accepted.
    style : LineStyle
        In figures.
    ranked : bool
        False where the utility says nothing and the tie key alone decides.
    unrated_last : bool
        Tracks that nobody rated come after all others.
    balance : bool, optional
        Whether an evaluation gives each class its share of a query: None as its protocol says, False never, True always,
        then in a session as well.
    reported_as : str, optional
        The name that queries bear, where it is not :attr:`name`.
    paper_order : int, optional
        Place in the published experiments, whose tests compare each strategy with those after it; None: not among them.
    """

    name: str
    label: str
    description: str
    needs: frozenset[str]
    rank: Callable[[Opinions], list[Ranking]]
    why: str
    aliases: tuple[str, ...] = ()
    style: LineStyle = LineStyle()
    ranked: bool = True
    unrated_last: bool = False
    balance: bool | None = None
    reported_as: str | None = None
    paper_order: int | None = None

    def __post_init__(self) -> None:
        if not self.name or not set(self.needs) <= set(_SOURCES):
            raise ParameterError(
                f"strategy {self.name!r} needs {sorted(self.needs)}; give it a name and needs among {', '.join(_SOURCES)}"
            )

    @property
    def reported(self) -> str:
        """The name that its queries bear."""
        return self.name if self.reported_as is None else self.reported_as

    def looks_at(self, source: str) -> bool:
        """Whether it looks at ``"members"``, ``"machine"`` or ``"human"``; one that needs nothing takes what there is."""
        return not self.needs or source in self.needs


_registered: dict[str, Strategy] = {}
_names: dict[str, str] = {}


def register_strategy(strategy: Strategy) -> Strategy:
    """Make a strategy known by its name to sessions, evaluations, figures, reports and the command line's help.

    Worker processes that are spawned, not forked, must register it themselves.

    Raises
    ------
    ParameterError
        Another strategy has one of its names.

    Examples
    --------
    >>> from dissensus.strategies import Ranking, Strategy, register_strategy, select, strict_argmax
    >>> def least_confident(opinions):
    ...     return [Ranking(1.0 - opinions.machine.max(axis=1), strict_argmax(opinions.machine))]
    >>> lc = register_strategy(
    ...     Strategy("lc", "least confident", "least confident tracks", frozenset({"machine"}), least_confident,
    ...              "least confident {utility:.2f}"))
    >>> select("lc", 1, machine=[[0.9, 0.1], [0.6, 0.4]]).reason
    ('least confident 0.40: committee class 0 0.60 / class 1 0.40',)
    >>> from dissensus.strategies.strategy import forget_strategy
    >>> forget_strategy("lc")
    """
    for name in (strategy.name, *strategy.aliases):
        if name in _names:
            raise ParameterError(f"a strategy is called {name!r} already: {_names[name]}; choose another name")
    _registered[strategy.name] = strategy
    _names.update(dict.fromkeys((strategy.name, *strategy.aliases), strategy.name))
    return strategy


def forget_strategy(name: str) -> None:
    """Undo :func:`register_strategy`."""
    gone = _registered.pop(strategy_named(name).name)
    for known in (gone.name, *gone.aliases):
        del _names[known]


def strategy_named(name: str) -> Strategy:
    """The strategy of this name or alias.

    Raises
    ------
    ParameterError
        There is none; the message lists those there are.
    """
    short = _names.get(name) if isinstance(name, str) else None
    if short is None:
        raise ParameterError(f"strategy={name!r}; choose one of {', '.join(map(repr, _names))}")
    return _registered[short]


def registered_strategies() -> tuple[Strategy, ...]:
    """All strategies, in the order in which they were registered."""
    return tuple(_registered.values())


def published_strategies() -> tuple[str, ...]:
    """Names of the strategies of the published experiments, in the order of their tests."""
    among = [strategy for strategy in _registered.values() if strategy.paper_order is not None]
    return tuple(strategy.name for strategy in sorted(among, key=lambda strategy: strategy.paper_order or 0))


def by_entropy(proba: NDArray[np.float32]) -> Ranking:
    """Tracks by the entropy of their distributions, in nats; rows that differ in the order of the classes tie exactly."""
    utility = np.empty(len(proba), dtype=np.float32)
    for start in range(0, len(proba), _ROWS):
        utility[start : start + _ROWS] = consensus_entropy(_sorted_rows(proba[start : start + _ROWS])[None])
    return Ranking(utility, lambda: strict_argmax(proba))


#: Rows that are sorted while they lie in the cache.
_ROWS: Final = 1 << 14


def _sorted_rows(proba: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row in rising order; of few classes by exchanges of whole columns (a NaN may then spread in its row)."""
    n_classes = proba.shape[1]
    if n_classes > 6:
        return np.ascontiguousarray(np.sort(proba, axis=1))
    columns = np.array(proba.T, order="C")
    for step in range(n_classes):
        for c in range(step % 2, n_classes - 1, 2):
            low = np.minimum(columns[c], columns[c + 1])
            np.maximum(columns[c], columns[c + 1], out=columns[c + 1])
            columns[c] = low
    return np.ascontiguousarray(columns.T)


def register_all(strategies: Iterable[Strategy]) -> None:
    """Register several."""
    for strategy in strategies:
        register_strategy(strategy)
