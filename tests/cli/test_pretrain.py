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
    with pytest.raises(DataFormatError, match="line 2: label 'Q9'"):
        RUN.invoke(app, ["pretrain", "cnn", "--audio", str(table), "-o", str(tmp_path)], catch_exceptions=False)
    table.write_text("file,label\na.wav,Q1\n")
    with pytest.raises(DataFormatError, match="no column path"):
        RUN.invoke(app, ["pretrain", "cnn", "--audio", str(table), "-o", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(ParameterError, match=r"no member\*"):
        RUN.invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "x.onnx")], catch_exceptions=False)
