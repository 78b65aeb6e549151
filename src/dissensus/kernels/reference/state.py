"""The running mean of a committee, from its rows: what the totals of whole numbers must agree with.

The totals are kept here as the compiled twins keep them, one rounded share per member, so that backends can take turns on
one state; what is asked of the mean is answered in float64 from the rows held. Ceilings, which spare a query the tracks that
cannot be among the best, are no use to that: here they are set to infinity, which spares nobody.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._measures import Measure
from dissensus.kernels.reference import entropy

__all__ = ["replace_share", "state_ceilings", "state_top", "state_utility"]

Array = NDArray[Any]


def _share(rows: Array, factor: float) -> NDArray[np.int32]:
    with np.errstate(over="ignore"):
        p = rows.astype(np.float32)
    fit = np.where((p >= 0) & (p <= 1.5), p, np.float32(0))
    return (fit * np.float32(factor) + np.float32(0.5)).astype(np.int32)


def _odd(rows: Array) -> Any:
    with np.errstate(over="ignore"):
        p = rows.astype(np.float32)
    return np.any(~((p >= 0) & (p <= 1.5)), axis=1)


def state_ceilings(total: Array, odd: Array, ceiling: Array, start: int, stop: int) -> None:
    """Write what the tracks ``start:stop`` can score at most, and those that share a ceiling with them: here, anything."""
    ceiling[start // 256 : -(-stop // 256)] = np.inf


def replace_share(
    total: Array,
    odd: Array,
    ceiling: Array,
    held: Array,
    member: int,
    rows: Array,
    first: bool,
    factor: float,
    start: int,
    stop: int,
) -> None:
    """Replace a member's rows of ``start:stop`` in ``held``, and its share of the totals; ``first``: it had none."""
    state_ceilings(total, odd, ceiling, start, stop)
    here = slice(start, stop)
    if not first:
        total[here] -= _share(held[member, here], factor)
        odd[here] -= _odd(held[member, here]).astype(np.uint16)
    total[here] += _share(rows[here], factor)
    odd[here] += _odd(rows[here]).astype(np.uint16)
    held[member, here] = rows[here]


def state_utility(
    total: Array,
    odd: Array,
    ceiling: Array,
    held: Array,
    weight: Array,
    measure: int,
    start: int,
    stop: int,
    out: Array,
) -> None:
    """Write the utility of the members' mean into ``out[start:stop]``."""
    (entropy.consensus_entropy if measure == Measure.consensus_entropy else entropy.margin)(
        held, weight, start, stop, out
    )


def state_top(
    total: Array,
    odd: Array,
    ceiling: Array,
    held: Array,
    weight: Array,
    measure: int,
    exclude: Array,
    start: int,
    stop: int,
    index: Array,
    score: Array,
) -> int:
    """As ``query_top``, on the rows held."""
    return entropy.query_top(held, weight, measure, exclude, start, stop, index, score)
