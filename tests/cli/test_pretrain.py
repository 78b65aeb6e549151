"""``dissensus pretrain cnn`` and ``dissensus export``, from training to a file that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the CNN is trained with the `train` extra")

from dissensus.cli.main import app
from dissensus.committee.cnn import CnnModel
from dissensus.errors import DataFormatError, ParameterError

RUN = CliRunner()


@pytest.mark.slow
def test_training_then_export_gives_a_model_that_runs(tmp_path: Path) -> None:
    sizes = ["--width", "2", "--epochs", "2", "--folds", "2", "--batch-size", "8"]
    done = RUN.invoke(
        app, ["pretrain", "cnn", "--synthetic", "24", *sizes, "-o", str(tmp_path)], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "unseen sounds" in done.output
    assert "majority class" in done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["member0.safetensors", "member1.safetensors"]
    target = tmp_path / "cnn.onnx"
    done = RUN.invoke(app, ["export", str(tmp_path), "-o", str(target)], catch_exceptions=False)
    assert done.exit_code == 0
    model = CnnModel.load(tmp_path / "cnn-1.onnx")
    assert model.metadata["data_id"] == "dissensus synthetic music, 24 clips, seed 0"
    assert model.embedding_size == 8


@pytest.mark.slow
def test_a_shared_trunk_becomes_one_committee_graph(tmp_path: Path) -> None:
    sizes = [
        "--width",
        "2",
        "--epochs",
        "2",
        "--adam-epochs",
        "1",
        "--folds",
        "3",
        "--batch-size",
        "8",
        "--threads",
        "1",
    ]
    argv = ["pretrain", "cnn", "--synthetic", "40", "--shared-trunk", *sizes, "--seed", "3", "-o", str(tmp_path)]
    done = RUN.invoke(app, argv, catch_exceptions=False)
    assert done.exit_code == 0
    assert "its heads together" in done.output
    assert "logistic regression on IS13" in done.output
    assert "on clips no part has heard" in done.output
    target = tmp_path / "cnn.onnx"
    argv = ["export", str(tmp_path), "-o", str(target), "--licence", "Apache-2.0"]
    assert RUN.invoke(app, argv, catch_exceptions=False).exit_code == 0
    model = CnnModel.load(target)
    assert model.n_members == 3
    training = model.metadata["training"]
    assert (training["seed"], training["shared_trunk"]) == (3, True)
    assert training["train_songs"] + training["validation_songs"] == 32


def test_mistakes_name_the_thing_and_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="either --audio"):
        RUN.invoke(app, ["pretrain", "cnn", "-o", str(tmp_path)], catch_exceptions=False)
    table = tmp_path / "clips.csv"
    table.write_text("path,label\na.wav,Q9\n")
    with pytest.raises(DataFormatError, match="line 2, row 1: label 'Q9' is none of Q1, Q2, Q3, Q4"):
        RUN.invoke(app, ["pretrain", "cnn", "--audio", str(table), "-o", str(tmp_path)], catch_exceptions=False)
    table.write_text("file,label\na.wav,Q1\n")
    with pytest.raises(DataFormatError, match="no column 'path'"):
        RUN.invoke(app, ["pretrain", "cnn", "--audio", str(table), "-o", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ParameterError, match=r"no member\*"):
        RUN.invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "x.onnx")], catch_exceptions=False)


def _clips(folder: Path, table: bytes) -> Path:
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    for name in ("a.wav", "\u00e9.wav", "c.wav", "d.wav"):
        soundfile.write(folder / name, 0.1 * rng.normal(size=64000), 16000)
    (folder / "clips.csv").write_bytes(table)
    return folder / "clips.csv"


ROWS = "path,label\na.wav,joy\n\u00e9.wav,tender\nc.wav,joy\nd.wav,tender\n"


@pytest.mark.parametrize(
    "table",
    [
        ROWS.encode(),
        ("\ufeff" + ROWS).encode(),
        ROWS.encode("latin-1"),
        ROWS.encode("utf-16"),
        ROWS.replace(",", ";").replace("\n", "\r\n").encode("cp1252"),
        (
            ",song,comment\n".join(ROWS.split("\n", 1))
            .replace("wav,joy\n", 'wav,joy,,"a\nb"\n')
            .replace("der\n", "der,,\n")
        ).encode(),
    ],
    ids=["plain", "mark", "Latin-1", "UTF-16", "Excel", "line breaks"],
)
def test_clips_are_read_from_every_dress_of_csv_with_any_classes(tmp_path: Path, table: bytes) -> None:
    from dissensus.cli.pretrain import _read_clips

    clips, classes = _read_clips(_clips(tmp_path, table), None)
    assert classes == ["joy", "tender"] and clips.n_classes == 2
    assert clips.target.argmax(axis=1).tolist() == [0, 1, 0, 1]
    assert [len(clips.signal(i)) for i in range(4)] == [64000] * 4
    assert _read_clips(tmp_path / "clips.csv", ["sad", "tender", "joy"])[0].target.argmax(axis=1).tolist() == [
        2,
        1,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("table", "classes", "says"),
    [
        (ROWS, ["joy"], "at least two"),
        (ROWS, ["joy", "sad"], "line 3, row 2: label 'tender' is none of joy, sad; name all classes with --classes"),
        (ROWS.replace("c.wav", "none.wav"), None, "line 4, row 3: there is no file 'none.wav'"),
        (ROWS.replace("c.wav,joy", "c.wav,"), None, "line 4, row 3: label is empty"),
        (ROWS.replace("path", "file"), None, "no column 'path'; there are: file, label"),
        ("path,label\n", None, "no rows"),
    ],
)
def test_what_is_wrong_with_a_table_of_clips_is_told(
    tmp_path: Path, table: str, classes: list[str] | None, says: str
) -> None:
    from dissensus.cli.pretrain import _read_clips

    with pytest.raises((DataFormatError, ParameterError), match=says):
        _read_clips(_clips(tmp_path, table.encode()), classes)


@pytest.mark.slow
def test_nine_classes_are_trained_exported_and_named_in_the_file(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    rng, rows = np.random.default_rng(0), ["path,label"]
    for i in range(27):
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.normal(size=60000), 16000)
        rows.append(f"{i}.wav,emotion {i % 9}")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    sizes = ["--width", "2", "--epochs", "2", "--folds", "2", "--batch-size", "8", "--threads", "1"]
    out = tmp_path / "models"
    done = RUN.invoke(
        app, ["pretrain", "cnn", "--audio", str(tmp_path / "clips.csv"), *sizes, "-o", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0
    done = RUN.invoke(
        app, ["export", str(out / "member0.safetensors"), "-o", str(tmp_path / "cnn.onnx")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert CnnModel.load(tmp_path / "cnn.onnx").classes == tuple(f"emotion {i}" for i in range(9))
