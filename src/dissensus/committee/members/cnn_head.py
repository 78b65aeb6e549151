"""The last layer of the CNN as a member: a softmax over embeddings, personalised in milliseconds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dissensus.committee._rows import as_classes, encode, one_hot
from dissensus.committee.members.state import MemberState
from dissensus.errors import ParameterError

if TYPE_CHECKING:
    from dissensus.committee.rehearsal import Rehearsal

__all__ = ["CnnHead"]


def _descend(
    start: NDArray[np.float64], kernel: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients of the rows whose span holds the minimum of log loss plus ``tr(a' K a) / 2``, (n_rows, n_members, n_classes).

    Bound optimisation with momentum that starts anew where it would climb: the curvature of the softmax's log loss is at most
    1/2, so one inverse serves all members, classes and steps, and there is no step size. Classes stand in front within:
    what is done over four of them then runs over long rows.
    """
    scale = 1.0 / np.maximum(0.5 * weight, 1e-12)
    solve = cho_solve(cho_factor(np.diag(scale) + kernel), np.diag(scale))
    usual = np.ascontiguousarray(start.transpose(2, 0, 1))
    truth, share = np.ascontiguousarray(target.T)[:, :, None], weight[None, :, None]
    move = np.zeros_like(usual)
    score, ahead, ahead_score, momentum = move, move, move, 1.0
    for _ in range(100):
        slope = usual + ahead_score
        slope -= slope.max(axis=0)
        np.exp(slope, out=slope)
        slope /= slope.sum(axis=0)
        slope -= truth
        slope *= share
        slope += ahead
        step = ahead - solve @ slope
        step_score = kernel @ step
        change, score_change = step - move, step_score - score
        move, score = step, step_score
        if np.abs(change).max() < 1e-9:
            break
        if np.vdot(slope, score_change) > 0.0:
            momentum = 1.0
        momentum, before = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)), momentum
        ahead = step + (before - 1.0) / momentum * change
        ahead_score = step_score + (before - 1.0) / momentum * score_change
    return np.ascontiguousarray(move.transpose(1, 2, 0))


def _track_means(
    X: NDArray[np.float32], y: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """One row an answered track: rows of a track stand together and weigh 1 in all. Other weights leave the rows alone."""
    total = np.cumsum(weight)
    end = np.flatnonzero(np.abs(total - np.round(total)) < 1e-9)
    start = np.concatenate([[0], end[:-1] + 1]) if len(end) else np.zeros(0, dtype=np.int64)
    whole = len(end) > 0 and end[-1] == len(y) - 1 and np.abs(np.add.reduceat(weight, start) - 1.0).max() < 1e-9
    if not whole or (y != np.repeat(y[start], np.diff(start, append=len(y)))).any():
        return X.astype(np.float64), y, weight
    mean, length = np.empty((len(start), X.shape[1])), end + 1 - start
    for n in np.unique(length):  # tracks of the same length at once: several times faster than reduceat over rows
        where = np.flatnonzero(length == n)
        rows = start[where, None] + np.arange(n)
        mean[where] = np.einsum("tnf,tn->tf", X[rows], weight[rows])
    return mean, y[start], np.ones(len(start))


def _alike(members: Sequence[CnnHead]) -> list[list[int]]:
    """Places of members that share a prior."""
    groups: dict[float, list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault(float(member.anchor), []).append(i)
    return list(groups.values())


class CnnHead(ClassifierMixin, BaseEstimator):
    r"""Multinomial logistic regression on the embeddings of a CNN.

    .. math:: p(c \mid x) \propto e^{w_c \cdot x + b_c}

    trained with an L2 penalty by bound optimisation: convex, deterministic, no step size. A pool of embeddings
    (``dissensus.catalog.embed_clips``) is its ``X``; each row is a chunk of 3.69 s.

    Parameters
    ----------
    alpha : float
        L2 penalty on the weights, relative to the mean loss of a row.
    anchor : float
        Precision of the prior that ties a listener's weights to the pre-trained ones, beside what the rehearsal holds.
    max_iter : int
        Steps at most when it is trained from scratch.

    Attributes
    ----------
    classes_ : (n_classes,) ndarray
    coef_ : (n_classes, n_features) ndarray of float64
    intercept_ : (n_classes,) ndarray of float64
    n_iter_ : int
        Steps of the last training.

    References
    ----------
    .. [1] D. Böhning, "Multinomial logistic regression algorithm", Annals of the Institute of Statistical Mathematics 44,
       1992 (the bound on the curvature).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [0.2, 0.9], [1.0, 0.1], [0.9, 0.0]])
    >>> CnnHead(alpha=0.01).fit(X, ["Q3", "Q3", "Q1", "Q1"]).predict([[1.0, 0.0]])
    array(['Q1'], dtype='<U2')
    """

    KIND = "cnn"
    DESCRIPTION = "a head on the embeddings of a convolutional network"
    STATE = MemberState({"coef_": ("f8", ("C", "F")), "intercept_": ("f8", ("C",))}, ("n_iter_",))
    SQUASH = "softmax"
    #: A track's answer is about all of its chunks: they enter as their mean.
    rehearses_every_window = True

    def __init__(self, *, alpha: float = 1e-3, anchor: float = 1.0, max_iter: int = 300) -> None:
        self.alpha = alpha
        self.anchor = anchor
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from scratch; classes are the sorted distinct labels of ``y``."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(y)
        self._start(X, np.unique(y))
        return self._learn(X, y, sample_weight)

    def fit_classes(self, X: Any, y: Any, classes: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from scratch with the classes and their order given; ``y`` may lack any of them."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        self._start(X, as_classes(classes))
        return self._learn(X, y, sample_weight)

    def know_nothing(self, classes: ArrayLike, n_features: int) -> Self:
        """Start with zero weights: uniform until told."""
        self.n_features_in_ = n_features
        self.n_iter_ = 0
        self._start(np.ones((1, n_features)), as_classes(classes))
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn a batch on top of the present weights. The first call names all ``classes``; a batch may lack any of them."""
        first = not hasattr(self, "classes_")
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", reset=first)
        if first:
            if classes is None:
                raise ParameterError("classes must be given at the first call of partial_fit")
            self._start(X, as_classes(classes))
        elif classes is not None and not np.array_equal(as_classes(classes), self.classes_):
            raise ParameterError(f"classes differ from the first call's {self.classes_.tolist()}")
        return self._learn(X, y, sample_weight)

    def _start(self, X: NDArray[Any], classes: NDArray[Any]) -> None:
        self.classes_ = classes
        self.coef_ = np.zeros((len(classes), X.shape[1]))
        self.intercept_ = np.zeros(len(classes))

    def _learn(self, X: NDArray[Any], y: NDArray[Any], sample_weight: ArrayLike | None) -> Self:
        """Minimise mean log loss plus penalty on the distance from the present weights, in the space of the features."""
        if self.max_iter < 1 or self.alpha <= 0:
            raise ParameterError(f"max_iter={self.max_iter} and alpha={self.alpha}: both must be positive")
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        total = weight.sum()
        if total <= 0:
            raise ParameterError("sample_weight sums to zero: there is nothing to learn from")
        share = weight / total
        target = one_hot(encode(y, self.classes_), len(self.classes_), np.float64)
        rows = np.column_stack([X.astype(np.float64), np.ones(len(X))])
        penalty = np.full(rows.shape[1], float(self.alpha))
        penalty[-1] = 1e-3 * self.alpha
        start = rows[:, :-1] @ self.coef_.T + self.intercept_
        bound = cho_factor((rows * (0.5 * share)[:, None]).T @ rows + np.diag(penalty))
        move = np.zeros((rows.shape[1], len(self.classes_)))
        ahead, momentum = move, 1.0
        self.n_iter_ = 0
        for _ in range(self.max_iter):
            self.n_iter_ += 1
            slope = (
                rows.T @ (share[:, None] * (softmax(start + rows @ ahead, axis=1) - target)) + penalty[:, None] * ahead
            )
            step = ahead - cho_solve(bound, slope)
            momentum, before = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)), momentum
            ahead, last = step + (before - 1.0) / momentum * (step - move), move
            move = step
            if np.abs(move - last).max() < 1e-7:
                break
        self.coef_ = self.coef_ + move[:-1].T
        self.intercept_ = self.intercept_ + move[-1]
        return self

    def rehearse(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> CnnHead:
        """A copy moved away from the pre-trained weights as far as the answers justify (see ``member.Rehearsing``).

        A track's chunks enter as their mean. The rehearsal windows enter through the curvature of their log loss around
        weights that know nothing, where it is largest: one quadratic for all heads, worked out once for a buffer and a
        weight ``n0``. What remains to be solved at an answer has the size of the answers alone.
        """
        return self.rehearse_together([self], X, y, weight, rehearsal=rehearsal, n0=n0)[0]

    @staticmethod
    def rehearse_together(
        members: Sequence[CnnHead],
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[CnnHead]:
        """:meth:`rehearse` for several members at once: one factorisation and one descent for all of them."""
        taught = [copy.copy(member) for member in members]
        if len(X) == 0:
            return taught
        tracks, label, share = _track_means(X, y, np.asarray(weight, dtype=np.float64))
        rows = np.column_stack([tracks, np.ones(len(tracks))])
        n_classes = len(members[0].classes_)
        target = one_hot(label, n_classes, np.float64)
        for group in _alike(members):
            start = np.stack([tracks @ members[i].coef_.T + members[i].intercept_ for i in group], axis=1)
            factor = members[group[0]]._prior(rehearsal, n0)
            half = solve_triangular(factor, rows.T, lower=True, check_finite=False)
            found = _descend(start, half.T @ half, target, share).reshape(len(rows), -1)
            move = solve_triangular(factor, half @ found, lower=True, trans="T", check_finite=False)
            for place, i in enumerate(group):
                step = move[:, place * n_classes : (place + 1) * n_classes]
                taught[i].coef_ = members[i].coef_ + step[:-1].T
                taught[i].intercept_ = members[i].intercept_ + step[-1]
        return taught

    def _prior(self, rehearsal: Rehearsal | None, n0: float) -> NDArray[np.float64]:
        """Lower Cholesky factor of the prior's precision, kept for the buffer and weight it was made for."""
        held = self.__dict__.get("_held")
        if held is not None and held[0] is rehearsal and held[1] == n0:
            factor: NDArray[np.float64] = held[2]
            return factor
        n_classes = len(self.classes_)
        penalty = np.full(self.coef_.shape[1] + 1, float(self.anchor))
        penalty[-1] = 1e-3 * self.anchor
        precision = np.diag(penalty)
        if rehearsal is not None and n0 > 0:
            share = rehearsal.weight(n_classes, n0) * ((n_classes - 1) / n_classes**2)
            rows = np.column_stack([rehearsal.X.astype(np.float64), np.ones(len(rehearsal))])
            precision += (rows * share[:, None]).T @ rows
        factor = np.asfortranarray(cholesky(precision, lower=True))
        self.__dict__["_held"] = (rehearsal, n0, factor)
        return factor

    def linear_form(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``(quadratic (F, C), linear (F, C), constant (C,))`` with log probability x²·quadratic + x·linear + constant."""
        return np.zeros(self.coef_.T.shape), self.coef_.T, self.intercept_

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores ``(n_samples, n_classes)``; for two classes the difference in favour of the second, ``(n_samples,)``."""
        score = self._scores(X)
        return score[:, 1] - score[:, 0] if score.shape[1] == 2 else score

    def _scores(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        scores: NDArray[np.float64] = X @ self.coef_.T + self.intercept_
        return scores

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities ``(n_samples, n_classes)``; rows sum to 1."""
        proba: NDArray[np.float64] = softmax(self._scores(X), axis=1)
        return proba

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class; the earliest one on ties."""
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]
