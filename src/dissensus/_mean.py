"""The mean of several members' distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_member"]


def mean_member(
    proba: NDArray[np.floating], weight: NDArray[np.float64] | None = None, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Weighted mean over members, in float64, its rows rescaled to sum to 1; a row with NaN in any member stays NaN.

    Parameters
    ----------
    proba : (n_members, n_tracks, n_classes) ndarray
    weight : (n_members,) ndarray of float64, optional
        Default: equal weights.
    out : (n_tracks, n_classes) ndarray of float32, optional
        Where the mean is written.
    """
    share = np.ones(len(proba)) if weight is None else weight
    mean: NDArray[np.float64] = np.einsum("m,mnc->nc", share / share.sum(), proba, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        mean /= mean.sum(axis=1, keepdims=True)
    if out is None:
        return mean.astype(np.float32)
    out[...] = mean
    return out
