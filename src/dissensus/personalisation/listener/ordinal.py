"""Ratings on scales of levels: the crowd's opinion, a listener's taste, and where a listener puts the bounds between levels.

A cumulative logistic model. The crowd's mean, without the listener, is the position of a track; what is personal is a Gaussian
process on top (offset, spread, features) and a shift of each bound, which people share but for their own use of the scale. How
far what is personal is followed is decided by ratings held out of it, as in the model of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.listener.cumulative import fit_cumulative
from dissensus.personalisation.listener.personal_kernel import Covariance, PersonalWeights
from dissensus.personalisation.listener.personal_model import N_FOLDS, folds
from dissensus.personalisation.listener.residual import sigmoid
from dissensus.personalisation.listener.stack import STACK_PRIOR, stack_proba, stack_weights
from dissensus.personalisation.listener.values import SCALE_USE, ValueModel

__all__ = ["OrdinalModel", "PersonalOrdinal"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FAR = 40.0
_LEAST = 1e-4


@dataclass(frozen=True, eq=False)
class _Scale:
    """One scale before any rating: position of every track and bounds between levels in logits, worth of a unit of taste."""

    position: Floats
    bounds: Floats
    slope: float


class OrdinalModel:
    """The crowd's ratings of every track on some scales, and personal models on top.

    Parameters
    ----------
    pool : Pool
        The catalogue, up to some thousand tracks and listeners.
    listener_id, track_id : (n,) array_like
        Who rated what.
    value : (n, n_scales) array_like of float
        Ratings, each one of ``levels``; a row may be NaN, then it is left out.
    levels : array_like of float, optional
        All levels of the scales, rising. Default: those that occur.
    noise : float
        Standard deviation of a rating around the rater's opinion, in the unit of the levels (see :class:`ValueModel`).
    group : (n_tracks,) array_like, optional
        Group of each track.
    weights : PersonalWeights
        Of what is personal about a track; ``opinion`` is the spread on a scale and what the other scales say about it.
    bound_sd, bound_step : float
        Prior standard deviation of a listener's shift of a bound, and of the difference between neighbouring shifts, in
        logits. Small values: everybody uses the scale alike.

    Examples
    --------
    >>> pool = Pool(np.eye(3), ["x", "y", "z"])
    >>> said = [[5], [4], [4], [1], [2]]
    >>> model = OrdinalModel(pool, list("abcab"), list("xxxyy"), said, levels=[1, 2, 3, 4, 5], noise=1.0)
    >>> eve = model.for_listener("eve")
    >>> eve.proba.shape, bool(eve.mean[0] > eve.mean[1]), bool(eve.with_ratings({2: (5,)}).mean[1] > eve.mean[1])
    ((1, 3, 5), True, True)
    """

    def __init__(
        self,
        pool: Pool,
        listener_id: ArrayLike,
        track_id: ArrayLike,
        value: ArrayLike,
        *,
        levels: ArrayLike | None = None,
        noise: float = 1.5,
        group: ArrayLike | None = None,
        weights: PersonalWeights = SCALE_USE,
        bound_sd: float = 0.5,
        bound_step: float = 0.5,
    ) -> None:
        if not (bound_sd > 0 and bound_step > 0):
            raise ParameterError(f"bound_sd={bound_sd!r}, bound_step={bound_step!r}: must be above zero")
        self.values = ValueModel(pool, listener_id, track_id, value, noise=noise, group=group, weights=weights)
        found = np.unique(self.values.value)
        self.levels: Floats = found if levels is None else np.asarray(levels, dtype=np.float64)
        if self.levels.ndim != 1 or len(self.levels) < 2 or (np.diff(self.levels) <= 0).any():
            raise ParameterError(f"levels must be two or more rising numbers; got {self.levels.tolist()}")
        strange = found[~np.isin(found, self.levels)]
        if len(strange):
            raise ParameterError(f"rating {strange[0]:g} is none of the levels {self.levels.tolist()}")
        self._level: Ints = np.searchsorted(self.levels, self.values.value).astype(np.int64)
        steps = np.diff(np.eye(len(self.levels) - 1), axis=0)
        self.bound_precision: Floats = np.eye(len(self.levels) - 1) / bound_sd**2 + steps.T @ steps / bound_step**2

    def for_listener(
        self, listener_id: Any = None, *, without_tracks: ArrayLike | None = None, n_folds: int = 10
    ) -> PersonalOrdinal:
        """A model without ratings, from everybody else's (and without those of some tracks).

        Parameters
        ----------
        listener_id : optional
            Nothing of this listener's is in it.
        without_tracks : (k,) array_like of int, optional
            Indices of tracks whose ratings, by anybody, are left out as well.
        n_folds : int
            The bounds are fitted to the others' ratings beside the opinion of listeners of other folds.
        """
        gone = [] if listener_id is None else [listener_id]
        crowd, middle = self.values.crowd(gone, without_tracks=without_tracks)
        kernel = self.values.kernel(crowd, middle)
        known, position = self._others(gone, without_tracks, n_folds)
        taste, shifts = kernel.diagonal().mean(), np.linalg.inv(self.bound_precision).diagonal().mean()
        scales = []
        for s in range(crowd.shape[1]):
            bounds, slope = _usual_scale(self._level[known, s], position[known, s], len(self.levels) - 1)
            # what was fitted to everybody at once holds the differences between people, which are modelled apart from here
            sharper = float(np.sqrt(1.0 + np.pi / 8.0 * (slope**2 * taste + shifts)))
            scales.append(_Scale(sharper * slope * (crowd - middle)[:, s], sharper * bounds, sharper * slope))
        return PersonalOrdinal(self.levels, tuple(scales), kernel, self.bound_precision, {})

    def _others(self, gone: list[Any], without_tracks: ArrayLike | None, n_folds: int) -> tuple[Ints, Floats]:
        """Rows of the others' ratings, and the opinion ``(n, n_scales)`` that people of other folds have of each row."""
        values = self.values
        kept = ~np.isin(values.track, np.asarray([] if without_tracks is None else without_tracks, dtype=np.int64))
        kept &= ~np.isin(values.listener, values.numbers(gone))
        people = np.unique(values.listener[kept])
        position = np.zeros(values.value.shape)
        for fold in range(min(n_folds, len(people))):
            members = people[fold :: min(n_folds, len(people))]
            rows = np.flatnonzero(kept & np.isin(values.listener, members))
            without = [*values.listener_ids[members].tolist(), *gone]
            crowd, middle = values.crowd(without, without_tracks=without_tracks)
            position[rows] = (crowd - middle)[values.track[rows]]
        return np.flatnonzero(kept), position


def _usual_scale(level: Ints, position: Floats, n_bounds: int) -> tuple[Floats, float]:
    """Bounds between levels, and what a unit of the crowd's opinion is worth, by maximum likelihood (all but)."""
    share = np.cumsum(np.bincount(level, minlength=n_bounds + 1) + 0.5)[:-1]
    share /= len(level) + 0.5 * (n_bounds + 1)
    usual = np.log(share / (1.0 - share))
    upper, lower, above, below = _bounds(level, usual, position)
    design = [np.column_stack([side, -position]) for side in (upper, lower)]
    weak = np.diag(np.append(np.full(n_bounds, 0.01), 10.0))  # ten answers' worth of trust in a slope of 1
    fit = fit_cumulative(design[0], design[1], (above, below), weak)
    return usual + fit.mode[:-1], max(float(1.0 + fit.mode[-1]), 0.1)


def _bounds(level: Ints, bounds: Floats, position: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """One-hot upper and lower bound of each answer, and their distances from the answer's position."""
    n_bounds = len(bounds)
    rows = np.arange(len(level))
    upper, lower = np.zeros((len(level), n_bounds)), np.zeros((len(level), n_bounds))
    has_upper, has_lower = level < n_bounds, level > 0
    upper[rows[has_upper], level[has_upper]] = 1.0
    lower[rows[has_lower], level[has_lower] - 1] = 1.0
    above = np.where(has_upper, upper @ bounds, _FAR) - position
    below = np.where(has_lower, lower @ bounds, -_FAR) - position
    return upper, lower, above, below


class PersonalOrdinal:
    """One listener's probabilities of every level of every track; a function of the set of their ratings. Immutable.

    Attributes
    ----------
    levels : (n_levels,) ndarray
        Of the scales.
    ratings : dict of int to (n_scales,) tuple
        The ratings told, by track.
    proba : (n_scales, n_tracks, n_levels) ndarray
        Probability of each rating; rows sum to 1.
    bounds : (n_scales, n_levels - 1) ndarray
        Where this listener probably puts the bounds between the levels, in logits around the middle of the scale.
    stack_weight : (n_scales, 3) ndarray
        Weight of the crowd, of half and of all of the personal shift.
    """

    def __init__(
        self,
        levels: Floats,
        scales: tuple[_Scale, ...],
        kernel: Covariance,
        bound_precision: Floats,
        ratings: Mapping[int, ArrayLike],
    ) -> None:
        self.levels = levels
        self._scales, self._kernel, self._precision = scales, kernel, bound_precision
        told = {int(t): np.atleast_1d(np.asarray(v, dtype=np.float64)) for t, v in sorted(ratings.items())}
        if any(v.shape != (len(scales),) or not np.isin(v, levels).all() for v in told.values()):
            raise ParameterError(
                f"a rating holds {len(scales)} of the levels {levels.tolist()}, one a scale; got "
                f"{[v.tolist() for v in told.values()]}"
            )
        self.ratings = {t: tuple(v.tolist()) for t, v in told.items()}
        track = np.fromiter(told, dtype=np.int64, count=len(told))
        n_tracks = len(scales[0].position)
        if len(track) and not (track.min() >= 0 and track.max() < n_tracks):
            raise ParameterError(f"ratings hold track {track.min()}..{track.max()}; allowed are 0..{n_tracks - 1}")
        value = np.array(list(told.values())).reshape(len(track), len(scales))
        level = np.searchsorted(levels, value).astype(np.int64)
        fitted = [self._stacked(scale, track, level[:, s]) for s, scale in enumerate(scales)]
        self.proba: Floats = np.stack([proba for proba, _, _ in fitted])
        self.bounds: Floats = np.stack([bounds for _, bounds, _ in fitted])
        self.stack_weight: Floats = np.stack([weight for _, _, weight in fitted])
        self.proba.setflags(write=False)

    def _stacked(self, scale: _Scale, track: Ints, level: Ints) -> tuple[Floats, Floats, Floats]:
        """Probabilities of one scale, this listener's bounds on it, and the weight of no, half and full personal shift."""
        every = np.arange(len(scale.position))
        none = np.zeros(0, dtype=np.int64)
        start, _ = self._fit(scale, none, none, every)
        if len(track) == 0:
            return start, scale.bounds, np.asarray(STACK_PRIOR)
        full, bounds = self._fit(scale, track, level, every)
        held_out = np.zeros((len(track), len(self.levels)))
        fold = folds(track)
        for part in range(N_FOLDS):
            here = fold == part
            if here.any():
                without = self._fit(scale, track[~here], level[~here], track[here])[0]
                held_out[here] = np.log(without) - np.log(start[track[here]])
        weight = stack_weights(np.log(start[track]), held_out, level)
        proba = stack_proba(np.log(start), np.log(full) - np.log(start), weight)
        return proba / proba.sum(axis=1, keepdims=True), bounds, weight

    def _fit(self, scale: _Scale, track: Ints, level: Ints, rows: Ints) -> tuple[Floats, Floats]:
        """Probabilities ``(len(rows), n_levels)`` of one scale after these answers, and the listener's bounds on it."""
        from scipy.linalg import solve_triangular

        n = len(track)
        worth = scale.slope**2
        root = np.linalg.cholesky(worth * self._kernel.between(track, track) + 1e-8 * np.eye(n))
        upper, lower, above, below = _bounds(level, scale.bounds, scale.position[track])
        precision = np.eye(n + len(scale.bounds))
        precision[n:, n:] = self._precision
        design = [np.column_stack([-root, side]) for side in (upper, lower)]
        fit = fit_cumulative(design[0], design[1], (above, below), precision)
        taste = worth * self._kernel.between(rows, track)
        if n:
            taste = solve_triangular(root, taste.T, lower=True).T
        own = np.maximum(worth * self._kernel.diagonal()[rows] - np.einsum("ti,ti->t", taste, taste), 0.0)
        bounds = scale.bounds + fit.mode[n:]
        mean = bounds[None, :] - (scale.position[rows] + taste @ fit.mode[:n])[:, None]
        own += np.einsum("ti,ij,tj->t", taste, fit.covariance[:n, :n], taste, optimize=True)
        variance = own[:, None] + fit.covariance[n:, n:].diagonal()[None, :] - 2.0 * taste @ fit.covariance[:n, n:]
        at_most = sigmoid(mean / np.sqrt(1.0 + np.pi / 8.0 * np.maximum(variance, 0.0)))
        at_most = np.maximum.accumulate(at_most, axis=1)
        proba = np.diff(at_most, axis=1, prepend=0.0, append=1.0) + _LEAST
        proba /= proba.sum(axis=1, keepdims=True)
        return proba, np.asarray(bounds)

    @property
    def mean(self) -> Floats:
        """``(n_tracks, n_scales)`` expected rating."""
        return np.asarray((self.proba @ self.levels).T)

    def above(self, middle: float) -> Floats:
        """``(n_tracks, n_scales)`` probability of a rating above ``middle``, half of that of ``middle`` itself added."""
        share = (self.levels > middle) + 0.5 * (self.levels == middle)
        return np.asarray((self.proba @ share).T)

    def with_ratings(self, ratings: Mapping[int, ArrayLike]) -> PersonalOrdinal:
        """The model with these ratings as well; a track rated before gets the new rating."""
        return PersonalOrdinal(self.levels, self._scales, self._kernel, self._precision, {**self.ratings, **ratings})

    def without(self, track: int) -> PersonalOrdinal:
        """The model had this track never been rated."""
        kept = {t: v for t, v in self.ratings.items() if t != track}
        return PersonalOrdinal(self.levels, self._scales, self._kernel, self._precision, kept)
