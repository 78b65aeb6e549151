"""Taking the best few tracks of a utility."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus import _backend
from dissensus._validate import as_exclude, as_float, check_count
from dissensus.errors import ParameterError

__all__ = ["select_top"]


def select_top(
    utility: ArrayLike, k: int, *, exclude: ArrayLike | None = None, backend: str = "auto"
) -> NDArray[np.int64]:
    """Positions of the ``k`` tracks with the highest utility.

    Parameters
    ----------
    utility : (n_tracks,) array_like of float
        Higher = ask first.
    k : int
        How many, at least 0.
    exclude : array_like of int, or (n_tracks,) array_like of bool, optional
        Positions that may not be chosen: those asked already, say.
    backend : {"auto", "native", "numba", "reference"}

    Returns
    -------
    (k,) ndarray of int64
        Best first; the lowest position first among equals; NaN after everything else. Shorter than ``k`` only where
        fewer than ``k`` tracks may be chosen.

    Raises
    ------
    ParameterError
        Wrong rank, negative ``k``, or positions out of range.

    Examples
    --------
    >>> select_top([0.2, 0.9, 0.9, float("nan")], 2)
    array([1, 2])
    >>> select_top([0.2, 0.9, 0.9, float("nan")], 3, exclude=[1])
    array([2, 0, 3])
    """
    values = np.require(as_float(utility, "utility"), requirements=["C", "A"]).view()
    if values.ndim != 1:
        raise ParameterError(f"utility must be (n_tracks,), one number per track; got shape {values.shape}")
    values.flags.writeable = False
    k = check_count(k, "k", minimum=0)
    index = np.empty(min(k, len(values)), np.int64)
    count = _backend.resolve("top_k", backend)(values, as_exclude(exclude, len(values)), index)
    return index[:count]
