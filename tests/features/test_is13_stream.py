"""IS13 of a signal in parts: exactly the one-shot result, and memory that stays bounded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dissensus.errors import EmptyAudioError, NonFiniteAudioError, ParameterError
from dissensus.features import IS13Stream, is13, is13_descriptors, is13_stream
from dissensus.features.is13_stream import DescriptorStream

SR = 16000


def voice(sr: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch with pauses over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(sr * seconds)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 60 * np.sin(2 * np.pi * 0.7 * t)) / sr
    x = sum(np.sin(k * phase + k) / k for k in range(1, 12))
    return (0.2 * x * (np.sin(2 * np.pi * 0.9 * t) > -0.6) + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


def in_parts(stream: IS13Stream | DescriptorStream, x: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, len(x) + 1, 9))
    return np.concatenate([*(stream.push(part) for part in np.split(x, cuts)), stream.finish()])


@pytest.mark.compiled
@pytest.mark.parametrize("options", [{}, {"window_s": 0.3, "overlap": 0.0}, {"voiced_deltas": "pairs", "n_threads": 2}])
@pytest.mark.parametrize("sr", [8000, 16000, 22050])
def test_parts_give_exactly_the_windows_of_the_whole(sr: int, options: dict[str, object]) -> None:
    x = voice(sr, 100.0, seed=sr)  # several steps of 41 s
    assert np.array_equal(in_parts(IS13Stream(sr, **options), x, 1), is13(x, sr, **options))


@pytest.mark.compiled
@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_small_steps_change_no_bit(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    x = voice(SR, 4.0, seed=5)
    whole = is13_descriptors(x, SR, backend=backend)
    monkeypatch.setattr(is13_stream, "_BLOCK", 32)
    for step in (32, 64, 96):
        monkeypatch.setattr(is13_stream, "_STEP", step)
        assert np.array_equal(in_parts(DescriptorStream(SR, backend=backend), x, step), whole), step


@pytest.mark.compiled
def test_every_end_of_a_signal_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths around a whole number of steps: where the last frames, and the rows after them, fall in the next one."""
    x = voice(SR, 2.0, seed=6)
    lengths = [960 + 160 * frames + rest for frames in (62, 63, 64, 65, 66, 67, 127, 128) for rest in (0, 1, 159)]
    whole = {n: is13(x[:n], SR, window_s=0.2) for n in lengths}
    monkeypatch.setattr(is13_stream, "_BLOCK", 32)
    monkeypatch.setattr(is13_stream, "_STEP", 64)
    for n, want in whole.items():
        assert np.array_equal(in_parts(IS13Stream(SR, window_s=0.2), x[:n], n), want), n


@pytest.mark.compiled
def test_a_long_period_keeps_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Low pitches walk in long strides: the mark may lie well before the frames to come."""
    t = np.arange(6 * SR) / SR
    x = (0.3 * np.sign(np.sin(2 * np.pi * 54 * t)) + 0.05 * np.sin(2 * np.pi * 540 * t)).astype(np.float32)
    whole = is13_descriptors(x, SR)
    assert (whole[:, 0] > 0).mean() > 0.8 and np.median(whole[:, 0]) < 60
    monkeypatch.setattr(is13_stream, "_BLOCK", 32)
    monkeypatch.setattr(is13_stream, "_STEP", 32)
    assert np.array_equal(in_parts(DescriptorStream(SR), x, 3), whole)


def test_bad_samples_are_counted_from_the_start() -> None:
    stream = IS13Stream(SR)
    stream.push(np.zeros(1000))
    with pytest.raises(NonFiniteAudioError, match=r"signal\[1003\]"):
        stream.push([0.0, 0.0, 0.0, np.nan])
    with pytest.raises(ParameterError, match="mono"):
        IS13Stream(SR).push(np.zeros((2, 2)))
    with pytest.raises(EmptyAudioError):
        IS13Stream(SR).finish()
    short = IS13Stream(SR)
    short.push(np.zeros(900))
    with pytest.raises(ParameterError, match="60 ms"):
        short.finish()
    with pytest.raises(ParameterError, match="window_s"):
        IS13Stream(SR, window_s=0.0)


LONG = """
import re, sys
import numpy as np
from dissensus.features import IS13Stream, is13

minutes = int(sys.argv[1])
rng = np.random.default_rng(0)
piece = (0.1 * rng.standard_normal(60 * 16000)).astype(np.float32)
is13(piece, 16000)  # everything is loaded and compiled
stream, n = IS13Stream(16000), 0
for _ in range(minutes):
    n += len(stream.push(piece))
n += len(stream.finish())
assert n == 2 * 60 * minutes - 1, n
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # of this program alone
"""


def _peak_kib(minutes: int) -> int:
    done = subprocess.run([sys.executable, "-c", LONG, str(minutes)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("minutes", [10, pytest.param(120, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_signal(minutes: int) -> None:
    one, many = _peak_kib(1), _peak_kib(minutes)
    assert many - one < 25_000, (one, many)  # descriptors of 10 minutes alone would take 31 MB
