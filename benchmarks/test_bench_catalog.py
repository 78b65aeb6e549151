"""Audio files to the probabilities of five CNN members: how much of decoding and log-mel the network hides.

The network has one thread in every row. "the network alone" is what remains when decoding costs nothing: the same chunks as
log-mels in memory. Files: 44.1 kHz stereo, FLAC, Ogg, MP3 and WAV in turn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dissensus
from dissensus._chunks import all_chunks
from dissensus.catalog import score_files
from dissensus.committee.cnn import CnnModel
from dissensus.features import load_audio, log_mel, write_audio

torch = pytest.importorskip("torch")

from dissensus.training.export import export_onnx  # noqa: E402
from dissensus.training.short_chunk import ShortChunkCNN  # noqa: E402

N_FILES, SECONDS, BATCH = 12, 23, 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    t = np.arange(SECONDS * 44_100) / 44_100
    paths = []
    for i in range(N_FILES):
        notes = sum(np.sin(2 * np.pi * f * t) * np.exp(-3 * (t % (0.2 + 0.05 * i))) for f in rng.uniform(80, 2000, 6))
        x = 0.05 * np.stack([notes, np.roll(notes, 300)], axis=1) + 0.003 * rng.standard_normal((len(t), 2))
        paths.append(folder / f"{i:02d}.{('flac', 'ogg', 'mp3', 'wav')[i % 4]}")
        write_audio(paths[-1], x, 44_100)
    return paths


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CnnModel:
    torch.manual_seed(0)
    members = [ShortChunkCNN().eval() for _ in range(5)]
    trunk = {k: v for k, v in members[0].state_dict().items() if not k.startswith("dense2.")}
    for member in members[1:]:
        member.load_state_dict({**member.state_dict(), **trunk})
    return export_onnx(members, tmp_path_factory.mktemp("cnn") / "five.onnx")


@pytest.mark.parametrize("who", ["the network alone", "dissensus", "dissensus, decoding in the same thread"])
def test_files_to_probabilities(benchmark: Any, who: str, files: list[Path], model: CnnModel) -> None:
    dissensus.set_threads(1)
    per_file = [np.stack([log_mel(chunk).T[None] for chunk in all_chunks(load_audio(path))]) for path in files]
    mels, owner = np.concatenate(per_file), np.repeat(np.arange(N_FILES), [len(part) for part in per_file])
    benchmark.group = f"audio files to 5 CNN members' probabilities|{N_FILES} files, {len(mels)} chunks of 3.69 s"

    def alone() -> np.ndarray:
        return model.predict(mels, batch_size=BATCH)[0]

    want = alone()
    want = np.stack([want[owner == i].mean(axis=0, dtype=np.float64) for i in range(N_FILES)])
    if who == "the network alone":
        benchmark.pedantic(alone, rounds=3)
        return
    n_threads = 1 if "same thread" in who else 2

    def score() -> list[Any]:
        return list(score_files(files, model, batch_size=BATCH, n_threads=n_threads))

    done = benchmark.pedantic(score, rounds=3)
    np.testing.assert_allclose(np.stack([scored.proba for scored in done]), want, atol=1e-6)
    benchmark.extra_info["times_real_time"] = N_FILES * SECONDS / benchmark.stats.stats.min if benchmark.stats else None
