"""The listener model as members of an evaluation: the crowd without the listener, and the personal model on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._types import Annotations, Dataset
from dissensus.personalisation.listener import ListenerModel, PersonalModel, TrackInfo

__all__ = ["ListenerMembers", "instruments", "listener_model", "track_info"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def instruments(annotations: Annotations) -> Ints | None:
    """Questionnaire of each annotation, where a data set has more than one."""
    if "condition" not in annotations.extra:
        return None
    second: Ints = (np.asarray(annotations.extra["condition"]) == "dimensional").astype(np.int64)
    return second


def track_info(dataset: Dataset) -> TrackInfo:
    """What the listener model uses of a data set besides features and labels: whatever of it is there."""
    extra = dataset.annotations.extra
    parts = []
    if "mood" in extra:
        parts.append(extra["mood"][:, None] == np.unique(extra["mood"]))
    if "favourite" in extra:
        parts.append(np.asarray(extra["favourite"])[:, None])
    return TrackInfo(
        weak_label=dataset.weak_label,
        group=dataset.track_table.get("selection"),
        descriptors=np.concatenate(parts, axis=1).astype(np.float64) if parts else None,
        instrument=instruments(dataset.annotations),
    )


def listener_model(dataset: Dataset, votes: Annotations) -> ListenerModel:
    """The listener model of a data set with these annotations, one per listener and track."""
    return ListenerModel(dataset.pool, votes, info=track_info(replace(dataset, annotations=votes)))


@dataclass(frozen=True, eq=False)
class ListenerMembers:
    """The listener model's members for one listener and one split; nothing in it is changed.

    Parameters
    ----------
    kinds : tuple of str
        Of ``crowd``, ``residual`` and, where nobody may have rated the held-out tracks, ``crowd-new``, ``residual-new``.
    start : dict of bool to PersonalModel
        By whether all votes on the held-out tracks are gone: the model of the split's tracks before any answer.
    """

    kinds: tuple[str, ...]
    start: Mapping[bool, PersonalModel]

    @classmethod
    def of(
        cls, kinds: tuple[str, ...], model: ListenerModel, own: Annotations, track: Ints, n_pool: int
    ) -> ListenerMembers:
        """For the listener who gave ``own``, over the tracks of a split: first those of the pool, then those held out.

        Nothing of ``own`` is in any of it.
        """
        who = own.listener_id[0]
        instrument: Ints | int = 0
        used = instruments(own)
        if used is not None:
            instrument = np.zeros(model.pool.n_tracks, dtype=np.int64)
            instrument[model.pool.index_of(own.track_id.tolist())] = used
        start = {}
        for new in sorted({kind.endswith("-new") for kind in kinds}):
            gone = track[n_pool:] if new else None
            whole = model.for_listener(who, without_tracks=gone, instrument=instrument)
            start[new] = PersonalModel(whole.prior.of_tracks(track))
        return cls(kinds, start)

    def taught(self, answers: Mapping[int, int]) -> dict[bool, PersonalModel]:
        """The models after exactly these answers: position among the split's tracks -> class."""
        return {new: start.with_answers(answers) for new, start in self.start.items()}

    def proba(self, taught: Mapping[bool, PersonalModel]) -> Floats:
        """``(n_kinds, n_tracks, n_classes)``: the crowd stays as it was, the personal models have learnt."""
        each = []
        for kind in self.kinds:
            name, _, new = kind.partition("-")
            models = self.start if name == "crowd" else taught
            each.append(models[bool(new)].proba)
        return np.stack(each)

    def machine(self, taught: Mapping[bool, PersonalModel], n_pool: int) -> NDArray[np.float32]:
        """``(n_draws, n_pool, n_classes)``: who asks where no committee does. Draws from the personal posterior.

        Without a personal member there is nothing to learn: the crowd's opinion.
        """
        kind = next((kind for kind in self.kinds if kind.startswith("residual")), None)
        rows = np.arange(n_pool)
        if kind is None:
            return self.start[self.kinds[0].endswith("-new")].proba[None, rows].astype(np.float32)
        return taught[kind.endswith("-new")].draws(rows).astype(np.float32)

    def simulated(self, rng: np.random.Generator) -> Ints:
        """``(n_tracks,)`` what a listener with nothing personal might answer: drawn from the crowd's probabilities."""
        proba = self.start[min(self.start)].proba
        drawn: Ints = (rng.random(len(proba))[:, None] > proba.cumsum(axis=1)[:, :-1]).sum(axis=1)
        return drawn
