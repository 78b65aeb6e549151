"""A committee as ONNX says what the committee says, before and after it learnt from a listener."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

pytest.importorskip("onnx", reason="committees are exported with the `onnx-export` extra")
import onnxruntime

from dissensus import Committee, Pool, Session
from dissensus.cli.main import main
from dissensus.errors import ParameterError
from dissensus.training.committee_onnx import committee_to_onnx

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(90), 2)
Y = np.array(["calm", "loud", "sad"])[GROUPS % 3]
X = (RNG.normal(size=(180, 6)) * [1, 10, 0.1, 5, 1, 1] + (GROUPS % 3)[:, None]).astype(np.float32)
X[:, 5] = 4.0  # a constant column


def committee(*kinds: str) -> Committee:
    return Committee.pretrain(X, Y, GROUPS, kinds=kinds, n_folds=2, feature_names=[*"abcdef"], fingerprint="mine")


def run(path: Path, windows: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(["proba", "mean"], {"X": windows.astype(np.float32)})


@pytest.mark.parametrize("kinds", [("gnb",), ("sgd",), ("xgb",), ("gnb", "sgd", "xgb")], ids="+".join)
@pytest.mark.parametrize("update", [None, "replay", "incremental"])
def test_every_kind_of_member_says_the_same(tmp_path: Path, kinds: tuple[str, ...], update: str | None) -> None:
    model = committee(*kinds)
    if update is not None:
        session = Session(model, Pool(X, GROUPS), update=update)
        for _ in range(2):
            session.tell(dict.fromkeys(session.ask(4), "sad"))
        model = session.committee
    done = committee_to_onnx(model, tmp_path / "c.onnx")
    assert done.largest_difference < 1e-4 and done.n_bytes == (tmp_path / "c.onnx").stat().st_size
    proba, mean = run(tmp_path / "c.onnx", X)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(proba.transpose(1, 0, 2), expected, atol=1e-4)
    np.testing.assert_allclose(mean, expected.mean(axis=0), atol=1e-4)


def test_a_committee_that_knows_nothing_and_one_window(tmp_path: Path) -> None:
    committee_to_onnx(Committee.cold_start(["a", "b"], 6), tmp_path / "c.onnx")
    proba, _ = run(tmp_path / "c.onnx", X[:1])
    np.testing.assert_allclose(proba, 0.5)
    assert run(tmp_path / "c.onnx", X[:0])[0].shape == (0, 3, 2)


def test_the_file_says_what_it_needs(tmp_path: Path) -> None:
    committee_to_onnx(committee("gnb", "xgb"), tmp_path / "c.onnx")
    session = onnxruntime.InferenceSession((tmp_path / "c.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert about["classes"] == ["calm", "loud", "sad"] and about["feature_names"] == [*"abcdef"]
    assert about["fingerprint"] == "mine" and about["members"] == ["gnb", "gnb", "xgb", "xgb"]
    assert session.get_inputs()[0].shape == ["n_windows", 6]


def test_members_of_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    model = Committee.pretrain(X, Y, GROUPS, kinds=("gnb", RandomForestClassifier(3)), n_folds=2)
    with pytest.raises(ParameterError, match="RandomForestClassifier"):
        committee_to_onnx(model, tmp_path / "c.onnx")
    assert not (tmp_path / "c.onnx").exists()


def test_a_wrong_file_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dissensus.errors import ModelFormatError
    from dissensus.training import committee_onnx

    real = committee_onnx._booster_nodes

    def turned(*arguments: object) -> dict[str, list[object]]:
        nodes = real(*arguments)  # type: ignore[arg-type]
        return nodes | {
            "nodes_truenodeids": nodes["nodes_falsenodeids"],
            "nodes_falsenodeids": nodes["nodes_truenodeids"],
        }

    monkeypatch.setattr(committee_onnx, "_booster_nodes", turned)
    with pytest.raises(ModelFormatError, match="differs from the committee"):
        committee_to_onnx(committee("xgb"), tmp_path / "c.onnx")
    assert not (tmp_path / "c.onnx").exists()


def test_the_verb_exports_a_committee(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committee("gnb", "sgd").save(tmp_path / "c.safetensors")
    assert main(["export", str(tmp_path / "c.safetensors"), "-o", str(tmp_path / "c.onnx")]) == 0
    assert "4 members" in capsys.readouterr().out
    assert run(tmp_path / "c.onnx", X)[0].shape == (180, 4, 3)
