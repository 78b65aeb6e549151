"""Gradient-boosted trees: XGBoost grows them and predicts, for classes fixed by us."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dissensus._fork import Lock, outside_openmp
from dissensus._threads import thread_budget
from dissensus.committee._rows import as_classes, distinct_rows, duplicate, encode
from dissensus.committee.members.booster_trees import BoosterTrees
from dissensus.committee.members.margins import kept_margin, never_changes, same_windows
from dissensus.committee.members.small_trees import Bins, SmallTrees, grow
from dissensus.committee.members.state import FileParts, MemberState
from dissensus.errors import ModelFormatError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee.rehearsal import Rehearsal

__all__ = ["BoostedTrees"]

#: Windows of a track ``(n, n_features)``, their bins in the rehearsal's cuts, and margins ``(n_members, n, n_outputs)``.
Taken = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]


class BoostedTrees(ClassifierMixin, BaseEstimator):
    """Gradient-boosted trees for a fixed list of classes.

    Trees are grown by ``xgboost.train`` with ``num_class`` given, so a batch that lacks classes keeps all of them and their
    order, and nothing in the installed library has to be patched.

    Parameters
    ----------
    n_rounds : int
        Rounds of a ``fit``; each grows one tree per class.
    max_depth, learning_rate, reg_lambda, min_child_weight, max_bin
        As in XGBoost (``tree_method="hist"``).
    continue_rounds : int
        Rounds that a ``partial_fit`` adds, grown on its batch alone with the settings above. As in :meth:`rehearse` these
        trees are our own.
    max_rounds : int
        Rounds the model may hold; ``partial_fit`` adds none beyond them, so that it cannot grow without bound.
    rehearse_rounds, rehearse_rate, rehearse_depth, rehearse_bins
        Trees, learning rate, depth and bins a feature of the correction that :meth:`rehearse` grows. These trees
        are our own: they have a value for every class in each leaf. What the settings, these and those of ``fit``, are worth
        on real listeners is measured in ``docs/explanation/boosted.md``.
    random_state : int, RandomState or None
        Seed.

    Attributes
    ----------
    classes_ : (n_classes,) ndarray
    booster_ : xgboost.Booster or None
        The trees of ``fit``.
    continued_ : tuple of SmallTrees
        The trees of each ``partial_fit``, which start from the margins of those before.
    correction_ : SmallTrees or None
        The trees of :meth:`rehearse`, which start from the margins of all others.
    """

    KIND = "xgb"
    DESCRIPTION = "boosted trees"
    STATE = MemberState({}, ("seed_",))

    booster_: Any
    correction_: Any

    def __init__(
        self,
        *,
        n_rounds: int = 100,
        max_depth: int = 5,
        learning_rate: float = 0.3,
        reg_lambda: float = 1.0,
        min_child_weight: float = 1.0,
        max_bin: int = 64,
        continue_rounds: int = 100,
        max_rounds: int = 2000,
        rehearse_rounds: int = 10,
        rehearse_rate: float = 0.1,
        rehearse_depth: int = 1,
        rehearse_bins: int = 16,
        random_state: Any = None,
    ) -> None:
        self.n_rounds = n_rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.reg_lambda = reg_lambda
        self.min_child_weight = min_child_weight
        self.max_bin = max_bin
        self.continue_rounds = continue_rounds
        self.max_rounds = max_rounds
        self.rehearse_rounds = rehearse_rounds
        self.rehearse_rate = rehearse_rate
        self.rehearse_depth = rehearse_depth
        self.rehearse_bins = rehearse_bins
        self.random_state = random_state

    def _start(self, classes: NDArray[Any]) -> None:
        self.classes_ = classes
        self.booster_ = None
        self.continued_: tuple[Any, ...] = ()
        self.correction_ = None
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from scratch; classes are the sorted distinct labels of ``y``."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        return self._boost(rows, labels, np.unique(labels), sample_weight)

    def fit_classes(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn from scratch with the classes and their order given; ``y`` may lack any of them."""
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        return self._boost(rows, labels, as_classes(classes), sample_weight)

    def know_nothing(self, classes: ArrayLike, n_features: int) -> Self:
        """Start without a tree: uniform until told."""
        self.n_features_in_ = n_features
        self._start(as_classes(classes))
        return self

    def _boost(self, X: NDArray[Any], y: NDArray[Any], classes: NDArray[Any], sample_weight: ArrayLike | None) -> Self:
        self._start(classes)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, index, weight = distinct_rows(X, encode(y, classes), weight)
        if len(X) == 0:
            raise ParameterError("no sample has a positive weight")
        self.booster_ = self._grow(self._matrix(X, label=index, weight=weight), self.n_rounds)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add ``continue_rounds`` grown on a batch alone. The first call names all ``classes``; a batch may lack any."""
        first = not hasattr(self, "classes_")
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=first)
        if first and classes is None:
            raise ParameterError("classes must be given at the first call of partial_fit")
        if first:
            self._start(as_classes(classes))  # type: ignore[arg-type]
        elif classes is not None and not np.array_equal(as_classes(classes), self.classes_):
            raise ParameterError(
                f"classes={np.asarray(classes).tolist()} differ from the first call's {self.classes_.tolist()}"
            )
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        rounds = min(self.continue_rounds, self.max_rounds - self.n_rounds_)
        if rounds > 0:
            batch, index, weight = distinct_rows(rows, encode(labels, self.classes_), weight)
            if len(batch):
                self.continued_ = (*self.continued_, self._continue(batch, index, weight, rounds))
        return self

    def _continue(
        self, X: NDArray[Any], index: NDArray[np.int64], weight: NDArray[np.float64], rounds: int
    ) -> SmallTrees:
        """Trees that start from the margins of all others and know this batch alone."""
        target = np.zeros((len(X), self._n_outputs))
        target[np.arange(len(X)), index] = 1.0
        rows = np.ascontiguousarray(X, dtype=np.float32)
        bins = Bins.of(rows, self.max_bin)
        return grow(
            bins,
            bins.index(rows),
            target,
            weight,
            self._correct(X, self._base(X)).astype(np.float64),
            n_trees=rounds,
            depth=self.max_depth,
            settings=(self.learning_rate, self.reg_lambda, self.min_child_weight),
            seed=self.seed_ + self.n_rounds_,
        )

    def __copy__(self) -> Self:
        """Copies share boosters: they are replaced, never changed."""
        return duplicate(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """The booster as bytes, which :meth:`__setstate__` reads back, in a forked child too."""
        state: dict[str, Any] = dict(super().__getstate__())
        if state.get("booster_") is not None:
            state["booster_"] = bytes(outside_openmp(lambda: self.booster_.save_raw(raw_format="ubj")))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        raw = state.get("booster_")
        if isinstance(raw, bytes):
            import xgboost

            booster = xgboost.Booster()
            outside_openmp(lambda: booster.load_model(bytearray(raw)))
            state = {**state, "booster_": booster}
        super().__setstate__(state)

    @property
    def _n_outputs(self) -> int:
        return max(2, len(self.classes_))

    @property
    def n_rounds_(self) -> int:
        """Rounds that the model holds, without the correction."""
        fitted = 0 if self.booster_ is None else int(self.booster_.num_boosted_rounds())
        return fitted + sum(len(trees) for trees in self.continued_)

    def _matrix(self, X: NDArray[Any], **about: Any) -> Any:
        import xgboost

        return outside_openmp(
            lambda: xgboost.QuantileDMatrix(X, max_bin=self.max_bin, nthread=thread_budget(), **about)
        )

    def _grow(self, data: Any, rounds: int) -> Any:
        import xgboost

        options = {
            "objective": "multi:softprob",
            "num_class": self._n_outputs,
            "base_score": 0.5,
            "tree_method": "hist",
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "reg_lambda": self.reg_lambda,
            "min_child_weight": self.min_child_weight,
            "max_bin": self.max_bin,
            "seed": self.seed_,
            "nthread": thread_budget(),
            "verbosity": 0,
        }
        grown = outside_openmp(lambda: xgboost.train(options, data, num_boost_round=rounds))
        _threads_of[grown] = thread_budget()
        return grown

    def rehearse(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> BoostedTrees:
        """A copy with a few small trees grown from the pre-trained margins (see ``member.Rehearsing``).

        Their targets are the answers and, on the rehearsal windows, this member's own probabilities: where the listener
        says nothing new there is nothing to correct.
        """
        return self.rehearse_together([self], X, y, weight, rehearsal=rehearsal, n0=n0)[0]

    @staticmethod
    def rehearse_together(
        members: Sequence[BoostedTrees],
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[BoostedTrees]:
        """:meth:`rehearse` for several members at once; the windows are cut into bins once for all of them."""
        taken: list[Taken] = []
        if len(X):
            taken = BoostedTrees.take_in(members, X, np.arange(len(X)), np.array([0, len(X)]), rehearsal=rehearsal)
        return _corrected(members, taken, y, weight, rehearsal, n0)

    @staticmethod
    def take_in(
        members: Sequence[BoostedTrees],
        X: NDArray[np.float32],
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
    ) -> list[Taken]:
        """What these members need of each track (see ``member.TrackWise``): windows, their bins and margins."""
        rows = np.ascontiguousarray(X[row], dtype=np.float32)
        index = np.empty((len(rows), 0), dtype=np.uint8)  # without a buffer the answers themselves decide on bins
        if rehearsal is not None:
            index = _binned(rehearsal, members[0].rehearse_bins)[0].index(rows)
        with same_windows(rows):
            margin = np.stack([member._base(rows) for member in members])
        return [(rows[a:b], index[a:b], margin[:, a:b]) for a, b in pairwise(start.tolist())]

    @staticmethod
    def rehearse_tracks(
        members: Sequence[BoostedTrees],
        taken: Sequence[Taken],
        y: NDArray[np.int64],
        *,
        rehearsal: Rehearsal | None,
        n0: float,
    ) -> list[BoostedTrees]:
        """:meth:`rehearse_together` from what was taken in of the tracks, each of weight 1."""
        count = np.array([len(rows) for rows, _, _ in taken], dtype=np.int64)
        return _corrected(members, taken, np.repeat(y, count), np.repeat(1.0 / count, count), rehearsal, n0)

    def _margin(self, trees: Any, X: NDArray[Any], onto: NDArray[Any] | None) -> NDArray[np.float32]:
        """Margins ``(n_samples, n_outputs)`` of these trees (None: no tree), on top of others."""
        if trees is None or isinstance(trees, SmallTrees):
            start = np.zeros((len(X), self._n_outputs), dtype=np.float32) if onto is None else onto
            return start if trees is None else trees.add_to(start, X)
        _obey_budget(trees)
        margin: NDArray[np.float32] = outside_openmp(
            lambda: trees.inplace_predict(X, predict_type="margin", base_margin=onto)
        )
        return margin.reshape(len(X), self._n_outputs)

    def _base(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Margins of all trees but the correction's; of windows seen before, only new trees are asked."""
        margin = self._margin(None, X, None)
        for trees in (self.booster_, *self.continued_):
            if trees is not None:
                margin = kept_margin(trees, X, partial(self._margin, trees, X, margin))
        return margin

    def _correct(self, X: NDArray[Any], margin: NDArray[Any]) -> NDArray[np.float32]:
        """``margin`` plus what the correction says."""
        return margin if self.correction_ is None else self.correction_.add_to(margin, X)

    def held_parts(self) -> dict[str, Any]:
        """Trees, for a file, as arrays."""
        parts: dict[str, Any] = {}
        if self.booster_ is not None:
            trees = _arrays_of(self.booster_, self._n_outputs, self.n_features_in_)
            parts |= {f"fit.{name}": array for name, array in trees.parts().items()}
        small = {f"continued_{i}": trees for i, trees in enumerate(self.continued_)}
        if self.correction_ is not None:
            small["correction"] = self.correction_
        return parts | {
            f"{name}.{part}": array for name, trees in small.items() for part, array in trees.parts().items()
        }

    def restore_parts(self, parts: FileParts) -> None:
        """Trees, from a file.

        Raises
        ------
        ModelFormatError
            A part is missing, unknown, or does not fit.
        """
        self.booster_ = None
        of_fit = {name for name in parts.names if name == "booster_" or name.startswith("fit.")}
        if of_fit:
            self.booster_ = self._restored_booster(parts, of_fit)
        listed = set(parts.names) - of_fit
        corrected = "correction.feature" in listed
        n_continued = len(listed) // len(SmallTrees.PARTS) - int(corrected)
        names = [f"continued_{i}" for i in range(n_continued)] + ["correction"] * corrected
        if listed != {f"{name}.{part}" for name in names for part in SmallTrees.PARTS}:
            raise ModelFormatError("an xgb member has other parts than this release's")
        trees = [
            SmallTrees.checked(
                *(parts.array(f"{name}.{part}", *form) for part, form in SmallTrees.PARTS.items()),
                n_outputs=self._n_outputs,
                n_features=self.n_features_in_,
            )
            for name in names
        ]
        self.continued_ = tuple(trees[:n_continued])
        self.correction_ = trees[-1] if corrected else None

    def _restored_booster(self, parts: FileParts, of_fit: set[str]) -> Any:
        """The trees of ``fit``, checked before XGBoost sees them; members that share them in the file share them here."""
        known = "|".join(parts.names[name] for name in sorted(of_fit))
        if known not in parts.made:
            shape = self._n_outputs, self.n_features_in_
            if of_fit == {"booster_"}:  # as version 0.1.0 wrote them
                trees = BoosterTrees.from_bytes(parts.array("booster_", "u1", ("N",)).tobytes(), *shape)
            elif of_fit == {f"fit.{part}" for part in BoosterTrees.PARTS}:
                trees = BoosterTrees(
                    **{part: parts.array(f"fit.{part}", *form) for part, form in BoosterTrees.PARTS.items()}  # type: ignore[arg-type]
                )
                trees.check(*shape)
            else:
                raise ModelFormatError("an xgb member has other parts than this release's")
            booster = trees.booster(*shape)
            with _arrays_lock:
                _arrays[booster] = trees
            parts.made[known] = booster
        return parts.made[known]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probabilities ``(n_samples, n_classes)``, rows summing to 1; uniform before the first tree."""
        check_is_fitted(self, "classes_")
        return self.predict_scaled(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))

    def predict_scaled(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """:meth:`predict_proba` of windows that were checked before."""
        proba: NDArray[np.float32] = softmax(self._correct(X, self._base(X))[:, : len(self.classes_)], axis=1)
        return proba

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class; the earliest one on ties."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def _corrected(
    members: Sequence[BoostedTrees],
    taken: Sequence[Taken],
    y: NDArray[np.int64],
    weight: NDArray[np.float64],
    rehearsal: Rehearsal | None,
    n0: float,
) -> list[BoostedTrees]:
    """Copies of the members that have learnt the windows that were taken in, and nothing else."""
    new = [copy.copy(member) for member in members]
    for member in new:
        member.correction_ = None
    if not taken:
        return new
    first = members[0]
    rows, index = (np.concatenate([track[i] for track in taken]) for i in (0, 1))
    margins = np.concatenate([track[2] for track in taken], axis=1)
    answers = np.zeros((len(rows), first._n_outputs))
    answers[np.arange(len(rows)), y] = 1.0
    start, target = list(margins.astype(np.float64)), [answers] * len(new)
    if rehearsal is None:
        bins = Bins.of(rows, first.rehearse_bins)
        index = bins.index(rows)
    else:
        bins, known_index = _binned(rehearsal, first.rehearse_bins)
        index = np.concatenate([known_index, index])
        weight = np.concatenate([rehearsal.weight(len(first.classes_), n0), weight])
        known, odds = _known(rehearsal, members)
        start = [np.concatenate(pair) for pair in zip(known, start, strict=True)]
        target = [np.concatenate([mine, answers]) for mine in odds]
    for member, margin, wanted in zip(new, start, target, strict=True):
        member.correction_ = grow(
            bins,
            index,
            wanted,
            weight,
            margin,
            n_trees=member.rehearse_rounds,
            depth=member.rehearse_depth,
            settings=(member.rehearse_rate, member.reg_lambda, member.min_child_weight),
            seed=member.seed_,
        )
    return new


def _known(
    rehearsal: Rehearsal, members: Sequence[BoostedTrees]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Margins and probabilities of the rehearsal windows; the same members are asked once."""
    source = tuple(trees for member in members for trees in (member.booster_, *member.continued_))

    def ask() -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
        never_changes(rehearsal.X)
        margins = [member._base(rehearsal.X) for member in members]
        odds = [np.asarray(softmax(margin, axis=1), dtype=np.float64) for margin in margins]
        return [margin.astype(np.float64) for margin in margins], odds

    return rehearsal.memo.get("boosted", source, ask)


def _binned(rehearsal: Rehearsal, max_bin: int) -> tuple[Bins, NDArray[np.uint8]]:
    """Bins of a rehearsal buffer, and its windows in them."""

    def cut() -> tuple[Bins, NDArray[np.uint8]]:
        bins = Bins.of(rehearsal.X, max_bin)
        return bins, bins.index(rehearsal.X)

    return rehearsal.memo.get(("bins", max_bin), (), cut)


_threads_of: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_threads_lock = Lock(held_at_fork=True)


def _obey_budget(trees: Any) -> None:
    """Predict with as many threads as the budget allows.

    Only a change is passed on: a booster that is told a parameter is unusable for other threads until it has configured
    itself again.
    """
    if _threads_of.get(trees) == thread_budget():
        return
    with _threads_lock:
        if _threads_of.get(trees) == thread_budget():
            return
        trees.set_param({"nthread": thread_budget()})
        outside_openmp(trees.save_config)  # configures
        _threads_of[trees] = thread_budget()


_arrays: weakref.WeakKeyDictionary[Any, BoosterTrees] = weakref.WeakKeyDictionary()
_arrays_lock = Lock()


def _arrays_of(booster: Any, n_outputs: int, n_features: int) -> BoosterTrees:
    """The trees of a booster as arrays, the same arrays every time: boosters are replaced, never changed."""
    with _arrays_lock:
        found = _arrays.get(booster)
    if found is None:
        found = BoosterTrees.of(booster, n_outputs, n_features)
        with _arrays_lock:
            found = _arrays.setdefault(booster, found)
    return found
