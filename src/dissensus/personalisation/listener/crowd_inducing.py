"""The crowd prior's posterior for catalogues too large for the exact one: inducing points and sufficient statistics.

The smooth part of the tracks' covariance is replaced by ``n_inducing`` features from a pivoted Cholesky factorisation; what
they leave out stays on each track's own variance, so that no track's prior variance changes. Tracks enter as counts and
sums, listeners through the table of ratings, and the system that remains, one unknown per listener, is solved by conjugate
gradients. Ratings that come or go change the statistics of their tracks alone; the system is solved when somebody looks,
from the last solution: exact for this approximation, to the solver's tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dissensus._backend import resolve
from dissensus.personalisation.listener.ratings import RatingRows, Ratings

__all__ = ["Effects", "InducingPosterior", "pivoted_features"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pivoted_features(features: Floats, scale: float, length: float, n_inducing: int) -> tuple[Floats, Floats]:
    """Features whose inner products approximate ``scale * exp(-d2 / (2 length^2))``, and the variance they leave out.

    Pivoted Cholesky: the next inducing point is the track explained worst so far, the first one on ties.

    Returns
    -------
    (n_tracks, n_used) ndarray, (n_tracks,) ndarray
        ``n_used <= n_inducing``: it ends early where nothing is left to explain.
    """
    n_tracks = len(features)
    n_inducing = min(n_inducing, n_tracks)
    left = np.full(n_tracks, scale)
    out = np.zeros((n_inducing, n_tracks))
    squares = np.einsum("ij,ij->i", features, features)
    used = 0
    for used in range(n_inducing):
        pivot = int(np.argmax(left))
        if left[pivot] <= 1e-12 * scale:
            return np.ascontiguousarray(out[:used].T), np.maximum(left, 0.0)
        distance = squares + squares[pivot] - 2.0 * (features @ features[pivot])
        column = scale * np.exp(np.maximum(distance, 0.0) / (-2.0 * length**2))
        column[pivot] = scale
        column -= out[:used, pivot] @ out[:used]
        column /= np.sqrt(left[pivot])
        out[used] = column
        left -= column**2
        left[pivot] = 0.0
    return np.ascontiguousarray(out[: used + 1].T), np.maximum(left, 0.0)


@dataclass(frozen=True, eq=False)
class Effects:
    """Solved track effects, computed for the tracks that are asked for.

    Parameters
    ----------
    basis, own_variance, noise
        Of the posterior.
    ratings : Ratings
        The version they were solved for.
    weight : (n_inducing, n_classes) ndarray
        Of the basis.
    listener : (n_listeners, n_classes) ndarray
        Effect of each listener.
    """

    basis: Floats
    own_variance: Floats
    noise: float
    ratings: Ratings
    weight: Floats
    listener: Floats

    @property
    def nbytes(self) -> int:
        """Bytes held by this solution alone."""
        return int(self.weight.nbytes + self.listener.nbytes)

    def of(self, tracks: Ints | None = None) -> Floats:
        """``(n, n_classes + 1)`` effects of these tracks (default: all) on each class and on the column of ones."""
        rows = np.arange(len(self.basis)) if tracks is None else tracks
        some = self.ratings.of_tracks(rows)
        count = np.diff(some.start).astype(np.float64)
        own = self.own_variance[rows]
        smooth = (self.basis if tracks is None else self.basis[rows]) @ self.weight
        residual = _class_sums(some, self.weight.shape[1]) - count[:, None] * smooth - _gather(some, self.listener)
        mean = smooth + (own / (self.noise + own * count))[:, None] * residual
        return np.column_stack([mean, mean.sum(axis=1)])


class InducingPosterior:
    """Posterior of track effects under the inducing-point approximation. Immutable.

    Parameters
    ----------
    basis : (n_tracks, n_inducing) ndarray
        Features of the smooth part; its prior covariance is ``basis @ basis.T``.
    own_variance : (n_tracks,) ndarray
        Prior variance of what is each track's own; above zero.
    listener_variance, noise : float
        As in :class:`~dissensus.personalisation.listener.crowd_gp.ExactPosterior`.
    ratings : Ratings
        Who rated what; the targets are the classes, one-hot.
    n_classes : int
        Classes.

    Notes
    -----
    Kept of a version are sums of the size of the basis and of the listeners; what has the size of the ratings is the table
    that versions share, with the tracks on which the version differs from it (``_moved``).
    """

    def __init__(
        self,
        basis: Floats,
        own_variance: Floats,
        listener_variance: float,
        noise: float,
        ratings: Ratings,
        n_classes: int,
    ) -> None:
        from scipy.sparse import csr_array

        self.basis = basis
        self.own = own_variance
        self.listener_variance = listener_variance
        self.noise = noise
        self.n_classes = n_classes
        self.ratings = ratings
        every = ratings.table.by_track
        count = np.diff(every.start).astype(np.float64)
        shrink = self._shrink(np.arange(len(basis)), count)
        self._table_shrink = shrink
        self._coupling: Floats = self.own * shrink / noise
        self._moved = np.empty(0, dtype=np.int64)
        sums = _class_sums(every, n_classes)
        self._smooth: Floats = np.eye(basis.shape[1]) + (basis.T * (count * shrink)) @ basis
        self._right: Floats = basis.T @ (sums * shrink[:, None])
        parts = (np.repeat(shrink, np.diff(every.start)), every.other.astype(np.int64), every.start)
        shares = csr_array(parts, shape=(len(basis), ratings.n_listeners))
        self._cross: Floats = np.ascontiguousarray(shares.T @ basis)
        flat = ratings.table.listener * np.int64(n_classes) + ratings.table.label
        self._by_listener: Floats = np.bincount(flat, minlength=ratings.n_listeners * n_classes).astype(np.float64)
        self._by_listener = self._by_listener.reshape(ratings.n_listeners, n_classes)
        self._evidence = self._by_listener / noise
        _scatter(every, -self._coupling[:, None] * sums, self._evidence)
        self._start: Floats = np.zeros_like(self._by_listener)
        self._common, self._common_weight = self._coarse()

    def _shrink(self, tracks: Ints, count: Floats) -> Floats:
        shrink: Floats = 1.0 / (self.noise + self.own[tracks] * count)
        return shrink

    def _coarse(self) -> tuple[Floats, float]:
        """A direction in which all listeners move together, and its weight in the preconditioner.

        Everybody shares tracks with everybody, a little; this is the one direction that a diagonal preconditioner misses.
        Found by power iteration for the first version and kept: any value is a valid preconditioner, a good one saves steps.
        """
        apply, diagonal, _ = self._system()
        direction = np.ones((len(self._by_listener), 1))
        for _ in range(2):
            direction = direction - apply(direction) / diagonal
            direction /= max(float(np.abs(direction).max(initial=0.0)), 1e-300)
        energy = float((direction * apply(direction)).sum())
        plain = float((direction * diagonal * direction).sum())
        if not 0.0 < energy < plain:
            return direction, 0.0
        return direction, (1.0 - energy / plain) / energy

    def changed(self, ratings: Ratings, tracks: Ints) -> InducingPosterior:
        """The posterior of another version of the ratings that differs on these tracks (each named once) alone."""
        other = copy(self)
        other.__dict__.pop("effects", None)
        other.ratings = ratings
        before, after = self.ratings.of_tracks(tracks), ratings.of_tracks(tracks)
        n_new = ratings.n_listeners - len(self._by_listener)
        basis, own = self.basis[tracks], self.own[tracks]
        other._by_listener, other._evidence = (
            np.vstack([table, np.zeros((n_new, self.n_classes))]) for table in (self._by_listener, self._evidence)
        )
        other._smooth, other._right = self._smooth, self._right
        weighted, weighted_sums = [], []
        for rows, sign in ((before, -1.0), (after, 1.0)):
            count, sums = np.diff(rows.start).astype(np.float64), _class_sums(rows, self.n_classes)
            shrink = self._shrink(tracks, count)
            weighted.append(count * shrink)
            weighted_sums.append(sums * shrink[:, None])
            np.add.at(other._by_listener, (rows.other, rows.label), sign)
            np.add.at(other._evidence, (rows.other, rows.label), sign / self.noise)
            _scatter(rows, (-sign * own * shrink / self.noise)[:, None] * sums, other._evidence)
        other._smooth = self._smooth + (basis.T * (weighted[1] - weighted[0])) @ basis
        other._right = self._right + basis.T @ (weighted_sums[1] - weighted_sums[0])
        other._moved = np.union1d(self._moved, tracks)
        last = self.__dict__.get("effects")
        start = self._start if last is None else last.listener
        other._start = np.vstack([start, np.zeros((len(other._by_listener) - len(start), self.n_classes))])
        other._common = np.vstack([self._common, np.zeros((n_new, 1))])
        if ratings.table is not self.ratings.table:
            other._rest_on(ratings, self.ratings)
        return other

    def _rest_on(self, ratings: Ratings, before: Ratings) -> None:
        """Let the sums that have the size of the table follow a new table."""
        from scipy.sparse import csr_array

        moved = self._moved
        cross = np.zeros((len(self._by_listener), self.basis.shape[1]))
        cross[: len(self._cross)] = self._cross
        for version, shrink, sign in ((_table_of(before), self._table_shrink[moved], -1.0), (ratings, None, 1.0)):
            rows = version.of_tracks(moved)
            count = np.diff(rows.start)
            share = self._shrink(moved, count.astype(np.float64)) if shrink is None else shrink
            parts = (sign * np.repeat(share, count), rows.other.astype(np.int64), rows.start)
            cross += csr_array(parts, shape=(len(moved), len(cross))).T @ self.basis[moved]
        self._cross = cross
        self._table_shrink = self._table_shrink.copy()
        self._table_shrink[moved] = self._shrink(moved, ratings.n_raters[moved].astype(np.float64))
        self._coupling = self.own * self._table_shrink / self.noise
        self._moved = np.empty(0, dtype=np.int64)

    def _system(self) -> tuple[Callable[[Floats], Floats], Floats, _Basis]:
        """The system of the listeners' effects, its diagonal, and the way onto the basis and back."""
        from scipy.linalg import cho_factor, cho_solve

        couple = resolve("couple_raters")
        table, onto = self.ratings.table.by_track, _Basis(self)
        coupling = self._coupling.copy()
        coupling[self._moved] = 0.0
        moved_coupling = self.own[self._moved] * onto.shrink[:, 0] / self.noise
        factor = cho_factor(self._smooth, lower=True)
        diagonal = (1.0 / self.listener_variance + self._by_listener.sum(axis=1) / self.noise)[:, None]

        def apply(effect: Floats) -> Floats:
            product: Floats = diagonal * effect
            scratch = np.empty(effect.shape[1])
            couple(table.start, table.other, coupling, effect, scratch, product)
            couple(onto.now.start, onto.who, moved_coupling, effect, scratch, product)
            onto.take(cho_solve(factor, onto.project(effect)), product)
            return product

        onto.solve = lambda image: np.asarray(cho_solve(factor, image))
        return apply, diagonal, onto

    def solve(self) -> Effects:
        """Solve now what is otherwise solved when first asked for."""
        return self.effects

    @cached_property
    def effects(self) -> Effects:
        """The solution; computed when first asked for, from the last one that was."""
        apply, diagonal, onto = self._system()
        common, weight = self._common, self._common_weight

        def precondition(residual: Floats) -> Floats:
            return np.asarray(residual / diagonal + common * (weight * (common.T @ residual)))

        right = self._evidence.copy()
        onto.take(onto.solve(self._right), right)
        listener = _conjugate_gradients(apply, right, precondition, self._start)
        basis_weight = onto.solve(self._right - onto.project(listener))
        return Effects(self.basis, self.own, self.noise, self.ratings, basis_weight, listener)


class _Basis:
    """The way from listeners' effects onto the basis and back, for one version: the table's, but for the tracks that moved."""

    solve: Callable[[Floats], Floats]

    def __init__(self, posterior: InducingPosterior) -> None:
        moved = posterior._moved
        self.now, self.then = posterior.ratings.of_tracks(moved), _table_of(posterior.ratings).of_tracks(moved)
        self.who = self.now.other.astype(np.uint32)
        self.shrink = posterior._shrink(moved, np.diff(self.now.start).astype(np.float64))[:, None]
        self._then_shrink = posterior._table_shrink[moved][:, None]
        self._moved = posterior.basis[moved]
        self._cross = posterior._cross

    def project(self, effect: Floats) -> Floats:
        """``(n_inducing, k)`` image of listeners' effects."""
        image: Floats = self._cross.T @ effect[: len(self._cross)]
        if len(self._moved):
            image += self._moved.T @ (
                self.shrink * _gather(self.now, effect) - self._then_shrink * _gather(self.then, effect)
            )
        return image

    def take(self, weight: Floats, out: Floats) -> None:
        """Subtract from listeners' effects what ``weight`` of the basis gives them."""
        out[: len(self._cross)] -= self._cross @ weight
        if len(self._moved):
            image = self._moved @ weight
            _scatter(self.now, -self.shrink * image, out)
            _scatter(self.then, self._then_shrink * image, out)


def _table_of(ratings: Ratings) -> Ratings:
    """The version that is the table alone."""
    return Ratings(ratings.table, np.empty(0, np.int64), np.empty((5, 0), np.int64), ratings.table.n_listeners)


def _class_sums(rows: RatingRows, n_classes: int) -> Floats:
    """``(n_tracks, n_classes)`` ratings of each class."""
    flat = rows.owner() * n_classes + rows.label
    size = (len(rows.start) - 1) * n_classes
    return np.bincount(flat, minlength=size).astype(np.float64).reshape(-1, n_classes)


def _gather(rows: RatingRows, effect: Floats) -> Floats:
    out = np.empty((len(rows.start) - 1, effect.shape[1]))
    resolve("gather_sums")(rows.start, rows.other.astype(np.uint32, copy=False), effect, out)
    return out


def _scatter(rows: RatingRows, value: Floats, out: Floats) -> None:
    value = np.ascontiguousarray(value)
    resolve("scatter_sums")(rows.start, rows.other.astype(np.uint32, copy=False), value, out)


def _conjugate_gradients(
    apply: Callable[[Floats], Floats],
    right: Floats,
    precondition: Callable[[Floats], Floats],
    start: Floats,
    max_iter: int = 500,
) -> Floats:
    """Solve ``apply(x) = right``, each column by itself, to a residual of 1e-12 of the right-hand side."""
    solution = start.copy()
    residual = right - apply(solution)
    goal = 1e-24 * np.maximum(np.einsum("ij,ij->j", right, right), 1e-300)
    shaped = precondition(residual)
    direction = shaped.copy()
    power = np.einsum("ij,ij->j", residual, shaped)
    for _ in range(max_iter):
        if (np.einsum("ij,ij->j", residual, residual) <= goal).all():
            break
        image = apply(direction)
        slope = np.einsum("ij,ij->j", direction, image)
        step = np.divide(power, slope, out=np.zeros_like(power), where=slope > 0)
        solution += step * direction
        residual -= step * image
        shaped = precondition(residual)
        fresh = np.einsum("ij,ij->j", residual, shaped)
        ratio = np.divide(fresh, power, out=np.zeros_like(power), where=power > 0)
        direction = shaped + ratio * direction
        power = fresh
    return solution
