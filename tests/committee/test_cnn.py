"""Running an exported CNN: parity with torch, what is refused, no torch in the process that scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dissensus.committee.cnn import CnnModel
from dissensus.committee.onnx_graph import check_graph
from dissensus.errors import ModelFormatError, ParameterError, UntrustedModelError

torch = pytest.importorskip("torch", reason="models are exported with the `train` extra")
onnx = pytest.importorskip("onnx", reason="models are exported with the `train` extra")

from dissensus.training.export import export_onnx, shared_trunk  # noqa: E402
from dissensus.training.short_chunk import CHUNK_SAMPLES, LogMelFrontEnd, ShortChunkCNN  # noqa: E402


@pytest.fixture(scope="module")
def members() -> list[ShortChunkCNN]:
    torch.manual_seed(0)
    first, second = ShortChunkCNN(width=3).eval(), ShortChunkCNN(width=3).eval()
    state = second.state_dict()
    state.update({k: v for k, v in first.state_dict().items() if not k.startswith("dense2.")})
    second.load_state_dict(state)
    return [first, second]


@pytest.fixture(scope="module")
def path(members: list[ShortChunkCNN], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("cnn") / "two.onnx"
    export_onnx(members, target, licence="Apache-2.0", data_id="none")
    return target


def test_two_members_share_a_trunk_and_equal_torch(members: list[ShortChunkCNN], path: Path) -> None:
    model = CnnModel.load(path)
    assert (model.n_members, model.classes, model.embedding_size) == (2, ("Q1", "Q2", "Q3", "Q4"), 12)
    assert model.metadata["parity_max_abs"] <= 1e-4
    assert model.metadata["licence"] == "Apache-2.0"
    assert b"short_chunk.py" not in path.read_bytes()  # nothing of the sources it was made by
    signal = torch.randn(5, CHUNK_SAMPLES) * 0.1
    with torch.no_grad():
        log_mel = LogMelFrontEnd()(signal)
        expected = torch.stack([m(log_mel) for m in members], dim=1).numpy()
        embedding = members[0].embed(log_mel).numpy()
    proba, ours = model.predict(log_mel.numpy(), batch_size=2)
    np.testing.assert_allclose(proba, expected, atol=1e-4)
    np.testing.assert_allclose(ours, embedding, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(proba.sum(axis=2), 1.0, rtol=1e-6)


def test_a_batch_equals_its_rows(path: Path) -> None:
    model = CnnModel.load(path, provider="cpu")
    x = np.random.default_rng(0).standard_normal((7, 128, 231)).astype(np.float32)
    whole, _ = model.predict(x)
    singles = np.concatenate([model.predict(x[i : i + 1])[0] for i in range(7)])
    np.testing.assert_allclose(whole, singles, atol=1e-6)


def test_the_waveform_form_stands_alone(members: list[ShortChunkCNN], tmp_path: Path) -> None:
    model = export_onnx(members, tmp_path / "wave.onnx", form="signal")
    signal = (torch.randn(3, CHUNK_SAMPLES) * 0.1).numpy()
    with torch.no_grad():
        expected = members[1](LogMelFrontEnd()(torch.from_numpy(signal))).numpy()
    np.testing.assert_allclose(model.predict(signal)[0][:, 1], expected, atol=1e-4)


def test_members_with_other_trunks_need_files_of_their_own(members: list[ShortChunkCNN]) -> None:
    with pytest.raises(ParameterError, match="does not share the trunk"):
        shared_trunk([members[0], ShortChunkCNN(width=3)])


def test_export_that_differs_is_not_written(
    members: list[ShortChunkCNN], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dissensus.training import export

    monkeypatch.setattr(export, "PARITY", -1.0)
    with pytest.raises(ModelFormatError, match="differ by"):
        export_onnx(members, tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_input_is_checked(path: Path) -> None:
    model = CnnModel.load(path)
    with pytest.raises(ParameterError, match="4-d chunks"):
        model.predict(np.zeros((2, 5)))
    with pytest.raises(ParameterError, match="chunks must be"):
        model.predict(np.zeros((2, 1, 128, 99)))
    with pytest.raises(ParameterError, match="not finite"):
        model.predict(np.full((1, 1, 128, 231), np.nan))
    with pytest.raises(ParameterError, match="provider"):
        CnnModel(path.read_bytes(), provider="tpu")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        CnnModel.load(path.with_name("missing.onnx"))


def _changed(path: Path, change: object) -> bytes:
    proto = onnx.load_from_string(path.read_bytes())
    change(proto)  # type: ignore[operator]
    return bytes(proto.SerializeToString())


def test_foreign_operators_domains_functions_and_files_are_refused(path: Path) -> None:
    def operator(p: object) -> None:
        p.graph.node[0].op_type = "Loop"  # type: ignore[attr-defined]

    def domain(p: object) -> None:
        p.graph.node[0].domain = "com.evil"  # type: ignore[attr-defined]

    def outside(p: object) -> None:
        tensor = p.graph.initializer[0]  # type: ignore[attr-defined]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"

    def function(p: object) -> None:
        p.functions.add().name = "f"  # type: ignore[attr-defined]

    def inner_graph(p: object) -> None:
        attribute = p.graph.node[0].attribute.add()  # type: ignore[attr-defined]
        attribute.name, attribute.type = "body", onnx.AttributeProto.GRAPH
        attribute.g.name = "inner"

    for change, reason in [
        (operator, "not on the list"),
        (domain, "standard operators"),
        (outside, "outside the file"),
        (function, "functions"),
        (inner_graph, "graph or a sparse tensor"),
    ]:
        with pytest.raises(UntrustedModelError, match=reason):
            CnnModel(_changed(path, change))

    def nameless(p: object) -> None:
        del p.metadata_props[:]  # type: ignore[attr-defined]

    with pytest.raises(ModelFormatError, match="metadata"):
        CnnModel(_changed(path, nameless))
    with pytest.raises(UntrustedModelError, match="more than the limit"):
        CnnModel(path.read_bytes(), max_bytes=100)


def test_the_look_inside_agrees_with_the_onnx_package(path: Path) -> None:
    proto = onnx.load_from_string(path.read_bytes())
    summary = check_graph(path.read_bytes())
    assert summary.n_nodes == len(proto.graph.node)
    assert summary.n_weights >= len(proto.graph.initializer)
    assert summary.opset == 18
    assert set(summary.operators) == {node.op_type for node in proto.graph.node}


def test_damaged_files_give_typed_errors(path: Path) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), size=int(rng.integers(1, 6))):
            damaged[at] = int(rng.integers(0, 256))
        cut = bytes(damaged[: int(rng.integers(1, len(content) + 1))])
        try:
            check_graph(cut)
        except (ModelFormatError, UntrustedModelError):
            continue


def test_a_copy_in_another_process_opens_its_own_session(path: Path) -> None:
    model = CnnModel.load(path)
    x = np.zeros((1, 1, 128, 231), dtype=np.float32)
    expected = model.predict(x)[0]
    code = (
        "import sys, numpy as np\n"
        "from dissensus.committee.cnn import CnnModel\n"
        f"p = CnnModel.load({str(path)!r}).predict(np.zeros((1, 1, 128, 231), dtype=np.float32))[0]\n"
        "assert not any(m == 'torch' or m.startswith('torch.') for m in sys.modules), 'scoring imported torch'\n"
        "assert 'dissensus.training' not in sys.modules\n"
        "print(' '.join(map(str, p.ravel())))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    np.testing.assert_allclose(np.array(out.split(), dtype=np.float32), expected.ravel(), atol=1e-6)


def test_threads_follow_the_one_setting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dissensus.committee import cnn

    model = CnnModel.load(path)
    first = model._open()
    assert model._open() is first
    monkeypatch.setattr(cnn, "thread_budget", lambda: 2)
    assert model._open() is not first
