"""Which tracks a listener's answer about one track speaks for: the personal kernel, column by column."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.map_logistic import centred_log

__all__ = ["JOINT_WEIGHTS", "CoRatings", "Covariance", "KernelTable", "PersonalKernel", "PersonalWeights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PersonalWeights:
    """Prior variances of what can be personal. Zero switches a part off; so does data that lacks it.

    Parameters
    ----------
    bias : float
        Using some classes more than others, everywhere.
    opinion : float
        Answering differently where the crowd is of a given opinion (linear in its centred log probabilities).
    features, descriptors : float
        Shared by tracks with similar features, or with similar words of the others.
    group : float
        Shared by tracks of one group (selection, style).
    corating : float
        Shared by tracks whose raters deviated from the crowd in the same way on both.
    corating_shrink : float
        Common raters that a pair of tracks must have for half of that.
    length : float
        Length of both smooth kernels, in units of the square root of their number of columns.
    """

    bias: float = 0.1
    opinion: float = 1.0 / 15.0
    features: float = 0.2
    descriptors: float = 0.2
    group: float = 0.2
    corating: float = 0.5
    corating_shrink: float = 5.0
    length: float = 0.7

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ParameterError(f"{name}={value!r}: must not be negative")
        if self.length == 0:
            raise ParameterError("length=0: must be above zero")


#: One set of weights fitted to two data sets at once (35 listeners of TROMPA-MER, 28 of Soundtracks) by the likelihood of each
#: answer under the model without it: co-ratings count for much, but only where many people rated both tracks. Where tracks have
#: a hundred raters it is better than the default, where they have few it is the same.
JOINT_WEIGHTS: Final = PersonalWeights(corating=10.0, corating_shrink=100.0)


@dataclass(frozen=True, eq=False)
class CoRatings:
    """The other listeners' ratings, by listener and by track, for the co-rating part.

    Parameters
    ----------
    track, listener, label : (n,) ndarray of int64
        Ratings of everybody but the target listener.
    """

    track: Ints
    listener: Ints
    label: Ints

    def __post_init__(self) -> None:
        order = np.lexsort((self.track, self.listener))
        for name in ("track", "listener", "label"):
            object.__setattr__(self, name, getattr(self, name)[order])
        size = int(self.listener.max(initial=-1)) + 2
        object.__setattr__(self, "_start", np.searchsorted(self.listener, np.arange(size)))
        by_track = np.argsort(self.track, kind="stable")
        object.__setattr__(self, "_by_track", by_track)
        n_tracks = int(self.track.max(initial=-1)) + 2
        object.__setattr__(self, "_track_start", np.searchsorted(self.track[by_track], np.arange(n_tracks)))

    def diagonal(self, proba: Floats, shrink: float = 5.0) -> Floats:
        """``(n_tracks,)`` what :meth:`column` gives a track with itself."""
        n_tracks, n_classes = proba.shape
        rows = np.arange(len(self.track))
        residual = -proba[self.track]
        residual[rows, self.label] += 1.0
        sums = np.bincount(self.track, weights=np.einsum("rc,rc->r", residual, residual), minlength=n_tracks)
        out: Floats = sums / (n_classes * (np.bincount(self.track, minlength=n_tracks) + shrink))
        return out

    def column(self, track: int, proba: Floats, shrink: float = 5.0) -> Floats:
        """``(n_tracks,)`` mean product of residuals over common raters, shrunk by ``shrink`` more of them with none."""
        n_tracks, n_classes = proba.shape
        out = np.zeros(n_tracks)
        starts: Ints = self._track_start  # type: ignore[attr-defined]
        if track + 1 >= len(starts) or starts[track] == starts[track + 1]:
            return out
        raters = self._by_track[starts[track] : starts[track + 1]]  # type: ignore[attr-defined]
        first, last = (self._start[self.listener[raters] + i] for i in (0, 1))  # type: ignore[attr-defined]
        length = last - first
        which = np.repeat(np.arange(len(raters)), length)
        rows = np.arange(len(which)) - np.repeat(np.cumsum(length) - length, length) + np.repeat(first, length)
        other, one = self.track[rows], self.label[rows]
        here = np.eye(n_classes)[self.label[raters]] - proba[track]
        # (onehot(label) - proba[other]) . here, without building the one-hot
        product = here[which, one] - np.einsum("rc,rc->r", proba[other], here[which])
        sums = np.bincount(other, weights=product, minlength=n_tracks)
        common = np.bincount(other, minlength=n_tracks)
        out += sums / (n_classes * (common + shrink))
        return out


class Covariance(Protocol):
    """What a personal model asks of a kernel."""

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance."""

    def apply(self, tracks: Ints, coefficient: Floats) -> Floats:
        """``(n_tracks, k)`` covariance with ``tracks`` times ``coefficient`` ``(len(tracks), k)``."""

    def diagonal(self) -> Floats:
        """``(n_tracks,)`` prior variance of each track."""


class KernelTable:
    """A kernel of few tracks, all of it computed beforehand: for many models over the same tracks.

    Parameters
    ----------
    table : (n_tracks, n_tracks) ndarray
        Covariance.
    """

    def __init__(self, table: Floats) -> None:
        self.table = table

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance."""
        return np.asarray(self.table[np.ix_(rows, tracks)])

    def apply(self, tracks: Ints, coefficient: Floats) -> Floats:
        """``(n_tracks, k)`` covariance with ``tracks`` times ``coefficient`` ``(len(tracks), k)``."""
        return np.asarray(self.table[:, tracks] @ coefficient)

    def diagonal(self) -> Floats:
        """``(n_tracks,)`` prior variance of each track."""
        return self.table.diagonal().copy()


class PersonalKernel:
    """Covariance of a listener's deviation between tracks, kept one column for each answered track.

    Parameters
    ----------
    proba : (n_tracks, n_classes) ndarray
        The crowd prior without this listener.
    weights : PersonalWeights
        How much of each part.
    features, descriptors : (n_tracks, k) ndarray, optional
        On comparable scales.
    group : (n_tracks,) ndarray of int64, optional
        Group of each track; −1 = none.
    coratings : CoRatings, optional
        Without this listener.
    opinion : (n_tracks, k) ndarray, optional
        What the opinion part is linear in. Default: the centred log probabilities.
    """

    def __init__(
        self,
        proba: Floats,
        weights: PersonalWeights,
        *,
        features: Floats | None = None,
        descriptors: Floats | None = None,
        group: Ints | None = None,
        coratings: CoRatings | None = None,
        opinion: Floats | None = None,
    ) -> None:
        self.proba = proba
        self.weights = weights
        self.opinion = centred_log(proba) if opinion is None else opinion
        self.group = group
        self.coratings = coratings
        smooth = []
        for weight, table in ((weights.features, features), (weights.descriptors, descriptors)):
            if table is not None and table.shape[1] and weight > 0:
                smooth.append((weight, table, np.einsum("ij,ij->i", table, table)))
        self._smooth = smooth
        self._slot: dict[int, int] = {}
        self._columns = np.empty((0, len(proba)))
        self._lock = threading.Lock()

    def column(self, track: int) -> Floats:
        """``(n_tracks,)`` covariance of every track with ``track``."""
        weights = self.weights
        out: Floats = weights.opinion * (self.opinion @ self.opinion[track])
        out += weights.bias
        for weight, table, squares in self._smooth:
            part = table @ table[track]
            part *= -2.0
            part += squares
            part += squares[track]
            np.maximum(part, 0.0, out=part)
            part /= -2.0 * weights.length**2 * table.shape[1]
            np.exp(part, out=part)
            part *= weight
            out += part
        if self.group is not None and weights.group > 0 and self.group[track] >= 0:
            out += weights.group * (self.group == self.group[track])
        if self.coratings is not None and weights.corating > 0:
            out += weights.corating * self.coratings.column(track, self.proba, weights.corating_shrink)
        return out

    def diagonal(self) -> Floats:
        """``(n_tracks,)`` prior variance of each track."""
        weights = self.weights
        out: Floats = weights.bias + weights.opinion * np.einsum("tc,tc->t", self.opinion, self.opinion)
        out += sum(weight for weight, _, _ in self._smooth)
        if self.group is not None:
            out += weights.group * (self.group >= 0)
        if self.coratings is not None:
            out += weights.corating * self.coratings.diagonal(self.proba, weights.corating_shrink)
        return out

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance; the column of each of ``tracks`` is computed once and kept."""
        with self._lock:
            slots = self._slots(tracks)
            return np.asarray(self._columns[np.ix_(slots, rows)].T, dtype=np.float64)

    def apply(self, tracks: Ints, coefficient: Floats) -> Floats:
        """``(n_tracks, k)`` covariance with ``tracks`` times ``coefficient`` ``(len(tracks), k)``."""
        with self._lock:
            slots = self._slots(tracks)
            spread = np.zeros((len(self._slot), coefficient.shape[1]))
            spread[slots] = coefficient
            columns = self._columns[: len(self._slot)]
        return np.asarray(columns.T @ spread, dtype=np.float64)

    def _slots(self, tracks: Ints) -> Ints:
        """Where the columns of these tracks are; those that are missing are computed."""
        missing = [track for track in tracks.tolist() if track not in self._slot]
        need = len(self._slot) + len(missing)
        if need > len(self._columns):
            grown = np.empty((max(need, 2 * len(self._columns), 16), len(self.proba)))
            grown[: len(self._slot)] = self._columns[: len(self._slot)]
            self._columns = grown
        for track in missing:
            self._columns[len(self._slot)] = self.column(track)
            self._slot[track] = len(self._slot)
        return np.array([self._slot[track] for track in tracks.tolist()], dtype=np.int64)
