"""A pool prepared once, so that a committee that learnt a little is asked again for little.

After an answer most of a committee is what it was. Kept per pool: the standardised windows, the scores of the pre-trained
linear members, the windows in the small space where a listener's logistic weights may move, and the margins of the
pre-trained trees. A new committee of the same base then costs the changed classes of naive Bayes, a product in the small
space, and the new trees.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._fork import Lock
from dissensus._mean import mean_member
from dissensus._memory import aligned_empty, aligned_zeros
from dissensus._threads import resolve_threads, run_blocks
from dissensus.committee._memo import Memo
from dissensus.committee._tracks import track_runs
from dissensus.committee.committee import Committee
from dissensus.committee.linear_votes import (
    LANES,
    Stack,
    common_weights,
    count_panels,
    is_linear,
    scratch,
    stack_members,
    straight_weights,
    tile_tracks,
)
from dissensus.committee.members.logistic import principal_axes
from dissensus.committee.members.margins import never_changes
from dissensus.committee.scaler import as_stored, refuse_window
from dissensus.errors import ParameterError

__all__ = ["TrackScorer"]

#: Tiles, and panels, that one task of the thread pool takes.
_TILES_A_TASK, _PANELS_A_TASK = 16, 128


class TrackScorer:
    """Probabilities of one pool's tracks by a committee and its descendants.

    Results depend on the pool and the committee asked about alone, never on which committees were asked about before; they
    equal :meth:`Committee.predict_proba` to about 1e-6. Memory: four bytes per feature and window (eight where there are
    linear and other members), and four per window for every class of every member and for each of the ``rank`` dimensions of
    a listener's space.

    Several host threads may ask at the same time. Whoever comes first keeps the scores of naive Bayes for its next question
    and looks at less then; the others work all of them out, to the same bits.

    Parameters
    ----------
    committee : Committee
        Pre-trained (or a descendant: its ``base`` counts).
    X : (n_windows, n_features) array_like of float
        Raw features of the pool.
    groups : (n_windows,) array_like, optional
        Track of each window. Default: every window is a track.
    n_threads : int
        Threads of our own pool.
    """

    def __init__(
        self,
        committee: Committee,
        X: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        n_threads: int = 1,
        backend: str = "auto",
    ) -> None:
        self._base = committee.base
        self._n_threads = resolve_threads(n_threads)
        self._backend = backend
        windows = np.asarray(X)
        order, self._start = track_runs(groups, len(windows))
        self._count = np.maximum(np.diff(self._start), 1)[:, None]
        windows = as_stored(windows if order is None else windows[order])
        self._tiles = tile_tracks(self._start)
        self._cuts = _cut(self._tiles)
        self._kept = Lock()  # never waited for
        self._memo = Memo()
        self._windows = windows[:0].astype(np.float32)
        if not all(is_linear(member) for member in self._base.members):
            self._windows = self._base.scale(windows)
            never_changes(self._windows)
        self._parts = _parts(self._tiles, self._cuts, self._start)
        self._panels = aligned_empty((count_panels(self._tiles), self._base.n_features_in_, LANES))
        self._lay(windows, order)
        self._prepare_linear()

    def _lay(self, windows: NDArray[Any], order: NDArray[np.int64] | None) -> None:
        """Standardise the windows into panels."""
        self._base.check_features(windows.shape[1])
        kernel, scaling, bad = resolve("lay_panels", self._backend), self._base.scaling, []

        def task(first: int, last: int) -> None:
            begin, end = self._cuts[first], self._cuts[last]
            bad.append(kernel(windows, *scaling, self._start, self._tiles, begin, end, self._panels))

        run_blocks(task, len(self._cuts) - 1, n_threads=self._n_threads, block_size=1)
        found = [row for row in bad if row >= 0]
        refuse_window(min(found, default=-1), order)

    @staticmethod
    def bytes_for(committee: Committee, n_windows: int) -> int:
        """Memory that a pool of this many windows takes, to within a few per cent."""
        linear = sum(is_linear(member) for member in committee.members)
        others = committee.n_members - linear
        held = (int(linear > 0) + int(others > 0)) * committee.n_features_in_
        per_window = held + committee.n_members * len(committee.classes_) + 32
        return 4 * n_windows * per_window

    def _prepare_linear(self) -> None:
        """Scores of the base's linear members, and the windows in the listener's space."""
        base = self._base
        self._common = common_weights(base.members)
        usual = self._stack(base)
        width = base.n_features_in_
        self._axes = np.zeros((width, 0))
        if base.rehearsal is not None and len(usual.straight):
            first = base.members[int(usual.member[usual.n_softmax])]
            self._axes = principal_axes(base.rehearsal, getattr(first, "rank", 0))
        self._small, self._bent, self._straight = (
            aligned_zeros((len(self._panels), n, LANES))
            for n in (self._axes.shape[1], len(usual.bent), len(usual.straight))
        )
        axes = np.ascontiguousarray(self._axes.T, dtype=np.float32)
        self._hold(axes, axes[:0], np.arange(len(axes)), self._small)
        self._hold(usual.straight, usual.straight[:0], np.arange(len(usual.straight)), self._straight)
        column = np.arange(len(usual.bent))
        self._hold(usual.bent, usual.bend, column, self._bent)
        self._held = (usual.bent, usual.bend)

    def _stack(self, committee: Committee) -> Stack:
        return stack_members(committee.members, committee.member_columns, common=self._common)

    def _hold(
        self,
        linear: NDArray[np.float32],
        quadratic: NDArray[np.float32],
        column: NDArray[np.int64],
        held: NDArray[np.float32],
    ) -> None:
        """Score all windows with some weights, into the rows ``column`` of ``held``."""
        if len(column) == 0:
            return
        kernel = resolve("panel_scores", self._backend)

        def task(first: int, last: int) -> None:
            kernel(self._panels, first, last, linear, quadratic, column, held)

        run_blocks(task, len(self._panels), n_threads=self._n_threads, block_size=_PANELS_A_TASK)

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self._start) - 1

    def predict_proba(self, committee: Committee) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)``: what :meth:`Committee.predict_proba` says about this pool.

        Raises
        ------
        ParameterError
            The committee does not descend from the one that the pool was prepared for.
        """
        if committee.base is not self._base:
            raise ParameterError("this pool was prepared for another committee; make a TrackScorer for this one")
        shape = (committee.n_members, self.n_tracks, len(committee.classes_))
        out = np.empty(shape, dtype=np.float32)

        def put(first: int, last: int, proba: NDArray[np.float32]) -> None:
            out[:, first:last] = proba

        self._score(committee, put)
        return out

    def consensus(self, committee: Committee) -> NDArray[np.float32]:
        """``(n_tracks, n_classes)``: to the bit the members' mean of :meth:`predict_proba`, which is never held as a whole.

        Raises
        ------
        ParameterError
            As :meth:`predict_proba`.
        """
        if committee.base is not self._base:
            raise ParameterError("this pool was prepared for another committee; make a TrackScorer for this one")
        out = np.empty((self.n_tracks, len(committee.classes_)), dtype=np.float32)

        def put(first: int, last: int, proba: NDArray[np.float32]) -> None:
            mean_member(proba, out=out[first:last])

        self._score(committee, put)
        return out

    def _score(self, committee: Committee, put: Callable[[int, int, NDArray[np.float32]], None]) -> None:
        """Hand the members' probabilities to ``put(first, last, proba)``, some tracks at a time."""
        if self.n_tracks == 0:
            return
        others = {
            m: np.add.reduceat(committee.in_order(m, self._other_proba(m, member)), self._start[:-1], dtype=np.float64)
            for m, member in enumerate(committee.members)
            if not is_linear(member)
        }
        stack = self._stack(committee)
        move, straight = self._move(committee, stack)
        n_classes = len(committee.classes_)
        kernel = resolve("panel_votes", self._backend)
        mine = self._kept.acquire(blocking=False)
        try:
            column = self._changed(stack) if mine else np.arange(len(stack.bent))
            linear, quadratic = stack.bent[column], stack.bend[column]
            if len(column) and mine:  # nothing is held until the pass is through
                self._held = (np.full_like(stack.bent, np.nan), np.full_like(stack.bend, np.nan))

            def task(number: int, _: int) -> None:
                part = self._parts[number]
                first, last = part.tracks
                panels = slice(*part.panels)
                proba = np.empty((committee.n_members, last - first, n_classes), dtype=np.float32)
                count = self._count[first:last]
                if len(stack.member):
                    held = self._bent[panels] if mine else _spare(part, len(stack.bent))
                    sums = np.zeros((len(stack.member), last - first, n_classes))
                    kernel(
                        self._panels[panels], linear, quadratic, column, held, straight[panels], self._small[panels], move,
                        part.start, part.tiles, 0, len(part.tiles), stack.offset, stack.n_softmax, scratch(stack), sums,
                    )  # fmt: skip
                    proba[stack.member] = sums / count
                for m, total in others.items():
                    proba[m] = total[first:last] / count
                put(first, last, proba)

            run_blocks(task, len(self._parts), n_threads=self._n_threads, block_size=1)
            if mine:
                self._held = (stack.bent, stack.bend)
        finally:
            if mine:
                self._kept.release()

    def _changed(self, stack: Stack) -> NDArray[np.int64]:
        """Rows of the naive Bayes members that are not the ones held: the classes that were told."""
        bent, bend = self._held
        return np.flatnonzero((stack.bent != bent).any(axis=1) | (stack.bend != bend).any(axis=1))

    def _move(self, committee: Committee, stack: Stack) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coordinates of the logistic weights in the listener's space, and the scores that they are added to.

        Weights that left the space (an incremental update, another training) are scored anew.
        """
        where = stack.member[stack.n_softmax :]
        move = np.zeros((len(stack.straight), self._axes.shape[1]), dtype=np.float32)
        if len(where) == 0:
            return move, self._straight
        coef, usual = (
            straight_weights(source.members, source.member_columns, where) for source in (committee, self._base)
        )
        step = coef - usual
        inside = step @ self._axes
        if np.abs(step - inside @ self._axes.T).max() <= 1e-9 * max(1.0, float(np.abs(coef).max())):
            move[: len(inside)] = inside
            return move, self._straight
        scores = aligned_zeros(self._straight.shape)
        self._hold(stack.straight, stack.straight[:0], np.arange(len(stack.straight)), scores)
        return move, scores

    def _other_proba(self, m: int, member: Any) -> NDArray[Any]:
        """Probabilities of the windows by a member that is not linear; trees it shares with the base are not asked again."""
        if hasattr(member, "predict_scaled"):
            return np.asarray(member.predict_scaled(self._windows))
        return self._memo.get(m, (member,), lambda: np.asarray(member.predict_proba(self._windows)))


def _cut(tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where one task's tiles end and the next one's begin; a track is never worked on by two tasks."""
    opens = np.flatnonzero(np.diff(tiles[:, 2], prepend=-1))
    return np.append(
        opens[np.unique(np.searchsorted(opens, np.arange(0, len(tiles), _TILES_A_TASK)).clip(max=len(opens) - 1))],
        len(tiles),
    )


class _Part(NamedTuple):
    """Tracks that one task works on, numbered from 0, and where they lie in the whole."""

    tracks: tuple[int, int]
    panels: tuple[int, int]
    start: NDArray[np.int64]
    tiles: NDArray[np.int64]


def _parts(tiles: NDArray[np.int64], cuts: NDArray[np.int64], start: NDArray[np.int64]) -> list[_Part]:
    parts = []
    for begin, end in pairwise(cuts.tolist()):
        mine = tiles[begin:end].copy()
        tracks = int(mine[0, 2]), int(mine[-1, 2] + mine[-1, 3])
        panels = int(mine[0, 4]), int(mine[-1, 4] + -(-mine[-1, 1] // LANES))
        mine -= np.array([mine[0, 0], 0, tracks[0], 0, panels[0]])
        parts.append(_Part(tracks, panels, start[tracks[0] : tracks[1] + 1] - start[tracks[0]], mine))
    return parts


_room = threading.local()


def _spare(part: _Part, n_rows: int) -> NDArray[np.float32]:
    """Room for the scores of a part, one for each thread; what is in it does not matter."""
    n_panels = part.panels[1] - part.panels[0]
    room = getattr(_room, "scores", None)
    if room is None or room.shape[1] != n_rows or len(room) < n_panels:
        room = _room.scores = aligned_empty((n_panels, n_rows, LANES))
    mine: NDArray[np.float32] = room[:n_panels]
    return mine
