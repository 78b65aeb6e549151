"""Fork again and again while other threads are at work, and let every child do all of it once.

usage: busy_forks.py N_FORKS N_THREADS BUSY CHILD, the last two comma-separated names of jobs below. Prints how children ended.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dissensus
from dissensus import Committee, ConsensusState, Pool, Session
from dissensus.committee import shipped_cnn
from dissensus.features import load_audio, write_audio
from dissensus.personalisation import ListenerModel

rng = np.random.default_rng(0)
X = rng.normal(size=(240, 6))
y = np.array(list("abcd"))[np.arange(240) % 4]
tracks = np.arange(240) // 2
pool = Pool(X, tracks)


def jobs(names: set[str]) -> dict[str, Callable[[], object]]:
    """The jobs that are asked for, ready to be done by any thread."""
    found: dict[str, Callable[[], object]] = {}
    if names & {"linear", "trees", "pretrain", "learner"}:
        kinds = ("gnb", "sgd", "xgb") if names & {"trees", "pretrain"} else ("gnb", "sgd")
        committee = Committee.pretrain(X, y[::2][tracks], tracks, n_folds=2, kinds=kinds)
        shared = Session(committee, pool).learner

        def session(model: object = None) -> None:
            s = Session(None, pool, model=model) if model else Session(committee, pool)  # type: ignore[arg-type]
            for _ in range(2):
                s.tell(dict.fromkeys(s.ask(2).track_ids.tolist(), "a"))

        found["linear"] = found["trees"] = session
        found["learner"] = lambda: session(shared)
        found["pretrain"] = lambda: Committee.pretrain(X, y[::2][tracks], tracks, n_folds=2, kinds=("xgb",))
    if "cnn" in names:
        model, chunks = shipped_cnn(), np.zeros((2, 1, 128, 231), np.float32)
        found["cnn"] = lambda: model.predict(chunks)
    if "state" in names:
        proba = rng.dirichlet(np.ones(4), (3, 5000)).astype(np.float32)
        state = ConsensusState(proba)
        found["state"] = lambda: (state.update(0, proba[1]), state.query(3))
    if "blocks" in names:
        many = rng.dirichlet(np.ones(4), (3, 200_000)).astype(np.float32)
        found["blocks"] = lambda: dissensus.consensus_entropy(many, n_threads=2)
    if "listener" in names:
        from dissensus.datasets import Annotations

        who = rng.integers(0, 12, 600)
        votes = Annotations([f"u{i}" for i in who], rng.integers(0, 120, 600), rng.integers(0, 4, 600), list("abcd"))
        listener = ListenerModel(pool, votes)

        def personal() -> None:
            s = Session(None, pool, model=listener, listener="u1")
            s.tell(dict.fromkeys(s.ask(2).track_ids.tolist(), "a"))

        found["listener"] = personal
    if "mp3" in names:
        path = Path(tempfile.mkdtemp()) / "a.mp3"
        write_audio(path, 0.1 * rng.normal(size=32000), 16000)
        found["mp3"] = lambda: load_audio(path)
    return {name: found[name] for name in names}


def main() -> None:
    n_forks, n_threads = int(sys.argv[1]), int(sys.argv[2])
    busy, child = (set(filter(None, text.split(","))) for text in sys.argv[3:5])
    dissensus.set_threads(n_threads)
    ready = jobs(busy | child)
    for job in ready.values():
        job()
    stop = threading.Event()

    def work(job: Callable[[], object]) -> None:
        while not stop.is_set():
            job()

    threads = [threading.Thread(target=work, args=(ready[name],), daemon=True) for name in busy for _ in range(2)]
    for thread in threads:
        thread.start()
    ends: Counter[str] = Counter()
    running: list[int] = []
    for number in range(n_forks):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)  # a child that hangs is killed
            for name in sorted(child):
                ready[name]()
            if number % 2:
                sys.exit(0)  # through the interpreter's own end
            os._exit(0)
        running.append(pid)
        if len(running) == 4 or number == n_forks - 1:
            for pid in running:
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                ends["works" if code == 0 else f"ended with {code}"] += 1
            running = []
    stop.set()
    for thread in threads:
        thread.join()
    print(dict(ends))


if __name__ == "__main__":
    main()
