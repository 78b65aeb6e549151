"""The short form of the audio fuzz, and its watchdog."""

from __future__ import annotations

import sys
from pathlib import Path

import fuzz_audio as fuzz
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process limits")


@pytest.mark.parametrize("count", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutants_crash_nothing_hang_nowhere_and_stay_small(tmp_path: Path, count: int) -> None:
    result = fuzz.watch(tmp_path, count, seed=21)
    print(fuzz.report(result))
    assert result.faults == []
    assert sum(result.outcomes.values()) == count
    assert len(result.by_seed) == len(fuzz.seeds()) >= 12
    assert {kind for kind in result.outcomes if not kind.endswith("Error")} == {"fine"}
    assert min(result.outcomes[kind] for kind in ("fine", "TruncatedAudioError", "DecodeError")) > count // 100
    assert result.slowest_s < fuzz.LIMIT_S and result.most_mb < fuzz.LIMIT_MB


def test_the_watchdog_sees_a_crash_a_spin_and_a_hang(tmp_path: Path) -> None:
    spoilt = f"""
import os, sys, time
sys.path.insert(0, {str(Path(fuzz.__file__).parent)!r})
import fuzz_audio as fuzz
from dissensus import features
real = features.load_audio
def load_audio(path, **more):
    if fuzz.number == 1:
        os.abort()
    began = time.process_time()
    while fuzz.number == 2 and time.process_time() - began < 0.4:
        pass
    if fuzz.number == 3:
        time.sleep(600)
    if fuzz.number == 4:
        raise KeyError("odd")
    return real(path, **more)
features.load_audio = load_audio
made = fuzz.mutant
def mutant(number, *more):
    fuzz.number = number
    return made(number, *more)
fuzz.number, fuzz.mutant = -1, mutant
fuzz.work(sys.argv[1], *map(int, sys.argv[2:]))
"""

    def command(folder: Path, seed: int, first: int, total: int) -> list[str]:
        return [sys.executable, "-c", spoilt, str(folder), str(seed), str(first), str(total)]

    result = fuzz.watch(tmp_path, 8, hang_s=12.0, limit_s=0.3, command=command)
    assert sum(result.outcomes.values()) == 6
    assert result.at_fault == [1, 2, 3, 4]
    assert (result.n_crashes, result.n_slow, result.n_hangs) == (1, 1, 1)
    assert "ended with -6" in result.faults[0] and "CPU time" in result.faults[1] and "hangs" in result.faults[2]
    assert "KeyError" in result.faults[3]
