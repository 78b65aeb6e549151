"""Continuous ratings of arousal and valence, or of anything else: the crowd's mean and one listener's use of the scale.

The same two steps as for classes: a Gaussian process over tracks and listeners gives the crowd's mean without the listener in
closed form; a second one on what is left learns the listener's offset, spread and taste from their ratings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import IdIndex, id_array
from dissensus._validate import as_given
from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.listener.crowd_gp import ExactPosterior
from dissensus.personalisation.listener.crowd_prior import rbf_kernel
from dissensus.personalisation.listener.personal_kernel import PersonalKernel, PersonalWeights
from dissensus.personalisation.listener.track_info import standardised, track_means

__all__ = ["CROWD_VARIANCE", "SCALE_USE", "PersonalValues", "ValueModel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Variances of the crowd's model in units of the noise of one rating: by features, a track's own, a listener's offset.
CROWD_VARIANCE = (0.4, 0.8, 0.2)
#: Variances of what is personal, in the same unit: ``bias`` is the offset, ``opinion`` the spread around the middle.
SCALE_USE = PersonalWeights(bias=0.2, opinion=0.05, features=0.05, descriptors=0.0, group=0.05, corating=0.0)


class ValueModel:
    """The crowd's mean rating of every track, and personal models on top.

    Parameters
    ----------
    pool : Pool
        The catalogue, up to some thousand tracks and listeners: the posterior is exact.
    listener_id, track_id : (n,) array_like
        Who rated what.
    value : (n, n_scales) array_like of float
        Ratings; a row may be NaN, then it is left out.
    noise : float
        Standard deviation of one rating around the rater's true opinion, in the unit of the ratings (about 1.5 on scales
        from 1 to 9).
    group : (n_tracks,) array_like, optional
        Group of each track.
    weights : PersonalWeights
        Of the personal model.

    Examples
    --------
    >>> pool = Pool(np.eye(3), ["x", "y", "z"])
    >>> model = ValueModel(pool, ["ann", "bob"], ["x", "x"], [[7.0, 3.0], [8.0, 2.0]], noise=1.5)
    >>> eve = model.for_listener("eve")
    >>> eve.mean.shape, bool((eve.with_ratings({1: (1.0, 1.0)}).mean[2] < eve.mean[2]).all())
    ((3, 2), True)
    """

    def __init__(
        self,
        pool: Pool,
        listener_id: ArrayLike,
        track_id: ArrayLike,
        value: ArrayLike,
        *,
        noise: float = 1.5,
        group: ArrayLike | None = None,
        weights: PersonalWeights = SCALE_USE,
    ) -> None:
        if not noise > 0:
            raise ParameterError(f"noise={noise!r}: must be above zero")
        values = np.asarray(value, dtype=np.float64)
        who, what = id_array(listener_id, what="listener_id"), id_array(track_id, what="track_id")
        if values.ndim != 2 or who.shape != (len(values),) or what.shape != (len(values),):
            raise ParameterError(
                f"one row a rating: listener_id {who.shape}, track_id {what.shape}, value {values.shape} (n, n_scales)"
            )
        keep = np.isfinite(values).all(axis=1)
        self.pool, self.noise, self.weights = pool, noise, weights
        self.value = values[keep]
        self.listener_ids, listener = np.unique(who[keep], return_inverse=True)
        self._number_of = IdIndex(self.listener_ids)
        self.listener: Ints = listener.reshape(-1).astype(np.int64)
        self.track = pool.index_of(what[keep].tolist())
        self.features = standardised(track_means(pool))
        self.group = None if group is None else np.unique(np.asarray(group), return_inverse=True)[1].reshape(-1)
        smooth, own, habit = CROWD_VARIANCE
        covariance = smooth * rbf_kernel(self.features, self.features, 0.7) + own * np.eye(pool.n_tracks)
        n_listeners = max(len(self.listener_ids), 1)
        self._target = np.column_stack([self.value / noise, np.ones(len(self.value))])
        self._posterior = ExactPosterior(covariance, habit, 1.0, self.track, self.listener, self._target, n_listeners)

    def crowd(self, without: ArrayLike = (), *, without_tracks: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """What everybody but these listeners hears (without the ratings of some tracks): exactly as if fitted on the rest.

        Parameters
        ----------
        without : array_like
            Ids of listeners, compared by value: ``3`` and ``"3"`` are the same.
        without_tracks : (k,) array_like of int, optional
            Indices of tracks.

        Returns
        -------
        (n_tracks, n_scales), (n_scales,) ndarray
            Expected ratings and their mean over the ratings that are left, both in units of ``noise``.

        Raises
        ------
        ParameterError
            No id, or one that nobody has but that looks like somebody's, whose ratings would stay in unnoticed.
        """
        gone = np.isin(self.listener, self.numbers(without))
        if without_tracks is not None:
            gone |= np.isin(self.track, np.asarray(without_tracks))
        effect = self._posterior.mean_without(self.track[gone], self.listener[gone], self._target[gone])
        rest = self.value[~gone] / self.noise
        middle = rest.mean(axis=0) if len(rest) else np.zeros(self.value.shape[1])
        return middle + effect[:, :-1] - effect[:, -1:] * middle, middle

    def numbers(self, listener_ids: ArrayLike) -> Ints:
        """Numbers of listeners in :attr:`listener_ids`; ids of nobody are left out. Errors as of :meth:`crowd`."""
        found = [self._number_of.get(who) for who in as_given(listener_ids, "without").tolist()]
        return np.array([number for number in found if number is not None], dtype=np.int64)

    def for_listener(self, listener_id: Any = None, *, without_tracks: ArrayLike | None = None) -> PersonalValues:
        """A model without ratings, from everybody else's (and without those of some tracks)."""
        crowd, middle = self.crowd([] if listener_id is None else [listener_id], without_tracks=without_tracks)
        return PersonalValues(crowd, self.kernel(crowd, middle), self.noise, {})

    def kernel(self, crowd: Floats, middle: Floats) -> PersonalKernel:
        """Which tracks a rating speaks for, given the crowd's opinion."""
        return PersonalKernel(
            np.zeros((self.pool.n_tracks, 1)),
            self.weights,
            features=self.features,
            group=self.group,
            opinion=crowd - middle,
        )


class PersonalValues:
    """One listener's expected ratings; a function of the set of their ratings alone. Immutable.

    Attributes
    ----------
    mean, sd : (n_tracks, n_scales), (n_tracks,) ndarray
        Expected rating of every track, and the standard deviation of what is personal about it (not of a single rating).
    ratings : dict of int to (n_scales,) tuple
        The ratings told, by track.
    """

    def __init__(
        self, crowd: Floats, kernel: PersonalKernel, noise: float, ratings: Mapping[int, tuple[float, ...]]
    ) -> None:
        self._crowd, self._kernel, self._noise = crowd, kernel, noise
        self.ratings = {int(t): tuple(map(float, v)) for t, v in sorted(ratings.items())}
        track = np.fromiter(self.ratings, dtype=np.int64, count=len(self.ratings))
        n_scales = crowd.shape[1]
        if any(len(v) != n_scales or not np.isfinite(v).all() for v in self.ratings.values()):
            raise ParameterError(f"a rating holds {n_scales} finite numbers, one a scale")
        variance = kernel.diagonal()
        shifted = crowd
        if len(track):
            if track.min() < 0 or track.max() >= len(crowd):
                raise ParameterError(
                    f"ratings hold track {track.min()}..{track.max()}; allowed are 0..{len(crowd) - 1}"
                )
            residual = np.array(list(self.ratings.values())) / noise - crowd[track]
            inverse = np.linalg.inv(kernel.between(track, track) + np.eye(len(track)))
            cross = kernel.between(np.arange(len(crowd)), track)
            shifted = crowd + cross @ (inverse @ residual)
            variance = variance - np.einsum("ti,ij,tj->t", cross, inverse, cross, optimize=True)
        self.mean: Floats = noise * shifted
        self.sd: Floats = noise * np.sqrt(np.maximum(variance, 0.0))

    def with_ratings(self, ratings: Mapping[int, tuple[float, ...]]) -> PersonalValues:
        """The model with these ratings as well; a track rated before gets the new rating."""
        return PersonalValues(self._crowd, self._kernel, self._noise, {**self.ratings, **ratings})

    def without(self, track: int) -> PersonalValues:
        """The model had this track never been rated."""
        return PersonalValues(
            self._crowd, self._kernel, self._noise, {t: v for t, v in self.ratings.items() if t != track}
        )
