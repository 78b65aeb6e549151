"""How reliable each annotator is, by Dawid and Skene's model, and a human consensus in which the reliable count more.

On the real listeners of TROMPA-MER weighting does not help to foresee one of them: the negative log-likelihood of the 35
listeners' answers is 1.025 nats with weights and 1.027 with plain shares, a difference of −.003 [−.009, +.005]; other
weightings, by agreement with the majority, made it worse. Who disagrees with the majority about the emotion of a piece is
not careless but another person. Plain shares (:func:`dissensus.strategies.human_consensus`) stay the default everywhere.

References
----------
.. [1] A. P. Dawid & A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
   Applied Statistics 28, 1979.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.strategies.consensus import human_consensus, votes_of_others

__all__ = ["DawidSkene", "fit_dawid_skene", "weighted_human_consensus"]


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """A fitted model of annotators.

    Attributes
    ----------
    posterior : (n_tracks, n_classes) ndarray of float64
        Of the class of each track; rows sum to 1. A track that nobody judged has the class shares.
    confusion : (n_raters, n_classes, n_classes) ndarray of float64
        ``confusion[r, c, k]``: how often rater r says k where the class is c.
    class_share : (n_classes,) ndarray of float64
    objective : (n_iterations,) ndarray of float64
        Log-likelihood and log-prior of the smoothing, nats; never falls.
    converged : bool
    """

    posterior: NDArray[np.float64]
    confusion: NDArray[np.float64]
    class_share: NDArray[np.float64]
    objective: NDArray[np.float64]
    converged: bool

    @property
    def reliability(self) -> NDArray[np.float64]:
        """(n_raters,): expected share of judgements that are the class of the track, in [0, 1]."""
        return np.asarray(np.einsum("c,rcc->r", self.class_share, self.confusion))

    @property
    def informativeness(self) -> NDArray[np.float64]:
        """(n_raters,): mutual information of the class and what the rater says, in nats; 0 for one who answers blindly."""
        said = np.einsum("c,rck->rk", self.class_share, self.confusion)
        ratio = np.log(self.confusion) - np.log(said)[:, None, :]
        return np.asarray(np.maximum(np.einsum("c,rck,rck->r", self.class_share, self.confusion, ratio), 0.0))


def _votes(
    rater: ArrayLike, track: ArrayLike, label: ArrayLike, sizes: tuple[int, int, int]
) -> tuple[NDArray[np.int64], ...]:
    columns = []
    for name, values, size in zip(
        ("rater_index", "track_index", "class_index"), (rater, track, label), sizes, strict=True
    ):
        index = np.asarray(values)
        if index.ndim != 1 or (len(index) and index.dtype.kind not in "iu"):
            raise ParameterError(f"{name} must be one whole number a vote; got {index.dtype} of shape {index.shape}")
        if len(index) and (index.min() < 0 or index.max() >= size):
            raise ParameterError(f"{name} must lie in 0..{size - 1}")
        columns.append(index.astype(np.int64))
    if len({len(column) for column in columns}) > 1:
        raise ParameterError(f"votes of different number: {', '.join(str(len(column)) for column in columns)}")
    return tuple(columns)


def fit_dawid_skene(
    rater_index: ArrayLike,
    track_index: ArrayLike,
    class_index: ArrayLike,
    *,
    n_raters: int,
    n_tracks: int,
    n_classes: int,
    smoothing: float = 1.0,
    max_iter: int = 200,
    tol: float = 1e-7,
) -> DawidSkene:
    """Fit by expectation-maximisation, from the plain shares of votes; nothing random.

    Parameters
    ----------
    rater_index, track_index, class_index : (n_votes,) array_like of int
        Who said what about which track.
    n_raters, n_tracks, n_classes : int
    smoothing : float
        Above 0: pseudo-votes of every rater for each pair of classes, and of the shares; on the diagonal one more, so that
        somebody with two votes is taken for somewhat reliable, not for perfect or hostile.
    max_iter : int
    tol : float
        Stop where the objective rises by less, relative to its size.

    Returns
    -------
    DawidSkene

    Raises
    ------
    ParameterError
        No vote, an index out of range, a smoothing that is not positive.

    Examples
    --------
    >>> rater = np.repeat([0, 1, 2], 6)
    >>> track = np.tile(np.arange(6), 3)
    >>> said = [0, 1, 0, 1, 0, 1] * 2 + [1, 1, 1, 1, 1, 1]
    >>> model = fit_dawid_skene(rater, track, said, n_raters=3, n_tracks=6, n_classes=2)
    >>> model.posterior.argmax(axis=1).tolist(), int(model.informativeness.argmin())
    ([0, 1, 0, 1, 0, 1], 2)
    """
    sizes = (check_count(n_raters, "n_raters"), check_count(n_tracks, "n_tracks"), check_count(n_classes, "n_classes"))
    rater, track, label = _votes(rater_index, track_index, class_index, sizes)
    check_count(max_iter, "max_iter")
    if not len(rater):
        raise ParameterError("there is no vote to learn from")
    if not (np.isfinite(smoothing) and smoothing > 0):
        raise ParameterError(f"smoothing={smoothing!r}: must be above 0")
    pseudo = smoothing * (np.ones((n_classes, n_classes)) / n_classes + np.eye(n_classes))
    share = np.bincount(track * n_classes + label, minlength=n_tracks * n_classes).reshape(n_tracks, n_classes) + 0.0
    judged = share.sum(axis=1) > 0
    overall = (share.sum(axis=0) + smoothing) / (share.sum() + smoothing * n_classes)
    posterior = np.where(judged[:, None], share / np.maximum(share.sum(axis=1, keepdims=True), 1.0), overall)
    objective: list[float] = []
    converged = False
    for _ in range(max_iter):
        weight = posterior[judged].sum(axis=0) + smoothing
        class_share = weight / weight.sum()
        counts = np.empty((n_raters, n_classes, n_classes))
        at = rater * n_classes + label
        for c in range(n_classes):
            seen = np.bincount(at, weights=posterior[track, c], minlength=n_raters * n_classes)
            counts[:, c, :] = seen.reshape(n_raters, n_classes)
        counts += pseudo
        confusion = counts / counts.sum(axis=2, keepdims=True)
        log_confusion = np.log(confusion)
        log_post = np.tile(np.log(class_share), (n_tracks, 1))
        for c in range(n_classes):
            log_post[:, c] += np.bincount(track, weights=log_confusion[rater, c, label], minlength=n_tracks)
        top = log_post.max(axis=1, keepdims=True)
        evidence = top[:, 0] + np.log(np.exp(log_post - top).sum(axis=1))
        posterior = np.exp(log_post - evidence[:, None])
        prior = float((pseudo * log_confusion).sum() + smoothing * np.log(class_share).sum())
        objective.append(float(evidence[judged].sum()) + prior)
        if len(objective) > 1 and objective[-1] - objective[-2] <= tol * abs(objective[-1]):
            converged = True
            break
    return DawidSkene(posterior, confusion, class_share, np.array(objective), converged)


def weighted_human_consensus(
    listener_id: ArrayLike,
    track_index: ArrayLike,
    class_index: ArrayLike,
    listener: Any,
    *,
    n_tracks: int,
    n_classes: int,
    prior: float = 0.0,
    smoothing: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the others said about each track, each vote weighted by how much that person's votes tell.

    The model is fitted without the listener, whose answers therefore move neither the shares nor the weights. A weight is
    the informativeness of the person, scaled to a mean of 1 over the votes.

    Parameters
    ----------
    listener_id : (n,) array_like
        Who judged.
    track_index, class_index : (n,) array_like of int
        What, and how; −1 = no class, or a track outside the pool.
    listener
        Who is left out.
    n_tracks, n_classes : int
    prior : float
        How many votes the crowd at large is worth on every track.
    smoothing : float
        As in :func:`fit_dawid_skene`.

    Returns
    -------
    proba, n_raters
        As in :func:`dissensus.strategies.human_consensus`; ``n_raters`` counts votes, whatever their weight.

    Notes
    -----
    Made for comparison: see the head of this module for why plain shares are the default. What it gives can stand in the
    place of the plain consensus wherever one is asked for: ``Session(committee, pool, strategy="hc", crowd=(proba,
    n_raters))``, or :func:`dissensus.strategies.select`:

    Examples
    --------
    >>> from dissensus.strategies import select
    >>> who = ["ann"] * 4 + ["bob"] * 4 + ["cy"] * 4
    >>> track, said = [0, 1, 2, 3] * 3, [0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1]
    >>> human, n_raters = weighted_human_consensus(who, track, said, "dee", n_tracks=4, n_classes=2)
    >>> select("hc", 1, human=human, n_raters=n_raters).index.tolist()
    [3]
    """
    if not (np.isfinite(prior) and prior >= 0):
        raise ParameterError(f"prior={prior!r}: must be a number of votes >= 0")
    rater, track, label = votes_of_others(listener_id, track_index, class_index, listener)
    weight = np.ones(len(rater))
    if len(rater):
        n_raters = int(rater.max()) + 1
        model = fit_dawid_skene(
            rater, track, label, n_raters=n_raters, n_tracks=n_tracks, n_classes=n_classes, smoothing=smoothing
        )
        told = model.informativeness[rater]
        if told.any():
            weight = told / told.mean()
    return human_consensus(track, label, n_tracks=n_tracks, n_classes=n_classes, prior=prior, weight=weight)
