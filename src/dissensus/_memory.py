"""Arrays that begin where a cache line does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["LINE", "aligned_empty", "aligned_zeros"]

#: Bytes of a cache line, and of the widest vectors.
LINE = 64


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """``np.empty`` whose first byte begins a cache line.

    NumPy promises sixteen bytes. A vector of sixty-four that begins elsewhere lies in two lines, and each of its loads and
    stores is two: laying windows into lanes takes twice as long.

    Examples
    --------
    >>> aligned_empty((3, 5)).ctypes.data % LINE
    0
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    raw = np.empty(size + LINE, dtype=np.uint8)
    skip = -raw.ctypes.data % LINE
    return raw[skip : skip + size].view(kind).reshape(shape)


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """:func:`aligned_empty`, filled with zeros."""
    out = aligned_empty(shape, dtype)
    out.fill(0)
    return out
