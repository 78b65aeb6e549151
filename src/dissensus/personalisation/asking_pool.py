"""The tracks that listeners are asked about, chosen from a catalog that may be a thousand times larger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ties import TieKeys
from dissensus._validate import check_count
from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.strategies.disagreement import consensus_entropy

if TYPE_CHECKING:
    from dissensus.committee import Committee

__all__ = ["AskingPool"]


class AskingPool:
    """Some tracks of a catalog, held in memory and shared by all sessions that ask about them.

    A session over it asks about these tracks alone; answers may be about any track of the catalog, and any can be scored.

    Parameters
    ----------
    catalog : Pool
        All tracks; often on disk.
    track_ids : (n,) array_like
        The tracks to be asked about, each once.

    Attributes
    ----------
    catalog : Pool
        As given.
    pool : Pool
        The tracks that are asked about, with their windows.
    index : (n,) ndarray of int64
        Their positions in the catalog.

    Raises
    ------
    ParameterError
        No track, or one twice.
    UnknownTrackError
        A track is not in the catalog.

    Examples
    --------
    >>> catalog = Pool(np.arange(12.0).reshape(6, 2), list("abcdef"))
    >>> asking = AskingPool(catalog, ["e", "b"])
    >>> asking.pool.track_ids.tolist(), asking.index.tolist()
    (['e', 'b'], [4, 1])
    """

    def __init__(self, catalog: Pool, track_ids: ArrayLike) -> None:
        self._take(catalog, catalog.index_of(np.asarray(track_ids).tolist()))

    def _take(self, catalog: Pool, index: NDArray[np.int64]) -> None:
        if len(index) == 0 or len(np.unique(index)) != len(index):
            raise ParameterError(
                f"an asking pool holds one or more tracks, each once; got {len(index)} with repeats or none"
            )
        X, start = catalog.windows_of(index)
        self.catalog, self.index = catalog, index
        self.pool = Pool(
            X,
            np.repeat(catalog.track_ids[index], np.diff(start)),
            feature_names=catalog.feature_names,
            fingerprint=catalog.fingerprint,
        )
        self.place = np.full(catalog.n_tracks, -1, dtype=np.int32)
        self.place[index] = np.arange(len(index), dtype=np.int32)

    @classmethod
    def choose(
        cls,
        catalog: Pool,
        k: int,
        *,
        committee: Committee,
        random_share: float = 0.2,
        per_track: int = 8,
        random_state: int = 0,
        n_threads: int = 1,
    ) -> AskingPool:
        """The tracks worth asking about, none twice under another name: for a job that runs each night.

        A share is drawn at random, so that answers about it stay an honest sample. The rest is cut evenly over the classes
        that the committee gives the tracks; within a class the most useful tracks (entropy of the mean member) are thinned
        by greedy k-centre on their mean windows, weighted by utility: of near-duplicates one is taken.

        Parameters
        ----------
        catalog : Pool
            All tracks.
        k : int
            Tracks wanted, 500 to 2 000 as a rule; at most the catalog.
        committee : Committee
            Everybody's.
        random_share : float
            Share of ``k`` that is drawn at random.
        per_track : int
            How many useful tracks a class enters into the thinning for each one that is taken.
        random_state : int
            Of the draw and of ties.
        n_threads : int
            Threads that score the catalog.

        Raises
        ------
        ParameterError
            ``k`` or a share out of range.
        FeatureMismatchError
            The committee was trained on other features.
        """
        k = min(check_count(k, "k"), catalog.n_tracks)
        if not 0 <= random_share <= 1:
            raise ParameterError(f"random_share={random_share!r}: must be a share between 0 and 1")
        check_count(per_track, "per_track")
        committee.check_features(
            catalog.n_features, feature_names=catalog.feature_names, fingerprint=catalog.fingerprint
        )
        proba = committee.predict_proba(catalog.X, catalog.groups, n_threads=n_threads)
        utility, leader = consensus_entropy(proba).astype(np.float64), proba.mean(axis=0).argmax(axis=1)
        keys = TieKeys(catalog.id_hashes, random_state)
        order = np.argsort(keys[:], kind="stable")
        drawn = order[: round(k * random_share)]
        free = np.ones(catalog.n_tracks, dtype=bool)
        free[drawn] = False
        chosen = [drawn]
        n_classes = proba.shape[2]
        for c in range(n_classes):
            want = (k - sum(map(len, chosen))) // (n_classes - c)
            mine = order[free[order] & (leader[order] == c)]
            best = mine[np.argsort(-utility[mine], kind="stable")[: want * per_track]]
            taken = best[_thinned(_means(catalog, best), utility[best], want)]
            free[taken] = False
            chosen.append(taken)
        left = k - sum(map(len, chosen))
        rest = order[free[order]]
        chosen.append(rest[np.argsort(-utility[rest], kind="stable")[:left]])
        pool = cls.__new__(cls)
        pool._take(catalog, np.concatenate(chosen))
        return pool

    def __repr__(self) -> str:
        return f"AskingPool({self.pool.n_tracks} of {self.catalog.n_tracks} tracks)"


def _means(catalog: Pool, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(n, n_features)`` mean window of each track, columns of unit deviation."""
    X, start = catalog.windows_of(index)
    if len(index) == 0:
        return np.zeros((0, catalog.n_features))
    mean = np.add.reduceat(X.astype(np.float64), start[:-1], axis=0) / np.diff(start)[:, None]
    spread = mean.std(axis=0)
    scaled: NDArray[np.float64] = (mean - mean.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _thinned(points: NDArray[np.float64], utility: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Greedy k-centre: the row that is best by utility times distance to the nearest chosen one, again and again."""
    k = min(k, len(points))
    chosen: list[int] = []
    nearest = np.ones(len(points))
    for turn in range(k):
        score = utility * nearest
        score[chosen] = -1.0
        best = int(np.argmax(score))
        chosen.append(best)
        far = np.sqrt(np.square(points - points[best]).sum(axis=1))
        nearest = far if turn == 0 else np.minimum(nearest, far)
    return np.array(chosen, dtype=np.int64)
