"""Machine, human, hybrid and random consensus, plain and balanced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.strategies.balanced import strict_argmax, tie_keys
from dissensus.strategies.consensus import human_consensus, leave_listener_out, machine_consensus, select
from dissensus.strategies.diverse import select_diverse

SHORT = ("mc", "hc", "mix", "rand")


def proba(n: int, c: int = 4, seed: int = 0, sharp: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).dirichlet(np.full(c, sharp), size=n).astype(np.float32)


def entropy(p: NDArray[Any]) -> NDArray[np.float64]:
    q = np.asarray(p, dtype=np.float64)
    return -np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0), axis=1)


def crowd(n: int, seed: int = 1, c: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    votes = 3 * n
    return human_consensus(rng.integers(n, size=votes), rng.integers(c, size=votes), n_tracks=n, n_classes=c)


def chosen(strategy: str, k: int, m: Any, h: Any, r: Any, **options: Any) -> Any:
    return select(strategy, k, machine=m, human=h, n_raters=r, **options)


# ---- distributions ------------------------------------------------------------------------------------------------


def test_machine_consensus_is_the_weighted_mean() -> None:
    slab = np.stack([proba(6, seed=s) for s in range(3)])
    np.testing.assert_allclose(machine_consensus(slab), slab.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(machine_consensus(slab, [0, 2, 0]), slab[1], atol=1e-6)
    assert machine_consensus(slab).dtype == np.float32


def test_machine_consensus_keeps_nan_in_its_track() -> None:
    slab = np.stack([proba(4, seed=s) for s in range(2)])
    slab[1, 2, 0] = np.nan
    assert np.isnan(machine_consensus(slab)).all(axis=1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("bad", [np.zeros((3, 4)), np.zeros((0, 3, 4)), np.zeros((2, 3, 0))])
def test_machine_consensus_refuses_shapes(bad: Any) -> None:
    with pytest.raises(ParameterError, match="n_members"):
        machine_consensus(bad)
    with pytest.raises(ParameterError, match="member_weight"):
        machine_consensus(np.full((2, 1, 2), 0.5), [1.0, -1.0])


def test_human_consensus_of_the_worked_example() -> None:
    p, n = human_consensus([0] * 6, [0, 1, 1, 2, 2, 2], n_tracks=1, n_classes=4)
    np.testing.assert_allclose(p[0], [1 / 6, 2 / 6, 3 / 6, 0], atol=1e-7)
    assert n.tolist() == [6]
    assert entropy(p)[0] == pytest.approx(1.0114, abs=1e-4)


def test_unrated_tracks_take_the_smoothed_crowd_and_say_so() -> None:
    p, n = human_consensus([0, 0, 1], [2, 2, 0], n_tracks=3, n_classes=4)
    assert n.tolist() == [2, 1, 0]
    np.testing.assert_allclose(p[2], np.array([2, 1, 3, 1]) / 7, atol=1e-7)
    nobody, none = human_consensus([], [], n_tracks=2, n_classes=4)
    np.testing.assert_allclose(nobody, 0.25)
    assert none.tolist() == [0, 0]


def test_prior_pulls_towards_the_crowd_at_large() -> None:
    p, _ = human_consensus([0, 1, 1, 1], [0, 1, 1, 1], n_tracks=2, n_classes=2, prior=2.0)
    at_large = np.array([2, 4]) / 6
    np.testing.assert_allclose(p[0], (np.array([1, 0]) + 2 * at_large) / 3, atol=1e-7)


@pytest.mark.parametrize(
    ("track", "label", "options"),
    [([3], [0], {}), ([0], [4], {}), ([-1], [0], {}), ([0, 1], [0], {}), ([0.5], [0], {}), ([0], [0], {"prior": -1.0})],
)
def test_human_consensus_refuses(track: Any, label: Any, options: Any) -> None:
    with pytest.raises(ParameterError):
        human_consensus(track, label, n_tracks=3, n_classes=4, **options)


@given(st.integers(0, 2**32 - 1))
def test_own_votes_never_reach_the_crowd(seed: int) -> None:
    """T2: whatever the listener answered, the crowd they are asked by is the same."""
    rng = np.random.default_rng(seed)
    who, track, label = rng.integers(5, size=60), rng.integers(12, size=60), rng.integers(4, size=60)
    other = label.copy()
    other[who == 2] = rng.integers(-1, 4, size=int((who == 2).sum()))
    size = {"n_tracks": 12, "n_classes": 4}
    first, n_first = leave_listener_out(who, track, label, 2, **size)
    second, n_second = leave_listener_out(who, track, other, 2, **size)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(n_first, n_second)
    without = who != 2
    bare, n_bare = leave_listener_out(who[without], track[without], label[without], 2, **size)
    np.testing.assert_array_equal(first, bare)
    np.testing.assert_array_equal(n_first, n_bare)


def test_somebody_who_judged_twice_has_one_vote_the_last() -> None:
    p, n = leave_listener_out(["b", "b", "c"], [0, 0, 0], [1, 3, 3], "a", n_tracks=1, n_classes=4)
    assert n.tolist() == [2]
    assert p[0].tolist() == [0, 0, 0, 1]


def test_rows_without_a_class_or_outside_the_pool_are_no_vote() -> None:
    _, n = leave_listener_out(["b", "c", "d"], [0, -1, 0], [-1, 1, 2], "a", n_tracks=1, n_classes=4)
    assert n.tolist() == [1]


# ---- selection ----------------------------------------------------------------------------------------------------


def test_plain_strategies_ask_the_highest_entropy_first() -> None:
    m, (h, r) = proba(50), crowd(50)
    for strategy, by in (("mc", m), ("hc", h), ("mix", (m + h) / 2)):
        got = chosen(strategy, 7, m, h, np.maximum(r, 1))
        np.testing.assert_allclose(got.utility, np.sort(entropy(by))[::-1][:7], rtol=1e-5)
        np.testing.assert_allclose(got.utility, entropy(by)[got.index], rtol=1e-5)
        assert len(got.reason) == len(got) == 7


@pytest.mark.parametrize(("long", "short"), [("machine", "mc"), ("human", "hc"), ("hybrid", "mix"), ("random", "rand")])
def test_long_names_mean_the_same(long: str, short: str) -> None:
    m, (h, r) = proba(30), crowd(30)
    np.testing.assert_array_equal(chosen(long, 5, m, h, r).index, chosen(short, 5, m, h, r).index)


@given(st.sampled_from(SHORT), st.booleans(), st.sampled_from(["mean", "stack"]), st.integers(0, 1000))
def test_row_order_changes_nothing_given_keys_of_ids(strategy: str, balanced: bool, mix: str, seed: int) -> None:
    n = 40
    rng = np.random.default_rng(seed)
    m, (h, r) = np.round(proba(n, seed=seed) * 4) + 1e-6, crowd(n, seed)
    m = (m / m.sum(axis=1, keepdims=True)).astype(np.float32)  # coarse: many ties
    ids = np.array([f"DF{i:03d}" for i in range(n)])
    keys = tie_keys(ids, 11)
    perm = rng.permutation(n)
    got = chosen(strategy, 8, m, h, r, balanced=balanced, mix=mix, random_state=keys)
    shuffled = chosen(
        strategy, 8, m[perm], h[perm], r[perm], balanced=balanced, mix=mix, random_state=tie_keys(ids[perm], 11)
    )
    assert ids[got.index].tolist() == ids[perm][shuffled.index].tolist()
    assert got.reason == shuffled.reason
    assert len(set(got.index.tolist())) == len(got)


def test_ties_do_not_follow_the_ids() -> None:
    """0.5: among equally useful tracks every one is asked as often as any other."""
    n, k = 40, 4
    flat = np.full((n, 4), 0.25, dtype=np.float32)
    count = np.zeros(n)
    for seed in range(500):
        got = select("mc", k, machine=flat, random_state=seed)
        count[got.index] += 1
        assert got.tie_size.tolist() == [n] * k
    expected = 500 * k / n
    assert np.square(count - expected).sum() / expected < 75  # chi-square with 39 degrees of freedom: 1 in 2000
    assert abs(np.corrcoef(np.arange(n), count)[0, 1]) < 0.5


def test_ties_are_exact_under_a_change_of_classes() -> None:
    """The same histogram over other classes is as divided, to the last bit."""
    rng = np.random.default_rng(0)
    for row in proba(50, c=7, seed=2):
        same = np.stack([rng.permutation(row) for _ in range(20)])
        assert select("mc", 1, machine=same).tie_size.tolist() == [20]


def test_listeners_have_orders_of_their_own_and_repeat_them() -> None:
    ids = [f"t{i}" for i in range(20)]
    assert (tie_keys(ids, 3, listener="ann") == tie_keys(ids, 3, listener="ann")).all()
    assert (tie_keys(ids, 3, listener="ann") != tie_keys(ids, 3, listener="bob")).any()
    assert (tie_keys(ids, 3) != tie_keys(ids, 4)).any()


@pytest.mark.parametrize("strategy", SHORT)
@given(seed=st.integers(0, 2**16), per_class=st.integers(1, 3))
def test_balanced_gives_each_class_its_share(strategy: str, seed: int, per_class: int) -> None:
    m, (h, _) = proba(60, seed=seed), crowd(60, seed)
    by = {"mc": m, "hc": h, "mix": (m + h) / 2, "rand": m}[strategy]
    leader, k = strict_argmax(np.asarray(by, dtype=np.float32)), 4 * per_class
    got = chosen(strategy, k, m, h, None, balanced=True)
    assert len(got) == k
    assert not got.short
    for c in range(4):
        mine = got.index[got.slot == c]
        assert (leader[mine] == c).all()
        assert len(mine) == min(per_class, int((leader == c).sum()))
        if strategy != "rand" and len(mine):
            others = np.setdiff1d(np.flatnonzero(leader == c), mine)
            assert entropy(by)[mine].min() >= entropy(by)[others].max(initial=0) - 1e-5
    refill, left = got.index[got.slot < 0], np.setdiff1d(np.arange(60), got.index)
    if strategy != "rand" and len(refill):
        assert entropy(by)[refill].min() >= entropy(by)[left].max() - 1e-5


def test_a_shared_lead_fills_no_slot() -> None:
    machine = np.array([[0.5, 0.5], [0.4, 0.6], [0.9, 0.1], [0.8, 0.2]], dtype=np.float32)
    got = select("mc", 4, machine=machine, balanced=True)
    assert dict(zip(got.index.tolist(), got.slot.tolist(), strict=True)) == {0: -1, 1: 1, 3: 0, 2: 0}


def test_refill_when_a_class_leads_nothing() -> None:
    machine = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1]], dtype=np.float32)
    got = select("mc", 3, machine=machine, balanced=True)
    assert got.index.tolist() == [2, 1, 0]
    assert sorted(got.slot.tolist()) == [-1, -1, 0]
    assert any("refill" in why for why in got.reason)


def test_balanced_random_takes_classes_from_the_crowd_where_there_is_no_machine() -> None:
    h, _ = crowd(200)
    got = select("rand", 8, human=h, balanced=True, random_state=3)
    leader = strict_argmax(h)
    assert (leader[got.index[got.slot >= 0]] == got.slot[got.slot >= 0]).all()


@pytest.mark.parametrize("strategy", SHORT)
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("mix", ["mean", "stack"])
def test_small_pools_give_what_is_left_once(strategy: str, balanced: bool, mix: Any) -> None:
    m, (h, r) = proba(9), crowd(9)
    got = chosen(strategy, 12, m, h, r, balanced=balanced, mix=mix, exclude=[0, 4])
    assert sorted(got.index.tolist()) == [1, 2, 3, 5, 6, 7, 8]
    assert got.short
    everything = chosen(strategy, 3, m, h, r, balanced=balanced, mix=mix, exclude=np.ones(9, dtype=bool))
    assert len(everything) == 0
    assert everything.short


@given(st.integers(0, 2**16), st.booleans())
def test_stacked_lists_hold_no_track_twice(seed: int, balanced: bool) -> None:
    """MIX: in the original a track took two of the q places; here the second goes to the next track."""
    m, (h, r) = proba(30, seed=seed), crowd(30, seed)
    h[:10], r[:10] = m[:10], 5  # both lists agree on these: certain duplicates
    got = chosen("mix", 12, m, h, r, mix="stack", balanced=balanced)
    assert len(set(got.index.tolist())) == 12
    if not balanced:
        best = np.maximum(entropy(m), np.where(r > 0, entropy(h), 0))
        np.testing.assert_allclose(got.utility, np.sort(best)[::-1][:12], rtol=1e-5)


def test_human_consensus_asks_tracks_nobody_rated_last() -> None:
    h, r = human_consensus([0, 0, 1, 2, 2], [0, 1, 2, 3, 3], n_tracks=5, n_classes=4)
    assert entropy(h)[3] > entropy(h)[0]  # the crowd at large looks more divided than any track
    got = select("hc", 4, human=h, n_raters=r)
    assert got.index[0] == 0
    assert set(got.index[:3].tolist()) == {0, 1, 2}
    assert got.index[3] in (3, 4)
    assert got.n_raters is not None
    assert got.n_raters.tolist() == r[got.index].tolist()
    assert "nobody else rated it" in got.reason[3]
    balanced = select("hc", 4, human=h, n_raters=r, balanced=True)
    assert (r[balanced.index[balanced.slot >= 0]] > 0).all()


def test_nan_is_asked_last_and_alone() -> None:
    m = proba(6)
    clean = select("mc", 6, machine=m, exclude=[2]).index
    m[2] = np.nan
    got = select("mc", 6, machine=m)
    assert got.index.tolist() == [*clean.tolist(), 2]
    assert np.isnan(got.utility[-1])
    assert select("mc", 6, machine=m, balanced=True).index[-1] == 2


def test_random_is_uniform_without_replacement() -> None:
    m = proba(12)
    count = np.zeros(12)
    for seed in range(600):
        got = select("rand", 3, machine=m, random_state=seed)
        assert len(set(got.index.tolist())) == 3
        count[got.index] += 1
    assert np.square(count - 150).sum() / 150 < 35  # chi-square, 11 degrees of freedom


def test_choice_is_a_function_of_distributions_and_seed_alone() -> None:
    """No hidden label is ever read: there is none among the arguments, and inputs are not written."""
    m, (h, r) = proba(30), crowd(30)
    for array in (m, h, r):
        array.setflags(write=False)
    for strategy in SHORT:
        first, second = (chosen(strategy, 8, m, h, r, balanced=True, random_state=5) for _ in range(2))
        np.testing.assert_array_equal(first.index, second.index)
    assert (
        select("rand", 8, machine=m, random_state=5).index.tolist()
        != select("rand", 8, machine=m, random_state=6).index.tolist()
    )


def test_reasons_say_why_in_words() -> None:
    m = np.array([[0.4, 0.1, 0.35, 0.15]], dtype=np.float32)
    h, r = human_consensus([0, 0, 0], [2, 2, 1], n_tracks=1, n_classes=4)
    names = ["Q1", "Q2", "Q3", "Q4"]
    assert select("mc", 1, machine=m).named(names).reason == (
        "machine consensus 1.25 nats: committee Q1 0.40 / Q3 0.35",
    )
    assert select("hc", 1, human=h, n_raters=r).named(names).reason == (
        "human consensus 0.64 nats: 3 other listeners Q3 0.67 / Q2 0.33",
    )
    (both,) = chosen("mix", 1, m, h, r).named(names).reason
    assert "committee Q1 0.40" in both
    assert "3 other listeners Q3 0.67" in both
    (rand,) = select("rand", 4, machine=m, balanced=True).named(names).reason
    assert rand.startswith("drawn at random")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "entropy"}, "choose one of"),
        ({"strategy": "mc", "machine": None}, "needs machine"),
        ({"strategy": "hc"}, "needs human"),
        ({"strategy": "mix"}, "needs human"),
        ({"strategy": "rand", "machine": None}, "needs machine or human"),
        ({"mix": "max"}, "choose 'mean' or 'stack'"),
        ({"k": -1}, "k=-1"),
        ({"machine": np.full((3, 2), 0.9)}, "sum to 1"),
        ({"machine": np.array([[1.5, -0.5]])}, "no distribution"),
        ({"machine": np.full(3, 0.5)}, "n_tracks"),
        ({"human": np.full((2, 2), 0.5)}, "same tracks"),
        ({"exclude": [9]}, "exclude"),
        ({"exclude": np.ones(2, dtype=bool)}, "mask"),
        ({"n_raters": np.ones(2, dtype=int)}, "n_raters"),
        ({"random_state": np.arange(2)}, "keys"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    given = {"strategy": "mc", "k": 2, "machine": np.full((3, 2), 0.5), **arguments}
    with pytest.raises(ParameterError, match=message):
        select(given.pop("strategy"), given.pop("k"), **given)


# ---- diversity ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**16))
def test_diverse_choices_are_the_farthest_from_what_came_before(seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(25, 3))
    index, distance = select_diverse(X, 6, seen=[3])
    scaled = (X - X.mean(0)) / X.std(0) / np.sqrt(3)
    known = [3]
    for chosen_row, d in zip(index.tolist(), distance.tolist(), strict=True):
        nearest = np.min(np.linalg.norm(scaled[:, None] - scaled[known], axis=2), axis=1)
        assert d == pytest.approx(nearest.max(), rel=1e-5)
        known.append(chosen_row)
    assert len(set(known)) == 7


def test_diverse_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ParameterError, match="not finite"):
        select_diverse([[np.nan]], 1)
    with pytest.raises(ParameterError, match="exclude"):
        select_diverse([[1.0], [2.0]], 1, exclude=[True])
