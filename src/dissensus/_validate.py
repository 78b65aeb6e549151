"""Checks of arguments at the edge of the public functions: one copy at most, the shape in every message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError

__all__ = [
    "as_exclude",
    "as_features",
    "as_float",
    "as_given",
    "as_member_weight",
    "as_proba",
    "as_votes",
    "check_count",
]


#: Room that the compiled kernels have on the stack.
_MOST_CLASSES, _MOST_VOTERS = 4096, 4096


def as_given(values: Any, name: str) -> NDArray[Any]:
    """An array of what was given, element by element: numpy makes text of a NaN between texts, floats of large ints."""
    if hasattr(values, "__array__"):
        return values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    try:
        given = list(values)
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be a list of one value per row: {error}") from None
    if array.ndim == 1 and array.dtype.kind not in "biu":
        array = np.empty(len(given), dtype=object)
        array[:] = given
    return array


def as_float(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of float32 or float64: those two are kept as they are, float16 becomes float32, everything else float64.

    What is converted is C-contiguous, so that whoever needs that does not copy again.
    """
    array = np.asarray(value)
    if array.dtype == np.float32 or array.dtype == np.float64:
        return array
    if array.dtype.kind in "biuf":
        return array.astype(np.float32 if array.dtype == np.float16 else np.float64, order="C")
    raise ParameterError(f"{name} must hold real numbers; got dtype {array.dtype}")


def as_features(value: ArrayLike, *, n_features: int | None = None, name: str = "X") -> NDArray[Any]:
    """A finite ``(n_windows, n_features)`` float array, C-contiguous."""
    array = np.ascontiguousarray(as_float(value, name))
    if array.ndim != 2:
        raise ParameterError(f"{name} must be (n_windows, n_features); got shape {array.shape}")
    if n_features is not None and array.shape[1] != n_features:
        raise ParameterError(f"{name} has {array.shape[1]} features, expected {n_features}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ParameterError(f"{name}[{row}, {column}] is not finite; impute or drop such windows first")
    return array


def check_count(value: Any, name: str, *, minimum: int = 1) -> int:
    """A whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ParameterError(f"{name}={value!r}: must be a whole number of at least {minimum}")
    return int(value)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: kernels never write their inputs, and compile for one kind of array only."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_proba(value: ArrayLike, *, name: str = "proba") -> NDArray[Any]:
    """Class probabilities ``(n_members, n_tracks, n_classes)``, C-contiguous, float32 or float64, read-only.

    C-contiguous float32 and float64 arrays (memory maps too) are used as they are; anything else is copied once.
    The values are not looked at: kernels answer NaN for a track whose probabilities make no distribution.
    """
    array = np.require(as_float(value, name), requirements=["C", "A"])
    if array.ndim != 3:
        raise ParameterError(
            f"{name} must be (n_members, n_tracks, n_classes); got shape {array.shape}"
            + ("; one member alone is proba[None]" if array.ndim == 2 else "")
        )
    if array.shape[0] == 0 or array.shape[2] == 0:
        raise ParameterError(f"{name} needs at least one member and one class; got shape {array.shape}")
    if array.shape[2] > _MOST_CLASSES:
        raise ParameterError(
            f"{name} has {array.shape[2]} classes; the kernels have room for at most {_MOST_CLASSES} classes"
        )
    return _frozen(array)


def as_votes(value: ArrayLike, n_classes: int, *, name: str = "votes") -> NDArray[np.uint8]:
    """Votes ``(n_members, n_tracks)`` as C-contiguous uint8; uint8 is used as it is, other integers are copied once.

    uint8 votes are not checked here (the kernel counts them anyway and reports those out of range).
    """
    n_classes = check_count(n_classes, "n_classes")
    if n_classes > 255:
        raise ParameterError(f"n_classes={n_classes}: at most 255 classes can be voted for")
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise ParameterError(f"{name} must be whole numbers, the index of the class; got dtype {array.dtype}")
    if array.ndim != 2:
        raise ParameterError(f"{name} must be (n_members, n_tracks); got shape {array.shape}")
    if array.shape[0] == 0:
        raise ParameterError(f"{name} needs at least one member; got shape {array.shape}")
    if array.shape[0] > _MOST_VOTERS:
        raise ParameterError(
            f"{name} has {array.shape[0]} rows; the kernels have room for at most {_MOST_VOTERS} members"
        )
    if array.dtype != np.uint8 and array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= n_classes:
            raise ParameterError(f"{name} must lie in 0..{n_classes - 1}; they reach from {low} to {high}")
    return _frozen(np.require(array, dtype=np.uint8, requirements=["C", "A"]))


def as_member_weight(value: ArrayLike | None, n_members: int) -> NDArray[np.float64]:
    """One non-negative finite weight per member, as given; ones for None."""
    if value is None:
        return np.ones(n_members)
    weight = np.array(as_float(value, "member_weight"), dtype=np.float64)
    if weight.shape != (n_members,):
        raise ParameterError(f"member_weight must be ({n_members},), one per member; got shape {weight.shape}")
    if not np.isfinite(weight).all() or (weight < 0).any() or not 0 < weight.sum() < np.inf:
        raise ParameterError("member_weight must be finite and non-negative, with a sum above zero")
    return weight


def as_exclude(value: ArrayLike | None, n_tracks: int) -> NDArray[np.int64]:
    """Positions that may not be chosen, sorted and distinct; from positions, a boolean mask, or None."""
    if value is None:
        return np.empty(0, np.int64)
    array = np.asarray(value)
    if array.dtype == np.bool_:
        if array.shape != (n_tracks,):
            raise ParameterError(f"exclude as a mask must be ({n_tracks},); got shape {array.shape}")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise ParameterError(f"exclude must hold positions or be a boolean mask; got dtype {array.dtype}")
    distinct = np.unique(array)
    if distinct[0] < 0 or distinct[-1] >= n_tracks:
        raise ParameterError(f"exclude must lie in 0..{n_tracks - 1}; it reaches from {distinct[0]} to {distinct[-1]}")
    return distinct.astype(np.int64, copy=False)
