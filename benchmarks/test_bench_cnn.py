"""The short-chunk CNN at work: beside torch and bare onnxruntime, int8, shared trunks, heads that learn.

Floor: 4.02 GFLOP a chunk. At the 275 GFLOP/s of one AVX-512 core that is 68 chunks a second in float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dissensus
from dissensus.committee.cnn import CnnModel

torch = pytest.importorskip("torch")

from dissensus.training.export import export_onnx  # noqa: E402
from dissensus.training.quantise import quantise  # noqa: E402
from dissensus.training.short_chunk import ShortChunkCNN  # noqa: E402

BATCH = 32


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    dissensus.set_threads(1)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return ShortChunkCNN().eval()


@pytest.fixture(scope="module")
def chunks() -> np.ndarray:
    rng = np.random.default_rng(0)
    level = np.linspace(-10, -50, 128)[:, None]
    return (level + 8 * rng.standard_normal((BATCH, 1, 128, 231))).astype(np.float32)


def _members(network: Any, n: int) -> list[Any]:
    members = [network]
    for _ in range(n - 1):
        other = ShortChunkCNN().eval()
        state = other.state_dict()
        state.update({k: v for k, v in network.state_dict().items() if not k.startswith("dense2.")})
        other.load_state_dict(state)
        members.append(other)
    return members


@pytest.fixture(scope="module")
def models(network: Any, chunks: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cnn")
    paths = {name: folder / f"{name}.onnx" for name in ("one", "five", "int8")}
    one = export_onnx([network], paths["one"])
    export_onnx(_members(network, 5), paths["five"])
    cost = quantise(
        one, paths["one"].read_bytes(), paths["int8"], calibration=chunks[:16], check=chunks,
        check_tracks=np.arange(BATCH),
    )  # fmt: skip
    print(f"\n{cost} (random weights: the speed counts here, not the ranking)")
    return paths


@pytest.mark.parametrize(
    "who", ["torch, eager", "onnxruntime, bare", "dissensus", "dissensus, five members, one trunk", "dissensus, int8"]
)
def test_inference(benchmark: Any, who: str, network: Any, chunks: np.ndarray, models: dict[str, Path]) -> None:
    benchmark.group = f"short-chunk CNN, 3.7 million weights|{BATCH} chunks of 3.69 s"
    x = torch.from_numpy(chunks)
    with torch.inference_mode():
        expected = network(x).numpy()
    if who == "torch, eager":

        def eager() -> np.ndarray:
            with torch.inference_mode():
                return network(x).numpy()

        found = benchmark.pedantic(eager, rounds=5, warmup_rounds=1)
        tolerance = 1e-6
    elif who == "onnxruntime, bare":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(models["one"].read_bytes(), options, providers=["CPUExecutionProvider"])
        found = benchmark.pedantic(
            session.run, args=(["probabilities"], {"log_mel": chunks}), rounds=5, warmup_rounds=1
        )
        found, tolerance = found[0][:, 0], 1e-4
    else:
        model = CnnModel.load(models["int8" if "int8" in who else "five" if "five" in who else "one"])
        found = benchmark.pedantic(model.predict, args=(chunks,), rounds=5, warmup_rounds=1)
        found, tolerance = found[0][:, 0], 0.15 if "int8" in who else 1e-4
    np.testing.assert_allclose(found, expected, atol=tolerance)


OVERLAP_HOP = 112
"""Frames from one chunk to the next: a multiple of 16, so that four poolings fall on the same places; they overlap by 51 %."""


class _Front(torch.nn.Module):  # type: ignore[misc]
    """The first layers, over a picture of any length."""

    def __init__(self, network: Any, n_layers: int) -> None:
        super().__init__()
        self.network, self.n_layers = network, n_layers

    def forward(self, log_mel: Any) -> Any:
        x = self.network.spec_bn(log_mel)
        for i in range(self.n_layers):
            x = self.network.get_submodule(f"layer{i + 1}")(x)
        return x


class _Rest(torch.nn.Module):  # type: ignore[misc]
    """The layers behind, for one chunk."""

    def __init__(self, network: Any, n_layers: int) -> None:
        super().__init__()
        self.network, self.n_layers = network, n_layers

    def forward(self, x: Any) -> Any:
        for i in range(self.n_layers, 7):
            x = self.network.get_submodule(f"layer{i + 1}")(x)
        x = torch.relu(self.network.bn(self.network.dense1(torch.amax(x.squeeze(2), dim=-1))))
        return torch.softmax(self.network.dense2(x), dim=1)


def _session(module: Any, example: Any, axis: int, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    program = torch.onnx.export(
        module.eval(), (example,), dynamo=True, opset_version=18, external_data=False, verbose=False, input_names=[name],
        dynamic_shapes=({axis: torch.export.Dim("size", min=16)},),
    )  # fmt: skip
    content = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def shared_layers(network: Any, n_layers: int) -> Any:
    """Probabilities of overlapping chunks of one long picture, whose first layers run once over the whole of it."""
    width = 231 >> n_layers
    step = OVERLAP_HOP >> n_layers
    example = torch.zeros(1, 1, 128, 231 + 9 * OVERLAP_HOP)
    front = _session(_Front(network, n_layers), example, 3, "log_mel")
    with torch.inference_mode():
        middle = _Front(network, n_layers)(example[..., :231]).expand(16, -1, -1, -1).contiguous()
    rest = _session(_Rest(network, n_layers), middle, 0, "x")

    def predict(log_mel: np.ndarray) -> np.ndarray:
        (picture,) = front.run(None, {"log_mel": log_mel})
        starts = range(0, picture.shape[3] - width + 1, step)
        cut = np.concatenate([picture[..., at : at + width] for at in starts])
        found: np.ndarray = rest.run(None, {"x": cut})[0]
        return found

    return predict


@pytest.mark.parametrize(
    "who", ["dissensus, every chunk by itself", "layers 1-2 shared", "layers 1-3 shared", "layers 1-4 shared"]
)
def test_overlapping_chunks(benchmark: Any, who: str, network: Any, models: dict[str, Path]) -> None:
    n_chunks = 20
    benchmark.group = f"short-chunk CNN, chunks overlap by half|{n_chunks} chunks of one track"
    rng = np.random.default_rng(1)
    frames = 231 + (n_chunks - 1) * OVERLAP_HOP
    log_mel = (np.linspace(-10, -50, 128)[:, None] + 8 * rng.standard_normal((1, 1, 128, frames))).astype(np.float32)
    alone = np.concatenate([log_mel[..., i * OVERLAP_HOP : i * OVERLAP_HOP + 231] for i in range(n_chunks)])
    model = CnnModel.load(models["one"])
    expected = model.predict(alone)[0][:, 0]
    if who.startswith("dissensus"):
        found = benchmark.pedantic(model.predict, args=(alone,), rounds=3, warmup_rounds=1)[0][:, 0]
    else:
        found = benchmark.pedantic(shared_layers(network, int(who[9])), args=(log_mel,), rounds=3, warmup_rounds=1)
    print(f"\n{who}: largest difference of a probability {np.abs(found - expected).max():.4f} (random weights)")
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_tell_and_ask_with_heads(benchmark: Any) -> None:
    benchmark.group = "tell and next ask, five CNN heads|1000 tracks x 8 chunks x 512"
    rng = np.random.default_rng(0)
    n_tracks, per_track = 1000, 8
    X = rng.standard_normal((n_tracks * per_track, 512)).astype(np.float32)
    groups = np.repeat(np.arange(n_tracks), per_track)
    truth = (X.reshape(n_tracks, per_track, 512).mean(axis=1) @ rng.standard_normal((512, 4))).argmax(axis=1)
    y = np.array(["Q1", "Q2", "Q3", "Q4"])[truth]
    committee = dissensus.Committee.pretrain(X, y[groups], groups, kinds=("cnn",), n_folds=5)
    session = dissensus.Session(committee, dissensus.Pool(X, groups), strategy="mc", balanced=True)
    queries = [session.ask(4)]

    def step() -> None:
        session.tell({track: str(y[track]) for track in queries[-1].track_ids.tolist()})
        queries.append(session.ask(4))

    benchmark.pedantic(step, rounds=15, iterations=1, warmup_rounds=1)
    assert len(session.answers) == 64
    assert len({track for query in queries for track in query.track_ids.tolist()}) == 68
