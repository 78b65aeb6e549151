"""Which tracks a listener's answer about one track speaks for: the personal kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.coratings import CoRatings
from dissensus.personalisation.listener.map_logistic import centred_log
from dissensus.personalisation.listener.smooth_part import SmoothPart

__all__ = [
    "JOINT_WEIGHTS",
    "KEPT_BYTES",
    "CoRatings",
    "Covariance",
    "KernelTable",
    "Opinions",
    "PersonalKernel",
    "PersonalWeights",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Bytes of co-rating columns (and of descriptors') that are kept for one listener; what does not fit is made again when needed.
KEPT_BYTES: Final = 1 << 17
#: Cells of co-rating columns that are made at a time.
_CELLS: Final = 1 << 21


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


class Covariance(Protocol):
    """What a personal model asks of a kernel."""

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance between tracks of the catalogue."""

    def apply(self, tracks: Ints, coefficient: Floats) -> Floats:
        """``(n, k)`` covariance of the tracks that are asked about with ``tracks``, times their ``coefficient``."""

    def diagonal(self) -> Floats:
        """``(n,)`` prior variance of each track that is asked about."""


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


class Opinions(Protocol):
    """The crowd's probabilities without a listener."""

    def proba(self) -> Floats:
        """``(n, n_classes)`` of the tracks that are asked about."""

    def proba_of(self, tracks: Ints) -> Floats:
        """``(len(tracks), n_classes)`` of any tracks of the catalogue."""


class PersonalKernel:
    """Covariance of a listener's deviation between tracks of a catalogue, of which some are asked about.

    What is a listener's own is little: bias, opinion and group have closed forms, the columns of features are shared by
    all, and of the co-ratings at most :data:`KEPT_BYTES` of columns are kept; the others are made again when needed.

    Parameters
    ----------
    proba : (n_tracks, n_classes) ndarray, or Opinions
        The crowd prior without this listener.
    weights : PersonalWeights
        How much of each part.
    features, descriptors : (n_tracks, k) ndarray or SmoothPart, optional
        On comparable scales. A :class:`SmoothPart` of features is shared by many kernels.
    group : (n_catalogue,) ndarray of int64, optional
        Group of each track; −1 = none.
    coratings : CoRatings, optional
        Without this listener.
    opinion : (n_tracks, k) ndarray, optional
        What the opinion part is linear in. Default: the centred log probabilities.
    asked : (n,) ndarray of int64, optional
        The tracks that are asked about. Default: all.
    holds : bool
        Whether tables of the size of the pool may be kept between calls.
    """

    def __init__(
        self,
        proba: Floats | Opinions,
        weights: PersonalWeights,
        *,
        features: Floats | SmoothPart | None = None,
        descriptors: Floats | SmoothPart | None = None,
        group: Ints | None = None,
        coratings: CoRatings | None = None,
        opinion: Floats | None = None,
        asked: Ints | None = None,
        holds: bool = True,
    ) -> None:
        self._proba = proba
        self.weights = weights
        self.group = group if weights.group > 0 else None
        self.coratings = coratings if weights.corating > 0 else None
        self.asked = asked
        self._given = opinion
        self._opinion = opinion
        self.holds = holds
        parts = []
        for weight, table in ((weights.features, features), (weights.descriptors, descriptors)):
            if table is not None and not isinstance(table, SmoothPart):
                table = SmoothPart(table, weight, weights.length, KEPT_BYTES)
            parts.append(table)
        self._smooth = [p for p in parts if p is not None and p.weight > 0 and p.table.shape[1]]
        self._own = [part for part in self._smooth if part is not features]
        self._kept: dict[int, tuple[NDArray[np.int32], Floats]] = {}
        self._kept_bytes = 0
        self._full = False

    @property
    def proba(self) -> Floats:
        """``(n, n_classes)`` the crowd prior without this listener, of the tracks that are asked about."""
        return self._proba if isinstance(self._proba, np.ndarray) else self._proba.proba()

    def _proba_of(self, tracks: Ints) -> Floats:
        return np.asarray(self._proba[tracks] if isinstance(self._proba, np.ndarray) else self._proba.proba_of(tracks))

    @property
    def opinion(self) -> Floats:
        """``(n, k)`` what the opinion part is linear in."""
        if self._opinion is not None:
            return self._opinion
        opinion = centred_log(self.proba)
        if self.holds:
            self._opinion = opinion
        return opinion

    def _opinion_of(self, tracks: Ints) -> Floats:
        return centred_log(self._proba_of(tracks)) if self._given is None else self._given[tracks]

    @property
    def nbytes(self) -> int:
        """Bytes that are held for this listener alone; probabilities are counted by their owner."""
        opinion = 0 if self._opinion is None else self._opinion.nbytes
        return int(opinion + self._kept_bytes + sum(part.nbytes + part.table.nbytes for part in self._own))

    def column(self, track: int) -> Floats:
        """``(n,)`` covariance of every track that is asked about with ``track``."""
        return self.apply(np.array([track]), np.ones((1, 1)))[:, 0]

    def diagonal(self) -> Floats:
        """``(n,)`` prior variance of each track that is asked about."""
        weights, opinion = self.weights, self.opinion
        out: Floats = weights.bias + weights.opinion * np.einsum("tc,tc->t", opinion, opinion)
        out += sum(part.weight for part in self._smooth)
        if self.group is not None:
            out += weights.group * (self._group_asked() >= 0)
        if self.coratings is not None:
            out += weights.corating * self.coratings.diagonal(self.proba, weights.corating_shrink)
        return out

    def _group_asked(self) -> Ints:
        assert self.group is not None
        return self.group if self.asked is None else self.group[self.asked]

    def between(self, rows: Ints, tracks: Ints) -> Floats:
        """``(len(rows), len(tracks))`` covariance between tracks of the catalogue."""
        weights = self.weights
        there, own = self._proba_of(rows), self._proba_of(tracks)
        a, b = (
            self._given[some] if self._given is not None else centred_log(p)
            for some, p in ((rows, there), (tracks, own))
        )
        out: Floats = weights.opinion * (a @ b.T)
        out += weights.bias
        for part in self._smooth:
            out += part.between(rows, tracks)
        if self.group is not None:
            group = self.group[tracks]
            out += weights.group * ((self.group[rows, None] == group) & (group >= 0))
        if self.coratings is not None:
            out += (
                weights.corating * self.coratings.columns(tracks, there, weights.corating_shrink, own=own, rows=rows).T
            )
        return out

    def apply(self, tracks: Ints, coefficient: Floats) -> Floats:
        """``(n, k)`` covariance of the tracks that are asked about with ``tracks`` of the catalogue, times ``coefficient``."""
        weights = self.weights
        out: Floats = self.opinion @ (weights.opinion * (self._opinion_of(tracks).T @ coefficient))
        out += weights.bias * coefficient.sum(axis=0)
        for part in self._smooth:
            for some, columns in part.columns(tracks):
                out[some] += columns.T @ coefficient
        if self.group is not None:
            sums = np.zeros((int(self.group.max(initial=-1)) + 2, coefficient.shape[1]))  # the last row: no group
            known = self.group[tracks] >= 0
            np.add.at(sums, self.group[tracks][known], weights.group * coefficient[known])
            out += sums[self._group_asked()]
        if self.coratings is not None:
            self._add_corated(self.coratings, tracks, coefficient, out)
        return out

    def _add_corated(self, coratings: CoRatings, tracks: Ints, coefficient: Floats, out: Floats) -> None:
        """Add what co-ratings give; their columns are kept as long as they fit, sparse."""
        missing = []
        for i, track in enumerate(tracks.tolist()):
            entry = self._kept.get(track)
            if entry is None:
                missing.append(i)
            else:
                out[entry[0]] += entry[1][:, None] * coefficient[i]
        if not missing:
            return
        weights, proba = self.weights, self.proba
        step = max(1, _CELLS // max(len(proba), 1))
        for first in range(0, len(missing), step):
            some = np.array(missing[first : first + step])
            own = self._proba_of(tracks[some])
            columns = weights.corating * coratings.columns(tracks[some], proba, weights.corating_shrink, own=own)
            out += columns.T @ coefficient[some]
            for track, column in zip(tracks[some].tolist(), columns, strict=True):
                if self._full:
                    break
                places = np.flatnonzero(column).astype(np.int32)
                size = places.nbytes + 8 * len(places)
                self._full = self._kept_bytes + size > KEPT_BYTES
                if not self._full:
                    self._kept[track] = (places, column[places])
                    self._kept_bytes += size
