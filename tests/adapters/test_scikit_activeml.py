"""The query strategy keeps what scikit-activeml asks of one, and finds what its own strategies find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_checks

from dissensus.committee import Committee
from dissensus.errors import ParameterError
from dissensus.strategies import consensus_entropy

pytest.importorskip("skactiveml", reason="scikit-activeml comes with the adapters extra")

from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import QueryByCommittee, SubSamplingWrapper

from dissensus.adapters._disagreement import MEASURES
from dissensus.adapters.scikit_activeml import DisagreementQuery

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
TRUTH = (X[:, 0] + 0.3 * RNG.normal(size=40) > 0).astype(float) + (X[:, 1] > 0.8)
Y = np.where(np.arange(40) < 12, TRUTH, np.nan)
CLASSES = [0, 1, 2]


def members(classes: Any = CLASSES, missing_label: Any = np.nan) -> list[Any]:
    return [
        SklearnClassifier(estimator, classes=classes, missing_label=missing_label, random_state=0)
        for estimator in (LogisticRegression(), GaussianNB(var_smoothing=0.1), LogisticRegression(C=0.01))
    ]


def fitted(ensemble: list[Any], y: Any = Y) -> list[Any]:
    return [member.fit(X, y) for member in ensemble]


@pytest.mark.parametrize("method", MEASURES)
def test_the_most_disputed_open_samples_are_chosen(method: str) -> None:
    chosen, utility = DisagreementQuery(method, random_state=1).query(
        X, Y, members(), batch_size=3, return_utilities=True
    )
    assert chosen.shape == (3,)
    assert utility.shape == (3, 40)
    assert np.isnan(utility[:, :12]).all()  # what has a label is no candidate
    for step, sample in enumerate(chosen):
        assert utility[step, sample] == np.nanmax(utility[step])
        assert np.isnan(utility[step + 1 :, sample]).all()
        assert np.isnan(utility[step]).sum() == 12 + step


@pytest.mark.parametrize(("method", "peer"), [("vote_entropy", "vote_entropy"), ("mean_kl", "KL_divergence")])
def test_utilities_are_those_of_their_own_strategy(method: str, peer: str) -> None:
    ensemble = fitted(members())
    ours, theirs = (
        strategy.query(X, Y, ensemble, fit_ensemble=False, return_utilities=True)[1]
        for strategy in (DisagreementQuery(method), QueryByCommittee(peer))
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_members_are_fitted_as_copies() -> None:
    ensemble = members()
    ours, utility = DisagreementQuery(random_state=0).query(X, Y, ensemble, return_utilities=True)
    assert not any(hasattr(member, "estimator_") for member in ensemble)
    ready = fitted(members())
    again, same = DisagreementQuery(random_state=0).query(X, Y, ready, fit_ensemble=False, return_utilities=True)
    np.testing.assert_array_equal(ours, again)
    np.testing.assert_array_equal(utility, same)
    weight = np.linspace(0.1, 3, 40)
    weighted = DisagreementQuery(random_state=0).query(X, Y, ensemble, sample_weight=weight, return_utilities=True)[1]
    assert np.nanmax(np.abs(weighted - utility)) > 1e-3


def test_candidates_may_be_rows_or_samples() -> None:
    ensemble, query = fitted(members()), DisagreementQuery(random_state=0)
    rows = np.array([20, 3, 33])
    by_row, utility = query.query(X, Y, ensemble, False, candidates=rows, batch_size=2, return_utilities=True)
    assert set(by_row) <= set(rows)
    assert utility.shape == (2, 40)
    by_sample, same = query.query(X, Y, ensemble, False, candidates=X[rows], batch_size=2, return_utilities=True)
    np.testing.assert_array_equal(rows[by_sample], by_row)
    np.testing.assert_array_equal(same[0], utility[0, rows])
    with pytest.warns(UserWarning, match="batch_size"):
        assert len(query.query(X, Y, ensemble, False, candidates=rows, batch_size=9)) == 3


@pytest.mark.parametrize(
    ("missing", "names"), [(np.nan, [0.0, 1.0]), (-1, [0, 1]), (None, ["A", "B"]), ("", ["A", "B"])]
)
def test_labels_of_any_kind_may_be_missing(missing: Any, names: list[Any]) -> None:
    y = np.full(40, missing, dtype=object if missing is None else np.asarray([missing, *names]).dtype)
    y[:12] = [names[int(t > 0)] for t in TRUTH[:12]]
    query = DisagreementQuery(missing_label=missing, random_state=0)
    chosen, utility = query.query(X, y, members(names, missing), return_utilities=True)
    assert chosen[0] >= 12
    assert np.isnan(utility[0, :12]).all() and np.isfinite(utility[0, 12:]).all()


def test_members_that_know_other_classes_are_put_side_by_side() -> None:
    one = SklearnClassifier(GaussianNB(), classes=[0, 1]).fit(X, np.where(Y == 2, np.nan, Y))
    two = SklearnClassifier(GaussianNB(), classes=[1, 2]).fit(X, np.where(Y == 0, np.nan, Y))
    utility = DisagreementQuery().query(X, Y, [one, two], False, return_utilities=True)[1][0]
    proba = np.zeros((2, 28, 3))
    proba[0, :, :2], proba[1, :, 1:] = one.predict_proba(X[12:]), two.predict_proba(X[12:])
    np.testing.assert_allclose(utility[12:], consensus_entropy(proba), atol=1e-6)


def test_a_bagged_classifier_and_a_committee_of_ours_are_ensembles() -> None:
    bag = SklearnClassifier(BaggingClassifier(DecisionTreeClassifier(max_depth=2), 5, random_state=0), classes=CLASSES)
    utility = DisagreementQuery("vote_entropy").query(X, Y, bag, return_utilities=True)[1][0]
    with np.errstate(divide="ignore"):  # theirs takes the logarithm of no votes
        theirs = QueryByCommittee("vote_entropy").query(X, Y, bag, return_utilities=True)[1][0]
    np.testing.assert_allclose(utility, theirs, atol=2e-6)
    labels = np.array(["calm", "loud", "loud"])[TRUTH.astype(int)]
    committee = Committee.pretrain(X, labels, np.arange(40), kinds=("gnb", "sgd"), n_folds=2)
    chosen, ours = DisagreementQuery(random_state=0).query(X, Y, committee, return_utilities=True)
    np.testing.assert_allclose(ours[0, 12:], consensus_entropy(committee.predict_proba(X[12:])), atol=1e-6)
    assert chosen[0] == 12 + ours[0, 12:].argmax()


def test_the_library_s_own_wrappers_and_checks_take_it() -> None:
    query = DisagreementQuery("mean_kl", random_state=3)
    wrapped = SubSamplingWrapper(query, max_candidates=5, random_state=0)
    chosen, utility = wrapped.query(X, Y, ensemble=members(), return_utilities=True)
    assert np.isfinite(utility[0]).sum() == 5
    assert np.isfinite(utility[0, chosen[0]])
    copy = clone(query)
    assert (
        copy.get_params()
        == query.get_params()
        == {"method": "mean_kl", "missing_label": query.missing_label, "random_state": 3}
    )
    np.testing.assert_array_equal(query.query(X, Y, members(), batch_size=4), copy.query(X, Y, members(), batch_size=4))
    for check in ("check_no_attributes_set_in_init", "check_parameters_default_constructible"):
        getattr(estimator_checks, check)("DisagreementQuery", query)
    for check in (
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_repr",
        "check_estimator_cloneable",
    ):
        getattr(estimator_checks, check)("DisagreementQuery", query)


def test_ties_are_drawn_by_the_seed() -> None:
    ensemble, alike = fitted(members()), np.zeros((40, 3))
    draws = [DisagreementQuery(random_state=s).query(alike, Y, ensemble, False, batch_size=2) for s in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert len({tuple(draw) for draw in draws}) > 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ensemble": GaussianNB()}, TypeError),
        ({"ensemble": [GaussianNB()]}, TypeError),
        ({"ensemble": []}, TypeError),
        ({"ensemble": "all"}, TypeError),
        ({"ensemble": SklearnClassifier(GaussianNB(), classes=CLASSES)}, TypeError),
        ({"fit_ensemble": "yes"}, TypeError),
        ({"X": X[:10]}, ValueError),
        ({"y": np.vstack([Y, Y])}, ValueError),
        ({"candidates": np.nan}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 1.5}, TypeError),
        ({"return_utilities": None}, TypeError),
        ({"sample_weight": "heavy"}, (TypeError, ValueError)),
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any], error: Any) -> None:
    given = {"X": X, "y": Y, "ensemble": members(), **change}
    with pytest.raises(error):
        DisagreementQuery().query(**given)


@pytest.mark.parametrize(
    ("change", "error"), [({"method": "best"}, ParameterError), ({"random_state": "state"}, ValueError)]
)
def test_wrong_settings_are_refused_when_asked(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        DisagreementQuery(**change).query(X, Y, members())
