"""The listener model: the crowd without one listener, what is personal on top, and how far to trust it.

From what others said to what one listener hears: :class:`CrowdPrior` (with exact leave-out), :class:`PersonalModel` (refitted
from the prior at every answer), the do-no-harm stack, the decision rule, and
:class:`ValueModel` and :class:`OrdinalModel` for ratings. :class:`ListenerModel` puts them together for a catalogue.
"""

from dissensus.personalisation.listener.calibration import CalibrationCurve, Recalibration, calibration_curve
from dissensus.personalisation.listener.crowd_committee import (
    JOINS,
    CrowdCommittee,
    join_crowd,
    opinion_folds,
    with_opinion,
)
from dissensus.personalisation.listener.crowd_prior import SOURCES, CrowdBelief, CrowdPrior, CrowdSettings
from dissensus.personalisation.listener.decision import axis_proba, choose_exponent, decide
from dissensus.personalisation.listener.model import ListenerModel, TrackInfo
from dissensus.personalisation.listener.ordinal import OrdinalModel, PersonalOrdinal
from dissensus.personalisation.listener.personal_kernel import JOINT_WEIGHTS, PersonalWeights
from dissensus.personalisation.listener.personal_model import PersonalModel
from dissensus.personalisation.listener.prior import MODELS, Prior
from dissensus.personalisation.listener.unrated import UnratedTrees
from dissensus.personalisation.listener.values import PersonalValues, ValueModel

__all__ = [
    "JOINS",
    "JOINT_WEIGHTS",
    "MODELS",
    "SOURCES",
    "CalibrationCurve",
    "CrowdBelief",
    "CrowdCommittee",
    "CrowdPrior",
    "CrowdSettings",
    "ListenerModel",
    "OrdinalModel",
    "PersonalModel",
    "PersonalOrdinal",
    "PersonalValues",
    "PersonalWeights",
    "Prior",
    "Recalibration",
    "TrackInfo",
    "UnratedTrees",
    "ValueModel",
    "axis_proba",
    "calibration_curve",
    "choose_exponent",
    "decide",
    "join_crowd",
    "opinion_folds",
    "with_opinion",
]
