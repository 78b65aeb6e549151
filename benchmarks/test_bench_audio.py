"""Audio front end beside librosa: log-mel per backend and instruction set, mp3 decoding, cold start.

Run with ``pytest benchmarks/test_bench_audio.py --benchmark-enable``; ratios are printed by ``-s``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dissensus._backend import available
from dissensus.features import MelPlan, load_audio, write_audio

SECONDS = 30
RUNS = [("numba", None)]
if "native" in available("log_mel_frames"):
    RUNS += [("native", caps) for caps in ("baseline", "avx2", "avx512")]


def clip(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(SECONDS * 16000)
    if kind == "noise":
        return (0.1 * noise).astype(np.float32)
    t = np.arange(SECONDS * 16000) / 16000
    tones = sum(0.15 * np.sin(2 * np.pi * f * t) for f in (110.0, 220.0, 331.0, 554.0, 880.0))
    return (tones * np.exp(-2 * (t % 0.5)) + 1e-5 * noise).astype(np.float32)  # loud lows beside very quiet highs


def peer(y: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=y, sr=16000, n_fft=512, hop_length=256, n_mels=128, htk=True, norm=None, pad_mode="reflect"
    )
    return np.asarray(librosa.power_to_db(mel, top_db=None)).T


def best(call: Callable[[], object], repeats: int = 15) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("kind", ["noise", "deep"])
@pytest.mark.parametrize(("backend", "caps"), RUNS)
@pytest.mark.benchmark(group="log_mel|30s")
def test_log_mel(benchmark, monkeypatch: pytest.MonkeyPatch, backend: str, caps: str | None, kind: str) -> None:
    if caps is not None:
        from dissensus import _native

        monkeypatch.setenv("DISSENSUS_CAPS", caps)
        _native.refresh_instruction_set()
    y, plan = clip(kind), MelPlan()
    with threadpool_limits(limits=1):
        want = peer(y)
        got = plan(y, backend=backend)
        heard = want > -80.0
        np.testing.assert_allclose(got[heard], want[heard], atol=1e-3)
        theirs = best(lambda: peer(y))
        ours = best(lambda: plan(y, backend=backend))
        two = best(lambda: plan.batch([y] * 8, backend=backend, n_threads=2)) / 8
        eight = best(lambda: plan.batch([y] * 8, backend=backend)) / 8
        print(
            f"\nlog-mel {kind:5} {backend}{'' if caps is None else '/' + caps}: {SECONDS / ours:,.0f}x real time, "
            f"{theirs / ours:.1f}x librosa ({SECONDS / theirs:,.0f}x); 2 threads {eight / two:.2f}x of one"
        )
        benchmark(plan, y, backend=backend)
    if caps is not None:
        monkeypatch.delenv("DISSENSUS_CAPS")
        _native.refresh_instruction_set()


@pytest.mark.benchmark(group="mp3|60s 44.1 kHz stereo to 16 kHz mono")
def test_mp3(benchmark, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    t = np.arange(60 * 44100) / 44100
    x = np.stack([np.sin(2 * np.pi * f * t) * (0.2 + 0.1 * np.sin(3 * t)) for f in (440, 660)], axis=1)
    path = tmp_path / "a.mp3"
    write_audio(path, x + 0.01 * rng.standard_normal(x.shape), 44100)
    got, (want, _) = load_audio(path), librosa.load(path, sr=16000)
    assert len(got) == len(want)
    np.testing.assert_allclose(got, want, atol=2e-4)
    ours, theirs = best(lambda: load_audio(path), 7), best(lambda: librosa.load(path, sr=16000), 7)
    print(f"\nmp3 to 16 kHz mono: {60 / ours:,.0f}x real time, {theirs / ours:.2f}x librosa.load ({60 / theirs:,.0f}x)")
    benchmark(load_audio, path)


@pytest.mark.benchmark(group="log_mel|first call in a fresh process")
def test_cold_start(benchmark) -> None:
    code = (
        "import time, numpy as np; y = np.random.default_rng(0).standard_normal(480000).astype('f4'); import dissensus\n"
        "began = time.perf_counter(); S = dissensus.log_mel(y); print(time.perf_counter() - began)\n"
        "assert S.shape == (1876, 128)"
    )

    def first_call() -> float:
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    times = [first_call() for _ in range(5)]
    print(f"\nfirst log_mel of 30 s in a fresh process, after `import dissensus`: {1e3 * min(times):.1f} ms")
    benchmark.pedantic(first_call, rounds=2)
