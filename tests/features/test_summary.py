"""The plain descriptors: shape, independence of windows, and that they measure what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.datasets.synthetic.music import Clips, Music, draw_latent
from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features.summary import SUMMARY_NAMES, SummaryStream, summary

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


SLOW = ("tempo_bpm", "tempo_clarity", "major_minus_minor", "key_strength", "chroma_entropy")


@pytest.mark.compiled
def test_a_window_depends_on_its_own_samples_but_for_what_takes_longer_to_hear():
    signal = np.random.default_rng(0).normal(size=4 * SR) * 0.1
    whole, alone = summary(signal, SR)[4], summary(signal[2 * SR : 3 * SR], SR)[0]  # both begin with a frame
    quick = [
        i
        for i, name in enumerate(SUMMARY_NAMES)
        if name not in (*SLOW, "flux_db", "flux_sd_db", "onset_rate_hz", "pitch_oct", "pitch_sd_oct")
    ]
    np.testing.assert_allclose(alone[quick], whole[quick], rtol=1e-4, atol=1e-4)
    late = np.concatenate([signal, np.zeros(20 * SR)])  # more than half a context away: nothing changes
    np.testing.assert_array_equal(summary(late, SR)[:4], summary(late[: 12 * SR], SR)[:4])


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("sr", "options"), [(16000, {}), (22050, {"window_s": 3.0, "overlap": 0.0}), (44100, {"context_s": 2.0})]
)
def test_parts_give_exactly_the_windows_of_the_whole(sr, options):
    rng = np.random.default_rng(sr)
    x = 0.1 * rng.standard_normal(50 * sr) * (1 + np.sin(np.arange(50 * sr) / sr * 9))
    whole = summary(x, sr, **options)
    stream = SummaryStream(sr, **options)
    cuts = np.sort(rng.integers(0, len(x), 12))
    parts = [*(stream.push(part) for part in np.split(x, cuts)), stream.finish()]
    assert sum(map(len, parts[:-1])) > len(whole) / 2  # most windows come before the end
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(stream._short.rows) < 25 * sr / stream._short.hop  # and their frames are forgotten


def test_backends_agree():
    rng = np.random.default_rng(3)
    for sr in (8000, 16000, 44100):
        t = np.arange(9 * sr) / sr
        x = 0.2 * np.sin(2 * np.pi * 330 * t) * (np.sin(2 * np.pi * 1.7 * t) > 0) + 0.01 * rng.standard_normal(len(t))
        slow, fast = summary(x, sr, backend="reference"), summary(x, sr, backend="numba")
        np.testing.assert_allclose(fast, slow, rtol=1e-3, atol=2e-3)


def clicks(bpm, seconds=12.0, sr=SR):
    x = np.random.default_rng(7).normal(size=round(seconds * sr)) * 1e-4
    tick = np.exp(-np.arange(round(0.03 * sr)) / (0.005 * sr)) * np.sin(
        2 * np.pi * 1000 * np.arange(round(0.03 * sr)) / sr
    )
    for at in np.arange(0.1, seconds - 0.05, 60 / bpm):
        x[round(at * sr) : round(at * sr) + len(tick)] += 0.5 * tick
    return x


@pytest.mark.compiled
@pytest.mark.parametrize("bpm", [45, 60, 72, 90, 100, 113, 120, 137, 150, 174, 190])
@pytest.mark.parametrize("sr", [16000, 22050])
def test_tempo_of_clicks(bpm, sr):
    X = summary(clicks(bpm, sr=sr), sr)
    ratio = column(X, "tempo_bpm") / bpm
    octave = 2.0 ** np.round(np.log2(ratio))
    assert (np.abs(ratio / octave - 1) < 0.04).all(), ratio
    if 70 <= bpm <= 170:  # the prior leaves no doubt
        assert (octave == 1).all()
    assert (column(X, "tempo_clarity") > 0.4).all()


def test_without_onsets_the_prior_speaks():
    X = summary(np.zeros(4 * SR), SR)
    assert (column(X, "tempo_bpm") == 120).all()
    assert (column(X, "tempo_clarity") == 0).all()


@pytest.mark.compiled
def test_tempo_and_mode_of_synthetic_music():
    """On 600 clips: 78 % within 4 % of the tempo or an octave from it, 79 % of the clear modes right."""
    latent = draw_latent(80, np.random.default_rng(1))
    clips = Clips(latent, Music(duration_s=12.0), 9)
    bpm, mode = clips.cues["tempo"], clips.cues["mode"]
    X = [summary(clips.render(i), SR) for i in range(80)]
    found = np.array([np.median(column(x, "tempo_bpm")) for x in X])
    ratio = found[:, None] / bpm[:, None] / [0.5, 1.0, 2.0]
    assert np.mean((np.abs(ratio - 1) < 0.04).any(axis=1)) >= 0.65
    assert np.corrcoef(np.log(found), np.log(bpm))[0, 1] > 0.4
    tilt = np.array([column(x, "major_minus_minor").mean() for x in X])
    assert np.corrcoef(tilt, mode)[0, 1] > 0.35
    clear = (mode < 0.3) | (mode > 0.7)
    assert np.mean((tilt > 0)[clear] == (mode > 0.5)[clear]) >= 0.65


def note(midi, t, seconds):
    fade = np.minimum(1, np.minimum(t, seconds - t) / 0.02)
    return fade * sum(np.sin(2 * np.pi * k * 440 * 2 ** ((midi - 69) / 12) * t) / k**1.5 for k in range(1, 6))


def tones(notes, seconds=0.5):
    """Notes one after the other, or chords of several, with overtones."""
    t = np.arange(round(seconds * SR)) / SR
    return np.concatenate([sum(note(m, t, seconds) for m in np.atleast_1d(chord)) for chord in notes])


@pytest.mark.parametrize("tonic", range(0, 12, 2))
@pytest.mark.parametrize("kind", ["major", "minor"])
def test_mode_and_key_strength_of_scales_and_cadences(tonic, kind):
    third, sixth, seventh = (4, 9, 11) if kind == "major" else (3, 8, 11)
    scale = [0, 2, third, 5, 7, sixth, seventh, 12, 7, third, 0]
    cadence = [[0, third, 7], [5, sixth, 12], [7, 11, 14], [0, third, 7]]
    sign = 1 if kind == "major" else -1
    for notes in (scale, cadence * 2):
        x = 0.1 * tones([np.add(note, 57 + tonic) for note in notes])
        X = summary(x, SR)
        assert (sign * column(X, "major_minus_minor") > 0).all()
        assert (column(X, "key_strength") > 0.6).all()


def test_all_twelve_tones_have_no_key():
    x = 0.1 * tones([np.arange(57, 69)] * 8)
    scale = 0.1 * tones([57 + s for s in (0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0)])
    assert column(summary(x, SR), "key_strength").max() < column(summary(scale, SR), "key_strength").min()
    assert column(summary(x, SR), "chroma_entropy").min() > 0.97 * np.log(12)


@pytest.mark.compiled
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
    for name, sign in (("flatness_db", 1), ("centroid_oct", 1), ("key_strength", -1), ("zero_crossings", 1)):
        assert (sign * (column(noise, name) - column(tone, name)) > 0).all(), name


def test_detached_notes_leave_gaps_and_onsets():
    gate = np.clip(np.minimum(T % 0.25, 0.1 - T % 0.25) / 0.02, 0, 1)
    short, held = summary(sine(440) * gate, SR), summary(sine(440), SR)
    assert (column(short, "gap_share") > 0.4).all()
    assert (column(held, "gap_share") == 0).all()
    np.testing.assert_allclose(column(short, "onset_rate_hz"), 4, atol=1.1)
    assert (column(held, "onset_rate_hz") == 0).all()
    periods = 60 / column(short, "tempo_bpm") / 0.25
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
