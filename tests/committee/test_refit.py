"""Members that are not ours learn by replay, or the session says at once that they never will."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from dissensus import Committee, Pool, Session
from dissensus.errors import DissensusWarning, ParameterError

RNG = np.random.default_rng(0)
TRACK = np.arange(160)
Y = np.array(["a", "b", "c", "d"])[TRACK % 4]
X = RNG.normal(size=(160, 5)) + 1.5 * (TRACK[:, None] % 4 == np.arange(5))
POOL = Pool(RNG.normal(size=(60, 5)) + 0.4, [f"t{i}" for i in range(60)])


def trained(*kinds: Any) -> Committee:
    return Committee.pretrain(X, Y, TRACK, n_folds=2, kinds=kinds)


@pytest.mark.parametrize(
    "kind",
    [RandomForestClassifier(12, max_depth=4), GaussianNB(), SGDClassifier(loss="log_loss")],
    ids=lambda kind: type(kind).__name__,
)
def test_scikit_learns_own_classifiers_learn_from_answers_and_forget_them(kind: Any) -> None:
    committee = trained(kind)
    session = Session(committee, POOL, n0=10.0)
    before = session.predict_proba()
    query = session.ask(20)
    session.tell(dict.fromkeys(query, "d"))
    after = session.predict_proba(query)[:, 3] - before[POOL.index_of(query), 3]
    assert after.mean() > 0.1
    again = Session(committee, POOL, n0=10.0, answers=dict(reversed(session.answers.items())))
    np.testing.assert_array_equal(again.predict_proba(), session.predict_proba())
    for track in query:
        session.undo(track)
    np.testing.assert_array_equal(session.predict_proba(), before)


def test_what_was_known_weighs_as_n0_says() -> None:
    committee = trained(GaussianNB())
    moved = []
    for n0 in (1.0, 1e5):
        session = Session(committee, POOL, n0=n0)
        before = session.predict_proba()
        session.tell(dict.fromkeys(session.ask(10), "a"))
        moved.append(np.abs(session.predict_proba() - before).mean())
    assert moved[0] > 5 * moved[1]


class Own(ClassifierMixin, BaseEstimator):
    """A classifier whose answers are all alike, with or without what a session needs."""

    def __init__(self, width: int = 4, value: float = 0.25) -> None:
        self.width, self.value = width, value

    def fit(self, X: Any, y: Any) -> Self:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.full((len(X), self.width), self.value)


class OwnSteps(Own):
    def partial_fit(self, X: Any, y: Any) -> Self:
        return self


def test_members_that_never_learn_are_named_at_once() -> None:
    committee = trained("gnb", KNeighborsClassifier())
    with pytest.warns(
        DissensusWarning, match=r"members 2 \(KNeighborsClassifier\), 3 .* never learn .*'replay'.*sample_weight"
    ):
        Session(committee, POOL)
    with pytest.warns(DissensusWarning, match=r"members 2 .*'incremental': they lack partial_fit"):
        Session(committee, POOL, update="incremental")
    bare = Committee([GaussianNB().fit(X, Y)], ["a", "b", "c", "d"], n_features=5)  # nothing to remember by
    with pytest.warns(DissensusWarning, match="never learn"):
        Session(bare, POOL)


def test_a_partial_fit_without_weights_is_refused_at_once() -> None:
    committee = trained(OwnSteps())
    with pytest.raises(ParameterError, match=r"member 0 \(OwnSteps\): partial_fit takes no sample_weight"):
        Session(committee, POOL, update="incremental")


@pytest.mark.filterwarnings("ignore:members 0")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Own(width=3), r"member 0 \(Own\) gives probabilities of shape \(\d+, 3\); a column per class is 4"),
        (Own(value=np.nan), r"member 0 \(Own\) gives \[nan, nan, nan, nan\] for window 0"),
        (Own(value=np.inf), r"finite numbers >= 0 that sum to 1"),
        (Own(value=0.5), r"gives \[0.5, 0.5, 0.5, 0.5\]"),
    ],
)
def test_what_is_no_probability_is_refused_by_the_members_name(kind: Any, words: str) -> None:
    committee = trained(kind)
    for call in (lambda: committee.predict_proba(X, TRACK), lambda: Session(committee, POOL).ask(2)):
        with pytest.raises(ParameterError, match=words):
            call()
