"""Query strategies with the signature of modAL's: ``strategy(committee, X, n_instances=1, random_tie_break=False)``.

They go wherever modAL takes a ``query_strategy`` and need of the committee what modAL's ``Committee`` has: ``vote_proba``, which
gives ``(n_samples, n_members, n_classes)``. modAL itself need not be installed.

References
----------
.. [1] Danka and Horvath, "modAL: a modular active learning framework for Python", arXiv:1805.00979, 2018.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus._validate import check_count
from dissensus.adapters._disagreement import disagreement
from dissensus.errors import ParameterError
from dissensus.strategies import select_top

__all__ = [
    "QueryStrategy",
    "committee_sampling",
    "consensus_entropy_sampling",
    "margin_sampling",
    "mean_kl_sampling",
    "mutual_information_sampling",
    "vote_entropy_sampling",
]


class QueryStrategy(Protocol):
    """What modAL calls."""

    def __call__(
        self, committee: Any, X: Any, n_instances: int = 1, random_tie_break: bool = False, **proba_kwargs: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows of ``X`` to ask about, best first, and their utilities."""


def committee_sampling(
    committee: Any,
    X: Any,
    n_instances: int = 1,
    random_tie_break: bool = False,
    *,
    method: str = "consensus_entropy",
    **proba_kwargs: Any,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The samples on which a committee disagrees most.

    Parameters
    ----------
    committee : modAL Committee
        Anything with ``vote_proba(X)``; or a fitted classifier with ``predict_proba``, a committee of one (modAL's
        ``ActiveLearner``).
    X : (n_samples, n_features) array_like
        The pool.
    n_instances : int
        Samples wanted, at most as many as there are.
    random_tie_break : bool
        Draw among equals with numpy's global generator, as modAL does; False: the first ones in the pool.
    method : {"consensus_entropy", "vote_entropy", "mean_kl", "mutual_information", "margin"}
        What is measured (see :mod:`dissensus.strategies`).
    **proba_kwargs
        For ``vote_proba`` or ``predict_proba``.

    Returns
    -------
    index : (n_instances,) ndarray of int64
        Rows of ``X``, best first.
    utility : (n_instances,) ndarray of float64
        Their disagreement.

    Raises
    ------
    ParameterError
        More instances wanted than there are, probabilities of another shape, or no such method.

    Examples
    --------
    >>> class Two:
    ...     def vote_proba(self, X):
    ...         return np.stack([X, X[:, ::-1]], axis=1)
    >>> pool = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]])
    >>> index, utility = committee_sampling(Two(), pool, n_instances=2, method="mean_kl")
    >>> index.tolist(), utility.round(2).tolist()
    ([0, 1], [0.37, 0.02])
    """
    if hasattr(committee, "vote_proba"):
        proba = np.asarray(committee.vote_proba(X, **proba_kwargs))
    else:
        proba = np.asarray(committee.predict_proba(X, **proba_kwargs))[:, None]
    if proba.ndim != 3:
        raise ParameterError(f"vote_proba must give (n_samples, n_members, n_classes); got shape {proba.shape}")
    n_instances = check_count(n_instances, "n_instances")
    if n_instances > len(proba):
        raise ParameterError(f"n_instances={n_instances}: the pool holds {len(proba)} samples")
    utility = disagreement(proba.transpose(1, 0, 2), method)
    order = np.random.permutation(len(utility)) if random_tie_break else np.arange(len(utility))  # noqa: NPY002
    index = order[select_top(utility[order], n_instances)]
    return index, utility[index]


consensus_entropy_sampling: QueryStrategy = partial(committee_sampling, method="consensus_entropy")
vote_entropy_sampling: QueryStrategy = partial(committee_sampling, method="vote_entropy")
mean_kl_sampling: QueryStrategy = partial(committee_sampling, method="mean_kl")
mutual_information_sampling: QueryStrategy = partial(committee_sampling, method="mutual_information")
margin_sampling: QueryStrategy = partial(committee_sampling, method="margin")
