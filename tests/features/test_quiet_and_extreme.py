"""What every front end promises for any signal: finite, bounded, and the same in silence whatever decoded it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from awkward_signals import AWKWARD, awkward, signals
from hypothesis import given, settings

from dissensus.features import IS13_DESCRIPTORS, IS13_NAMES, is13, is13_descriptors, load_audio, log_mel, write_audio
from dissensus.features.summary import SUMMARY_NAMES, summary

SR = 16000
ENTROPY = IS13_DESCRIPTORS.index("pcm_fftMag_spectralEntropy_sma")

#: Range of every descriptor at 16 kHz, by the first word that fits; full-scale samples, spectra of 257 bins.
RANGES = {
    "F0final": (0, 625), "voicing": (0, 1), "jitter": (0, 1), "shimmer": (0, 2), "logHNR": (-100, 100),
    "audspec_": (0, 1e3), "audspecRasta": (0, 1e9), "pcm_RMS": (0, 1), "pcm_zcr": (0, 1), "audSpec_Rfilt": (0, 1e9),
    "pcm_fftMag_fband": (0, 3e4), "pcm_fftMag_spectralRollOff": (0, 8000), "pcm_fftMag_spectralFlux": (0, 300),
    "pcm_fftMag_spectralCentroid": (0, 8000), "pcm_fftMag_spectralEntropy": (0, 257 / (np.e * np.log(2))),
    "pcm_fftMag_spectralVariance": (0, 4000**2), "pcm_fftMag_spectralSkewness": (-1e4, 1e4),
    "pcm_fftMag_spectralKurtosis": (0, 1e6), "pcm_fftMag_spectralSlope": (-1e3, 1e3),
    "pcm_fftMag_psySharpness": (0, 10), "pcm_fftMag_spectralHarmonicity": (0, 3e4), "mfcc": (-400, 400),
}  # fmt: skip

SUMMARY_RANGES = {
    "level_db": (-100, 0), "level_sd": (0, 20), "crest": (0, 100), "gap": (0, 1), "attack": (-40, 40), "tremolo": (0, 1.001),
    "zero": (0, 1), "centroid_oct": (-0.2, 7.3), "centroid_sd": (0, 4), "spread": (0, 4), "rolloff": (-0.2, 7.3),
    "flatness": (-150, 1e-3), "flux": (0, 160), "onset": (0, 63), "tempo_bpm": (29, 301), "tempo_clarity": (-1.5, 1.5),
    "pitch_oct": (-0.2, 5.4), "pitch_sd": (0, 3), "major": (-2, 2), "key": (-1.001, 1.001), "chroma": (0, 2.49),
    "band": (-100, 1e-3),
}  # fmt: skip


def inside(rows: np.ndarray, names: tuple[str, ...], ranges: dict[str, tuple[float, float]]) -> None:
    assert np.isfinite(rows).all()
    for name, column in zip(names, rows.T, strict=True):
        low, high = max((word, span) for word, span in ranges.items() if name.startswith(word))[1]
        assert low - 1e-3 <= column.min() and column.max() <= high + 1e-3, (name, column.min(), column.max())


@pytest.mark.compiled
@settings(max_examples=40)
@given(y=signals(least=960, most=SR))
def test_the_descriptors_are_finite_and_in_their_ranges(y: np.ndarray) -> None:
    rows = is13_descriptors(y, SR)
    inside(rows[:, :65], IS13_DESCRIPTORS[:65], RANGES)
    deltas = {word: (low - high, high - low) for word, (low, high) in RANGES.items()}
    inside(rows[:, 65:], IS13_DESCRIPTORS[65:], deltas)


@pytest.mark.compiled
@settings(max_examples=40)
@given(y=signals(least=1, most=SR))
def test_the_summary_features_are_finite_and_in_their_ranges(y: np.ndarray) -> None:
    inside(summary(y, SR), SUMMARY_NAMES, SUMMARY_RANGES)


@settings(max_examples=60)
@given(y=signals(least=1, most=SR))
def test_log_mel_lies_between_its_floor_and_what_full_scale_gives(y: np.ndarray) -> None:
    rows = log_mel(y, sr=SR)
    assert np.isfinite(rows).all()
    assert rows.min() >= -100.0001 and rows.max() <= 20 * np.log10(256) + 10 * np.log10(12)


@pytest.mark.compiled
@pytest.mark.parametrize("scale", [1.0, 1e10, 1e30, 3e38])
def test_samples_beyond_full_scale_are_clipped(scale: float) -> None:
    y = awkward("clipped", SR) * np.float32(scale)
    loud = is13_descriptors(np.clip(y, -1, 1), SR)
    assert np.array_equal(is13_descriptors(y, SR), loud)
    assert np.array_equal(summary(y, SR), summary(np.clip(y, -1, 1), SR))


@pytest.mark.compiled
@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_spectral_entropy_after_digital_silence_is_opensmiles(backend: str) -> None:
    """One 16-bit step amid silence: two frames of 20 ms hold it, one at its middle (134.59) and one at its edge (0); the
    descriptor is the mean of three frames. Once the value was -33 745."""
    y = np.zeros(4800)
    y[2400] = 2.0**-15
    entropy = is13_descriptors(y, SR, backend=backend)[:, ENTROPY]
    np.testing.assert_allclose(entropy[[12, 13, 14, 15, 16]], [0, 44.865, 44.865, 44.865, 0], atol=2e-3)


@pytest.mark.compiled
@pytest.mark.parametrize("left", [1e-9, 3e-6, 1.4e-5])
def test_what_a_decoder_leaves_in_silence_changes_nothing(left: float) -> None:
    rng = np.random.default_rng(0)
    music = awkward("fade in", SR, seed=3)
    noise = np.clip(left * rng.standard_normal(8000), -1.5e-5, 1.5e-5).astype(np.float32)
    silent, noisy = (np.concatenate([lead, music, lead]) for lead in (np.zeros(8000, np.float32), noise))
    assert np.array_equal(is13(silent, SR), is13(noisy, SR))
    assert np.array_equal(summary(silent, SR), summary(noisy, SR))


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["silence, then music", "fade in", "fade out", "music, then silence"])
def test_one_recording_gives_the_same_features_from_every_format(tmp_path: Path, name: str) -> None:
    """Float and 16 bits, WAV and FLAC, bit for bit; 24 bits; an MP3 as it decodes and as a 16-bit WAV of it."""
    import soundfile

    def steps(samples: np.ndarray, bits: int) -> np.ndarray:
        return np.minimum(np.rint(samples.astype(float) * 2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1).astype(np.int32)

    y = awkward(name, 2 * SR, seed=1)
    write_audio(tmp_path / "float.wav", y, SR, subtype="FLOAT")
    for suffix in ("wav", "flac"):
        soundfile.write(tmp_path / f"16.{suffix}", steps(y, 16).astype(np.int16), SR, subtype="PCM_16")
        soundfile.write(tmp_path / f"24.{suffix}", steps(y, 24) << 8, SR, subtype="PCM_24")
    write_audio(tmp_path / "a.mp3", y, SR)
    lossy = load_audio(tmp_path / "a.mp3")
    soundfile.write(tmp_path / "decoded.wav", steps(lossy, 16).astype(np.int16), SR, subtype="PCM_16")
    for features in (is13, summary):
        want = features(y, SR)
        for file in ("float.wav", "16.wav", "16.flac"):
            assert np.array_equal(features(load_audio(tmp_path / file), SR), want), file
        want = features(steps(y, 24) / 2.0**23, SR)
        for file in ("24.wav", "24.flac"):
            assert np.array_equal(features(load_audio(tmp_path / file), SR), want), file
        assert np.array_equal(features(lossy, SR), features(load_audio(tmp_path / "decoded.wav"), SR))


def test_every_awkward_signal_is_finite_and_within_full_scale() -> None:
    for name in AWKWARD:
        for n in (1, 2, 17, 1000):
            y = awkward(name, n)
            assert len(y) == n and np.abs(y).max() <= 1.0, name
    assert len(IS13_NAMES) == 260
