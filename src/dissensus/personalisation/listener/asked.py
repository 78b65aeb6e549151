"""The part of a catalogue that listeners are asked about, and a crowd with one of them left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.crowd_version import CrowdBelief, CrowdVersion, Remaining
from dissensus.personalisation.listener.ratings import Ratings
from dissensus.personalisation.listener.smooth_part import RowsOf, SmoothPart

if TYPE_CHECKING:
    from dissensus.features.pool import Pool
    from dissensus.personalisation.listener.model import ListenerModel

__all__ = ["COLUMN_BYTES", "AskedTracks", "BeliefOf", "DescriptorsOf", "LeftOut"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Bytes of columns of features that all listeners of a model share, for each pool that is asked about.
COLUMN_BYTES: Final = 1 << 26


class AskedTracks:
    """The tracks of a catalogue that listeners are asked about, and what of them all listeners share."""

    def __init__(
        self,
        model: ListenerModel,
        tracks: Ints | None,
        pool: Pool | None = None,
        names: Ints | None = None,
        n_told: int | None = None,
    ) -> None:
        self.tracks = tracks
        self.pool, self.names = pool, names
        self.place: NDArray[np.int32] | None = None
        features = model.features
        if tracks is not None:
            if len(np.unique(tracks)) < len(tracks):
                raise ParameterError("a track is asked about twice; name each once")
            self.place = np.full(len(features), -1, dtype=np.int32)
            self.place[tracks] = np.arange(len(tracks), dtype=np.int32)
        asked = features if tracks is None else features[tracks]
        self._n_tracks = len(asked)
        self.n_told = self._n_tracks if n_told is None else n_told
        weights = model.weights
        self.smooth = SmoothPart(asked, weights.features, weights.length, COLUMN_BYTES, points=RowsOf(features))

    def __len__(self) -> int:
        return self._n_tracks


@dataclass(frozen=True)
class LeftOut:
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
            isinstance(other, LeftOut)
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

    def belief(self, places: Ints | None) -> CrowdBelief:
        """The belief of some tracks of the catalogue; None: of all."""
        belief = self._remaining().belief(places, self.instrument)
        trees = self.model.trees
        if trees is None:
            return belief
        return trees.joined(belief, self.who, without_tracks=self.missing, tracks=places)


@dataclass(frozen=True)
class BeliefOf:
    """Gives the belief of some tracks of the catalogue, or of those that are asked about."""

    crowd: LeftOut
    asked: Ints | None

    def __call__(self, tracks: Ints | None) -> CrowdBelief:
        return self.crowd.belief(self.asked if tracks is None else tracks)


class DescriptorsOf:
    """A listener's table of descriptors: held for the tracks that are asked about, made again for others."""

    def __init__(self, model: ListenerModel, ratings: Ratings, tracks: AskedTracks, asked: Floats) -> None:
        self._model, self._ratings, self._tracks, self._asked = model, ratings, tracks, asked
        self._others: dict[int, Floats] = {}

    def __call__(self, tracks: Ints) -> Floats:
        assert self._tracks.place is not None
        place = self._tracks.place[tracks].tolist()
        both = list(zip(tracks.tolist(), place, strict=True))
        missing = [t for t, p in both if p < 0 and t not in self._others]
        if missing:
            table = self._model._descriptor_table(self._ratings)
            assert table is not None
            self._others.update((t, table[t].copy()) for t in missing)
        rows = [self._asked[p] if p >= 0 else self._others[t] for t, p in both]
        return np.array(rows).reshape(len(tracks), self._asked.shape[1])
