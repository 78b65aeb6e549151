"""The IS13 features beside openSMILE, one thread each, on made-up music.

"as used" extracts the low-level descriptors and their deltas in two passes, which is how the research code calls it: the
descriptors are computed twice. Windows are not timed for the peer; ours include them.

    pytest benchmarks/test_bench_is13.py --benchmark-enable --benchmark-only -s
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dissensus.features import is13, is13_descriptors
from dissensus.features.summary import SUMMARY_NAMES, summary

SECONDS = 10


def music(sr: int) -> NDArray[np.float32]:
    """A melody of decaying harmonic notes over a little noise, on the grid of 16-bit samples."""
    rng = np.random.default_rng(0)
    t = np.arange(sr // 2) / sr
    notes = []
    for pitch in 110.0 * 2 ** (rng.integers(0, 25, 2 * SECONDS) / 12):
        note = sum(rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) for k in range(1, 9))
        notes.append(note * np.exp(-3 * t))
    x = 0.1 * np.concatenate(notes) + 0.003 * rng.standard_normal(len(t) * 2 * SECONDS)
    return (np.trunc(x * 32768) / 32768).astype(np.float32)


def opensmile_levels() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opensmile = pytest.importorskip("opensmile")
        kinds = (opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.LowLevelDescriptors_Deltas)
        return tuple(
            opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=kind) for kind in kinds
        )  # type: ignore[return-value]


@pytest.mark.parametrize("sr", [16000, 22050, 44100])
@pytest.mark.parametrize(
    "who", ["openSMILE, as used", "openSMILE, descriptors alone", "dissensus", "dissensus, 2 threads"]
)
def test_is13(benchmark: Any, sr: int, who: str) -> None:
    benchmark.group = f"IS13 features, {SECONDS} s of music|{sr} Hz"
    x = music(sr)
    calls: dict[str, Callable[[], Any]] = {
        "dissensus": lambda: is13(x, sr),
        "dissensus, 2 threads": lambda: is13(x, sr, n_threads=2),
    }
    if who.startswith("openSMILE"):
        descriptors, deltas = opensmile_levels()
        ours = is13_descriptors(x, sr)
        theirs = descriptors.process_signal(x, sr).to_numpy()
        np.testing.assert_array_equal(len(ours), len(theirs))
        agree = [np.corrcoef(ours[:, k], theirs[:, k])[0, 1] for k in range(65)]
        assert min(agree[6:]) > 0.999
        assert (
            min(agree[k] for k in (0, 1, 5)) > 0.95
        )  # jitter and shimmer: docs/explanation/is13_parity.md, over windows of real music
        calls["openSMILE, as used"] = lambda: (descriptors.process_signal(x, sr), deltas.process_signal(x, sr))
        calls["openSMILE, descriptors alone"] = lambda: descriptors.process_signal(x, sr)
    else:
        np.testing.assert_array_equal(calls[who](), is13(x, sr))
    with threadpool_limits(1):
        benchmark.pedantic(calls[who], rounds=2 if who.startswith("openSMILE") else 8, warmup_rounds=1)
    benchmark.extra_info["times_real_time"] = SECONDS / benchmark.stats.stats.min if benchmark.stats else None


def librosa_summary(x: NDArray[np.float32], sr: int) -> dict[str, NDArray[Any]]:
    """What librosa offers of the same kind, from one spectrogram and one chromagram, windows left out."""
    import librosa

    spectrum = np.abs(librosa.stft(x, n_fft=512, hop_length=256))
    long = np.abs(librosa.stft(x, n_fft=4096, hop_length=2048))
    onset = librosa.onset.onset_strength(
        S=librosa.power_to_db(librosa.feature.melspectrogram(S=spectrum**2, sr=sr, n_mels=40))
    )
    return {
        "rms": librosa.feature.rms(S=spectrum, frame_length=512),
        "zcr": librosa.feature.zero_crossing_rate(x, frame_length=512, hop_length=256),
        "centroid": librosa.feature.spectral_centroid(S=spectrum, sr=sr, n_fft=512),
        "bandwidth": librosa.feature.spectral_bandwidth(S=spectrum, sr=sr, n_fft=512),
        "rolloff": librosa.feature.spectral_rolloff(S=spectrum, sr=sr, n_fft=512),
        "flatness": librosa.feature.spectral_flatness(S=spectrum),
        "tempo": librosa.feature.tempo(onset_envelope=onset, sr=sr, hop_length=256, ac_size=8.0),
        "chroma": librosa.feature.chroma_stft(S=long**2, sr=sr, n_fft=4096, tuning=0.0),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("who", ["librosa, frames alone", "dissensus"])
def test_summary(benchmark: Any, who: str) -> None:
    """29 columns a second of 60 s; the peer's frames are not gathered into windows."""
    pytest.importorskip("librosa")
    sr = 16000
    x = np.tile(music(sr), 6)
    benchmark.group = "summary features|60 s at 16 kHz"
    with threadpool_limits(1):
        rows, peer = summary(x, sr), librosa_summary(x, sr)
        level = np.array(
            [20 * np.log10(np.sqrt(np.mean(x[k : k + sr] ** 2))) for k in range(0, len(x) - sr + 1, sr // 2)]
        )
        assert np.abs(rows[:, SUMMARY_NAMES.index("level_db")] - level).max() < 1.0  # frames within the window
        assert np.corrcoef(rows[:, SUMMARY_NAMES.index("zero_crossings")][::2], peer["zcr"][0][31::62][:60])[0, 1] > 0.5
        ratio = np.median(rows[:, SUMMARY_NAMES.index("tempo_bpm")]) / peer["tempo"][0]
        assert np.abs(np.log2(ratio) - np.round(np.log2(ratio))) < 0.06  # one tempo, or its octave
        call = (lambda: summary(x, sr)) if who == "dissensus" else (lambda: librosa_summary(x, sr))
        benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    benchmark.extra_info["times_real_time"] = 60 / benchmark.stats.stats.min if benchmark.stats else None
