"""Data sets annotated along time: DEAM, emoMusic, PMEmo."""

from __future__ import annotations

import numpy as np
import pytest

from dissensus.datasets import deam, emomusic, pmemo, quadrant, twins
from dissensus.datasets._dynamic import song_labels
from dissensus.errors import DataFormatError, ParameterError

DYNAMIC = "annotations/annotations averaged per song/dynamic (per second annotations)"


# ---------------------------------------------------------------------------------------------------------- DEAM


def test_deam_without_features_has_a_window_for_each_common_instant(tmp_path):
    data = deam.load(twins.deam(tmp_path))
    assert np.bincount(data.pool.groups).tolist() == [11, *[9] * 7]  # valence ends one instant before arousal
    assert data.pool.n_features == 0
    assert (data.window_label == quadrant(*data.window_av.T)).all()
    assert data.window_time_s[:3].tolist() == [15.0, 15.5, 16.0]
    assert data.annotations.listener_id.tolist() == ["population"] * 8
    assert (data.annotations.label == data.weak_label).all()


def test_deam_with_features_joins_on_the_millisecond(tmp_path):
    root = twins.deam(tmp_path)
    data = deam.load(root, features=root / "features")
    assert data.pool.feature_names == ("f1", "f2", "f3", "f4", "f5")
    lines = (root / "features" / "2.csv").read_text().splitlines()
    row = next(line for line in lines if line.startswith("16.5;"))
    here = (data.pool.track_ids[data.pool.groups] == "2") & (data.window_time_s == 16.5)
    np.testing.assert_allclose(data.pool.X[here][0], [float(v) for v in row.split(";")[1:]], rtol=1e-6)


def test_song_label_rules():
    label = np.array([2, 2, 0, 3, 0, 1, -1])
    av = np.array([[-0.1, -0.1], [-0.1, -0.1], [0.9, 0.9], [-0.1, 0.1], [0.5, 0.5], [0.5, -0.5], [0.0, 0.0]])
    groups = np.array([0, 0, 0, 0, 1, 1, 2])
    assert song_labels(label, av, groups, "majority", "nonneg").tolist() == [2, 0, -1]
    assert song_labels(label, av, groups, "published", "nonneg").tolist() == [3, 1, -1]
    assert song_labels(label, av, groups, "mean", "nonneg").tolist() == [0, 0, 0]
    with pytest.raises(ParameterError, match="song_label="):
        song_labels(label, av, groups, "median", "nonneg")


def test_soft_label_is_the_share_of_windows(tmp_path):
    data = deam.load(twins.deam(tmp_path))
    soft = data.soft_label()
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    assert (soft.argmax(axis=1) == data.weak_label).all()
    first = data.window_label[data.pool.groups == 0]
    np.testing.assert_allclose(soft[0], np.bincount(first, minlength=4) / len(first))


def test_deam_static_labels_come_from_both_files(tmp_path):
    data = deam.load(twins.deam(tmp_path), song_label="static")
    point = data.track_table["static_arousal"], data.track_table["static_valence"]
    assert (data.weak_label == quadrant(*point)).all()
    assert np.abs(point).max() <= 4


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (f"{DYNAMIC}/arousal.csv", "song_id", "song", r"arousal\.csv, line 1: no column 'song_id'"),
        (f"{DYNAMIC}/arousal.csv", "sample_15500ms", "t15.5", "'t15.5' is not of the form"),
        (f"{DYNAMIC}/valence.csv", "\n3,", "\n2,", "line 3: song_id '2' was already in line 2"),
        (f"{DYNAMIC}/valence.csv", "\n3,", "\n33,", "song '3' is in this file only"),
        (f"{DYNAMIC}/valence.csv", "\n3,", "\n3,high,", "line 3: sample_15000ms is 'high'"),
        (f"{DYNAMIC}/valence.csv", "\n3,", "\n3,1,1,1,1,1,1,1,1,1,1,", "line 3: 20 cells, the header has 12"),
        ("features/4.csv", "frameTime", "time", "first column must be frameTime"),
        ("features/4.csv", "f3", "g3", "columns differ"),
        ("features/4.csv", "17.0;", "17.0;x", "f1' has text or gaps"),
    ],
)
def test_damaged_deam_is_named(tmp_path, replace, file, old, new, message):
    root = twins.deam(tmp_path)
    replace(root / file, old, new)
    with pytest.raises(DataFormatError, match=message):
        deam.load(root, features=root / "features")


def test_deam_names_what_is_missing(tmp_path):
    root = twins.deam(tmp_path)
    (root / "features" / "5.csv").unlink()
    with pytest.raises(DataFormatError, match="the features of song 5"):
        deam.load(root, features=root / "features")
    with pytest.raises(DataFormatError, match="no such folder"):
        deam.load(root, features=root / "nowhere")
    (root / DYNAMIC / "valence.csv").unlink()
    with pytest.raises(DataFormatError, match="dynamic valence"):
        deam.load(root)


@pytest.mark.data
def test_deam_counts_of_the_release(research_data):
    data = deam.load(research_data / "deam_annotations")
    assert (data.pool.n_tracks, data.pool.n_windows) == (1802, 129995)
    share = np.bincount(data.window_label) / data.pool.n_windows
    np.testing.assert_allclose(share, [0.494, 0.157, 0.212, 0.137], atol=0.0005)
    assert np.bincount(data.weak_label).tolist() == [976, 236, 382, 208]
    assert (data.window_av == 0).sum(axis=0).tolist() == [48, 28]
    published = song_labels(data.window_label, data.window_av, data.pool.groups, "published", "nonneg")
    assert np.bincount(published).tolist() == [813, 232, 364, 393]
    assert (published != data.weak_label).sum() == 298


# ------------------------------------------------------------------------------------------------------ emoMusic


def test_emomusic_has_windows_and_static_labels(tmp_path):
    data = emomusic.load(twins.emomusic(tmp_path))
    assert (data.pool.n_tracks, data.pool.n_windows) == (6, 48)
    assert (data.weak_label == quadrant(data.track_table["static_arousal"], data.track_table["static_valence"])).all()
    majority = emomusic.load(tmp_path, song_label="majority")
    assert (majority.weak_label == majority.soft_label().argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("static_annotations.csv", "mean_arousal", "arousal", "no column 'mean_arousal'"),
        ("static_annotations.csv", "\n4,", "\n44,", "needs the static annotations of every song"),
        ("valence_cont_average.csv", "sample_", "s_", "not of the form"),
    ],
)
def test_damaged_emomusic_is_named(tmp_path, replace, file, old, new, message):
    replace(twins.emomusic(tmp_path) / "annotations" / file, old, new)
    with pytest.raises(DataFormatError, match=message):
        emomusic.load(tmp_path)


# --------------------------------------------------------------------------------------------------------- PMEmo


def test_pmemo_dynamic_static_with_and_without_features(tmp_path):
    root = twins.pmemo(tmp_path)
    dynamic = pmemo.load(root)
    assert (dynamic.pool.n_tracks, dynamic.pool.n_windows, dynamic.pool.n_features) == (5, 30, 3)
    assert np.abs(dynamic.window_av).max() <= 0.5  # centred
    assert dynamic.window_time_s[:2].tolist() == [15.0, 15.5]
    static = pmemo.load(root, level="static")
    assert (static.pool.n_windows, static.pool.feature_names) == (5, ("f1", "f2"))
    assert (static.weak_label == quadrant(*static.window_av.T)).all()
    # the twin's static features are the latent point itself
    assert (static.weak_label == quadrant(*static.pool.X.T)).all()
    assert pmemo.load(root, features=False).pool.n_tracks == 6


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("annotations/static_annotations.csv", "Arousal(mean)", "A", r"no column 'Arousal\(mean\)'"),
        ("annotations/dynamic_annotations.csv", "Valence(mean)", "V", "expected the columns"),
        ("annotations/dynamic_annotations.csv", "1,15.5,", "1,15.0,", "song 1 has two rows for 15 s"),
        ("features/dynamic_features.csv", "musicId", "id", "expected the columns"),
        ("features/dynamic_features.csv", "1,15.0,", "1,15.0,nan", "text or gaps"),
    ],
)
def test_damaged_pmemo_is_named(tmp_path, replace, file, old, new, message):
    replace(twins.pmemo(tmp_path) / file, old, new)
    with pytest.raises(DataFormatError, match=message):
        pmemo.load(tmp_path)


def test_pmemo_refuses_an_unknown_level(tmp_path):
    with pytest.raises(ParameterError, match="level="):
        pmemo.load(tmp_path, level="frame")
