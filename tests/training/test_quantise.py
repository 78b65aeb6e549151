"""Static int8: what stays in float, that it computes nearly the same, that the cost it states is the cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.committee.cnn import CnnModel
from dissensus.errors import ModelFormatError, ParameterError

torch = pytest.importorskip("torch", reason="models are quantised with the `train` extra")
onnx = pytest.importorskip("onnx", reason="models are quantised with the `train` extra")

from dissensus.training.export import export_onnx  # noqa: E402
from dissensus.training.quantise import QuantisationCost, _keep_first_layer, quantise  # noqa: E402
from dissensus.training.short_chunk import ShortChunkCNN  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of onnxruntime's quantiser


@pytest.fixture(scope="module")
def chunks() -> np.ndarray:
    level = np.linspace(-10, -50, 128)[:, None]
    return (level + 8 * np.random.default_rng(0).standard_normal((12, 1, 128, 231))).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    target = tmp_path_factory.mktemp("int8") / "float.onnx"
    export_onnx([ShortChunkCNN(width=4).eval()], target)
    return target


def test_it_computes_nearly_the_same_and_states_the_difference(path: Path, chunks: np.ndarray) -> None:
    model, target = CnnModel.load(path, provider="cpu"), path.with_name("int8.onnx")
    tracks, labels = np.arange(12) // 2, np.arange(6) % 4
    cost = quantise(
        model, path.read_bytes(), target, calibration=chunks, check=chunks, check_tracks=tracks, check_labels=labels
    )
    small = CnnModel.load(target, provider="cpu")
    expected, found = model.predict(chunks)[0], small.predict(chunks)[0]
    assert cost.max_abs == pytest.approx(np.abs(found - expected).max(), abs=1e-6)
    assert 0 < cost.max_abs < 0.1
    assert cost.n_query == 2
    assert small.metadata["precision"].startswith("int8")
    assert small.metadata["quantisation"]["query_overlap"] == cost.query_overlap
    assert small.graph.operators["QuantizeLinear"] > 5


def test_the_first_layer_stays_in_float(path: Path, chunks: np.ndarray, tmp_path: Path) -> None:
    model, target = CnnModel.load(path, provider="cpu"), tmp_path / "int8.onnx"
    quantise(model, path.read_bytes(), target, calibration=chunks, check=chunks, check_tracks=np.arange(12))
    order = [node.op_type for node in onnx.load(str(target)).graph.node]
    begin = order.index("Conv")
    assert order[begin : begin + 3] == ["Conv", "MaxPool", "Relu"]
    assert "QuantizeLinear" not in [op for op in order[:begin] if op != "DequantizeLinear"]
    assert order.count("Conv") == 7


def test_pooling_before_the_relu_changes_nothing(path: Path, chunks: np.ndarray, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(path.read_bytes())
    names = _keep_first_layer(copy)
    assert len(names) == 4
    np.testing.assert_allclose(
        CnnModel.load(copy, provider="cpu").predict(chunks)[0],
        CnnModel.load(path, provider="cpu").predict(chunks)[0],
        atol=1e-6,
    )
    with pytest.raises(ModelFormatError, match="not with the block"):
        _keep_first_layer(copy)


def test_a_miss_is_called_a_miss() -> None:
    good = QuantisationCost(0.8, 0.797, 0.99, 0.95, 100, 0.05, 3.0)
    assert good.acceptable and "(kept)" in str(good)
    for bad in (
        QuantisationCost(0.8, 0.79, 0.99, 0.95, 100, 0.05, 3.0),
        QuantisationCost(0.8, 0.8, 0.99, 0.89, 100, 0.05, 3.0),
    ):
        assert not bad.acceptable and "MISSED" in str(bad)


def test_what_cannot_be_quantised_is_refused(path: Path, chunks: np.ndarray, tmp_path: Path) -> None:
    model = CnnModel.load(path, provider="cpu")
    with pytest.raises(ParameterError, match="too few"):
        quantise(
            model, path.read_bytes(), tmp_path / "x.onnx", calibration=chunks[:3], check=chunks,
            check_tracks=np.arange(12),
        )  # fmt: skip
