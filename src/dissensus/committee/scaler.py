"""Standardisation fitted once, on the pre-training side, and applied to everything after."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaler"]


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
