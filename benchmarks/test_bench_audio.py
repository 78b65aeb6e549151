"""Audio front end beside librosa: log-mel per backend and instruction set, mp3 decoding, cold start.

Run with ``pytest benchmarks/test_bench_audio.py --benchmark-enable``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import librosa
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dissensus._backend import available
from dissensus.datasets.synthetic import SETTINGS, render
from dissensus.features import MelPlan, load_audio, write_audio

SECONDS = 30
NATIVE = "native" in available("log_mel_frames")
WHO = ["librosa", "dissensus numba"]
if NATIVE:
    WHO += [f"dissensus {caps}" for caps in ("baseline", "avx2", "avx512", "avx512, 2 threads")]


DATA = Path(os.environ.get("DISSENSUS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@cache
def clips(kind: str) -> list[np.ndarray]:
    """Eight clips: ``noise``; ``synthetic`` music; ``recorded`` music of the research data; ``deep``, loud lows beside highs
    100 dB under them."""
    if kind == "synthetic":
        corners = [(a, v) for a in (0.6, -0.6) for v in (0.6, -0.6)]
        return [render(*at, setting=name, duration_s=SECONDS) for name in list(SETTINGS)[:2] for at in corners]
    if kind == "recorded":
        files = sorted((DATA / "emotify" / "audio").glob("*.ogg"))[::50]
        return [load_audio(file, duration_s=SECONDS) for file in files]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(SECONDS * 16000)
    if kind == "noise":
        return [(0.1 * noise).astype(np.float32)] * 8
    t = np.arange(SECONDS * 16000) / 16000
    tones = sum(0.15 * np.sin(2 * np.pi * f * t) for f in (110.0, 220.0, 331.0, 554.0, 880.0))
    return [(tones * np.exp(-2 * (t % 0.5)) + 1e-5 * noise).astype(np.float32)] * 8


def peer(y: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=y, sr=16000, n_fft=512, hop_length=256, n_mels=128, htk=True, norm=None, pad_mode="reflect"
    )
    return np.asarray(librosa.power_to_db(mel, top_db=None)).T


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("kind", ["noise", "synthetic", "recorded", "deep"])
@pytest.mark.parametrize("who", WHO)
def test_log_mel(benchmark, monkeypatch: pytest.MonkeyPatch, who: str, kind: str) -> None:
    """Eight clips of 30 s, one thread unless said."""
    benchmark.group = f"log-mel|8 x 30 s, {kind}"
    batch, plan = clips(kind), MelPlan()
    if len(batch) < 8:
        pytest.skip("the recordings of the research data are not here; set DISSENSUS_DATA to its folder")
    with threadpool_limits(limits=1):
        if who == "librosa":
            benchmark(lambda: [peer(y) for y in batch])
            return
        backend = "numba" if "numba" in who else "native"
        if backend == "native":
            from dissensus import _native

            monkeypatch.setenv("DISSENSUS_CAPS", who.split()[1].rstrip(","))
            _native.refresh_instruction_set()
        for y in batch[:2]:
            got, want = plan(y, backend=backend), peer(y)
            heard = want > -60.0  # librosa computes in single precision here
            np.testing.assert_allclose(got[heard], want[heard], atol=5e-3)
        benchmark(plan.batch, batch, backend=backend, n_threads=2 if "2 threads" in who else 1)
        benchmark.extra_info["times_real_time"] = 8 * SECONDS / benchmark.stats.stats.min if benchmark.stats else None
    if backend == "native":
        monkeypatch.delenv("DISSENSUS_CAPS")
        _native.refresh_instruction_set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of audioread, which librosa loads
@pytest.mark.parametrize("who", ["librosa.load", "dissensus"])
def test_mp3(benchmark, tmp_path: Path, who: str) -> None:
    benchmark.group = "mp3 to 16 kHz mono|60 s, 44.1 kHz stereo"
    rng = np.random.default_rng(1)
    t = np.arange(60 * 44100) / 44100
    x = np.stack([np.sin(2 * np.pi * f * t) * (0.2 + 0.1 * np.sin(3 * t)) for f in (440, 660)], axis=1)
    path = tmp_path / "a.mp3"
    write_audio(path, x + 0.01 * rng.standard_normal(x.shape), 44100)
    if who == "librosa.load":
        benchmark(librosa.load, path, sr=16000)
        return
    got, (want, _) = load_audio(path), librosa.load(path, sr=16000)
    assert len(got) == len(want)
    np.testing.assert_allclose(got, want, atol=2e-4)
    benchmark(load_audio, path)


COLD = {
    "dissensus": "import dissensus\nbegan = time.perf_counter(); S = dissensus.log_mel(y)",
    "librosa": "import librosa\nbegan = time.perf_counter(); S = librosa.feature.melspectrogram(y=y, sr=16000)",
}


@pytest.mark.parametrize("who", ["librosa", "dissensus"])
def test_cold_start(benchmark, who: str) -> None:
    """The first log-mel of 30 s in a fresh process, after the import; the process says how long that took."""
    benchmark.group = "first log-mel in a process|30 s, after import"
    code = (
        "import time, numpy as np; y = np.random.default_rng(0).standard_normal(480000).astype('f4')\n"
        f"{COLD[who]}; print(time.perf_counter() - began)\nassert S.size > 0"
    )

    def first_call() -> float:
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    benchmark.extra_info["seconds"] = min(first_call() for _ in range(4))
    benchmark.pedantic(first_call, rounds=1)
