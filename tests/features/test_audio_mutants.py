"""Mutated audio files: a typed error or finite samples each, within 2 s of CPU time, and never a crash or a hang."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dissensus.features import write_audio

LIMIT_S = 2.0  # CPU time of one file
HANG_S = 60.0  # wall time without a word from the worker: it waits for something that never comes

#: Reads mutants until there are no more. Says which before it begins and what came out after: an outsider sees where it stopped.
WORKER = """
import json, os, sys, time
import numpy as np
from dissensus.errors import DissensusError
from dissensus.features import load_audio, write_audio

folder, each, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
seeds = [open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder)) if name.startswith("seed.")]
path = os.path.join(folder, f"mutant-{os.getpid()}")

def mutant(number):
    rng = np.random.default_rng(np.random.SeedSequence(20, spawn_key=(number,)))
    data = bytearray(seeds[number // each])
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 128)))
        kind = rng.integers(0, 6)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            data[at : at + 4] = bytes([255] * 4)
        elif kind == 3 and len(data) > 40:
            del data[at : at + int(rng.integers(1, 400))]
        elif kind == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 400))]
        elif len(data) > 40:
            del data[max(at, 20) :]
        if not data:
            data = bytearray(b"R")
    return data

load_audio(os.path.join(folder, "warm.wav"), sr=8000)  # libraries are loaded, whichever file comes first
for number in range(first, last):
    print(json.dumps({"begin": number}), flush=True)
    with open(path, "wb") as file:
        file.write(mutant(number))
    began = time.process_time()
    try:
        samples = load_audio(path)
        ok = samples.dtype == np.float32 and len(samples) > 0 and bool(np.isfinite(samples).all())
        kind = "fine" if ok else "samples that are empty or not finite"
    except DissensusError as error:
        kind = type(error).__name__ if path in str(error) else f"an error without the file's name: {error}"
    print(json.dumps({"end": number, "kind": kind, "cpu_s": time.process_time() - began}), flush=True)
"""

SEEDS = (
    ("wav", "FLOAT"),
    ("wav", None),
    ("flac", None),
    ("ogg", None),
    ("opus", None),
    ("mp3", None),
    ("aiff", None),
    ("w64", None),
)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    import numpy as np

    rng = np.random.default_rng(20)
    t = np.arange(4000) / 16000
    x = np.stack([np.sin(440 * t), np.sin(990 * t)], axis=1) * 0.3 + rng.standard_normal((4000, 2)) * 0.02
    for i, (suffix, subtype) in enumerate(SEEDS):
        write_audio(tmp_path / f"{i}.{suffix}", x, 16000, subtype=subtype)
        (tmp_path / f"{i}.{suffix}").rename(tmp_path / f"seed.{i}.{suffix}")
    write_audio(tmp_path / "warm.wav", x, 16000)
    return tmp_path


def _limit_cpu() -> None:
    """The kernel ends a worker that spins for ever, should the watchdog itself be starved."""
    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))


def watch(folder: Path, worker: str, each: int, *, hang_s: float = HANG_S) -> tuple[dict[str, int], float, list[str]]:
    """Run a worker over all mutants; one that dies or hangs is started again behind the file it stopped at.

    Returns how often each outcome came, the longest CPU time of a file, and what is wrong.
    """
    tally: dict[str, int] = {}
    slowest, faults, first, total = 0.0, [], 0, each * len(SEEDS)
    while first < total:
        errors = open(folder / "stderr.txt", "w+b")  # noqa: SIM115 - closed below
        process = subprocess.Popen(
            [sys.executable, "-c", worker, str(folder), str(each), str(first), str(total)],
            stdout=subprocess.PIPE, stderr=errors, preexec_fn=_limit_cpu,
        )  # fmt: skip
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        at, heard, rest = first - 1, time.monotonic(), b""
        busy = False  # with a file; before the first one it loads its libraries
        while True:
            ended = process.poll() is not None  # asked first: what it said last is still read
            data = process.stdout.read()
            if data:
                heard = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                for line in map(json.loads, lines):
                    at, busy = line.get("begin", at), "begin" in line
                    if "end" in line:
                        tally[line["kind"]] = tally.get(line["kind"], 0) + 1
                        slowest = max(slowest, line["cpu_s"])
                        if line["cpu_s"] > LIMIT_S:
                            faults.append(f"mutant {at} took {line['cpu_s']:.1f} s of CPU time")
            elif ended:
                break
            elif time.monotonic() - heard > (hang_s if busy else 180.0):
                faults.append(f"mutant {at} hangs")
                process.kill()
                process.wait()
                break
            else:
                time.sleep(0.01)
        process.stdout.close()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
        errors.close()
        if said:  # not a word from the decoders
            faults.append(f"stderr at mutant {at}: {said[-500:]}")
        if process.returncode == 0:
            break
        if process.returncode not in (0, -9):
            faults.append(f"mutant {at}: the worker ended with {process.returncode}")
        first = at + 1
        if len(faults) > 20:
            break
    return tally, slowest, faults


@pytest.mark.skipif(sys.platform == "win32", reason="needs process limits")
@pytest.mark.parametrize("each", [40, pytest.param(625, marks=pytest.mark.slow)])
def test_mutants_crash_nothing_and_hang_nowhere(seeds: Path, each: int) -> None:
    tally, slowest, faults = watch(seeds, WORKER, each)
    assert faults == []
    assert sum(tally.values()) == each * len(SEEDS)
    odd = [kind for kind in tally if not (kind == "fine" or kind.endswith("Error"))]
    assert odd == []
    assert tally["fine"] and tally["TruncatedAudioError"]
    assert slowest < LIMIT_S
    print(tally, f"slowest {slowest:.3f} s of CPU time")


def test_the_watchdog_sees_a_crash_a_spin_and_a_hang(seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "LIMIT_S", 0.3)
    spoilt = WORKER.replace(
        "    try:\n",
        """    if number == 1:
        os.abort()
    while number == 2 and time.process_time() - began < 0.4:
        pass
    if number == 3:
        time.sleep(600)
    try:
""",
        1,
    )
    tally, slowest, faults = watch(seeds, spoilt, 1, hang_s=12.0)
    assert sum(tally.values()) == len(SEEDS) - 2
    assert slowest > LIMIT_S
    assert [fault.split(" ")[1].rstrip(":") for fault in faults] == ["1", "2", "3"]
    assert "ended with -6" in faults[0] and "CPU time" in faults[1] and "hangs" in faults[2]
