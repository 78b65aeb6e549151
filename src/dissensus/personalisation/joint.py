"""One committee from several front ends: each part reads a pool of its own, all members speak about the same tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ClassMismatchError, ParameterError
from dissensus.personalisation.learner import CommitteeLearner
from dissensus.personalisation.told import Told

if TYPE_CHECKING:
    from dissensus.committee import Committee
    from dissensus.features.pool import Pool

__all__ = ["JointLearner"]


class JointLearner:
    """Committees of several front ends as one: classifiers of emotion features beside heads of a CNN, say.

    Windows need not agree: one pool may hold seconds, the other chunks of a CNN. What is shared are the tracks, and every
    answer teaches all parts. Give it to :class:`~dissensus.personalisation.Session` as ``model=``, with the first part's pool.

    Parameters
    ----------
    parts : sequence of CommitteeLearner
        At least one, taught by replay. Their pools hold the same tracks, in any order, their committees the same classes;
        the first one's orders are those of the whole.

    Attributes
    ----------
    parts : tuple of CommitteeLearner
        As given, in the order of the members.

    Raises
    ------
    ParameterError
        No part, a part that learns incrementally, or pools with different tracks.
    ClassMismatchError
        Committees that know different classes.

    Examples
    --------
    >>> from dissensus import Committee, Pool, Session
    >>> from dissensus.personalisation import CommitteeLearner
    >>> rng = np.random.default_rng(3)
    >>> y, ids = np.tile(["calm", "loud"], 40), [f"track {i}" for i in range(20)]
    >>> parts = []
    >>> for n_features in (2, 5):
    ...     X = rng.normal(size=(80, n_features)) + 2.0 * (y == "loud")[:, None]
    ...     committee = Committee.pretrain(X, y, np.arange(80), kinds=("sgd",), n_folds=2)
    ...     parts.append(CommitteeLearner(committee, Pool(rng.normal(size=(20, n_features)) + 1.0, ids)))
    >>> session = Session(None, parts[0].pool, model=JointLearner(parts))
    >>> session.tell({track: "loud" for track in session.ask(3)})
    >>> session.member_proba().shape
    (4, 20, 2)
    """

    def __init__(self, parts: Sequence[CommitteeLearner]) -> None:
        if not parts:
            raise ParameterError("parts is empty; give a CommitteeLearner for each front end")
        self.parts = tuple(parts)
        first = self.parts[0]
        names, tracks = first.classes_.tolist(), first.pool.track_ids.tolist()
        for number, part in enumerate(self.parts):
            if part.kind != "replay":
                raise ParameterError(f"parts[{number}] learns by update={part.kind!r}; make every part with 'replay'")
            if set(part.classes_.tolist()) != set(names):
                raise ClassMismatchError(f"parts[{number}] knows {part.classes_.tolist()}, parts[0] {names}")
            _check_same_tracks(tracks, part.pool, f"the pools of parts[0] and parts[{number}]")
        # Of the whole's tracks and classes: where each part keeps them.
        self._tracks = [part.pool.index_of(tracks) for part in self.parts]
        self._classes = [
            np.array([part.classes_.tolist().index(name) for name in names], dtype=np.int64) for part in self.parts
        ]
        self._proba: NDArray[np.float32] | None = None

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels by class index, as the first part has them."""
        return self.parts[0].classes_

    @property
    def informed(self) -> bool:
        """False while no part knows anything."""
        return any(part.informed for part in self.parts)

    @property
    def committees(self) -> tuple[Committee, ...]:
        """The committee of each part, as it is now."""
        return tuple(part.committee for part in self.parts)

    def pool_proba(self) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)``: the members of the first part, then of the next."""
        if self._proba is None:
            proba = np.concatenate(
                [
                    part.pool_proba()[:, tracks][:, :, classes]
                    for part, tracks, classes in zip(self.parts, self._tracks, self._classes, strict=True)
                ]
            )
            proba.setflags(write=False)
            self._proba = proba
        return self._proba

    def predict_proba(self, pools: Sequence[Pool]) -> NDArray[np.float32]:
        """Opinions about other tracks.

        Parameters
        ----------
        pools : sequence of Pool
            One for each part, holding the same tracks; the first one's order is that of the answer.

        Returns
        -------
        (n_members, n_tracks, n_classes) ndarray of float32

        Raises
        ------
        ParameterError
            Not one pool a part, or pools that hold different tracks.
        """
        if len(pools) != len(self.parts):
            raise ParameterError(f"{len(pools)} pools for {len(self.parts)} parts; give one for each")
        tracks = pools[0].track_ids.tolist()
        for number, pool in enumerate(pools):
            _check_same_tracks(tracks, pool, f"pools[0] and pools[{number}]")
        return np.concatenate(
            [
                part.committee.predict_proba(pool.X, pool.groups)[:, pool.index_of(tracks)][:, :, classes]
                for part, pool, classes in zip(self.parts, pools, self._classes, strict=True)
            ]
        )

    def update(self, told: Told) -> JointLearner:
        """Every part after exactly these batches of answers."""
        return JointLearner(
            [
                part.update(tuple(tuple((int(tracks[t]), int(classes[c])) for t, c in batch) for batch in told))
                for part, tracks, classes in zip(self.parts, self._tracks, self._classes, strict=True)
            ]
        )


def _check_same_tracks(tracks: list[Any], pool: Pool, which: str) -> None:
    if set(pool.track_ids.tolist()) != set(tracks):
        raise ParameterError(f"{which} hold different tracks; take pool.subset of those in both")
