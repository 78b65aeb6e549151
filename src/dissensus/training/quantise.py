"""Static int8 quantisation of an exported CNN, with what it costs printed beside what it gains."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._files import write_bytes
from dissensus.committee.cnn import CnnModel
from dissensus.errors import ModelFormatError, ParameterError
from dissensus.training.export import with_metadata

__all__ = ["QuantisationCost", "quantise"]


@dataclass(frozen=True)
class QuantisationCost:
    """What int8 changes, measured on given chunks.

    Attributes
    ----------
    f1_float, f1_int8 : float
        Macro F1 over tracks of the members' mean; NaN without labels.
    agreement : float
        Share of tracks with the same most probable class.
    query_overlap : float
        Share of the ``n_query`` tracks of highest consensus entropy that both forms ask about.
    n_query : int
    max_abs : float
        Largest difference of a probability.
    speedup : float
        Time of float over time of int8 on these chunks, this machine and the thread budget in force.
    """

    f1_float: float
    f1_int8: float
    agreement: float
    query_overlap: float
    n_query: int
    max_abs: float
    speedup: float

    @property
    def acceptable(self) -> bool:
        """At most half a point of F1 lost and nine tenths of the queries kept."""
        lost = 0.0 if np.isnan(self.f1_float) else self.f1_float - self.f1_int8
        return lost <= 0.005 and self.query_overlap >= 0.9

    def __str__(self) -> str:
        f1 = "" if np.isnan(self.f1_float) else f"macro F1 {self.f1_float:.3f} -> {self.f1_int8:.3f}, "
        verdict = "kept" if self.acceptable else "MISSED: use the float model where ranking matters"
        return (
            f"int8: {self.speedup:.1f}x faster, {f1}same class on {self.agreement:.1%} of tracks, "
            f"top-{self.n_query} queries shared {self.query_overlap:.0%} ({verdict})"
        )


class _Reader:
    """Feeds calibration chunks to onnxruntime one batch at a time."""

    def __init__(self, name: str, chunks: NDArray[np.float32], batch_size: int = 8) -> None:
        self._batches = iter(
            {name: np.ascontiguousarray(chunks[i : i + batch_size])} for i in range(0, len(chunks), batch_size)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, or None at the end."""
        return next(self._batches, None)


def _track_mean(proba: NDArray[np.float32], tracks: NDArray[np.int64]) -> NDArray[np.float64]:
    mean = proba.mean(axis=1, dtype=np.float64)
    out = np.zeros((int(tracks.max()) + 1, mean.shape[1]))
    np.add.at(out, tracks, mean)
    return out / out.sum(axis=1, keepdims=True)


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return -(p * np.log(np.clip(p, 1e-12, 1.0))).sum(axis=1)


def _seconds(model: CnnModel, chunks: NDArray[np.float32]) -> float:
    model.predict(chunks[:2])
    times = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict(chunks)
        times.append(time.perf_counter() - start)
    return min(times)


def _keep_first_layer(path: Path) -> list[str]:
    """Put the pooling of the first layer before its ReLU and name the nodes up to there, which stay in float.

    One channel goes in, so int8 saves that layer no time, while its range, the whole range of the decibels, costs most of the
    precision. The order of the two does not change a value; with the ReLU behind, onnxruntime quantises the pooled picture
    instead of one four times as large.
    """
    import onnx

    proto = onnx.load(str(path))
    nodes = list(proto.graph.node)
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    chain = nodes[first : first + 3]
    if [node.op_type for node in chain] != ["Conv", "Relu", "MaxPool"]:
        raise ModelFormatError(
            f"the model starts with {[n.op_type for n in chain]}, not with the block of a short-chunk CNN"
        )
    conv, relu, pool = chain
    between, end = relu.output[0], pool.output[0]
    pool.input[0], pool.output[0] = conv.output[0], between
    relu.input[0], relu.output[0] = between, end
    nodes[first + 1], nodes[first + 2] = pool, relu
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(ordered)
    onnx.save(proto, str(path))
    return [node.name for node in ordered[: first + 3]]


def quantise(
    model: CnnModel,
    content: bytes,
    path: str | Path,
    *,
    calibration: NDArray[np.float32],
    check: NDArray[np.float32],
    check_tracks: NDArray[np.int64],
    check_labels: NDArray[np.int64] | None = None,
    n_query: int = 100,
) -> QuantisationCost:
    """Write a static int8 form (QDQ, per channel; the first layer stays in float) of a model and measure what it costs.

    Parameters
    ----------
    model, content : CnnModel and bytes
        The float model of form ``log_mel`` and its file.
    path : path-like
        Where the int8 form is written.
    calibration : (n, 1, n_mels, n_frames) array of float32
        Chunks of *training* audio, from which the ranges of the activations are read.
    check : (m, 1, n_mels, n_frames) array of float32
        Chunks on which both forms are compared.
    check_tracks : (m,) array of int
        Track of each chunk.
    check_labels : (n_tracks,) array of int, optional
        Class of each track, for the change in F1.
    n_query : int
        Length of the query that is compared; at most a third of the tracks.

    Returns
    -------
    QuantisationCost
    """
    from onnx import load_from_string
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from sklearn.metrics import f1_score

    if model.form != "log_mel":
        raise ParameterError("only the log-mel form is quantised: the front end of the waveform form needs float range")
    if len(calibration) < 8:
        raise ParameterError(f"{len(calibration)} calibration chunks are too few; give at least 8, better 100")
    with tempfile.TemporaryDirectory() as folder:
        raw, prepared, small = (Path(folder) / name for name in ("raw.onnx", "prepared.onnx", "small.onnx"))
        raw.write_bytes(content)
        quant_pre_process(str(raw), str(prepared), skip_symbolic_shape=True)
        in_float = _keep_first_layer(prepared)
        quantize_static(
            str(prepared), str(small), _Reader(model.form, np.asarray(calibration, dtype=np.float32)),
            quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu"],
            nodes_to_exclude=in_float,
        )  # fmt: skip
        proto: Any = load_from_string(small.read_bytes())
    about = dict(model.metadata) | {
        "precision": "int8 static, QDQ, per channel, first layer in float",
        "calibration_chunks": len(calibration),
    }
    about.pop("parity_max_abs", None)
    quantised = CnnModel(with_metadata(proto, about), provider="cpu")
    reference = CnnModel(content, provider="cpu")
    p_float, _ = reference.predict(check)
    p_small, _ = quantised.predict(check)
    tracks = np.asarray(check_tracks)
    mean_float, mean_small = _track_mean(p_float, tracks), _track_mean(p_small, tracks)
    n_query = max(1, min(n_query, len(mean_float) // 3))
    ranked = [set(np.argsort(-_entropy(p), kind="stable")[:n_query].tolist()) for p in (mean_float, mean_small)]
    scores = [float("nan")] * 2
    if check_labels is not None:
        every = list(range(len(model.classes)))
        scores = [
            float(f1_score(check_labels, p.argmax(axis=1), labels=every, average="macro", zero_division=0))
            for p in (mean_float, mean_small)
        ]
    timed = check[: min(len(check), 64)]
    cost = QuantisationCost(
        f1_float=scores[0], f1_int8=scores[1],
        agreement=float((mean_float.argmax(axis=1) == mean_small.argmax(axis=1)).mean()),
        query_overlap=len(ranked[0] & ranked[1]) / n_query, n_query=n_query,
        max_abs=float(np.abs(p_float - p_small).max()),
        speedup=_seconds(reference, timed) / _seconds(quantised, timed),
    )  # fmt: skip
    about["quantisation"] = json.loads(json.dumps(cost.__dict__))
    write_bytes(path, with_metadata(proto, about))
    return cost
