"""A committee: classifiers that vote on tracks, with one scaler, one order of classes and one memory of where they started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import check_count
from dissensus.committee._columns import in_order, unlike, with_names
from dissensus.committee._rows import as_classes, as_labels, duplicate, encode
from dissensus.committee._tracks import number_tracks, track_runs
from dissensus.committee.linear_votes import Stack, add_votes, is_linear, stack_members, tile_tracks
from dissensus.committee.member import alike, fit_members, make_member, member_seed
from dissensus.committee.members import KINDS, kind_of
from dissensus.committee.members.margins import same_windows
from dissensus.committee.rehearsal import Rehearsal, draw_rehearsal
from dissensus.committee.scaler import Scaler, as_stored, inverse_scaling, refuse_window, standardised, stored_features
from dissensus.errors import ClassMismatchError, FeatureMismatchError, ParameterError

__all__ = ["Committee"]


class Committee:
    """Fitted classifiers that share classes, features and scaling.

    Callers pass raw features everywhere; the committee standardises them with the scaler it was pre-trained with.

    Parameters
    ----------
    members : sequence of fitted classifiers
        Ours or any others with ``classes_`` and ``predict_proba`` (see :mod:`dissensus.committee.member`).
    classes : (n_classes,) array_like
        The order of columns of every probability; members may know the classes in another order, but must know the same.
    n_features : int, optional
        Number of raw features. Default: that of the scaler, or of the first member that says so.
    scaler : Scaler, optional
        What members expect to be done to raw features. Default: nothing.
    member_kinds : sequence of str, optional
        A name per member.
    rehearsal : Rehearsal, optional
        Windows that personalised members must not forget; drawn by :meth:`pretrain`.
    feature_names, fingerprint
        What the features are; data that says otherwise is refused.
    base : Committee, optional
        The pre-trained committee that this one was personalised from.

    Attributes
    ----------
    members, member_kinds : tuple
    classes_ : (n_classes,) ndarray
    n_features_in_ : int
    scaler_ : Scaler or None
    rehearsal : Rehearsal or None
    base : Committee
        Where replay starts from; the committee itself unless it was personalised.
    member_columns : list of (ndarray of int64 or None)
        Per member, where the committee's classes are in its own; None where their orders agree.

    Raises
    ------
    ClassMismatchError
        A member knows other classes.
    FeatureMismatchError
        A member or the scaler expects another number of features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["Q1", "Q2"], 40)
    >>> X = rng.normal(size=(80, 3)) + (y == "Q1")[:, None]
    >>> committee = Committee.pretrain(X, y, np.arange(80) // 2, kinds=("gnb", "sgd"), n_folds=2)
    >>> committee.predict_proba(X[:6], ["a", "a", "b", "b", "b", "c"]).shape
    (4, 3, 2)
    """

    def __init__(
        self,
        members: Iterable[Any],
        classes: ArrayLike,
        *,
        n_features: int | None = None,
        scaler: Scaler | None = None,
        member_kinds: Sequence[str] | None = None,
        rehearsal: Rehearsal | None = None,
        feature_names: Sequence[str] | None = None,
        fingerprint: str | None = None,
        base: Committee | None = None,
    ) -> None:
        self.members: tuple[Any, ...] = tuple(members)
        self.classes_: NDArray[Any] = as_classes(classes)
        self.scaler_ = scaler
        self.rehearsal = rehearsal
        self.feature_names: tuple[str, ...] | None = None if feature_names is None else tuple(feature_names)
        self.fingerprint = fingerprint
        self._base = base
        if not self.members:
            raise ParameterError("a committee needs at least one member")
        self.member_kinds: tuple[str, ...] = (
            tuple(member_kinds) if member_kinds is not None else tuple(kind_of(member) for member in self.members)
        )
        if len(self.member_kinds) != len(self.members):
            raise ParameterError(f"{len(self.member_kinds)} member_kinds for {len(self.members)} members")
        self.n_features_in_ = self._count_features(n_features)
        self.member_columns = [self._columns_of(i) for i in range(len(self.members))]

    def _count_features(self, given: int | None) -> int:
        widths: list[tuple[str, int]] = [] if given is None else [("n_features", given)]
        if self.scaler_ is not None:
            widths.append(("the scaler", len(self.scaler_.mean)))
        if self.feature_names is not None:
            widths.append(("feature_names", len(self.feature_names)))
        for i, member in enumerate(self.members):
            if hasattr(member, "n_features_in_"):
                widths.append((f"member {i} ({self.member_kinds[i]})", int(member.n_features_in_)))
        if not widths:
            raise FeatureMismatchError("no member says how many features it takes; give n_features")
        for name, width in widths:
            if width != widths[0][1]:
                raise FeatureMismatchError(f"{name} has {width} features, but {widths[0][0]} has {widths[0][1]}")
        return widths[0][1]

    def _columns_of(self, i: int) -> NDArray[np.int64] | None:
        """Where this committee's classes are in the columns of member ``i``; None when they are in the same order."""
        known = np.asarray(self.members[i].classes_)
        if np.array_equal(known, self.classes_):
            return None
        if set(known.tolist()) != set(self.classes_.tolist()):
            raise ClassMismatchError(
                f"member {i} ({self.member_kinds[i]}) knows the classes {known.tolist()}, "
                f"the committee {self.classes_.tolist()}"
            )
        return encode(self.classes_, known)

    @classmethod
    def pretrain(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike,
        *,
        kinds: Sequence[str | Any] = ("gnb", "sgd", "xgb"),
        n_folds: int = 5,
        classes: ArrayLike | None = None,
        rehearsal_size: int = 512,
        random_state: int = 0,
        feature_names: Sequence[str] | None = None,
        fingerprint: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Train ``n_folds`` members of each kind, member ``j`` on all tracks outside fold ``j``.

        Folds are cut by track, stratified by the majority label of a track. The scaler is fitted on the windows given here
        and on no others: tracks that a listener will be tested on must not be among them.

        Parameters
        ----------
        X : (n_windows, n_features) array_like of float
            Raw features; a data frame gives their names too. Members learn from their float32 values, which is what a
            pool on disk holds.
        y : (n_windows,) array_like
            Label of each window.
        groups : (n_windows,) array_like
            Track of each window.
        kinds : sequence of str or estimator
            Of ``"gnb"``, ``"sgd"``, ``"xgb"``, or unfitted scikit-learn classifiers.
        n_folds : int
            Members per kind; with 1 the single member sees every track.
        classes : (n_classes,) array_like, optional
            All classes, in the order wanted. Default: sorted distinct labels.
        rehearsal_size : int
            Windows kept for rehearsal.
        random_state : int
            Seed of folds, members and rehearsal.
        feature_names, fingerprint
            Stored, and compared with later data.
        progress : callable, optional
            Called as ``progress(done, total)`` after each member.

        Raises
        ------
        LabelError
            A label is missing or not one of ``classes``.
        ParameterError
            Fewer tracks than folds, a group that is missing, or arrays that do not fit together.
        """
        X, names_of_features = with_names(X, feature_names)
        windows, labels = stored_features(X), as_labels(y)
        if labels.shape != (len(windows),):
            raise ParameterError(f"y must label each of the {len(windows)} windows; got shape {labels.shape}")
        known = as_classes(np.unique(labels) if classes is None else classes)
        index = encode(labels, known)
        track, _ = number_tracks(groups, len(windows))
        scaler = Scaler.fit(windows)
        scaled = scaler.transform(windows)
        names, members = fit_members(
            kinds, scaled, index, track, known, n_folds=n_folds, random_state=random_state, progress=progress
        )  # fmt: skip
        rehearsal = draw_rehearsal(
            scaled, index, track, n_classes=len(known), size=rehearsal_size, random_state=random_state
        )  # fmt: skip
        return cls(
            members, known, scaler=scaler, member_kinds=names, rehearsal=rehearsal,
            feature_names=names_of_features, fingerprint=fingerprint,
        )  # fmt: skip

    @classmethod
    def cold_start(
        cls,
        classes: ArrayLike,
        n_features: int,
        *,
        kinds: Sequence[str] = ("gnb", "sgd", "xgb"),
        X: ArrayLike | None = None,
        random_state: int = 0,
        feature_names: Sequence[str] | None = None,
        fingerprint: str | None = None,
    ) -> Self:
        """One member of each kind that knows nothing: every probability is ``1 / n_classes`` until answers come.

        Parameters
        ----------
        classes : (n_classes,) array_like
            All classes.
        n_features : int
            Number of raw features.
        kinds : sequence of str
            Of ``"gnb"``, ``"sgd"``, ``"xgb"``.
        X : (n_windows, n_features) array_like, optional
            Unlabelled windows, such as the pool's, to fit the scaler on. Without them features are taken as standardised.
        """
        known = as_classes(classes)
        members = []
        for k, kind in enumerate(kinds):
            if kind not in KINDS:
                raise ParameterError(f"no kind of member is called {kind!r}; there are {', '.join(KINDS)}")
            _, member = make_member(kind, member_seed(random_state, k, 0))
            members.append(member.know_nothing(known, check_count(n_features, "n_features")))
        scaler = None if X is None else Scaler.fit(stored_features(X, n_features=n_features))
        return cls(
            members, known, n_features=n_features, scaler=scaler, member_kinds=tuple(kinds),
            feature_names=feature_names, fingerprint=fingerprint,
        )  # fmt: skip

    @property
    def base(self) -> Committee:
        """The pre-trained committee: where a replay starts from."""
        return self if self._base is None else self._base

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.members)

    def with_members(self, members: Iterable[Any]) -> Committee:
        """A committee of other members that keeps everything else, and remembers where it started."""
        new = duplicate(self)
        new.members, new._base = tuple(members), self.base
        if not all(alike(a, b) for a, b in zip(new.members, self.members, strict=True)):  # else all has been checked
            new.n_features_in_ = new._count_features(self.n_features_in_)
            new.member_columns = [new._columns_of(i) for i in range(len(new.members))]
        return new

    def check_features(
        self, n_features: int, *, feature_names: Sequence[str] | None = None, fingerprint: str | None = None
    ) -> None:
        """Refuse data of another width, with other names or made by another feature plan.

        Raises
        ------
        FeatureMismatchError
            They differ. Names and fingerprints are compared where both sides have them.
        """
        if n_features != self.n_features_in_:
            raise FeatureMismatchError(
                f"X has {n_features} features, the committee was trained on {self.n_features_in_}"
            )
        if self.feature_names is not None and feature_names is not None and tuple(feature_names) != self.feature_names:
            raise FeatureMismatchError(unlike(feature_names, self.feature_names))
        if self.fingerprint is not None and fingerprint is not None and fingerprint != self.fingerprint:
            raise FeatureMismatchError(
                f"features were made by {fingerprint!r}, the committee was trained on {self.fingerprint!r}; extract them again"
            )

    def scale(self, X: ArrayLike) -> NDArray[np.float32]:
        """Raw features as members expect them: checked, standardised, float32.

        Raises
        ------
        FeatureMismatchError
            Another number of features.
        ParameterError
            A value is not finite.
        """
        windows = in_order(X, self.feature_names)
        if windows.ndim != 2:
            raise ParameterError(f"X must be (n_windows, n_features); got shape {windows.shape}")
        self.check_features(windows.shape[1])
        return standardised(windows, self.scaling)

    def predict_proba(
        self, X: ArrayLike, groups: ArrayLike | None = None, *, n_threads: int = 1, chunk_size: int = 8192
    ) -> NDArray[np.float32]:
        """Probabilities of every member for every track: the mean over the windows of a track.

        Parameters
        ----------
        X : (n_windows, n_features) array_like of float
            Raw features; a data frame may hold the columns in any order.
        groups : (n_windows,) array_like, optional
            Track of each window. Default: every window is a track.
        n_threads : int
            Threads of our own pool.
        chunk_size : int
            Windows worked on at a time, rounded to whole tracks.

        Returns
        -------
        (n_members, n_tracks, n_classes) ndarray of float32
            Tracks in order of first appearance in ``groups``; rows sum to 1.

        Raises
        ------
        FeatureMismatchError
            Another number of features.
        ParameterError
            ``groups`` does not fit ``X``, or a value is not finite.
        """
        windows = in_order(X, self.feature_names)
        if windows.ndim != 2:
            raise ParameterError(f"X must be (n_windows, n_features); got shape {windows.shape}")
        self.check_features(windows.shape[1])
        order, start = track_runs(groups, len(windows))
        n_tracks = len(start) - 1
        out = np.empty((self.n_members, n_tracks, len(self.classes_)), dtype=np.float32)
        if n_tracks == 0:
            return out
        cuts = np.unique(np.searchsorted(start, np.arange(0, start[-1] + chunk_size, chunk_size)).clip(max=n_tracks))
        stack = stack_members(self.members, self.member_columns)

        def score(first: int, last: int) -> None:
            for a, b in zip(cuts[first:last], cuts[first + 1 : last + 1], strict=True):
                rows = np.arange(start[a], start[b]) if order is None else order[start[a] : start[b]]
                block = windows[start[a] : start[b]] if order is None else windows[rows]
                self._score_block(stack, block, rows, start[a : b + 1] - start[a], out[:, a:b])

        run_blocks(score, len(cuts) - 1, n_threads=resolve_threads(n_threads), block_size=1)
        return out

    @property
    def scaling(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and inverse scale of each feature, as the kernels take them."""
        return inverse_scaling(self.scaler_, self.n_features_in_)

    def _score_block(
        self,
        stack: Stack,
        block: NDArray[Any],
        rows: NDArray[np.int64],
        start: NDArray[np.int64],
        out: NDArray[np.float32],
    ) -> None:
        """Fill ``out`` for tracks whose windows begin at ``start`` (one more than tracks); ``rows`` numbers the windows."""
        count = np.diff(start)[:, None]
        if len(stack.member):
            sums = np.zeros((len(stack.member), len(start) - 1, len(self.classes_)))
            windows = as_stored(block)
            refuse_window(add_votes(stack, windows, *self.scaling, start, tile_tracks(start), sums), rows)
            out[stack.member] = sums / count
        if len(stack.member) == self.n_members:
            return
        scaled = standardised(block, self.scaling, rows)
        with same_windows(scaled):
            for m, member in enumerate(self.members):
                if not is_linear(member):
                    proba = self.in_order(m, member.predict_proba(scaled))
                    out[m] = np.add.reduceat(proba, start[:-1], dtype=np.float64) / count

    def in_order(self, m: int, proba: ArrayLike) -> NDArray[Any]:
        """Probabilities of member ``m`` with its columns in this committee's order of classes.

        Raises
        ------
        ParameterError
            They are none: another number of columns, not finite, negative, or rows that do not sum to 1.
        """
        array, columns, n_classes = np.asarray(proba), self.member_columns[m], len(self.classes_)
        who = f"member {m} ({self.member_kinds[m]})"
        if array.ndim != 2 or array.shape[1] != n_classes:
            raise ParameterError(f"{who} gives probabilities of shape {array.shape}; a column per class is {n_classes}")
        good = np.abs(array.sum(axis=1) - 1.0) <= 1e-3
        if not good.all() or array.min(initial=0.0) < 0.0:
            row = int(np.flatnonzero(~good | (array < 0).any(axis=1))[0])
            raise ParameterError(
                f"{who} gives {array[row].tolist()} for window {row}: predict_proba must give finite numbers >= 0 that sum to 1"
            )
        return array if columns is None else array[:, columns]

    def save(self, path: str | Path) -> None:
        """Write the committee to one safetensors file (see :mod:`dissensus.committee.storage`).

        Raises
        ------
        ParameterError
            A member is not of a kind that can be saved.
        """
        from dissensus.committee.storage import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Committee:
        """Read a committee written by :meth:`save`. Nothing is unpickled and nothing in the file is executed.

        Raises
        ------
        ModelFormatError
            The file is damaged, of another format or of a newer version.
        UntrustedModelError
            It exceeds a limit or holds what a model file may not hold.
        """
        from dissensus.committee.storage import load

        return load(path)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        kinds = {kind: self.member_kinds.count(kind) for kind in dict.fromkeys(self.member_kinds)}
        listed = " + ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"Committee({listed}; {len(self.classes_)} classes, {self.n_features_in_} features)"
