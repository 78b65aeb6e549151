"""A PostgreSQL store whose writers and server are killed at random moments. Run by the tests, and by hand:

python postgres_under_faults.py POINTS [SEED]
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import postgres

import faults
from dissensus.errors import StoreError
from dissensus.store import Consent, Event, open_store


def write(where: str, listener: str, acknowledged: str, name: str) -> None:
    """Answer until killed; an answer is noted once the store has acknowledged it. A server that is gone is waited for."""
    number = 0
    with open_store(where, make=False) as store:
        while True:
            event = Event("answer", track=f"{name}-{number}", label="Q1")
            try:
                receipt = store.append(
                    listener, [event, Event("skip", track=f"{name}-{number}-s")], key=f"{name}-{number}"
                )
            except StoreError:
                time.sleep(0.01)
                continue
            descriptor = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(descriptor, (json.dumps([receipt.first, event.track]) + "\n").encode())
            os.close(descriptor)
            number += 1


def run(points: int, seed: int = 0) -> tuple[faults.Tally, float]:
    """Kill the writer (two times of three) or crash the server; gives the tally and the longest recovery in seconds."""
    rng, tally, slowest = random.Random(seed), faults.Tally(), 0.0
    with postgres.running() as server, tempfile.TemporaryDirectory() as folder:
        assert server is not None, "no PostgreSQL here"
        acknowledged = Path(folder, "acknowledged")
        with open_store(server.url) as store:
            listener = store.create([Consent("personalise", "1")])
        for point in range(points):
            command = [sys.executable, __file__, "write", server.url, listener, str(acknowledged), str(point)]
            before = acknowledged.stat().st_size if acknowledged.exists() else 0
            writer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while not acknowledged.exists() or acknowledged.stat().st_size == before:
                time.sleep(0.002)
            time.sleep(rng.random() * 0.1)
            crash = point % 3 == 2
            if crash:
                server.stop("immediate")
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            start = time.perf_counter()
            if crash:
                server.start()
            with open_store(server.url, make=False) as store:
                log, problems = store.events(listener), store.verify()
            slowest = max(slowest, time.perf_counter() - start)
            there = {(event.seq, event.track) for event in log}
            promised = [tuple(json.loads(line)) for line in acknowledged.read_text().splitlines()]
            answers = {e.track for e in log if e.kind == "answer"}
            skips = {str(e.track)[:-2] for e in log if e.kind == "skip"}
            tally.points += 1
            tally.lost += any(one not in there for one in promised)
            tally.unreadable += bool(problems)
            tally.half += answers != skips
    return tally, slowest


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    found, recovery = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"postgresql, writer or server killed: {found}; longest recovery {recovery:.2f} s")
    sys.exit(not found.sound())
