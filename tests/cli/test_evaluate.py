from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dissensus.cli.main import app, main
from dissensus.datasets.synthetic import Panel, latent_listeners
from dissensus.evaluation.curves import COLUMNS, read_columns

QUICK = (
    "--members",
    "gnb,sgd",
    "--rounds",
    "2",
    "--queries",
    "4",
    "--repeats",
    "2",
    "--null-repeats",
    "1",
    "--jobs",
    "1",
)


def invoke(*arguments: str) -> object:
    return CliRunner().invoke(app, ["evaluate", *arguments])


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("out")
    found = CliRunner().invoke(app, ["evaluate", "synthetic", "--listeners", "2", *QUICK, "--out", str(out)])
    assert found.exit_code == 0, found.output
    return found.output, out


def test_prints_the_table_the_null_the_comparisons_and_the_words(synthetic: tuple[str, Path]) -> None:
    text, _ = synthetic
    assert re.search(r"replay +sgd +mc +0\.\d{3} +0\.\d{3} +[+-]0\.\d{3} \[", text)
    assert "gain, permuted" in text
    assert "mc - rand" in text
    assert re.search(r"replay: .*own start", text)
    assert "2 listeners, 2 split(s) each, protocol sound" in text


def test_writes_table_summary_splits_and_figure(synthetic: tuple[str, Path]) -> None:
    _, out = synthetic
    table = read_columns(out / "scores.parquet")
    assert tuple(table) == COLUMNS
    assert len(table["round"]) == 2 * 2 * 4 * 2 * 3 * 3
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["n_listeners"], summary["n_repeats"], summary["label"]) == (2, 2, "sound")
    assert len(json.loads((out / "splits.json").read_text())["splits"]) == 4
    assert (out / "learning_curves.svg").stat().st_size > 1000
    assert (out / "learning_curves.png").stat().st_size > 1000


def test_the_seed_decides(synthetic: tuple[str, Path], tmp_path: Path) -> None:
    for seed, same in (("0", True), ("1", False)):
        invoke("synthetic", "--listeners", "2", *QUICK, "--seed", seed, "--out", str(tmp_path / seed))
        again = read_columns(tmp_path / seed / "scores.parquet")
        assert np.array_equal(again["nll"], read_columns(synthetic[1] / "scores.parquet")["nll"]) is same


def test_a_published_protocol_is_printed_as_paper(tmp_path: Path) -> None:
    found = invoke(
        "synthetic", "--protocol", "trompa2022", "--listeners", "2", "--members", "gnb", "--rounds", "2", "--jobs", "1",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "protocol trompa2022 (paper)" in found.output
    assert "known faults" in found.output
    assert "incremental" in found.output


def test_any_table(tmp_path: Path) -> None:
    data = latent_listeners(140, 3, panel=Panel(tracks_per_listener=40, n_rated=80), n_features=6)
    with open(tmp_path / "features.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["song", *"abcdef"])
        rows.writerows([i, *x.tolist()] for i, x in zip(data.pool.track_ids, data.pool.X, strict=True))
    with open(tmp_path / "answers.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "song", "quad"])
        a = data.annotations
        rows.writerows(zip(a.listener_id, a.track_id, (f"Q{i + 1}" for i in a.label), strict=True))
    found = invoke(
        "table", "--features", str(tmp_path / "features.csv"), "--annotations", str(tmp_path / "answers.csv"),
        "--columns", "track=song,listener=user,label=quad", "--min-tracks", "40", *QUICK, "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "3 listeners" in found.output


def test_a_table_in_spreadsheet_dress_with_gaps_ratings_and_ids_of_two_names(tmp_path: Path) -> None:
    data = latent_listeners(140, 3, panel=Panel(tracks_per_listener=40, n_rated=80), n_features=4)
    tracks = zip(data.pool.track_ids, data.pool.X, strict=True)
    rows = [";".join([str(i), *(f"{v:.6f}".replace(".", ",") for v in x)]) for i, x in tracks]
    rows[5] = rows[5].rpartition(";")[0] + ";"
    (tmp_path / "features.csv").write_bytes(
        ("Song ID;a;b;c;d\r\n" + "\r\n".join(rows) + "\r\n;;;;\r\n").encode("utf-8-sig")
    )
    a = data.annotations
    signs = {0: "8;8", 1: "8;2", 2: "2;2", 3: "2;8"}
    said = [f"{t};{u};{signs[label]}" for t, u, label in zip(a.track_id, a.listener_id, a.label.tolist(), strict=True)]
    (tmp_path / "answers.csv").write_bytes(("track;user;aro;val\n" + "\n".join(said)).encode("utf-16"))
    columns = "features.track=Song ID,track=track,listener=user,arousal=aro,valence=val"
    files = ("--features", str(tmp_path / "features.csv"), "--annotations", str(tmp_path / "answers.csv"))
    again = (*files, "--columns", columns, "--min-tracks", "30", *QUICK, "--out", str(tmp_path / "out"))
    for missing, more in (("--impute", ()), ("--middle 5", ("--impute", "median"))):
        refused = invoke("table", *again, *more)
        assert refused.exit_code == 1 and missing in str(refused.exception)
    found = invoke("table", *again, "--impute", "median", "--middle", "5")
    assert found.exit_code == 0, found.output
    assert "3 listeners" in found.output and "1 empty cells in 1 of 140 rows were filled with medians" in found.output


def test_a_pool_takes_the_place_of_the_features(tmp_path: Path) -> None:
    data = latent_listeners(140, 3, panel=Panel(tracks_per_listener=40, n_rated=80), n_features=4)
    data.pool.save(tmp_path / "pool")
    a = data.annotations
    said = [f"{t},{u},Q{label + 1}\n" for t, u, label in zip(a.track_id, a.listener_id, a.label.tolist(), strict=True)]
    (tmp_path / "answers.csv").write_text("track_id,listener_id,label\n" + "".join(said))
    common = (
        "--annotations",
        str(tmp_path / "answers.csv"),
        "--min-tracks",
        "40",
        *QUICK,
        "--out",
        str(tmp_path / "out"),
    )
    found = invoke("table", "--pool", str(tmp_path / "pool"), *common)
    assert found.exit_code == 0, found.output
    assert "3 listeners" in found.output
    both = invoke("table", "--pool", str(tmp_path / "pool"), "--features", "f.csv", *common)
    assert both.exit_code == 2 and "not both" in both.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trompa",), "--data"),
        (("table", "--features", "a", "--annotations", "b", "--middle", "high"), "high"),
        (("table", "--features", "a", "--annotations", "b", "--impute", "mean"), "mean"),
        (("nothing",), "nothing"),
        (("table",), "--features"),
        (("table", "--features", "a", "--annotations", "b", "--columns", "colour=red"), "colour=red"),
        (("synthetic", "--rounds", "0"), "rounds"),
        (("synthetic", "--protocol", "best"), "best"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_option(arguments: tuple[str, ...], says: str) -> None:
    found = CliRunner().invoke(app, ["evaluate", *arguments])
    assert found.exit_code == 2
    assert says in found.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--members", "gnb,best"), "best"),
        (("--strategies", "best"), "best"),
        (("--update", "best"), "best"),
        (("--min-tracks", "1000"), "1000"),
        (("--test-share", "1.5"), "test_share"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code = main(["evaluate", "synthetic", "--listeners", "2", *arguments, "--jobs", "1", "--out", str(tmp_path)])
    assert code == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("dissensus: ")
    assert says in last


def test_help_teaches() -> None:
    found = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    for word in ("Examples", "scores.parquet", "round -1", "permuted", "continues"):
        assert word in found.output


@pytest.mark.data
def test_trompa_is_read_and_evaluated(research_data: Path, tmp_path: Path) -> None:
    found = invoke(
        "trompa", "--data", str(research_data / "trompa_mer"), "--members", "sgd", "--strategies", "mc,rand",
        "--rounds", "2", "--repeats", "1", "--null-repeats", "0", "--listeners", "2", "--jobs", "1", "--out", str(tmp_path),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "2 listeners" in found.output


def test_heads_without_embeddings_are_told_where_to_get_some(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", "trompa", "--data", str(tmp_path), "--members", "gnb,cnn"]) != 0
    message = capsys.readouterr().err
    assert "trompa comes with other features" in message
    assert "embed_clips" in message
