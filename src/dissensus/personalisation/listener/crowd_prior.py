"""What the others hear in a track: the crowd prior, and the same crowd without one listener or without some tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_features, check_count
from dissensus.errors import LabelError, ParameterError
from dissensus.personalisation.listener.crowd_gp import ExactPosterior
from dissensus.personalisation.listener.crowd_inducing import InducingPosterior, pivoted_features

__all__ = ["SOURCES", "CrowdBelief", "CrowdPrior", "CrowdSettings", "floored", "rbf_kernel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Where a track's probabilities come from, by code: own ratings smoothed by the model, counted ratings of many people,
#: features alone, features and a weak label.
SOURCES: Final = ("ratings", "counts", "features", "features and weak label")


def rbf_kernel(a: Floats, b: Floats, length: float) -> Floats:
    """``exp(-|a - b|^2 / (2 length^2 D))`` for rows of ``a`` and ``b`` with ``D`` columns; no column gives ones."""
    n_columns = a.shape[1]
    if n_columns == 0:
        return np.ones((len(a), len(b)))
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2.0 * (a @ b.T)
    np.maximum(squares, 0.0, out=squares)
    squares /= -2.0 * length**2 * n_columns
    kernel: Floats = np.exp(squares, out=squares)
    return kernel


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


class CrowdPrior:
    """Class distribution of every track from annotations and features, smoothed by a Gaussian process.

    One-hot ratings less the class frequencies are regressed on tracks and listeners with the covariance
    ``feature_weight * RBF(features) + track_weight [same track] + listener_weight [same listener]`` and unit noise. What a
    crowd without a listener, or without the ratings of some tracks, would say follows in closed form.

    Parameters
    ----------
    settings : CrowdSettings, optional
        Weights.
    n_inducing : int, optional
        Inducing points of the approximation for large catalogues. Default: exact up to 4000 tracks and listeners
        together, else 256 points.

    Examples
    --------
    >>> crowd = CrowdPrior().fit([0, 0, 0, 1], [0, 1, 2, 0], [0, 0, 1, 2], n_tracks=3, n_classes=4)
    >>> belief = crowd.belief(without_listener=2)
    >>> belief.n_raters.tolist(), int(belief.proba[0].argmax()), SOURCES[belief.source[2]]
    ([2, 1, 0], 0, 'features')
    """

    def __init__(self, settings: CrowdSettings | None = None, *, n_inducing: int | None = None) -> None:
        self.settings = CrowdSettings() if settings is None else settings
        self.n_inducing = None if n_inducing is None else check_count(n_inducing, "n_inducing")

    def fit(
        self,
        track: ArrayLike,
        listener: ArrayLike,
        label: ArrayLike,
        *,
        n_tracks: int,
        n_classes: int,
        features: ArrayLike | None = None,
        weak_label: ArrayLike | None = None,
        instrument: ArrayLike | None = None,
    ) -> CrowdPrior:
        """Learn from annotations.

        Parameters
        ----------
        track, listener, label : (n,) array_like of int
            Track index, listener index and class index of each annotation. Keep one annotation a listener and track: the
            newest.
        n_tracks, n_classes : int
            Size of the catalogue, rated or not, and number of classes.
        features : (n_tracks, n_features) array_like, optional
            Finite, on comparable scales (z-scored). Without them a track nobody rated gets the class frequencies.
        weak_label : (n_tracks,) array_like of int, optional
            A class known without listeners (a service's energy and valence); −1 = none. Used where nobody rated.
        instrument : (n,) array_like of int, optional
            Which questionnaire an annotation came from. Tracks with many raters are counted within an instrument.

        Raises
        ------
        ParameterError, LabelError
            Shapes that do not match, an index out of range, features that are not finite.
        """
        self.n_tracks = check_count(n_tracks, "n_tracks")
        self.n_classes = check_count(n_classes, "n_classes", minimum=2)
        self.track = _indices(track, "track", self.n_tracks)
        self.listener = _indices(listener, "listener", None)
        self.label = _indices(label, "label", self.n_classes)
        n = len(self.track)
        self.instrument = (
            np.zeros(n, dtype=np.int64) if instrument is None else _indices(instrument, "instrument", None)
        )
        for name in ("listener", "label", "instrument"):
            if len(getattr(self, name)) != n:
                raise ParameterError(f"{name} has {len(getattr(self, name))} entries for {n} tracks")
        self.features = np.zeros((self.n_tracks, 0)) if features is None else as_features(features).astype(np.float64)
        if len(self.features) != self.n_tracks:
            raise ParameterError(
                f"features must have one row for each of the {self.n_tracks} tracks: {self.features.shape}"
            )
        self.weak_label = np.full(self.n_tracks, -1) if weak_label is None else np.asarray(weak_label, dtype=np.int64)
        if self.weak_label.shape != (self.n_tracks,) or (self.weak_label >= self.n_classes).any():
            raise ParameterError(f"weak_label must be a class index or -1 for each of the {self.n_tracks} tracks")
        self.n_listeners = int(self.listener.max()) + 1 if n else 0
        self.posterior_ = self._posterior()
        return self

    def _target(self, rows: NDArray[Any]) -> Floats:
        """One-hot labels and a column of ones, which carries the class frequencies through the linear algebra."""
        label = self.label[rows]
        target = np.ones((len(label), self.n_classes + 1))
        target[:, : self.n_classes] = np.eye(self.n_classes)[label]
        return target

    def _posterior(self) -> ExactPosterior | InducingPosterior:
        settings, everything = self.settings, np.arange(len(self.track))
        ratings = (self.track, self.listener, self._target(everything), max(self.n_listeners, 1))
        if self.n_inducing is None and self.n_tracks + self.n_listeners <= 4000:
            covariance = settings.feature_weight * rbf_kernel(self.features, self.features, settings.length)
            covariance[np.diag_indices(self.n_tracks)] += settings.track_weight
            return ExactPosterior(covariance, settings.listener_weight, settings.noise, *ratings)
        length = settings.length * np.sqrt(max(self.features.shape[1], 1))
        count = 256 if self.n_inducing is None else self.n_inducing
        basis, left = pivoted_features(self.features, settings.feature_weight, float(length), count)
        own = settings.track_weight + left
        return InducingPosterior(basis, own, settings.listener_weight, settings.noise, *ratings)

    def belief(
        self,
        *,
        without_listener: ArrayLike | int | None = None,
        without_tracks: ArrayLike | None = None,
        instrument: ArrayLike | int = 0,
    ) -> CrowdBelief:
        """The crowd's probabilities for every track, with some of its ratings never given.

        Parameters
        ----------
        without_listener : int or array_like of int, optional
            All ratings of this listener (or these) are left out: what their own prior must be made of.
        without_tracks : (k,) array_like of int, optional
            All ratings of these tracks, by anybody, are left out.
        instrument : int or (n_tracks,) array_like of int
            The questionnaire that the answer to predict belongs to.

        Returns
        -------
        CrowdBelief
            Exactly what fitting without these ratings gives (to 1e-10).
        """
        if not hasattr(self, "posterior_"):
            raise ParameterError("this CrowdPrior is not fitted yet; call fit first")
        gone = np.zeros(len(self.track), dtype=bool)
        if without_listener is not None:
            gone |= np.isin(self.listener, without_listener)
        if without_tracks is not None:
            missing = np.zeros(self.n_tracks, dtype=bool)
            missing[_indices(without_tracks, "without_tracks", self.n_tracks)] = True
            gone |= missing[self.track]
        rows, kept = np.flatnonzero(gone), np.flatnonzero(~gone)
        effect = self.posterior_.mean_without(self.track[rows], self.listener[rows], self._target(rows))
        frequency = _frequencies(self.label[kept], self.n_classes)
        proba = frequency + effect[: self.n_tracks, :-1] - effect[: self.n_tracks, -1:] * frequency
        n_raters = np.bincount(self.track[kept], minlength=self.n_tracks).astype(np.int64)
        source = np.where(n_raters > 0, 0, 2)
        proba = floored(proba, self.settings.floor)
        weak = (n_raters == 0) & (self.weak_label >= 0)
        if weak.any() and self.settings.weak_strength > 0:
            source[weak] = 3
            proba[np.flatnonzero(weak), self.weak_label[weak]] *= (0.85 / 0.05) ** self.settings.weak_strength
            proba[weak] = floored(proba[weak] / proba[weak].sum(axis=1, keepdims=True), self.settings.floor)
        self._count_where_many(proba, source, n_raters, kept, np.broadcast_to(np.asarray(instrument), (self.n_tracks,)))
        return CrowdBelief(proba, n_raters, source.astype(np.int64), frequency)

    def _count_where_many(
        self, proba: Floats, source: NDArray[Any], n_raters: Ints, kept: Ints, instrument: NDArray[Any]
    ) -> None:
        """Overwrite the rows of tracks with many raters by smoothed counts within the track's instrument."""
        many = n_raters >= self.settings.many_raters
        if not many.any():
            return
        same = kept[(self.instrument[kept] == instrument[self.track[kept]]) & many[self.track[kept]]]
        flat = self.track[same] * self.n_classes + self.label[same]
        votes = np.bincount(flat, minlength=self.n_tracks * self.n_classes).reshape(self.n_tracks, self.n_classes)
        total = votes.sum(axis=1, keepdims=True)
        rows = np.flatnonzero(many & (total[:, 0] > 0))
        for value in np.unique(instrument[rows]):
            here = rows[instrument[rows] == value]
            labels = self.label[kept[self.instrument[kept] == value]]
            pseudo = 2.0 * _frequencies(labels, self.n_classes)
            proba[here] = floored((votes[here] + pseudo) / (total[here] + 2.0), self.settings.floor)
        source[rows] = 1

    def update(self, track: int, listener: int, label: int, *, instrument: int = 0) -> CrowdPrior:
        """Take in one annotation; the next nightly fit would give the same, to rounding.

        A listener's earlier annotation of the same track is replaced. New listeners take the next free index.
        """
        if not hasattr(self, "posterior_"):
            raise ParameterError("this CrowdPrior is not fitted yet; call fit first")
        row = _indices([track], "track", self.n_tracks), _indices([listener], "listener", None)
        _indices([label], "label", self.n_classes)
        if listener >= self.n_listeners:
            self.posterior_.add_listeners(listener + 1 - max(self.n_listeners, 1))
            self.n_listeners = listener + 1
        self.remove(track, listener)
        self.track = np.append(self.track, row[0])
        self.listener = np.append(self.listener, row[1])
        self.label = np.append(self.label, label)
        self.instrument = np.append(self.instrument, instrument)
        self.posterior_.change(row[0], row[1], self._target(np.array([len(self.track) - 1])))
        return self

    def remove(self, track: int, listener: int) -> int:
        """Take out a listener's annotation of a track, as if never given; returns how many there were."""
        rows = np.flatnonzero((self.track == track) & (self.listener == listener))
        if len(rows):
            self.posterior_.change(self.track[rows], self.listener[rows], self._target(rows), sign=-1)
            for name in ("track", "listener", "label", "instrument"):
                setattr(self, name, np.delete(getattr(self, name), rows))
        return len(rows)


def _indices(value: ArrayLike, name: str, limit: int | None) -> Ints:
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


def _frequencies(label: Ints, n_classes: int) -> Floats:
    """Share of each class; even shares where there is no label. A class nobody named keeps a share of half a label."""
    count = np.bincount(label, minlength=n_classes).astype(np.float64)
    if count.sum() == 0:
        return np.full(n_classes, 1.0 / n_classes)
    count = np.maximum(count, 0.5)
    share: Floats = count / count.sum()
    return share


def floored(proba: Floats, floor: float) -> Floats:
    """Clip from below and rescale rows to sum to 1."""
    clipped = np.maximum(proba, floor)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return clipped
