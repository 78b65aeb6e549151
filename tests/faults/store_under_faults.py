"""A SQLite store under faults: killed and failed at every change, and every power cut of a sample. Run by the tests, and by hand:

    LD_PRELOAD=shim.so python store_under_faults.py cuts 2000

``kill``, ``full``, ``io`` and ``cuts N`` print their counts; the settings known to be unsafe run beside the safe ones in ``cuts``
and must fail, or the model could not see anything.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import faults
from dissensus.errors import DissensusError
from dissensus.store import Consent, Event, open_store

ANSWERS = 12


def workload(journal: str, synchronous: str, folder: Path, acknowledged: Path, seed: int = 0) -> None:
    """Three listeners answer; an answer is noted outside the store once the store has acknowledged it."""
    rng = random.Random(seed)
    with open_store(folder / "s.db", journal=journal, synchronous=synchronous) as store:
        who = []
        for _ in range(3):
            who.append(store.create([Consent("personalise", "1")]))
            note(acknowledged, ["listener", who[-1]])
        for number in range(ANSWERS):
            listener, size = who[number % 3], rng.choice([1, 1, 2])
            events = [
                Event("answer", track=f"t{number}-{i}", label=f"Q{1 + i}", detail={"n": number}) for i in range(size)
            ]
            receipt = store.append(listener, events, key=f"k{number}")
            note(acknowledged, ["answer", listener, receipt.last, events[-1].track])


def note(file: Path, what: list[object]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, (json.dumps(what) + "\n").encode())
    os.close(descriptor)


def judge(database: Path, promised: list[list[object]], tally: faults.Tally) -> None:
    """Open what is left as a user would, and compare with what was acknowledged."""
    try:
        if not database.exists():
            tally.lost += bool(promised)
            return
        with open_store(database) as store:
            problems = store.verify()
            if problems:
                tally.unreadable += 1
                tally.examples.append(problems[0])
                return
            logs = {who: store.events(who) for who in store.listeners()}
        missing = [one for one in promised if not kept(one, logs)]
        tally.lost += bool(missing)
        tally.half += any(half(log) for log in logs.values())
    except DissensusError as error:
        tally.unreadable += 1
        tally.examples.append(str(error))


def kept(promise: list[object], logs: dict[str, list[Event]]) -> bool:
    log = logs.get(str(promise[1]))
    if log is None:
        return False
    return promise[0] == "listener" or any(e.seq == promise[2] and e.track == promise[3] for e in log)


def half(log: list[Event]) -> bool:
    """Requests are whole: places are numbered without a gap, and of a request of two events both are there."""
    tracks = {event.track for event in log}
    alone = [t for t in tracks if t and t.endswith("-1") and t[:-1] + "0" not in tracks]
    return [event.seq for event in log] != list(range(1, len(log) + 1)) or bool(alone)


def read_notes(file: Path) -> list[list[object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def at_every_change(what: str, journal: str, seeds: int = 1, every: int = 1) -> faults.Tally:
    """Kill, or fail with a full disk or an I/O error, at every change of the workload."""
    tally, code = faults.Tally(), {"kill": 0, "full": errno.ENOSPC, "io": errno.EIO}[what]
    for seed in range(seeds):
        point = 1 + seed % every
        while True:
            folder, acknowledged = faults.fresh_folder()
            arm = {"kill_at": point} if what == "kill" else {"fail_at": point, "code": code}
            status, changes = faults.run_forked(
                partial(workload, journal, "full", seed=seed),
                folder,
                acknowledged,
                **arm,
            )
            reached = faults.killed(status) if what == "kill" else changes >= point
            if reached:
                tally.points += 1
                if what != "kill":
                    ended = os.WEXITSTATUS(status)
                    tally.untyped += ended == faults.UNTYPED
                    tally.tolerated += ended == faults.DONE
                judge(folder / "s.db", read_notes(acknowledged), tally)
            shutil.rmtree(folder.parent)
            if not reached:
                break
            point += every
    return tally


def power_cuts(journal: str, synchronous: str, n: int, seed: int = 0) -> faults.Tally:
    """Cut the power at random moments of the workload, and open each state a disk may be in."""
    folder, acknowledged = faults.fresh_folder()
    log = folder.parent / "log"
    inside = folder / "acknowledged"  # in the log too, so that each promise has its moment
    status, _ = faults.run_forked(
        lambda a, _: workload(journal, synchronous, a, inside, seed), folder, acknowledged, log=log
    )
    assert status == 0
    changes, rng, tally = faults.read_log(log), random.Random(seed), faults.Tally()
    work = folder.parent / "w"
    for _ in range(n):
        moment = rng.randint(1, len(changes))
        before = changes[:moment]
        promised = [json.loads(c.data) for c in before if c.op == "W" and c.path == str(inside)]
        state = faults.after_power_cut([c for c in before if c.path != str(inside)], str(folder), rng)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for path, content in state.items():
            (work / Path(path).name).write_bytes(content)
        tally.points += 1
        judge(work / "s.db", promised, tally)
    shutil.rmtree(folder.parent)
    return tally


#: Journal and synchronous mode, and whether they lose nothing.
SETTINGS = (
    ("truncate", "full", True),
    ("wal", "full", True),
    ("persist", "full", True),
    ("delete", "full", False),
    ("truncate", "normal", False),
    ("truncate", "off", False),
    ("wal", "normal", False),
)


def main(argv: list[str]) -> int:
    what, *rest = argv
    bad = 0
    if what == "cuts":
        for journal, synchronous, safe in SETTINGS:
            tally = power_cuts(journal, synchronous, int(rest[0]), seed=int(rest[1]) if len(rest) > 1 else 0)
            right = tally.sound() == safe or (journal == "delete" and tally.points < 2000)  # one cut in sixty shows it
            bad += not right
            verdict = "as it must" if right else "NOT AS IT MUST"
            print(
                f"power cuts, {journal} {synchronous} ({'safe' if safe else 'unsafe, a positive control'}): {tally}; {verdict}"
            )
    else:
        for journal in ("truncate", "wal"):
            tally = at_every_change(
                what, journal, seeds=int(rest[0]) if rest else 1, every=int(rest[1]) if len(rest) > 1 else 1
            )
            bad += not tally.sound()
            print(f"{what} at every change, {journal} full: {tally}", *tally.examples[:3])
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
