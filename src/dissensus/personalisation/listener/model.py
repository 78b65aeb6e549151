"""The listener model: a crowd fitted nightly, and a personal model for anyone who asks."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._fork import Lock
from dissensus._ids import IdIndex, id_array
from dissensus._order import newest_rows
from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.personalisation.asking_pool import AskingPool
from dissensus.personalisation.listener.asked import AskedTracks, BeliefOf, DescriptorsOf, LeftOut
from dissensus.personalisation.listener.coratings import CoRatings
from dissensus.personalisation.listener.crowd_prior import SOURCES, CrowdPrior
from dissensus.personalisation.listener.crowd_version import (
    CrowdBelief,
    CrowdSettings,
    CrowdVersion,
    indices,
)
from dissensus.personalisation.listener.personal_kernel import KEPT_BYTES, PersonalKernel, PersonalWeights
from dissensus.personalisation.listener.personal_model import PersonalModel
from dissensus.personalisation.listener.prior import Beliefs, Prior, Recent
from dissensus.personalisation.listener.ratings import Ratings, RatingTable
from dissensus.personalisation.listener.smooth_part import SmoothPart
from dissensus.personalisation.listener.stack import STACK_PRIOR
from dissensus.personalisation.listener.track_info import (
    TrackInfo,
    descriptor_shares,
    group_codes,
    standardised,
    track_means,
)
from dissensus.personalisation.listener.unrated import UnratedTrees

if TYPE_CHECKING:
    from dissensus.personalisation.learner import Learner
    from dissensus.personalisation.query import Crowd

__all__ = ["ListenerModel", "TrackInfo", "learner_for"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


#: A pool of more tracks than this is not held for each listener: beliefs are made when needed, and the last few kept by all.
MAX_HELD_TRACKS: Final = 4096
#: Bytes of beliefs, probabilities and solutions that all listeners of a model share.
RECENT_BYTES: Final = 1 << 26


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
        self.group = None if info.group is None else group_codes(info.group, pool.n_tracks)
        self.descriptors = None if info.descriptors is None else descriptor_shares(info.descriptors, len(label))[rows]
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
        self._writing = Lock()
        self._recent = Recent(RECENT_BYTES)
        self._every = AskedTracks(self, None)
        self._asked: weakref.WeakKeyDictionary[Pool | AskingPool, AskedTracks] = weakref.WeakKeyDictionary()
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

    def asked(self, pool: Pool | AskingPool) -> AskedTracks:
        """The tracks that listeners are asked about, a part of the catalogue, made ready; once per pool.

        Raises
        ------
        UnknownTrackError
            A track of the pool is not in the catalogue.
        ParameterError
            A track is in it twice.
        """
        if pool is self.pool:
            return self._every
        found = self._asked.get(pool)
        if found is None:
            told = pool.catalog if isinstance(pool, AskingPool) else pool
            names = None if told is self.pool else self.pool.index_of(told.track_ids.tolist())
            if isinstance(pool, Pool):
                found = AskedTracks(self, names, pool, names, len(told.track_ids))
            else:
                rows = pool.index if names is None else names[pool.index]
                found = AskedTracks(self, rows, pool.pool, names, len(told.track_ids))
            self._asked[pool] = found
        return found

    def for_listener(
        self,
        listener_id: Any = None,
        *,
        without_tracks: ArrayLike | None = None,
        instrument: ArrayLike | int = 0,
        asked: Pool | AskingPool | None = None,
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
        asked : Pool or AskingPool, optional
            A part of the catalogue: the model then speaks of these tracks, in the order of this pool, and costs what they
            cost. Answers are told by position in the pool; for an asking pool by position in its catalog, and may be about
            any track of it. Default: the whole catalogue.

        Raises
        ------
        ParameterError
            No id, or one that nobody has but that looks like somebody's, whose votes would stay in unnoticed.
        UnknownTrackError
            A track of ``asked`` is not in the catalogue.
        """
        version = self.crowd.version  # before the index: whoever is in the version is in the index
        who = self._listener_of.get(listener_id)
        tracks = self._every if asked is None else self.asked(asked)
        missing = None if without_tracks is None else indices(without_tracks, "without_tracks", self.pool.n_tracks)
        crowd = LeftOut(self, version, who, missing, instrument)
        return PersonalModel(self._start(crowd, tracks))

    def prior_from(self, belief: CrowdBelief, who: int | None = None, without_tracks: ArrayLike | None = None) -> Prior:
        """The start of a personal model from a belief of the crowd without listener number ``who``."""
        version = self.crowd.version
        missing = None if without_tracks is None else indices(without_tracks, "without_tracks", self.pool.n_tracks)
        kernel = self._kernel(belief.proba, LeftOut(self, version, who, missing, 0).ratings(), self._every)
        return Prior(belief, kernel, self.classes, self.model, self.stack_prior)

    def _start(self, crowd: LeftOut, tracks: AskedTracks) -> Prior:
        """A start whose belief is made when first needed; where the pool is large it holds nothing of its size."""
        large = len(tracks) > MAX_HELD_TRACKS
        beliefs = Beliefs(
            BeliefOf(crowd, tracks.tracks),
            asked=tracks.tracks,
            place=tracks.place,
            recent=self._recent if large else None,
            key=(crowd, tracks),
        )
        return Prior(
            beliefs,
            self._kernel(beliefs, crowd.ratings(), tracks, holds=not large),
            self.classes,
            self.model,
            self.stack_prior,
            n_tracks=len(tracks),
            names=tracks.names,
            n_told=tracks.n_told,
            pool=tracks.pool,
        )

    def _kernel(
        self, proba: Floats | Beliefs, ratings: Ratings, tracks: AskedTracks, *, holds: bool = True
    ) -> PersonalKernel:
        coratings = None
        if self.weights.corating > 0 and ratings.n_listeners > 1:
            coratings = CoRatings(ratings, tracks.tracks, tracks.place)
        return PersonalKernel(
            proba,
            self.weights,
            features=tracks.smooth,
            descriptors=self._descriptor_part(ratings, tracks),
            group=self.group,
            coratings=coratings,
            asked=tracks.tracks,
            holds=holds,
        )

    def _descriptor_part(self, ratings: Ratings, tracks: AskedTracks) -> SmoothPart | None:
        """The kernel part of the descriptors; of the catalogue's table, which is a listener's own, only rows are held."""
        table = None if self.weights.descriptors == 0 else self._descriptor_table(ratings)
        if table is None:
            return None
        weights = self.weights
        if tracks.tracks is None:
            return SmoothPart(table, weights.descriptors, weights.length, KEPT_BYTES)
        asked = table[tracks.tracks]
        points = DescriptorsOf(self, ratings, tracks, asked)
        return SmoothPart(asked, weights.descriptors, weights.length, KEPT_BYTES, points=points)

    def _descriptor_table(self, ratings: Ratings) -> Floats | None:
        """``(n_catalogue, k)`` z-scored roots of the smoothed mean descriptors of these annotations."""
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
        return standardised(np.sqrt((np.maximum(sums, 0.0) + 5.0 * mean) / (count[:, None] + 5.0)), binary=False)

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
        row, names = int(self.pool.index_of([track_id])[0]), self.classes.tolist()
        where = model.prior.asked(np.arange(model.prior.n_tracks))
        found = np.flatnonzero(where == row)
        if len(found) == 0:
            raise ParameterError(
                f"track {track_id!r} is not among the {len(where)} tracks that this model is asked about"
            )
        row, belief = int(found[0]), model.prior.belief
        return {
            "source": SOURCES[int(belief.source[row])],
            "n_raters": int(belief.n_raters[row]),
            "crowd": dict(zip(names, belief.proba[row].tolist(), strict=True)),
            "listener": dict(zip(names, model.proba[row].tolist(), strict=True)),
            "n_answers": len(model.answers),
            "trust": model.stack_weight.tolist(),
        }


def learner_for(model: Any, pool: Pool | AskingPool, crowd: Any, listener: Any) -> Learner:
    """What a session without a committee learns with: a learner as it is, or a listener model's start for this listener."""
    if isinstance(model, ListenerModel):
        return model.for_listener(listener, asked=pool)
    if model is None or model == "listener":
        if crowd is None or isinstance(crowd, tuple):
            raise ParameterError("give a committee, or a model, or annotations of many listeners as crowd")
        catalog = pool.catalog if isinstance(pool, AskingPool) else pool
        return ListenerModel(catalog, _newest_within(crowd, catalog)).for_listener(listener, asked=pool)
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


def _as_number(value: str) -> Any:
    """The number of a text of digits; any other text as it is."""
    number = value.removeprefix("-")
    return int(value) if number.isdigit() and str(int(value)) == value else value
