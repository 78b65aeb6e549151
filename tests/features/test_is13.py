"""The 260 IS13 features: names, known answers, backends, windows, errors, threads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dissensus
from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features import IS13_DESCRIPTORS, IS13_NAMES, is13, is13_descriptors
from dissensus.features.is13_plan import plan_for

SR = 16000


def column(name: str) -> int:
    return IS13_DESCRIPTORS.index(name)


def tone(hz: float, seconds: float = 1.0, sr: int = SR, level: float = 0.4) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * sr)) / sr)).astype(np.float32)


def voice(sr: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch with pauses over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(sr * seconds)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 60 * np.sin(2 * np.pi * 0.7 * t)) / sr
    x = sum(np.sin(k * phase + k) / k for k in range(1, 12))
    return (0.2 * x * (np.sin(2 * np.pi * 0.9 * t) > -0.6) + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return is13_descriptors(voice(SR, 3.0), SR)


def test_names_are_those_of_the_feature_files():
    assert dissensus.IS13_NAMES is IS13_NAMES and dissensus.is13 is is13
    assert len(IS13_NAMES) == len(set(IS13_NAMES)) == 260 and len(IS13_DESCRIPTORS) == 130
    assert IS13_NAMES[:4] == (
        "F0final_sma_stddev",
        "F0final_sma_amean",
        "voicingFinalUnclipped_sma_stddev",
        "voicingFinalUnclipped_sma_amean",
    )
    assert IS13_NAMES[-1] == "mfcc_sma_de[14]_amean" and IS13_NAMES[130] == "F0final_sma_de_stddev"
    for i, name in enumerate(IS13_DESCRIPTORS):
        assert IS13_NAMES[2 * i] == f"{name}_stddev" and IS13_NAMES[2 * i + 1] == f"{name}_amean"
    assert IS13_DESCRIPTORS[6:12:5] == ("audspec_lengthL1norm_sma", "audSpec_Rfilt_sma[1]")
    assert IS13_DESCRIPTORS[36] == "pcm_fftMag_fband250-650_sma" and IS13_DESCRIPTORS[51] == "mfcc_sma[1]"


@pytest.mark.parametrize("sr", [8000, 11025, 16000, 22050, 44100, 96000])
def test_backends_agree(sr):
    x = voice(sr, 0.9, seed=sr)
    slow, fast = is13_descriptors(x, sr, backend="reference"), is13_descriptors(x, sr, backend="numba")
    scale = np.abs(slow).max(0) + 1e-12
    close = np.abs(fast - slow) <= 1e-4 * scale
    assert close.mean(0).min() > 0.97  # a decision may fall the other way where two peaks tie
    assert close.mean() > 0.999


def test_frames_are_rounded_to_samples():
    sizes = {
        sr: (p.hop, len(p.short_window), len(p.long_window))
        for sr in (16000, 22050, 44100, 11025)
        for p in [plan_for(sr)]
    }
    assert sizes == {16000: (160, 320, 960), 22050: (221, 441, 1323), 44100: (441, 882, 2646), 11025: (110, 221, 662)}


def test_sine():
    x = tone(220.0)
    r = is13_descriptors(x, SR)
    middle = r[10:-10]
    assert r.shape == (96, 130)
    np.testing.assert_allclose(middle[:, column("F0final_sma")], 220.0, atol=2.0)
    np.testing.assert_allclose(middle[:, column("pcm_RMSenergy_sma")], 0.4 / np.sqrt(2), rtol=0.02)
    np.testing.assert_allclose(middle[:, column("pcm_zcr_sma")], 440 / SR, atol=2 / 960)
    for share in ("25.0", "50.0", "75.0"):
        np.testing.assert_allclose(
            middle[:, column(f"pcm_fftMag_spectralRollOff{share}_sma")], 220.0, atol=2 * SR / 512
        )
    np.testing.assert_allclose(middle[:, column("pcm_fftMag_spectralCentroid_sma")], 220.0, atol=40.0)
    assert middle[:, column("voicingFinalUnclipped_sma")].min() > 0.7
    assert middle[:, column("jitterLocal_sma")].max() < 1e-3 and middle[:, column("shimmerLocal_sma")].max() < 0.02
    assert middle[:, column("logHNR_sma")].min() > 20.0
    low, high = column("pcm_fftMag_fband250-650_sma"), column("pcm_fftMag_fband1000-4000_sma")
    assert (middle[:, low] > 1e3 * middle[:, high]).all()


def test_silence():
    r = is13_descriptors(np.zeros(SR, dtype=np.float32), SR)
    assert np.isfinite(r).all()
    for name in ("F0final", "voicingFinalUnclipped", "jitterLocal", "jitterDDP", "shimmerLocal", "pcm_RMSenergy"):
        assert (r[:, column(f"{name}_sma")] == 0.0).all(), name
    assert (r[:, column("logHNR_sma")] == -100.0).all()
    assert np.abs(r[:, 65:]).max() == 0.0 and np.abs(r[:, 51:65]).max() < 1e-4


def test_noise_has_a_flat_spectrum_and_little_pitch():
    x = np.random.default_rng(3).normal(scale=0.1, size=2 * SR)
    r = is13_descriptors(x, SR)
    assert abs(r[:, column("pcm_fftMag_spectralCentroid_sma")].mean() - SR / 4) < 200
    assert abs(r[:, column("pcm_fftMag_spectralRollOff50.0_sma")].mean() - SR / 4) < 250
    assert abs(r[:, column("pcm_fftMag_spectralEntropy_sma")].mean() - 7.4) < 0.3
    assert (r[:, column("F0final_sma")] > 0).mean() < 0.1
    assert abs(r[:, column("pcm_zcr_sma")].mean() - 0.5) < 0.02


def test_pitch_follows_a_glide():
    t = np.arange(2 * SR) / SR
    phase = 2 * np.pi * np.cumsum(120 + 80 * t) / SR
    x = 0.1 * sum(np.cos(k * phase) / k for k in range(1, 9))
    f0 = is13_descriptors(x, SR)[:, column("F0final_sma")][5:-5]
    expected = 120 + 80 * (np.arange(len(f0)) * 0.01 + 0.08)
    assert np.abs(f0 / expected - 1).max() < 0.02


def test_jitter_and_shimmer_of_alternating_pulses():
    """Periods of 156 and 164 samples, peaks of 1 and 0.8: jitter 8/160, its difference 0, shimmer 0.2/0.9."""
    x = np.zeros(2 * SR)
    at, k = 200, 0
    shape = np.exp(-np.arange(60) / 8.0) * np.sin(np.arange(60) / 3.0)
    while at + 60 < len(x):
        x[at : at + 60] += (0.5, 0.4)[k % 2] * shape
        at, k = at + (156, 164)[k % 2], k + 1
    r = is13_descriptors(x, SR)[40:-20]
    assert (r[:, column("F0final_sma")] > 0).all()
    assert abs(np.median(r[:, column("jitterLocal_sma")]) - 0.05) < 0.01
    assert np.median(r[:, column("jitterDDP_sma")]) < 0.01
    assert abs(np.median(r[:, column("shimmerLocal_sma")]) - 0.2 / 0.9) < 0.02


@pytest.mark.compiled
def test_windows_are_mean_and_population_sd_of_the_rows(rows):
    x = voice(SR, 3.0)
    features = is13(x, SR)
    assert features.shape == ((len(rows) - 50) // 50 + 1, 260) and features.dtype == np.float32
    for k, window in enumerate(features):
        part = rows[50 * k : 50 * k + 100].astype(np.float64)
        np.testing.assert_allclose(window[1::2], part.mean(0), rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(window[0::2], part.std(0), rtol=2e-5, atol=1e-6 * np.abs(part).max())
    coarse = is13(x, SR, window_s=2.0, overlap=0.0)
    assert len(coarse) == 1  # the second would hold 96 frames of 200
    np.testing.assert_allclose(coarse[0, 1::2], rows[:200].mean(0, dtype=np.float64), rtol=2e-6, atol=1e-6)
    assert len(is13(x, SR, window_s=0.5, overlap=0.75)) == (len(rows) - 25) // 12 + 1


def test_short_signals_give_one_window():
    one = is13(tone(300, 0.06), SR)
    assert one.shape == (1, 260) and np.isfinite(one).all()
    assert len(is13(tone(300, 0.4), SR)) == 1


@pytest.mark.compiled
def test_deltas_of_pairs_do_not_depend_on_the_past():
    x = voice(SR, 2.0)
    late = np.concatenate([np.zeros(SR, dtype=np.float32), x])
    name = column("F0final_sma_de")
    here = is13_descriptors(x, SR, voiced_deltas="pairs")[20:150, name]
    there = is13_descriptors(late, SR, voiced_deltas="pairs")[120:250, name]
    np.testing.assert_allclose(here, there, atol=0.05)
    assert np.abs(here).max() > 0.2
    growing = is13_descriptors(x, SR)[:, name]
    assert np.abs(growing[20:150]).max() < np.abs(here).max()


@pytest.mark.compiled
def test_input_is_kept_and_threads_change_nothing(rows):
    x = np.tile(voice(SR, 3.0), 3)
    before = x.copy()
    one, three = is13_descriptors(x, SR), is13_descriptors(x, SR, n_threads=3)
    assert np.array_equal(one, three) and np.array_equal(x, before)
    np.testing.assert_array_equal(is13_descriptors(voice(SR, 3.0).astype(np.float64), SR), rows)


@pytest.mark.parametrize(
    ("signal", "sr", "options", "error", "says"),
    [
        (np.zeros(0), SR, {}, EmptyAudioError, "no samples"),
        (np.zeros((2, 4000)), SR, {}, ParameterError, "downmix"),
        (np.zeros(900), SR, {}, ParameterError, "60 ms"),
        (np.full(4000, np.nan), SR, {}, NonFiniteAudioError, r"signal\[0\]"),
        (np.r_[np.zeros(4000), np.inf], SR, {}, NonFiniteAudioError, r"signal\[4000\]"),
        (np.zeros(4000), 0, {}, ParameterError, "sr"),
        (np.zeros(4000), 4000, {}, ParameterError, "8000"),
        (np.zeros(4000), 384000, {}, ParameterError, "resample"),
        (np.zeros(4000), 16000.5, {}, ParameterError, "sr"),
        (np.zeros(4000), SR, {"window_s": 0.0}, ParameterError, "window_s"),
        (np.zeros(4000), SR, {"window_s": float("nan")}, ParameterError, "window_s"),
        (np.zeros(4000), SR, {"overlap": 1.0}, ParameterError, "overlap"),
        (np.zeros(4000), SR, {"overlap": -0.1}, ParameterError, "overlap"),
        (np.zeros(4000), SR, {"voiced_deltas": "both"}, ParameterError, "voiced_deltas"),
        (np.array(["a"]), SR, {}, ParameterError, "real numbers"),
    ],
)
def test_bad_input_is_named(signal, sr, options, error, says):
    with pytest.raises(error, match=says):
        is13(signal, sr, **options)


@pytest.mark.parametrize("sr", [16000, 22050])
def test_agrees_with_opensmile(sr):
    """Frame by frame on a made-up voice; the table for real music is in docs/explanation/is13_parity.md."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opensmile = pytest.importorskip("opensmile")
        level = opensmile.FeatureLevel.LowLevelDescriptors
        smile = opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=level)
        x = np.trunc(voice(sr, 4.0) * 32768) / 32768
        theirs = smile.process_signal(x, sr).to_numpy()
    assert tuple(smile.column_names) == IS13_DESCRIPTORS[:65]
    ours = is13_descriptors(x, sr)[:, :65]
    assert ours.shape == theirs.shape
    r = np.array([np.corrcoef(ours[:, k], theirs[:, k])[0, 1] for k in range(65)])
    assert r[6:].min() > 0.9999
    assert r[[0, 1, 5]].min() > 0.99
    assert r[2:5].min() > 0.7  # a single frame at an onset weighs much where the rest is near zero
