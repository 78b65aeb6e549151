"""Small made-up crowds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets import QUADRANTS, Annotations
from dissensus.features.pool import Pool


@dataclass
class Crowd:
    """Ratings of a few people about a few tracks; each person rates a track at most once."""

    track: NDArray[np.int64]
    listener: NDArray[np.int64]
    label: NDArray[np.int64]
    features: NDArray[np.float64]
    n_tracks: int
    n_listeners: int
    truth: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def rows(self, keep: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
        return self.track[keep], self.listener[keep], self.label[keep]

    def annotations(self) -> Annotations:
        who = np.array([f"listener {i}" for i in range(self.n_listeners)])
        what = np.array([f"track {i}" for i in range(self.n_tracks)])
        return Annotations(who[self.listener], what[self.track], self.label, QUADRANTS)

    def pool(self) -> Pool:
        return Pool(self.features, [f"track {i}" for i in range(self.n_tracks)])


def draw_crowd(
    seed: int, *, n_tracks: int = 30, n_listeners: int = 8, share: float = 0.4, personal: float = 0.0, unrated: int = 3
) -> Crowd:
    """A crowd whose opinions follow features; ``personal`` shifts each listener's class preferences.

    The last ``unrated`` tracks have no rating.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_tracks, 5))
    scores = features @ rng.normal(size=(5, 4))
    taste = personal * rng.normal(size=(n_listeners, 4))
    chosen = rng.random((n_tracks - unrated, n_listeners)) < share
    track, listener = np.nonzero(chosen)
    logits = scores[track] + taste[listener]
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    label = (rng.random(len(track))[:, None] > proba.cumsum(axis=1)[:, :-1]).sum(axis=1)
    truth = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Crowd(track, listener, label, features, n_tracks, n_listeners, truth)
