"""Naive Bayes and logistic members as one stack of weights, and one blocked pass for all of them.

The joint log likelihood of a Gaussian is linear in [x, x²], so ten linear members are two small matrices. Windows are worked
on in panels of ``LANES``, feature by feature; scores of a tile of windows stay in the cache while they are squashed to
probabilities and added to the sums of their tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._backend import resolve
from dissensus._memory import aligned_empty

__all__ = [
    "LANES",
    "TILE",
    "Stack",
    "add_votes",
    "count_panels",
    "is_linear",
    "scratch",
    "stack_members",
    "straight_weights",
    "tile_tracks",
]

#: Windows of a tile, and those that lie side by side in one panel: the kernels are built for these.
TILE, LANES = 256, 32


class Stack(NamedTuple):
    """Weights of the linear members, member by member and class by class; naive Bayes (softmax) members come first."""

    member: NDArray[np.int64]  # (M,) place in the committee
    n_softmax: int
    offset: NDArray[np.float32]  # (M, C) constant terms
    bent: NDArray[np.float32]  # (Kq, F) linear weights of the softmax members
    bend: NDArray[np.float32]  # (Kq, F) their quadratic weights
    straight: NDArray[np.float32]  # (Kl, F) weights of the sigmoid members


#: What a subclass may define anew without predicting otherwise than its linear form says.
_LEARNING = ("fit", "partial_fit", "know_nothing", "rehearse", "take_in", "restored", "shrink", "set_", "get_", "__")


def is_linear(member: Any) -> bool:
    """True for members that the blocked pass can do (see :class:`dissensus.committee.member.Linear`)."""
    return _predicts_by_form(type(member))  # type: ignore[arg-type]


@cache
def _predicts_by_form(kind: type[Any]) -> bool:
    """Whether a class has a linear form, and no subclass of the class that gave it defines its methods of predicting anew."""
    owner = next((parent for parent in kind.__mro__ if "linear_form" in vars(parent)), None)
    if owner is None or not hasattr(kind, "SQUASH"):
        return False
    newer = kind.__mro__[: kind.__mro__.index(owner)]
    return not any(
        callable(getattr(kind, name, None)) and hasattr(owner, name) and not name.startswith(_LEARNING)
        for parent in newer
        for name in vars(parent)
    )


def _squashed_by(members: Sequence[Any], squash: str) -> list[int]:
    return [i for i, member in enumerate(members) if is_linear(member) and squash == member.SQUASH]


def stack_members(
    members: Sequence[Any],
    columns: Sequence[NDArray[np.int64] | None],
    *,
    common: Sequence[NDArray[np.float64] | None] | None = None,
) -> Stack:
    """Stack the linear members of a committee.

    A softmax does not see what is common to its classes. Without ``common`` each naive Bayes member is stacked less its first
    class, which saves a row; with it, less that, so that a class that learnt nothing keeps its row.

    Parameters
    ----------
    members : sequence
        Members.
    columns : sequence
        Per member, where the committee's classes are in its own.
    common : sequence, optional
        From :func:`common_weights` of the members that these were personalised from.
    """
    softmax, sigmoid = _squashed_by(members, "softmax"), _squashed_by(members, "sigmoid")
    bent, bend, straight, offset = [], [], [], []
    for i, form in _forms(members).items():
        quadratic, linear, constant = form if columns[i] is None else (part[columns[i]] for part in form)
        shared, skip = ((quadratic[0], linear[0]), 1) if common is None else (common[i], 0)
        assert shared is not None
        bend.append((quadratic - shared[0])[skip:])
        bent.append((linear - shared[1])[skip:])
        finite = constant[np.isfinite(constant)]
        offset.append(constant - (finite.max() if len(finite) else 0.0))
    for i in sigmoid:
        order = slice(None) if columns[i] is None else columns[i]
        _, linear, constant = members[i].linear_form()
        straight.append(linear.T[order])
        offset.append(constant[order])
    n_features = int(members[(softmax + sigmoid)[0]].n_features_in_) if softmax or sigmoid else 0
    return Stack(
        np.array(softmax + sigmoid, dtype=np.int64),
        len(softmax),
        np.array(offset, dtype=np.float32) if offset else np.zeros((0, 1), dtype=np.float32),
        _rows(bent, n_features),
        _rows(bend, n_features),
        _rows(straight, n_features),
    )


def straight_weights(
    members: Sequence[Any], columns: Sequence[NDArray[np.int64] | None], where: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Linear weights of the sigmoid members ``where``, in the committee's order of classes, one member above the other."""
    linear = [(members[i].linear_form()[1].T, columns[i]) for i in where]
    return np.concatenate([weights if order is None else weights[order] for weights, order in linear])


def _forms(members: Sequence[Any]) -> dict[int, tuple[NDArray[np.float64], ...]]:
    """Quadratic and linear weights ``(n_classes, n_features)`` and constants of the softmax members, by their place."""
    kinds: dict[type[Any], list[int]] = {}
    for i in _squashed_by(members, "softmax"):
        kinds.setdefault(type(members[i]), []).append(i)
    forms: dict[int, tuple[NDArray[np.float64], ...]] = {}
    for kind, where in kinds.items():
        if hasattr(kind, "linear_forms"):
            forms |= zip(where, zip(*kind.linear_forms([members[i] for i in where]), strict=True), strict=True)
        else:
            forms |= {i: tuple(part.T for part in members[i].linear_form()) for i in where}
    return dict(sorted(forms.items()))


def common_weights(members: Sequence[Any]) -> list[NDArray[np.float64] | None]:
    """Mean over the classes of the quadratic and linear weights ``(2, n_features)`` of each softmax member, else None."""
    forms = _forms(members)
    return [np.stack([part.mean(axis=0) for part in forms[i][:2]]) if i in forms else None for i in range(len(members))]


def _rows(parts: list[NDArray[np.float64]], n_features: int) -> NDArray[np.float32]:
    """Rows on top of each other."""
    rows = np.concatenate(parts, dtype=np.float32) if parts else np.zeros((0, n_features), dtype=np.float32)
    return np.ascontiguousarray(rows)  # transposed parts would give transposed rows


def tile_tracks(start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut tracks into tiles of at most ``TILE`` windows: ``(n, 5)`` first row, windows, first track, tracks, first panel.

    A tile holds whole tracks, or a part of one longer than a tile, cut from its beginning on: what is summed up for a track
    never depends on its neighbours. Every tile begins a panel.
    """
    tiles = []
    i, n_tracks = 0, len(start) - 1
    while i < n_tracks:
        fits = int(np.searchsorted(start, start[i] + TILE, side="right")) - 1
        if fits > i:
            tiles.append((start[i], start[fits] - start[i], i, fits - i, 0))
        else:
            end = start[i + 1]
            tiles.extend((row, min(TILE, end - row), i, 1, 0) for row in range(start[i], end, TILE))
        i = max(fits, i + 1)
    table = np.array(tiles, dtype=np.int64).reshape(-1, 5)
    table[1:, 4] = np.cumsum(-(-table[:-1, 1] // LANES))
    return table


def count_panels(tiles: NDArray[np.int64]) -> int:
    """Panels that the tiles take."""
    return int(np.sum(-(-tiles[:, 1] // LANES)))


def scratch(stack: Stack) -> NDArray[np.float32]:
    """Room that the kernels work in."""
    n_classes = stack.offset.shape[1]
    return aligned_empty((len(stack.straight) + 3 * n_classes + 3, TILE))


def add_votes(
    stack: Stack,
    X: NDArray[Any],
    mean: NDArray[np.float64],
    inverse: NDArray[np.float64],
    start: NDArray[np.int64],
    tiles: NDArray[np.int64],
    sums: NDArray[np.float64],
    backend: str = "auto",
) -> int:
    """Add the probabilities of every window, ``(X - mean) * inverse``, to ``sums (M, N, C)``.

    Returns the first window with a value that is not finite, or -1.
    """
    panels = aligned_empty((TILE // LANES, X.shape[1], LANES))
    held = aligned_empty((TILE // LANES, len(stack.bent) + len(stack.straight), LANES))
    bad: int = resolve("tile_votes", backend)(
        X, mean, inverse, start, tiles, 0, len(tiles), stack.bent, stack.bend, stack.straight, stack.offset,
        stack.n_softmax, panels, held, scratch(stack), sums,
    )  # fmt: skip
    return bad
