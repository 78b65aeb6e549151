"""The short-chunk CNN at work: beside torch and bare onnxruntime, int8, shared trunks, heads that learn.

Floor: 4.02 GFLOP a chunk. At the 275 GFLOP/s of one AVX-512 core that is 68 chunks a second in fp32.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dissensus
from dissensus.committee.cnn import CnnModel

torch = pytest.importorskip("torch")

from dissensus.committee.training.export import export_onnx  # noqa: E402
from dissensus.committee.training.quantise import quantise  # noqa: E402
from dissensus.committee.training.short_chunk import ShortChunkCNN  # noqa: E402

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cnn")


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
def single(network: Any, folder: Path) -> CnnModel:
    return export_onnx([network], folder / "one.onnx")


def _ratio(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 5) -> float:
    """Median over rounds of peer time over our time, taken in turn so that a busy machine hurts both."""
    ours(), peer()
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        peer()
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return float(np.median(ratios))


@pytest.mark.benchmark(group="cnn inference fp32|32x128x231")
def test_inference_beside_torch(benchmark: Any, single: CnnModel, network: Any, chunks: np.ndarray) -> None:
    x = torch.from_numpy(chunks)

    def eager() -> np.ndarray:
        with torch.inference_mode():
            return network(x).numpy()

    np.testing.assert_allclose(single.predict(chunks)[0][:, 0], eager(), atol=1e-4)
    ratio = _ratio(lambda: single.predict(chunks), eager)
    benchmark.extra_info |= {"peer": "torch eager, 1 thread", "ratio": round(ratio, 2), "aim": "≥ 4x"}
    print(f"\ncnn fp32: {ratio:.2f}x torch eager (1 thread each, batch {BATCH})")
    benchmark.pedantic(single.predict, args=(chunks,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="cnn inference fp32|32x128x231")
def test_inference_beside_bare_onnxruntime(benchmark: Any, single: CnnModel, folder: Path, chunks: np.ndarray) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    bare = onnxruntime.InferenceSession((folder / "one.onnx").read_bytes(), options, providers=["CPUExecutionProvider"])

    def peer() -> Any:
        return bare.run(["probabilities"], {"log_mel": chunks})[0]

    np.testing.assert_allclose(single.predict(chunks)[0], peer(), atol=1e-6)
    ratio = _ratio(lambda: single.predict(chunks), peer)
    benchmark.extra_info |= {"peer": "bare onnxruntime, 1 thread", "ratio": round(ratio, 3), "aim": "≥ 0.95x"}
    print(f"\ncnn fp32: {ratio:.3f}x bare onnxruntime")
    benchmark.pedantic(single.predict, args=(chunks,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="cnn inference int8|32x128x231")
def test_int8_beside_torch(benchmark: Any, single: CnnModel, network: Any, chunks: np.ndarray, folder: Path) -> None:
    path = folder / "int8.onnx"
    cost = quantise(
        single, (folder / "one.onnx").read_bytes(), path, calibration=chunks[:16], check=chunks,
        check_tracks=np.arange(BATCH),
    )  # fmt: skip
    small = CnnModel.load(path)
    assert np.abs(small.predict(chunks)[0] - single.predict(chunks)[0]).max() < 0.1
    x = torch.from_numpy(chunks)

    def eager() -> np.ndarray:
        with torch.inference_mode():
            return network(x).numpy()

    ratio = _ratio(lambda: small.predict(chunks), eager)
    benchmark.extra_info |= {"peer": "torch eager fp32, 1 thread", "ratio": round(ratio, 2), "aim": "≥ 10x"}
    print(f"\ncnn int8: {ratio:.2f}x torch eager; beside our fp32: {cost}")
    benchmark.pedantic(small.predict, args=(chunks,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="cnn five members, shared trunk|32x128x231")
def test_five_members_cost_one(
    benchmark: Any, single: CnnModel, network: Any, chunks: np.ndarray, folder: Path
) -> None:
    five = export_onnx(_members(network, 5), folder / "five.onnx")
    proba = five.predict(chunks)[0]
    assert proba.shape == (BATCH, 5, 4)
    np.testing.assert_allclose(proba[:, 0], single.predict(chunks)[0][:, 0], atol=1e-5)
    cost = 1 / _ratio(lambda: five.predict(chunks), lambda: single.predict(chunks))
    benchmark.extra_info |= {"peer": "one member", "ratio": round(1 / cost, 3), "aim": "≥ 0.87x (cost ≤ 1.15x)"}
    print(f"\nfive members on one trunk cost {cost:.3f}x of one")
    benchmark.pedantic(five.predict, args=(chunks,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="cnn heads tell + ask|5 heads, 1000 tracks x 8 x 512")
def test_tell_and_ask_with_heads(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    n_tracks, per_track = 1000, 8
    X = rng.standard_normal((n_tracks * per_track, 512)).astype(np.float32)
    groups = np.repeat(np.arange(n_tracks), per_track)
    truth = (X.reshape(n_tracks, per_track, 512).mean(axis=1) @ rng.standard_normal((512, 4))).argmax(axis=1)
    y = np.array(["Q1", "Q2", "Q3", "Q4"])[truth]
    committee = dissensus.Committee.pretrain(X, y[groups], groups, kinds=("cnn",), n_folds=5)
    session = dissensus.Session(committee, dissensus.Pool(X, groups), strategy="mc", balanced=True)
    times = []
    for _ in range(12):
        query = session.ask(4)
        answers = {track: str(y[track]) for track in query.track_ids.tolist()}
        start = time.perf_counter()
        session.tell(answers)
        session.ask(4)
        times.append(time.perf_counter() - start)
    assert len(session.answers) == 48
    median = float(np.median(times)) * 1e3
    benchmark.extra_info |= {"peer": "-", "median_ms": round(median, 2), "aim": "≤ 10 ms"}
    print(f"\ntell + next ask, five CNN heads, 1000 tracks x 8 chunks: median {median:.1f} ms")
    benchmark.pedantic(session.predict_proba, args=(np.arange(100),), rounds=5)
