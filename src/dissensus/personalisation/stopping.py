"""When a session has asked enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.personalisation.learner import Learner

__all__ = ["Progress", "StopWhenLearnt", "StopWhenStable"]


class Progress(NamedTuple):
    """What a rule of stopping may look at after each batch of answers."""

    n_answers: int
    history: Sequence[tuple[int, NDArray[np.integer]]]  # (answers, predicted class of every track), oldest first
    learner: Learner
    open_tracks: NDArray[np.int64]  # neither answered nor skipped


@dataclass(frozen=True)
class StopWhenStable:
    """Stop asking when the predictions have settled.

    After an answer is taken back the rule looks back no farther than that moment.

    Parameters
    ----------
    answers : int
        How far to look back; the rule never stops before this many answers.
    changed : float
        Share of the pool whose predicted class may differ from what it was ``answers`` answers ago.
    """

    looks_back: ClassVar[bool] = True

    answers: int = 12
    changed: float = 0.01

    def __post_init__(self) -> None:
        check_count(self.answers, "answers")
        if not 0 <= self.changed <= 1:
            raise ParameterError(f"changed={self.changed!r}: must be a share between 0 and 1")

    def check(self, learner: Learner) -> None:
        """Any learner will do."""

    def needed(self, history: Sequence[tuple[int, NDArray[np.integer]]]) -> tuple[tuple[int, NDArray[np.integer]], ...]:
        """The part of a history that this or a later moment looks at."""
        past = sum(n <= history[-1][0] - self.answers for n, _ in history)
        return tuple(history[max(past - 1, 0) :])

    def __call__(self, progress: Progress) -> bool:
        """Whether to stop."""
        if not progress.history:
            return False
        now, predicted = progress.history[-1]
        before = [past for n, past in progress.history if n <= now - self.answers]
        return bool(before) and bool(np.mean(before[-1] != predicted) <= self.changed)


@dataclass(frozen=True)
class StopWhenLearnt:
    """Stop asking when an answer is expected to teach the listener model next to nothing.

    Parameters
    ----------
    gain : float
        Mean mutual information, in nats, between one answer about an open track and the model, below which to stop. Where a
        listener shows nothing personal to follow, it falls below the default within tens of answers.
    answers : int
        The rule never stops before this many.
    tracks : int
        The gain is estimated on at most so many open tracks, spread evenly over the pool.
    """

    looks_back: ClassVar[bool] = False

    def needed(self, history: Sequence[tuple[int, NDArray[np.integer]]]) -> tuple[tuple[int, NDArray[np.integer]], ...]:
        """Nothing."""
        return ()

    gain: float = 0.005
    answers: int = 20
    tracks: int = 2000

    def __post_init__(self) -> None:
        check_count(self.answers, "answers", minimum=0)
        check_count(self.tracks, "tracks")
        if not self.gain >= 0:
            raise ParameterError(f"gain={self.gain!r}: must not be negative")

    def check(self, learner: Learner) -> None:
        """Refuse a learner that cannot tell its expected gain.

        Raises
        ------
        ParameterError
            It has no ``expected_gain``.
        """
        if not hasattr(learner, "expected_gain"):
            raise ParameterError(
                f"StopWhenLearnt needs a listener model that tells its expected gain; {type(learner).__name__} does not. "
                "StopWhenStable works with every learner"
            )

    def __call__(self, progress: Progress) -> bool:
        """Whether to stop."""
        rows = progress.open_tracks
        if progress.n_answers < self.answers or len(rows) == 0:
            return False
        self.check(progress.learner)
        step = -(-len(rows) // self.tracks)
        gain = progress.learner.expected_gain(rows[::step])  # type: ignore[attr-defined]
        return bool(np.mean(gain) < self.gain)
