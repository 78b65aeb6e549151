"""Labels to class indices by a fixed order of classes, and weighted one-hot targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import LabelError

__all__ = ["as_classes", "encode", "one_hot"]


def as_classes(classes: ArrayLike) -> NDArray[Any]:
    """Distinct class labels, in the order given.

    Raises
    ------
    LabelError
        Not one-dimensional, empty, or a class named twice.
    """
    array = np.asarray(classes)
    if array.dtype.kind == "O":
        array = np.array(array.tolist())
    if array.ndim != 1 or len(array) == 0:
        raise LabelError(f"classes must be a list of labels; got shape {array.shape}")
    if len(np.unique(array)) != len(array):
        raise LabelError(f"a class is named twice in {array.tolist()}")
    return array


def encode(y: ArrayLike, classes: NDArray[Any], *, name: str = "y") -> NDArray[np.int64]:
    """Index of each label in ``classes``; the order of ``classes`` never depends on ``y``.

    Raises
    ------
    LabelError
        A label is not one of the classes.
    """
    labels = np.asarray(y)
    order = np.argsort(classes, kind="stable")
    try:
        position = np.searchsorted(classes[order], labels)
        index = order[np.minimum(position, len(classes) - 1)].astype(np.int64)
        known = classes[index] == labels
    except TypeError:
        index, known = np.zeros(labels.shape, dtype=np.int64), np.zeros(labels.shape, dtype=bool)
    if not np.all(known):
        stranger = labels[~np.asarray(known, dtype=bool)].reshape(-1)[0]
        raise LabelError(f"{name} holds {stranger!r}, which is not one of the classes {classes.tolist()}")
    return index


def one_hot(index: NDArray[np.int64], n_classes: int, dtype: Any = np.float64) -> NDArray[Any]:
    """``(n, n_classes)`` indicator matrix."""
    out = np.zeros((len(index), n_classes), dtype=dtype)
    out[np.arange(len(index)), index] = 1.0
    return out
