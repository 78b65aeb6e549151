"""Emotions of a clip as a set of labels that a group of listeners gives it, and how well windows of sound predict them.

The published experiment drew folds over windows: windows of one clip, which overlap, were on both sides. The folds here
can be drawn so, to show what that does, and over clips, which is the number to trust.

References
----------
.. [1] Gómez-Cañón, Cano, Herrera & Gómez, "Joyful for you and tender for us", ISMIR 2020, Table 4.
.. [2] Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", ECML 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_float, check_count
from dissensus.agreement.groups import RatingTable
from dissensus.errors import ParameterError

__all__ = ["FOLDS", "MultilabelScores", "classify_windows", "iterative_folds", "jaccard", "label_sets"]

#: How windows are dealt to folds: as published, and by clip.
FOLDS: Final = ("windows", "clips")


def label_sets(
    table: RatingTable, items: Sequence[str], keep: NDArray[np.bool_] | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The items that a group gives each clip: those whose most frequent rating is the highest of the clip.

    Parameters
    ----------
    table : RatingTable
        With a column of whole numbers >= 0 for each item.
    items : sequence of str
    keep : (n,) ndarray of bool, optional
        The group; default: everybody.

    Returns
    -------
    units : (n_units,) ndarray
        Sorted; all of the table.
    sets : (n_units, n_items) ndarray of bool
        The smallest of equally frequent ratings counts. A clip that nobody of the group rated has no item.

    Raises
    ------
    ParameterError
        A rating that is not a whole number >= 0.
    """
    units = np.unique(table.unit)
    mode = np.full((len(units), len(items)), -1, dtype=np.int64)
    for j, item in enumerate(items):
        matrix = table.matrix(item, keep)
        given = matrix[~np.isnan(matrix)]
        if (given < 0).any() or (given != np.round(given)).any():
            raise ParameterError(f"{item}: ratings must be whole numbers >= 0")
        for i, column in enumerate(matrix.T):
            said = column[~np.isnan(column)].astype(np.int64)
            if len(said):
                mode[i, j] = np.bincount(said).argmax()
    top = mode.max(axis=1, keepdims=True)
    return units, (mode == top) & (top >= 0)


def jaccard(a: ArrayLike, b: ArrayLike) -> float:
    """Mean over rows of common labels over labels of either; a row without any label in both counts 1.

    Examples
    --------
    >>> jaccard([[True, True, False], [False, True, False]], [[True, False, False], [False, True, False]])
    0.75
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape or first.ndim != 2:
        raise ParameterError(f"both must be (n_rows, n_labels); got {first.shape} and {second.shape}")
    either = (first | second).sum(axis=1)
    return float(np.where(either > 0, (first & second).sum(axis=1) / np.maximum(either, 1), 1.0).mean())


def iterative_folds(labels: ArrayLike, n_folds: int = 5, *, random_state: int = 0) -> NDArray[np.int64]:
    """Deal rows to folds so that every label is spread evenly: the rarest label first (first-order stratification).

    Parameters
    ----------
    labels : (n_rows, n_labels) array_like of bool
    n_folds : int
    random_state : int
        Decides among rows and folds that are equal otherwise.

    Returns
    -------
    (n_rows,) ndarray of int64
        Fold of each row.

    Examples
    --------
    >>> folds = iterative_folds([[1, 0]] * 4 + [[0, 1]] * 2, 2)
    >>> np.bincount(folds[:4]).tolist(), np.bincount(folds[4:]).tolist()
    ([2, 2], [1, 1])
    """
    Y = np.asarray(labels, dtype=bool)
    check_count(n_folds, "n_folds", minimum=2)
    if Y.ndim != 2 or len(Y) < n_folds:
        raise ParameterError(f"labels must be (n_rows, n_labels) with {n_folds} rows or more; got {Y.shape}")
    rng = np.random.default_rng(random_state)
    fold = np.full(len(Y), -1, dtype=np.int64)
    room = np.full(n_folds, len(Y) / n_folds)
    wanted = np.tile(Y.sum(axis=0) / n_folds, (n_folds, 1))
    while True:
        left = (fold < 0)[:, None] & Y
        count = left.sum(axis=0)
        if not count.any():
            break
        label = int(np.where(count > 0, count, len(Y) + 1).argmin())
        for row in rng.permutation(np.flatnonzero(left[:, label])):
            tie = rng.random(n_folds)
            chosen = int(np.lexsort((tie, -room, -wanted[:, label]))[0])
            fold[row] = chosen
            room[chosen] -= 1
            wanted[chosen] -= Y[row]
    for row in rng.permutation(np.flatnonzero(fold < 0)):
        chosen = int(np.lexsort((rng.random(n_folds), -room))[0])
        fold[row] = chosen
        room[chosen] -= 1
    return fold


@dataclass(frozen=True)
class MultilabelScores:
    """Macro precision, recall and F1 over the labels, of predictions gathered over the folds."""

    precision: float
    recall: float
    f1: float
    folds: str

    def __str__(self) -> str:
        paper = " (as published: windows of one clip on both sides)" if self.folds == "windows" else ""
        return f"P {self.precision:.3f} R {self.recall:.3f} F1 {self.f1:.3f}, folds over {self.folds}{paper}"


def classify_windows(
    X: ArrayLike,
    clip: ArrayLike,
    labels: ArrayLike,
    *,
    folds: str,
    n_folds: int = 5,
    n_components: int = 8,
    random_state: int = 0,
) -> MultilabelScores:
    """Predict sets of labels from windows of sound: PCA, then a support vector machine a label (RBF, C 10, gamma .001).

    Parameters
    ----------
    X : (n_windows, n_features) array_like of float
    clip : (n_windows,) array_like
        Clip of each window.
    labels : (n_windows, n_labels) array_like of bool
        The labels of its clip.
    folds : {"windows", "clips"}
        ``"windows"``: as published, scaler and PCA over everything, windows of one clip on both sides. ``"clips"``: whole
        clips, scaler and PCA from the training side.
    n_folds, n_components, random_state
        Folds, components kept (as far as there are), seed of the folds.

    Returns
    -------
    MultilabelScores

    Raises
    ------
    ParameterError
        Other folds, shapes that do not fit, or fewer clips than folds.
    """
    from sklearn.decomposition import PCA
    from sklearn.metrics import precision_recall_fscore_support
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if folds not in FOLDS:
        raise ParameterError(f"folds={folds!r}: must be 'windows' or 'clips'")
    features, Y = as_float(X, "X").astype(np.float64), np.asarray(labels, dtype=bool)
    names, of = np.unique(np.asarray(clip), return_inverse=True)
    of = of.reshape(-1)
    if features.ndim != 2 or Y.ndim != 2 or not len(features) == len(Y) == len(of):
        raise ParameterError(f"X {features.shape}, labels {Y.shape} and {len(of)} clips must have one row per window")
    components = PCA(min(n_components, *features.shape), svd_solver="full")
    if folds == "windows":
        fold = iterative_folds(Y, n_folds, random_state=random_state)
        features = make_pipeline(StandardScaler(), components).fit_transform(features)
    else:
        first = np.array([np.flatnonzero(of == k)[0] for k in range(len(names))])
        fold = iterative_folds(Y[first], n_folds, random_state=random_state)[of]
    predicted = np.zeros_like(Y)
    for k in range(n_folds):
        train, test = fold != k, fold == k
        side = features
        if folds == "clips":
            fitted = make_pipeline(StandardScaler(), PCA(min(n_components, *features[train].shape)))
            side = fitted.fit(features[train]).transform(features)
        for j in range(Y.shape[1]):
            if Y[train, j].all() or not Y[train, j].any():
                predicted[test, j] = Y[train, j].any()
                continue
            predicted[test, j] = SVC(C=10.0, gamma=0.001).fit(side[train], Y[train, j]).predict(side[test])
    precision, recall, f1, _ = precision_recall_fscore_support(Y, predicted, average="macro", zero_division=0.0)
    return MultilabelScores(float(precision), float(recall), float(f1), folds)
