"""One version of the crowd: everybody's ratings, their posterior, and what they say of tracks, with somebody left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import check_count
from dissensus.errors import LabelError, ParameterError
from dissensus.personalisation.listener.crowd_gp import ExactPosterior
from dissensus.personalisation.listener.crowd_inducing import InducingPosterior
from dissensus.personalisation.listener.ratings import MAX_EDITS, RatingRows, Ratings

__all__ = ["SOURCES", "CrowdBelief", "CrowdSettings", "CrowdVersion", "floored", "indices"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Where a track's probabilities come from, by code: own ratings smoothed by the model, counted ratings of many people,
#: features alone, features and a weak label.
SOURCES: Final = ("ratings", "counts", "features", "features and weak label")


@dataclass(frozen=True)
class CrowdSettings:
    """Weights of the crowd prior. The defaults were chosen on TROMPA-MER and are flat around their values.

    Parameters
    ----------
    feature_weight, track_weight, listener_weight, noise : float
        Variances: shared by tracks with similar features, a track's own, a listener's habit, of one rating.
    length : float
        Length of the feature kernel, in units of the square root of the number of columns.
    floor : float
        No class gets less than this before probabilities are rescaled to sum to 1.
    weak_strength : float
        Power of the weak label's factor (.85 on its class, .05 elsewhere) on tracks that nobody rated.
    many_raters : int
        A track with at least so many raters is counted, not modelled.
    """

    feature_weight: float = 0.2
    track_weight: float = 0.3
    listener_weight: float = 0.02
    noise: float = 1.0
    length: float = 0.7
    floor: float = 0.01
    weak_strength: float = 0.15
    many_raters: int = 50

    def __post_init__(self) -> None:
        for name in ("track_weight", "listener_weight", "noise", "length"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name}={getattr(self, name)!r}: must be above zero")
        for name in ("feature_weight", "weak_strength"):
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name}={getattr(self, name)!r}: must not be negative")
        if not 0 < self.floor < 0.25:
            raise ParameterError(f"floor={self.floor!r}: must be above 0 and below 0.25")
        check_count(self.many_raters, "many_raters")


@dataclass(frozen=True, eq=False)
class CrowdBelief:
    """What a crowd without somebody thinks.

    Attributes
    ----------
    proba : (n_tracks, n_classes) ndarray of float64
        Rows sum to 1.
    n_raters : (n_tracks,) ndarray of int64
        Ratings behind each row; 0 = the row comes from features.
    source : (n_tracks,) ndarray of int64
        Index into :data:`SOURCES`.
    class_frequency : (n_classes,) ndarray of float64
        Share of each class among the crowd's ratings; the decision rule divides by a power of it.
    """

    proba: Floats
    n_raters: Ints
    source: Ints
    class_frequency: Floats

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.proba.nbytes + self.n_raters.nbytes + self.source.nbytes + self.class_frequency.nbytes)


@dataclass(frozen=True, eq=False)
class Remaining:
    """A crowd of which some ratings are left out: what a belief about any track is made of.

    Attributes
    ----------
    version : CrowdVersion
        The crowd.
    ratings : Ratings
        Those that remain.
    effect : Effects or ndarray
        Of the tracks.
    """

    version: CrowdVersion
    ratings: Ratings
    effect: Any
    counts: dict[int, Ints]

    @property
    def nbytes(self) -> int:
        """Bytes held by this alone."""
        return int(self.effect.nbytes + self.ratings.gone.nbytes + self.ratings.extra.nbytes)

    def belief(self, tracks: Ints | None = None, instrument: ArrayLike | int = 0) -> CrowdBelief:
        """Probabilities of these tracks (default: all), as they are for each whatever the others."""
        version = self.version
        settings, n_classes = version.settings, version.n_classes
        rows = np.arange(version.n_tracks) if tracks is None else tracks
        if isinstance(self.effect, np.ndarray):
            effect = self.effect if tracks is None else self.effect[rows]
        else:
            effect = self.effect.of(tracks)
        frequency = frequencies(sum(self.counts.values(), np.zeros(n_classes, dtype=np.int64)))
        proba = frequency + effect[:, :-1] - effect[:, -1:] * frequency
        n_raters = self._n_raters(tracks)
        source = np.where(n_raters > 0, 0, 2)
        proba = floored(proba, settings.floor)
        weak_label = version.weak_label[rows]
        weak = np.flatnonzero((n_raters == 0) & (weak_label >= 0))
        if len(weak) and settings.weak_strength > 0:
            source[weak] = 3
            proba[weak, weak_label[weak]] *= (0.85 / 0.05) ** settings.weak_strength
            proba[weak] = floored(proba[weak] / proba[weak].sum(axis=1, keepdims=True), settings.floor)
        asked = np.asarray(instrument)
        self._count_where_many(proba, source, n_raters, rows, asked[rows] if asked.ndim else asked)
        return CrowdBelief(proba, n_raters, source.astype(np.int64), frequency)

    def _n_raters(self, tracks: Ints | None) -> Ints:
        if tracks is None:
            return self.ratings.n_raters.copy()
        return np.diff(self.ratings.of_tracks(tracks).start)

    def _count_where_many(
        self, proba: Floats, source: NDArray[Any], n_raters: Ints, tracks: Ints, instrument: NDArray[Any]
    ) -> None:
        """Overwrite the rows of tracks with many raters by smoothed counts within the track's instrument."""
        settings, n_classes = self.version.settings, self.version.n_classes
        many = np.flatnonzero(n_raters >= settings.many_raters)
        if len(many) == 0:
            return
        asked = np.broadcast_to(instrument, (len(tracks),))[many]
        some: RatingRows = self.ratings.of_tracks(tracks[many])
        owner = some.owner()
        same = self.ratings.columns(some.row)[3] == asked[owner]
        flat = owner[same] * n_classes + some.label[same]
        votes = np.bincount(flat, minlength=len(many) * n_classes).reshape(len(many), n_classes)
        total = votes.sum(axis=1, keepdims=True)
        rated = np.flatnonzero(total[:, 0] > 0)
        for value in np.unique(asked[rated]).tolist():
            here = rated[asked[rated] == value]
            pseudo = 2.0 * frequencies(self.counts.get(value, np.zeros(n_classes, dtype=np.int64)))
            proba[many[here]] = floored((votes[here] + pseudo) / (total[here] + 2.0), settings.floor)
        source[many[rated]] = 1


@dataclass(frozen=True, eq=False)
class CrowdVersion:
    """Everybody's ratings at one moment. Immutable: whoever holds it sees the same crowd, whatever comes in meanwhile.

    Attributes
    ----------
    number : int
        0 after the fit, one more for every change.
    settings : CrowdSettings
        Weights.
    ratings : Ratings
        Who rated what.
    posterior : ExactPosterior or InducingPosterior
        Of the tracks' effects.
    counts : dict of int to (n_classes,) ndarray of int64
        Ratings of each class, by questionnaire.
    weak_label : (n_tracks,) ndarray of int64
        As given to the fit.
    rating_sum : tuple of two int
        Sums of two hashes of every rating.
    base : str
        Hash of what a version shares with all others: features, settings, sizes.
    """

    number: int
    settings: CrowdSettings
    n_classes: int
    ratings: Ratings
    posterior: ExactPosterior | InducingPosterior
    counts: dict[int, Ints]
    weak_label: Ints
    rating_sum: tuple[int, int]
    base: str

    @property
    def n_tracks(self) -> int:
        """Tracks of the catalogue."""
        return self.ratings.n_tracks

    @property
    def n_listeners(self) -> int:
        """Listeners known so far."""
        return self.ratings.n_listeners

    @property
    def hash(self) -> str:
        """Hexadecimal name of exactly these ratings, features and settings, whatever the order in which they came."""
        return self.base[:32] + "".join(f"{part:016x}" for part in self.rating_sum)

    @cached_property
    def everybody(self) -> Remaining:
        """The crowd with nobody left out."""
        return Remaining(self, self.ratings, self._effect(self.posterior), self.counts)

    def _effect(self, posterior: ExactPosterior | InducingPosterior) -> Any:
        return posterior.effects if isinstance(posterior, InducingPosterior) else posterior.mean[: self.n_tracks]

    def without(self, listeners: Ints | None = None, tracks: Ints | None = None) -> Remaining:
        """The crowd had these listeners never rated anything, and nobody these tracks."""
        rows = self.ratings.rows_of(listeners=listeners, tracks=tracks)
        if len(rows) == 0:
            return self.everybody
        ratings = self.ratings.without(rows)
        columns = self.ratings.columns(rows)
        effect: Any
        if isinstance(self.posterior, InducingPosterior):
            effect = self.posterior.changed(ratings, np.unique(columns[0])).effects
        else:
            effect = self.posterior.mean_without(columns[0], columns[1], self.targets(columns[2]))
        return Remaining(self, ratings, effect, _counted(self.counts, columns, self.n_classes, -1))

    def targets(self, label: Ints) -> Floats:
        """One-hot labels and a column of ones, which carries the class frequencies through the linear algebra."""
        target = np.ones((len(label), self.n_classes + 1))
        target[:, : self.n_classes] = np.eye(self.n_classes)[label]
        return target

    def changed(self, gone: Ints, track: Ints, listener: Ints, label: Ints, instrument: Ints) -> CrowdVersion:
        """The next version: rows ``gone`` taken out, and these ratings in, in one step."""
        before = self.ratings.columns(gone)
        came = (track, listener, label, instrument)
        ratings = self.ratings.without(gone).with_more(*came)
        full = ratings.n_edits > MAX_EDITS
        if full:
            ratings = ratings.compact()
        posterior: ExactPosterior | InducingPosterior
        if isinstance(self.posterior, InducingPosterior):
            posterior = self.posterior.changed(ratings, np.union1d(before[0], track))
            if full:
                posterior.solve()  # so that no reader starts from a solution that is too old
        else:
            posterior = self.posterior.with_listeners(ratings.n_listeners - max(self.n_listeners, 1))
            posterior = posterior.changed(before[0], before[1], self.targets(before[2]), sign=-1)
            posterior = posterior.changed(track, listener, self.targets(label))
        counts = _counted(_counted(self.counts, before, self.n_classes, -1), came, self.n_classes, 1)
        total = tuple(
            (old - out + into) % 2**64
            for old, out, into in zip(self.rating_sum, rating_sum(*before[:4]), rating_sum(*came), strict=True)
        )
        return CrowdVersion(
            self.number + 1,
            self.settings,
            self.n_classes,
            ratings,
            posterior,
            counts,
            self.weak_label,
            (total[0], total[1]),
            self.base,
        )


def _counted(counts: dict[int, Ints], columns: tuple[Ints, ...], n_classes: int, sign: int) -> dict[int, Ints]:
    """Ratings of each class by questionnaire, with these as well (``sign=1``) or without them."""
    out = dict(counts)
    for value in np.unique(columns[3]).tolist():
        more = np.bincount(columns[2][columns[3] == value], minlength=n_classes).astype(np.int64)
        out[value] = out.get(value, np.zeros(n_classes, dtype=np.int64)) + sign * more
    return out


def rating_sum(track: Ints, listener: Ints, label: Ints, instrument: Ints) -> tuple[int, int]:
    """Two sums of 64-bit hashes, one hash of each rating: the same for the same ratings in any order."""
    sums = []
    for seed in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03):
        mixed = np.full(len(track), seed, dtype=np.uint64)
        for column in (track, listener, label, instrument):
            mixed ^= column.astype(np.uint64)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(31)
            mixed *= np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(29)
        sums.append(int(mixed.sum(dtype=np.uint64)))
    return sums[0], sums[1]


def indices(value: ArrayLike, name: str, limit: int | None) -> Ints:
    """A vector of indices, each at least 0 and below ``limit``."""
    array = np.asarray(value)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    error = LabelError if name == "label" else ParameterError
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise error(f"{name} must be a vector of whole numbers; got shape {array.shape}, dtype {array.dtype}")
    if array.min() < 0 or (limit is not None and array.max() >= limit):
        raise error(
            f"{name} holds {int(array.min())}..{int(array.max())}; allowed are 0..{'' if limit is None else limit - 1}"
        )
    return array.astype(np.int64)


def frequencies(count: Ints) -> Floats:
    """Share of each class; even shares where there is no label. A class nobody named keeps a share of half a label."""
    total = count.astype(np.float64)
    if total.sum() == 0:
        return np.full(len(count), 1.0 / len(count))
    total = np.maximum(total, 0.5)
    share: Floats = total / total.sum()
    return share


def floored(proba: Floats, floor: float) -> Floats:
    """Clip from below and rescale rows to sum to 1."""
    clipped = np.maximum(proba, floor)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return clipped
