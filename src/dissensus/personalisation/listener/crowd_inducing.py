"""The crowd prior's posterior for catalogues too large for the exact one: inducing points and sufficient statistics.

The smooth part of the tracks' covariance is replaced by ``n_inducing`` features from a pivoted Cholesky factorisation; what
they leave out stays on each track's own variance, so that no track's prior variance changes. Tracks enter as counts and
sums, listeners through a sparse table, and the system that remains, one unknown a listener, is solved by conjugate
gradients. Leaving ratings out changes the statistics and solves again from the solution with them: exact for this
approximation, to the solver's tolerance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["InducingPosterior", "pivoted_features"]

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


class InducingPosterior:
    """Posterior mean of track effects under the inducing-point approximation.

    Parameters
    ----------
    basis : (n_tracks, n_inducing) ndarray
        Features of the smooth part; its prior covariance is ``basis @ basis.T``.
    own_variance : (n_tracks,) ndarray
        Prior variance of what is each track's own; above zero.
    listener_variance, noise : float
        As in :class:`~dissensus.personalisation.listener.crowd_gp.ExactPosterior`.
    track, listener, target
        The ratings, as there.
    n_listeners : int
        Listeners that have an effect.
    """

    def __init__(
        self,
        basis: Floats,
        own_variance: Floats,
        listener_variance: float,
        noise: float,
        track: Ints,
        listener: Ints,
        target: Floats,
        n_listeners: int,
    ) -> None:
        self.basis = basis
        self.own = own_variance
        self.listener_variance = listener_variance
        self.noise = noise
        self.n_tracks = len(basis)
        self.n_listeners = n_listeners
        table, self.by_track, self.by_listener = self._statistics(track, listener, target)
        self.table = table
        self.count: Floats = np.asarray(table.sum(axis=1)).reshape(-1)
        shrink = 1.0 / (self.noise + self.own * self.count)
        self._smooth: Floats = np.eye(basis.shape[1]) + (basis.T * (self.count * shrink)) @ basis
        self._cross: Floats = np.asarray((table * shrink[:, None]).T @ basis).T
        self._right: Floats = basis.T @ (self.by_track * shrink[:, None])
        self._listeners: Floats = np.zeros((n_listeners, target.shape[1]))
        self.mean, self._listeners = self._solve(*self._moved(track[:0], listener[:0], target[:0], 1))

    def _statistics(self, track: Ints, listener: Ints, target: Floats) -> tuple[Any, Floats, Floats]:
        """Table of ratings (tracks by listeners, sparse), sums by track, sums by listener."""
        from scipy.sparse import csr_array

        shape = (self.n_tracks, self.n_listeners)
        table = csr_array((np.ones(len(track)), (track, listener)), shape=shape)
        by_track = np.zeros((self.n_tracks, target.shape[1]))
        by_listener = np.zeros((self.n_listeners, target.shape[1]))
        np.add.at(by_track, track, target)
        np.add.at(by_listener, listener, target)
        return table, by_track, by_listener

    def _solve(
        self, table: Any, by_track: Floats, by_listener: Floats, smooth: Floats, cross: Floats, right: Floats
    ) -> tuple[Floats, Floats]:
        """Track effects ``(n_tracks, n_targets)`` and listener effects for these statistics."""
        from scipy.linalg import cholesky, solve_triangular

        count = np.asarray(table.sum(axis=1)).reshape(-1)
        shrink = 1.0 / (self.noise + self.own * count)
        own = self.own * shrink / self.noise
        transposed = table.T.tocsr()
        root = cholesky(smooth, lower=True)
        half = solve_triangular(root, cross, lower=True)
        half_right = solve_triangular(root, right, lower=True)
        rated = np.asarray(transposed.sum(axis=1)).reshape(-1)
        diagonal = (1.0 / self.listener_variance + rated / self.noise)[:, None]

        def apply(effect: Floats) -> Floats:
            product: Floats = (
                diagonal * effect - transposed @ (own[:, None] * (table @ effect)) - half.T @ (half @ effect)
            )
            return product

        evidence = by_listener / self.noise - transposed @ (own[:, None] * by_track) - half.T @ half_right
        effect = _conjugate_gradients(apply, evidence, 1.0 / diagonal, self._listeners)
        weight = solve_triangular(root, half_right - half @ effect, lower=True, trans="T")
        smooth_part = self.basis @ weight
        residual = by_track - count[:, None] * smooth_part - table @ effect
        mean: Floats = smooth_part + (self.own * shrink)[:, None] * residual
        return mean, effect

    def _moved(
        self, track: Ints, listener: Ints, target: Floats, sign: int
    ) -> tuple[Any, Floats, Floats, Floats, Floats, Floats]:
        """Statistics with these ratings added or taken out: only rows of their tracks change in the small matrices."""
        extra, by_track, by_listener = self._statistics(track, listener, target)
        table = self.table + sign * extra
        rows = np.unique(track)
        count = self.count[rows]
        moved = count + sign * np.asarray(extra[rows].sum(axis=1)).reshape(-1)
        before = 1.0 / (self.noise + self.own[rows] * count)
        after = 1.0 / (self.noise + self.own[rows] * moved)
        basis = self.basis[rows]
        smooth = self._smooth + (basis.T * (moved * after - count * before)) @ basis
        cross = self._cross + basis.T @ (
            table[rows].toarray() * after[:, None] - self.table[rows].toarray() * before[:, None]
        )
        sums = self.by_track + sign * by_track
        right = self._right + basis.T @ (sums[rows] * after[:, None] - self.by_track[rows] * before[:, None])
        return table, sums, self.by_listener + sign * by_listener, smooth, cross, right

    def mean_without(self, track: Ints, listener: Ints, target: Floats) -> Floats:
        """Track effects had these ratings never been given: exact for the approximation, to 1e-12 of the solver."""
        if len(track) == 0:
            return self.mean.copy()
        return self._solve(*self._moved(track, listener, target, -1))[0]

    def change(self, track: Ints, listener: Ints, target: Floats, *, sign: int = 1) -> None:
        """Add ratings (``sign=1``) or take them out (``sign=-1``)."""
        statistics = self._moved(track, listener, target, sign)
        self.mean, self._listeners = self._solve(*statistics)
        self.table, self.by_track, self.by_listener, self._smooth, self._cross, self._right = statistics
        self.count = np.asarray(self.table.sum(axis=1)).reshape(-1)

    def add_listeners(self, n_new: int) -> None:
        """Make room for listeners nobody has heard from yet."""
        from scipy.sparse import csr_array

        self.n_listeners += n_new
        table = self.table.tocsr()
        self.table = csr_array((table.data, table.indices, table.indptr), shape=(self.n_tracks, self.n_listeners))
        zeros = np.zeros((n_new, self.by_listener.shape[1]))
        self.by_listener = np.vstack([self.by_listener, zeros])
        self._listeners = np.vstack([self._listeners, zeros])
        self._cross = np.hstack([self._cross, np.zeros((len(self._cross), n_new))])


def _conjugate_gradients(
    apply: Any, right: Floats, preconditioner: Floats, start: Floats, max_iter: int = 500
) -> Floats:
    """Solve ``apply(x) = right``, each column by itself, to a residual of 1e-13 of the right-hand side."""
    solution = start.copy()
    residual = right - apply(solution)
    goal = 1e-26 * np.maximum(np.einsum("ij,ij->j", right, right), 1e-300)
    shaped = preconditioner * residual
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
        shaped = preconditioner * residual
        fresh = np.einsum("ij,ij->j", residual, shaped)
        ratio = np.divide(fresh, power, out=np.zeros_like(power), where=power > 0)
        direction = shaped + ratio * direction
        power = fresh
    return solution
