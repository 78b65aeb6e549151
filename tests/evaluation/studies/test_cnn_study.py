"""Scoring a CNN where it has not been, with and without torch."""

from __future__ import annotations

import numpy as np
import pytest

from dissensus.committee import Committee, shipped_cnn
from dissensus.errors import ParameterError
from dissensus.evaluation.studies.cnn import check_unheard, embedded_music


def test_embedded_music_is_for_heads_of_that_model() -> None:
    model = shipped_cnn(provider="cpu")
    data = embedded_music(model, 24, 3, personal=0.8, seed=5, duration_s=2.0, tracks_per_listener=8)
    assert data.pool.X.shape == (24, model.embedding_size)
    assert data.pool.fingerprint == f"cnn:{model.sha256[:16]}"
    assert len(data.annotations.of("listener-001").label) == 8
    assert len(set(data.annotations.track_id.tolist())) <= 16
    assert data.weak_label is not None
    heads = Committee.pretrain(
        data.pool.X, data.weak_label, data.pool.groups, kinds=("cnn",), n_folds=2, fingerprint=data.pool.fingerprint
    )
    assert heads.predict_proba(data.pool.X).shape == (2, 24, 4)


def test_a_model_is_not_tested_on_the_music_it_was_trained_on() -> None:
    model = shipped_cnn(provider="cpu")
    seed = model.metadata["training"]["seed"]
    with pytest.raises(ParameterError, match="was trained on; choose another"):
        embedded_music(model, 24, 3, personal=0.8, seed=seed)
    check_unheard(model, seed + 1)


def test_baselines_are_fitted_inside_and_scored_outside() -> None:
    pytest.importorskip("torch", reason="clip sets belong to the training files")
    from dissensus.evaluation.studies.cnn import baselines
    from dissensus.training.clips import ClipSet

    rng = np.random.default_rng(0)
    label = np.arange(40) % 4
    signals = [(0.1 * (c + 1) + 0.001 * rng.standard_normal(2000)).astype(np.float32) for c in label]
    clips = ClipSet(signals, label, np.arange(40))
    strange = ClipSet([-s for s in signals], label, np.arange(40))
    splits = [(np.arange(20, 40), np.arange(20)), (np.arange(20), np.arange(20, 40))]

    def level(signal: np.ndarray, sr: int) -> np.ndarray:
        assert sr == 16_000
        step = round(float(signal.mean()) * 10)
        return np.eye(4)[[step - 1 if step > 0 else -step % 4] * 2]  # a negative level looks like the next class

    rows = baselines(clips, strange, {"level": level}, splits)
    assert list(rows) == ["logistic regression on level", "majority class"]
    seen, unseen = rows["logistic regression on level"]
    assert len(seen) == len(unseen) == 2
    assert min(seen) == 1.0
    assert max(unseen) == 0.0
    assert rows["majority class"][0] == pytest.approx([0.1, 0.1])
