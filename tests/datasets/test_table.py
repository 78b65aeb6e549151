"""Tables with column names given: what is read, and what is refused and how."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dissensus.datasets import QUADRANTS, table
from dissensus.datasets.table import Columns
from dissensus.errors import DataFormatError, ParameterError

FEATURES = "track_id,f1,f2\n007,1,0.5\n007,2,0.25\n012,3,-1\n"
ANNOTATIONS = "listener_id,track_id,label\nann,007,Q2\nann,012,Q1\nbob,007,Q4\n"


@pytest.fixture
def files(tmp_path):
    def write(features=FEATURES, annotations=ANNOTATIONS):
        (tmp_path / "features.csv").write_text(features)
        (tmp_path / "annotations.csv").write_text(annotations)
        return tmp_path / "features.csv", tmp_path / "annotations.csv"

    return write


def test_csv_with_windows_and_ids_kept_as_text(files):
    data = table.load(*files())
    assert data.pool.track_ids.tolist() == ["007", "012"]
    assert (data.pool.n_windows, data.pool.feature_names) == (3, ("f1", "f2"))
    assert data.classes == QUADRANTS
    assert data.annotations.label.tolist() == [1, 0, 3]
    assert data.name == "annotations"


def test_parquet_tsv_and_gzip_give_the_same(files, tmp_path):
    plain = table.load(*files())
    pa.parquet.write_table(
        pa.table({"track_id": ["007", "007", "012"], "f1": [1, 2, 3], "f2": [0.5, 0.25, -1]}), tmp_path / "f.parquet"
    )
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(ANNOTATIONS.replace(",", "\t").encode()))
    other = table.load(tmp_path / "f.parquet", tmp_path / "a.tsv.gz")
    assert (other.pool.X == plain.pool.X).all()
    assert (other.annotations.label == plain.annotations.label).all()


def test_float32_stays_float32(files, tmp_path):
    _, annotations = files()
    columns = {"track_id": ["007", "012"], "f1": pa.array([1, 2], pa.float32())}
    pa.parquet.write_table(pa.table(columns), tmp_path / "f.parquet")
    assert table.load(tmp_path / "f.parquet", annotations).pool.X.dtype == np.float32


def test_names_of_columns_are_free_and_quadrants_are_made(files):
    paths = files("song,a,b,cls\nx,1,2,Q1\ny,3,4,\n", "who,song,ar,va,when,note\np,x,0.5,-1,10,n\nq,y,0,0,20,m\n")
    names = Columns("song", "who", None, "ar", "va", "when", "cls", ("b",), ("note",))
    data = table.load(*paths, names, name="mine")
    assert data.annotations.label.tolist() == [1, 0]
    assert data.annotations.timestamp.tolist() == [10, 20]
    assert data.annotations.extra["note"].tolist() == ["n", "m"]
    assert data.annotations.extra["valence"].tolist() == [-1, 0]
    assert data.weak_label.tolist() == [0, -1]
    assert (data.pool.feature_names, data.name) == (("b",), "mine")
    assert table.load(*paths, names, boundary="drop").annotations.label.tolist() == [1, -1]


def test_other_classes_are_sorted_or_as_given(files):
    paths = files(annotations=ANNOTATIONS.replace("Q2", "happy").replace("Q1", "sad").replace("Q4", "angry"))
    assert table.load(*paths).classes == ("angry", "happy", "sad")
    data = table.load(*paths, classes=["sad", "happy", "angry", "calm"])
    assert data.annotations.label.tolist() == [1, 0, 2]


def test_repeats_are_an_error_or_the_newest_wins(files):
    paths = files(annotations=ANNOTATIONS + "ann,007,Q3\n")
    with pytest.raises(DataFormatError, match=r"row 4: listener 'ann' already judged track '007' in row 1"):
        table.load(*paths)
    data = table.load(*paths, duplicates="newest")
    assert data.annotations.of("ann").label.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("features", "annotations", "message"),
    [
        ("song,f1\n007,1\n", ANNOTATIONS, "no column 'track_id'; there are: song, f1"),
        (FEATURES, "listener_id,track_id\nann,007\n", "no column 'label'"),
        (FEATURES.replace("0.25", "loud"), ANNOTATIONS, r"row 2: f2 is 'loud', not a number"),
        (FEATURES.replace("0.25", ""), ANNOTATIONS, "row 2: f2 is missing"),
        (FEATURES.replace("0.25", "inf"), ANNOTATIONS, "row 2: f2 is inf"),
        (FEATURES.replace("f2", "f1"), ANNOTATIONS, "column 'f1' appears twice"),
        ("track_id\n007\n", ANNOTATIONS, "no feature column"),
        ("track_id,f1\n", ANNOTATIONS, "no row"),
        (FEATURES, ANNOTATIONS.replace("ann,012", ",012"), "row 2: listener_id is empty"),
        (FEATURES, ANNOTATIONS + "bob,099,Q1\n", "track '099' has no row"),
        (FEATURES + "x,1\n", ANNOTATIONS, "cannot be read"),
        ("", ANNOTATIONS, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(files, features, annotations, message):
    with pytest.raises(DataFormatError, match=message) as caught:
        table.load(*files(features, annotations))
    assert ".csv" in str(caught.value)


def test_unknown_classes_and_contradicting_weak_labels_are_named(files):
    with pytest.raises(DataFormatError, match="row 1: label is 'Q2', not one of"):
        table.load(*files(), classes=["Q1", "Q4"])
    paths = files("track_id,f1,w\n007,1,Q1\n007,2,Q2\n012,1,Q1\n")
    with pytest.raises(DataFormatError, match="row 2: weak label 'Q2' of track '007' differs"):
        table.load(*paths, Columns(weak_label="w"))
    with pytest.raises(DataFormatError, match="row 2: weak label 'Q2' is not one of"):
        table.load(
            *files("track_id,f1,w\n007,1,Q1\n012,2,Q2\n", ANNOTATIONS.replace("Q2", "Q1")),
            Columns(weak_label="w"),
            classes=["Q1", "Q4"],
        )


def test_options_that_do_not_go_together(files, tmp_path):
    for arguments in ({"arousal": "a"}, {"label": None}):
        with pytest.raises(ParameterError, match="valence"):
            Columns(**arguments)
    with pytest.raises(ParameterError, match="duplicates="):
        table.load(*files(), duplicates="oldest")
    with pytest.raises(DataFormatError, match="no such file"):
        table.load(tmp_path / "none.csv", tmp_path / "none.csv")
    (tmp_path / "f.xlsx").write_text("")
    with pytest.raises(ParameterError, match="must end in"):
        table.load(tmp_path / "f.xlsx", tmp_path / "annotations.csv")
    (tmp_path / "f.parquet").write_text("not parquet")
    with pytest.raises(DataFormatError, match="cannot be read"):
        table.load(tmp_path / "f.parquet", tmp_path / "annotations.csv")
