"""Standardisation fitted once, on the pre-training side, and applied to everything after."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._backend import resolve
from dissensus._validate import as_float
from dissensus.errors import ParameterError

__all__ = ["Scaler", "inverse_scaling", "refuse_window", "standardised"]


class Scaler(NamedTuple):
    """Mean and standard deviation per feature, ``(n_features,)`` float64 each; constant features have scale 1."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, X: NDArray[Any]) -> Scaler:
        """Moments of the rows of ``X``, in two passes and float64."""
        mean = X.mean(axis=0, dtype=np.float64)
        scale = np.sqrt(np.square(X - mean).mean(axis=0))
        return cls(mean, np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0))

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Standardised copy in float32."""
        return np.divide(X - self.mean, self.scale).astype(np.float32)


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
    windows = np.ascontiguousarray(as_float(windows, "X"))
    out = np.empty(windows.shape, dtype=np.float32)
    refuse_window(resolve("standardise")(windows, *scaling, out), row)
    return out
