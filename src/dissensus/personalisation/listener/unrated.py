"""Tracks that nobody rated: trees on features beside the Gaussian process, never having seen the listener.

Trees cannot take a listener out in closed form. The listeners are therefore cut into folds, one forest a fold is grown at night
without that fold's ratings, and a listener is served by the forest of their own fold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._spread import column_deviation
from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.personalisation.listener.crowd_prior import CrowdBelief, CrowdPrior, floored

__all__ = ["UnratedTrees"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class UnratedTrees:
    """Class distribution of tracks from their features, by extremely randomised trees.

    Parameters
    ----------
    crowd : CrowdPrior
        Fitted; its ratings and features are what the trees learn from.
    group : (n_tracks,) ndarray of int64, optional
        Groups of tracks: features standardised within them are looked at as well.
    n_trees : int
        Trees of a forest.
    n_folds : int
        Folds of the listeners.
    """

    def __init__(self, crowd: CrowdPrior, *, group: Ints | None = None, n_trees: int = 100, n_folds: int = 10) -> None:
        self.crowd = crowd
        self.n_trees = check_count(n_trees, "n_trees")
        self.n_folds = check_count(n_folds, "n_folds", minimum=2)
        if crowd.features.shape[1] == 0:
            raise ParameterError("trees need features; the crowd prior was fitted without")
        self.features = crowd.features if group is None else np.column_stack([crowd.features, _within(crowd, group)])
        self._grown: dict[int, Floats] = {}

    def fold(self, listener: int | None) -> int:
        """Fold of a listener; −1 for somebody who rated nothing, whom every rating may serve."""
        return -1 if listener is None or listener >= self.crowd.n_listeners else listener % self.n_folds

    def grow(self) -> UnratedTrees:
        """Grow every fold's forest now, as at night, instead of when its first listener comes."""
        for fold in range(-1, min(self.n_folds, self.crowd.n_listeners)):
            self._of_fold(fold)
        return self

    def proba(self, listener: int | None = None, *, without_tracks: ArrayLike | None = None) -> Floats:
        """``(n_tracks, n_classes)`` without the listener's ratings, and without those of some tracks (grown anew for these)."""
        fold = self.fold(listener)
        return self._of_fold(fold) if without_tracks is None else self._fit(fold, np.asarray(without_tracks))

    def forget(self) -> None:
        """Drop the forests, which may have seen ratings that are gone; they grow again when somebody comes."""
        self._grown = {}

    def joined(
        self,
        belief: CrowdBelief,
        listener: int | None = None,
        *,
        without_tracks: ArrayLike | None = None,
        tracks: Ints | None = None,
    ) -> CrowdBelief:
        """The belief (of all tracks, or of ``tracks``) with the geometric mean of both where nobody rated."""
        rows = np.flatnonzero(belief.n_raters == 0)
        if len(rows) == 0:
            return belief
        trees = self.proba(listener, without_tracks=without_tracks)[rows if tracks is None else tracks[rows]]
        both = np.sqrt(belief.proba[rows] * trees)
        proba = belief.proba.copy()
        proba[rows] = both / both.sum(axis=1, keepdims=True)
        return replace(belief, proba=proba)

    def _of_fold(self, fold: int) -> Floats:
        grown = self._grown  # a forest that was being grown while ratings went is not kept
        if fold not in grown:
            grown[fold] = self._fit(fold)
        return grown[fold]

    def _fit(self, fold: int, without_tracks: NDArray[Any] | None = None) -> Floats:
        from sklearn.ensemble import ExtraTreesClassifier

        crowd = self.crowd
        track, listener, label = crowd.version.ratings.everything()[:3]
        keep = np.ones(len(track), dtype=bool) if fold < 0 else listener % self.n_folds != fold
        if without_tracks is not None:
            keep &= ~np.isin(track, without_tracks)
        out = np.full((crowd.n_tracks, crowd.n_classes), 1.0 / crowd.n_classes)
        if keep.any():
            forest = ExtraTreesClassifier(self.n_trees, min_samples_leaf=15, max_features=0.5, random_state=0)
            forest.fit(self.features[track[keep]], label[keep])
            out[:] = 0.0
            out[:, forest.classes_] = forest.predict_proba(self.features)
        return floored(out, crowd.settings.floor)


def _within(crowd: CrowdPrior, group: Ints) -> Floats:
    """Features standardised within each group of tracks; a feature that does not vary there is 0."""
    out = np.zeros_like(crowd.features)
    for value in np.unique(group):
        rows = np.flatnonzero(group == value)
        inside = crowd.features[rows]
        out[rows] = (inside - inside.mean(axis=0)) / column_deviation(inside, constant=np.inf)
    return out
