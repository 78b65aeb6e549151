"""Tables as users bring them: read right, or refused in one line that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissensus import Pool
from dissensus.datasets import QUADRANTS, Dataset, table
from dissensus.datasets.table import Columns
from dissensus.errors import DataFormatError, FeatureMismatchError, ParameterError

FEATURES = "track_id,x,y\na,1,0.5\nb,2,0.25\nc,0,-1\n"
ANNOTATIONS = "track_id,listener_id,label\na,u,Q1\nb,u,Q2\nc,v,Q3\n"
RATED = Columns(label=None, arousal="arousal", valence="valence")


def load(folder: Path, features: str = FEATURES, annotations: str = ANNOTATIONS, *args: Any, **options: Any) -> Dataset:
    """A data set of two texts."""
    (folder / "f.csv").write_text(features)
    (folder / "a.csv").write_text(annotations)
    return table.load(folder / "f.csv", folder / "a.csv", *args, **options)


def refused(folder: Path, *args: Any, **options: Any) -> str:
    """The message; it has one line and names one of the files."""
    with pytest.raises(DataFormatError) as caught:
        load(folder, *args, **options)
    message = str(caught.value)
    assert "\n" not in message and (str(folder / "f.csv") in message or str(folder / "a.csv") in message)
    return message


@pytest.mark.parametrize(
    "word", ["NA", '"NA"', "null", "nan", "None", "n/a", "NaN", "N/A", "-", "#N/A", "<NA>", "TRUE", "0"]
)
def test_a_word_for_missing_is_an_id_a_listener_and_a_class_like_any_other(tmp_path: Path, word: str) -> None:
    plain = word.strip('"')
    data = load(
        tmp_path, f"track_id,x\n{word},1\nb,2\n", f"track_id,listener_id,label\n{word},{word},{word}\nb,{word},happy\n"
    )
    assert data.pool.track_ids.tolist() == [plain, "b"]
    assert set(data.annotations.listener_id.tolist()) == {plain}
    assert sorted(data.classes) == sorted([plain, "happy"])


def test_the_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"track_id": list("abcd"), "x": [0.1, 0.2, 0.3, 0.4]})
    (tmp_path / "a.csv").write_text("track_id,listener_id,label\na,u,Q1\nc,u,Q2\n")
    frame.to_csv(tmp_path / "f.csv")
    frame[frame.track_id != "b"].to_parquet(tmp_path / "f.parquet")
    frame[frame.track_id != "b"].reset_index().to_csv(tmp_path / "g.csv", index=False)
    for name, rows in (("f.csv", [0.1, 0.2, 0.3, 0.4]), ("f.parquet", [0.1, 0.3, 0.4]), ("g.csv", [0.1, 0.3, 0.4])):
        data = table.load(tmp_path / name, tmp_path / "a.csv")
        assert data.pool.feature_names == ("x",) and data.pool.X[:, 0].tolist() == rows
        assert "left out" in data.notes[0]


@pytest.mark.parametrize(
    ("low", "high", "middle"), [(1, 9, 5), (0, 1, 0.5), (1, 5, 3), (1, 7, 4), (0, 100, 50), (0, 10, 5)]
)
def test_ratings_without_a_value_below_zero_need_their_middle(
    tmp_path: Path, low: float, high: float, middle: float
) -> None:
    at = [low, high, low + (high - low) / 4]
    rated = f"track_id,listener_id,arousal,valence\na,u,{at[0]},{at[1]}\nb,u,{at[1]},{at[2]}\nc,u,{at[2]},{at[2]}\n"
    message = refused(tmp_path, FEATURES, rated, RATED)
    assert (
        f"middle={middle:g}" in message
        and "--middle" in message
        and "arousal and valence are never below zero" in message
    )
    assert load(tmp_path, FEATURES, rated, RATED, middle=middle).annotations.label.tolist() == [3, 1, 2]
    assert load(tmp_path, FEATURES, rated, RATED, middle=(middle, 0.0)).annotations.label.tolist() == [3, 0, 3]
    assert load(tmp_path, FEATURES, rated, RATED, middle=0).annotations.label.tolist() == [0, 0, 0]


def test_one_scale_of_two_may_lack_its_middle(tmp_path: Path) -> None:
    features = "track_id,x\n" + "".join(f"t{i},{i % 3}\n" for i in range(6))
    rows = "".join(f"t{i},u,{i / 6},{(-1) ** i}\n" for i in range(6))
    assert "arousal is never below zero (0 to 0.8" in refused(
        tmp_path, features, "track_id,listener_id,arousal,valence\n" + rows, RATED
    )


def test_centred_ratings_keep_their_distance_from_the_middle(tmp_path: Path) -> None:
    rated = "track_id,listener_id,arousal,valence\na,u,2,8\nb,u,7,3\nc,u,1,1\n"
    data = load(tmp_path, FEATURES, rated, RATED, middle=5)
    assert data.annotations.extra["arousal"].tolist() == [-3, 2, -4]
    for wrong in (float("nan"), (1.0, 2.0, 3.0)):
        with pytest.raises(ParameterError, match="middle="):
            load(tmp_path, FEATURES, rated, RATED, middle=wrong)
    with pytest.raises(ParameterError, match="name their columns"):
        load(tmp_path, middle=5)


EMPTY = "track_id,x,y\na,1,\nb,2,0.25\nc,NA,-1\nd,4,1\n"


def test_empty_feature_cells_are_refused_filled_or_left_out(tmp_path: Path) -> None:
    message = refused(tmp_path, EMPTY)
    assert "f.csv, line 2, row 1: y is missing (2 empty cells in 2 of 4 rows): impute='median'" in message
    assert "--impute" in message
    filled = load(tmp_path, EMPTY, impute="median")
    assert filled.pool.X.tolist() == [[1, 0.25], [2, 0.25], [2, -1], [4, 1]]
    assert filled.notes == ("2 empty cells in 2 of 4 rows were filled with medians",)
    dropped = load(tmp_path, EMPTY, impute="drop")
    assert dropped.pool.track_ids.tolist() == ["b", "d"] and dropped.annotations.track_id.tolist() == ["b"]
    assert dropped.notes == (
        "2 of 4 rows with empty cells were left out",
        "2 judgements about tracks without features were left out",
    )
    with pytest.raises(ParameterError, match="impute="):
        load(tmp_path, EMPTY, impute="mean")


def test_a_track_keeps_the_windows_that_are_whole(tmp_path: Path) -> None:
    windows = "track_id,x\na,1\na,\nb,3\nc,2\n"
    data = load(tmp_path, windows, impute="drop")
    assert data.pool.n_windows == 3 and data.pool.n_tracks == 3


def test_what_no_imputation_can_mend(tmp_path: Path) -> None:
    assert "column 'y' is empty; remove it" in refused(
        tmp_path, "track_id,x,y\na,1,\nb,2,\nc,1,NA\n", ANNOTATIONS, impute="median"
    )
    assert "every row has an empty cell" in refused(
        tmp_path, "track_id,x,y\na,1,\nb,,2\nc,,3\n", ANNOTATIONS, impute="drop"
    )
    assert "track 'z' has no row" in refused(tmp_path, EMPTY, ANNOTATIONS + "z,u,Q1\n", impute="drop")


def test_one_empty_cell_among_946_rows(tmp_path: Path) -> None:
    features = "track_id,x,y\n" + "".join(f"t{i},{i % 5},{'' if i == 500 else i % 7}\n" for i in range(946))
    said = "track_id,listener_id,label\n" + "".join(f"t{i},u,Q{i % 4 + 1}\n" for i in range(946))
    assert "line 502, row 501: y is missing (1 empty cells in 1 of 946 rows)" in refused(tmp_path, features, said)
    assert load(tmp_path, features, said, impute="median").pool.n_tracks == 946
    assert load(tmp_path, features, said, impute="drop").pool.n_tracks == 945


@pytest.mark.parametrize(
    ("features", "annotations"),
    [
        (" a ,b,c\u00a0", "a, b ,c"), ("a,b,c", " a,b\t,\u00a0c"), ("1.0,2.0,3.0", "1,2,3"), ("1,2,3", "1.0,2.0,3.0"),
        ("caf\u00e9,b,c", "cafe\u0301,b,c"), ("NA,b,c", "NA,b,c"), ("007,7,3", "007,7,3"),
    ],
)  # fmt: skip
def test_ids_of_the_two_tables_meet(tmp_path: Path, features: str, annotations: str) -> None:
    rows = "".join(f'"{i}",{n % 2}\n' for n, i in enumerate(features.split(",")))
    said = "".join(f'"{i}",u,Q{n + 1}\n' for n, i in enumerate(annotations.split(",")))
    data = load(tmp_path, "track_id,x\n" + rows, "track_id,listener_id,label\n" + said)
    assert data.annotations.label[np.argsort(data.pool.index_of(data.annotations.track_id))].tolist() == [0, 1, 2]


def test_ids_that_do_not_meet_are_told_with_what_they_resemble(tmp_path: Path) -> None:
    said = "track_id,listener_id,label\n07,u,Q1\n"
    assert "line 2, row 1: track '07' has no row in" in refused(tmp_path, "track_id,x\n7,1\n8,2\n", said)
    assert "'7' looks like it: write ids in both tables in the same way" in refused(
        tmp_path, "track_id,x\n7,1\n8,2\n", said
    )
    assert "nor has any other (7 is one there): are these the columns of ids?" in refused(
        tmp_path, "track_id,x\n7,1\n8,2\n", "track_id,listener_id,label\nsong,u,Q1\n"
    )
    assert "rounded the id" in refused(tmp_path, "track_id,x\n1.23457E+15,1\n8,2\n", said)


def test_the_tables_may_name_their_ids_differently(tmp_path: Path) -> None:
    data = load(
        tmp_path,
        FEATURES.replace("track_id", "Song ID"),
        ANNOTATIONS.replace("track_id", "song").replace("listener_id", "who"),
        Columns(track="song", listener="who", track_in_features="Song ID"),
    )
    assert data.annotations.track_id.tolist() == ["a", "b", "c"] and data.pool.feature_names == ("x", "y")
    assert "no column 'track_id'; there are: Track_ID, x, y (did you mean 'Track_ID'?)" in refused(
        tmp_path, FEATURES.replace("track_id", "Track_ID")
    )


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (ANNOTATIONS.replace("b,u,Q2", "b,u,"), "line 3, row 2: label is empty; fill it in or remove the row"),
        (ANNOTATIONS.replace("b,u,Q2", "b,,Q2"), "line 3, row 2: listener_id is empty"),
        (ANNOTATIONS.replace("b,u,Q2", ",u,Q2"), "line 3, row 2: track_id is empty"),
        (ANNOTATIONS.replace("b,u,Q2", "b,u,q2"), "label is 'q2', elsewhere 'Q2'"),
        (ANNOTATIONS.replace("Q1", "Happy").replace("Q2", "happy"), "label is 'happy', elsewhere 'Happy'"),
        (ANNOTATIONS.replace("Q1", "so so").replace("Q2", "so  so"), "elsewhere 'so  so'"),
        (ANNOTATIONS.replace("label", "Label"), "did you mean 'Label'"),
        (ANNOTATIONS.replace(",label", ""), "no column 'label'; there are: , track_id, listener_id"),
        (ANNOTATIONS + "a,u,Q4\n", "line 5, row 4: listener 'u' already judged track 'a' in row 1"),
        (ANNOTATIONS.replace("listener_id", "label"), "column 'label' appears twice; rename one of the two"),
        ("", "it is empty, with no rows; a header line is expected"),
    ],
)
def test_what_is_wrong_among_the_judgements_is_told_with_its_line(
    tmp_path: Path, annotations: str, message: str
) -> None:
    said = annotations if "q2" not in annotations else annotations + "a,v,Q2\n"
    with pytest.raises(DataFormatError, match=message):
        load(tmp_path, FEATURES, said)


def test_a_column_of_measurements_is_no_class(tmp_path: Path) -> None:
    features = "track_id,x\n" + "".join(f"t{i},{i % 3}\n" for i in range(80))
    said = "track_id,listener_id,label\n" + "".join(f"t{i},u,{i / 7:.3f}\n" for i in range(80))
    assert "label has 80 different values in 80 rows; a class is expected" in refused(tmp_path, features, said)


def test_unused_columns_may_hold_anything(tmp_path: Path) -> None:
    said = (
        ANNOTATIONS.replace("label\n", "label,when,when,free text\n")
        .replace("\n", ',x,,"a\nb"\n')
        .replace('free text,x,,"a\nb"\n', "free text\n", 1)
    )
    assert load(tmp_path, FEATURES, said).annotations.label.tolist() == [0, 1, 2]


def test_further_columns_come_as_numbers_where_they_are(tmp_path: Path) -> None:
    said = "track_id,listener_id,label,age,liking,when\na,u,Q1,30,0.5,x\nb,u,Q2,30,,y\nc,v,Q3,41,1,\n"
    extra = load(tmp_path, FEATURES, said, Columns(extra=("age", "liking", "when"))).annotations.extra
    assert extra["age"].tolist() == [30, 30, 41] and extra["age"].dtype == np.int64
    assert np.isnan(extra["liking"][1]) and extra["when"].tolist() == ["x", "y", ""]


def test_features_come_from_a_pool_on_disk_too(tmp_path: Path) -> None:
    Pool([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], ["a", "b", "c"], feature_names=["x", "y"]).save(tmp_path / "pool")
    (tmp_path / "a.csv").write_text(ANNOTATIONS)
    data = table.load(tmp_path / "pool", tmp_path / "a.csv")
    assert data.pool.n_features == 2 and data.annotations.label.tolist() == [0, 1, 2] and data.classes == QUADRANTS
    chosen = table.load(tmp_path / "pool", tmp_path / "a.csv", Columns(features=("y",)))
    assert chosen.pool.X[:, 0].tolist() == [2, 4, 6]
    with pytest.raises(ParameterError, match="a pool has tracks and features alone"):
        table.load(tmp_path / "pool", tmp_path / "a.csv", Columns(weak_label="w"))
    with pytest.raises(FeatureMismatchError, match="no feature 'z'"):
        table.load(tmp_path / "pool", tmp_path / "a.csv", Columns(features=("z",)))
    Pool(np.eye(3), [1, 2, 3]).save(tmp_path / "numbers")
    (tmp_path / "a.csv").write_text(ANNOTATIONS.replace("a,", "1,").replace("b,", "2,").replace("c,", "3,"))
    assert table.load(tmp_path / "numbers", tmp_path / "a.csv").annotations.label.tolist() == [0, 1, 2]


def test_what_a_german_excel_saves(tmp_path: Path) -> None:
    features = "track_id;Lautst\u00e4rke;Tempo\r\na;0,5;120\r\nb;-1,25;98,6\r\nc;0;1e2\r\n;;\r\n"
    (tmp_path / "f.csv").write_bytes(features.encode("cp1252"))
    (tmp_path / "a.csv").write_bytes(
        "track_id;listener_id;label\r\na;J\u00f6rg;fr\u00f6hlich\r\nb;J\u00f6rg;traurig\r\n".encode("utf-16")
    )
    data = table.load(tmp_path / "f.csv", tmp_path / "a.csv")
    assert data.pool.feature_names == ("Lautst\u00e4rke", "Tempo")
    assert data.pool.X.tolist() == [[0.5, 120], [-1.25, 98.6], [0, 100]]
    assert data.classes == ("fr\u00f6hlich", "traurig") and set(data.annotations.listener_id.tolist()) == {"J\u00f6rg"}
