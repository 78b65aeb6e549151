"""What a committee asks of its members, and how they are trained by name.

Any fitted object with ``classes_`` and ``predict_proba`` may vote. What else it offers decides what can be done with it; nobody
asks for its class:

- :class:`Named`: it is called by a short name, trained by :meth:`Committee.pretrain`, saved and loaded;
- :class:`Rehearsing`, or :class:`TrackWise`, or ``rehearse_together`` (several members at once): it learns by replay;
- ``fit(X, y, sample_weight=)``, of an estimator: it learns by replay through being fitted anew (see ``refit``);
- ``partial_fit(X, y, sample_weight=)``: it learns incrementally;
- :class:`Linear`: all such members are asked in one blocked pass over the windows;
- ``predict_scaled(X)``: as ``predict_proba``, for windows that were checked and never change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from dissensus._validate import check_count
from dissensus.committee.folds import group_folds
from dissensus.committee.members import KINDS, kind_of
from dissensus.committee.members.state import MemberState
from dissensus.errors import ClassMismatchError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee.rehearsal import Rehearsal

__all__ = [
    "Linear",
    "Member",
    "Named",
    "Rehearsing",
    "TrackWise",
    "alike",
    "fit_members",
    "make_member",
    "member_seed",
]


@runtime_checkable
class Member(Protocol):
    """A fitted classifier that can vote."""

    classes_: NDArray[Any]

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Class probabilities ``(n_windows, n_classes)``, columns ordered as ``classes_``."""


@runtime_checkable
class Rehearsing(Protocol):
    """A member that can be refitted from its pre-trained state on personal answers and a rehearsal buffer."""

    def rehearse(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> Any:
        """A personalised copy; the member itself stays as it is.

        Parameters
        ----------
        X : (n_windows, n_features) ndarray of float32
            Standardised windows of every answered track.
        y : (n_windows,) ndarray of int64
            Class indices.
        weight : (n_windows,) ndarray of float64
            Sums to one over the windows of a track.
        rehearsal : Rehearsal or None
            What the member must not forget; None for a member that was never pre-trained.
        n0 : float
            Total weight of the rehearsal, in answered tracks.
        """


@runtime_checkable
class TrackWise(Protocol):
    """A kind that rehearses from what it took in of each track once, however often the track is rehearsed afterwards."""

    @staticmethod
    def take_in(
        members: Sequence[Any],
        X: NDArray[np.float32],
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
    ) -> Sequence[Any]:
        """What these members need of each track.

        Parameters
        ----------
        members : sequence
            Of this kind, as pre-trained.
        X : (n_windows, n_features) ndarray of float32
            Standardised windows.
        row : (n,) ndarray of int64
            Windows to look at, track by track.
        start : (n_tracks + 1,) ndarray of int64
            Where each track begins in ``row``.
        rehearsal : Rehearsal or None
            As in :meth:`Rehearsing.rehearse`.

        Returns
        -------
        sequence of length n_tracks
            What is taken in of a track does not depend on the others.
        """

    @staticmethod
    def rehearse_tracks(
        members: Sequence[Any],
        taken: Sequence[Any],
        y: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> Sequence[Any]:
        """Personalised copies of the members after some tracks, ``taken`` in before, of classes ``y`` and weight 1 each."""


@runtime_checkable
class Named(Protocol):
    """A kind of member that is known by a name (:func:`dissensus.committee.members.register_kind`); an estimator."""

    KIND: ClassVar[str]  #: short name
    DESCRIPTION: ClassVar[str]  #: in reports
    STATE: ClassVar[
        MemberState
    ]  #: what its file holds; more in ``held_parts`` and ``restore_parts``, ``restored`` checks it

    def fit_classes(self, X: Any, y: Any, classes: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Learn from scratch with the classes and their order given; ``y`` may lack any of them."""

    def know_nothing(self, classes: ArrayLike, n_features: int) -> Any:
        """Start uniform."""


@runtime_checkable
class Linear(Protocol):
    """A member whose scores are linear in ``[x, x²]``.

    A subclass keeps the fast path as long as it changes how it learns, not how it predicts: one that defines anew what its
    parent predicts by is asked through ``predict_proba``, unless it gives a form of its own
    (:func:`dissensus.committee.linear_votes.is_linear` tells).
    """

    SQUASH: ClassVar[str]  #: "softmax" of the scores, or "sigmoid" of each, rescaled to sum to 1

    def linear_form(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``(quadratic (F, C), linear (F, C), constant (C,))``: scores are x²·quadratic + x·linear + constant.

        The quadratic part of a sigmoid is not looked at.
        """


def make_member(kind: str | Any, seed: int) -> tuple[str, Any]:
    """A fresh, unfitted member and the name of its kind.

    Parameters
    ----------
    kind : str or estimator
        A name of :data:`~dissensus.committee.members.KINDS`, or any scikit-learn classifier, which is cloned.
    seed : int
        Its ``random_state``, where it has one.
    """
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ParameterError(f"no kind of member is called {kind!r}; there are {', '.join(KINDS)}")
        name, estimator = kind, KINDS[kind](**getattr(KINDS[kind], "BY_NAME", {}))
    else:
        if not hasattr(kind, "fit") or not hasattr(kind, "predict_proba"):
            raise ParameterError(f"{kind!r} cannot be a member: it needs fit and predict_proba")
        name, estimator = kind_of(kind), clone(kind)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    return name, estimator


def _fit(member: Any, X: NDArray[np.float32], y: NDArray[Any], classes: NDArray[Any]) -> Any:
    """Fit with every class known, also those that the training side lacks."""
    if hasattr(member, "fit_classes"):
        return member.fit_classes(X, y, classes)
    member.fit(X, y)
    if not np.array_equal(np.sort(np.asarray(member.classes_)), np.sort(classes)):
        missing = sorted(set(classes.tolist()) - set(np.asarray(member.classes_).tolist()))
        raise ClassMismatchError(
            f"{type(member).__name__} was fitted without the classes {missing}: its fold has none of them"
        )
    return member


def member_seed(random_state: int, kind: int, fold: int) -> int:
    """``random_state`` of the member of a kind and fold, given the committee's."""
    return int(np.random.SeedSequence(random_state, spawn_key=(1, kind, fold)).generate_state(1)[0]) % 2**31


def fit_members(
    kinds: Sequence[str | Any],
    X: NDArray[np.float32],
    index: NDArray[np.int64],
    track: NDArray[np.int64],
    classes: NDArray[Any],
    *,
    n_folds: int,
    random_state: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[str], list[Any]]:
    """Names and members: of each kind one per fold of tracks, fitted on the windows outside it (with one fold, on all)."""
    folds = group_folds(
        index, track, n_classes=len(classes), n_folds=check_count(n_folds, "n_folds"), seed=random_state
    )
    fold, y = folds[track], classes[index]
    names, members = [], []
    for k, kind in enumerate(kinds):
        for j in range(n_folds):
            name, member = make_member(kind, member_seed(random_state, k, j))
            train = fold != j if n_folds > 1 else np.ones(len(X), dtype=bool)
            members.append(_fit(member, X[train], y[train], classes))
            names.append(name)
            if progress is not None:
                progress(len(members), len(kinds) * n_folds)
    return names, members


def alike(member: Any, before: Any) -> bool:
    """Whether a member knows the same classes and features as another, because it was copied from it."""
    return member is before or (
        member.classes_ is before.classes_
        and getattr(member, "n_features_in_", None) == getattr(before, "n_features_in_", None)
    )
