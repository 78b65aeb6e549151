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
    "a state's life": """
from dissensus.strategies import ConsensusState
p = rng.dirichlet(np.ones(4), (20, 200_000)).astype('f4')
def call():
    state = ConsensusState(p)
    for member in range(5):
        state.update(member, p[member + 1], n_threads=None)
        state.query(10, measure='margin', exclude=[1], n_threads=None)
    state.grow(p[:, :50_000])
    state.drop(range(0, 1000, 7))
    state.utility(n_threads=None)""",
    "votes, weights, the best of a utility": """
p = rng.dirichlet(np.ones(4), (20, 200_000)).astype('f4')
v, w = p.argmax(2), rng.random(20)
def call():
    utility = dissensus.mutual_information(p, member_weight=w, n_threads=None)
    dissensus.select_top(utility, 10), dissensus.query_top(p.swapaxes(0, 1).copy().swapaxes(0, 1), 9, n_threads=None)
    dissensus.query_votes(v, 10, n_classes=4, n_threads=None)
    dissensus.vote_entropy(v, n_classes=4, member_weight=w, n_threads=None)""",
    "the four strategies": """
from dissensus.strategies import leave_listener_out, machine_consensus, select, select_diverse, tie_keys
p = rng.dirichlet(np.ones(4), (5, 20_000)).astype('f4')
who, what, said = rng.integers(50, size=9000), rng.integers(20_000, size=9000), rng.integers(4, size=9000)
def call():
    machine = machine_consensus(p)
    human, raters = leave_listener_out(who, what, said, 3, n_tracks=20_000, n_classes=4)
    dissensus.human_consensus(what, said, n_tracks=20_000, n_classes=4)
    for name in ('mc', 'hc', 'mix', 'rand'):
        select(name, 8, machine=machine, human=human, n_raters=raters, balanced=True,
               random_state=tie_keys(np.arange(20_000)))
    select_diverse(X[::30], 8)""",
    "audio files": """
from dissensus.features import audio_info, stream_audio, write_audio
folder = tempfile.TemporaryDirectory()
signal = 0.1 * rng.normal(size=(44_100 * 10, 2))
def call():
    for kind in ('flac', 'mp3', 'ogg', 'wav'):
        write_audio(folder.name + '/a.' + kind, signal, 44_100)
        audio_info(folder.name + '/a.' + kind), dissensus.load_audio(folder.name + '/a.' + kind)
        list(stream_audio(folder.name + '/a.' + kind))""",
    "log_mel": """
from dissensus.features import MelPlan, MelStream, log_mel_batch
signal = rng.normal(size=16000 * 30).astype('f4')
def call():
    dissensus.log_mel(signal, n_threads=None), log_mel_batch([signal, signal], n_threads=None)
    stream = MelStream(MelPlan())
    stream.push(signal), stream.finish()""",
    "is13 and summary": """
from dissensus.features import IS13Stream
from dissensus.features.summary import summary
signal = rng.normal(size=16000 * 5).astype('f4')
def call():
    dissensus.is13(signal, 16000, n_threads=None), summary(signal, 16000)
    stream = IS13Stream(16000, n_threads=None)
    stream.push(signal), stream.finish()""",
    "files to a pool on disk": """
from dissensus.features import write_audio
from dissensus.features.extract import extract
from dissensus.features.sources import gather_audio
folder = tempfile.TemporaryDirectory()
for i in range(3):
    write_audio(folder.name + f'/{i}.flac', 0.1 * rng.normal(size=16_000 * 4), 16_000)
def call():
    with tempfile.TemporaryDirectory() as pool:
        extract(gather_audio([folder.name]), pool + '/pool')
        np.asarray(Pool.open(pool + '/pool').X).sum()""",
    "files through a CNN": """
from dissensus.catalog import embed_clips, embed_files, score_files
from dissensus.committee import shipped_cnn
from dissensus.features import load_audio, write_audio
from dissensus.features.sources import gather_audio
folder, model = tempfile.TemporaryDirectory(), shipped_cnn()
for i in range(3):
    write_audio(folder.name + f'/{i}.flac', 0.1 * rng.normal(size=16_000 * 12), 16_000)
files = gather_audio([folder.name])
def call():
    list(score_files(files, model))
    embed_clips(model, [(0, load_audio(files[0].path))], n_threads=None)
    with tempfile.TemporaryDirectory() as pool:
        embed_files(model, files, pool + '/pool')""",
    "training a CNN": """
import torch
dissensus.set_threads(1)  # torch is here now, and is told too
from dissensus.training.clips import ClipSet
from dissensus.training.fit import Schedule, train_member
clips = ClipSet([rng.normal(size=60_000).astype('f4') for _ in range(12)], np.arange(12) % 4, np.arange(12))
plan = Schedule(epochs=1, adam_epochs=1, sgd_epochs=1, batch_size=6, validation_share=0.25)
call = lambda: train_member(clips, schedule=plan, width=8, device='cpu')""",
    "listener model": """
from dissensus.datasets import QUADRANTS, Annotations
from dissensus.personalisation import ListenerModel
pool = Pool(X, track)
who, what = np.divmod(rng.permutation(30 * 80)[:900], 80)
crowd = Annotations(who.astype(str), what, rng.integers(4, size=900), QUADRANTS)
def call():
    listener = ListenerModel(pool, crowd)
    session = Session(None, pool, model=listener, listener='3')
    for _ in range(3):
        session.tell({name: 'Q1' for name in session.ask(2).track_ids})""",
    "two front ends": """
from dissensus.personalisation import CommitteeLearner, JointLearner
parts = [Committee.pretrain(x, y, track, kinds=('gnb', 'sgd'), n_folds=2) for x in (X, X[:, :60])]
pools = [Pool(x, track) for x in (X, X[:, :60])]
def call():
    joint = JointLearner([CommitteeLearner(*pair) for pair in zip(parts, pools)])
    session = Session(None, pools[0], model=joint)
    for _ in range(3):
        session.tell({name: 'Q1' for name in session.ask(2).track_ids})""",
    "an evaluation": """
from dissensus.datasets import QUADRANTS, Annotations, Dataset
from dissensus.evaluation.run.grid import run_evaluation
from dissensus.evaluation.protocol import Protocol
ids, n = np.unique(track).astype(str), 80
mine = [(who, i) for who in 'abcd' for i in range(40, n)]
said = Annotations(np.array([w for w, _ in mine]), ids[[i for _, i in mine]], rng.integers(4, size=len(mine)), QUADRANTS)
data = Dataset('made up', Pool(X, ids[track]), said, np.arange(n) % 4)
plan = Protocol(kinds=('gnb', 'xgb'), updates=('replay',), strategies=('mc', 'hc'), rounds=1, queries=4, repeats=1,
                null_repeats=1, min_tracks=30, n_folds=2)
def call():
    with tempfile.TemporaryDirectory() as out:
        run_evaluation(data, plan, out=out, jobs=1, listeners=['a', 'b'])""",
    "clusters and groups of annotators": """
from dissensus.agreement.annotators import fit_dawid_skene
from dissensus.evaluation.papers.clusters import cluster_agreement, embed
ratings = rng.normal(size=(300, 12))
who, what, said = rng.integers(50, size=3000), rng.integers(300, size=3000), rng.integers(4, size=3000)
def call():
    embed(ratings, 'pca'), embed(ratings, 'mds'), embed(ratings, 'tsne')
    cluster_agreement(ratings, np.arange(300) % 4)
    fit_dawid_skene(who, what, said, n_raters=50, n_tracks=300, n_classes=4)""",
    "music and listeners made up": """
from dissensus.datasets.synthetic import Music, make
call = lambda: make(12, 3, music=Music(duration_s=3.0))""",
    "krippendorff_alpha": """
ratings = rng.integers(4, size=(50, 5000)).astype(float)
from dissensus.agreement.alpha import krippendorff_alpha
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
