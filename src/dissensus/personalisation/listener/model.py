"""The listener model: a crowd fitted nightly, and a personal model for anyone who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import IdIndex, id_array
from dissensus._order import newest_rows
from dissensus.errors import DataFormatError, ParameterError
from dissensus.personalisation.listener.crowd_prior import CrowdBelief, CrowdPrior, CrowdSettings
from dissensus.personalisation.listener.personal_kernel import CoRatings, PersonalKernel, PersonalWeights
from dissensus.personalisation.listener.personal_model import PersonalModel, Prior
from dissensus.personalisation.listener.stack import STACK_PRIOR
from dissensus.personalisation.listener.unrated import UnratedTrees

if TYPE_CHECKING:
    from dissensus.features.pool import Pool
    from dissensus.personalisation.learner import Learner
    from dissensus.personalisation.query import Crowd

__all__ = ["ListenerModel", "TrackInfo", "learner_for", "standardised", "track_means"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        One row a judgement: ``listener_id``, ``track_id``, ``label`` (class index, −1 = none), ``classes``. Of repeated
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

    def for_listener(
        self, listener_id: Any = None, *, without_tracks: ArrayLike | None = None, instrument: ArrayLike | int = 0
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

        Raises
        ------
        ParameterError
            No id, or one that nobody has but that looks like somebody's, whose votes would stay in unnoticed.
        """
        who = self._listener_of.get(listener_id)
        belief = self.crowd.belief(without_listener=who, without_tracks=without_tracks, instrument=instrument)
        if self.trees is not None:
            belief = self.trees.joined(belief, who, without_tracks=without_tracks)
        return PersonalModel(self.prior_from(belief, who, without_tracks))

    def prior_from(self, belief: CrowdBelief, who: int | None = None, without_tracks: ArrayLike | None = None) -> Prior:
        """The start of a personal model from a belief of the crowd without listener number ``who``."""
        crowd = self.crowd
        kept = np.ones(len(crowd.track), dtype=bool) if who is None else crowd.listener != who
        if without_tracks is not None:
            kept &= ~np.isin(crowd.track, np.asarray(without_tracks))
        coratings = None
        if self.weights.corating > 0 and crowd.n_listeners > 1:
            coratings = CoRatings(crowd.track[kept], crowd.listener[kept], crowd.label[kept])
        kernel = PersonalKernel(
            belief.proba,
            self.weights,
            features=self.features,
            descriptors=self._descriptor_table(kept),
            group=self.group,
            coratings=coratings,
        )
        return Prior(belief, kernel, self.classes, self.model, self.stack_prior)

    def _descriptor_table(self, kept: NDArray[np.bool_]) -> Floats | None:
        """``(n_tracks, k)`` z-scored roots of the smoothed mean descriptors of these annotations."""
        if self.descriptors is None or not kept.any():
            return None
        track, values = self.crowd.track[kept], self.descriptors[kept]
        count = np.bincount(track, minlength=self.pool.n_tracks)[:, None]
        sums = np.stack([np.bincount(track, weights=v, minlength=self.pool.n_tracks) for v in values.T], axis=1)
        return standardised(np.sqrt((sums + 5.0 * values.mean(axis=0)) / (count + 5.0)), binary=False)

    def explain(self, model: PersonalModel, track_id: Any) -> dict[str, Any]:
        """Where the probabilities of one track come from, in plain values.

        Returns
        -------
        dict
            ``source`` (see :data:`~dissensus.personalisation.listener.crowd_prior.SOURCES`), ``n_raters``, ``crowd`` and
            ``listener`` (probability by class), ``n_answers``, ``trust`` (weight of no, half and full personal shift).
        """
        from dissensus.personalisation.listener.crowd_prior import SOURCES

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


def learner_for(model: Any, pool: Pool, crowd: Any, listener: Any) -> Learner:
    """What a session without a committee learns with: a learner as it is, or a listener model's start for this listener."""
    if isinstance(model, ListenerModel):
        return model.for_listener(listener)
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
    scale = table.std(axis=0)
    out: Floats = (table - table.mean(axis=0)) / np.where(scale > 1e-12, scale, np.inf)
    if binary:
        two = ((table == table.min(axis=0)) | (table == table.max(axis=0))).all(axis=0)
        out[:, two] = table[:, two] - table[:, two].min(axis=0)
    return out


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
