"""``dissensus score``: the same numbers as the committee's own, in a table, from pools and from audio."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile

from dissensus import Committee, Pool
from dissensus.catalog import score_pool, write_scores
from dissensus.cli.main import main
from dissensus.committee import shipped_cnn
from dissensus.errors import FeatureMismatchError, ParameterError, StoreError
from dissensus.features.extract import FeatureChoice, extract
from dissensus.features.pool_store import fingerprint_of
from dissensus.features.sources import gather_audio
from dissensus.strategies import consensus_entropy, machine_consensus, mutual_information

RNG = np.random.default_rng(0)
NAMES = ("tempo", "level", "mode")
X = RNG.normal(size=(120, 3))
Y = np.array(["calm", "loud", "sad"])[np.arange(120) % 3]


@pytest.fixture(scope="module")
def committee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("committee") / "committee.safetensors"
    Committee.pretrain(X, Y, np.arange(120), n_folds=2, kinds=("gnb", "sgd"), feature_names=NAMES).save(path)
    return path


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    Pool(RNG.normal(size=(9, 3)), [*"aabbccdde"], feature_names=NAMES).save(tmp_path / "pool")
    return tmp_path / "pool"


def read(path: Path) -> dict[str, list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_a_pool_becomes_a_table_of_what_the_committee_says(committee: Path, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    assert main(["score", str(pool), "--committee", str(committee), "-o", str(out), "--per-member"]) == 0
    table, model, stored = read(out), Committee.load(committee), Pool.open(pool)
    proba = model.predict_proba(stored.X, stored.groups)
    assert table["track_id"] == ["a", "b", "c", "d", "e"]
    for c, name in enumerate(model.classes_.tolist()):
        np.testing.assert_allclose(np.array(table[f"p_{name}"], float), machine_consensus(proba)[:, c], rtol=1e-6)
        for m in range(model.n_members):
            member = np.array(table[f"m{m}_{model.member_kinds[m]}_p_{name}"], float)
            np.testing.assert_allclose(member, proba[m, :, c], rtol=1e-6)
    np.testing.assert_allclose(np.array(table["consensus_entropy"], float), consensus_entropy(proba), rtol=1e-5)
    np.testing.assert_allclose(np.array(table["mutual_information"], float), mutual_information(proba), rtol=1e-5)
    best = machine_consensus(proba).argmax(axis=1)
    assert table["predicted"] == model.classes_[best].tolist()
    np.testing.assert_allclose(np.array(table["spread"], float), proba[:, np.arange(5), best].std(axis=0), rtol=1e-4)
    assert table["n_windows"] == ["2", "2", "2", "2", "1"]
    assert len(set(table["committee"])) == 1 and len(table["committee"][0]) == 16


def test_parquet_holds_the_same_rows_as_csv(committee: Path, pool: Path, tmp_path: Path) -> None:
    for name in ("scores.csv", "scores.parquet"):
        assert main(["score", str(pool), "--committee", str(committee), "-o", str(tmp_path / name)]) == 0
    found, table = pyarrow.parquet.read_table(tmp_path / "scores.parquet").to_pydict(), read(tmp_path / "scores.csv")
    assert list(found) == list(table) and found["track_id"] == table["track_id"]
    np.testing.assert_array_equal(np.array(found["p_sad"], np.float32), np.array(table["p_sad"], np.float32))


def test_blocks_change_nothing_and_windows_may_lie_anywhere(committee: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Committee.load(committee)
    ids = RNG.permutation(np.repeat([f"t{i}" for i in range(50)], 3))
    scattered = Pool(RNG.normal(size=(150, 3)), ids, feature_names=NAMES)
    whole = list(score_pool(model, scattered))
    assert len(whole) == 1 and whole[0].column("track_id").to_pylist() == scattered.track_ids.tolist()
    np.testing.assert_allclose(
        np.array(whole[0].column("p_calm")), machine_consensus(model.predict_proba(scattered.X, scattered.groups))[:, 0]
    )
    monkeypatch.setattr("dissensus.catalog.scores_table._WINDOWS", 7)
    parts = list(score_pool(model, scattered))
    assert len(parts) > 10
    for name in whole[0].schema.names:
        assert [v for part in parts for v in part.column(name).to_pylist()] == whole[0].column(name).to_pylist()
    assert next(score_pool(model, Pool(np.zeros((0, 3)), []))).num_rows == 0


def test_columns_in_another_order_are_put_right_and_others_refused(committee: Path) -> None:
    model, windows = Committee.load(committee), RNG.normal(size=(4, 3))
    right = next(score_pool(model, Pool(windows, [*"abcd"], feature_names=NAMES)))
    turned = Pool(windows[:, [2, 0, 1]], [*"abcd"], feature_names=("mode", "tempo", "level"))
    assert next(score_pool(model, turned)).equals(right)
    with pytest.raises(FeatureMismatchError, match="pool.select"):
        model.check_features(3, feature_names=turned.feature_names)
    with pytest.raises(FeatureMismatchError, match="'pitch'"):
        next(score_pool(model, Pool(windows, [*"abcd"], feature_names=("tempo", "level", "pitch"))))


def test_whole_number_ids_stay_numbers(committee: Path, tmp_path: Path) -> None:
    numbers = Pool(X[:3], [7, 8, 9], feature_names=NAMES)
    assert write_scores(tmp_path / "s.parquet", score_pool(Committee.load(committee), numbers)) == 3
    assert pyarrow.parquet.read_table(tmp_path / "s.parquet").column("track_id").to_pylist() == [7, 8, 9]


def test_what_cannot_be_written_leaves_what_was_there(committee: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("before")

    def fails() -> object:
        yield next(score_pool(Committee.load(committee), Pool(X[:3], [7, 8, 9])))
        raise FeatureMismatchError("stopped")

    with pytest.raises(FeatureMismatchError):
        write_scores(out, fails())  # type: ignore[arg-type]
    assert out.read_text() == "before" and sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv"]
    with pytest.raises(ParameterError, match=r"\.csv or \.parquet"):
        write_scores(tmp_path / "scores.xlsx", [])
    with pytest.raises(StoreError):
        write_scores(Path("/proc/none/scores.csv"), score_pool(Committee.load(committee), Pool(X[:3], [7, 8, 9])))


def music(folder: Path, n: int = 4) -> Path:
    folder.mkdir()
    for i in range(n):
        t = np.arange(3 * 16000) / 16000
        soundfile.write(
            folder / f"{i}.wav", 0.3 * np.sin(2 * np.pi * 220 * (i + 1) * t) * (1 + np.sin(9 * t)) / 2, 16000
        )
    (folder / "broken.wav").write_bytes(b"RIFF of nothing")
    return folder


def test_a_folder_of_audio_is_extracted_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, choice = music(tmp_path / "music"), FeatureChoice("summary")
    extract(gather_audio([folder]), tmp_path / "pool", choice)
    there = Pool.open(tmp_path / "pool")
    labels = np.array(["low", "high"])[np.arange(there.n_windows) % 2]
    model = Committee.pretrain(
        there.X, labels, np.arange(there.n_windows), n_folds=2, kinds=("gnb",), fingerprint=fingerprint_of(choice.plan)
    )
    model.save(tmp_path / "c.safetensors")
    for more in ((), ("--pool", str(tmp_path / "kept")), ("--pool", str(tmp_path / "kept"))):
        out = tmp_path / "scores.csv"
        assert (
            main(["score", str(folder), "-c", str(tmp_path / "c.safetensors"), "-o", str(out), "-j", "1", *more]) == 0
        )
        table = read(out)
        assert table["track_id"] == ["0.wav", "1.wav", "2.wav", "3.wav"]
        expected = machine_consensus(model.predict_proba(there.X, there.groups))
        np.testing.assert_allclose(np.array(table["p_high"], float), expected[:, 0], rtol=1e-6)
        assert set(table["features"]) == {fingerprint_of(choice.plan)}
        assert read(tmp_path / "scores.csv.errors.csv")["track_id"] == ["broken.wav"]
        assert "1 files could not be used" in capsys.readouterr().err
    assert Pool.open(tmp_path / "kept").n_tracks == 4
    (folder / "broken.wav").unlink()
    assert main(["score", str(folder), "-c", str(tmp_path / "c.safetensors"), "-o", str(out), "-j", "1"]) == 0
    assert not (tmp_path / "scores.csv.errors.csv").exists()


def test_a_cnn_scores_a_folder_by_itself_and_tells_what_heads_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dissensus.catalog import embed_clips, score_files
    from dissensus.catalog.embed import embedding_fingerprint

    folder, model = music(tmp_path / "music", 3), shipped_cnn()
    onnx = next(Path(__import__("dissensus").__file__).parent.glob("committee/models/*.onnx"))
    out = tmp_path / "scores.parquet"
    assert main(["score", str(folder), "-c", str(onnx), "-o", str(out), "-j", "1", "--per-member"]) == 0
    found = pyarrow.parquet.read_table(out)
    alone = [s for s in score_files(sorted(folder.glob("*.wav")), model, n_threads=1) if s.proba is not None]
    assert found.column("track_id").to_pylist() == ["0.wav", "1.wav", "2.wav"]
    for c, name in enumerate(model.classes):
        np.testing.assert_allclose(
            found.column(f"p_{name}").to_numpy(), [s.proba.mean(axis=0)[c] for s in alone], atol=1e-6
        )
    embedded = embed_clips(model, [(i, RNG.normal(size=60000).astype(np.float32)) for i in range(8)]).pool
    y = np.array(["Q1", "Q2", "Q3", "Q4"])[embedded.groups % 4]
    heads = Committee.pretrain(
        embedded.X, y, embedded.groups, kinds=("gnb",), n_folds=2, fingerprint=embedding_fingerprint(model)
    )
    heads.save(tmp_path / "heads.safetensors")
    capsys.readouterr()
    assert main(["score", str(folder), "-c", str(tmp_path / "heads.safetensors"), "-o", str(out)]) == 1
    assert "give its ONNX file as --model" in capsys.readouterr().err
    command = [
        "score",
        str(folder),
        "-c",
        str(tmp_path / "heads.safetensors"),
        "-m",
        str(onnx),
        "-o",
        str(out),
        "-j",
        "1",
    ]
    assert main(command) == 0
    assert pyarrow.parquet.read_table(out).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("pool", "-c", "c.safetensors", "-o", "scores.xlsx"), 2, "--output"),
        (("pool", "-c", "none.safetensors", "-o", "s.csv"), 1, "none.safetensors"),
        (("pool", "music", "-c", "C", "-o", "s.csv"), 1, "give it alone"),
        (("music", "-c", "C", "-o", "s.csv"), 1, "none of the standard ones"),
        (("music", "-c", "C", "-o", "s.csv", "-f", "best"), 1, "choose is13"),
        (("music", "-c", "m.onnx", "-o", "s.csv", "--pool", "p"), 2, "makes its own features"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    committee: Path,
    pool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    music(tmp_path / "music", 1)
    assert main(["score", *(str(committee) if a == "C" else a for a in arguments)]) == code
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_files_that_are_all_bad_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "broken.wav").write_bytes(b"RIFF of nothing")
    choice = FeatureChoice("summary")
    model = Committee.pretrain(
        RNG.normal(size=(20, len(choice.columns))), np.arange(20) % 2, np.arange(20), n_folds=2, kinds=("gnb",)
    )
    model.save(tmp_path / "c.safetensors")
    out = tmp_path / "s.csv"
    assert (
        main(["score", str(tmp_path / "music"), "-c", str(tmp_path / "c.safetensors"), "-o", str(out), "-j", "1"]) == 1
    )
    assert "none of the 1 files could be used" in capsys.readouterr().err
