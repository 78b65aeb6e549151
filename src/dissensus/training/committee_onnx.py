"""A committee of features as one ONNX file: standardisation, linear members and trees, checked against the committee itself.

Built node by node from what the members hold, without converters: a linear member is two matrix products, boosted trees are the
operator ``TreeEnsembleRegressor`` of ``ai.onnx.ml``. It needs no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus._files import write_bytes
from dissensus.committee import BoostedTrees, Committee
from dissensus.committee.linear_votes import is_linear
from dissensus.committee.members.small_trees import SmallTrees
from dissensus.errors import MissingDependencyError, ModelFormatError, ParameterError

__all__ = ["ExportedCommittee", "committee_to_onnx"]

#: Largest difference of a probability that is let through; trees are asked in float32 as by the committee.
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class ExportedCommittee:
    """What was written.

    Attributes
    ----------
    path : Path
    n_bytes : int
    largest_difference : float
        Of a probability, against the committee, over windows drawn around its scaler's mean.
    """

    path: Path
    n_bytes: int
    largest_difference: float


@dataclass
class _Graph:
    """Nodes and constants as they are added; names are numbered."""

    onnx: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def committee_to_onnx(committee: Committee, path: str | Path) -> ExportedCommittee:
    """Write a committee as an ONNX file that any runtime with ``ai.onnx.ml`` can run.

    Parameters
    ----------
    committee : Committee
        Pre-trained or personalised; of naive Bayes, logistic, anchored and boosted members.
    path : str or path
        The file.

    Returns
    -------
    ExportedCommittee

    Raises
    ------
    MissingDependencyError
        The package onnx is missing.
    ParameterError
        A member of another kind.
    ModelFormatError
        The file does not say what the committee says; nothing is written.

    Notes
    -----
    Input ``X``, float32 ``(n_windows, n_features)``, raw features in the order of ``feature_names``. Outputs ``proba``, float32
    ``(n_windows, n_members, n_classes)``, and ``mean``, ``(n_windows, n_classes)``, over the members. A track's probabilities are
    the mean over its windows. Classes, names of features and their fingerprint are in the file's metadata.

    Examples
    --------
    >>> import tempfile
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> committee = Committee.pretrain(X, np.arange(60) % 3, np.arange(60), kinds=("gnb", "sgd"), n_folds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     committee_to_onnx(committee, Path(folder, "committee.onnx")).largest_difference < 1e-4
    True
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError(
            "a committee is exported with onnx: pip install 'dissensus[onnx-export]'"
        ) from None
    strange = [
        kind
        for member, kind in zip(committee.members, committee.member_kinds, strict=True)
        if not is_linear(member) and type(member) is not BoostedTrees
    ]
    if strange:
        raise ParameterError(
            f"members of kind {', '.join(sorted(set(strange)))} have no ONNX form here; linear members and boosted trees have"
        )
    content = _model(onnx, committee).SerializeToString()
    difference = _compare(committee, content)
    if not difference <= _TOLERANCE:
        raise ModelFormatError(
            f"{path}: the file differs from the committee by {difference:.1e} in a probability; not written"
        )
    write_bytes(path, content)
    return ExportedCommittee(Path(path), len(content), difference)


def _model(onnx: Any, committee: Committee) -> Any:
    make, kinds = onnx.helper, onnx.TensorProto
    graph = _Graph(onnx)
    mean, inverse = committee.scaling
    centred = graph.add("Sub", graph.add("Cast", "X", to=kinds.DOUBLE), graph.constant(np.asarray(mean, np.float64)))
    scaled = graph.add("Mul", centred, graph.constant(np.asarray(inverse, np.float64)))
    single = graph.add("Cast", scaled, to=kinds.FLOAT)
    rounded = graph.add("Cast", single, to=kinds.DOUBLE)  # members are asked about float32 windows
    squares = graph.add("Mul", rounded, rounded)
    axis = graph.constant(np.array([1], dtype=np.int64))
    votes = []
    for i, member in enumerate(committee.members):
        proba = (
            _linear(graph, member, rounded, squares) if is_linear(member) else _boosted(graph, member, single, kinds)
        )
        columns = committee.member_columns[i]
        if columns is not None:
            proba = graph.add("Gather", proba, graph.constant(np.asarray(columns, np.int64)), axis=1)
        votes.append(graph.add("Unsqueeze", proba, axis))
    together = graph.add("Concat", *votes, axis=1)
    graph.nodes.append(make.make_node("Cast", [together], ["proba"], to=kinds.FLOAT))
    over = graph.add("ReduceMean", together, axes=[1], keepdims=0)
    graph.nodes.append(make.make_node("Cast", [over], ["mean"], to=kinds.FLOAT))
    n_classes = len(committee.classes_)
    made = make.make_graph(
        graph.nodes,
        "committee",
        [make.make_tensor_value_info("X", kinds.FLOAT, ["n_windows", committee.n_features_in_])],
        [
            make.make_tensor_value_info("proba", kinds.FLOAT, ["n_windows", committee.n_members, n_classes]),
            make.make_tensor_value_info("mean", kinds.FLOAT, ["n_windows", n_classes]),
        ],
        graph.constants,
    )
    opsets = [make.make_opsetid("", 17), make.make_opsetid("ai.onnx.ml", 3)]
    model = make.make_model(made, opset_imports=opsets, ir_version=8, producer_name="dissensus")
    about = {
        "classes": committee.classes_.tolist(),
        "members": list(committee.member_kinds),
        "feature_names": committee.feature_names,
        "fingerprint": committee.fingerprint,
    }
    make.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    onnx.checker.check_model(model)
    return model


def _linear(graph: _Graph, member: Any, windows: str, squares: str) -> str:
    quadratic, linear, constant = member.linear_form()
    score = graph.add("MatMul", windows, graph.constant(np.asarray(linear, np.float64)))
    if np.any(quadratic):
        score = graph.add("Add", score, graph.add("MatMul", squares, graph.constant(np.asarray(quadratic, np.float64))))
    score = graph.add("Add", score, graph.constant(np.asarray(constant, np.float64).reshape(1, -1)))
    if member.SQUASH == "softmax":
        return graph.add("Softmax", score, axis=1)
    each = graph.add("Sigmoid", score)
    total = graph.add("ReduceSum", each, graph.constant(np.array([1], dtype=np.int64)), keepdims=1)
    return graph.add("Div", each, total)


def _boosted(graph: _Graph, member: BoostedTrees, windows: str, kinds: Any) -> str:
    n_outputs, n_classes = member._n_outputs, len(member.classes_)
    parts = member.held_parts()
    sums = []
    if member.booster_ is not None:
        booster = {name.removeprefix("fit."): array for name, array in parts.items() if name.startswith("fit.")}
        sums.append(_ensemble(graph, windows, n_outputs, _booster_nodes(booster, n_outputs), float(booster["base"][0])))
    for trees in (*member.continued_, member.correction_):
        if trees is not None and len(trees):
            sums.append(_ensemble(graph, windows, n_outputs, _small_nodes(trees), 0.0))
    if not sums:  # knows nothing: every class alike
        zeros = graph.constant(np.zeros((member.n_features_in_, n_outputs), dtype=np.float32))
        sums.append(graph.add("MatMul", windows, zeros))
    margin = sums[0]
    for more in sums[1:]:
        margin = graph.add("Add", margin, more)
    if n_outputs != n_classes:
        margin = graph.add("Gather", margin, graph.constant(np.arange(n_classes)), axis=1)
    return graph.add("Cast", graph.add("Softmax", margin, axis=1), to=kinds.DOUBLE)


def _ensemble(graph: _Graph, windows: str, n_outputs: int, nodes: dict[str, list[Any]], base: float) -> str:
    return graph.add(
        "TreeEnsembleRegressor",
        windows,
        domain="ai.onnx.ml",
        n_targets=n_outputs,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[base] * n_outputs,
        **nodes,
    )


def _empty() -> dict[str, list[Any]]:
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    return {f"nodes_{name}": [] for name in names} | {
        f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")
    }


def _node(out: dict[str, list[Any]], tree: int, node: int, feature: int, value: float, left: int, right: int) -> None:
    leaf = left < 0
    row = (tree, node, feature, "LEAF" if leaf else "BRANCH_LT", value, max(left, 0), max(right, 0))
    for name, what in zip(
        ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"), row, strict=True
    ):
        out[f"nodes_{name}"].append(what)


def _target(out: dict[str, list[Any]], tree: int, node: int, which: int, weight: float) -> None:
    for name, what in zip(("treeids", "nodeids", "ids", "weights"), (tree, node, which, weight), strict=True):
        out[f"target_{name}"].append(what)


def _booster_nodes(booster: dict[str, NDArray[Any]], n_outputs: int) -> dict[str, list[Any]]:
    """XGBoost's trees: tree ``i`` adds to class ``i % n_outputs``."""
    out = _empty()
    start = booster["start"].tolist()
    for tree, (first, last) in enumerate(pairwise(start)):
        for node in range(last - first):
            at = first + node
            left, value = int(booster["left"][at]), float(booster["value"][at])
            _node(
                out,
                tree,
                node,
                int(booster["feature"][at]),
                0.0 if left < 0 else value,
                left,
                int(booster["right"][at]),
            )
            if left < 0:
                _target(out, tree, node, tree % n_outputs, value)
    return out


def _small_nodes(trees: SmallTrees) -> dict[str, list[Any]]:
    """Our trees: level by level, a leaf adds to every class."""
    out = _empty()
    n_inner = trees.feature.shape[1]
    everything = float(np.finfo(np.float32).max)  # not split: every number is smaller, go left
    for tree in range(len(trees)):
        for node in range(n_inner):
            feature = int(trees.feature[tree, node])
            value = everything if feature < 0 else float(trees.threshold[tree, node])
            _node(out, tree, node, max(feature, 0), value, 2 * node + 1, 2 * node + 2)
        for leaf in range(n_inner + 1):
            _node(out, tree, n_inner + leaf, 0, 0.0, -1, -1)
            for which in range(trees.leaf.shape[2]):
                _target(out, tree, n_inner + leaf, which, float(trees.leaf[tree, leaf, which]))
    return out


def _compare(committee: Committee, content: bytes) -> float:
    """Largest difference to the committee, as onnxruntime runs the file."""
    import onnxruntime

    mean, inverse = committee.scaling
    spread = np.random.default_rng(0).normal(size=(500, committee.n_features_in_)) * 2.0
    windows = (np.asarray(mean) + spread / np.where(np.asarray(inverse) > 0, inverse, 1.0)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(["proba"], {"X": windows})[0].transpose(1, 0, 2)
    return float(np.abs(found - committee.predict_proba(windows)).max(initial=0.0))
