"""Many processes and threads write about one listener; nothing is lost. Run by the tests, and by hand:

python many_writers.py WHERE LISTENER NAME THREADS EACH    one process, writing
python many_writers.py sqlite|postgresql [PROCESSES THREADS EACH]    all of it, with the counts
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from dissensus.errors import StoreBusyError, VersionConflictError
from dissensus.store import Consent, Event, open_store


def write(where: str, listener: str, name: str, threads: int, each: int) -> None:
    """Each thread writes its events one by one, each at the version it has seen."""
    with open_store(where, make=False) as store:

        def one(thread: int) -> None:
            for number in range(each):
                event = Event("answer", track=f"{name}-{thread}-{number}", label="Q1")
                while True:
                    try:
                        store.append(listener, [event], expect_version=store.version(listener))
                    except (VersionConflictError, StoreBusyError):
                        continue
                    break

        workers = [threading.Thread(target=one, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def run(where: str, processes: int = 2, threads: int = 4, each: int = 1250) -> tuple[int, int, list[str], float]:
    """Gives the events that should be there, those that are, faults of the store, and the seconds."""
    with open_store(where) as store:
        listener = store.create([Consent("personalise", "1")])
    start = time.perf_counter()
    started = [
        subprocess.Popen([sys.executable, __file__, where, listener, str(p), str(threads), str(each)])
        for p in range(processes)
    ]
    for process in started:
        assert process.wait() == 0
    seconds = time.perf_counter() - start
    with open_store(where) as store:
        log = store.events(listener)
        whole = [event.seq for event in log] == list(range(1, len(log) + 1))
        return processes * threads * each, len({e.track for e in log}) * whole, store.verify(), seconds


def main(argv: list[str]) -> int:
    if len(argv) == 5 and argv[0] not in {"sqlite", "postgresql"}:
        write(argv[0], argv[1], argv[2], int(argv[3]), int(argv[4]))
        return 0
    sizes = [int(one) for one in argv[1:]]
    if argv[0] == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            result = run(f"{folder}/s.db", *sizes)
    else:
        import postgres

        with postgres.running() as server:
            assert server is not None, "no PostgreSQL here"
            result = run(server.url, *sizes)
    wanted, there, faults, seconds = result
    print(
        f"{argv[0]}: {wanted} writes, {wanted - there} lost, faults {faults or 'none'}, {wanted / seconds:.0f} a second"
    )
    return int(there != wanted or bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
