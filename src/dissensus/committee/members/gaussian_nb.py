"""Gaussian naive Bayes by sufficient statistics: count, mean and variance per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dissensus._backend import resolve
from dissensus.committee._rows import as_classes, duplicate, encode
from dissensus.committee.members.state import MemberState
from dissensus.errors import ModelFormatError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee.rehearsal import Rehearsal

__all__ = ["GaussianNaiveBayes"]

_MOMENTS = ("class_count_", "theta_", "var_")


class GaussianNaiveBayes(ClassifierMixin, BaseEstimator):
    r"""Gaussian naive Bayes whose memory can be shrunk.

    The fitted state is, per class, a weight, a mean and a variance per feature, so learning from a batch is an exact,
    order-free merge. :meth:`shrink` scales the weights of what was learnt so far: a hundred thousand pre-training windows
    would otherwise outvote any listener. The model is that of scikit-learn's ``GaussianNB`` (its probabilities are equal).

    Parameters
    ----------
    var_smoothing : float
        Share of the largest feature variance added to every variance.
    prior_smoothing : float
        Pseudo-weight given to every class when priors are formed. With 0 a class never seen has probability 0.
    memory : float
        How many times ``n0`` pre-training weighs when answers are merged (see :meth:`rehearse`). Chosen on real listeners.

    Attributes
    ----------
    classes_ : (n_classes,) ndarray
    class_count_ : (n_classes,) ndarray of float64
        Weight seen per class.
    theta_, var_ : (n_classes, n_features) ndarray of float64
        Weighted mean and variance per class (without ``epsilon_``).
    epsilon_ : float
        What is added to every variance, fixed at the first fit.

    Examples
    --------
    >>> model = GaussianNaiveBayes().fit([[-2.0], [-1.0], [1.0], [2.0]], ["sad", "sad", "glad", "glad"])
    >>> model.predict([[-1.5], [1.5]]).tolist()
    ['sad', 'glad']
    """

    KIND = "gnb"
    DESCRIPTION = "naive Bayes"
    STATE = MemberState(
        {"class_count_": ("f8", ("C",)), "theta_": ("f8", ("C", "F")), "var_": ("f8", ("C", "F"))}, ("epsilon_",)
    )
    #: A feature that hardly varies before a listener comes (one of a catalogue's selections, say) must not decide everything
    #: as soon as it does. On 35 real listeners F1 starts higher with this, and their answers raise it instead of lowering it.
    BY_NAME: ClassVar[dict[str, float]] = {"var_smoothing": 0.3}
    SQUASH = "softmax"
    #: Sufficient statistics cost so little that every window of an answer is used.
    rehearses_every_window = True

    def __init__(self, *, var_smoothing: float = 1e-9, prior_smoothing: float = 0.0, memory: float = 3.0) -> None:
        self.var_smoothing = var_smoothing
        self.prior_smoothing = prior_smoothing
        self.memory = memory

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from scratch; classes are the sorted distinct labels of ``y``."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(labels)
        return self._learn(rows, labels, np.unique(labels), sample_weight, first=True)

    def fit_classes(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn from scratch with the classes and their order given; ``y`` may lack any of them."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        return self._learn(rows, labels, as_classes(classes), sample_weight, first=True)

    def know_nothing(self, classes: ArrayLike, n_features: int) -> Self:
        """Start with one pseudo-sample per class, the standard normal for all: uniform until told."""
        self.classes_ = as_classes(classes)
        self.n_features_in_ = n_features
        self.class_count_ = np.ones(len(self.classes_))
        self.theta_ = np.zeros((len(self.classes_), n_features))
        self.var_ = np.ones_like(self.theta_)
        self.epsilon_ = max(float(self.var_smoothing), 1e-12)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Merge a batch into what is known. The first call names all ``classes``; a batch may lack any of them."""
        first = not hasattr(self, "classes_")
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", reset=first)
        if first and classes is None:
            raise ParameterError("classes must be given at the first call of partial_fit")
        known = as_classes(classes) if first else self.classes_  # type: ignore[arg-type]
        if not first and classes is not None and not np.array_equal(as_classes(classes), known):
            raise ParameterError(
                f"classes={np.asarray(classes).tolist()} differ from the first call's {known.tolist()}"
            )
        return self._learn(rows, labels, known, sample_weight, first=first)

    def _learn(
        self, X: NDArray[Any], y: NDArray[Any], classes: NDArray[Any], sample_weight: ArrayLike | None, *, first: bool
    ) -> Self:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        index = encode(y, classes)
        if first:
            self.classes_ = classes
            self.class_count_ = np.zeros(len(classes))
            self.theta_ = np.zeros((len(classes), X.shape[1]))
            self.var_ = np.zeros_like(self.theta_)
            widest = float(_weighted_variance(X, weight).max())  # features of any scale: no floor but a relative one
            self.epsilon_ = max(float(self.var_smoothing), 1e-12) * widest if widest > 0 else 1e-12
        self._merge(*class_statistics(X, index, weight, len(classes)))
        return self

    def _merge(self, count: NDArray[np.float64], mean: NDArray[np.float64], var: NDArray[np.float64]) -> None:
        """Pool two sets of moments (Chan, Golub and LeVeque)."""
        taught = _merged([self], count, mean, var, None)[0]
        self.class_count_, self.theta_, self.var_ = taught.class_count_, taught.theta_, taught.var_

    def shrink(self, total: float) -> Self:
        """Scale the weight of everything learnt so far down to ``total``, in samples; never up."""
        check_is_fitted(self)
        now = float(self.class_count_.sum())
        if now > total:
            self.class_count_ = self.class_count_ * (total / now)
        return self

    def rehearse(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> GaussianNaiveBayes:
        """A copy whose priors, means and variances have moved towards the answers (see ``member.Rehearsing``).

        Its memory is first scaled to ``memory * n0`` tracks. Sufficient statistics remember the whole pre-training set, so
        nothing has to be drawn from the rehearsal buffer. Variances must move too where a listener's tracks vary in what
        hardly varied before: on 35 real listeners F1 falls without (-0.01 with smoothed variances, -0.28 with bare ones) and
        rises with (+0.02).
        """
        return self.rehearse_together([self], X, y, weight, rehearsal=rehearsal, n0=n0)[0]

    @staticmethod
    def rehearse_together(
        members: Sequence[GaussianNaiveBayes],
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[GaussianNaiveBayes]:
        """:meth:`rehearse` for several members at once; the answers' moments are taken once for all of them."""
        moments = class_statistics(X, y, weight, len(members[0].classes_))
        return _merged(members, *moments, None if rehearsal is None else n0)

    @staticmethod
    def take_in(
        members: Sequence[GaussianNaiveBayes],
        X: NDArray[np.float32],
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
    ) -> list[NDArray[np.float64]]:
        """What these members need of each track (see ``member.TrackWise``): mean and variance of each feature."""
        del members, rehearsal
        n_tracks, count = len(start) - 1, np.diff(start)
        rows = X if len(row) == len(X) else X[row]
        _, mean, var = class_statistics(rows, np.repeat(np.arange(n_tracks), count), np.ones(len(rows)), n_tracks)
        return list(np.concatenate([mean, var], axis=1))

    @staticmethod
    def rehearse_tracks(
        members: Sequence[GaussianNaiveBayes],
        taken: Sequence[NDArray[np.float64]],
        y: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[GaussianNaiveBayes]:
        """:meth:`rehearse_together` from what was taken in of the tracks, each of weight 1."""
        n_features, n_classes = members[0].theta_.shape[1], len(members[0].classes_)
        tracks = np.array(taken).reshape(-1, 2 * n_features)
        count, mean, spread = class_statistics(tracks, y, np.ones(len(tracks)), n_classes)
        var = mean[:, n_features:] + spread[:, :n_features]  # within the tracks, and between them
        return _merged(members, count, mean[:, :n_features], var, None if rehearsal is None else n0)

    def restored(self) -> None:
        """Check what a file said.

        Raises
        ------
        ModelFormatError
            A negative variance or count.
        """
        if (self.var_ < 0).any() or (self.class_count_ < 0).any() or not self.epsilon_ > 0:
            raise ModelFormatError("a gnb member has a negative variance or count")

    def gaussians(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log prior ``(C,)``, mean and variance ``(C, F)`` used for prediction; a class never seen takes the pooled ones."""
        log_prior, theta, var = self.gaussians_together([self])
        return log_prior[0], theta[0], var[0]

    @staticmethod
    def gaussians_together(
        members: Sequence[GaussianNaiveBayes],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """:meth:`gaussians` of several members with the same number of classes, one above the other."""
        count, theta, var = (np.array([getattr(member, name) for member in members]) for name in _MOMENTS)
        if not count.min() > 0:
            total = np.maximum(count.sum(axis=1), 1e-300)
            share = (count / total[:, None])[:, :, None]
            mean = (share * theta).sum(axis=1, keepdims=True)
            spread = (share * (var + (theta - mean) ** 2)).sum(axis=1, keepdims=True)
            seen = (count > 0)[:, :, None]
            theta, var = np.where(seen, theta, mean), np.where(seen, var, spread)
        prior = count + np.array([[member.prior_smoothing] for member in members])
        with np.errstate(divide="ignore"):
            log_prior = np.log(prior / np.maximum(prior.sum(axis=1, keepdims=True), 1e-300))
        var += np.array([[[member.epsilon_]] for member in members])
        return log_prior, theta, var

    def linear_form(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``(quadratic (F, C), linear (F, C), constant (C,))`` with joint log likelihood x²·quadratic + x·linear + constant."""
        quadratic, linear, constant = self.linear_forms([self])
        return quadratic[0].T, linear[0].T, constant[0]

    @staticmethod
    def linear_forms(
        members: Sequence[GaussianNaiveBayes],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """:meth:`linear_form` of several members: quadratic and linear ``(M, C, F)``, constant ``(M, C)``."""
        log_prior, theta, var = GaussianNaiveBayes.gaussians_together(members)
        constant = log_prior - 0.5 * (np.log(2.0 * np.pi * var) + theta**2 / var).sum(axis=2)
        return -0.5 / var, theta / var, constant

    def predict_joint_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log of prior times likelihood, ``(n_samples, n_classes)``."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False)
        log_prior, theta, var = self.gaussians()
        out = np.empty((len(rows), len(theta)))
        for c in range(len(theta)):
            out[:, c] = log_prior[c] - 0.5 * np.log(2.0 * np.pi * var[c]).sum()
            out[:, c] -= 0.5 * ((rows - theta[c]) ** 2 / var[c]).sum(axis=1)
        return out

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log probabilities ``(n_samples, n_classes)``."""
        joint = self.predict_joint_log_proba(X)
        peak = joint.max(axis=1, keepdims=True)
        result: NDArray[np.float64] = joint - (peak + np.log(np.exp(joint - peak).sum(axis=1, keepdims=True)))
        return result

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities ``(n_samples, n_classes)``, rows summing to 1."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class; the earliest one on ties."""
        best = self.predict_joint_log_proba(X).argmax(axis=1)
        return self.classes_[best]


def _merged(
    members: Sequence[GaussianNaiveBayes],
    count: NDArray[np.float64],
    mean: NDArray[np.float64],
    var: NDArray[np.float64],
    n0: float | None,
) -> list[GaussianNaiveBayes]:
    """Copies of the members, shrunk to their memory of ``n0`` where there is one, after a batch with these moments."""
    new = [duplicate(member) for member in members]
    known, theta, spread = (np.array([getattr(member, name) for member in members]) for name in _MOMENTS)
    if n0 is not None:
        known *= np.array([[member.memory * n0] for member in members]) / known.sum(axis=1, keepdims=True)
    resolve("merge_moments")(known, theta, spread, count, mean, var)
    for i, member in enumerate(new):
        member.class_count_, member.theta_, member.var_ = known[i], theta[i], spread[i]
    return new


def _weighted_variance(X: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    share = weight / max(float(weight.sum()), 1e-300)
    mean = share @ X
    result: NDArray[np.float64] = share @ (X - mean) ** 2
    return result


def class_statistics(
    X: NDArray[Any], index: NDArray[np.int64], weight: NDArray[np.float64], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight ``(C,)``, mean and variance ``(C, F)`` of every class; zeros for an absent class."""
    count, mean, var = np.empty(n_classes), np.empty((n_classes, X.shape[1])), np.empty((n_classes, X.shape[1]))
    resolve("class_moments")(X, index, weight, count, mean, var)
    return count, mean, var
