"""Logistic regression trained by stochastic gradient descent, one against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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
from dissensus.committee.members.anchored import Anchor, anchor_of, moved_weights, principal_axes, seen_by
from dissensus.committee.members.state import MemberState
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

    KIND = "sgd"
    DESCRIPTION = "logistic regression"
    STATE = MemberState({"coef_": ("f8", ("C", "F")), "intercept_": ("f8", ("C",))}, ("t_", "eta0_"))
    SQUASH = "sigmoid"

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
        """:meth:`rehearse` for several members at once, which share everything but where they start.

        Solved by a quasi-Newton method that knows the curvature of the rehearsal, and learns that of the answers.
        """
        anchor = anchor_of(members, rehearsal)
        told = seen_by(anchor, np.ascontiguousarray(X, dtype=np.float32), np.arange(len(X)))
        return _moved(members, anchor, told, y, np.asarray(weight, dtype=np.float64), n0)

    @staticmethod
    def take_in(
        members: Sequence[LogisticSGD],
        X: NDArray[np.float32],
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
    ) -> list[NDArray[np.float32]]:
        """What these members need of each track (see ``member.TrackWise``)."""
        told = seen_by(anchor_of(members, rehearsal), X, row)
        return [told[:, a:b] for a, b in pairwise(start.tolist())]

    @staticmethod
    def rehearse_tracks(
        members: Sequence[LogisticSGD],
        taken: Sequence[NDArray[np.float32]],
        y: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[LogisticSGD]:
        """:meth:`rehearse_together` from what was taken in of the tracks, each of weight 1."""
        if not taken:
            return [duplicate(member) for member in members]
        count = np.array([track.shape[1] for track in taken])
        weight = np.repeat(1.0 / count, count)
        told = np.concatenate(taken, axis=1)
        return _moved(members, anchor_of(members, rehearsal), told, np.repeat(y, count), weight, n0)

    def restored(self) -> None:
        """Complete what a file said."""
        self._n_averaged = 0

    def linear_form(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``(quadratic (F, C), linear (F, C), constant (C,))`` with log odds x²·quadratic + x·linear + constant."""
        return np.zeros(self.coef_.T.shape), self.coef_.T, self.intercept_

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


def _moved(
    members: Sequence[LogisticSGD],
    anchor: Anchor,
    told: NDArray[np.float32],
    y: NDArray[np.int64],
    weight: NDArray[np.float64],
    n0: float,
) -> list[LogisticSGD]:
    """Copies of the members after some answers."""
    new = [duplicate(member) for member in members]
    if len(y) == 0:
        return new
    n_classes = len(members[0].classes_)
    coef, intercept = moved_weights(anchor, told, y, weight, n_classes=n_classes, n0=n0)
    for i, member in enumerate(new):
        mine = slice(i * n_classes, (i + 1) * n_classes)
        member.coef_, member.intercept_ = coef[mine], intercept[mine]
    return new
