"""How a committee learns from one listener: replay (ours, the default) and incremental (the published baseline).

Both are pure: they return a new committee and leave the one they were given as it is. :func:`personalise` takes arrays;
:class:`Updates` serves sessions and evaluations, which come back to the same tracks.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus._fork import Lock
from dissensus.committee._rows import encode
from dissensus.committee._tracks import track_runs
from dissensus.committee.committee import Committee
from dissensus.committee.refit import refits, refitted, takes_weight
from dissensus.committee.rehearsal import thin
from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.told import Told, columns_of

__all__ = ["UPDATES", "PreparedTrack", "Updates", "personalise", "prepare_tracks", "replay"]

UPDATES = ("replay", "incremental")

#: Windows of a track in the published set-up (30 s in windows of 1 s that overlap by half). An incremental update gives a track
#: of fewer windows this weight: with less, boosting finds no leaf heavy enough and the update would silently do nothing.
PUBLISHED_WINDOWS = 60

#: Windows of an answered track that a replay looks at (evenly spaced; naive Bayes takes all). Neighbours overlap by half.
REPLAY_WINDOWS = 16

#: Bytes of prepared tracks that :class:`Updates` holds at most.
PREPARED_BYTES = 64 << 20


def personalise(
    committee: Committee,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    update: str = "replay",
    n0: float = REPLAY_WEIGHT,
    random_state: int = 0,
) -> Committee:
    """Teach a committee what one listener answered.

    ``"replay"`` refits every member from the pre-trained state that the committee carries, on all answers so far and on what
    it must not forget. The result is a function of the set of answers: their order does not matter, and leaving one out is
    the same, bit for bit, as never having had it. Each answered track weighs 1 in total, pre-training weighs ``n0``.

    ``"incremental"`` is the published procedure: every member continues on the new batch alone (``partial_fit``; 100 more
    rounds of boosting, at most ``BoostedTrees.max_rounds`` in all). A window weighs 1, windows of a track with fewer than 60
    weigh 60 together. It forgets, depends on order, and is here for comparison.

    Parameters
    ----------
    committee : Committee
        Pre-trained, cold, or personalised before.
    X : (n_windows, n_features) array_like of float
        Raw windows of the answered tracks.
    y : (n_windows,) array_like
        The listener's label of each window's track.
    groups : (n_windows,) array_like, optional
        Track of each window. Default: every window is a track.
    update : {"replay", "incremental"}
    n0 : float
        Weight of everything known before, in answered tracks. Ignored by members that were never pre-trained.
    random_state : int
        Incremental: seed of the order in which the windows of the batch are visited.

    Returns
    -------
    Committee

    Raises
    ------
    LabelError
        A label is not one of the committee's classes.
    FeatureMismatchError
        Another number of features.
    ParameterError
        Anything else that does not fit.
    """
    _check_update(update)
    _check_weight(n0)
    scaled = committee.scale(X)
    labels = np.asarray(y)
    if labels.shape != (len(scaled),):
        raise ParameterError(f"y must label each of the {len(scaled)} windows; got shape {labels.shape}")
    order, start = track_runs(groups, len(scaled))
    if order is not None:
        scaled, labels = scaled[order], labels[order]
    first = labels[start[:-1]]
    if (labels != np.repeat(first, np.diff(start))).any():
        encode(labels, committee.classes_)
        raise ParameterError("the windows of one track carry different labels; a listener gives one answer per track")
    index = encode(first, committee.classes_)
    if update == "incremental":
        return _continued(committee, scaled, start, index, random_state)
    return replay(committee, prepare_tracks(committee, scaled, start), index, n0=n0)


class PreparedTrack(NamedTuple):
    """A track, ready to be learnt from."""

    X: NDArray[np.float32]  # (n_windows, n_features) standardised
    key: tuple[int, bytes]  # length and first window, which mostly tell it from others
    taken: dict[type, Any]  # what each kind of member took in (see ``committee.member.TrackWise``)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        parts = [part for taken in self.taken.values() for part in (taken if isinstance(taken, tuple) else (taken,))]
        return self.X.nbytes + len(self.key[1]) + sum(getattr(part, "nbytes", 0) for part in parts)


def prepare_tracks(committee: Committee, X: NDArray[np.float32], start: NDArray[np.int64]) -> list[PreparedTrack]:
    """Let the pre-trained members take in tracks; what comes out serves every later :func:`replay` of the same base.

    Parameters
    ----------
    committee : Committee
        Pre-trained, cold, or personalised before.
    X : (n_windows, n_features) ndarray of float32
        From :meth:`Committee.scale`, track by track.
    start : (n_tracks + 1,) ndarray of int64
        First window of each track, and the end.

    Returns
    -------
    list of PreparedTrack
        One a track; none depends on the others.
    """
    prepared = [PreparedTrack(X[a:b].copy(), (b - a, X[a].tobytes()), {}) for a, b in pairwise(start.tolist())]
    base, every = committee.base, np.arange(len(X))
    for kind, members in _kinds(base):
        if prepared and hasattr(kind, "take_in"):
            row, begin = every, start
            if not getattr(kind, "rehearses_every_window", False):
                row, _ = thin(np.ones(len(X)), start, REPLAY_WINDOWS)
                begin = np.concatenate([[0], np.cumsum(np.minimum(np.diff(start), REPLAY_WINDOWS))])
            taken = kind.take_in([base.members[i] for i in members], X, row, begin, rehearsal=base.rehearsal)
            for track, part in zip(prepared, taken, strict=True):
                track.taken[kind] = part
    return prepared


def _kinds(committee: Committee) -> list[tuple[Any, list[int]]]:
    """The kinds of members, and where they are."""
    kinds: dict[type, list[int]] = {}
    for i, member in enumerate(committee.members):
        kinds.setdefault(type(member), []).append(i)
    return list(kinds.items())


def replay(committee: Committee, prepared: Sequence[PreparedTrack], y: NDArray[np.int64], *, n0: float) -> Committee:
    """The committee after these answers: :func:`personalise` of tracks that were prepared before.

    Answers are put in an order that only their contents decide, so that sums come out the same whatever came first.

    Parameters
    ----------
    committee : Committee
        Of the same base as the one that prepared the tracks.
    prepared : sequence of PreparedTrack
        From :func:`prepare_tracks`.
    y : (n_tracks,) ndarray of int64
        Class index of each.
    n0 : float
        As in :func:`personalise`.
    """
    _check_weight(n0)
    base = committee.base
    order = _by_contents(prepared, y)
    prepared, y = [prepared[i] for i in order], y[order]

    @cache
    def every() -> dict[str, Any]:
        length = np.array([len(track.X) for track in prepared], dtype=np.int64)
        X = (
            np.concatenate([track.X for track in prepared])
            if prepared
            else np.empty((0, base.n_features_in_), np.float32)
        )
        given = {"X": X, "y": np.repeat(y, length), "weight": np.repeat(1.0 / length, length)}
        return given | {"rehearsal": base.rehearsal, "n0": n0}

    @cache
    def few() -> dict[str, Any]:
        if not prepared:
            return every()
        start = np.concatenate([[0], np.cumsum([len(track.X) for track in prepared])])
        chosen, share = thin(every()["weight"], start, REPLAY_WINDOWS)
        return every() | {"X": every()["X"][chosen], "y": every()["y"][chosen], "weight": share}

    members = list(base.members)
    for kind, where in _kinds(base):
        mine = [members[i] for i in where]
        answers = every if getattr(kind, "rehearses_every_window", False) else few
        if hasattr(kind, "take_in"):
            taken = [track.taken[kind] for track in prepared]
            taught = kind.rehearse_tracks(mine, taken, y, rehearsal=base.rehearsal, n0=n0)
        elif hasattr(kind, "rehearse_together"):
            taught = kind.rehearse_together(mine, **answers())
        elif hasattr(kind, "rehearse"):
            taught = [member.rehearse(**answers()) for member in mine]
        elif prepared and base.rehearsal is not None and refits(mine[0]):
            given = few()
            taught = [refitted(base, i, given["X"], given["y"], given["weight"], n0=n0) for i in where]
        else:
            continue
        for i, member in zip(where, taught, strict=True):
            members[i] = member
    return base.with_members(members)


def _check_update(update: str) -> None:
    if update not in UPDATES:
        raise ParameterError(f"update={update!r}; choose {' or '.join(map(repr, UPDATES))}")


def _check_weight(n0: float) -> None:
    if not n0 > 0:
        raise ParameterError(f"n0={n0!r}: the weight of what was known before must be positive")


def _by_contents(prepared: Sequence[PreparedTrack], y: NDArray[np.int64]) -> list[int]:
    """The order of the tracks by label, length and contents; mostly their first windows tell them apart."""
    first = [(label, *track.key) for label, track in zip(y.tolist(), prepared, strict=True)]
    if len(set(first)) == len(first):
        return sorted(range(len(first)), key=first.__getitem__)
    return sorted(range(len(first)), key=lambda i: (*first[i][:2], prepared[i].X.tobytes()))


def _continued(
    committee: Committee, X: NDArray[np.float32], start: NDArray[np.int64], index: NDArray[np.int64], seed: int
) -> Committee:
    """Each member continues from where it is, on the windows of these tracks (``start``: where they begin) and classes."""
    if len(index) == 0:
        return committee
    length = np.diff(start)
    weight = np.repeat(np.maximum(1.0, PUBLISHED_WINDOWS / length), length)
    shuffled = np.random.default_rng(seed).permutation(len(X))
    labels = committee.classes_[np.repeat(index, length)[shuffled]]
    rows, weight = X[shuffled], weight[shuffled]
    return committee.with_members([_continue(member, rows, labels, weight) for member in committee.members])


def _continue(member: Any, X: NDArray[np.float32], y: NDArray[Any], weight: NDArray[np.float64]) -> Any:
    if not hasattr(member, "partial_fit"):
        return member
    if not takes_weight(member.partial_fit):
        raise ParameterError(
            f"{type(member).__name__}.partial_fit takes no sample_weight, which the incremental rule needs; add the argument, or "
            "learn by update='replay'"
        )
    return copy.deepcopy(member).partial_fit(X, y, sample_weight=weight)


class Updates:
    """How one committee becomes many listeners' over one set of tracks: by one rule, each track prepared once for all of them.

    Several threads may ask at once.

    Parameters
    ----------
    start : Committee
        What every listener starts from.
    pool : Pool
        The tracks that may be answered; only the windows of those that were answered are read.
    update, n0, random_state
        As in :func:`personalise`.
    """

    def __init__(
        self,
        start: Committee,
        pool: Pool,
        *,
        update: str = "replay",
        n0: float = REPLAY_WEIGHT,
        random_state: int = 0,
    ) -> None:
        _check_update(update)
        _check_weight(n0)
        self.start = start
        self.update, self.n0, self.random_state = update, n0, random_state
        self._pool = pool
        self._lock = Lock()
        self._prepared: OrderedDict[int, PreparedTrack] = OrderedDict()
        self._prepared_bytes = 0

    def taught(self, told: Told, current: Committee | None = None, known: Told = ()) -> Committee:
        """The committee after exactly these batches of answers.

        Parameters
        ----------
        told : tuple of tuples of (track index, class index)
            All batches so far, oldest first.
        current, known
            A committee and the batches that it knows. The incremental rule goes on from there where ``told`` begins with
            them; else, and under replay always, it begins at the start.
        """
        if self.update == "replay":
            track, label = columns_of(told)
            return replay(self.start, self._tracks(track.tolist()), label, n0=self.n0)
        committee = self.start
        if current is not None and told[: len(known)] == known:
            committee, told = current, told[len(known) :]
        for batch in told:
            track, label = columns_of((batch,))
            X, start = self._pool.windows_of(track)
            committee = _continued(committee, committee.scale(X), start, label, self.random_state)
        return committee

    def _tracks(self, tracks: Sequence[int]) -> list[PreparedTrack]:
        """What replay needs of these tracks; those that were asked for least recently are forgotten first."""
        with self._lock:
            found = {i: self._prepared[i] for i in dict.fromkeys(tracks) if i in self._prepared}
            for i in found:
                self._prepared.move_to_end(i)
        missing = [i for i in dict.fromkeys(tracks) if i not in found]
        if missing:
            X, start = self._pool.windows_of(missing)
            prepared = prepare_tracks(self.start, self.start.scale(X), start)
            found |= zip(missing, prepared, strict=True)
            with self._lock:
                for i, track in zip(missing, prepared, strict=True):
                    if self._prepared.setdefault(i, track) is track:
                        self._prepared_bytes += track.nbytes
                while self._prepared_bytes > PREPARED_BYTES and self._prepared:
                    self._prepared_bytes -= self._prepared.popitem(last=False)[1].nbytes
        return [found[i] for i in tracks]
