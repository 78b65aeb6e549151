"""Standardisation fitted once, on the pre-training side, and applied to everything after."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._spread import column_deviation
from dissensus._validate import as_features, as_float
from dissensus.errors import ParameterError

__all__ = ["Scaler", "as_stored", "inverse_scaling", "refuse_window", "standardised", "stored_features"]


class Scaler(NamedTuple):
    """Mean and standard deviation per feature, ``(n_features,)`` float64 each; constant features have scale 1."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, X: NDArray[Any]) -> Scaler:
        """Moments of the rows of ``X``, in two passes and float64; a column of any scale counts, if it varies at all."""
        return cls(X.mean(axis=0, dtype=np.float64), column_deviation(X, constant=1.0))

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Standardised copy in float32."""
        return np.divide(X - self.mean, self.scale).astype(np.float32)


def as_stored(windows: NDArray[Any]) -> NDArray[np.float32]:
    """Windows as pools store them, in float32: members learn from these values and are asked about these values.

    Trees cut at training values. Were they to learn from float64, the last bit would decide a branch, and a training track that
    went through a pool on disk could fall on the other side. A value too large for float32 becomes infinity, which
    :func:`refuse_window` refuses.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.ascontiguousarray(as_float(windows, "X"), dtype=np.float32)


def stored_features(X: ArrayLike, *, n_features: int | None = None) -> NDArray[np.float32]:
    """Checked windows as pools store them (see :func:`as_stored`).

    Raises
    ------
    ParameterError
        Another shape, or a value that is not finite or too large for float32.
    """
    windows = as_features(X, n_features=n_features)
    stored = as_stored(windows)
    finite = np.isfinite(stored).all(axis=1)
    refuse_window(-1 if finite.all() else int(np.argmin(finite)))
    return stored


def inverse_scaling(scaler: Scaler | None, n_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and inverse scale of each feature, as the kernels take them; None leaves features as they are."""
    mean, scale = scaler or (np.zeros(n_features), np.ones(n_features))
    return np.ascontiguousarray(mean, dtype=np.float64), np.divide(1.0, scale, dtype=np.float64)


def refuse_window(bad: int, row: NDArray[np.int64] | None = None) -> None:
    """Say which window is not finite, where there is one (``bad >= 0``); ``row`` numbers the windows.

    Raises
    ------
    ParameterError
        There is one.
    """
    if bad >= 0:
        raise ParameterError(
            f"X[{bad if row is None else row[bad]}] is not finite (or far too large); impute or drop such windows first"
        )


def standardised(
    windows: NDArray[Any],
    scaling: tuple[NDArray[np.float64], NDArray[np.float64]],
    row: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Checked, standardised copy in float32; raises as :func:`refuse_window`."""
    windows = as_stored(windows)
    out = np.empty(windows.shape, dtype=np.float32)
    refuse_window(resolve("standardise")(windows, *scaling, out), row)
    return out
