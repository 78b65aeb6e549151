"""A query strategy of scikit-activeml that measures disagreement with the kernels of this library.

It takes what the strategies of scikit-activeml take, and may stand wherever one of them does.

References
----------
.. [1] Kottke et al., "scikit-activeml: a library and toolbox for active learning algorithms", Preprints, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.adapters._disagreement import MEASURES, aligned, disagreement
from dissensus.errors import MissingDependencyError, ParameterError

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
    from skactiveml.utils import MISSING_LABEL, simple_batch
except ImportError as error:
    raise MissingDependencyError(
        "scikit-activeml is not installed; it comes with the adapters extra: pip install 'dissensus[adapters]'"
    ) from error

__all__ = ["DisagreementQuery"]


class DisagreementQuery(SingleAnnotatorPoolQueryStrategy):
    """Ask about the samples on which a committee disagrees most.

    Parameters
    ----------
    method : {"consensus_entropy", "vote_entropy", "mean_kl", "mutual_information", "margin"}
        What is measured; the functions of :mod:`dissensus.strategies` of these names.
    missing_label : scalar, str, None or NaN
        What stands for a missing label in ``y``.
    random_state : int or RandomState, optional
        Of ties.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skactiveml.classifier import SklearnClassifier
    >>> X = np.array([[0.0], [1.0], [0.5], [0.1], [0.9]])
    >>> y = np.array([0.0, 1.0, np.nan, np.nan, np.nan])
    >>> ensemble = [SklearnClassifier(LogisticRegression(), classes=[0, 1]),
    ...             SklearnClassifier(GaussianNB(var_smoothing=0.1), classes=[0, 1])]
    >>> DisagreementQuery(random_state=0).query(X, y, ensemble)
    array([2])
    """

    def __init__(
        self, method: str = "consensus_entropy", missing_label: Any = MISSING_LABEL, random_state: Any = None
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method = method

    def query(
        self,
        X: ArrayLike,
        y: ArrayLike,
        ensemble: Any,
        fit_ensemble: bool = True,
        sample_weight: ArrayLike | None = None,
        candidates: ArrayLike | None = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Choose samples.

        Parameters
        ----------
        X : (n_samples, n_features) array_like of float
            All samples, labelled or not.
        y : (n_samples,) array_like
            Labels; ``missing_label`` where there is none.
        ensemble : sequence of SkactivemlClassifier, SkactivemlClassifier or Committee
            The members; or a classifier that has ``estimators_`` once it is fitted; or a
            :class:`~dissensus.committee.Committee`, which is asked as it is (every sample is a track), never fitted.
        fit_ensemble : bool
            Fit copies of the members to the labelled samples first; False: they are fitted already.
        sample_weight : (n_samples,) array_like of float, optional
            For the fit.
        candidates : (n_candidates,) array_like of int, or (n_candidates, n_features) array_like, optional
            Rows of ``X``, or samples; default: those without a label.
        batch_size : int
            Samples wanted; more than there are candidates are cut, with a warning.
        return_utilities : bool
            Whether utilities are returned as well.

        Returns
        -------
        query_indices : (batch_size,) ndarray of int
            Into ``X``; into ``candidates`` where those are samples.
        utilities : (batch_size, n_samples or n_candidates) ndarray of float64
            Before each choice; NaN where a sample is no candidate or was chosen before. Only with ``return_utilities``.

        Raises
        ------
        TypeError, ValueError
            As scikit-activeml's strategies: a wrong type, or a wrong value (:class:`~dissensus.errors.ParameterError` is
            a ``ValueError``).
        """
        table, label, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True
        )
        samples, mapping = self._transform_candidates(candidates, table, label)
        if not isinstance(fit_ensemble, bool):
            raise TypeError(f"fit_ensemble={fit_ensemble!r}: must be True or False")
        if self.method not in MEASURES:
            raise ParameterError(f"method={self.method!r}; choose one of {', '.join(map(repr, MEASURES))}")
        proba = _probabilities(ensemble, samples, (table, label, sample_weight) if fit_ensemble else None)
        utility: NDArray[np.float64] = disagreement(proba, self.method)
        if mapping is not None:
            everything = np.full(len(table), np.nan)
            everything[mapping] = utility
            utility = everything
        return simple_batch(utility, self.random_state_, batch_size=batch_size, return_utilities=return_utilities)


def _probabilities(ensemble: Any, samples: NDArray[Any], training: tuple[Any, Any, Any] | None) -> NDArray[Any]:
    """``(n_members, n_samples, n_classes)`` what the members say of the samples."""
    from dissensus.committee import Committee

    if isinstance(ensemble, Committee):
        return np.asarray(ensemble.predict_proba(samples))
    if isinstance(ensemble, SkactivemlClassifier):
        whole = _fitted(ensemble, training)
        inner = getattr(whole, "estimators_", None)
        if inner is None:
            raise TypeError(
                f"ensemble: {type(ensemble).__name__} has no estimators_ once it is fitted; give a list of its members"
            )
        tables = [np.asarray(member.predict_proba(samples)) for member in inner]
        width = max(table.shape[1] for table in tables)
        return aligned(tables, [_places(member, table, width) for member, table in zip(inner, tables, strict=True)])
    if not isinstance(ensemble, Sequence) or isinstance(ensemble, str) or len(ensemble) == 0:
        raise TypeError(
            "ensemble must be classifiers of scikit-activeml, one that holds several, or a dissensus Committee; "
            f"got {type(ensemble).__name__}"
        )
    for member in ensemble:
        if not isinstance(member, SkactivemlClassifier):
            raise TypeError(f"ensemble holds {type(member).__name__}; wrap it: SklearnClassifier(estimator, classes=…)")
    fitted = [_fitted(member, training) for member in ensemble]
    tables = [np.asarray(member.predict_proba(samples)) for member in fitted]
    return aligned(tables, [np.asarray(member.classes_) for member in fitted])


def _places(member: Any, table: NDArray[Any], width: int) -> NDArray[Any]:
    """Class numbers of an inner estimator's columns: those of its ``classes_``, where they are numbers of the ensemble's."""
    names = np.asarray(getattr(member, "classes_", np.arange(table.shape[1])))
    whole = names.dtype.kind in "iuf" and len(names) == table.shape[1]
    return names.astype(np.int64) if whole and table.shape[1] < width else np.arange(table.shape[1])


def _fitted(member: Any, training: tuple[Any, Any, Any] | None) -> Any:
    """A copy that was fitted, or the member itself where it is fitted already."""
    from sklearn.base import clone

    if training is None:
        return member
    X, y, sample_weight = training
    copy = clone(member)
    return copy.fit(X, y) if sample_weight is None else copy.fit(X, y, sample_weight=sample_weight)
