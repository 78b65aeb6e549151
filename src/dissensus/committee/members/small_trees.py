"""Small trees on top of a large model: what boosting needs to follow one listener, in a millisecond.

XGBoost needs several for the same work, nearly all of it around the trees: matrices, configuration, copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dissensus._backend import resolve
from dissensus.errors import ModelFormatError

__all__ = ["Bins", "SmallTrees", "grow"]


#: Features that one tree may ask. More cost time and tell a few answers little.
MOST_FEATURES = 64


@dataclass(frozen=True, eq=False)
class Bins:
    """Where each feature is cut: ``cuts[f]`` rise, bin ``b`` holds the values from ``cuts[f][b - 1]`` to below ``cuts[f][b]``."""

    cuts: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, X: NDArray[np.float32], max_bin: int) -> Bins:
        """At most ``max_bin`` (and 256) bins a feature, about equally full, cut half-way between values that occur."""
        max_bin = min(max_bin, 256)
        cuts = []
        for column in X.T:
            values = np.unique(column)
            if len(values) > max_bin:
                values = np.unique(np.quantile(column, np.linspace(0.0, 1.0, max_bin), method="nearest"))
            between = values[:-1] + (values[1:] - values[:-1]) / np.float32(2)
            cuts.append(np.unique(np.maximum(between, np.nextafter(values[:-1], np.float32(np.inf)))))
        return cls(tuple(cuts))

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Bins of each feature."""
        return np.array([len(cuts) + 1 for cuts in self.cuts], dtype=np.int64)

    def index(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Bin of every value, ``(n_windows, n_features)``."""
        out = np.empty(X.shape, dtype=np.uint8)
        for f, cuts in enumerate(self.cuts):
            out[:, f] = np.searchsorted(cuts, X[:, f], side="right")
        return out


@dataclass(frozen=True, eq=False)
class SmallTrees:
    """Trees of equal depth, stored level by level; a leaf has a margin for every class.

    Attributes
    ----------
    feature : (n_trees, 2 ** depth - 1) ndarray of int64
        Feature of each inner node; −1 = not split, go left.
    threshold : (n_trees, 2 ** depth - 1) ndarray of float32
        Smaller values go left.
    leaf : (n_trees, 2 ** depth, n_classes) ndarray of float32
        Margins.
    """

    #: Type and shape of each array in a file: trees, inner nodes, leaves, classes.
    PARTS: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        "feature": ("i8", ("T", "M")),
        "threshold": ("f4", ("T", "M")),
        "leaf": ("f4", ("T", "L", "O")),
    }

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]

    @classmethod
    def checked(
        cls, feature: NDArray[Any], threshold: NDArray[Any], leaf: NDArray[Any], *, n_outputs: int, n_features: int
    ) -> SmallTrees:
        """Trees from a file whose every step stays inside the arrays.

        Raises
        ------
        ModelFormatError
            Arrays that do not fit together, or a tree that asks for a feature that is not there.
        """
        n_leaves = feature.shape[1] + 1
        if (
            threshold.shape != feature.shape
            or leaf.shape != (len(feature), n_leaves, n_outputs)
            or n_leaves & (n_leaves - 1)
        ):
            raise ModelFormatError("the trees of a correction do not fit together")
        if (feature < -1).any() or (feature >= n_features).any() or not np.isfinite(threshold).all():
            raise ModelFormatError(
                f"a tree of a correction asks for a feature outside 0..{n_features - 1}, or for no number"
            )
        return cls(feature.copy(), threshold.copy(), leaf.copy())

    def parts(self) -> dict[str, NDArray[Any]]:
        """The arrays by their names in a file."""
        return {name: getattr(self, name) for name in self.PARTS}

    def __len__(self) -> int:
        return len(self.feature)

    def add_to(self, margin: NDArray[np.float32], X: NDArray[np.float32]) -> NDArray[np.float32]:
        """``margin`` plus what the trees say about ``X``."""
        out = np.array(margin, dtype=np.float32, order="C")
        rows = np.ascontiguousarray(X, dtype=np.float32)
        resolve("predict_trees")(rows, self.feature, self.threshold, self.leaf, out)
        return out


@lru_cache(maxsize=256)
def _columns(n_features: int, n_trees: int, seed: int) -> NDArray[np.int64]:
    """Features of each tree, in order: all of them, or as many as allowed, drawn without replacement."""
    if n_features <= MOST_FEATURES:
        return np.tile(np.arange(n_features), (n_trees, 1))
    rng = np.random.default_rng(seed)
    return np.sort(np.argsort(rng.random((n_trees, n_features)), axis=1)[:, :MOST_FEATURES], axis=1)


def grow(
    bins: Bins,
    index: NDArray[np.uint8],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    margin: NDArray[np.float64],
    *,
    n_trees: int,
    depth: int,
    settings: tuple[float, float, float],
    seed: int = 0,
) -> SmallTrees:
    """Grow trees from these margins towards these probabilities.

    Parameters
    ----------
    bins, index
        Cuts, and the bin of every value, ``(n_windows, n_features)``.
    target, margin : (n_windows, n_classes) ndarray of float64
        Probabilities to reach; where the trees start from.
    weight : (n_windows,) ndarray of float64
        Of each window.
    n_trees, depth : int
        Size.
    settings : tuple of float
        Learning rate, L2 penalty of the leaves, least mean hessian of a child.
    seed : int
        Of the features that each tree may ask, ``MOST_FEATURES`` at most.
    """
    n_rows, n_classes = target.shape
    n_bins = bins.count
    column = _columns(len(n_bins), n_trees, seed)
    n_inner = 2**depth - 1
    feature = np.full((n_trees, n_inner), -1, dtype=np.int64)
    split = np.zeros((n_trees, n_inner), dtype=np.int64)
    leaf = np.zeros((n_trees, n_inner + 1, n_classes))
    resolve("grow_trees")(
        index, n_bins, column, target, weight, np.array(margin, dtype=np.float64), np.array(settings, dtype=np.float64),
        feature, split, leaf,
        np.zeros(n_rows, dtype=np.int64), np.zeros((n_rows, 2 * n_classes)),
        np.zeros((n_inner + 1, column.shape[1] * int(n_bins.max()), 2 * n_classes)),
    )  # fmt: skip
    threshold = np.zeros((n_trees, n_inner), dtype=np.float32)
    for tree, at in zip(*np.nonzero(feature >= 0), strict=True):
        threshold[tree, at] = bins.cuts[feature[tree, at]][split[tree, at]]
    return SmallTrees(feature, threshold, leaf.astype(np.float32))
