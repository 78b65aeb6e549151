"""A default that several parts share is stated once."""

from __future__ import annotations

import subprocess
import sys

CHANGED = """
import inspect
from dataclasses import fields
import dissensus._defaults as defaults
defaults.REPLAY_WEIGHT = 7.0
from dissensus import Session
from dissensus.evaluation.protocol import PROTOCOLS, Protocol
from dissensus.personalisation import CommitteeLearner
from dissensus.personalisation.update import personalise
found = [inspect.signature(part).parameters["n0"].default for part in (Session, CommitteeLearner, personalise, Protocol)]
found += [protocol.n0 for protocol in PROTOCOLS.values()]
try:
    from dissensus.training.finetune import fine_tune
except ImportError:
    pass
else:
    found.append(inspect.signature(fine_tune).parameters["n0"].default)
assert found == [7.0] * len(found), found
"""


def test_the_replay_weight_is_changed_in_one_place() -> None:
    run = subprocess.run([sys.executable, "-c", CHANGED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
