"""The model file: what comes back, what is refused, and what damage does."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from dissensus.committee import BoostedTrees, Committee, storage
from dissensus.errors import ModelFormatError, ParameterError, StoreError, UntrustedModelError
from dissensus.personalisation.update import personalise

CLASSES = np.array(["Q1", "Q2", "Q3", "Q4"])


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quadrant = np.repeat(np.arange(24) % 4, 3)
    X = rng.normal(size=(72, 4)) * 0.7
    X[:, 0] += quadrant
    return X, CLASSES[quadrant], np.repeat(np.arange(24), 3)


@pytest.fixture(scope="module")
def committee() -> Committee:
    kinds = ("gnb", "sgd", BoostedTrees(n_rounds=3))
    return Committee.pretrain(
        *data(), kinds=kinds, n_folds=2, rehearsal_size=16, feature_names=list("abcd"), fingerprint="plan"
    )


def test_what_is_loaded_is_what_was_saved(committee: Committee, tmp_path: Path) -> None:
    X, _, track = data(1)
    path = tmp_path / "everyone.safetensors"
    committee.save(path)
    again = Committee.load(path)
    np.testing.assert_array_equal(again.predict_proba(X, track), committee.predict_proba(X, track))
    assert again.classes_.tolist() == committee.classes_.tolist()
    assert again.member_kinds == committee.member_kinds
    assert again.feature_names == ("a", "b", "c", "d")
    assert again.fingerprint == "plan"
    assert [m.get_params() for m in again.members] == [m.get_params() for m in committee.members]
    assert [part.name for part in tmp_path.iterdir()] == [path.name]
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_a_personal_committee_remembers_where_it_started(committee: Committee, tmp_path: Path, update: str) -> None:
    X, y, track = data(2)
    mine = personalise(committee, X[:30], y[:30], track[:30], update=update)
    mine.save(tmp_path / "mine")
    again = Committee.load(tmp_path / "mine")
    np.testing.assert_array_equal(again.predict_proba(X, track), mine.predict_proba(X, track))
    for more in ("replay", "incremental"):
        np.testing.assert_array_equal(
            personalise(again, X[:45], y[:45], track[:45], update=more).predict_proba(X, track),
            personalise(mine, X[:45], y[:45], track[:45], update=more).predict_proba(X, track),
        )


def test_cold_and_numbered_committees_can_be_saved(tmp_path: Path) -> None:
    X, y, track = data()
    Committee.cold_start([3, 1, 2], 4).save(tmp_path / "cold")
    assert Committee.load(tmp_path / "cold").classes_.tolist() == [3, 1, 2]
    numbered = Committee.pretrain(X, np.searchsorted(CLASSES, y), track, kinds=("gnb",), n_folds=1)
    numbered.save(tmp_path / "numbered")
    assert Committee.load(tmp_path / "numbered").classes_.tolist() == [0, 1, 2, 3]


def test_members_that_are_not_ours_are_not_saved(tmp_path: Path) -> None:
    X, y, _ = data()
    with pytest.raises(ParameterError, match="LogisticRegression"):
        Committee([LogisticRegression().fit(X, y)], CLASSES).save(tmp_path / "no")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_store_error(committee: Committee, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="written"):
        committee.save(tmp_path / "nowhere" / "model")


def test_any_damaged_byte_is_noticed(committee: Committee, tmp_path: Path) -> None:
    path = tmp_path / "model"
    committee.save(path)
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", raw[:8])[0]
    places = np.concatenate([np.arange(8), rng.integers(0, header, 200), rng.integers(0, len(raw), 200)])
    for place in places:
        damaged = bytearray(raw)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError):
            Committee.load(path)
    for length in [*range(0, 40), *rng.integers(0, len(raw), 40).tolist()]:
        path.write_bytes(raw[:length])
        with pytest.raises(ModelFormatError):
            Committee.load(path)


def rewritten(raw: bytes, change: Any) -> bytes:
    """The file with its description changed and a right digest, as a forger would make it."""
    from safetensors.numpy import load as from_bytes
    from safetensors.numpy import save as to_bytes

    length = struct.unpack("<Q", raw[:8])[0]
    body = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["committee"])
    tensors = {name: array.copy() for name, array in from_bytes(raw).items()}
    change(body, tensors)
    text = json.dumps(body, sort_keys=True)
    return to_bytes(tensors, metadata={"committee": text, "sha256": storage._digest(text, tensors)})


def nothing(body: Any, tensors: Any) -> None:
    del body, tensors


FORGERIES = {
    "format": lambda body, tensors: body.update(format="other"),
    "newer": lambda body, tensors: body.update(format_version=99),
    "kind": lambda body, tensors: body["members"][0].update(kind="os.system"),
    "kind of another type": lambda body, tensors: body["members"][0].update(kind=["gnb"]),
    "parameter": lambda body, tensors: body["members"][0]["params"].update(evil=1),
    "parameter value": lambda body, tensors: body["members"][2]["params"].update(alpha="rm -rf"),
    "parameter beyond 64 bits": lambda body, tensors: body["members"][0]["params"].update(prior_smoothing=-(2**70)),
    "nested value": lambda body, tensors: body["members"][0]["values"].update(epsilon_={}),
    "lacking value": lambda body, tensors: body["members"][0].update(values={}),
    "lacking array": lambda body, tensors: body["members"][0]["arrays"].pop("theta_"),
    "unknown tensor": lambda body, tensors: body["members"][0]["arrays"].update(theta_="t999"),
    "wrong tensor": lambda body, tensors: body["members"][0]["arrays"].update(theta_=body["scaler"]["mean"]),
    "no members": lambda body, tensors: body.update(members=[]),
    "classes twice": lambda body, tensors: body.update(classes=["Q1", "Q1", "Q2", "Q3"]),
    "fewer classes": lambda body, tensors: body.update(classes=["Q1", "Q2", "Q3"]),
    "classes of a class": lambda body, tensors: body.update(classes=[["Q1"], ["Q2"], ["Q3"], ["Q4"]]),
    "fewer features": lambda body, tensors: body.update(n_features=3),
    "names": lambda body, tensors: body.update(feature_names=["a"]),
    "not finite": lambda body, tensors: tensors[body["members"][0]["arrays"]["theta_"]].fill(np.nan),
    "negative variance": lambda body, tensors: tensors[body["members"][0]["arrays"]["var_"]].fill(-1),
    "zero scale": lambda body, tensors: tensors[body["scaler"]["scale"]].fill(0),
    "labels": lambda body, tensors: tensors[body["rehearsal"]["y"]].fill(4),
    "trees": lambda body, tensors: tensors[body["members"][4]["arrays"]["fit.left"]].fill(1),
    "a feature beyond": lambda body, tensors: tensors[body["members"][4]["arrays"]["fit.feature"]].fill(99),
    "a leaf that is not finite": lambda body, tensors: tensors[body["members"][4]["arrays"]["fit.value"]].fill(np.inf),
    "trees without a part": lambda body, tensors: body["members"][4]["arrays"].pop("fit.right"),
    "a list": lambda body, tensors: body.update(members="gnb"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_descriptions_are_refused(committee: Committee, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model"
    committee.save(path)
    raw = path.read_bytes()
    path.write_bytes(rewritten(raw, nothing))
    assert len(Committee.load(path)) == 6
    path.write_bytes(rewritten(raw, FORGERIES[name]))
    with pytest.raises(ModelFormatError):
        Committee.load(path)


def test_trees_of_another_width_are_refused(committee: Committee, tmp_path: Path) -> None:
    """As version 0.1.0 wrote trees, too: its own format's bytes, which are read and checked by us."""
    X, y, track = data()
    wide = BoostedTrees(n_rounds=2).fit(X, y)
    narrow = BoostedTrees(n_rounds=2).fit(X[:, :3], y)
    path = tmp_path / "model"
    committee.save(path)

    def older(member: BoostedTrees) -> Callable[[Any, Any], None]:
        def change(body: Any, tensors: Any) -> None:
            arrays = body["members"][4]["arrays"]
            for name in [name for name in arrays if name.startswith("fit.")]:
                del arrays[name]
            arrays["booster_"] = "older"
            tensors["older"] = np.frombuffer(bytes(member.booster_.save_raw("ubj")), dtype=np.uint8)

        return change

    raw = path.read_bytes()
    path.write_bytes(rewritten(raw, older(wide)))
    loaded = Committee.load(path).members[4]
    np.testing.assert_array_equal(loaded.booster_.inplace_predict(X), wide.booster_.inplace_predict(X))
    path.write_bytes(rewritten(raw, older(narrow)))
    with pytest.raises(ModelFormatError, match="3 features"):
        Committee.load(path)


def test_limits_are_checked_before_the_file_is_parsed(committee: Committee, tmp_path: Path) -> None:
    path = tmp_path / "model"
    committee.save(path)
    with pytest.raises(UntrustedModelError, match="bytes"):
        storage.load(path, max_bytes=1000)
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(UntrustedModelError, match="header"):
        Committee.load(path)
    path.write_bytes(struct.pack("<Q", 1 << 19) + b"[" * (1 << 19))
    with pytest.raises(ModelFormatError):
        Committee.load(path)
    save_file({f"t{i}": np.zeros(0, dtype=np.uint8) for i in range(10_001)}, path, metadata={"committee": "{}"})
    with pytest.raises(UntrustedModelError, match="tensors"):
        Committee.load(path)
    tensor = {"dtype": "C64", "shape": [3], "data_offsets": [0, 24]}
    header = json.dumps({"__metadata__": {"committee": "{}"}, "t0": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(24))
    with pytest.raises(UntrustedModelError, match="type"):
        Committee.load(path)
    save_file({"t0": np.zeros(3)}, path)
    with pytest.raises(ModelFormatError, match="no committee"):
        Committee.load(path)
    with pytest.raises(FileNotFoundError):
        Committee.load(tmp_path / "absent")


def test_loading_needs_no_pickle(committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    def poisoned(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("unpickled something")

    committee.save(tmp_path / "model")
    monkeypatch.setattr(pickle, "loads", poisoned)
    monkeypatch.setattr(pickle, "load", poisoned)
    monkeypatch.setattr(pickle, "Unpickler", poisoned)
    assert Committee.load(tmp_path / "model").n_members == 6
