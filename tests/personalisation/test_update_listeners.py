"""Replay on real listeners: no kind of member ends below its own start. The incremental baseline does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.committee import Committee
from dissensus.datasets import trompa
from dissensus.evaluation.scores import track_scores
from dissensus.personalisation.update import personalise

pytestmark = pytest.mark.data

N_REPEATS, N_ANSWERS = 4, 60


@pytest.fixture(scope="module")
def gains(research_data: Path) -> dict[tuple[str, str], np.ndarray]:
    """Weighted and macro F1 over own start, ``(n_listeners, 2)``, by update and kind of member.

    Pre-trained on the catalogue tracks that nobody annotated, with their Spotify quadrant; 60 answers of each of the 35
    listeners with at least 80 tracks, the rest of 85/15 splits as the test.
    """
    data = trompa.load(research_data / "trompa_mer")
    said, pool = data.annotations, data.pool
    nobody = np.setdiff1d(np.arange(pool.n_tracks), pool.index_of(said.track_id))
    assert data.weak_label is not None
    start = Committee.pretrain(pool.X[nobody], data.weak_label[nobody], nobody, classes=range(4), n_folds=2)
    names, count = np.unique(said.listener_id, return_counts=True)
    out: dict[tuple[str, str], list[np.ndarray]] = {}
    for u, name in enumerate(names[count >= 80]):
        mine = said.listener_id == name
        track, label = pool.index_of(said.track_id[mine]), said.label[mine]
        score: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for r in range(N_REPEATS):
            order = np.random.default_rng([u, r]).permutation(len(track))
            test, told = np.split(order, [round(0.15 * len(track))])
            told = told[:N_ANSWERS]
            committees = {"start": start}
            for update in ("replay", "incremental"):
                committees[update] = personalise(start, pool.X[track[told]], label[told], track[told], update=update)
            for update, committee in committees.items():
                reached = track_scores(committee.predict_proba(pool.X[track[test]]), label[test])
                for m, kind in enumerate(committee.member_kinds):
                    both = (float(reached["f1_weighted"][m]), float(reached["f1_macro"][m]))
                    score.setdefault((update, kind), []).append(both)
        for (update, kind), values in score.items():
            if update != "start":
                gain = np.mean(values, axis=0) - np.mean(score["start", kind], axis=0)
                out.setdefault((update, kind), []).append(gain)
    return {key: np.array(values) for key, values in out.items()}


@pytest.mark.parametrize("kind", ["gnb", "sgd", "xgb"])
def test_replay_does_not_end_below_its_start(gains: dict[tuple[str, str], np.ndarray], kind: str) -> None:
    gain = gains["replay", kind]
    assert len(gain) == 35
    margin = 1.96 * gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    assert (gain.mean(axis=0) > -0.005).all()
    assert (gain.mean(axis=0) + margin > 0).all()


def test_incremental_boosting_collapses_as_published(gains: dict[tuple[str, str], np.ndarray]) -> None:
    """T8: a hundred rounds on the batch alone."""
    assert gains["incremental", "xgb"][:, 0].mean() < gains["replay", "xgb"][:, 0].mean() - 0.02
