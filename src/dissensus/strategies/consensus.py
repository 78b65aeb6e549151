"""Whose disagreement decides what is asked: the machine's, the crowd's, both, or nobody's.

Pure functions on probabilities: a recommender with models of its own can use them without a committee of ours. Nothing
here takes a label of the listener who is asked.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._ids import id_array, is_same_id
from dissensus._mean import mean_member
from dissensus._order import newest_rows
from dissensus._validate import as_float, as_proba, check_count
from dissensus.errors import ParameterError
from dissensus.strategies.balanced import Keys, pick
from dissensus.strategies.rules import STRATEGIES
from dissensus.strategies.selection import Selection
from dissensus.strategies.strategy import Opinions, Strategy, register_all, strategy_named

__all__ = ["Selection", "human_consensus", "leave_listener_out", "machine_consensus", "select"]

register_all(STRATEGIES)


def machine_consensus(proba: ArrayLike, member_weight: ArrayLike | None = None) -> NDArray[np.float32]:
    """The committee's mean opinion, per track.

    Parameters
    ----------
    proba : (n_members, n_tracks, n_classes) array_like of float
        Class probabilities; rows sum to 1.
    member_weight : (n_members,) array_like of float, optional
        Non-negative votes, rescaled to sum to 1. Default: equal weights.

    Returns
    -------
    (n_tracks, n_classes) ndarray of float32
        Rows sum to 1; a row with NaN in any member stays NaN.

    Raises
    ------
    ParameterError
        Wrong rank, no member, or weights that do not match.

    Examples
    --------
    >>> machine_consensus([[[1.0, 0.0]], [[0.0, 1.0]]]).tolist()
    [[0.5, 0.5]]
    """
    slab = as_float(proba, "proba")
    if slab.ndim != 3 or 0 in (slab.shape[0], slab.shape[2]):
        raise ParameterError(f"proba must be (n_members, n_tracks, n_classes), none empty; got shape {slab.shape}")
    weight = (
        np.ones(len(slab)) if member_weight is None else as_float(member_weight, "member_weight").astype(np.float64)
    )
    if weight.shape != (len(slab),) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise ParameterError(f"member_weight must be {len(slab)} numbers >= 0, not all zero; got shape {weight.shape}")
    return mean_member(slab, weight)


def human_consensus(
    track_index: ArrayLike,
    class_index: ArrayLike,
    *,
    n_tracks: int,
    n_classes: int,
    prior: float = 0.0,
    weight: ArrayLike | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    r"""What people said about each track, as relative frequencies of the classes.

    .. math:: \hat p_{ic} = \frac{n_{ic} + a\,\pi_c}{n_i + a}, \qquad \pi_c = \frac{n_{\cdot c} + 1}{n_{\cdot\cdot} + C}

    A track without a vote takes the crowd at large, :math:`\pi`: the class frequencies over all votes under a uniform
    Dirichlet prior. The votes must be those of *other* people (see :func:`leave_listener_out`): with the listener's own
    vote among them, a sparsely rated track shows the answer that is to be asked for.

    Parameters
    ----------
    track_index, class_index : (n_votes,) array_like of int
        One vote each.
    n_tracks, n_classes : int
        Size of the result.
    prior : float
        ``a``: how many votes the crowd at large is worth on every track. 0: the bare frequencies.
    weight : (n_votes,) array_like of float, optional
        What each vote counts, finite and >= 0, such as its annotator's reliability
        (:func:`dissensus.agreement.annotators.weighted_human_consensus` learns it). Default: 1.

    Returns
    -------
    proba : (n_tracks, n_classes) ndarray of float32
        Rows sum to 1; where all votes of a track weigh nothing, the crowd at large.
    n_raters : (n_tracks,) ndarray of int64
        Votes per track; 0 says that the row is the crowd at large.

    Raises
    ------
    ParameterError
        An index out of range, columns of different length, a negative prior or weight.

    References
    ----------
    .. [1] Gómez-Cañón et al., "Let's agree to disagree: consensus entropy active learning for personalized music emotion
       recognition", ISMIR 2021.

    Examples
    --------
    >>> proba, n_raters = human_consensus([0, 0, 0, 1], [2, 2, 1, 0], n_tracks=3, n_classes=4)
    >>> np.round(proba, 3)
    array([[0.   , 0.333, 0.667, 0.   ],
           [1.   , 0.   , 0.   , 0.   ],
           [0.25 , 0.25 , 0.375, 0.125]], dtype=float32)
    >>> n_raters.tolist()
    [3, 1, 0]
    """
    n_tracks, n_classes = check_count(n_tracks, "n_tracks", minimum=0), check_count(n_classes, "n_classes")
    track = _indices(track_index, n_tracks, "track_index")
    label = _indices(class_index, n_classes, "class_index")
    if len(track) != len(label):
        raise ParameterError(f"track_index has {len(track)} votes, class_index {len(label)}")
    if not (isinstance(prior, (int, float, np.number)) and np.isfinite(prior) and prior >= 0):
        raise ParameterError(f"prior={prior!r}: must be a number of votes >= 0")
    worth = None if weight is None else _weights(weight, len(track))
    flat = track * n_classes + label
    votes = np.bincount(flat, weights=worth, minlength=n_tracks * n_classes).reshape(n_tracks, n_classes)
    at_large = (votes.sum(axis=0) + 1.0) / (votes.sum() + n_classes)
    given = votes.sum(axis=1, keepdims=True)
    total = given + prior
    smoothed = (votes + prior * at_large) / np.where(total > 0, total, 1.0)
    proba = np.where(given > 0, smoothed, at_large)
    return proba.astype(np.float32), np.bincount(track, minlength=n_tracks).astype(np.int64)


def _weights(weight: ArrayLike, n_votes: int) -> NDArray[np.float64]:
    worth = as_float(weight, "weight").astype(np.float64)
    if worth.shape != (n_votes,) or not np.isfinite(worth).all() or (worth < 0).any():
        raise ParameterError(f"weight must be {n_votes} finite numbers >= 0, one a vote; got shape {worth.shape}")
    return worth


def leave_listener_out(
    listener_id: ArrayLike,
    track_index: ArrayLike,
    class_index: ArrayLike,
    listener: Any,
    *,
    n_tracks: int,
    n_classes: int,
    prior: float = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """:func:`human_consensus` of everybody but one listener.

    Rows with a negative class are no vote. Somebody who judged a track more than once has one vote there, the last.

    Parameters
    ----------
    listener_id : (n,) array_like
        Who judged.
    track_index, class_index : (n,) array_like of int
        What, and how; −1 = no class, or a track outside the pool.
    listener
        Whose votes are left out. Ids are compared by value: ``3`` and ``"3"`` are the same. None, or an id that nobody
        has, leaves out nobody.
    n_tracks, n_classes, prior
        As in :func:`human_consensus`.

    Returns
    -------
    proba, n_raters
        As in :func:`human_consensus`; ``n_raters`` counts the other people.

    Raises
    ------
    ParameterError
        Columns of different length, an id that is missing or no id, or a listener whom nobody's id equals but one
        resembles (``"03"`` beside ``3``): their votes would stay in unnoticed.

    Examples
    --------
    >>> who, track, label = ["ann", "ann", "bob"], [0, 1, 0], [3, 3, 1]
    >>> proba, n_raters = leave_listener_out(who, track, label, "ann", n_tracks=2, n_classes=4)
    >>> proba[0].tolist(), n_raters.tolist()
    ([0.0, 1.0, 0.0, 0.0], [1, 0])
    """
    _, track, label = votes_of_others(listener_id, track_index, class_index, listener)
    return human_consensus(track, label, n_tracks=n_tracks, n_classes=n_classes, prior=prior)


def votes_of_others(
    listener_id: ArrayLike, track_index: ArrayLike, class_index: ArrayLike, listener: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The votes of everybody but one listener: number of the person (from 0, by id), track and class of each.

    Parameters, errors, and which rows are votes, as in :func:`leave_listener_out`.
    """
    who = id_array(listener_id, what="listener_id")
    track, label = np.asarray(track_index), np.asarray(class_index)
    if not who.shape == track.shape == label.shape:
        raise ParameterError(f"one row per judgement is needed; got shapes {who.shape}, {track.shape}, {label.shape}")
    others = ~is_same_id(who, listener) & (track >= 0) & (label >= 0)
    track, label = track[others].astype(np.int64), label[others].astype(np.int64)
    _, person = np.unique(who[others], return_inverse=True)
    person = person.reshape(-1).astype(np.int64)
    last = newest_rows(person, track)
    return person[last], track[last], label[last]


def select(
    strategy: str,
    k: int,
    *,
    machine: ArrayLike | None = None,
    human: ArrayLike | None = None,
    members: ArrayLike | None = None,
    n_raters: ArrayLike | None = None,
    balanced: bool = False,
    mix: Literal["mean", "stack"] = "mean",
    exclude: ArrayLike | None = None,
    random_state: int | np.random.SeedSequence | NDArray[Any] = 0,
) -> Selection:
    """Choose the tracks to ask about.

    Parameters
    ----------
    strategy : str
        ``"mc"`` (machine): where the committee's mean is least sure. ``"hc"`` (human): where other people disagree.
        ``"mix"`` (hybrid): both. ``"rand"`` (random): uniform, without replacement. Or any other that is registered
        (:func:`~dissensus.strategies.registered_strategies`).
    k : int
        Tracks wanted; fewer come back, and ``short`` says so, when the pool holds fewer.
    machine, human : (n_tracks, n_classes) array_like of float, optional
        From :func:`machine_consensus` and :func:`human_consensus`, or from models of your own. ``mc`` needs the first,
        ``hc`` the second, ``mix`` both; balanced random takes its classes from the first, else the second.
    members : (n_members, n_tracks, n_classes) array_like of float, optional
        For strategies that look at every member; ``machine`` is then its mean unless given.
    n_raters : (n_tracks,) array_like of int, optional
        Under ``hc`` tracks with 0 come after all others: the crowd at large is not a disagreement about them.
    balanced : bool
        ``k // n_classes`` tracks for every class that strictly leads them, then refill by utility; with ``k`` a multiple
        of the number of classes each class has its share. Works for every strategy, so that a balanced one has a
        balanced random control.
    mix : {"mean", "stack"}
        ``"mean"``: entropy of the two distributions' mean. ``"stack"``: both lists ranked as one, the published variant;
        a track counts once, by its better row, and the place of its other row goes to the next track.
    exclude : array_like of int or of bool, optional
        Rows not to be asked: their numbers, or a mask.
    random_state : int, SeedSequence or (n_tracks,) array
        Decides among equally useful tracks (and everything under ``rand``). An array gives each track its own key: with
        keys made from ids (:func:`dissensus.strategies.tie_keys`) the choice does not depend on the order of the rows.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        Unknown strategy, a distribution that is missing or has the wrong shape, negative entries or rows that do not sum
        to 1, or a ranking that does not fit the tracks. A row of NaN is no error: such a track is asked last.

    Examples
    --------
    >>> machine = [[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.3, 0.7]]
    >>> select("mc", 2, machine=machine).index.tolist()
    [1, 2]
    >>> chosen = select("mc", 2, machine=machine, balanced=True).named(["calm", "loud"])
    >>> chosen.index.tolist()
    [2, 3]
    >>> chosen.reason[1]
    'machine consensus 0.61 nats: committee loud 0.70 / calm 0.30; balanced slot loud'
    """
    if mix not in ("mean", "stack"):
        raise ParameterError(f"mix={mix!r}; choose 'mean' or 'stack'")
    rule = strategy_named(strategy)
    if mix == "stack" and rule.name == "mix":
        rule = strategy_named("mix-stack")
    k = check_count(k, "k", minimum=0)
    opinions = _opinions(rule, strategy, members, machine, human, n_raters)
    first = opinions.machine if opinions.machine is not None else opinions.human
    assert first is not None
    n_tracks = len(first)
    return choose(
        rule, opinions, k, eligible=~_mask(exclude, n_tracks), balanced=balanced, tie_key=_keys(random_state, n_tracks)
    )


def choose(
    rule: Strategy,
    opinions: Opinions,
    k: int,
    *,
    eligible: NDArray[np.bool_],
    balanced: bool,
    tie_key: Keys,
) -> Selection:
    """:func:`select` from what was checked before: distributions in float32, all for the same tracks."""
    first = opinions.machine if opinions.machine is not None else opinions.human
    assert first is not None
    n_tracks, n_classes = first.shape
    late = np.zeros(n_tracks, dtype=bool)
    if rule.unrated_last and opinions.n_raters is not None:
        late = opinions.n_raters == 0
    rankings = rule.rank(opinions)
    if not rankings or any(len(r.utility) != n_tracks or (balanced and len(r.leader) != n_tracks) for r in rankings):
        raise ParameterError(f"strategy {rule.name!r} must rank each of the {n_tracks} tracks; its rank() did not")
    index, utility, slot, ties = pick(
        rankings,
        k,
        n_classes,
        eligible=eligible,
        late=late,
        balanced=balanced,
        tie_key=tie_key,
    )
    return Selection(
        index,
        utility,
        slot,
        ties,
        rule,
        balanced,
        len(index) < k,
        None if opinions.machine is None else opinions.machine[index],
        None if opinions.human is None else opinions.human[index],
        None if opinions.n_raters is None else opinions.n_raters[index].astype(np.int64),
        tuple(f"class {c}" for c in range(n_classes)),
    )


def _opinions(
    rule: Strategy,
    name: str,
    members: ArrayLike | None,
    machine: ArrayLike | None,
    human: ArrayLike | None,
    n_raters: ArrayLike | None,
) -> Opinions:
    """What is given, checked: all that the strategy needs, about the same tracks and classes."""
    slab = None if members is None else as_proba(members)
    if slab is not None and machine is None:
        machine = machine_consensus(slab)
    m, h = _distribution(machine, "machine"), _distribution(human, "human")
    given = {"members": slab, "machine": m, "human": h}
    missing = [source for source in ("members", "machine", "human") if source in rule.needs and given[source] is None]
    if missing or (m is None and h is None):
        raise ParameterError(
            f"strategy {name!r} needs {' and '.join(missing) or 'machine or human'} (n_tracks, n_classes)"
        )
    shapes = {source: array.shape[-2:] for source, array in given.items() if array is not None}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{source} is {shape}" for source, shape in shapes.items())
        raise ParameterError(f"{said}: give all for the same tracks and classes")
    n_tracks = next(iter(shapes.values()))[0]
    raters = None if n_raters is None else np.asarray(n_raters)
    if raters is not None and (raters.shape != (n_tracks,) or raters.dtype.kind not in "iu"):
        raise ParameterError(f"n_raters must be {n_tracks} whole numbers; got {raters.dtype} of shape {raters.shape}")
    return Opinions(slab, m, h, raters)


def _indices(value: ArrayLike, size: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(value)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ParameterError(f"{name} must be a list of whole numbers; got {array.dtype} of shape {array.shape}")
    if array.min() < 0 or array.max() >= size:
        bad = array[(array < 0) | (array >= size)][0]
        raise ParameterError(f"{name} holds {bad}, outside 0..{size - 1}")
    return array.astype(np.int64)


def _distribution(value: ArrayLike | None, name: str) -> NDArray[np.float32] | None:
    if value is None:
        return None
    array = as_float(value, name)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ParameterError(f"{name} must be (n_tracks, n_classes); got shape {array.shape}")
    known = ~np.isnan(array).any(axis=1)
    wrong = known & ((array < 0).any(axis=1) | ~(np.abs(array.sum(axis=1) - 1) <= 1e-3))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ParameterError(
            f"{name}[{row}] = {array[row].tolist()} is no distribution: give entries >= 0 that sum to 1"
        )
    return array.astype(np.float32)


def _mask(exclude: ArrayLike | None, n_tracks: int) -> NDArray[np.bool_]:
    mask = np.zeros(n_tracks, dtype=bool)
    if exclude is None:
        return mask
    given = np.asarray(exclude)
    if given.dtype == bool:
        if given.shape != (n_tracks,):
            raise ParameterError(f"exclude as a mask must be ({n_tracks},); got shape {given.shape}")
        return given
    mask[_indices(given, n_tracks, "exclude")] = True
    return mask


def _keys(random_state: int | np.random.SeedSequence | NDArray[Any], n_tracks: int) -> NDArray[Any]:
    if isinstance(random_state, np.ndarray):
        if random_state.shape != (n_tracks,):
            raise ParameterError(
                f"random_state as keys must be ({n_tracks},), one per track; got shape {random_state.shape}"
            )
        return random_state
    return np.random.default_rng(random_state).permutation(n_tracks)
