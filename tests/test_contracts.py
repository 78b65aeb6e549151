"""The public face: the names, signatures and shapes that users hold on to."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import dissensus

PARAMETERS = {
    "consensus_entropy": ["proba", "member_weight", "n_threads", "backend"],
    "mean_kl": ["proba", "member_weight", "n_threads", "backend"],
    "mutual_information": ["proba", "member_weight", "n_threads", "backend"],
    "margin": ["proba", "member_weight", "n_threads", "backend"],
    "vote_entropy": ["votes", "n_classes", "n_threads", "backend"],
    "select_top": ["utility", "k", "exclude"],
    "human_consensus": ["track_index", "class_index", "n_tracks", "n_classes", "prior"],
    "load_audio": ["path", "sr", "start_s", "duration_s"],
    "log_mel": ["signal", "sr", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "htk", "norm", "power"],
    "is13": ["signal", "sr", "window_s", "overlap"],
    "krippendorff_alpha": ["ratings", "level"],
}


@pytest.mark.parametrize("name", sorted(set(dissensus.__all__)))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(dissensus, name)
    if callable(value):
        assert inspect.getdoc(value), f"{name} has no docstring"


@pytest.mark.parametrize("name", PARAMETERS)
def test_signatures_hold(name: str) -> None:
    parameters = list(inspect.signature(getattr(dissensus, name)).parameters)
    missing = [p for p in PARAMETERS[name] if p not in parameters]
    assert not missing, f"{name}{parameters} lacks {missing}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="consensus_entropie"):
        dissensus.consensus_entropie  # noqa: B018


@pytest.fixture(scope="module")
def proba() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 30)).astype(np.float32)


@pytest.mark.parametrize("name", ["consensus_entropy", "mean_kl", "mutual_information", "margin"])
def test_disagreement_has_one_float32_a_track(name: str, proba: np.ndarray) -> None:
    value = getattr(dissensus, name)(proba)
    assert value.shape == (30,)
    assert value.dtype == np.float32
    assert np.isfinite(value).all()


def test_entropy_golden_values() -> None:
    rows = np.array([[0.25] * 4, [0, 0.5, 0, 0.5], [1, 0, 0, 0], [1 / 6, 2 / 6, 3 / 6, 0]], dtype=np.float64)
    np.testing.assert_allclose(dissensus.consensus_entropy(rows[None]), [1.3863, 0.6931, 0.0, 1.0114], atol=1e-4)


def test_votes_and_selection(proba: np.ndarray) -> None:
    votes = proba.argmax(axis=2)
    assert dissensus.vote_entropy(votes, n_classes=4).shape == (30,)
    chosen = dissensus.select_top(np.array([0.5, np.nan, 0.9, 0.5, 0.9]), 4)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == [2, 4, 0, 3]


def test_human_consensus_counts_raters() -> None:
    share, n_raters = dissensus.human_consensus([0, 0, 2], [1, 3, 2], n_tracks=3, n_classes=4)
    assert share.shape == (3, 4)
    assert n_raters.tolist() == [2, 0, 1]
    np.testing.assert_allclose(share[0], [0, 0.5, 0, 0.5])


def test_committee_and_session(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    y = np.repeat(["Q1", "Q2", "Q3", "Q4"], 30)
    X = rng.standard_normal((120, 5)) + 2 * np.eye(4, 5)[np.repeat(np.arange(4), 30)]
    committee = dissensus.Committee.pretrain(X, y, np.arange(120) // 2, kinds=("gnb", "sgd"), n_folds=2, random_state=0)
    proba = committee.predict_proba(X, np.arange(120) // 4)
    assert proba.shape == (4, 30, 4)
    assert proba.dtype == np.float32
    committee.save(tmp_path / "committee.safetensors")
    again = dissensus.Committee.load(tmp_path / "committee.safetensors")
    assert again.classes_.tolist() == ["Q1", "Q2", "Q3", "Q4"]
    session = dissensus.Session(again, dissensus.Pool(X, np.arange(120)), strategy="mc", update="replay")
    query = session.ask(3)
    assert len(query.track_ids) == len(query.utility) == 3
    session.tell(dict.fromkeys(query.track_ids, "Q1"))
    assert session.predict_proba(query.track_ids).shape[-1] == 4
