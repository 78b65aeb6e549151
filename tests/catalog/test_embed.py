"""Embeddings of a catalog: order, chunks, files, threads, and the same numbers as torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus._chunks import CHUNK_SAMPLES, all_chunks, reflect_to
from dissensus.catalog import embed_clips
from dissensus.errors import DecodeError, ModelFormatError, ParameterError
from dissensus.features import write_audio

torch = pytest.importorskip("torch", reason="models are exported with the `train` extra")

from dissensus.committee.cnn import CnnModel  # noqa: E402
from dissensus.training.export import export_onnx  # noqa: E402
from dissensus.training.short_chunk import LogMelFrontEnd, ShortChunkCNN  # noqa: E402


@pytest.fixture(scope="module")
def network() -> ShortChunkCNN:
    torch.manual_seed(0)
    return ShortChunkCNN(width=3).eval()


@pytest.fixture(scope="module")
def model(network: ShortChunkCNN, tmp_path_factory: pytest.TempPathFactory) -> CnnModel:
    return export_onnx([network], tmp_path_factory.mktemp("m") / "cnn.onnx")


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    lengths = {"z": 2 * CHUNK_SAMPLES + 5, "a": 20_000, "m": CHUNK_SAMPLES}
    return [(name, (0.1 * rng.standard_normal(n)).astype(np.float32)) for name, n in lengths.items()]


def test_rows_stand_in_the_order_of_the_ids_and_equal_torch(
    model: CnnModel, network: ShortChunkCNN, clips: list[tuple[str, np.ndarray]]
) -> None:
    done = embed_clips(model, clips, batch_size=2)
    assert done.pool.track_ids.tolist() == ["z", "a", "m"]
    assert done.pool.groups.tolist() == [0, 0, 1, 2]
    assert done.proba.shape == (1, 3, 4)
    front = LogMelFrontEnd()
    for i, (_, signal) in enumerate(clips):
        with torch.no_grad():
            x = front(torch.from_numpy(np.ascontiguousarray(all_chunks(signal))))
            expected = network(x).mean(dim=0).numpy()
            embedding = network.embed(x).numpy()
        np.testing.assert_allclose(done.proba[0, i], expected, atol=1e-4)
        np.testing.assert_allclose(done.pool.X[done.pool.groups == i], embedding, atol=2e-3, rtol=2e-3)


def test_batches_threads_and_files_change_nothing(
    model: CnnModel, clips: list[tuple[str, np.ndarray]], tmp_path: Path
) -> None:
    expected = embed_clips(model, clips)
    for options in ({"batch_size": 1}, {"batch_size": 3, "n_threads": 2}):
        other = embed_clips(model, iter(clips), **options)
        np.testing.assert_allclose(other.proba, expected.proba, atol=1e-6)
    for name, signal in clips:
        write_audio(tmp_path / f"{name}.wav", signal, 16_000, subtype="FLOAT")
    files = embed_clips(model, [(name, tmp_path / f"{name}.wav") for name, _ in clips])
    np.testing.assert_allclose(files.proba, expected.proba, atol=1e-6)


def test_bad_clips_are_named(model: CnnModel, clips: list[tuple[str, np.ndarray]], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no clips"):
        embed_clips(model, [])
    with pytest.raises(ParameterError, match="track 'q'"):
        embed_clips(model, [("q", np.zeros((2, 3)))])
    with pytest.raises(ParameterError, match="'z' appears twice"):
        embed_clips(model, [clips[0], clips[1], clips[0]], batch_size=1)
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    for n_threads in (1, 2):
        with pytest.raises(DecodeError, match=r"bad\.wav"):
            embed_clips(model, [clips[0], ("bad", tmp_path / "bad.wav")], n_threads=n_threads)


def test_a_model_of_another_rate_is_refused(model: CnnModel, clips: list[tuple[str, np.ndarray]]) -> None:
    other = CnnModel(model._content)
    other.metadata["sample_rate"] = 22_050
    with pytest.raises(ModelFormatError, match="22050 Hz"):
        embed_clips(other, clips)


def test_chunks_cover_from_the_start_and_short_clips_are_reflected() -> None:
    x = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(all_chunks(x, 4), x[:8].reshape(2, 4))
    assert reflect_to(np.ones(1, dtype=np.float32), 5).tolist() == [1.0] * 5
    assert all_chunks(x[:3], 7).tolist() == [[0, 1, 2, 1, 0, 1, 2]]
    with pytest.raises(ParameterError, match="non-empty"):
        all_chunks([])
