"""Tiny made-up data for the tests of the evaluation: tracks in a latent plane, listeners with boundaries of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dissensus.datasets._types import QUADRANTS, Annotations, Dataset
from dissensus.evaluation.protocol import Protocol
from dissensus.features.pool import Pool

#: A protocol that ends in a second or two.
QUICK = Protocol(kinds=("gnb", "sgd"), rounds=3, queries=4, repeats=2, null_repeats=1, min_tracks=30, n_folds=2)


def latent_dataset(
    n_listeners: int = 4,
    *,
    n_free: int = 80,
    n_rated: int = 60,
    n_each: int = 36,
    personal: float = 0.8,
    weak: bool = True,
    seed: int = 0,
) -> Dataset:
    """``n_free`` tracks that nobody rated, then ``n_rated`` from which each listener rated ``n_each``; two windows each."""
    rng = np.random.default_rng(seed)
    n = n_free + n_rated
    centre = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])[rng.integers(0, 4, n)] * 0.6
    plane = centre + rng.normal(0, 0.55, (n, 2))
    mixing = rng.normal(size=(2, 8))
    track = np.repeat(np.arange(n), 2)
    X = plane[track] @ mixing + rng.normal(0, 1.0, (2 * n, 8))
    ids = np.array([f"t{i:03d}" for i in range(n)])

    def heard(points: np.ndarray) -> np.ndarray:
        up, right = points[:, 0] >= 0, points[:, 1] >= 0
        return np.where(up, np.where(right, 0, 1), np.where(right, 3, 2))

    who, what, label = [], [], []
    for listener in range(n_listeners):
        shift = rng.normal(0, personal, 2)
        rated = n_free + rng.choice(n_rated, n_each, replace=False)
        who += [f"listener {listener}"] * n_each
        what += ids[rated].tolist()
        label += heard(plane[rated] + shift).tolist()
    annotations = Annotations(np.array(who), np.array(what), np.array(label), QUADRANTS)
    return Dataset("latent", Pool(X, ids[track]), annotations, heard(plane) if weak else None)


def only(dataset: Dataset, listener: str) -> Dataset:
    """The data set with one listener's annotations alone."""
    return replace(dataset, annotations=dataset.annotations.of(listener))
