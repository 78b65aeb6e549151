"""What a selection holds, and how it says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.strategies.strategy import Strategy

__all__ = ["Selection"]


@dataclass(frozen=True, eq=False)
class Selection:
    """The tracks chosen for one query, best first.

    Attributes
    ----------
    index : (n_chosen,) ndarray of int64
        Rows of the pool, all distinct.
    utility : (n_chosen,) ndarray of float32
        Entropy in nats; 0 for the random strategy.
    slot : (n_chosen,) ndarray of int64
        The class whose share the track filled; −1 = none (plain selection, or refill).
    tie_size : (n_chosen,) ndarray of int64
        How many eligible tracks had exactly this utility; above 1 the seeded key decided.
    rule : Strategy
        What chose.
    balanced, short : bool
        Whether shares were asked for; whether fewer tracks were left than wanted.
    machine, human : (n_chosen, n_classes) ndarray of float32, optional
        The distributions that were looked at.
    n_raters : (n_chosen,) ndarray of int64, optional
        Other people who rated the track.
    class_names : tuple of str
        Used in :attr:`reason`.
    """

    index: NDArray[np.int64]
    utility: NDArray[np.float32]
    slot: NDArray[np.int64]
    tie_size: NDArray[np.int64]
    rule: Strategy
    balanced: bool
    short: bool
    machine: NDArray[np.float32] | None
    human: NDArray[np.float32] | None
    n_raters: NDArray[np.int64] | None
    class_names: tuple[str, ...]

    @property
    def strategy(self) -> str:
        """Short form of the strategy."""
        return self.rule.reported

    def __len__(self) -> int:
        return len(self.index)

    def named(self, class_names: Sequence[Any]) -> Selection:
        """The same selection, with these names of the classes in its reasons."""
        return replace(self, class_names=tuple(map(str, class_names)))

    @property
    def reason(self) -> tuple[str, ...]:
        """In words, why each track was chosen."""
        return tuple(self._why(row) for row in range(len(self.index)))

    def _opinion(self, proba: NDArray[np.float32]) -> str:
        if not np.isfinite(proba).all():
            return "unknown"
        top = np.argsort(-proba, kind="stable")[:2]
        return " / ".join(f"{self.class_names[c]} {proba[c]:.2f}" for c in top if proba[c] > 0 or len(top) == 1)

    def _crowd(self, row: int) -> str:
        assert self.human is not None
        if self.n_raters is None:
            who = "other listeners"
        elif self.n_raters[row] == 0:
            who = "nobody else rated it, the crowd at large"
        else:
            n = int(self.n_raters[row])
            who = f"{n} other listener{'s' * (n > 1)}"
        return f"{who} {self._opinion(self.human[row])}"

    def _why(self, row: int) -> str:
        said, rule = [], self.rule
        if self.machine is not None and rule.needs != {"human"}:
            said.append(f"committee {self._opinion(self.machine[row])}")
        if self.human is not None and ("human" in rule.needs or not said):
            said.append(self._crowd(row))
        text = rule.why.format(utility=float(self.utility[row]))
        if rule.ranked:
            text += f": {'; '.join(said)}"
        elif self.balanced:
            text += f" ({'; '.join(said)})"
        if self.slot[row] >= 0:
            text += f"; balanced slot {self.class_names[self.slot[row]]}"
        elif self.balanced:
            text += "; refill, no class's slot"
        if self.tie_size[row] > 1 and rule.ranked:
            text += f"; one of {self.tie_size[row]} tied, drawn by the seed"
        return text
