"""A kind of member is one class: registered, it is trained by name, votes, learns, is saved, loaded and evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from latent import QUICK, latent_dataset
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from typer.testing import CliRunner

from dissensus import Committee, Pool, Session
from dissensus.cli.main import app
from dissensus.committee import BoostedTrees, GaussianNaiveBayes, LogisticSGD, TrackScorer
from dissensus.committee.linear_votes import is_linear
from dissensus.committee.member import Linear, Named, Rehearsing
from dissensus.committee.members import KINDS, forget_kind, kind_of, register_kind
from dissensus.committee.members.state import MemberState
from dissensus.errors import ParameterError
from dissensus.evaluation.curves import read_columns
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.report.page import write_results_report
from dissensus.evaluation.run.grid import run_evaluation


class Centroids(ClassifierMixin, BaseEstimator):
    """Softmax of minus half the squared distance to the mean of each class."""

    KIND = "mean"
    DESCRIPTION = "the nearest mean"
    STATE = MemberState({"mean_": ("f8", ("C", "F")), "count_": ("f8", ("C",))})
    SQUASH = "softmax"

    def fit_classes(self, X: Any, y: Any, classes: Any, sample_weight: Any = None) -> Self:
        self.know_nothing(classes, np.asarray(X).shape[1])
        weight = np.ones(len(X)) if sample_weight is None else sample_weight
        for c, name in enumerate(self.classes_):
            mine = np.asarray(y) == name
            self.count_[c] = weight[mine].sum()
            self.mean_[c] = weight[mine] @ np.asarray(X)[mine] / max(self.count_[c], 1e-9)
        return self

    def know_nothing(self, classes: Any, n_features: int) -> Self:
        self.classes_, self.n_features_in_ = np.asarray(classes), n_features
        self.mean_, self.count_ = np.zeros((len(self.classes_), n_features)), np.zeros(len(self.classes_))
        return self

    def rehearse(self, X: Any, y: Any, weight: Any, *, rehearsal: Any, n0: float) -> Centroids:
        new = Centroids().know_nothing(self.classes_, self.n_features_in_)
        for c in range(len(self.classes_)):
            mine = y == c
            known = n0 / len(self.classes_)
            new.count_[c] = known + weight[mine].sum()
            new.mean_[c] = (known * self.mean_[c] + weight[mine] @ X[mine]) / new.count_[c]
        return new

    def linear_form(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.full(self.mean_.T.shape, -0.5), self.mean_.T, -0.5 * (self.mean_**2).sum(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        rows = np.asarray(X, dtype=np.float64)
        return softmax(-0.5 * ((rows[:, None] - self.mean_) ** 2).sum(axis=2), axis=1)


@pytest.fixture
def toy() -> Iterator[type[Centroids]]:
    yield register_kind(Centroids)
    forget_kind("mean")


def windows(n: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = np.repeat(np.tile(["calm", "loud", "sad"], n // 12), 4)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    X[:, :3] += 2.0 * (y[:, None] == ["calm", "loud", "sad"])
    return X, y, np.arange(n) // 4


def test_it_offers_what_a_named_linear_and_rehearsing_member_offers() -> None:
    for member in (Centroids(), *(kind() for kind in KINDS.values())):
        assert isinstance(member, Named)
        assert isinstance(member, Rehearsing)
    assert {name for name, kind in KINDS.items() if isinstance(kind(), Linear)} == {"gnb", "sgd", "cnn"}


def test_it_is_trained_by_name_votes_in_the_blocked_pass_and_is_saved(toy: Any, tmp_path: Path) -> None:
    X, y, track = windows()
    committee = Committee.pretrain(X, y, track, kinds=("mean", "gnb", "sgd"), n_folds=2)
    assert committee.member_kinds == ("mean", "mean", "gnb", "gnb", "sgd", "sgd")
    assert is_linear(committee.members[0])
    alone = committee.members[0].predict_proba(committee.scale(X)).reshape(-1, 4, 3).mean(axis=1)
    for proba in (committee.predict_proba(X, track), TrackScorer(committee, X, track).predict_proba(committee)):
        np.testing.assert_allclose(proba[0], alone, atol=2e-6)
    committee.save(tmp_path / "toy.safetensors")
    again = Committee.load(tmp_path / "toy.safetensors")
    assert isinstance(again.members[0], Centroids)
    np.testing.assert_array_equal(again.predict_proba(X, track), committee.predict_proba(X, track))
    uniform = Committee.cold_start(["calm", "loud"], 5, kinds=("mean",)).predict_proba(X, track)
    np.testing.assert_allclose(uniform, 0.5)


def test_a_session_teaches_it(toy: Any) -> None:
    X, y, track = windows()
    committee = Committee.pretrain(X, y, track, kinds=("mean", "sgd"), n_folds=2)
    session = Session(committee, Pool(X, [f"track {t}" for t in track]), n0=2.0)
    before = session.member_proba()
    query = session.ask(4)
    session.tell(dict.fromkeys(query, "sad"))
    after = session.member_proba()
    gain = (after - before)[:2, session.pool.index_of(query), 2]
    assert gain.mean() > 0.05
    for name in query:
        session.undo(name)
    np.testing.assert_array_equal(session.member_proba()[:2], before[:2])


def test_an_evaluation_scores_it_and_the_page_says_what_it_is(toy: Any, tmp_path: Path) -> None:
    changes = {"kinds": ("mean", "sgd"), "strategies": ("mc", "rand"), "repeats": 2, "null_repeats": 1}
    run_evaluation(latent_dataset(), Protocol(**QUICK.as_dict() | changes), out=tmp_path, jobs=1)
    assert set(read_columns(tmp_path / "scores.parquet")["member"].tolist()) == {"mean", "sgd", "committee"}
    page = write_results_report(tmp_path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>mean</b>: the nearest mean" in page


def test_a_class_that_lacks_a_part_or_takes_a_name_is_refused(toy: Any) -> None:
    class Bare(GaussianNaiveBayes):
        pass

    with pytest.raises(ParameterError, match="called 'gnb' already: GaussianNaiveBayes"):
        register_kind(Bare)
    with pytest.raises(
        ParameterError, match="lacks KIND, DESCRIPTION, STATE, fit_classes, know_nothing, predict_proba"
    ):
        register_kind(BaseEstimator)


class SharperBayes(GaussianNaiveBayes):
    """Predicts otherwise."""

    def predict_joint_log_proba(self, X: Any) -> np.ndarray:
        return 2.0 * super().predict_joint_log_proba(X)


class StubbornBayes(GaussianNaiveBayes):
    """Learns otherwise."""

    def rehearse(self, X: Any, y: Any, weight: Any, **known: Any) -> StubbornBayes:
        return self


class TwiceTheOdds(LogisticSGD):
    """Predicts otherwise, and says so in its form."""

    def predict_proba(self, X: Any) -> np.ndarray:
        odds = 1.0 / (1.0 + np.exp(-2.0 * (np.asarray(X) @ self.coef_.T + self.intercept_)))
        return odds / odds.sum(axis=1, keepdims=True)

    def linear_form(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        quadratic, linear, constant = super().linear_form()
        return quadratic, 2.0 * linear, 2.0 * constant


@pytest.mark.parametrize(("kind", "fast"), [(SharperBayes, False), (StubbornBayes, True), (TwiceTheOdds, True)])
def test_a_subclass_votes_by_its_own_predictions_on_the_fast_path_or_off_it(
    kind: type[Any], fast: bool, tmp_path: Path
) -> None:
    X, y, track = windows()
    committee = Committee.pretrain(X, y, track, kinds=(kind(), "sgd"), n_folds=2)
    mine = committee.members[0]
    assert is_linear(mine) is fast
    alone = mine.predict_proba(committee.scale(X)).reshape(-1, 4, 3).mean(axis=1)
    for proba in (committee.predict_proba(X, track), TrackScorer(committee, X, track).predict_proba(committee)):
        np.testing.assert_allclose(proba[0], alone, atol=2e-6)
    assert kind_of(mine) == kind.__name__
    with pytest.raises(ParameterError, match=f"{kind.__name__} cannot be saved.*register_kind"):
        committee.save(tmp_path / "subclass.safetensors")


def test_a_subclass_of_trees_keeps_their_memory_of_windows() -> None:
    class Named(BoostedTrees):
        pass

    X, y, track = windows()
    committee = Committee.pretrain(X, y, track, kinds=(Named(n_rounds=3),), n_folds=1)
    scorer = TrackScorer(committee, X, track)
    np.testing.assert_allclose(scorer.predict_proba(committee), committee.predict_proba(X, track), atol=2e-6)


def test_the_command_lines_help_names_every_kind() -> None:
    said = re.sub(r"[\s│]", "", CliRunner().invoke(app, ["evaluate", "--help"]).output)
    assert f"Kinds:{','.join(KINDS)};" in said
