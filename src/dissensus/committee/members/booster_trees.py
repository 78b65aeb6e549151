"""XGBoost's trees as plain arrays: taken out of a booster, checked, and made into a booster again with the same margins.

XGBoost is only ever given a booster that is made of checked arrays. What a file calls trees is either these arrays, or (files
of version 0.1.0) XGBoost's own bytes, which :mod:`~dissensus.committee.members.ubjson` reads and this module checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from dissensus._fork import outside_openmp
from dissensus.committee.members.ubjson import read_ubjson, write_ubjson
from dissensus.errors import ModelFormatError, UntrustedModelError

__all__ = ["BoosterTrees"]

MAX_TREES: Final = 100_000
MAX_NODES: Final = 20_000_000
#: The parent of a root, as XGBoost writes it.
_NOBODY: Final = np.int32(2**31 - 1)


@dataclass(frozen=True, eq=False)
class BoosterTrees:
    """The trees of a booster for several classes; tree ``i`` belongs to class ``i % n_outputs``.

    Attributes
    ----------
    start : (n_trees + 1,) ndarray of int64
        Where the nodes of each tree begin.
    feature : (n_nodes,) ndarray of int32
        What a node asks; 0 in a leaf.
    value : (n_nodes,) ndarray of float32
        Threshold of a node (smaller goes left), or what a leaf adds.
    left, right : (n_nodes,) ndarray of int32
        Children within the tree; −1 in a leaf.
    missing_left : (n_nodes,) ndarray of uint8
        Whether a missing feature goes left.
    base : (1,) ndarray of float32
        Margin before the first tree.
    """

    start: NDArray[np.int64]
    feature: NDArray[np.int32]
    value: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.uint8]
    base: NDArray[np.float32]

    #: Part -> type and shape in a file.
    PARTS: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        "start": ("i8", ("S",)),
        "feature": ("i4", ("N",)),
        "value": ("f4", ("N",)),
        "left": ("i4", ("N",)),
        "right": ("i4", ("N",)),
        "missing_left": ("u1", ("N",)),
        "base": ("f4", ("1",)),
    }

    @classmethod
    def of(cls, booster: Any, n_outputs: int, n_features: int) -> Self:
        """Taken out of a booster."""
        return cls.from_model(
            read_ubjson(bytes(outside_openmp(lambda: booster.save_raw(raw_format="ubj")))), n_outputs, n_features
        )

    @classmethod
    def from_bytes(cls, raw: bytes, n_outputs: int, n_features: int) -> Self:
        """Read from XGBoost's own format, by a reader of ours.

        Raises
        ------
        ModelFormatError, UntrustedModelError
            The bytes are no trees for so many classes and features.
        """
        return cls.from_model(read_ubjson(raw), n_outputs, n_features)

    @classmethod
    def from_model(cls, model: Any, n_outputs: int, n_features: int) -> Self:
        """Taken from a model as XGBoost lays it out, and checked."""
        try:
            learner = model["learner"]
            about = learner["learner_model_param"]
            booster = learner["gradient_booster"]
            if booster["name"] != "gbtree" or not str(learner["objective"]["name"]).startswith("multi:soft"):
                raise UntrustedModelError("boosted trees of another kind than this release grows")
            if int(about["num_class"]) != n_outputs or int(about["num_feature"]) != n_features:
                raise ModelFormatError(
                    f"boosted trees for {about['num_class']} classes and {about['num_feature']} features; the committee has "
                    f"{n_outputs} and {n_features}"
                )
            trees = booster["model"]["trees"]
            info = np.asarray(booster["model"]["tree_info"], dtype=np.int64)
            if len(trees) > MAX_TREES:
                raise UntrustedModelError(f"{len(trees)} trees, more than the limit of {MAX_TREES}")
            if not np.array_equal(info, np.arange(len(trees)) % n_outputs):
                raise ModelFormatError("the trees are in another order than one of each class after the other")
            columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
            for tree in trees:
                if np.any(np.asarray(tree["split_type"])) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
                    raise UntrustedModelError("boosted trees of another kind than this release grows")
                for name, (theirs, dtype) in _COLUMNS.items():
                    columns[name].append(np.asarray(tree[theirs]).astype(dtype))
            base = _base_of(str(about["base_score"]))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            if isinstance(error, ModelFormatError):
                raise
            raise ModelFormatError(f"the boosted trees lack a part ({type(error).__name__}: {error})") from None
        sizes = {tuple(len(column[i]) for column in columns.values()) for i in range(len(trees))}
        if any(len(set(size)) != 1 for size in sizes):
            raise ModelFormatError("the columns of a boosted tree have different lengths")
        start = np.concatenate([[0], np.cumsum([len(column) for column in columns["feature"]])]).astype(np.int64)
        joined = {name: np.concatenate([np.empty(0, _COLUMNS[name][1]), *column]) for name, column in columns.items()}
        joined["feature"] = np.where(joined["left"] < 0, 0, joined["feature"]).astype(np.int32)
        found = cls(start=start, base=np.array([base], np.float32), **joined)
        found.check(n_outputs, n_features)
        return found

    def check(self, n_outputs: int, n_features: int) -> None:
        """Whether these are trees: bounds, finite numbers, each node the child of one, no circles.

        Raises
        ------
        ModelFormatError
            They are not.
        UntrustedModelError
            There are more than a model needs.
        """
        n_trees, n_nodes = len(self.start) - 1, len(self.feature)
        if n_trees > MAX_TREES or n_nodes > MAX_NODES:
            raise UntrustedModelError(f"{n_trees} trees of {n_nodes} nodes, more than a model needs")
        if n_trees < 0 or self.start[0] != 0 or self.start[-1] != n_nodes or (np.diff(self.start) < 1).any():
            raise ModelFormatError("the boosted trees do not cover their nodes")
        if n_trees % n_outputs:
            raise ModelFormatError(f"{n_trees} boosted trees for {n_outputs} classes")
        lengths = {len(part) for part in (self.value, self.left, self.right, self.missing_left)}
        if lengths != {n_nodes} or len(self.base) != 1:
            raise ModelFormatError("the columns of the boosted trees have different lengths")
        if not (np.isfinite(self.value).all() and np.isfinite(self.base).all()):
            raise ModelFormatError("a boosted tree holds a value that is not finite")
        if ((self.feature < 0) | (self.feature >= n_features)).any():
            raise ModelFormatError(f"a boosted tree asks for a feature beyond the {n_features} there are")
        if (self.missing_left > 1).any():
            raise ModelFormatError("a boosted tree's way of missing features is neither left nor right")
        place = np.arange(n_nodes, dtype=np.int64)
        tree = np.repeat(np.arange(n_trees), np.diff(self.start))
        first, size = self.start[tree], np.diff(self.start)[tree]
        leaf = self.left == -1
        if not np.array_equal(leaf, self.right == -1):
            raise ModelFormatError("a node of a boosted tree has one child")
        inner = ~leaf
        children = np.concatenate([self.left[inner], self.right[inner]]).astype(np.int64)
        parent = np.concatenate([place[inner], place[inner]])
        if ((children <= parent - first[parent]) | (children >= size[parent])).any():
            raise ModelFormatError("a boosted tree goes round in circles, or out of its nodes")
        seen = np.zeros(n_nodes, dtype=np.int64)
        np.add.at(seen, children + first[parent], 1)
        seen[self.start[:-1]] += 1
        if (seen != 1).any():
            raise ModelFormatError("a node of a boosted tree is the child of several, or of none")

    def booster(self, n_outputs: int, n_features: int) -> Any:
        """A booster with these trees, which :meth:`check` has seen: the same margins to the last bit."""
        import xgboost

        n_trees = len(self.start) - 1
        trees = [self._tree(i, n_features) for i in range(n_trees)]
        model = {
            "learner": {
                "attributes": {},
                "feature_names": [],
                "feature_types": [],
                "gradient_booster": {
                    "model": {
                        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(n_trees)},
                        "iteration_indptr": list(range(0, n_trees + 1, n_outputs)),
                        "tree_info": [i % n_outputs for i in range(n_trees)],
                        "trees": trees,
                    },
                    "name": "gbtree",
                },
                "learner_model_param": {
                    "base_score": repr(float(self.base[0])),
                    "boost_from_average": "0",
                    "num_class": str(n_outputs),
                    "num_feature": str(n_features),
                    "num_target": "1",
                },
                "objective": {
                    "name": "multi:softprob",
                    "softmax_multiclass_param": {"num_class": str(n_outputs)},
                },
            },
            "version": [int(part) for part in xgboost.__version__.split(".")[:3]],
        }
        made = xgboost.Booster()
        outside_openmp(lambda: made.load_model(bytearray(write_ubjson(model))))
        return made

    def _tree(self, i: int, n_features: int) -> dict[str, Any]:
        own = slice(int(self.start[i]), int(self.start[i + 1]))
        n = own.stop - own.start
        left, right = self.left[own], self.right[own]
        parents = np.full(n, _NOBODY, np.int32)
        inner = np.flatnonzero(left >= 0)
        parents[left[inner]] = inner
        parents[right[inner]] = inner
        nothing = np.zeros(n, np.float32)
        return {
            "base_weights": np.where(left < 0, self.value[own], np.float32(0)).astype(np.float32),
            "categories": np.empty(0, np.int32),
            "categories_nodes": np.empty(0, np.int32),
            "categories_segments": np.empty(0, np.int64),
            "categories_sizes": np.empty(0, np.int64),
            "default_left": self.missing_left[own],
            "id": i,
            "left_children": left,
            "loss_changes": nothing,
            "parents": parents,
            "right_children": right,
            "split_conditions": self.value[own],
            "split_indices": self.feature[own],
            "split_type": np.zeros(n, np.uint8),
            "sum_hessian": nothing,
            "tree_param": {
                "num_deleted": "0",
                "num_feature": str(n_features),
                "num_nodes": str(n),
                "size_leaf_vector": "1",
            },
        }

    def parts(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in self.PARTS}


#: Our column -> XGBoost's, and its type here.
_COLUMNS: Final[dict[str, tuple[str, Any]]] = {
    "feature": ("split_indices", np.int32),
    "value": ("split_conditions", np.float32),
    "left": ("left_children", np.int32),
    "right": ("right_children", np.int32),
    "missing_left": ("default_left", np.uint8),
}


def _base_of(text: str) -> float:
    """The margin before the first tree; newer releases of XGBoost write it once per class."""
    values = {float(part) for part in text.strip("[]").split(",")}
    if len(values) != 1:
        raise ModelFormatError("boosted trees that start from another margin for each class")
    return values.pop()
