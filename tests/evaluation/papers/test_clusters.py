"""Clusterability and multi-label classification: published values, and what folds over windows pretend."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dissensus.agreement.groups import GroupSpec, RatingTable, random_masks
from dissensus.datasets import ismir2020
from dissensus.datasets.ismir2020 import EMOTIONS
from dissensus.errors import MissingDependencyError, ParameterError
from dissensus.evaluation.papers.agreement_tables import rating_table
from dissensus.evaluation.papers.clusters import cluster_agreement, embed, intrinsic_dimension, zscore
from dissensus.evaluation.papers.multilabel import classify_windows, iterative_folds, jaccard, label_sets


def blobs(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(4), n)
    return rng.normal(size=(4, 6))[truth] * 6 + 0.7 * rng.normal(size=(4 * n, 6)), truth


def test_zscore() -> None:
    Z = zscore([[1.0, 5.0], [3.0, 5.0]])
    assert Z.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    with pytest.raises(ParameterError, match="row 1 is not finite"):
        zscore([[1.0], [np.nan]])


@pytest.mark.parametrize("method", ["raw", "pca", "mds", "tsne"])
def test_parts_that_are_there_are_found(method: str) -> None:
    X, truth = blobs(30)
    found = cluster_agreement(embed(X, method), truth, seeds=(0, 1))
    assert min(found.ari) > 0.95
    assert min(found.ami) > 0.95
    assert np.array_equal(embed(X, method), embed(X, method))


def test_parts_that_are_not_there_are_not() -> None:
    X, truth = blobs()
    shuffled = np.random.default_rng(1).permutation(truth)
    assert abs(np.mean(cluster_agreement(zscore(X), shuffled).ari)) < 0.05


def test_a_group_is_cut_out_and_random_groups_stand_beside() -> None:
    X, truth = blobs()
    X[::2] = np.random.default_rng(2).normal(size=X[::2].shape)
    keep = np.arange(len(X)) % 2 == 1
    table = RatingTable(np.arange(len(X)), np.zeros(len(X)), {})
    found = cluster_agreement(X, truth, keep, seeds=(0,), random_masks=random_masks(table, keep, 5))
    assert found.n == len(X) // 2
    assert len(found.random_ari) == len(found.random_ami) == 5
    assert found.ari[0] > max(found.random_ari)
    assert "random groups of that size" in str(found)


def test_what_cannot_be_clustered() -> None:
    X, truth = blobs()
    with pytest.raises(ParameterError, match="0 rows"):
        cluster_agreement(X, truth, np.zeros(len(X), dtype=bool))
    with pytest.raises(ParameterError, match="one row each"):
        cluster_agreement(X, truth[:-1])
    with pytest.raises(ParameterError, match="raw, pca, mds, tsne, umap"):
        embed(X, "som")


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is installed")
def test_without_umap_the_message_says_what_to_install() -> None:
    with pytest.raises(MissingDependencyError, match="umap-learn"):
        embed(blobs()[0], "umap")


def test_label_sets_take_the_smallest_mode_and_all_items_that_reach_the_highest() -> None:
    rater, unit = np.array(["a", "b", "c", "d", "a"]), np.array([0, 0, 0, 0, 1])
    columns = {"joy": np.array([5, 5, 2, 2, 1]), "sad": np.array([2, 2, 1, 3, 4]), "calm": np.array([1, 1, 1, 1, 4])}
    table = RatingTable(rater, unit, columns)
    units, sets = label_sets(table, ("joy", "sad", "calm"))
    assert units.tolist() == [0, 1]
    assert sets.tolist() == [[True, True, False], [False, True, True]]
    _, of_b = label_sets(table, ("joy", "sad", "calm"), rater == "b")
    assert of_b.tolist() == [[True, False, False], [False, False, False]]


def test_label_sets_need_whole_numbers() -> None:
    table = RatingTable(np.array(["a"]), np.array([0]), {"joy": np.array([1.5])})
    with pytest.raises(ParameterError, match="joy: ratings must be whole"):
        label_sets(table, ("joy",))


def test_jaccard_of_nothing_and_of_other_shapes() -> None:
    assert jaccard(np.zeros((2, 3)), np.zeros((2, 3))) == 1.0
    with pytest.raises(ParameterError, match="n_rows"):
        jaccard(np.zeros((2, 3)), np.zeros((3, 3)))


def test_folds_spread_every_label() -> None:
    rng = np.random.default_rng(0)
    Y = rng.random((200, 6)) < (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
    folds = iterative_folds(Y, 5)
    assert np.bincount(folds).tolist() == pytest.approx([40] * 5, abs=4)
    for j in range(6):
        spread = np.bincount(folds[Y[:, j]], minlength=5)
        assert spread.max() - spread.min() <= 3
    assert np.array_equal(folds, iterative_folds(Y, 5))
    with pytest.raises(ParameterError, match="5 rows or more"):
        iterative_folds(Y[:4], 5)


def test_windows_of_one_clip_on_both_sides_make_noise_look_learnt() -> None:
    rng = np.random.default_rng(0)
    clip = np.repeat(np.arange(30), 12)
    X = rng.normal(size=(30, 20))[clip] * 3 + rng.normal(size=(360, 20))  # each clip a place of its own
    Y = (rng.random((30, 4)) < 0.5)[clip]  # labels that have nothing to do with it
    leaky = classify_windows(X, clip, Y, folds="windows", n_components=20)
    held_out = classify_windows(X, clip, Y, folds="clips", n_components=20)
    assert leaky.f1 > 0.8
    assert held_out.f1 < 0.65
    assert "both sides" in str(leaky)
    assert "both sides" not in str(held_out)


def test_labels_that_the_sound_tells_are_learnt_over_clips_too() -> None:
    rng = np.random.default_rng(0)
    clip = np.repeat(np.arange(40), 8)
    place = rng.normal(size=(40, 3))
    X = np.concatenate([place[clip] * 3, 0.2 * rng.normal(size=(320, 3))], axis=1)
    found = classify_windows(X, clip, place[clip] > 0, folds="clips", n_components=6)
    assert found.f1 > 0.75
    assert min(found.precision, found.recall) > 0.7


def test_folds_and_shapes_that_do_not_fit() -> None:
    with pytest.raises(ParameterError, match="folds='songs'"):
        classify_windows(np.ones((4, 2)), np.arange(4), np.ones((4, 1)), folds="songs")
    with pytest.raises(ParameterError, match="one row per window"):
        classify_windows(np.ones((4, 2)), np.arange(3), np.ones((4, 1)), folds="clips")


@pytest.fixture(scope="module")
def surveys(research_data: Path) -> tuple[RatingTable, np.ndarray, np.ndarray]:
    data = ismir2020.load(research_data / "agreement_emotion")
    table = rating_table(data)
    at = data.pool.index_of(table.unit)
    return table, data.track_table["quadrant"][at], data.track_table["emotion"]


@pytest.mark.data
def test_published_dimension_and_clusters(surveys: tuple[RatingTable, np.ndarray, np.ndarray]) -> None:
    table, quadrant, _ = surveys
    ratings = np.stack([table.columns[name] for name in EMOTIONS], axis=1)
    n_components, share = intrinsic_dimension(ratings)
    assert (n_components, round(share, 3)) == (10, 0.974)
    Z = zscore(ratings)
    for spec, ari, ami in [
        (None, 0.215, 0.225),
        ("musical_sophistication>81.58", 0.306, 0.307),
        ("musical_sophistication<81.58", 0.156, 0.167),
        ("musical_training>26.52", 0.312, 0.314),
        ("understanding>3", 0.255, 0.252),
    ]:
        keep = None if spec is None else GroupSpec.parse(spec).mask(table.columns)
        found = cluster_agreement(Z, quadrant, keep, seeds=(0, 1))
        assert np.mean(found.ari) == pytest.approx(ari, abs=0.01), spec
        assert np.mean(found.ami) == pytest.approx(ami, abs=0.01), spec


@pytest.mark.data
def test_published_jaccards(surveys: tuple[RatingTable, np.ndarray, np.ndarray]) -> None:
    table, _, emotion = surveys
    single = emotion[:, None] == np.array(EMOTIONS)
    every = label_sets(table, EMOTIONS)[1]
    groups = {
        name: label_sets(table, EMOTIONS, GroupSpec.parse(text).mask(table.columns))[1]
        for name, text in [
            ("und+", "understanding>3"),
            ("und-", "understanding<3"),
            ("fam+", "familiarity>3"),
            ("pref+", "preference>3"),
        ]
    }
    assert round(jaccard(every, single), 3) == 0.287
    assert round(jaccard(groups["und+"], single), 3) == 0.322
    for name, value in {"und+": 0.783, "fam+": 0.547, "pref+": 0.718, "und-": 0.697}.items():
        assert round(jaccard(groups[name], every), 3) == value
    assert round(every.sum(axis=1).mean(), 1) == 3.1
