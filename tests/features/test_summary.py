"""The plain descriptors: shape, independence of windows, and that they measure what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features.summary import SUMMARY_NAMES, summary

SR = 16000
T = np.arange(2 * SR) / SR


def column(X, name):
    return X[:, SUMMARY_NAMES.index(name)]


def sine(hz, level=0.5):
    return level * np.sin(2 * np.pi * hz * T)


def chord(*semitones):
    return 0.2 * sum(np.sin(2 * np.pi * 220 * 2 ** (s / 12) * T) for s in semitones)


def test_shape_and_type():
    X = summary(sine(440), SR)
    assert X.shape == (3, len(SUMMARY_NAMES))
    assert X.dtype == np.float32
    assert len(set(SUMMARY_NAMES)) == len(SUMMARY_NAMES)


def test_a_window_depends_on_its_own_samples_only():
    signal = np.random.default_rng(0).normal(size=4 * SR) * 0.1
    whole = summary(signal, SR)
    np.testing.assert_array_equal(summary(signal[SR // 2 : SR // 2 + SR], SR)[0], whole[1])


@given(
    st.sampled_from([8000, 16000, 22050, 44100]),
    st.integers(1, 30000),
    st.sampled_from(["zero", "noise", "constant", "click"]),
)
def test_always_finite(sr, n, kind):
    signal = {"zero": np.zeros(n), "noise": np.random.default_rng(n).normal(size=n), "constant": np.full(n, 0.3)}.get(
        kind
    )
    if signal is None:
        signal = np.zeros(n)
        signal[n // 2] = 1.0
    X = summary(signal, sr)
    assert np.isfinite(X).all()
    assert len(X) == max(1, 1 + (n - sr) // round(sr * 0.5)) if n >= sr else len(X) == 1


def test_level_is_the_rms_in_db():
    X = summary(sine(440, 1.0), SR)
    np.testing.assert_allclose(column(X, "level_db"), 20 * np.log10(np.sqrt(0.5)), atol=0.1)
    np.testing.assert_allclose(column(summary(sine(440, 0.1), SR), "level_db"), column(X, "level_db") - 20, atol=0.1)
    np.testing.assert_allclose(column(X, "crest_db"), 3.01, atol=0.1)


@pytest.mark.parametrize("octave", [1, 2, 3, 4, 5])
def test_pitch_and_centroid_follow_the_octaves(octave):
    X = summary(sine(55 * 2**octave), SR)
    np.testing.assert_allclose(column(X, "pitch_oct"), octave, atol=0.06)
    np.testing.assert_allclose(column(X, "centroid_oct"), octave, atol=0.2)


def test_major_and_minor_chords_are_told_apart():
    major, minor = summary(chord(0, 4, 7, 12), SR), summary(chord(0, 3, 7, 12), SR)
    assert (column(major, "major_minus_minor") > 0.05).all()
    assert (column(minor, "major_minus_minor") < -0.05).all()


def test_noise_is_flatter_brighter_and_less_tonal_than_a_tone():
    noise, tone = summary(np.random.default_rng(1).normal(size=2 * SR) * 0.1, SR), summary(chord(0, 4, 7), SR)
    for name, sign in (("flatness_db", 1), ("centroid_oct", 1), ("key_clarity", -1), ("zero_crossings", 1)):
        assert (sign * (column(noise, name) - column(tone, name)) > 0).all(), name


def test_detached_notes_leave_gaps_and_onsets():
    gate = np.clip(np.minimum(T % 0.25, 0.1 - T % 0.25) / 0.02, 0, 1)
    short, held = summary(sine(440) * gate, SR), summary(sine(440), SR)
    assert (column(short, "gap_share") > 0.4).all()
    assert (column(held, "gap_share") == 0).all()
    np.testing.assert_allclose(column(short, "onset_rate_hz"), 4, atol=1.1)
    assert (column(held, "onset_rate_hz") == 0).all()
    periods = 60 / column(short, "pulse_bpm") / 0.25
    np.testing.assert_allclose(periods, np.round(periods), atol=0.05)


def test_tremolo_is_found_at_its_rate():
    slow, fast = (summary(sine(440) * (1 + 0.5 * np.sin(2 * np.pi * f * T)), SR) for f in (1, 6))
    assert (column(fast, "tremolo_share") > 0.8).all()
    assert (column(slow, "tremolo_share") < 0.3).all()


def test_bands_add_up_to_the_whole():
    X = summary(np.random.default_rng(2).normal(size=SR), SR)
    bands = X[0, [i for i, name in enumerate(SUMMARY_NAMES) if name.startswith("band_")]].astype(float)
    np.testing.assert_allclose((10 ** (bands / 10)).sum(), 1, rtol=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(EmptyAudioError):
        summary([], SR)
    with pytest.raises(NonFiniteAudioError, match="sample 3"):
        summary([0, 0, 0, np.nan], SR)
    for arguments in ({"sr": 100}, {"window_s": 0.1}, {"overlap": 1.0}, {"overlap": -0.1}):
        with pytest.raises(ParameterError, match=next(iter(arguments))):
            summary(sine(440), **{"sr": SR, **arguments})
    with pytest.raises(ParameterError, match="mono"):
        summary(np.zeros((2, 100)), SR)
