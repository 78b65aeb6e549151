"""Classifiers that vote: members, the committee, its memory and its file."""

from dissensus.committee.cnn import CnnModel
from dissensus.committee.committee import Committee
from dissensus.committee.members.boosted import BoostedTrees
from dissensus.committee.members.gaussian_nb import GaussianNaiveBayes
from dissensus.committee.members.logistic import LogisticSGD
from dissensus.committee.models import shipped_cnn
from dissensus.committee.rehearsal import Rehearsal
from dissensus.committee.scaler import Scaler
from dissensus.committee.scorer import TrackScorer

__all__ = [
    "BoostedTrees",
    "CnnModel",
    "Committee",
    "GaussianNaiveBayes",
    "LogisticSGD",
    "Rehearsal",
    "Scaler",
    "TrackScorer",
    "shipped_cnn",
]
