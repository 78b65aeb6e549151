"""What the others think of a track: the crowd prior, and the same crowd without one listener or without some tracks."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._fork import Lock
from dissensus._validate import as_features, check_count
from dissensus.errors import ParameterError
from dissensus.personalisation.listener.crowd_gp import ExactPosterior
from dissensus.personalisation.listener.crowd_inducing import InducingPosterior, pivoted_features
from dissensus.personalisation.listener.crowd_version import (
    SOURCES,
    CrowdBelief,
    CrowdSettings,
    CrowdVersion,
    Remaining,
    floored,
    indices,
    rating_sum,
)
from dissensus.personalisation.listener.ratings import Ratings

__all__ = ["SOURCES", "CrowdBelief", "CrowdPrior", "CrowdSettings", "CrowdVersion", "floored", "rbf_kernel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


class CrowdPrior:
    """Class distribution of every track from annotations and features, smoothed by a Gaussian process.

    One-hot ratings less the class frequencies are regressed on tracks and listeners with the covariance
    ``feature_weight * RBF(features) + track_weight [same track] + listener_weight [same listener]`` and unit noise. What a
    crowd without a listener, or without the ratings of some tracks, would say follows in closed form.

    Ratings come and go in whole steps (:meth:`update`, :meth:`add`, :meth:`remove`, :meth:`remove_listener`): each makes a
    new :class:`CrowdVersion` and puts it in the place of the old one in one assignment. Threads that read meanwhile see the
    crowd before the step or after it, never part of it; those that write take turns.

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
    >>> before = crowd.version
    >>> crowd.remove_listener(0), crowd.version.number, len(crowd.version.ratings), len(before.ratings)
    (2, 1, 2, 4)
    """

    def __init__(self, settings: CrowdSettings | None = None, *, n_inducing: int | None = None) -> None:
        self.settings = CrowdSettings() if settings is None else settings
        self.n_inducing = None if n_inducing is None else check_count(n_inducing, "n_inducing")
        self._version: CrowdVersion | None = None
        self._writing = Lock()
        self._rows: tuple[Ratings, tuple[Ints, ...]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writing": None, "_rows": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _writing=Lock())

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
            Track index, listener index and class index of each annotation. Keep one annotation per listener and track: the
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
        came = self.checked(track, listener, label, 0 if instrument is None else instrument)
        self.features = np.zeros((self.n_tracks, 0)) if features is None else as_features(features).astype(np.float64)
        if len(self.features) != self.n_tracks:
            raise ParameterError(
                f"features must have one row for each of the {self.n_tracks} tracks: {self.features.shape}"
            )
        self.weak_label = np.full(self.n_tracks, -1) if weak_label is None else np.asarray(weak_label, dtype=np.int64)
        if self.weak_label.shape != (self.n_tracks,) or (self.weak_label >= self.n_classes).any():
            raise ParameterError(f"weak_label must be a class index or -1 for each of the {self.n_tracks} tracks")
        ratings = Ratings.of(*came, self.n_tracks, int(came[1].max()) + 1 if len(came[1]) else 0)
        counts = {
            int(value): np.bincount(came[2][came[3] == value], minlength=self.n_classes).astype(np.int64)
            for value in np.unique(came[3])
        }
        self._version = CrowdVersion(
            0,
            self.settings,
            self.n_classes,
            ratings,
            self._posterior(ratings, came),
            counts,
            self.weak_label,
            rating_sum(*came),
            self._base_hash(),
        )
        return self

    def checked(
        self, track: ArrayLike, listener: ArrayLike, label: ArrayLike, instrument: ArrayLike
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """Ratings as four vectors of one length, all of them checked as in :meth:`fit`."""
        first = indices(track, "track", self.n_tracks)
        asked = indices(np.atleast_1d(np.asarray(instrument)), "instrument", None)
        columns = (
            first,
            indices(listener, "listener", None),
            indices(label, "label", self.n_classes),
            np.full(len(first), asked[0]) if np.ndim(instrument) == 0 else asked,
        )
        for name, column in zip(("listener", "label", "instrument"), columns[1:], strict=True):
            if len(column) != len(first):
                raise ParameterError(f"{name} has {len(column)} entries for {len(first)} tracks")
        return columns

    def _base_hash(self) -> str:
        """Of what all versions share."""
        digest = hashlib.sha256(repr((self.settings, self.n_inducing, self.features.shape, self.n_classes)).encode())
        digest.update(np.ascontiguousarray(self.features).data)
        digest.update(np.ascontiguousarray(self.weak_label, dtype="<i8").data)
        return digest.hexdigest()

    def _posterior(self, ratings: Ratings, came: tuple[Ints, ...]) -> ExactPosterior | InducingPosterior:
        settings, n_listeners = self.settings, ratings.n_listeners
        if self.n_inducing is None and self.n_tracks + n_listeners <= 4000:
            covariance = settings.feature_weight * rbf_kernel(self.features, self.features, settings.length)
            covariance[np.diag_indices(self.n_tracks)] += settings.track_weight
            target = np.ones((len(came[2]), self.n_classes + 1))
            target[:, : self.n_classes] = np.eye(self.n_classes)[came[2]]
            weights = settings.listener_weight, settings.noise
            return ExactPosterior(covariance, *weights, came[0], came[1], target, max(n_listeners, 1))
        length = settings.length * np.sqrt(max(self.features.shape[1], 1))
        count = 256 if self.n_inducing is None else self.n_inducing
        basis, left = pivoted_features(self.features, settings.feature_weight, float(length), count)
        own = settings.track_weight + left
        posterior = InducingPosterior(basis, own, settings.listener_weight, settings.noise, ratings, self.n_classes)
        posterior.solve()
        return posterior

    # ---- what is there now -----------------------------------------------------------------------------------------

    @property
    def version(self) -> CrowdVersion:
        """The crowd as it is: an immutable version with a number and a hash."""
        if self._version is None:
            raise ParameterError("this CrowdPrior is not fitted yet; call fit first")
        return self._version

    @property
    def n_listeners(self) -> int:
        """Listeners known so far; the next free index."""
        return self.version.n_listeners

    @property
    def posterior_(self) -> ExactPosterior | InducingPosterior:
        """Posterior of the tracks' effects, as it is now."""
        return self.version.posterior

    def _everything(self) -> tuple[Ints, ...]:
        """All ratings, gathered once for the version that is asked about."""
        ratings, kept = self.version.ratings, self._rows
        if kept is None or kept[0] is not ratings:
            kept = self._rows = (ratings, ratings.everything())
        return kept[1]

    @property
    def track(self) -> Ints:
        """``(n,)`` track index of each rating, in the order of arrival; the other columns match while nothing changes."""
        return self._everything()[0]

    @property
    def listener(self) -> Ints:
        """``(n,)`` listener index of each rating."""
        return self._everything()[1]

    @property
    def label(self) -> Ints:
        """``(n,)`` class index of each rating."""
        return self._everything()[2]

    @property
    def instrument(self) -> Ints:
        """``(n,)`` questionnaire of each rating."""
        return self._everything()[3]

    def belief(
        self,
        *,
        without_listener: ArrayLike | int | None = None,
        without_tracks: ArrayLike | None = None,
        instrument: ArrayLike | int = 0,
        tracks: ArrayLike | None = None,
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
        tracks : (m,) array_like of int, optional
            The tracks wanted, each once; only these are computed. Default: all.

        Returns
        -------
        CrowdBelief
            Exactly what fitting without these ratings gives (to 1e-10).

        Raises
        ------
        ParameterError
            The prior is not fitted, or an index is no whole number or out of range: a listener given by name, or by an
            index of another type, would be left in silently.
        """
        remaining = self.remaining(self.version, without_listener, without_tracks)
        asked = None if tracks is None else indices(tracks, "tracks", self.n_tracks)
        return remaining.belief(asked, instrument)

    def remaining(
        self, version: CrowdVersion, without_listener: ArrayLike | int | None, without_tracks: ArrayLike | None
    ) -> Remaining:
        """A version without some of its ratings; arguments are checked as in :meth:`belief`."""
        gone = None
        if without_listener is not None:
            gone = indices(np.atleast_1d(np.asarray(without_listener)), "without_listener", None)
        missing = None if without_tracks is None else indices(without_tracks, "without_tracks", self.n_tracks)
        return version.without(gone, missing)

    # ---- ratings that come and go ----------------------------------------------------------------------------------

    def update(self, track: int, listener: int, label: int, *, instrument: int = 0) -> CrowdPrior:
        """Take in one annotation; the next nightly fit would give the same, to rounding.

        A listener's earlier annotation of the same track is replaced. New listeners take the next free index.
        """
        return self.add([track], [listener], [label], instrument=[instrument])

    def add(
        self, track: ArrayLike, listener: ArrayLike, label: ArrayLike, *, instrument: ArrayLike | int = 0
    ) -> CrowdPrior:
        """Take in any number of annotations in one step.

        Parameters
        ----------
        track, listener, label : (n,) array_like of int
            As in :meth:`fit`. An annotation takes the place of the listener's earlier one of the same track; of several in
            this call the last one counts.
        instrument : int or (n,) array_like of int
            Questionnaire.

        Raises
        ------
        ParameterError, LabelError
            As in :meth:`fit`; nothing has changed.
        """
        self.version  # noqa: B018  (raises where there is no fit)
        came = self.checked(track, listener, label, instrument)
        pair = came[1] * np.int64(self.n_tracks) + came[0]
        last = np.sort(len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1])
        came = came[0][last], came[1][last], came[2][last], came[3][last]
        if len(last) == 0:
            return self
        with self._writing:
            now = self.version
            self._version = now.changed(now.ratings.pairs(came[0], came[1]), *came)
        return self

    def remove(self, track: ArrayLike | int, listener: ArrayLike | int) -> int:
        """Take out annotations, given by track and listener, as if never given, in one step; returns how many there were.

        Parameters
        ----------
        track, listener : int or (n,) array_like of int
            Which; an annotation that is not there is passed over.
        """
        tracks = indices(np.atleast_1d(np.asarray(track)), "track", self.n_tracks)
        listeners = indices(np.atleast_1d(np.asarray(listener)), "listener", None)
        if len(tracks) != len(listeners):
            raise ParameterError(f"listener has {len(listeners)} entries for {len(tracks)} tracks")
        with self._writing:
            return self._take_out(self.version.ratings.pairs(tracks, listeners))

    def remove_listener(self, listener: ArrayLike | int) -> int:
        """Take out everything that a listener (or several) ever said, in one step; returns how many annotations there were.

        The crowd is then what fitting without them gives (to 1e-10), and stays so whatever comes in later.
        """
        gone = indices(np.atleast_1d(np.asarray(listener)), "listener", None)
        with self._writing:
            return self._take_out(self.version.ratings.rows_of(listeners=gone))

    def _take_out(self, rows: Ints) -> int:
        none = np.empty(0, dtype=np.int64)
        if len(rows):
            self._version = self.version.changed(rows, none, none, none, none)
            self._rows = None
        return len(rows)
