"""The listener model: a crowd fitted nightly, and a personal model for anyone who asks."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import IdIndex, id_array
from dissensus._order import newest_rows
from dissensus._spread import column_deviation
from dissensus.errors import DataFormatError, ParameterError
from dissensus.personalisation.listener.coratings import CoRatings
from dissensus.personalisation.listener.crowd_prior import SOURCES, CrowdPrior
from dissensus.personalisation.listener.crowd_version import (
    CrowdBelief,
    CrowdSettings,
    CrowdVersion,
    Remaining,
    indices,
)
from dissensus.personalisation.listener.personal_kernel import PersonalKernel, PersonalWeights
from dissensus.personalisation.listener.personal_model import PersonalModel
from dissensus.personalisation.listener.prior import Beliefs, Prior, Recent
from dissensus.personalisation.listener.ratings import Ratings, RatingTable
from dissensus.personalisation.listener.smooth_part import SmoothPart
from dissensus.personalisation.listener.stack import STACK_PRIOR
from dissensus.personalisation.listener.unrated import UnratedTrees

if TYPE_CHECKING:
    from dissensus.features.pool import Pool
    from dissensus.personalisation.learner import Learner
    from dissensus.personalisation.query import Crowd

__all__ = ["ListenerModel", "TrackInfo", "learner_for", "standardised", "track_means"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


#: A pool of more tracks than this is not held for each listener: beliefs are made when needed, and the last few kept by all.
MAX_HELD_TRACKS: Final = 4096
#: Bytes of beliefs, probabilities and solutions that all listeners of a model share.
RECENT_BYTES: Final = 1 << 26
#: Bytes of columns of features that all listeners of a model share, for each pool that is asked about.
COLUMN_BYTES: Final = 1 << 26


@dataclass(frozen=True, eq=False)
class TrackInfo:
    """What is known of tracks besides their features; every part optional.

    Parameters
    ----------
    weak_label : (n_tracks,) array_like of int, optional
        A class that needs no listener; −1 = none. Used for tracks that nobody rated.
    group : (n_tracks,) array_like, optional
        Selection, style or the like: what a listener says of one track speaks for its group.
    descriptors : (n_annotations, k) array_like, optional
        What each annotator added to their label, as shares in [0, 1]: one-hot mood words, liking. Their means over the
        others say which tracks sound alike.
    instrument : (n_annotations,) array_like of int, optional
        Questionnaire of each annotation.
    """

    weak_label: ArrayLike | None = None
    group: ArrayLike | None = None
    descriptors: ArrayLike | None = None
    instrument: ArrayLike | None = None


class ListenerModel:
    """Crowd prior, personal kernel and stack for all listeners of a catalogue.

    Parameters
    ----------
    pool : Pool
        The catalogue; a track's features are the mean of its windows. Columns with more than two values are z-scored.
    annotations : Annotations
        One row per judgement: ``listener_id``, ``track_id``, ``label`` (class index, −1 = none), ``classes``. Of repeated
        judgements keep the newest (``annotations.newest()``).
    info : TrackInfo, optional
        More about tracks and annotations.
    settings : CrowdSettings, optional
        Of the crowd prior.
    weights : PersonalWeights, optional
        Of the personal kernel.
    model : {"logistic", "geometric", "residual", "map"}
        Personal model (see :data:`~dissensus.personalisation.listener.personal_model.MODELS`).
    stack_prior : tuple of float
        Shares of no, half and full personal shift before any answer.
    unrated_trees : int
        Trees on features that have a say about tracks nobody rated (see :class:`UnratedTrees`); 0: none. Forests grow on first
        use, one in ten listeners, within a second each.

    Notes
    -----
    Nothing a listener ever said is in their own prior: not in the labels, the class frequencies, the descriptors or the
    co-ratings. Fitting is for the night; :meth:`for_listener` takes milliseconds, an answer after that as well.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from dissensus.features import Pool
    >>> pool = Pool(np.eye(3), ["x", "y", "z"])
    >>> said = SimpleNamespace(listener_id=np.array(["ann", "bob", "ann"]), track_id=np.array(["x", "x", "y"]),
    ...                        label=np.array([0, 0, 2]), classes=("Q1", "Q2", "Q3", "Q4"))
    >>> model = ListenerModel(pool, said)
    >>> eve = model.for_listener("eve")
    >>> eve.proba[0].argmax(), eve.with_answers({0: 3}).proba[0, 3] > eve.proba[0, 3]
    (np.int64(0), np.True_)
    """

    def __init__(
        self,
        pool: Pool,
        annotations: Crowd,
        *,
        info: TrackInfo | None = None,
        settings: CrowdSettings | None = None,
        weights: PersonalWeights | None = None,
        model: str = "logistic",
        stack_prior: tuple[float, ...] = STACK_PRIOR,
        unrated_trees: int = 0,
    ) -> None:
        info = TrackInfo() if info is None else info
        label = np.asarray(annotations.label, dtype=np.int64)
        rows = np.flatnonzero(label >= 0)
        self.pool = pool
        self.classes: NDArray[Any] = np.asarray(annotations.classes)
        self.weights = PersonalWeights() if weights is None else weights
        self.model = model
        self.stack_prior = stack_prior
        who = id_array(annotations.listener_id, what="listener_id")
        self.listener_ids, listener = np.unique(who[rows], return_inverse=True)
        self._listener_of = IdIndex(self.listener_ids)
        track = pool.index_of(np.asarray(annotations.track_id)[rows].tolist())
        self.features = standardised(track_means(pool))
        self.group = None if info.group is None else _codes(info.group, pool.n_tracks)
        self.descriptors = None if info.descriptors is None else _shares(info.descriptors, len(label))[rows]
        instrument = None if info.instrument is None else np.asarray(info.instrument)[rows]
        self.crowd = CrowdPrior(settings).fit(
            track,
            listener.reshape(-1),
            label[rows],
            n_tracks=pool.n_tracks,
            n_classes=len(self.classes),
            features=self.features,
            weak_label=info.weak_label,
            instrument=instrument,
        )
        self.trees: UnratedTrees | None = None
        if unrated_trees:
            self.trees = UnratedTrees(self.crowd, group=self.group, n_trees=unrated_trees)
        self._prepare()

    def _prepare(self) -> None:
        """What is made anew in another process: locks, and stores that fill by themselves."""
        self._writing = threading.Lock()
        self._recent = Recent(RECENT_BYTES)
        self._every = AskedTracks(self, None)
        self._asked: weakref.WeakKeyDictionary[Pool, AskedTracks] = weakref.WeakKeyDictionary()
        self._described: tuple[RatingTable, Floats, Ints] | None = None

    def __getstate__(self) -> dict[str, Any]:
        made = ("_writing", "_recent", "_every", "_asked", "_described")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    @property
    def shared_bytes(self) -> int:
        """Bytes of the bounded stores that all listeners share: recent beliefs and columns of features."""
        asked = [self._every, *self._asked.values()]
        return self._recent.nbytes + sum(tracks.smooth.nbytes for tracks in asked)

    def asked(self, pool: Pool) -> AskedTracks:
        """The tracks of a pool that is a part of the catalogue, ready to be asked about; made once per pool.

        Raises
        ------
        UnknownTrackError
            A track of the pool is not in the catalogue.
        """
        if pool is self.pool:
            return self._every
        found = self._asked.get(pool)
        if found is None:
            found = AskedTracks(self, self.pool.index_of(pool.track_ids.tolist()))
            self._asked[pool] = found
        return found

    def for_listener(
        self,
        listener_id: Any = None,
        *,
        without_tracks: ArrayLike | None = None,
        instrument: ArrayLike | int = 0,
        asked: AskedTracks | Pool | None = None,
    ) -> PersonalModel:
        """A model of this listener with no answer yet.

        Parameters
        ----------
        listener_id : optional
            All annotations of this listener are left out; ids are compared by value (``3`` and ``"3"`` are the same).
            Somebody new needs none.
        without_tracks : (k,) array_like of int, optional
            Indices of tracks whose annotations, by anybody, are left out as well: for evaluation.
        instrument : int or (n_tracks,) array_like of int
            Questionnaire of the answers to come.
        asked : Pool, optional
            A part of the catalogue: the model then speaks of these tracks alone, in the order of this pool, and costs what
            they cost. Default: the whole catalogue.

        Raises
        ------
        ParameterError
            No id, or one that nobody has but that looks like somebody's, whose votes would stay in unnoticed.
        UnknownTrackError
            A track of ``asked`` is not in the catalogue.
        """
        version = self.crowd.version  # before the index: whoever is in the version is in the index
        who = self._listener_of.get(listener_id)
        tracks = asked if isinstance(asked, AskedTracks) else self._every if asked is None else self.asked(asked)
        missing = None if without_tracks is None else indices(without_tracks, "without_tracks", self.pool.n_tracks)
        crowd = _LeftOut(self, version, who, missing, instrument)
        return PersonalModel(self._start(crowd, tracks))

    def prior_from(self, belief: CrowdBelief, who: int | None = None, without_tracks: ArrayLike | None = None) -> Prior:
        """The start of a personal model from a belief of the crowd without listener number ``who``."""
        version = self.crowd.version
        missing = None if without_tracks is None else indices(without_tracks, "without_tracks", self.pool.n_tracks)
        kernel = self._kernel(belief.proba, _LeftOut(self, version, who, missing, 0).ratings(), self._every)
        return Prior(belief, kernel, self.classes, self.model, self.stack_prior)

    def _start(self, crowd: _LeftOut, tracks: AskedTracks) -> Prior:
        """A start whose belief is made when first needed; where the pool is large it holds nothing of its size."""
        large = len(tracks) > MAX_HELD_TRACKS
        recent = self._recent if large else None
        beliefs = Beliefs(partial(crowd.belief, tracks), recent=recent, key=(crowd, tracks))
        kernel = self._kernel(beliefs.proba, crowd.ratings(), tracks, holds=not large)
        return Prior(beliefs, kernel, self.classes, self.model, self.stack_prior, n_tracks=len(tracks))

    def _kernel(self, proba: Any, ratings: Ratings, tracks: AskedTracks, *, holds: bool = True) -> PersonalKernel:
        coratings = None
        if self.weights.corating > 0 and ratings.n_listeners > 1:
            coratings = CoRatings(ratings, tracks.tracks, tracks.place)
        return PersonalKernel(
            proba,
            self.weights,
            features=tracks.smooth,
            descriptors=self._descriptor_table(ratings, tracks),
            group=tracks.group,
            coratings=coratings,
            holds=holds,
        )

    def _descriptor_table(self, ratings: Ratings, tracks: AskedTracks) -> Floats | None:
        """``(n_tracks, k)`` z-scored roots of the smoothed mean descriptors of these annotations."""
        if self.descriptors is None:
            return None
        sums, count = (part.copy() for part in self._described_table(ratings.table))
        track, _, _, _, serial = ratings.columns(ratings.gone)
        known = serial >= 0
        np.subtract.at(sums, track[known], self.descriptors[serial[known]])
        count -= np.bincount(track[known], minlength=len(count))
        total = int(count.sum())
        if total == 0:
            return None
        mean = sums.sum(axis=0) / total
        table = standardised(np.sqrt((np.maximum(sums, 0.0) + 5.0 * mean) / (count[:, None] + 5.0)), binary=False)
        return table if tracks.tracks is None else table[tracks.tracks]

    def _described_table(self, table: RatingTable) -> tuple[Floats, Ints]:
        """Sums and numbers of the descriptors of each track over a table of ratings; made once per table."""
        kept = self._described
        if kept is None or kept[0] is not table:
            assert self.descriptors is not None
            rows = np.flatnonzero(table.serial >= 0)
            track, values = table.track[rows], self.descriptors[table.serial[rows]]
            count = np.bincount(track, minlength=self.pool.n_tracks).astype(np.int64)
            sums: Floats = np.stack(
                [np.bincount(track, weights=v, minlength=self.pool.n_tracks) for v in values.T], axis=1
            ).astype(np.float64)
            kept = self._described = (table, sums, count)
        return kept[1], kept[2]

    # ---- annotations that come and go -------------------------------------------------------------------------------

    def add(
        self, listener_id: ArrayLike, track_id: ArrayLike, label: ArrayLike, *, instrument: ArrayLike | int = 0
    ) -> CrowdVersion:
        """Take annotations of anybody into the crowd, in one step (see :meth:`CrowdPrior.add`).

        Parameters
        ----------
        listener_id, track_id : (n,) array_like
            Who judged what; listeners may be new, tracks must be in the catalogue.
        label : (n,) array_like of int
            Class indices.
        instrument : int or (n,) array_like of int
            Questionnaire.

        Returns
        -------
        CrowdVersion
            The crowd with them. Models made from now on start there; those that exist stay on the version they started on.

        Raises
        ------
        ParameterError, LabelError, UnknownTrackError
            What is wrong; nothing has changed.
        """
        who = id_array(np.atleast_1d(np.asarray(listener_id)), what="listener_id")
        track = self.pool.index_of(np.atleast_1d(np.asarray(track_id)).tolist())
        with self._writing:
            known, place = self.listener_ids, self._listener_of
            numbers = [place.get(value) for value in who.tolist()]
            new = list(dict.fromkeys(str(v) for v, n in zip(who.tolist(), numbers, strict=True) if n is None))
            if new:
                known = id_array([*known.tolist(), *(_as_number(v) if known.dtype.kind in "iu" else v for v in new)])
                place = IdIndex(known)
                numbers = [place.get(value) for value in who.tolist()]
            checked = self.crowd.checked(track, np.array(numbers, dtype=np.int64), label, instrument)
            self.listener_ids, self._listener_of = known, place  # first the names, then their ratings
            self.crowd.add(*checked[:3], instrument=checked[3])
        return self.crowd.version

    def remove_listener(self, listener_id: Any) -> int:
        """Take everything that a listener said out of the crowd, in one step; returns how many annotations there were.

        Labels, class frequencies, descriptors, co-ratings and trees: models made from now on are those of a fit without
        them (to 1e-10). The listener's number stays taken until the next fit; models that exist stay on their version.

        Raises
        ------
        ParameterError
            As :meth:`for_listener`.
        """
        who = self._listener_of.get(listener_id)
        if who is None:
            return 0
        count = self.crowd.remove_listener(who)
        if self.trees is not None:
            self.trees.forget()
        return count

    def explain(self, model: PersonalModel, track_id: Any) -> dict[str, Any]:
        """Where the probabilities of one track come from, in plain values.

        Returns
        -------
        dict
            ``source`` (see :data:`~dissensus.personalisation.listener.crowd_prior.SOURCES`), ``n_raters``, ``crowd`` and
            ``listener`` (probability by class), ``n_answers``, ``trust`` (weight of no, half and full personal shift).
        """
        row = int(self.pool.index_of([track_id])[0])
        belief, names = model.prior.belief, self.classes.tolist()
        return {
            "source": SOURCES[int(belief.source[row])],
            "n_raters": int(belief.n_raters[row]),
            "crowd": dict(zip(names, belief.proba[row].tolist(), strict=True)),
            "listener": dict(zip(names, model.proba[row].tolist(), strict=True)),
            "n_answers": len(model.answers),
            "trust": model.stack_weight.tolist(),
        }


class AskedTracks:
    """The tracks of a catalogue that listeners are asked about, and what of them all listeners share."""

    def __init__(self, model: ListenerModel, tracks: Ints | None) -> None:
        self.tracks = tracks
        self.place: NDArray[np.int32] | None = None
        features, group = model.features, model.group
        if tracks is not None:
            if len(np.unique(tracks)) < len(tracks):
                raise ParameterError("a track is asked about twice; name each once")
            self.place = np.full(len(features), -1, dtype=np.int32)
            self.place[tracks] = np.arange(len(tracks), dtype=np.int32)
            features = features[tracks]
            group = None if group is None else group[tracks]
        self.group = group
        self._n_tracks = len(features)
        self.smooth = SmoothPart(features, model.weights.features, model.weights.length, COLUMN_BYTES)

    def __len__(self) -> int:
        return self._n_tracks


@dataclass(frozen=True)
class _LeftOut:
    """A version of the crowd without a listener, and without the ratings of some tracks."""

    model: ListenerModel
    version: CrowdVersion
    who: int | None
    missing: Any
    instrument: Any

    def _key(self) -> tuple[Any, ...]:
        return (self.version, self.who, None if self.missing is None else self.missing.tobytes())

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _LeftOut)
            and self._key() == other._key()
            and np.array_equal(np.asarray(self.instrument), np.asarray(other.instrument))
        )

    def _remaining(self) -> Remaining:
        if self.who is None and self.missing is None:
            return self.version.everybody
        who = None if self.who is None else np.array([self.who])
        make = lambda: self.version.without(who, self.missing)  # noqa: E731
        made: Remaining = self.model._recent.get(self._key(), make, lambda r: r.nbytes)
        return made

    def ratings(self) -> Ratings:
        """What everybody else said."""
        ratings = self.version.ratings
        who = None if self.who is None else np.array([self.who])
        rows = ratings.rows_of(listeners=who, tracks=self.missing)
        return ratings.without(rows) if len(rows) else ratings

    def belief(self, tracks: AskedTracks, rows: Ints | None = None) -> CrowdBelief:
        """The belief of some tracks, or of some rows of them."""
        places = tracks.tracks
        if rows is not None:
            places = rows if places is None else places[rows]
        belief = self._remaining().belief(places, self.instrument)
        trees = self.model.trees
        if trees is None:
            return belief
        return trees.joined(belief, self.who, without_tracks=self.missing, tracks=places)


def learner_for(model: Any, pool: Pool, crowd: Any, listener: Any) -> Learner:
    """What a session without a committee learns with: a learner as it is, or a listener model's start for this listener."""
    if isinstance(model, ListenerModel):
        return model.for_listener(listener, asked=pool)
    if model is None or model == "listener":
        if crowd is None or isinstance(crowd, tuple):
            raise ParameterError("give a committee, or a model, or annotations of many listeners as crowd")
        return ListenerModel(pool, _newest_within(crowd, pool)).for_listener(listener)
    if isinstance(model, str):
        raise ParameterError(f"model={model!r}; the only name is 'listener'")
    learner: Learner = model
    return learner


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of annotations."""

    listener_id: NDArray[Any]
    track_id: NDArray[Any]
    label: Ints
    classes: tuple[Any, ...]


def _newest_within(crowd: Any, pool: Pool) -> _Rows:
    """Annotations about tracks of the pool; of repeated ones the newest, without times the last."""
    who = id_array(crowd.listener_id, what="listener_id")
    what = id_array(crowd.track_id, what="track_id")
    label = np.asarray(crowd.label, dtype=np.int64)
    rows = np.flatnonzero(np.array([t in pool for t in what.tolist()], dtype=bool) & (label >= 0))
    when = getattr(crowd, "timestamp", None)
    track = pool.index_of(what[rows].tolist())
    rows = rows[newest_rows(who[rows], track, None if when is None else np.asarray(when)[rows])]
    return _Rows(who[rows], what[rows], label[rows], tuple(crowd.classes))


def track_means(pool: Pool) -> Floats:
    """``(n_tracks, n_features)`` mean window of each track."""
    if pool.n_windows == pool.n_tracks:
        return np.asarray(pool.X, dtype=np.float64)[np.argsort(pool.groups, kind="stable")]
    out = np.zeros((pool.n_tracks, pool.n_features))
    np.add.at(out, pool.groups, np.asarray(pool.X, dtype=np.float64))
    means: Floats = out / np.bincount(pool.groups, minlength=pool.n_tracks)[:, None]
    return means


def standardised(table: Floats, *, binary: bool = True) -> Floats:
    """Columns with mean 0 and deviation 1; constant ones become 0, those of two values stay if ``binary``."""
    if table.shape[0] == 0 or table.shape[1] == 0:
        return table
    out: Floats = (table - table.mean(axis=0)) / column_deviation(table, constant=np.inf)
    if binary:
        two = ((table == table.min(axis=0)) | (table == table.max(axis=0))).all(axis=0)
        out[:, two] = table[:, two] - table[:, two].min(axis=0)
    return out


def _as_number(value: str) -> Any:
    """The number of a text of digits; any other text as it is."""
    number = value.removeprefix("-")
    return int(value) if number.isdigit() and str(int(value)) == value else value


def _codes(group: ArrayLike, n_tracks: int) -> Ints:
    values = np.asarray(group)
    if values.shape != (n_tracks,):
        raise ParameterError(f"group must name the group of each of the {n_tracks} tracks; got shape {values.shape}")
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _shares(descriptors: ArrayLike, n: int) -> Floats:
    values = np.asarray(descriptors, dtype=np.float64)
    if values.ndim != 2 or len(values) != n:
        raise DataFormatError(f"descriptors must be ({n}, k), one row an annotation; got shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataFormatError("descriptors must be shares between 0 and 1 (one-hot words, yes or no)")
    return values
