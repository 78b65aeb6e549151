"""Labels to class indices by a fixed order of classes, and rows in an order that only their contents decide."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import is_missing
from dissensus._validate import as_given
from dissensus.errors import LabelError, ParameterError

__all__ = ["as_classes", "as_labels", "distinct_rows", "duplicate", "encode", "one_hot"]

T = TypeVar("T")


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


def as_labels(y: ArrayLike, *, name: str = "y") -> NDArray[Any]:
    """Labels as an array of one kind: text, numbers or booleans.

    Raises
    ------
    LabelError
        A label is missing (None, NaN, an empty text), or some are text and others are not; the message has the row.
    """
    try:
        labels = as_given(y, name)
    except ParameterError as error:
        raise LabelError(str(error)) from None
    if labels.dtype.kind in "biu" and not np.ma.is_masked(labels):
        return np.asarray(labels)
    flat = labels.reshape(-1).tolist()
    for row, value in enumerate(flat):
        if is_missing(value):
            raise LabelError(f"{name}[{row}] is missing ({value!r}); leave out the rows without a label")
        if isinstance(value, str) != isinstance(flat[0], str):
            raise LabelError(
                f"{name}[{row}] is {value!r}, but {name}[0] is {flat[0]!r}: give all labels as text, or none"
            )
    return np.array(flat).reshape(labels.shape) if labels.dtype.kind in "OT" else np.asarray(labels)


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


def distinct_rows(
    X: NDArray[Any], index: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
    """Merge equal rows of equal class, adding their weights; drop rows without weight; sort by contents.

    What is learnt from the result depends neither on the order of the rows nor on whether a row was repeated or weighted.
    Bit patterns are compared, so 0.0 and -0.0 differ.
    """
    kept = np.flatnonzero(weight > 0)
    rows, index, weight = np.ascontiguousarray(X[kept]), index[kept], weight[kept]
    if len(rows) == 0:
        return rows, index, weight
    packed = np.empty((len(rows), rows.shape[1] * rows.itemsize + 8), dtype=np.uint8)
    packed[:, :-8] = rows.view(np.uint8)
    packed[:, -8:] = index.astype(">i8").view(np.uint8).reshape(-1, 8)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], index[first], np.bincount(inverse.reshape(-1), weights=weight).astype(np.float64)


def duplicate(member: T) -> T:
    """A copy that shares the arrays: what is learnt is replaced, never changed. Faster than ``copy.copy`` of an estimator."""
    new = object.__new__(type(member))
    new.__dict__.update(member.__dict__)
    return new
