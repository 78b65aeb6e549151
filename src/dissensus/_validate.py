"""Checks of arguments at the edge of the public functions: one copy at most, the shape in every message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError

__all__ = ["as_features", "as_float", "check_count"]


def as_float(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of float32 or float64: those two are kept as they are, everything else becomes float64."""
    array = np.asarray(value)
    if array.dtype == np.float32 or array.dtype == np.float64:
        return array
    if array.dtype.kind in "biuf":
        return array.astype(np.float32 if array.dtype == np.float16 else np.float64)
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
