"""Margins that are kept change no number and are never those of other windows."""

from __future__ import annotations

import numpy as np
import pytest

from dissensus.committee import Committee
from dissensus.committee.members import margins
from dissensus.personalisation.update import personalise


@pytest.fixture(scope="module")
def committee() -> Committee:
    rng = np.random.default_rng(0)
    y = np.repeat(["Q1", "Q2", "Q3", "Q4"], 20)
    X = rng.normal(size=(80, 3)) + np.arange(80)[:, None] // 20
    return Committee.pretrain(X, y, np.arange(80), kinds=("xgb",), n_folds=2)


def forget() -> None:
    margins._kept.clear()


def test_the_second_look_gives_the_same_bits_also_after_updates(committee: Committee) -> None:
    X = np.random.default_rng(1).normal(size=(30, 3))
    for update in ("replay", "incremental"):
        mine = committee
        for n in (2, 4, 6):
            mine = personalise(mine, X[n - 2 : n], np.array(["Q1", "Q3"]), np.arange(2), update=update)
            kept = mine.predict_proba(X)
            np.testing.assert_array_equal(mine.predict_proba(X), kept)
            forget()
            np.testing.assert_array_equal(mine.predict_proba(X), kept)


@pytest.mark.parametrize("update", ["replay", "incremental"])
def test_after_an_update_only_new_trees_are_asked(
    committee: Committee, update: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import xgboost

    X = np.random.default_rng(3).normal(size=(30, 3))
    forget()
    untaught = committee.predict_proba(X)
    taught = personalise(committee, X[:4], np.array(["Q1", "Q3"] * 2), np.arange(4), update=update)
    asked, plain = [], xgboost.Booster.inplace_predict

    def recorded(trees: xgboost.Booster, *arguments: object, **options: object) -> object:
        asked.append(id(trees))
        return plain(trees, *arguments, **options)

    monkeypatch.setattr(xgboost.Booster, "inplace_predict", recorded)
    assert not np.array_equal(taught.predict_proba(X), untaught)
    before = {id(member.booster_) for member in committee.members}
    assert not before & set(asked)
    forget()
    taught.predict_proba(X)
    assert before <= set(asked)


def test_windows_that_changed_in_place_are_new_windows(committee: Committee) -> None:
    member = committee.members[0]
    X = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
    before = member.predict_proba(X).copy()
    X += 1.0
    after = member.predict_proba(X)
    assert not np.array_equal(after, before)
    forget()
    np.testing.assert_array_equal(member.predict_proba(X), after)


def test_shape_and_type_are_part_of_the_name() -> None:
    X = np.zeros((4, 6), dtype=np.float32)
    names = {margins.digest_of(x) for x in (X, X.reshape(6, 4), X.astype(np.float64), X + 1)}
    assert len(names) == 4
    assert margins.digest_of(X) == margins.digest_of(np.asfortranarray(X))


def test_a_promise_ends_with_its_block() -> None:
    X = np.zeros((4, 6), dtype=np.float32)
    with margins.same_windows(X):
        first = margins.digest_of(X)
        assert margins.digest_of(X) == first
    X[0, 0] = 1.0
    assert margins.digest_of(X) != first


def test_no_more_is_kept_than_allowed(committee: Committee) -> None:
    forget()
    rng = np.random.default_rng(3)
    for _ in range(margins._MOST_ENTRIES + 20):
        committee.predict_proba(rng.normal(size=(2, 3)))
    assert {len(kept) for kept in margins._kept.values()} == {margins._MOST_ENTRIES}
