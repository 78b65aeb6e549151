"""What a committee's disagreement about a track is measured by, with the numbers that kernels know it by."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Measure"]


class Measure(IntEnum):
    """One name and number everywhere: here, in Numba's kernels and in ``native/include/dissensus/measures.hpp``.

    The names are those of the functions and kernels, so ``Measure["margin"]`` is what ``measure="margin"`` asks for.

    Examples
    --------
    >>> Measure["margin"]
    <Measure.margin: 2>
    """

    consensus_entropy = 0
    mean_kl = 1
    margin = 2

    @property
    def of_the_mean(self) -> bool:
        """Whether the members' mean alone gives it."""
        return self is not Measure.mean_kl
