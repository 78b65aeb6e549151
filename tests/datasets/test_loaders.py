"""AMG1608, Soundtracks, the ISMIR 2020 ratings, 4Q, Grekow, CH-818."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from dissensus.datasets import amg1608, ch818, fourq, grekow, ismir2020, quadrant, soundtracks, twins
from dissensus.errors import DataFormatError, ParameterError

# ------------------------------------------------------------------------------------------------------- AMG1608


def test_amg1608_reads_valence_first_and_skips_what_is_not_rated(tmp_path):
    root = twins.amg1608(tmp_path)
    data = amg1608.load(root)
    label = loadmat(root / "AMG1608.mat")["song_label"]
    assert len(data.annotations) == np.isfinite(label[:, :, 0]).sum()
    assert data.pool.track_ids.tolist() == ["3", "10", "17", "24", "31", "38"]
    row = data.annotations.of("user-002")
    song = [(int(t) - 3) // 7 for t in row.track_id]
    np.testing.assert_array_equal(row.extra["valence"], label[song, 2, 0])
    np.testing.assert_array_equal(row.extra["arousal"], label[song, 2, 1])
    assert (row.label == quadrant(row.extra["arousal"], row.extra["valence"])).all()


def test_amg1608_boundary_campus_and_missing_map(tmp_path):
    label = np.full((2, 665, 2), np.nan)
    label[0, 0], label[1, 664] = (-0.5, 0.0), (0.0, -0.5)  # valence, arousal
    savemat(tmp_path / "song_label.mat", {"song_label": label})
    assert amg1608.load(tmp_path).annotations.label.tolist() == [1, 3]
    published = amg1608.load(tmp_path, boundary="amg1608").annotations
    assert published.label.tolist() == [2, 2]
    assert published.extra["campus"].tolist() == [False, True]
    assert published.track_id.tolist() == ["1", "2"]


def test_amg1608_features_are_window_means(tmp_path):
    root = twins.amg1608(tmp_path)
    data = amg1608.load(root, features=True)
    cell = loadmat(root / "AMG1608.mat")["feat_cell"][1, 0]
    mine = data.pool.X[data.pool.groups == 1]
    assert mine.shape == (5, 6)
    np.testing.assert_allclose(mine[1], np.r_[cell[:, 20:60].mean(axis=1), cell[:, 20:60].std(axis=1)], rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": np.zeros((2, 2, 2))}, "no variable 'song_label'"),
        ({"song_label": np.zeros((2, 2))}, "expected numbers"),
        ({"song_label": np.full((2, 2, 2), 3.0)}, r"song_label\[0, 0\] is \(3.0, 3.0\)"),
        ({"song_label": np.array([[[0.5, np.nan]]])}, "one of valence and arousal only"),
    ],
)
def test_damaged_amg1608_is_named(tmp_path, content, message):
    savemat(tmp_path / "AMG1608.mat", content)
    with pytest.raises(DataFormatError, match=message):
        amg1608.load(tmp_path)


def test_amg1608_names_broken_and_missing_files(tmp_path):
    with pytest.raises(DataFormatError, match=r"none of AMG1608\.mat"):
        amg1608.load(tmp_path)
    (tmp_path / "AMG1608.mat").write_bytes(b"not a matrix" * 100)
    with pytest.raises(DataFormatError, match="cannot be read as a MAT-file"):
        amg1608.load(tmp_path)
    root = twins.amg1608(tmp_path / "b")
    (root / "anno").mkdir()
    for file in ("AMG1608.mat", "1608_song_id.mat"):  # as the authors of the experiments keep it
        (root / file).rename(root / "anno" / file)
    assert amg1608.load(root).pool.track_ids[:2].tolist() == ["3", "10"]
    (root / "anno" / "1608_song_id.mat").unlink()
    savemat(root / "mat_id2song_id.mat", {"mat_id2song_id": np.ones((6, 1))})
    with pytest.raises(DataFormatError, match="6 different numbers"):
        amg1608.load(root)


# --------------------------------------------------------------------------------------------------- Soundtracks


def test_soundtracks_links_the_two_halves_of_a_person(tmp_path):
    data = soundtracks.load(twins.soundtracks(tmp_path))
    people, count = np.unique(data.annotations.listener_id, return_counts=True)
    assert people.tolist() == ["dimensional-001", *(f"person-{i:03d}" for i in range(1, 7))]
    assert count.tolist() == [5, *[10] * 6]
    apart = soundtracks.load(tmp_path, link=False)
    assert len(np.unique(apart.annotations.listener_id)) == 13
    assert (apart.annotations.label == data.annotations.label).all()


def test_soundtracks_labels_follow_the_stated_rule(tmp_path):
    data = soundtracks.load(twins.soundtracks(tmp_path))
    a = data.annotations
    assert -1 in a.label  # the twin has ties
    for i in range(len(a)):
        x = {name: a.extra[name][i] for name in a.extra}
        if x["condition"] == "discrete":
            q = [x["happy"], max(x["anger"], x["fear"]), x["sad"], x["tender"]]
            expected = int(np.argmax(q)) if q.count(max(q)) == 1 else -1
        elif 5 in (x["energy"], x["valence"]):
            expected = -1
        else:
            expected = int(quadrant(x["energy"] - 5, x["valence"] - 5))
        assert a.label[i] == expected
    assert data.weak_label.tolist() == [0, 1, 1, 2, 3, -1, -1, -1, -1, -1]
    assert data.pool.feature_names == ("RMS", "sp_centr")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("raw_ratings.csv.gz", "Energy", "energy", "no column 'Energy'"),
        ("raw_ratings.csv.gz", "Discrete", "discrete", "line 2: Emotion is 'discrete'"),
        ("raw_ratings.csv.gz", "Female,21", "Female,22", "changes Gender, Age, Musicianship"),
        ("raw_ratings.csv.gz", "\n2,Anger", "\n1,Anger", "rates an excerpt twice"),
        ("soundtrack_features.csv", "010.mp3", "010.mp3,1", "line 11: 5 cells"),
        ("soundtrack_features.csv", ",10\n", ",11\n", "no row for track '10'"),
    ],
)
def test_damaged_soundtracks_is_named(tmp_path, replace, file, old, new, message):
    replace(twins.soundtracks(tmp_path) / file, old, new)
    with pytest.raises(DataFormatError, match=message):
        soundtracks.load(tmp_path)


@pytest.mark.data
def test_soundtracks_counts(research_data):
    data = soundtracks.load(research_data / "soundtracks_eerola")
    assert (len(data.annotations), data.pool.n_tracks, data.pool.n_features) == (12640, 110, 25)
    people, count = np.unique(data.annotations.listener_id, return_counts=True)
    assert len(people) == 116
    assert (count == 110).sum() == 114
    assert len(data.annotations.listeners(min_tracks=80)) == 112


# ---------------------------------------------------------------------------------------------------- ISMIR 2020


def test_ismir2020_surveys_and_long_table_agree(tmp_path):
    root = twins.ismir2020(tmp_path)
    surveys, long = ismir2020.load(root), ismir2020.load(root, source="long")
    assert len(surveys.annotations) == len(long.annotations) == 4 * 3 * 22  # one survey a language has a gap
    for name in (*ismir2020.EMOTIONS, "preference", "familiarity", "understanding", "musical_training"):
        np.testing.assert_array_equal(surveys.annotations.matrix(name)[0], long.annotations.matrix(name)[0])
    np.testing.assert_array_equal(surveys.annotations.matrix()[0], long.annotations.matrix()[0])


def test_ismir2020_labels_and_tracks(tmp_path):
    data = ismir2020.load(twins.ismir2020(tmp_path))
    quadrants = {"joy": 0, "power": 0, "surprise": 0, "anger": 1, "fear": 1, "tension": 1, "sad": 2, "bitter": 2}
    for i in range(len(data.annotations)):
        ratings = {name: data.annotations.extra[name][i] for name in ismir2020.EMOTIONS}
        top = {quadrants.get(name, 3) for name, value in ratings.items() if value == max(ratings.values())}
        assert data.annotations.label[i] == (top.pop() if len(top) == 1 else -1)
    assert data.pool.track_ids[~data.track_table["lyrics"]].tolist() == ["anger_2", "fear_1"]
    assert np.bincount(data.weak_label).tolist() == [6, 6, 4, 6]


@pytest.mark.parametrize(
    ("file", "old", "new", "source", "message"),
    [
        ("data_spanish.csv.gz", "joy_2:3", "joy_2:x", "surveys", "no column 'joy_2:3'"),
        ("data_spanish.csv.gz", "emo:1", "emo", "surveys", "no column 'emo:1'"),
        ("data_spanish.csv.gz", "\np2,", "\np2,9", "surveys", r"line 4: anger_1:1 is 9\d, expected 1 to 5"),
        ("data_ratings.all.csv", "english,", "dutch,", "long", "language is 'dutch'"),
        ("data_ratings.all.csv", ",joy_1,", ",jolly_1,", "long", "excerpt is 'jolly_1'"),
    ],
)
def test_damaged_ismir2020_is_named(tmp_path, replace, file, old, new, source, message):
    replace(twins.ismir2020(tmp_path) / file, old, new)
    with pytest.raises(DataFormatError, match=message):
        ismir2020.load(tmp_path, source=source)


def test_ismir2020_refuses_an_unknown_source_and_names_a_missing_file(tmp_path):
    with pytest.raises(ParameterError, match="source="):
        ismir2020.load(tmp_path, source="web")
    with pytest.raises(DataFormatError, match="the english surveys"):
        ismir2020.load(tmp_path)


@pytest.mark.data
def test_ismir2020_counts_and_agreement_of_both_sources(research_data):
    surveys = ismir2020.load(research_data / "agreement_emotion")
    long = ismir2020.load(research_data / "agreement_emotion", source="long")
    people = np.unique(surveys.annotations.listener_id)
    languages = [name.split("-")[0] for name in people.tolist()]
    assert [languages.count(name) for name in ismir2020.LANGUAGES] == [26, 56, 27, 17]
    assert len(surveys.annotations) == 2772
    for name in (*ismir2020.EMOTIONS, "preference", "familiarity", "understanding", "musical_sophistication"):
        np.testing.assert_array_equal(surveys.annotations.matrix(name)[0], long.annotations.matrix(name)[0])


# --------------------------------------------------------------------------------------------- 4Q, Grekow, CH-818


def test_fourq(tmp_path, replace):
    root = twins.fourq(tmp_path)
    data = fourq.load(root, features=root / "features.csv")
    assert data.weak_label.tolist() == [0, 1, 2, 3] * 2
    assert data.track_table["file"][1] == "Q2/MT0000000001.mp3"
    assert data.pool.feature_names == ("f1", "f2")
    first = (root / "features.csv").read_text().splitlines()[-1].split(",")  # the twin's table is upside down
    np.testing.assert_allclose(data.pool.X[0], [float(v) for v in first[1:3]], rtol=1e-6)
    assert fourq.load(root).pool.n_features == 0
    (root / "panda_dataset_taffc_annotations.csv").rename(tmp_path / "annotations.csv")
    assert fourq.load(root).weak_label.tolist() == data.weak_label.tolist()  # the metadata have the quadrants too
    (tmp_path / "annotations.csv").rename(root / "panda_dataset_taffc_annotations.csv")
    replace(root / "features.csv", "MT0000000003", "MT9")
    with pytest.raises(DataFormatError, match="no row for 'MT0000000003'"):
        fourq.load(root, features=root / "features.csv")
    replace(root / "panda_dataset_taffc_annotations.csv", "Q3", "Q5")
    with pytest.raises(DataFormatError, match="line 4: Quadrant is 'Q5'"):
        fourq.load(root)


def test_grekow(tmp_path, replace):
    root = twins.grekow(tmp_path)
    data = grekow.load(root)
    assert (data.pool.n_tracks, data.pool.n_features) == (8, 3)
    assert (data.weak_label == quadrant(data.annotations.extra["arousal"], data.annotations.extra["valence"])).all()
    category = (root / "All_annotations.csv").read_text().splitlines()[1][-2:]
    replace(root / "All_annotations.csv", category, "e3" if category != "e3" else "e1")
    with pytest.raises(DataFormatError, match=r"line 2: EmoCat 'e[13]' contradicts"):
        grekow.load(root)


@pytest.mark.data
def test_grekow_counts(research_data):
    data = grekow.load(research_data / "grekow_is13")
    assert np.bincount(data.weak_label).tolist() == [93, 70, 80, 81]
    assert (data.pool.n_tracks, data.pool.n_features) == (324, 260)
    assert data.pool.feature_names[:2] == ("F0final_sma_stddev", "F0final_sma_amean")


def test_ch818(tmp_path, replace):
    path = twins.ch818(tmp_path)
    mean = ch818.load(path)
    assert len(mean.annotations) == 6
    experts = ch818.load(path, arousal=["a_1", "a_2", "a_3"], valence=["v_1", "v_2", "v_3"])
    assert len(experts.annotations) == 18
    assert experts.annotations.listeners().tolist() == ["expert-1", "expert-2", "expert-3"]
    np.testing.assert_allclose(experts.track_table["arousal"], mean.track_table["arousal"], atol=1e-4)
    sheets = ch818.load(path.parent)
    assert sheets.annotations.listener_id.tolist() == experts.annotations.listener_id.tolist()
    assert sheets.annotations.label.tolist() == experts.annotations.label.tolist()
    np.testing.assert_array_equal(sheets.annotations.extra["valence"], experts.annotations.extra["valence"])
    second = experts.annotations.of("expert-2")
    np.testing.assert_allclose(second.matrix("arousal")[0][0], second.extra["arousal"])
    with pytest.raises(ParameterError, match="as many of each"):
        ch818.load(path, arousal=["a_1"], valence=["v_1", "v_2"])
    with pytest.raises(DataFormatError, match="no column 'energy'"):
        ch818.load(path, arousal="energy")
    replace(path, "CH001,", "CH001,1")
    with pytest.raises(DataFormatError, match="line 3: arousal is"):
        ch818.load(path)
    with pytest.raises(DataFormatError, match="no such file"):
        ch818.load(tmp_path / "none.csv")
    (tmp_path / "CH818_Annotations.xlsx").write_bytes(b"PK")
    with pytest.raises(DataFormatError, match=r"save its sheets .* as Arousal\.csv"):
        ch818.load(tmp_path / "CH818_Annotations.xlsx")
    replace(tmp_path / "Valence.csv", "CH002", "CH009")
    with pytest.raises(DataFormatError, match="song 'CH002' is in this sheet only"):
        ch818.load(tmp_path)
    (tmp_path / "Valence.csv").unlink()
    with pytest.raises(DataFormatError, match=r"no Valence\.csv"):
        ch818.load(tmp_path)
