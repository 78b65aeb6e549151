"""Versions of everybody's ratings: whatever came and went, they are what a list of ratings says."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.personalisation.listener.ratings import Ratings

N_TRACKS, N_LISTENERS = 6, 5
Rating = tuple[int, int, int, int]

ratings = st.dictionaries(
    st.tuples(st.integers(0, N_TRACKS - 1), st.integers(0, N_LISTENERS - 1)),
    st.tuples(st.integers(0, 3), st.integers(0, 1)),
    max_size=20,
).map(lambda said: [(*pair, *how) for pair, how in said.items()])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ratings),
        st.tuples(st.just("listener"), st.integers(0, N_LISTENERS + 1)),
        st.tuples(st.just("tracks"), st.sets(st.integers(0, N_TRACKS - 1), max_size=3)),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=6,
)


def columns(rows: list[Rating]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(rows, dtype=np.int64).reshape(-1, 4).T)


@given(first=ratings, then=steps)
@settings(max_examples=60)
def test_a_version_is_the_list_of_what_is_there(first: list[Rating], then: list[tuple[str, object]]) -> None:
    version = Ratings.of(*columns(first), N_TRACKS, N_LISTENERS)
    expected = list(first)
    for kind, what in then:
        before, was = version, sorted(expected)
        if kind == "add":
            assert isinstance(what, list)
            track, listener, label, instrument = columns(what)
            pairs = {(t, who) for t, who, _, _ in what}
            version = version.without(version.pairs(track, listener)).with_more(track, listener, label, instrument)
            expected = [r for r in expected if r[:2] not in pairs] + what
        elif kind == "listener":
            version = version.without(version.rows_of(listeners=np.array([what])))
            expected = [r for r in expected if r[1] != what]
        elif kind == "tracks":
            assert isinstance(what, set)
            version = version.without(version.rows_of(tracks=np.array(sorted(what), dtype=np.int64)))
            expected = [r for r in expected if r[0] not in what]
        else:
            version = version.compact()
            assert version.n_edits == 0
        assert sorted(zip(*(c.tolist() for c in before.everything()[:4]), strict=True)) == was
    check(version, expected)


def check(version: Ratings, expected: list[Rating]) -> None:
    assert len(version) == len(expected)
    found = list(zip(*(c.tolist() for c in version.everything()[:4]), strict=True))
    assert found == expected  # in the order of arrival
    np.testing.assert_array_equal(version.n_raters, np.bincount([r[0] for r in expected], minlength=N_TRACKS))
    for tracks in (np.arange(N_TRACKS), np.array([4, 1, 3]), np.array([], dtype=np.int64)):
        some = version.of_tracks(tracks)
        said = [sorted((r[1], r[2]) for r in expected if r[0] == t) for t in tracks]
        assert list(zip(some.other.tolist(), some.label.tolist(), strict=True)) == [
            pair for each in said for pair in each
        ]
        np.testing.assert_array_equal(np.diff(some.start), [len(each) for each in said])
        assert [r[:2] for r in zip(*(c.tolist() for c in version.columns(some.row)), strict=True)] == list(
            zip(tracks[some.owner()].tolist(), some.other.tolist(), strict=True)
        )
    for people in (np.arange(N_LISTENERS), np.array([3, 0]), np.array([N_LISTENERS + 7])):
        some = version.of_listeners(people)
        said = [sorted((r[0], r[2]) for r in expected if r[1] == p) for p in people]
        assert list(zip(some.other.tolist(), some.label.tolist(), strict=True)) == [
            pair for each in said for pair in each
        ]


def test_what_versions_share_is_not_copied() -> None:
    rng = np.random.default_rng(0)
    pair = np.unique(rng.integers(0, 100_000, 20_000))
    version = Ratings.of(pair // 100, pair % 100, pair % 4, pair * 0, 1000, 100)
    less = version.without(version.rows_of(listeners=np.array([7])))
    assert less.table is version.table
    assert less.gone.nbytes + less.extra.nbytes < version.table.nbytes / 50
    assert len(less) == (pair % 100 != 7).sum()
