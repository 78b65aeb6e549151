"""Cores that public calls keep busy after ``set_threads(1)``: CPU time of all threads over that of the calling one.

Every call is made once to load and compile, then again until it has run for half a second. A new process each, so that nothing
that another benchmark set is left.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

COMMON = """
import io, tempfile, time
import numpy as np
import dissensus
from dissensus import Committee, Pool, Session
from dissensus.committee import TrackScorer
from dissensus.personalisation.update import personalise

dissensus.set_threads(1)
rng = np.random.default_rng(0)
track = np.repeat(np.arange(80), 30)
y = np.array(["Q1", "Q2", "Q3", "Q4"])[track % 4]
X = rng.normal(size=(len(track), 260)) + np.repeat(np.eye(4), 65, axis=1)[track % 4]
X = X.astype("f4")
"""

CALLS = {
    "pretrain, linear": "call = lambda: Committee.pretrain(X, y, track, kinds=('gnb', 'sgd'), n_folds=2)",
    "pretrain, boosted": "call = lambda: Committee.pretrain(X, y, track, kinds=('xgb',), n_folds=2)",
    "predict_proba": """
committee = Committee.pretrain(X, y, track, n_folds=2)
call = lambda: committee.predict_proba(X + rng.normal(), track, n_threads=-1)""",
    "personalise, replay": """
committee = Committee.pretrain(X, y, track, n_folds=2)
call = lambda: personalise(committee, X[:300], y[:300], track[:300])""",
    "personalise, incremental": """
committee = Committee.pretrain(X, y, track, n_folds=2)
call = lambda: personalise(committee, X[:60], y[:60], track[:60], update='incremental')""",
    "TrackScorer": """
committee = Committee.pretrain(X, y, track, n_folds=2)
taught = personalise(committee, X[:300], y[:300], track[:300])
call = lambda: TrackScorer(committee, X, track, n_threads=-1).predict_proba(taught)""",
    "Session": """
committee = Committee.pretrain(X, y, track, n_folds=2)
pool = Pool(X, track)
def call():
    session = Session(committee, pool)
    for _ in range(4):
        session.tell({name: 'Q1' for name in session.ask(2)})""",
    "save and load": """
committee = Committee.pretrain(X, y, track, n_folds=2)
folder = tempfile.TemporaryDirectory()
def call():
    committee.save(folder.name + '/committee')
    Committee.load(folder.name + '/committee').predict_proba(X[:60], track[:60])""",
    "six queries": """
from dissensus.strategies import ConsensusState, query_top
p = rng.dirichlet(np.ones(4), (20, 200_000)).astype('f4')
v = p.argmax(2).astype('u1')
def call():
    dissensus.consensus_entropy(p, n_threads=None), dissensus.mean_kl(p, n_threads=None)
    dissensus.margin(p, n_threads=None), dissensus.vote_entropy(v, n_classes=4, n_threads=None)
    query_top(p, 10, n_threads=None), ConsensusState(p).query(10, n_threads=None)""",
    "log_mel": "signal = rng.normal(size=16000 * 30).astype('f4')\ncall = lambda: dissensus.log_mel(signal)",
    "is13": "signal = rng.normal(size=16000 * 5).astype('f4')\ncall = lambda: dissensus.is13(signal, 16000)",
    "krippendorff_alpha": """
ratings = rng.integers(4, size=(50, 5000)).astype(float)
from dissensus.evaluation.agreement import krippendorff_alpha
call = lambda: krippendorff_alpha(ratings, level='interval')""",
}

MEASURE = """
call()
own, every = time.thread_time(), time.process_time()
while time.thread_time() - own < 0.5:
    call()
print((time.process_time() - every) / (time.thread_time() - own))
"""


@pytest.mark.parametrize("call", list(CALLS))
def test_one_thread_is_one_core(benchmark: Any, call: str) -> None:
    benchmark.group = f"cores in use with set_threads(1)|{call}"
    cores = []

    def run() -> None:
        code = COMMON + CALLS[call] + MEASURE
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
        cores.append(float(done.stdout))

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["cores"] = max(cores)
    assert max(cores) < 1.1
