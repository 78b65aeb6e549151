"""Log-mel: every backend against librosa and the reference, streams and batches against the whole."""

from __future__ import annotations

import os
import subprocess
import sys

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus import log_mel
from dissensus._backend import available, resolve
from dissensus.errors import BackendUnavailableError, ParameterError
from dissensus.features import MelPlan, MelStream, log_mel_batch, mel_filters

FAST = [backend for backend in ("native", "numba") if backend in available("log_mel_frames")]


def music(n: int, seed: int = 0) -> np.ndarray:
    """Tones over a little noise: wide dynamics, as in music."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / 16000
    x = sum(rng.uniform(0.05, 0.3) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in rng.uniform(80, 6000, 8))
    return (np.asarray(x) * np.exp(-2 * (t % 0.5)) + 0.003 * rng.standard_normal(n)).astype(np.float32)


def librosa_db(y: np.ndarray, plan: MelPlan) -> np.ndarray:
    """librosa's own chain in float64, of the signal padded as the plan says.

    Padded before: where the length is a multiple of the hop, librosa 0.11 reflects a tail that is a sample too short.
    """
    padded = np.pad(y.astype(np.float64), plan.n_fft // 2, mode=plan.pad_mode) if plan.center else y.astype(np.float64)
    spectrum = librosa.feature.melspectrogram(
        y=padded, sr=plan.sr, n_fft=plan.n_fft, hop_length=plan.hop_length, win_length=plan.win_length,
        n_mels=plan.n_mels, fmin=plan.fmin, fmax=plan.fmax, htk=plan.htk, norm=plan.norm, power=plan.power,
        center=False,
    )  # fmt: skip
    to_db = librosa.power_to_db if plan.power == 2.0 else librosa.amplitude_to_db
    return np.asarray(to_db(spectrum, ref=plan.ref, top_db=plan.top_db)).T


PLANS = [
    MelPlan(),
    MelPlan(n_fft=256, hop_length=100, n_mels=40),
    MelPlan(n_fft=1024, win_length=800, hop_length=160, n_mels=80, fmin=55.0, fmax=7600.0, htk=False, norm="slaney"),
    MelPlan(n_fft=2048, win_length=1024, hop_length=512, htk=False, norm="slaney", power=1.0, pad_mode="constant"),
    MelPlan(n_fft=4096, hop_length=1024, n_mels=229, htk=False),
    MelPlan(n_fft=512, hop_length=300, center=False, norm="slaney"),
    MelPlan(n_fft=512, pad_mode="edge", ref=4.0, top_db=40.0),
    MelPlan(sr=22050, n_fft=2048, hop_length=512, htk=False, norm="slaney", pad_mode="constant", top_db=80.0),
]


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("plan", PLANS, ids=lambda p: f"{p.n_fft}-{p.hop_length}-{p.n_mels}-{p.pad_mode}-{p.power:g}")
def test_within_a_thousandth_of_a_db_of_librosa(plan: MelPlan, backend: str) -> None:
    y = music(40001)
    want = librosa_db(y, plan)
    got = plan(y, backend=backend)
    assert got.shape == want.shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-4)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("hz", [100.0, 441.0, 3333.0, 7000.0, None])
def test_quiet_bands_beside_a_loud_tone_are_right(hz: float | None, backend: str) -> None:
    """Up to 120 dB under the loudest bin, beyond what single precision holds; None is a sweep."""
    t = np.arange(40000) / 16000
    y = (0.9 * np.sin(2 * np.pi * (hz * t if hz else 900 * t * t))).astype(np.float32)
    want, got = librosa_db(y, MelPlan()), log_mel(y, backend=backend)
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-4)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("backend", FAST)
def test_the_last_frame_is_as_exact_as_the_others(backend: str) -> None:
    """A sweep in noise, 30 s long: reflected, its last frame has deep notches."""
    rng, t = np.random.default_rng(0), np.arange(16000 * 30) / 16000
    y = 0.1 * rng.standard_normal(t.size) + 0.3 * np.sin(2 * np.pi * (200 + 30 * t) * t)
    y = y.astype(np.float32)
    np.testing.assert_allclose(log_mel(y, backend=backend)[-3:], librosa_db(y, MelPlan())[-3:], rtol=0, atol=1e-4)


@pytest.mark.parametrize("n_fft", [256, 512, 1024, 2048, 4096])
@pytest.mark.parametrize("backend", FAST)
def test_backends_agree_with_the_reference(backend: str, n_fft: int) -> None:
    plan = MelPlan(n_fft=n_fft, log=None, hop_length=n_fft // 3)
    x = np.random.default_rng(1).standard_normal(7 * n_fft).astype(np.float32)
    np.testing.assert_allclose(plan(x, backend=backend), plan(x, backend="reference"), rtol=2e-5)


@pytest.mark.skipif("native" not in FAST, reason="no compiled module")
@pytest.mark.parametrize("caps", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_answer(caps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dissensus import _native

    y = music(20000)
    want = log_mel(y, backend="reference")
    monkeypatch.setenv("DISSENSUS_CAPS", caps)
    _native.refresh_instruction_set()
    try:
        assert _native.instruction_set() in (caps, "avx2", "baseline", "neon")
        np.testing.assert_allclose(log_mel(y, backend="native"), want, rtol=0, atol=3e-4)
    finally:
        monkeypatch.delenv("DISSENSUS_CAPS")
        _native.refresh_instruction_set()


@pytest.mark.parametrize("backend", FAST)
def test_the_logarithm_over_every_exponent(backend: str) -> None:
    """Frames of one sample each: the sum is the sample squared, so every magnitude can be put in."""
    frames = np.float32(2.0) ** np.arange(-62, 63, dtype=np.float32) * np.float32(1.2345)
    signal = np.zeros((len(frames), 256), dtype=np.float32)
    signal[:, 0] = frames  # an impulse: power x**2 in every bin
    kernel = resolve("log_mel_frames", backend)
    band, weight = np.array([[3, 0, 1]], dtype=np.int64), np.ones(1, dtype=np.float32)
    out = np.empty((len(frames), 1), dtype=np.float32)
    level = np.array([2.0, 1e-37, 0.0, 1.0, 0.0])
    kernel(signal.reshape(-1), 0, 256, np.ones(256), band, weight, level, out)
    want = np.log(np.maximum(frames.astype(np.float64) ** 2, np.float32(1e-37)))
    np.testing.assert_allclose(out[:, 0], want, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("backend", FAST)
def test_nan_stays_in_its_frames_and_infinity_is_seen(backend: str) -> None:
    y = music(16000)
    clean = log_mel(y, backend=backend)
    spoilt = y.copy()
    spoilt[8000] = np.nan
    got = log_mel(spoilt, backend=backend)
    touched = np.isnan(got).any(axis=1)
    filled = mel_filters(16000, 512, 128).any(axis=1)  # a few low bands are narrower than a bin and hold none
    assert np.isnan(got[touched][:, filled]).all()
    assert np.flatnonzero(touched).tolist() == [31, 32]
    assert np.array_equal(got[~touched], clean[~touched])


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(
    "plan",
    [
        MelPlan(),
        MelPlan(hop_length=100, pad_mode="constant"),
        MelPlan(center=False),
        MelPlan(n_fft=1024, hop_length=2000),
    ],
    ids=["default", "short-hop", "not-centred", "long-hop"],
)
@given(n=st.integers(1, 6000), cuts=st.lists(st.integers(0, 6000), max_size=6))
def test_a_stream_gives_exactly_the_frames_of_the_whole(plan: MelPlan, backend: str, n: int, cuts: list[int]) -> None:
    y = music(6000)[: n if plan.center else max(n, plan.n_fft)]
    stream = MelStream(plan, backend=backend)
    parts = [stream.push(part) for part in np.split(y, sorted(min(cut, len(y)) for cut in cuts))]
    parts.append(stream.finish())
    assert np.array_equal(np.concatenate(parts), plan(y, backend=backend))
    assert stream.n_samples >= len(y)


@pytest.mark.parametrize("pad_mode", ["reflect", "constant", "edge"])
@pytest.mark.parametrize("n", [1, 2, 100, 255, 256, 257, 400, 512, 700, 1025])
def test_short_signals_are_padded_as_numpy_pads(n: int, pad_mode: str) -> None:
    y = music(2000)[:n]
    mode = "edge" if n == 1 and pad_mode == "reflect" else pad_mode
    padded = np.pad(y, 256, mode=mode)
    want = log_mel(padded, center=False)
    np.testing.assert_array_equal(log_mel(y, pad_mode=pad_mode), want)


@pytest.mark.parametrize("backend", FAST)
def test_batches_equal_single_calls_for_any_number_of_threads(backend: str) -> None:
    signals = [music(n, seed=n) for n in (100, 16000, 399_999, 5000)]
    before = [signal.copy() for signal in signals]
    one = log_mel_batch(signals, n_threads=1, backend=backend)
    three = log_mel_batch(signals, n_threads=3, backend=backend)
    for signal, a, b in zip(signals, one, three, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, log_mel(signal, backend=backend))
    assert all(np.array_equal(a, b) for a, b in zip(signals, before, strict=True))


@pytest.mark.compiled
def test_natural_logarithm_with_an_offset_as_the_transfer_models_use_it() -> None:
    y = music(16000)
    plan = MelPlan(
        n_fft=2048, win_length=1024, hop_length=512, htk=False, norm="slaney", power=1.0, log="natural", offset=1.19e-7,
        pad_mode="constant",
    )  # fmt: skip
    spectrum = librosa.feature.melspectrogram(
        y=y.astype(np.float64), sr=16000, n_fft=2048, win_length=1024, hop_length=512, power=1.0
    )
    np.testing.assert_allclose(plan(y), np.log(spectrum + 1.19e-7).T, atol=2e-4)


@pytest.mark.compiled
def test_sizes_that_are_no_power_of_two_use_the_reference() -> None:
    plan = MelPlan(n_fft=400, hop_length=160, n_mels=80)
    y = music(4000)
    np.testing.assert_allclose(plan(y), librosa_db(y, plan), atol=1e-3)
    with pytest.raises((BackendUnavailableError, ValueError), match="256"):
        plan(y, backend="native" if "native" in FAST else "numba")


@pytest.mark.compiled
@pytest.mark.parametrize("htk", [True, False])
@pytest.mark.parametrize("norm", ["slaney", None])
def test_filters_are_librosas(htk: bool, norm: str | None) -> None:
    got = mel_filters(22050, 1024, 64, fmin=30.0, fmax=9000.0, htk=htk, norm=norm)
    want = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=64, fmin=30.0, fmax=9000.0, htk=htk, norm=norm, dtype=np.float64
    )
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_wrong_choices_are_refused() -> None:
    wrong = [
        {"sr": 0}, {"n_fft": 511}, {"hop_length": 0}, {"n_mels": 0}, {"fmin": 9000.0}, {"fmax": 9000.0}, {"power": 1.5},
        {"norm": "l2"}, {"win_length": 513}, {"pad_mode": "wrap"}, {"log": "log2"}, {"floor": 0.0}, {"floor": -1.0},
        {"ref": 0.0}, {"top_db": -1.0}, {"top_db": 80.0, "log": None}, {"nonsense": 1},
    ]  # fmt: skip
    for choice in wrong:
        with pytest.raises(ParameterError):
            log_mel(np.zeros(1000), **choice)
    for signal in (np.zeros(0), np.zeros((2, 100)), np.array(["a"]), np.zeros(10, dtype=complex)):
        with pytest.raises(ParameterError):
            log_mel(signal)
    with pytest.raises(ParameterError, match="less than one frame"):
        log_mel(np.zeros(100), center=False)
    with pytest.raises(ParameterError, match="top_db"):
        MelStream(MelPlan(top_db=80.0))


@pytest.mark.skipif("native" not in FAST, reason="no compiled module")
def test_the_compiled_kernel_refuses_what_would_leave_its_arrays() -> None:
    from dissensus import _native

    signal, window, weight = np.zeros(1000, np.float32), np.ones(512), np.ones(2, np.float32)
    band, level, out = np.array([[0, 0, 2]]), np.array([2.0, 1e-10, 0, 1, 0]), np.empty((2, 1), np.float32)
    _native.log_mel_frames(signal, 0, 256, window, band, weight, level, out)
    for bad in (
        (signal, 300, 256, window, band, weight, level, out),
        (signal, -1, 256, window, band, weight, level, out),
        (signal, 0, 0, window, band, weight, level, out),
        (signal, 0, 256, window[:500], band, weight, level, out),
        (signal, 0, 256, window, np.array([[256, 0, 2]]), weight, level, out),
        (signal, 0, 256, window, np.array([[0, 1, 2]]), weight, level, out),
        (signal, 0, 256, window, band, weight, level[:4], out),
        (signal.astype(np.float64), 0, 256, window, band, weight, level, out),
    ):
        with pytest.raises((ValueError, TypeError)):
            _native.log_mel_frames(*bad)


def test_the_first_call_pulls_in_neither_numba_nor_scipy() -> None:
    if "native" not in FAST:
        pytest.skip("no compiled module")
    code = (
        "import sys, numpy as np, dissensus; dissensus.log_mel(np.zeros(16000)); "
        "print([m for m in ('numba', 'scipy', 'soundfile', 'librosa') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
