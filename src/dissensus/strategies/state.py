"""The committee's mean over a pool, kept while its members change one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus import _backend
from dissensus._fork import at_fork
from dissensus._measures import Measure
from dissensus._memory import aligned_empty, aligned_zeros
from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import as_exclude, as_float, as_member_weight, as_proba, check_count
from dissensus.errors import ParameterError
from dissensus.strategies.disagreement import Top, in_blocks

__all__ = ["ConsensusState"]

_UNIT = 2.0**30
_SHARED = 256  # tracks that share a ceiling
_MEASURES = {measure.name: measure for measure in Measure if measure.of_the_mean}


class _ManyReadersOneWriter:
    """Queries side by side; an update alone. A waiting update goes before later queries."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting = 0
        self._forks = 0
        at_fork(self)

    def __reduce__(self) -> tuple[type[_ManyReadersOneWriter], tuple[()]]:
        """A copy of what it guards is used by nobody yet."""
        return _ManyReadersOneWriter, ()

    def _before_fork(self) -> None:
        """Let an update end, and none begin: a child must not meet half of one."""
        self._change.acquire()
        self._forks += 1
        self._change.wait_for(lambda: not self._writing)

    def _after_fork(self, *, in_child: bool) -> None:
        if in_child:  # who was reading or waiting is not here
            self._change = threading.Condition()
            self._readers = self._waiting = self._forks = 0
        else:
            self._forks -= 1
            self._change.notify_all()
            self._change.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._writing and self._waiting == 0)
            self._readers += 1
        try:
            yield
        finally:
            with self._change:
                self._readers -= 1
                self._change.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._change:
            self._waiting += 1
            try:
                self._change.wait_for(lambda: not (self._writing or self._readers or self._forks))
                self._writing = True
            finally:  # interrupted, it waits no longer: nobody may wait for it
                self._waiting -= 1
                self._change.notify_all()
        try:
            yield
        finally:
            with self._change:
                self._writing = False
                self._change.notify_all()


class ConsensusState:
    """The running mean of a committee over a pool: replace one member's predictions, rank again at once.

    The mean is kept in whole numbers (units of 2**-30), so that a sum does not depend on the order of updates and never
    drifts: after any history the state is, bit for bit, the one built from the same predictions afresh. An update notes,
    for every 256 tracks, what the best of them can score at most; a query passes over those who cannot be among the best,
    reads the mean of the others, not the members, and scores whatever could be among the best again in float64 from the
    members' rows: its answer is, bit for bit, that of :func:`dissensus.strategies.query_top` on all of them.

    Memory per million tracks of 4 classes: 16 MB for the mean, 2 MB for flags, 31 kB for what blocks can score, and the
    members' rows, 16 MB each in float32 (338 MB for twenty members); see :attr:`nbytes`. Growing keeps up to an eighth more.

    Queries of several threads run side by side, an update waits for them and runs alone.

    Parameters
    ----------
    proba : (n_members, n_tracks, n_classes) array_like of float
        Predictions to start from, copied; float32 or float64 is kept.
    member_weight : (n_members,) array_like of float, optional
        As in :func:`dissensus.strategies.consensus_entropy`.
    backend : {"auto", "native", "numba", "reference"}

    Raises
    ------
    ParameterError
        Wrong rank, no member, too many, or weights that do not match.

    Examples
    --------
    >>> state = ConsensusState([[[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]]])
    >>> state.query(1)
    Top(index=array([1]), utility=array([0.56233514]))
    >>> state.update(0, [[0, 1], [1, 0]])
    >>> state.query(1)
    Top(index=array([0]), utility=array([0.69314718]))
    """

    def __init__(self, proba: ArrayLike, *, member_weight: ArrayLike | None = None, backend: str = "auto") -> None:
        rows = as_proba(proba)
        if rows.shape[0] > 65535:
            raise ParameterError(f"a state holds at most 65535 members; got {rows.shape[0]}")
        self._weight = as_member_weight(member_weight, rows.shape[0])
        self._factor = self._weight / self._weight.sum() * _UNIT
        self._replace = _backend.resolve("replace_share", backend)
        self._top = _backend.resolve("state_top", backend)
        self._write = _backend.resolve("state_utility", backend)
        self._ceilings = _backend.resolve("state_ceilings", backend)
        self._lock = _ManyReadersOneWriter()
        self._n = 0
        self._held = np.empty((rows.shape[0], 0, rows.shape[2]), rows.dtype)
        self._total = np.empty((0, rows.shape[2]), np.int32)
        self._odd = np.empty(0, np.uint16)
        self._ceiling = np.empty((0, 2), np.float32)
        self._append(rows, slack=0)

    @property
    def n_members(self) -> int:
        """Members in the committee."""
        return int(self._held.shape[0])

    @property
    def n_tracks(self) -> int:
        """Tracks held now."""
        return self._n

    @property
    def n_classes(self) -> int:
        """Classes."""
        return int(self._held.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes in use, with the room kept for growth."""
        return int(self._held.nbytes + self._total.nbytes + self._odd.nbytes + self._ceiling.nbytes)

    def _arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        blocks = -(-self._n // _SHARED)
        return self._total[: self._n], self._odd[: self._n], self._ceiling[:blocks], self._held[:, : self._n]

    def update(self, member: int, proba: ArrayLike, *, n_threads: int | None = 1) -> None:
        """Replace the predictions of one member, over all tracks.

        Parameters
        ----------
        member : int
            Position in the committee.
        proba : (n_tracks, n_classes) array_like of float
            Its predictions now; copied.
        n_threads : int or None, default 1

        Raises
        ------
        ParameterError
            No such member, or another shape. The state is as before.
        """
        member = check_count(member, "member", minimum=0)
        if member >= self.n_members:
            raise ParameterError(f"member={member}: this committee has members 0..{self.n_members - 1}")
        array = np.asarray(proba)
        if array.dtype.kind not in "biuf":
            array = as_float(array, "proba")
        rows = np.require(array, dtype=self._held.dtype, requirements=["C", "A"]).view()
        rows.flags.writeable = False
        workers = resolve_threads(n_threads)
        with self._lock.writing():
            if rows.shape != (self._n, self.n_classes):
                raise ParameterError(
                    f"proba must be ({self._n}, {self.n_classes}), a row for every track; got shape {rows.shape}"
                )
            total, odd, ceiling, held = self._arrays()
            factor = float(self._factor[member])
            run_blocks(  # blocks of a multiple of _SHARED tracks: no two workers meet at a ceiling
                lambda start, stop: self._replace(total, odd, ceiling, held, member, rows, False, factor, start, stop),
                self._n,
                n_threads=workers,
            )

    def query(
        self,
        k: int,
        *,
        measure: str = "consensus_entropy",
        exclude: ArrayLike | None = None,
        n_threads: int | None = 1,
    ) -> Top:
        """The ``k`` tracks to ask about.

        Parameters
        ----------
        k : int
            How many, at least 0.
        measure : {"consensus_entropy", "margin"}
            What the mean alone can tell.
        exclude : array_like of int, or (n_tracks,) array_like of bool, optional
            Positions that may not be chosen.
        n_threads : int or None, default 1

        Returns
        -------
        Top
            As :func:`dissensus.strategies.query_top`.
        """
        k, number = check_count(k, "k", minimum=0), self._number_of(measure)
        with self._lock.reading():
            total, odd, ceiling, held = self._arrays()

            def best(excluded: NDArray[np.int64], start: int, stop: int, index: Any, score: Any) -> int:
                return int(
                    self._top(total, odd, ceiling, held, self._weight, number, excluded, start, stop, index, score)
                )

            return in_blocks(best, self._n, k, exclude, n_threads)

    def utility(self, *, measure: str = "consensus_entropy", n_threads: int | None = 1) -> NDArray[np.float32]:
        """Utility of every track, ``(n_tracks,)`` float32; NaN where the mean is no distribution."""
        number = self._number_of(measure)
        with self._lock.reading():
            total, odd, ceiling, held = self._arrays()
            out = np.empty(self._n, np.float32)
            run_blocks(
                lambda start, stop: self._write(total, odd, ceiling, held, self._weight, number, start, stop, out),
                self._n,
                n_threads=resolve_threads(n_threads),
            )
        return out

    def grow(self, proba: ArrayLike) -> NDArray[np.int64]:
        """Add tracks at the end.

        Parameters
        ----------
        proba : (n_members, n_new, n_classes) array_like of float
            Predictions of every member for the new tracks; copied.

        Returns
        -------
        (n_new,) ndarray of int64
            The positions they have now.
        """
        rows = as_proba(proba)
        if rows.shape[0] != self.n_members or rows.shape[2] != self.n_classes:
            raise ParameterError(
                f"proba must be ({self.n_members}, n_new, {self.n_classes}), as the state is; got shape {rows.shape}"
            )
        with self._lock.writing():
            before = self._n
            self._append(rows, slack=(before + rows.shape[1]) // 8)
            return np.arange(before, self._n)

    def drop(self, tracks: ArrayLike) -> None:
        """Forget tracks; those that stay keep their order and close up.

        Parameters
        ----------
        tracks : array_like of int, or (n_tracks,) array_like of bool
            Positions of the tracks to forget.
        """
        with self._lock.writing():
            stay = np.ones(self._n, bool)
            stay[as_exclude(tracks, self._n)] = False
            total, odd, _, held = self._arrays()
            total, odd, held = total[stay], odd[stay], np.ascontiguousarray(held[:, stay])
            n = len(odd)
            ceiling = np.empty((-(-n // _SHARED), 2), np.float32)
            self._ceilings(total, odd, ceiling, 0, n)
            # all at once: where memory ran out above, the state is as before
            self._total, self._odd, self._held, self._ceiling, self._n = total, odd, held, ceiling, n

    def _append(self, rows: NDArray[Any], *, slack: int) -> None:
        n = self._n + rows.shape[1]
        if n > len(self._odd):
            room = n + slack
            total, odd = aligned_zeros((room, self.n_classes), np.int32), np.zeros(room, np.uint16)
            ceiling = np.empty((-(-room // _SHARED), 2), np.float32)
            held = aligned_empty((self.n_members, room, self.n_classes), self._held.dtype)
            before = total[: self._n], odd[: self._n], ceiling[: -(-self._n // _SHARED)], held[:, : self._n]
            for to, kept in zip(before, self._arrays(), strict=True):
                to[...] = kept
            self._total, self._odd, self._ceiling, self._held = total, odd, ceiling, held
        new, blocks = slice(self._n, n), slice(-(-n // _SHARED))
        total, odd, held = self._total[new], self._odd[new], self._held[:, new]
        total[:], odd[:] = 0, 0
        part = np.empty((-(-rows.shape[1] // _SHARED), 2), np.float32)  # written below, when all members are in
        for member, given in enumerate(rows):
            row = np.asarray(given, held.dtype).view()  # of another type: converted a member at a time, not all at once
            row.flags.writeable = False
            factor = float(self._factor[member])
            self._replace(total, odd, part, held, member, row, True, factor, 0, rows.shape[1])
        self._ceilings(self._total[:n], self._odd[:n], self._ceiling[blocks], self._n, n)
        self._n = n

    @staticmethod
    def _number_of(measure: str) -> int:
        if measure not in _MEASURES:
            raise ParameterError(f"measure={measure!r}; the mean alone gives {' and '.join(_MEASURES)}")
        return int(_MEASURES[measure])
