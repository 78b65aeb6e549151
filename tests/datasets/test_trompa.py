"""TROMPA-MER: the loader on a twin, on damaged files and, where they are, on the published snapshots."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from dissensus.datasets import trompa, twins
from dissensus.errors import DataFormatError, ParameterError


@pytest.fixture
def folder(tmp_path):
    return twins.trompa(tmp_path)


def edit_json(folder, change):
    path = folder / "data_07_03_2022.json.gz"
    document = json.loads(gzip.decompress(path.read_bytes()))
    change(document)
    path.write_bytes(gzip.compress(json.dumps(document).encode()))


def edit_table(folder, line, column, value):
    path = folder / "summary_anno.tsv.gz"
    rows = [row.split("\t") for row in gzip.decompress(path.read_bytes()).decode().splitlines()]
    rows[line - 1][rows[0].index(column)] = value
    path.write_bytes(gzip.compress("\n".join("\t".join(row) for row in rows).encode()))


def test_twin_has_the_published_shape(folder):
    data = trompa.load(folder)
    assert data.pool.n_tracks == data.pool.n_windows == 40
    assert data.pool.feature_names[:16] == trompa.NUMERIC_FEATURES
    assert data.pool.n_features == 16 + 3
    assert data.pool.X.dtype == np.float32
    assert np.isfinite(data.pool.X).all()
    assert len(data.annotations) == 6 * 20  # the repeat is gone
    assert len(trompa.load(folder, repeats="keep").annotations) == 121
    assert set(data.annotations.extra) == {"arousal", "valence", "mood", "favourite", "known", "duration_ms"}
    assert (data.weak_label == data.track_table["spotify_quadrant"]).all()


def test_newest_of_two_judgements_wins(folder):
    every = trompa.load(folder, repeats="keep").annotations
    one = trompa.load(folder).annotations
    pairs = list(zip(every.listener_id.tolist(), every.track_id.tolist(), strict=True))
    listener, track = next(p for p in pairs if pairs.count(p) == 2)
    both = every.timestamp[(every.listener_id == listener) & (every.track_id == track)]
    kept = one.timestamp[(one.listener_id == listener) & (one.track_id == track)]
    assert kept.tolist() == [both.max()]


def test_both_spellings_of_the_listener_field_are_read(folder):
    old, new = trompa.load(folder, "2022-03-07"), trompa.load(folder, "2024-09-20")
    assert (old.annotations.listener_id == new.annotations.listener_id).all()


def test_labels_are_the_sign_quadrants(folder):
    a = trompa.load(folder).annotations
    table = {(1, 1): 0, (1, -1): 1, (-1, -1): 2, (-1, 1): 3}
    pairs = zip(a.extra["arousal"].tolist(), a.extra["valence"].tolist(), strict=True)
    assert a.label.tolist() == [table[p] for p in pairs]


def test_numeric_features_are_standardised_inside_each_selection(folder):
    data = trompa.load(folder)
    for name in np.unique(data.track_table["selection"]):
        part = data.pool.X[data.track_table["selection"] == name, :16].astype(float)
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-6)
        assert np.all(np.isclose(part.std(axis=0), 1, atol=1e-5) | (part == 0).all(axis=0))
    constant = data.pool.feature_names.index("instrumentalness")
    assert (data.pool.X[:, constant] == 0).all()


def test_raw_features_and_the_service_quadrant_on_demand(folder):
    data = trompa.load(folder, spotify_quadrant=True, zscore="none")
    tempo = data.pool.X[:, data.pool.feature_names.index("tempo")]
    np.testing.assert_allclose(tempo, data.track_table["tempo"], rtol=1e-6)
    assert data.pool.feature_names[-4:] == ("spotify_Q1", "spotify_Q2", "spotify_Q3", "spotify_Q4")
    assert (data.pool.X[:, -4:].argmax(axis=1) == data.weak_label).all()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("arousalValue", "0", r"annotations\[3\]: arousalValue"),
        ("valenceValue", None, r"annotations\[3\]: no valenceValue"),
        ("userId", "", "no userId or userid"),
        ("moodValue", "bored", "moodValue"),
        ("timestamp", "yesterday", "timestamp is not a whole number"),
        ("externalID", "NOPE-1", "'NOPE-1' is not a cdr_track_num"),
    ],
)
def test_damaged_annotation_is_named(folder, key, value, message):
    edit_json(folder, lambda d: d["annotations"][3].__setitem__(key, value))
    with pytest.raises(DataFormatError, match=message) as caught:
        trompa.load(folder)
    assert "data_07_03_2022.json.gz" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tempo", "fast", "line 5: tempo is 'fast'"),
        ("tempo", "nan", "line 5: tempo is 'nan'"),
        ("quadrant", "5", "line 5: quadrant"),
        ("speechiness", "0", "line 5: speechiness"),
        ("year_rec", "May 1999", "line 5: year_rec"),
        ("cdr_track_num", "", "line 5: cdr_track_num is empty"),
    ],
)
def test_damaged_track_row_is_named(folder, column, value, message):
    edit_table(folder, 5, column, value)
    with pytest.raises(DataFormatError, match=message) as caught:
        trompa.load(folder)
    assert "summary_anno.tsv.gz" in str(caught.value)


def test_missing_column_folder_and_file_are_named(folder, tmp_path):
    with pytest.raises(DataFormatError, match="no such folder"):
        trompa.load(tmp_path / "absent")
    (folder / "data_20_09_2024.json").unlink()
    with pytest.raises(DataFormatError, match=r"data_20_09_2024\.json"):
        trompa.load(folder, "2024-09-20")
    edit_table(folder, 1, "tempo", "bpm")
    with pytest.raises(DataFormatError, match="no column 'tempo'"):
        trompa.load(folder)
    with pytest.raises(ParameterError, match="snapshot="):
        trompa.load(folder, "2023-01-01")


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b\x08\x00broken", b"plain", gzip.compress(b"{} x"), gzip.compress(b"[]")],
    ids=["broken-gzip", "no-gzip", "no-json", "no-table"],  # the bytes hold a time: two workers would disagree
)
def test_broken_files_raise_a_typed_error(folder, content):
    (folder / "data_07_03_2022.json.gz").write_bytes(content)
    with pytest.raises(DataFormatError, match=r"data_07_03_2022\.json\.gz"):
        trompa.load(folder)


@pytest.mark.data
@pytest.mark.parametrize(
    ("snapshot", "raw", "collapsed", "people", "tracks", "quadrants"),
    [
        ("2022-03-07", 4721, 4685, 181, 691, [1704, 748, 1102, 1167]),
        ("2024-09-20", 4779, 4743, 196, 693, [1730, 753, 1115, 1181]),
    ],
)
def test_published_counts(research_data, snapshot, raw, collapsed, people, tracks, quadrants):
    every = trompa.load(research_data / "trompa_mer", snapshot, repeats="keep").annotations
    assert (len(every), np.bincount(every.label).tolist()) == (raw, quadrants)
    data = trompa.load(research_data / "trompa_mer", snapshot)
    assert len(data.annotations) == collapsed
    assert len(np.unique(data.annotations.listener_id)) == people
    assert len(np.unique(data.annotations.track_id)) == tracks
    assert [len(data.annotations.listeners(min_tracks=n)) for n in (20, 50, 80)] == [61, 39, 35]
    assert (data.pool.n_tracks, data.pool.n_features) == (1158, 22)


@pytest.mark.data
def test_published_counts_of_the_papers_snapshot(research_data):
    every = trompa.load(research_data / "trompa_mer", repeats="keep").annotations
    moods = dict(zip(*np.unique(every.extra["mood"], return_counts=True), strict=True))
    assert [moods[m] for m in ("joy", "sadness", "peace", "power", "tension")] == [1029, 747, 532, 458, 455]
    assert (int(every.extra["favourite"].sum()), int(every.extra["known"].sum())) == (1843, 1418)
    inconsistent = [
        trompa.MOOD_QUADRANT[m] != f"Q{q + 1}" for m, q in zip(every.extra["mood"].tolist(), every.label, strict=True)
    ]
    assert sum(inconsistent) == 5
