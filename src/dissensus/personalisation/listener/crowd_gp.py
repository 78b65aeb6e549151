"""The exact posterior behind the crowd prior: one Gaussian per class over tracks and listeners.

A rating of track ``t`` by listener ``l`` is ``effect[t] + effect[l] + noise``. The effects' joint posterior has one
covariance for all classes, so that ratings are removed or added exactly by a solve as small as what they touch.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactPosterior"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class ExactPosterior:
    """Gaussian posterior of track and listener effects, with exact removal and addition of ratings. Immutable.

    Parameters
    ----------
    track_covariance : (n_tracks, n_tracks) ndarray
        Prior covariance of the track effects; positive definite.
    listener_variance : float
        Prior variance of each listener's effect; above zero.
    noise : float
        Variance of one rating around the sum of both effects.
    track, listener : (n_ratings,) ndarray of int64
        Who rated what.
    target : (n_ratings, n_targets) ndarray
        Regression targets; each column is a separate problem with the same covariance.
    n_listeners : int
        Listeners that have an effect.

    Attributes
    ----------
    covariance : (n_tracks + n_listeners, n_tracks + n_listeners) ndarray
        Posterior covariance, tracks first.
    mean : (n_tracks + n_listeners, n_targets) ndarray
        Posterior mean.
    """

    def __init__(
        self,
        track_covariance: Floats,
        listener_variance: float,
        noise: float,
        track: Ints,
        listener: Ints,
        target: Floats,
        n_listeners: int,
    ) -> None:
        from scipy.linalg import cho_factor, cho_solve

        n_tracks = len(track_covariance)
        size = n_tracks + n_listeners
        self.n_tracks = n_tracks
        self.listener_variance = listener_variance
        self.noise = noise
        precision = np.zeros((size, size))
        factor = cho_factor(track_covariance, lower=True)
        precision[:n_tracks, :n_tracks] = cho_solve(factor, np.eye(n_tracks))
        both = np.bincount(track * n_listeners + listener, minlength=n_tracks * n_listeners)
        counts = both.reshape(n_tracks, n_listeners) / noise
        precision[:n_tracks, n_tracks:] = counts
        precision[n_tracks:, :n_tracks] = counts.T
        diagonal = np.concatenate([counts.sum(1), counts.sum(0) + 1.0 / listener_variance])
        precision[np.diag_indices(size)] += diagonal
        self.covariance: Floats = cho_solve(cho_factor(precision, lower=True, overwrite_a=True), np.eye(size))
        self.covariance += self.covariance.T
        self.covariance *= 0.5
        evidence = np.zeros((size, target.shape[1]))
        np.add.at(evidence, track, target / noise)
        np.add.at(evidence, n_tracks + listener, target / noise)
        self.mean: Floats = self.covariance @ evidence

    def _touched(self, track: Ints, listener: Ints, target: Floats) -> tuple[Ints, Floats, Floats]:
        """The effects that these ratings touch, and the ratings' precision and evidence on them."""
        rows, first = np.unique(track, return_inverse=True)
        columns, second = np.unique(listener, return_inverse=True)
        touched = np.concatenate([rows, self.n_tracks + columns])
        size = len(touched)
        second = second + len(rows)
        pairs = [(first, first), (second, second), (first, second), (second, first)]
        flat = np.concatenate([a * size + b for a, b in pairs])
        precision = np.bincount(flat, minlength=size * size).reshape(size, size) / self.noise
        evidence = np.zeros((size, target.shape[1]))
        np.add.at(evidence, first, target / self.noise)
        np.add.at(evidence, second, target / self.noise)
        return touched, precision, evidence

    def mean_without(self, track: Ints, listener: Ints, target: Floats) -> Floats:
        """Posterior mean of the track effects had these ratings never been given.

        Returns
        -------
        (n_tracks, n_targets) ndarray
            What refitting on the other ratings gives, to rounding.
        """
        if len(track) == 0:
            return self.mean[: self.n_tracks].copy()
        touched, precision, evidence = self._touched(track, listener, target)
        within = self.covariance[np.ix_(touched, touched)]
        step = np.linalg.solve(np.eye(len(touched)) - precision @ within, precision @ self.mean[touched] - evidence)
        kept: Floats = self.mean[: self.n_tracks] + self.covariance[: self.n_tracks, touched] @ step
        return kept

    def changed(self, track: Ints, listener: Ints, target: Floats, *, sign: int = 1) -> ExactPosterior:
        """The posterior with these ratings as well (``sign=1``) or without them (``sign=-1``); this one stays as it is."""
        if len(track) == 0:
            return self
        touched, precision, evidence = self._touched(track, listener, target)
        columns = self.covariance[:, touched]
        inner = np.eye(len(touched)) + sign * precision @ columns[touched]
        solved: Any = np.linalg.solve(
            inner, np.hstack([precision @ self.mean[touched] - evidence, precision @ columns.T])
        )
        n_targets = evidence.shape[1]
        other = copy(self)
        other.mean = self.mean - sign * columns @ solved[:, :n_targets]
        covariance = self.covariance - sign * columns @ solved[:, n_targets:]
        other.covariance = 0.5 * (covariance + covariance.T)  # what is not symmetric would grow with every change
        return other

    def with_listeners(self, n_new: int) -> ExactPosterior:
        """The posterior with listeners who rated nothing yet."""
        if n_new <= 0:
            return self
        old = len(self.covariance)
        grown = np.zeros((old + n_new, old + n_new))
        grown[:old, :old] = self.covariance
        grown[np.arange(old, old + n_new), np.arange(old, old + n_new)] = self.listener_variance
        other = copy(self)
        other.covariance = grown
        other.mean = np.vstack([self.mean, np.zeros((n_new, self.mean.shape[1]))])
        return other
