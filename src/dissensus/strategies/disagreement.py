"""How far the members of a committee disagree about each track.

Pure functions of probabilities ``(n_members, n_tracks, n_classes)`` or votes ``(n_members, n_tracks)``: they know nothing of
models, so that a recommender can use them on its own. All are utilities (higher = ask first), in nats but for
:func:`margin`. Float32 and float64 arrays that are C-contiguous are read in place, memory maps and read-only arrays too;
any other layout costs one copy. Results do not depend on ``n_threads``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus import _backend
from dissensus._measures import Measure
from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import as_exclude, as_member_weight, as_proba, as_votes, check_count
from dissensus.errors import ParameterError

__all__ = [
    "Top",
    "consensus_entropy",
    "margin",
    "mean_kl",
    "mutual_information",
    "query_top",
    "query_votes",
    "vote_entropy",
]

#: What a query of probabilities may ask for. Mutual information is the mean divergence (see there).
_MEASURES = {
    "consensus_entropy": Measure.consensus_entropy,
    "mean_kl": Measure.mean_kl,
    "mutual_information": Measure.mean_kl,
    "margin": Measure.margin,
}


@dataclass(frozen=True, slots=True, eq=False)
class Top:
    """The best tracks, best first."""

    index: NDArray[np.int64]
    utility: NDArray[np.float64]


def _per_track(
    kernel: str, proba: ArrayLike, member_weight: ArrayLike | None, n_threads: int | None, backend: str
) -> NDArray[np.float32]:
    rows = as_proba(proba)
    weight = as_member_weight(member_weight, rows.shape[0])
    run = _backend.resolve(kernel, backend)
    out = np.empty(rows.shape[1], np.float32)
    run_blocks(lambda start, stop: run(rows, weight, start, stop, out), len(out), n_threads=resolve_threads(n_threads))
    return out


def consensus_entropy(
    proba: ArrayLike,
    /,
    *,
    member_weight: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""Entropy of the committee's mean prediction, per track.

    .. math:: H_i = -\sum_c \bar p_{ic} \log \bar p_{ic}, \quad \bar p_{ic} = \sum_m w_m p_{mic}

    The mean is scaled to sum to one, as ``scipy.stats.entropy`` does.

    Parameters
    ----------
    proba : (n_members, n_tracks, n_classes) array_like of float
        Class probabilities. C-contiguous float32 and float64 are used without a copy.
    member_weight : (n_members,) array_like of float, optional
        Non-negative votes, rescaled to sum to 1. Default: equal weights.
    n_threads : int or None, default 1
        None takes the budget of :func:`dissensus.set_threads`.
    backend : {"auto", "native", "numba", "reference"}

    Returns
    -------
    (n_tracks,) ndarray of float32
        Nats, in ``[0, log(n_classes)]``. NaN for a track with a NaN, infinite or negative mean, for it alone.

    Raises
    ------
    ParameterError
        Wrong rank, no member, or weights that do not match.

    References
    ----------
    .. [1] Gómez-Cañón et al., "Let's agree to disagree: consensus entropy active learning for personalized music
       emotion recognition", ISMIR 2021.

    Examples
    --------
    >>> consensus_entropy([[[1, 0], [1, 0]], [[1, 0], [0, 1]]])  # two members, two tracks, two classes
    array([0. , 0.6931472], dtype=float32)
    """
    return _per_track("consensus_entropy", proba, member_weight, n_threads, backend)


def mean_kl(
    proba: ArrayLike,
    /,
    *,
    member_weight: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""Mean Kullback-Leibler divergence of the members from their mean, per track.

    .. math:: D_i = \sum_m w_m \sum_c p_{mic} \log \frac{p_{mic}}{\bar p_{ic}}

    High where members are sure of different things; zero where all say the same, however unsure. Each member's row is
    scaled to sum to one. Parameters and errors are those of :func:`consensus_entropy`.

    Returns
    -------
    (n_tracks,) ndarray of float32
        Nats, in ``[0, log(min(n_members, n_classes))]``. NaN for a track with a NaN, infinite or negative row.

    References
    ----------
    .. [1] McCallum and Nigam, "Employing EM and pool-based active learning for text classification", ICML 1998.

    Examples
    --------
    >>> mean_kl([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]])
    array([0.6931472, 0. ], dtype=float32)
    """
    return _per_track("mean_kl", proba, member_weight, n_threads, backend)


def mutual_information(
    proba: ArrayLike,
    /,
    *,
    member_weight: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""Mutual information of label and member (BALD), per track: entropy of the mean less the mean entropy.

    .. math:: I_i = H(\bar p_i) - \sum_m w_m H(p_{mi})

    It is the same number as :func:`mean_kl`, by the algebra of the two definitions, and is computed as that; both names
    are kept because both are used. Parameters and errors are those of :func:`consensus_entropy`.

    Returns
    -------
    (n_tracks,) ndarray of float32
        Nats, in ``[0, log(min(n_members, n_classes))]``.

    References
    ----------
    .. [1] Houlsby et al., "Bayesian active learning for classification and preference learning", 2011.

    Examples
    --------
    >>> mutual_information([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]])
    array([0.6931472, 0. ], dtype=float32)
    """
    return _per_track("mean_kl", proba, member_weight, n_threads, backend)


def margin(
    proba: ArrayLike,
    /,
    *,
    member_weight: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""One minus the lead of the likeliest class over the second, in the committee's mean, per track.

    .. math:: U_i = 1 - (\bar p_{i(1)} - \bar p_{i(2)})

    One where two classes share the lead, zero where one class is certain: like the others, higher = ask first.
    Parameters and errors are those of :func:`consensus_entropy`.

    Returns
    -------
    (n_tracks,) ndarray of float32
        In ``[0, 1]``. NaN for a track with a NaN, infinite or negative mean, for it alone.

    References
    ----------
    .. [1] Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", IDA 2001.

    Examples
    --------
    >>> margin([[[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]]])
    array([0.5, 1. ], dtype=float32)
    """
    return _per_track("margin", proba, member_weight, n_threads, backend)


def vote_entropy(
    votes: ArrayLike,
    /,
    *,
    n_classes: int,
    member_weight: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> NDArray[np.float32]:
    r"""Entropy of the members' votes, per track.

    .. math:: V_i = -\sum_c v_{ic} \log v_{ic}, \quad v_{ic} = \sum_m w_m [y_{mi} = c]

    Parameters
    ----------
    votes : (n_members, n_tracks) array_like of int
        Index of the class each member votes for. C-contiguous uint8 is used without a copy.
    n_classes : int
        At most 255.
    member_weight, n_threads, backend
        As in :func:`consensus_entropy`. With equal weights a vote is 1 / M, and shares are compared as whole numbers.

    Returns
    -------
    (n_tracks,) ndarray of float32
        Nats, in ``[0, log(min(n_members, n_classes))]``. Votes in equal shares give equal numbers, whichever classes
        they are for.

    Raises
    ------
    ParameterError
        Wrong rank or dtype, no member, weights that do not match, or a vote outside ``0..n_classes - 1``.

    References
    ----------
    .. [1] Dagan and Engelson, "Committee-based sampling for training probabilistic classifiers", ICML 1995.

    Examples
    --------
    >>> vote_entropy([[0, 1], [0, 2]], n_classes=4)
    array([0. , 0.6931472], dtype=float32)
    >>> vote_entropy([[0, 1], [0, 2]], n_classes=4, member_weight=[1, 3])
    array([0. , 0.56233513], dtype=float32)
    """
    array = as_votes(votes, n_classes)
    out = np.empty(array.shape[1], np.float32)
    bad: list[int] = []
    if member_weight is None:
        plain = _backend.resolve("vote_entropy", backend)

        def work(start: int, stop: int) -> None:
            bad.append(plain(array, n_classes, start, stop, out))

    else:
        weight, run = as_member_weight(member_weight, len(array)), _backend.resolve("weighted_vote_entropy", backend)

        def work(start: int, stop: int) -> None:
            bad.append(run(array, weight, n_classes, start, stop, out))

    run_blocks(
        work,
        len(out),
        n_threads=resolve_threads(n_threads),
    )
    if any(bad):
        _refuse_votes(array, n_classes)
    return out


def _refuse_votes(votes: NDArray[np.uint8], n_classes: int) -> None:
    member, track = np.argwhere(votes >= n_classes)[0]
    raise ParameterError(
        f"votes[{member}, {track}] is {votes[member, track]}; votes must lie in 0..{n_classes - 1} (n_classes={n_classes})"
    )


def _best_of(parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]], k: int) -> Top:
    """The best ``k`` of the best of every block: by score, then position, NaN last."""
    index = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.int64)
    score = np.concatenate([part[1] for part in parts]) if parts else np.empty(0)
    if len(parts) > 1:
        order = np.lexsort((index, -score, np.isnan(score)))[:k]
        index, score = index[order], score[order]
    return Top(index, score)


def query_top(
    proba: ArrayLike,
    k: int,
    /,
    *,
    measure: str = "consensus_entropy",
    n_classes: int | None = None,
    member_weight: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> Top:
    """The ``k`` tracks to ask about, in one pass: nothing as long as the pool is written.

    The pass ranks in float32 and scores whatever could be among the best again in float64, so that the answer is the
    order of the float64 definition, however close the leaders are.

    Parameters
    ----------
    proba : (n_members, n_tracks, n_classes) array_like of float
        As in :func:`consensus_entropy`. Votes are for :func:`query_votes`.
    k : int
        How many, at least 0.
    measure : {"consensus_entropy", "mean_kl", "mutual_information", "margin"}
        ``"vote_entropy"`` takes ``proba`` as votes and passes them to :func:`query_votes`, as before there was such a
        function.
    n_classes : int, optional
        For votes alone.
    member_weight : (n_members,) array_like of float, optional
    exclude : array_like of int, or (n_tracks,) array_like of bool, optional
        Positions that may not be chosen.
    n_threads, backend
        As in :func:`consensus_entropy`.

    Returns
    -------
    Top
        ``index`` (k,) int64 and ``utility`` (k,) float64, best first; the lowest position first among equals; NaN after
        everything else. Shorter than ``k`` only where fewer than ``k`` tracks may be chosen.

    Raises
    ------
    ParameterError
        As in the function of that name, or no such measure.

    Examples
    --------
    >>> query_top([[[1, 0], [1, 0]], [[1, 0], [0, 1]]], 1)
    Top(index=array([1]), utility=array([0.69314718]))
    """
    k = check_count(k, "k", minimum=0)
    if measure == "vote_entropy":
        if n_classes is None:
            raise ParameterError("measure='vote_entropy' needs n_classes=...")
        return query_votes(
            proba,
            k,
            n_classes=n_classes,
            member_weight=member_weight,
            exclude=exclude,
            n_threads=n_threads,
            backend=backend,
        )
    if measure not in _MEASURES:
        raise ParameterError(f"measure={measure!r}; choose one of {', '.join(_MEASURES)}, vote_entropy")
    rows = as_proba(proba)
    weight = as_member_weight(member_weight, rows.shape[0])
    number = int(_MEASURES[measure])
    run = _backend.resolve("query_top", backend)

    def best(excluded: NDArray[np.int64], start: int, stop: int, index: Any, score: Any) -> int:
        return int(run(rows, weight, number, excluded, start, stop, index, score))

    return in_blocks(best, rows.shape[1], k, exclude, n_threads)


def query_votes(
    votes: ArrayLike,
    k: int,
    /,
    *,
    n_classes: int,
    member_weight: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    n_threads: int | None = 1,
    backend: str = "auto",
) -> Top:
    """The ``k`` tracks whose votes are spread most evenly, in one pass: :func:`query_top` for votes.

    Parameters
    ----------
    votes : (n_members, n_tracks) array_like of int
        Index of the class each member votes for, as in :func:`vote_entropy`.
    k : int
        How many, at least 0.
    n_classes : int
        At most 255.
    member_weight, exclude, n_threads, backend
        As in :func:`query_top`.

    Returns
    -------
    Top
        ``index`` (k,) int64 and ``utility`` (k,) float64, the entropy of the votes in nats; best first, the lowest position
        first among equals. Shorter than ``k`` only where fewer than ``k`` tracks may be chosen.

    Raises
    ------
    ParameterError
        As :func:`vote_entropy`; ``k`` is negative, or ``exclude`` names no track.

    Examples
    --------
    >>> query_votes([[0, 1], [0, 2]], 1, n_classes=4)
    Top(index=array([1]), utility=array([0.69314718]))
    """
    k = check_count(k, "k", minimum=0)
    array = as_votes(votes, n_classes)
    weights = () if member_weight is None else (as_member_weight(member_weight, len(array)),)
    run = _backend.resolve("weighted_vote_top" if weights else "vote_top", backend)

    def best(excluded: NDArray[np.int64], start: int, stop: int, index: Any, score: Any) -> int:
        count = int(run(array, *weights, n_classes, excluded, start, stop, index, score))
        if count < 0:
            _refuse_votes(array, n_classes)
        return count

    return in_blocks(best, array.shape[1], k, exclude, n_threads)


def in_blocks(best: Any, n_tracks: int, k: int, exclude: ArrayLike | None, n_threads: int | None) -> Top:
    """Run a fused kernel over blocks: one for one thread, a few per thread for more. The order does not depend on them."""
    excluded = as_exclude(exclude, n_tracks)
    workers = resolve_threads(n_threads)
    block_size = max(1, n_tracks if workers == 1 else max(16384, -(-n_tracks // (4 * workers))))
    parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def one(start: int, stop: int) -> None:
        index, score = np.empty(min(k, stop - start), np.int64), np.empty(min(k, stop - start))
        count = best(excluded, start, stop, index, score)
        parts.append((index[:count], score[:count]))

    run_blocks(one, n_tracks, n_threads=workers, block_size=block_size)
    return _best_of(parts, k)
