"""From everybody's committee to one listener's: sessions of asking and telling, and how answers change a committee."""

from dissensus.personalisation.asking_pool import AskingPool
from dissensus.personalisation.joint import JointLearner
from dissensus.personalisation.keeper import KeeperStats, SessionKeeper, StateSource
from dissensus.personalisation.learner import CommitteeLearner, Learner
from dissensus.personalisation.listener import ListenerModel, TrackInfo
from dissensus.personalisation.predictions import Ranked
from dissensus.personalisation.query import Query
from dissensus.personalisation.session import Session
from dissensus.personalisation.session_state import SessionState
from dissensus.personalisation.stopping import StopWhenLearnt, StopWhenStable

__all__ = [
    "AskingPool",
    "CommitteeLearner",
    "JointLearner",
    "KeeperStats",
    "Learner",
    "ListenerModel",
    "Query",
    "Ranked",
    "Session",
    "SessionKeeper",
    "SessionState",
    "StateSource",
    "StopWhenLearnt",
    "StopWhenStable",
    "TrackInfo",
]
