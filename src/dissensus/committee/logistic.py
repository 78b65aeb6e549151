"""Logistic regression trained by stochastic gradient descent, one against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dissensus._backend import resolve
from dissensus.committee._rows import as_classes, distinct_rows, duplicate, encode, one_hot
from dissensus.errors import ParameterError

if TYPE_CHECKING:
    from dissensus.committee.rehearsal import Rehearsal

__all__ = ["LogisticSGD", "principal_axes"]


class LogisticSGD(ClassifierMixin, BaseEstimator):
    r"""Logistic regression by averaged stochastic gradient descent.

    For every class the loss is that of scikit-learn's ``SGDClassifier(loss="log_loss")``,

    .. math:: \frac{1}{\sum_i s_i}\sum_i s_i \log(1 + e^{-y_i (w \cdot x_i + b)}) + \frac{\alpha}{2} \lVert w \rVert^2,

    and probabilities are the sigmoids of the classes rescaled to sum to 1, as there. The solver differs: steps start at the
    inverse of the mean squared length of a row, shrink with the power 3/4, and iterates are averaged, so it converges where
    the "optimal" schedule still jumps.

    Parameters
    ----------
    alpha : float
        Strength of the L2 penalty.
    max_iter : int
        Passes over the data at most.
    tol : float
        Training stops when the mean loss of a pass improves by less than ``tol`` five passes in a row.
    eta0 : float, optional
        First step. Default: the inverse of the mean squared length of a row.
    anchor : float
        Precision of the Gaussian prior that ties a listener's weights to the pre-trained ones (see :meth:`rehearse`); 1 for
        a member that was never pre-trained.
    rank : int
        Dimension of the space in which a listener's weights may differ from the pre-trained ones.
    random_state : int, RandomState or None
        Order of the rows.

    Attributes
    ----------
    classes_ : (n_classes,) ndarray
    coef_ : (n_classes, n_features) ndarray of float64
        One row per class, also for two classes.
    intercept_ : (n_classes,) ndarray of float64
    n_iter_ : int
        Passes of the last ``fit``.
    t_ : int
        Steps taken in all.
    eta0_ : float
        First step in use.

    References
    ----------
    .. [1] L. Bottou, "Stochastic gradient descent tricks", 2012.
    """

    def __init__(
        self,
        *,
        alpha: float = 1e-4,
        max_iter: int = 100,
        tol: float = 1e-4,
        eta0: float | None = None,
        anchor: float = 30.0,
        rank: int = 31,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.eta0 = eta0
        self.anchor = anchor
        self.rank = rank
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from scratch; classes are the sorted distinct labels of ``y``."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(labels)
        return self._descend(rows, labels, np.unique(labels), sample_weight)

    def fit_classes(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn from scratch with the classes and their order given; ``y`` may lack any of them."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        return self._descend(rows, labels, as_classes(classes), sample_weight)

    def know_nothing(self, classes: ArrayLike, n_features: int) -> Self:
        """Start with zero weights: uniform until told."""
        self.n_features_in_ = n_features
        self._start(np.ones((1, n_features)), as_classes(classes))
        return self

    def _descend(
        self, X: NDArray[Any], y: NDArray[Any], classes: NDArray[Any], sample_weight: ArrayLike | None
    ) -> Self:
        if self.max_iter < 1 or self.alpha < 0:
            raise ParameterError(f"max_iter={self.max_iter} and alpha={self.alpha}: need at least 1 and 0")
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, index, weight = distinct_rows(X, encode(y, classes), weight)
        if len(X) == 0:
            raise ParameterError("no sample has a positive weight")
        self._start(X, classes)
        weight = weight / weight.max()  # the objective stays the same, and no step is longer than eta0 times a row
        rng = check_random_state(self.random_state)
        total = float(weight.sum())
        best, patience = np.inf, 0
        for sweep in range(self.max_iter):
            loss = self._sweep(X, index, weight, rng.permutation(len(X)), average=sweep > 0) / total
            patience = patience + 1 if loss > best - self.tol else 0
            best = min(best, loss)
            if patience >= 5:
                break
        self.n_iter_ = sweep + 1
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """One pass over a batch, in its order. The first call names all ``classes``; a batch may lack any of them.

        A row of weight above 1 is taken in several steps of at most weight 1.
        """
        first = not hasattr(self, "classes_")
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", reset=first)
        if first and classes is None:
            raise ParameterError("classes must be given at the first call of partial_fit")
        if first:
            self._start(rows, as_classes(classes))  # type: ignore[arg-type]
        elif classes is not None and not np.array_equal(as_classes(classes), self.classes_):
            raise ParameterError(
                f"classes={np.asarray(classes).tolist()} differ from the first call's {self.classes_.tolist()}"
            )
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        times = np.maximum(np.ceil(weight), 1.0)
        order = np.repeat(np.arange(len(rows)), times.astype(np.int64))
        self._sweep(rows, encode(labels, self.classes_), weight / times, order, average=False)
        return self

    def _start(self, X: NDArray[Any], classes: NDArray[Any]) -> None:
        self.classes_ = classes
        self.coef_ = np.zeros((len(classes), X.shape[1]))
        self.intercept_ = np.zeros(len(classes))
        self.t_ = 0
        self._n_averaged = 0
        length = float(np.mean(np.einsum("ij,ij->i", X, X, dtype=np.float64)))
        self.eta0_ = self.eta0 if self.eta0 is not None else 1.0 / (1.0 + length)

    def _sweep(
        self,
        X: NDArray[Any],
        index: NDArray[np.int64],
        weight: NDArray[np.float64],
        order: NDArray[np.int64],
        *,
        average: bool,
    ) -> float:
        """One pass; from the second pass of a fit on, ``coef_`` is the running mean of the iterates."""
        target = one_hot(index, len(self.classes_), X.dtype)
        if not average or self._n_averaged == 0:
            self._iterate = (self.coef_.astype(X.dtype), self.intercept_.astype(X.dtype))
        coef, intercept = self._iterate
        mean = (self.coef_.astype(X.dtype), self.intercept_.astype(X.dtype))
        loss = resolve("logistic_sgd")(
            X, target, weight, order.astype(np.int64), coef, intercept, *mean,
            float(self.alpha), float(self.eta0_), self.t_, self._n_averaged if average else -1,
        )  # fmt: skip
        self.t_ += len(order)
        if average:
            self._n_averaged += len(order)
            coef, intercept = mean
        self.coef_, self.intercept_ = coef.astype(np.float64), intercept.astype(np.float64)
        return float(loss)

    def rehearse(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> LogisticSGD:
        """A copy moved away from the pre-trained weights as far as the answers justify (see ``member.Rehearsing``).

        The move ``d`` minimises the log loss on the answers, plus the log loss on the rehearsal windows with this member's
        own probabilities as their targets, plus ``anchor / 2`` times its squared length. It is convex, and without answers
        its minimum is ``d = 0``. It lies in the span of the ``rank`` leading principal components of the rehearsal windows.
        """
        return self.rehearse_together([self], X, y, weight, rehearsal=rehearsal, n0=n0)[0]

    @staticmethod
    def rehearse_together(
        members: Sequence[LogisticSGD],
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[LogisticSGD]:
        """:meth:`rehearse` for several members at once, which share everything but their targets.

        Solved by accelerated bound optimisation: the curvature of the log loss is at most 1/4, so one factorisation serves
        all members, classes and steps, and there is no step size.
        """
        new = [duplicate(member) for member in members]
        if len(X) == 0:
            return new
        first, n_classes = members[0], len(members[0].classes_)
        coef = np.concatenate([member.coef_ for member in members])
        intercept = np.concatenate([member.intercept_ for member in members])
        start = X @ coef.T + intercept
        target = np.tile(one_hot(y, n_classes), len(members))
        anchor, axes = 1.0, np.eye(X.shape[1])
        rows, share = X.astype(np.float64), weight
        if rehearsal is not None:
            anchor, axes = float(first.anchor), principal_axes(rehearsal, first.rank)
            known, held = _known(rehearsal, members, coef, intercept)
            start, target = np.concatenate([known, start]), np.concatenate([held, target])
            rows = np.concatenate([rehearsal.kept["rows", first.rank], rows @ axes])
            share = np.concatenate([rehearsal.weight(n_classes, n0), share])
        move = _descend(np.column_stack([rows, np.ones(len(rows))]), start, target, share, anchor)
        for i, member in enumerate(new):
            mine = move[:, i * n_classes : (i + 1) * n_classes]
            member.coef_ = member.coef_ + (axes @ mine[:-1]).T
            member.intercept_ = member.intercept_ + mine[-1]
        return new

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log odds of each class against the rest ``(n_samples, n_classes)``; for two classes of the second, ``(n_samples,)``."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        score: NDArray[np.float64] = rows @ self.coef_.T + self.intercept_
        return score[:, 1] - score[:, 0] if score.shape[1] == 2 else score

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities ``(n_samples, n_classes)``: sigmoids rescaled to sum to 1, uniform where all of them vanish."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        odds = expit(rows @ self.coef_.T + self.intercept_)
        total = odds.sum(axis=1, keepdims=True)
        uniform = np.full_like(odds, 1.0 / odds.shape[1])
        return np.divide(odds, total, out=uniform, where=total > 0)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class; the earliest one on ties."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def principal_axes(rehearsal: Rehearsal, rank: int) -> NDArray[np.float64]:
    """Leading eigenvectors of the rehearsal's second moments, ``(n_features, rank)``; all directions where they are few."""
    if ("axes", rank) not in rehearsal.kept:
        rows = rehearsal.X.astype(np.float64)
        axes = np.eye(rows.shape[1])
        if rank < rows.shape[1]:
            axes = np.ascontiguousarray(np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :rank])
        rehearsal.kept["rows", rank] = rows @ axes
        rehearsal.kept["axes", rank] = axes
    held: NDArray[np.float64] = rehearsal.kept["axes", rank]
    return held


def _known(
    rehearsal: Rehearsal, members: Sequence[LogisticSGD], coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the members say of the rehearsal windows, as log odds and as odds; the same members are asked once."""
    source = [part for member in members for part in (member.coef_, member.intercept_)]
    kept = rehearsal.kept.get("known")
    if kept is None or len(kept[0]) != len(source) or any(a is not b for a, b in zip(kept[0], source, strict=True)):
        known = rehearsal.X @ coef.T + intercept
        kept = rehearsal.kept["known"] = (source, known, expit(known))
    return kept[1], kept[2]


def _descend(
    rows: NDArray[np.float64],
    start: NDArray[np.float64],
    target: NDArray[np.float64],
    share: NDArray[np.float64],
    anchor: float,
) -> NDArray[np.float64]:
    """The move of the weights (and, in the last row, of the intercepts) that the log loss asks for, ``(F + 1, K)``."""
    n_rows, n_weights, n_models = len(rows), rows.shape[1], start.shape[1]
    penalty = np.append(np.full(n_weights - 1, anchor), 1e-3 * anchor)
    inverse = np.linalg.inv((rows * (0.25 * share)[:, None]).T @ rows + np.diag(penalty))
    n, f, k = -(-n_rows // 32) * 32, -(-n_weights // 32) * 32, n_models
    X, move = _padded(rows, n, f), np.zeros((k, f), dtype=np.float32)
    resolve("bound_descent")(
        _panels(X.T), _panels(X), _padded(start.T, k, n), _padded(target.T, k, n), _padded(share[None], 1, n)[0],
        _panels(_padded(inverse, f, f)), _padded(penalty[None], 1, f)[0], 100, 1e-5,
        np.empty((3, k, n), dtype=np.float32), np.empty((4, k, f), dtype=np.float32), move,
    )  # fmt: skip
    return move[:, :n_weights].T.astype(np.float64)


def _panels(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Its columns 32 by 32, ``(n_columns / 32, n_rows, 32)``."""
    return np.ascontiguousarray(matrix.reshape(len(matrix), -1, 32).transpose(1, 0, 2))


def _padded(array: NDArray[Any], n_rows: int, n_columns: int) -> NDArray[np.float32]:
    """In float32, filled up with zeros."""
    out = np.zeros((n_rows, n_columns), dtype=np.float32)
    out[: array.shape[0], : array.shape[1]] = array
    return out
