"""Files to probabilities and to pools of embeddings: equal to the clips in memory, streaming, resumable, bad files set aside."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import dissensus
from dissensus import Committee, Pool, Session, _threads
from dissensus._chunks import CHUNK_SAMPLES, all_chunks
from dissensus.catalog import embed_clips, embed_files, score_files
from dissensus.catalog.pipeline import AHEAD, _chunks
from dissensus.cli.main import app
from dissensus.errors import (
    DecodeError,
    FeatureMismatchError,
    ModelFormatError,
    ParameterError,
    PoolFormatError,
    TruncatedAudioError,
)
from dissensus.features import load_audio, write_audio
from dissensus.features.sources import Excerpt, gather_audio

torch = pytest.importorskip("torch", reason="models are exported with the `train` extra")

from dissensus.committee.cnn import CnnModel  # noqa: E402
from dissensus.training.export import export_onnx  # noqa: E402
from dissensus.training.short_chunk import ShortChunkCNN  # noqa: E402


def _another(model: CnnModel) -> CnnModel:
    other = CnnModel(model._content)
    other.sha256 = "0" * 64  # as if its bytes were others
    return other


def _export(folder: Path, n_members: int) -> CnnModel:
    torch.manual_seed(0)
    first = ShortChunkCNN(width=3).eval()
    members = [first]
    for _ in range(n_members - 1):
        other = ShortChunkCNN(width=3).eval()
        trunk = {k: v for k, v in first.state_dict().items() if not k.startswith("dense2.")}
        other.load_state_dict({**other.state_dict(), **trunk})
        members.append(other)
    return export_onnx(members, folder / "cnn.onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CnnModel:
    return _export(tmp_path_factory.mktemp("m"), 2)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(1)
    lengths = {
        "a.wav": 20_000,
        "b.flac": 3 * CHUNK_SAMPLES + 77,
        "c.ogg": CHUNK_SAMPLES,
        "d.wav": 2 * CHUNK_SAMPLES - 1,
    }
    for name, n in lengths.items():
        write_audio(folder / name, 0.1 * rng.standard_normal(n), 16_000)
    write_audio(folder / "e.mp3", 0.1 * rng.standard_normal(44_100 * 9), 44_100)
    return folder


def test_chunks_of_a_stream_are_those_of_the_whole(music: Path) -> None:
    for path in sorted(music.iterdir()):
        want = all_chunks(load_audio(path))
        assert np.array_equal(np.stack([chunk for chunk, _ in _chunks(path, "error", [])]), want), path.name
    span = Excerpt(1, str(music / "b.flac"), 1.0, 5.0)
    want = all_chunks(load_audio(music / "b.flac", start_s=1.0, duration_s=5.0))
    assert np.array_equal(np.stack([chunk for chunk, _ in _chunks(span, "error", [])]), want)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_files_are_scored_as_the_clips_in_memory(model: CnnModel, music: Path, batch_size: int, n_threads: int) -> None:
    files = sorted(music.iterdir())
    want = embed_clips(model, [(path.name, load_audio(path)) for path in files])
    done = list(score_files(files, model, batch_size=batch_size, n_threads=n_threads))
    assert [scored.track_id for scored in done] == [str(path) for path in files]
    for i, scored in enumerate(done):
        assert scored.error is None and scored.proba is not None
        np.testing.assert_allclose(scored.proba, want.proba[:, i], atol=1e-6)
        np.testing.assert_allclose(scored.proba.sum(axis=1), 1.0, atol=1e-5)
    assert done[0].audio_s == 20_000 / 16_000  # though it was repeated to fill a chunk
    assert done[1].audio_s == pytest.approx(3 * CHUNK_SAMPLES / 16_000)


@pytest.mark.parametrize(("said", "budget", "n_threads", "ahead"), [
    (False, 1, None, True), (True, 1, None, False), (True, 2, None, True), (True, 1, 2, True), (False, 1, 1, False),
])  # fmt: skip
def test_a_thread_of_its_own_decodes_unless_one_is_all_there_may_be(
    model: CnnModel, music: Path, monkeypatch: pytest.MonkeyPatch, said: bool, budget: int, n_threads: Any, ahead: bool
) -> None:
    monkeypatch.setattr(_threads, "_said", said)
    monkeypatch.setattr(_threads, "_budget", budget)
    stream = score_files(itertools.repeat(music / "a.wav"), model, batch_size=1, n_threads=n_threads)
    next(stream)
    assert any(thread.name == "dissensus-decode" for thread in threading.enumerate()) == ahead
    stream.close()


def test_a_bad_file_has_an_error_and_the_others_their_probabilities(
    model: CnnModel, music: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    cut = tmp_path / "cut.wav"
    cut.write_bytes((music / "d.wav").read_bytes()[: 44 + 3 * CHUNK_SAMPLES])  # ends in its second chunk
    files = [music / "a.wav", tmp_path / "bad.wav", cut, tmp_path / "none.mp3", music / "c.ogg"]
    for batch_size, n_threads in itertools.product((1, 2, 32), (1, 2)):
        done = list(score_files(files, model, batch_size=batch_size, n_threads=n_threads))
        kinds = [type(scored.error) for scored in done]
        assert issubclass(kinds[1], DecodeError) and kinds[2] is TruncatedAudioError and kinds[3] is DecodeError
        assert all(str(path) in str(scored.error) for path, scored in list(zip(files, done, strict=True))[1:4])
        alone = [next(score_files([path], model)).proba for path in (files[0], files[4])]
        for scored, proba in zip((done[0], done[4]), alone, strict=True):
            np.testing.assert_allclose(scored.proba, proba, atol=1e-6)
    kept = list(score_files([cut], model, truncated="keep"))
    assert kept[0].error is None and kept[0].proba is not None


@pytest.mark.parametrize("n_threads", [1, 2])
def test_results_come_before_the_list_ends(model: CnnModel, music: Path, n_threads: int) -> None:
    taken: list[int] = []

    def endless():
        for i in itertools.count():
            taken.append(i)
            yield music / "c.ogg"

    stream = score_files(endless(), model, batch_size=2, n_threads=n_threads)
    first = [next(stream) for _ in range(3)]
    assert all(scored.proba is not None for scored in first)
    stream.close()
    assert len(taken) <= 4 + 2 * (AHEAD + 2)
    assert not [t for t in threading.enumerate() if t.name == "dissensus-decode"]


def test_what_is_not_a_file_problem_is_raised(model: CnnModel, music: Path) -> None:
    def fails():
        yield music / "a.wav"
        raise RuntimeError("the list broke")

    for n_threads in (1, 2):
        with pytest.raises(RuntimeError, match="the list broke"):
            list(score_files(fails(), model, n_threads=n_threads))
    with pytest.raises(ParameterError, match="batch_size"):
        list(score_files([music / "a.wav"], model, batch_size=0))
    other = CnnModel(model._content)
    other.metadata["sample_rate"] = 8_000
    with pytest.raises(ModelFormatError, match="8000 Hz"):
        list(score_files([music / "a.wav"], other))


# --------------------------------------------------------------------------------------------------------- pools


def test_embeddings_of_files_go_to_a_mapped_pool(model: CnnModel, music: Path, tmp_path: Path) -> None:
    excerpts = gather_audio([music])
    want = embed_clips(model, [(e.track_id, load_audio(e.path)) for e in excerpts])
    seen = []
    report = embed_files(model, excerpts, tmp_path / "p", batch_size=4, on_progress=seen.append)
    assert (report.n_added, report.n_there, report.errors, len(seen)) == (5, 0, [], 5)
    pool = Pool.open(tmp_path / "p", verify=True)
    assert isinstance(pool.X.base, np.memmap) or isinstance(pool.X, np.memmap)
    assert pool.track_ids.tolist() == want.pool.track_ids.tolist()
    assert np.array_equal(pool.groups, want.pool.groups)
    np.testing.assert_allclose(pool.X, want.pool.X, atol=1e-5, rtol=1e-5)
    assert pool.fingerprint == want.pool.fingerprint == f"cnn:{model.sha256[:16]}"
    again = embed_files(model, excerpts, tmp_path / "p")
    assert (again.n_added, again.n_there) == (0, 5)


def test_a_pool_goes_on_and_refuses_another_model(model: CnnModel, music: Path, tmp_path: Path) -> None:
    excerpts = gather_audio([music])
    (tmp_path / "bad.wav").write_bytes(b"RIFFno")
    bad = Excerpt("bad", str(tmp_path / "bad.wav"))
    first = embed_files(model, [*excerpts[:2], bad], tmp_path / "p")
    assert (first.n_added, len(first.errors)) == (2, 1)
    assert "bad.wav" in (tmp_path / "p" / "errors.csv").read_text()
    second = embed_files(model, [*excerpts, bad], tmp_path / "p", n_threads=1)
    assert (second.n_added, second.n_there, len(second.errors)) == (3, 2, 1)
    with pytest.raises(PoolFormatError, match="another folder"):
        embed_files(_another(model), excerpts, tmp_path / "p")


def test_sessions_and_heads_work_on_the_mapped_pool(model: CnnModel, music: Path, tmp_path: Path) -> None:
    embed_files(model, gather_audio([music]), tmp_path / "p")
    pool = Pool.open(tmp_path / "p")
    label = np.array(["Q1", "Q2", "Q3", "Q4", "Q1"])[pool.groups]
    committee = Committee.pretrain(
        np.array(pool.X), label, pool.groups, kinds=("cnn",), n_folds=2, classes=["Q1", "Q2", "Q3", "Q4"],
        fingerprint=pool.fingerprint,
    )  # fmt: skip
    session = Session(committee, pool, strategy="mc")
    query = session.ask(2)
    session.tell(dict.fromkeys(query.track_ids.tolist(), "Q3"))
    assert session.ask(1).track_ids.tolist()[0] not in query.track_ids.tolist()
    files = [music / str(track) for track in pool.track_ids]
    scored = list(score_files(files, model, committee=session.committee))
    want = session.committee.predict_proba(np.array(pool.X), pool.groups)
    for i, one in enumerate(scored):
        np.testing.assert_allclose(one.proba, want[:, i], atol=1e-4)
    with pytest.raises(FeatureMismatchError):
        score_files(files, _another(model), committee=committee)


def test_the_verb_embeds(model: CnnModel, music: Path, tmp_path: Path) -> None:
    (tmp_path / "cnn.onnx").write_bytes(model._content)
    command = [
        "extract",
        str(music),
        "-f",
        "cnn",
        "-m",
        str(tmp_path / "cnn.onnx"),
        "-o",
        str(tmp_path / "p"),
        "-j",
        "2",
    ]
    done = CliRunner().invoke(app, command)
    dissensus.set_threads(1)
    assert done.exit_code == 0, done.output
    assert "5 tracks added" in done.stdout
    assert Pool.open(tmp_path / "p").fingerprint == f"cnn:{model.sha256[:16]}"
    for wrong in (["-f", "cnn"], ["-m", "x.onnx"], ["-f", "cnn", "-m", "x.onnx", "--sr", "8000"]):
        refused = CliRunner().invoke(app, ["extract", str(music), "-o", str(tmp_path / "q"), *wrong])
        assert isinstance(refused.exception, ParameterError)
        assert not (tmp_path / "q").exists()
