"""The crowd prior inside a classic committee: as a member with a share of the vote, as its prior, or as an input.

On the listeners measured the input and the change made the crowd's probabilities a little better and no label better; the
listener model beats all three (see ``docs/explanation/listener_model.md``). They are for committees that have to stay what
they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ClassMismatchError, ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.learner import Learner
from dissensus.personalisation.listener.crowd_prior import CrowdBelief, CrowdPrior
from dissensus.personalisation.listener.map_logistic import centred_log
from dissensus.personalisation.listener.residual import softmax
from dissensus.personalisation.told import Told

__all__ = ["JOINS", "CrowdCommittee", "join_crowd", "opinion_folds", "with_opinion"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: ``"member"``: a share of the vote. ``"prior"``: the crowd times the committee's evidence, its probabilities over its base
#: rate. ``"change"``: the crowd times what the listener's answers changed in the committee.
JOINS: Final = ("member", "prior", "change")
_LEAST = 1e-4


def join_crowd(crowd: Floats, committee: Floats, how: str, weight: float, *, start: Floats | None = None) -> Floats:
    r"""Probabilities of crowd and committee together.

    ``"member"`` is :math:`w p_{crowd} + (1 - w) p`; ``"prior"`` and ``"change"`` are
    :math:`\log p_{crowd} + w (\log p - \log b)` up to a constant, with :math:`b` the committee's mean over the tracks, or its
    probabilities before it met the listener.

    Parameters
    ----------
    crowd, committee : (n_tracks, n_classes) ndarray
        Probabilities; the crowd's above zero.
    how : {"member", "prior", "change"}
    weight : float
        In [0, 1]: share of the crowd as a member, power of the committee's evidence otherwise.
    start : (n_tracks, n_classes) ndarray, optional
        Of ``"change"``: the committee before any answer.

    Returns
    -------
    (n_tracks, n_classes) ndarray
        Rows sum to 1.

    Examples
    --------
    >>> crowd, said = np.array([[0.6, 0.4]]), np.array([[0.2, 0.8]])
    >>> join_crowd(crowd, said, "member", 0.5).round(3).tolist()
    [[0.4, 0.6]]
    >>> join_crowd(crowd, said, "change", 1.0, start=said).round(3).tolist()
    [[0.6, 0.4]]
    """
    if how not in JOINS:
        raise ParameterError(f"how={how!r}; choose one of {', '.join(map(repr, JOINS))}")
    if not 0 <= weight <= 1:
        raise ParameterError(f"weight={weight!r}: must be a share between 0 and 1")
    if how == "member":
        return np.asarray(weight * crowd + (1.0 - weight) * committee, dtype=np.float64)
    if how == "change":
        if start is None:
            raise ParameterError("how='change' needs start, the committee's probabilities before any answer")
        base = np.log(np.maximum(start, _LEAST))
    else:
        base = np.log(np.maximum(committee.mean(axis=0), _LEAST))
    return softmax(np.log(crowd) + weight * (np.log(np.maximum(committee, _LEAST)) - base))


class CrowdCommittee:
    """A learner (a committee over a pool, say) with the crowd beside it; for ``Session(None, pool, model=…)``.

    Parameters
    ----------
    learner : Learner
        Over the pool's tracks, not yet taught.
    belief : CrowdBelief
        Of the crowd without the listener (:meth:`CrowdPrior.belief`), for the same tracks.
    classes : (n_classes,) ndarray
        Order of the belief's columns.
    how : {"prior", "member", "change"}
        See :func:`join_crowd`.
    weight : float
        As there.
    """

    informed = True

    def __init__(
        self,
        learner: Learner,
        belief: CrowdBelief,
        classes: NDArray[Any],
        *,
        how: str = "prior",
        weight: float = 0.5,
        start: Floats | None = None,
    ) -> None:
        if set(np.asarray(classes).tolist()) != set(learner.classes_.tolist()):
            raise ClassMismatchError(
                f"the crowd speaks of {np.asarray(classes).tolist()}, the committee of {learner.classes_.tolist()}"
            )
        names = np.asarray(classes).tolist()
        self.learner = learner
        self.belief = belief
        self._classes = np.asarray(classes)
        self._columns = [names.index(name) for name in learner.classes_.tolist()]
        self.how, self.weight = how, weight
        mean = learner.pool_proba().mean(axis=0, dtype=np.float64)
        if mean.shape != belief.proba.shape:
            raise ParameterError(
                f"the committee gives {mean.shape}, the crowd {belief.proba.shape}: give both one pool"
            )
        self._start = mean if start is None else start
        self._proba = join_crowd(belief.proba[:, self._columns], mean, how, weight, start=self._start)

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index: the committee's order."""
        return self.learner.classes_

    def pool_proba(self) -> NDArray[np.float32]:
        """``(1, n_tracks, n_classes)`` float32: both together."""
        return self._proba.astype(np.float32)[None]

    def update(self, told: Told) -> CrowdCommittee:
        """After exactly these batches of answers; the crowd stays as it is."""
        taught = self.learner.update(told)
        return CrowdCommittee(taught, self.belief, self._classes, how=self.how, weight=self.weight, start=self._start)


def with_opinion(pool: Pool, proba: Floats) -> Pool:
    """The pool with the crowd's opinion of each track, its centred log probabilities, as further features of its windows.

    A committee for such a pool is trained on :func:`opinion_folds`.
    """
    if len(proba) != pool.n_tracks:
        raise ParameterError(f"an opinion for each of the {pool.n_tracks} tracks is needed; got {proba.shape}")
    names = None
    if pool.feature_names is not None:
        names = [*pool.feature_names, *(f"crowd {c}" for c in range(proba.shape[1]))]
    X = np.column_stack([pool.X, centred_log(proba)[pool.groups]]).astype(np.float32)
    return Pool(X, pool.track_ids[pool.groups], feature_names=names)


def opinion_folds(crowd: CrowdPrior, listener: int | None, *, n_folds: int = 10) -> Iterator[tuple[Ints, Floats]]:
    """What is safe to train a committee on that has the crowd's opinion as an input, and is meant for one listener.

    The listeners are cut into folds. The opinion beside a label never contains anybody of the labelling listener's fold, nor
    the listener the committee is for: with opinions that hold the target, or that leave out one rating only, a committee
    reads the missing vote off the difference between the rows of a track, and scores far too well.

    Parameters
    ----------
    crowd : CrowdPrior
        Fitted on everybody.
    listener : int or None
        Whom the committee is for; nothing of theirs comes in.
    n_folds : int
        Folds of the other listeners; as many as listeners for exactly one left out.

    Yields
    ------
    rows : (n,) ndarray of int64
        Rows of ``crowd.track``, ``crowd.listener`` and ``crowd.label`` that belong to one fold.
    proba : (n_tracks, n_classes) ndarray
        Opinion of everybody else, for all tracks.
    """
    others = np.unique(crowd.listener)
    others = others[others != (-1 if listener is None else listener)]
    if n_folds < 2:
        raise ParameterError(f"n_folds={n_folds!r}: must be at least 2")
    for fold in range(min(n_folds, len(others))):
        members = others[fold :: min(n_folds, len(others))]
        gone = members if listener is None else np.append(members, listener)
        yield np.flatnonzero(np.isin(crowd.listener, members)), crowd.belief(without_listener=gone).proba
