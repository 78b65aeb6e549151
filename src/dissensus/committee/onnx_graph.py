"""A look into an ONNX file before anything runs it: which operators, how large, nothing outside the file.

onnxruntime offers no such look and the ``onnx`` package is not a run-time dependency, so the few protobuf fields that matter
are read here directly. Anything unexpected is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dissensus.errors import ModelFormatError, UntrustedModelError

__all__ = ["ALLOWED_OPERATORS", "GraphSummary", "check_graph"]

#: What a convolutional classifier with a log-mel front end needs, in float or in quantised form.
ALLOWED_OPERATORS = frozenset(
    """Add AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv DequantizeLinear Div Dropout Exp Expand
    Flatten Gather Gemm GlobalAveragePool GlobalMaxPool Identity Log MatMul Max MaxPool Mul Pad Pow QuantizeLinear ReduceMax
    ReduceMean Relu Reshape Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze""".split()
)

MAX_BYTES = 256 * 1024 * 1024
MAX_NODES = 10_000


@dataclass
class GraphSummary:
    """What :func:`check_graph` saw."""

    operators: dict[str, int] = field(default_factory=dict)
    n_nodes: int = 0
    n_weights: int = 0
    weight_bytes: int = 0
    opset: int = 0
    metadata: dict[str, str] = field(default_factory=dict)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ModelFormatError("damaged protobuf: a number runs over the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    """Fields of one message: number, wire type, and its bytes or number."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire == 1:
            size = 8
        elif wire == 5:
            size = 4
        else:
            raise ModelFormatError(f"damaged protobuf: wire type {wire}")
        if at + size > len(data):
            raise ModelFormatError("damaged protobuf: a field runs over the end")
        yield number, wire, data[at : at + size]
        at += size


def _messages(data: memoryview, number: int) -> Iterator[memoryview]:
    for found, _, value in _fields(data):
        if found == number and isinstance(value, memoryview):
            yield value


def _text(data: memoryview, number: int) -> str:
    for value in _messages(data, number):
        return bytes(value).decode("utf-8", "replace")
    return ""


def _check_tensor(tensor: memoryview, summary: GraphSummary) -> None:
    for number, _, value in _fields(tensor):
        if number == 13 or (number == 14 and value != 0):
            raise UntrustedModelError(
                "a weight lies outside the file (external data); only self-contained files are read"
            )
    summary.n_weights += 1
    summary.weight_bytes += len(tensor)


def _check_node(node: memoryview, summary: GraphSummary) -> None:
    operator, domain = _text(node, 4), _text(node, 7)
    if domain not in ("", "ai.onnx"):
        raise UntrustedModelError(
            f"operator {operator!r} comes from domain {domain!r}; only standard operators are run"
        )
    if operator not in ALLOWED_OPERATORS:
        raise UntrustedModelError(f"operator {operator!r} is not on the list of those a CNN member may use")
    summary.n_nodes += 1
    if summary.n_nodes > MAX_NODES:
        raise UntrustedModelError(f"more than {MAX_NODES} nodes")
    summary.operators[operator] = summary.operators.get(operator, 0) + 1
    for attribute in _messages(node, 5):
        for number, _, value in _fields(attribute):
            if number in (6, 11, 22, 23):
                raise UntrustedModelError(f"operator {operator!r} holds a graph or a sparse tensor of its own")
            if number in (5, 10) and isinstance(value, memoryview):
                _check_tensor(value, summary)


def check_graph(content: bytes, *, max_bytes: int = MAX_BYTES) -> GraphSummary:
    """Read an ONNX model's structure and refuse what a model file has no business holding.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_bytes : int
        Largest file accepted.

    Returns
    -------
    GraphSummary
        Operators with their counts, number and size of the weights, opset, metadata.

    Raises
    ------
    ModelFormatError
        Not an ONNX file, or a damaged one.
    UntrustedModelError
        Too large, an operator that is not on the list, functions or graphs within, or weights outside the file.
    """
    if len(content) > max_bytes:
        raise UntrustedModelError(f"the model has {len(content)} bytes, more than the limit of {max_bytes}")
    summary = GraphSummary()
    graphs = 0
    for number, _, value in _fields(memoryview(content)):
        if number == 7 and isinstance(value, memoryview):
            graphs += 1
            for inner, _, part in _fields(value):
                if not isinstance(part, memoryview):
                    continue
                if inner == 1:
                    _check_node(part, summary)
                elif inner == 5:
                    _check_tensor(part, summary)
                elif inner == 15:
                    raise UntrustedModelError("the graph holds sparse weights")
        elif number == 8 and isinstance(value, memoryview):
            if _text(value, 1) in ("", "ai.onnx"):
                summary.opset = next((int(v) for n, _, v in _fields(value) if n == 2 and isinstance(v, int)), 0)
        elif number == 14 and isinstance(value, memoryview):
            summary.metadata[_text(value, 1)] = _text(value, 2)
        elif number in (20, 25):
            raise UntrustedModelError("the model holds training information or functions of its own")
    if graphs != 1 or summary.n_nodes == 0:
        raise ModelFormatError("not an ONNX model: it holds no graph")
    return summary
