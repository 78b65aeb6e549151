"""Made-up music follows the cue table, made-up listeners follow their boundaries, and a seed fixes every bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus.datasets import quadrant, synthetic
from dissensus.datasets.synthetic import CUES, EMOTIONS, SETTINGS, Music, Panel, Setting, cues_at
from dissensus.datasets.synthetic.score import compose
from dissensus.errors import ParameterError, UnknownTrackError
from dissensus.features.summary import SUMMARY_NAMES, summary

SHORT = Music(duration_s=2.0)
FEW = Panel(tracks_per_listener=4, crowd_per_track=2, crowd_tracks=5)


def at(emotion):
    cues = cues_at(*EMOTIONS[emotion])
    return {name: float(value[0]) for name, value in cues.items()}


# ---------------------------------------------------------------------------------------------------------- cues


@pytest.mark.parametrize(
    ("cue", "more", "less"),
    [
        ("tempo", "happiness", "sadness"),
        ("tempo", "anger", "tenderness"),
        ("tempo_variability", "fear", "happiness"),
        ("mode", "happiness", "anger"),
        ("mode", "tenderness", "sadness"),
        ("register", "happiness", "sadness"),
        ("level", "anger", "tenderness"),
        ("level", "happiness", "fear"),
        ("level_variability", "fear", "happiness"),
        ("articulation", "sadness", "anger"),
        ("brightness", "anger", "sadness"),
        ("noise", "anger", "tenderness"),
        ("attack", "sadness", "anger"),
        ("vibrato_extent", "anger", "fear"),
        ("vibrato_rate", "fear", "sadness"),
        ("vibrato_irregularity", "fear", "happiness"),
        ("duration_contrast", "happiness", "tenderness"),
        ("ritardando", "tenderness", "anger"),
        ("intonation", "fear", "sadness"),
        ("accents", "tenderness", "anger"),
    ],
)
def test_cues_order_the_emotions_as_the_table_does(cue, more, less):
    assert at(more)[cue] > at(less)[cue]


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 5))
def test_cues_stay_in_their_ranges_anywhere(a, v, noise):
    for name, value in cues_at(a, v, noise=noise).items():
        assert CUES[name].low <= value[0] <= CUES[name].high, name


def test_cues_vary_without_jumps():
    line = np.linspace(-1, 1, 400)
    for name, value in cues_at(line, 0.3 * line).items():
        span = max(CUES[name].values) - min(CUES[name].values)
        assert np.abs(np.diff(value)).max() < 0.03 * span, name


# --------------------------------------------------------------------------------------------------------- music


def test_score_follows_tempo_mode_articulation_and_register():
    def notes(**change):
        cues = {**at("tenderness"), "tempo_variability": 0, "ritardando": 0, "timing_variability": 0, **change}
        return compose(cues, 20.0, np.random.default_rng(5))

    np.testing.assert_allclose(np.diff(notes(tempo=120).kick_s), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.diff(notes(tempo=60).kick_s), 2.0, atol=1e-9)
    high, low = notes(register=80), notes(register=50)
    assert abs(high.midi[high.voice == 0].mean() - 80) < 6
    assert abs(low.midi[low.voice == 0].mean() - 50) < 6
    plain = {"intonation": 0.0}
    classes = [np.unique(np.round(notes(mode=m, **plain).midi) % 12) for m in (1.0, 0.0)]
    major, minor = (
        {tuple(sorted((s + k) % 12 for s in scale)) for k in range(12)}
        for scale in ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
    )
    assert all(any(set(c) <= set(scale) for scale in kind) for c, kind in zip(classes, (major, minor), strict=True))
    short, held = notes(articulation=0.4), notes(articulation=1.0)
    assert short.duration_s[short.voice == 0].mean() < 0.6 * held.duration_s[held.voice == 0].mean()


def test_final_ritardando_slows_the_beat():
    cues = {**at("sadness"), "tempo_variability": 0.0, "tempo": 100.0, "ritardando": 0.4}
    beats = np.diff(compose(cues, 20.0, np.random.default_rng(0)).kick_s)
    assert beats[-1] > 1.2 * beats[0]


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_sound_is_audible_bounded_and_as_loud_as_the_cue(setting):
    signal = synthetic.render(*EMOTIONS["tenderness"], setting=setting, duration_s=4, seed=3)
    assert signal.dtype == np.float32
    assert signal.shape == (64000,)
    assert np.abs(signal).max() < 1
    assert abs(20 * np.log10(signal.std()) - at("tenderness")["level"]) < 1.0


@pytest.mark.compiled
def test_sound_carries_level_brightness_and_register():
    def mean(name, *emotion):
        rows = [summary(synthetic.render(*EMOTIONS[e], duration_s=6, seed=s), 16000) for e in emotion for s in range(3)]
        return np.mean([X[:, SUMMARY_NAMES.index(name)].mean() for X in rows])

    assert mean("level_db", "anger") > mean("level_db", "sadness") + 6
    assert mean("centroid_oct", "happiness") > mean("centroid_oct", "sadness") + 0.3
    assert mean("onset_rate_hz", "happiness") > mean("onset_rate_hz", "sadness")
    assert mean("pitch_oct", "happiness") > mean("pitch_oct", "anger") + 0.3


def test_same_seed_same_samples_and_another_seed_another_tune():
    one = synthetic.make(6, 1, music=SHORT, panel=Panel(3, n_rated=6), features=None, seed=8)
    two = synthetic.make(6, 1, music=SHORT, panel=Panel(3, n_rated=6), features=None, seed=8)
    three = synthetic.make(6, 1, music=SHORT, panel=Panel(3, n_rated=6), features=None, seed=9)
    assert (one.clip("clip-0004") == two.clip("clip-0004")).all()
    assert (one.clip("clip-0004") == one.clip("clip-0004")).all()
    assert not (one.clip("clip-0004") == three.clip("clip-0004")).all()


def test_settings_are_dealt_evenly_and_can_be_held_out():
    data = synthetic.make(24, 1, music=SHORT, panel=Panel(3), features=None)
    names, count = np.unique(data.track_table["setting"], return_counts=True)
    assert (names.tolist(), count.tolist()) == (sorted(SETTINGS), [4] * 6)
    own = Setting("own", slope_db=-3.0, even=0.0)
    data = synthetic.make(4, 1, music=Music(2.0, settings=("reed", own)), panel=Panel(2), features=None)
    assert set(data.track_table["setting"]) == {"reed", "own"}
    clip = synthetic.render(0, 0, setting=own, duration_s=2)
    assert not (clip == synthetic.render(0, 0, setting="reed", duration_s=2)).all()


# ----------------------------------------------------------------------------------------------------- data sets


def test_make_is_identical_for_any_number_of_threads():
    one, three = (synthetic.make(7, 2, music=SHORT, panel=FEW, n_threads=n, seed=4) for n in (1, 3))
    assert (one.pool.X == three.pool.X).all()
    assert (one.annotations.label == three.annotations.label).all()


def test_make_fits_together():
    ticks = []
    data = synthetic.make(10, 3, music=SHORT, panel=FEW, seed=2, progress=lambda: ticks.append(1))
    assert len(ticks) == 10
    assert data.pool.feature_names == SUMMARY_NAMES
    assert data.pool.n_windows == 30
    assert (data.weak_label == quadrant(*data.latent.T)).all()
    assert (data.pool.X[data.pool.groups == 7] == summary(data.clip("clip-0007"), 16000)).all()
    rated = np.unique(data.annotations.track_id)
    assert (len(rated), rated[-1]) == (6, "clip-0005")  # 60 %; the rest is left to pre-train on
    crowd = np.array([name.startswith("crowd") for name in data.annotations.listener_id])
    assert crowd.sum() == 6 * 2
    assert [len(data.annotations.of(f"listener-{i:03d}")) for i in range(3)] == [4, 4, 4]
    assert len(data.annotations.newest()) == len(data.annotations)  # nobody rates a track twice
    with pytest.raises(UnknownTrackError):
        data.clip("clip-9999")


def test_other_features_can_be_given():
    data = synthetic.make(5, 1, music=SHORT, panel=Panel(2), features=lambda x, sr: np.array([[x.std(), sr]]))
    assert data.pool.X.shape == (5, 2)
    assert data.pool.feature_names is None


# ----------------------------------------------------------------------------------------------------- listeners


def disagreement(rho, flip=0.0, seed=0):
    panel = Panel(tracks_per_listener=100, rho=rho, flip=flip, n_rated=400)
    data = synthetic.latent_listeners(panel=panel, seed=seed)
    weak = data.weak_label[data.pool.index_of(data.annotations.track_id)]
    return float(np.mean(weak != data.annotations.label))


def test_without_personal_boundaries_everybody_agrees_and_disagreement_grows_with_rho():
    assert disagreement(0.0) == 0.0
    levels = [disagreement(rho) for rho in (0.2, 0.4, 0.8)]
    assert 0.05 < levels[0] < levels[1] < levels[2] < 0.75


def test_answers_flip_at_the_stated_rate_to_any_other_class():
    assert abs(disagreement(0.0, flip=0.2) - 0.2) < 0.02
    panel = Panel(tracks_per_listener=100, rho=0.0, flip=1.0, n_rated=400)
    data = synthetic.latent_listeners(panel=panel)
    step = (data.annotations.label - data.annotations.extra["unflipped"]) % 4
    share = np.bincount(step, minlength=4) / len(step)
    assert share[0] == 0
    np.testing.assert_allclose(share[1:], 1 / 3, atol=0.03)


def test_labels_are_the_quadrants_of_what_the_person_hears():
    data = synthetic.latent_listeners(100, 3, panel=Panel(20, rho=0.5, flip=0.0), seed=5)
    for i in range(3):
        mine = data.annotations.of(data.people.listener_id[i])
        heard = data.people.perceive(i, data.latent[data.pool.index_of(mine.track_id)])
        np.testing.assert_allclose(heard[:, 0], mine.extra["arousal"])
        assert (quadrant(*heard.T) == mine.label).all()


def test_turning_the_plane_by_a_quarter_permutes_the_quadrants():
    data = synthetic.latent_listeners(50, 1, panel=Panel(5), seed=0)
    people = dataclasses.replace(data.people, shift=data.people.shift * 0, angle=data.people.angle * 0 + np.pi / 2)
    turned = quadrant(*people.perceive(0, data.latent).T)
    assert (turned == (data.weak_label + 1) % 4).all()


def test_first_listeners_stay_the_same_people():
    few, many = (synthetic.latent_listeners(100, n, panel=Panel(10), seed=1) for n in (2, 9))
    name = "listener-001"
    assert (few.annotations.of(name).label == many.annotations.of(name).label).all()
    assert (few.annotations.of(name).track_id == many.annotations.of(name).track_id).all()


def test_latent_listeners_has_the_shape_of_the_benchmark():
    data = synthetic.latent_listeners()
    assert data.pool.X.shape == (700, 40)
    np.testing.assert_allclose(data.pool.X.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.pool.X.std(axis=0), 1, atol=1e-4)
    assert len(np.unique(data.annotations.track_id)) == 400
    crowd = np.char.startswith(data.annotations.listener_id, "crowd")
    assert (np.unique(data.annotations.track_id[crowd], return_counts=True)[1] == 6).all()
    with pytest.raises(ParameterError, match="no sound"):
        data.clip("track-00000")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Music(duration_s=0.5), "duration_s=0.5"),
        (lambda: Music(sr=100), "sr=100"),
        (lambda: Music(settings=()), "at least one"),
        (lambda: Music(settings=("kazoo",)), "'kazoo'"),
        (lambda: Music(cue_noise=-1), "cue_noise"),
        (lambda: Panel(rho=-1), "rho"),
        (lambda: Panel(flip=2), "flip"),
        (lambda: Panel(tracks_per_listener=0), "tracks_per_listener"),
        (lambda: synthetic.make(10, 1, panel=Panel(), features=None), "60 by each listener"),
        (lambda: synthetic.make(0, 1), "n_clips"),
        (lambda: synthetic.make(10, 0), "n_listeners"),
        (lambda: synthetic.latent_listeners(noise=-1), "noise"),
        (lambda: synthetic.latent_listeners(n_features=0), "n_features"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
