"""Mutated audio files: a typed error or finite samples each, within 2 s of CPU time and 512 MB, and never a crash or a hang.

One process decodes, file after file; another watches it, and starts a new one behind a file that ended or stopped the old one.
Run ``python tests/support/fuzz_audio.py --count 100000``; what is at fault is kept under ``build/fuzz`` and told.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import odd_audio as odd
from memory import peak_mb

LIMIT_S = 2.0  # CPU time of one file
LIMIT_MB = 512  # memory of the process that decodes, libraries included
HANG_S = 60.0  # wall time without a word from it: it waits for something that never comes
_STARTING_S = 180.0


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """Small files of every container and codec, some with an oddity already."""
    n, sr = 4000, 16000

    def made(container: str, subtype: str, channels: int = 2, rate: int = sr, **more: object) -> bytes:
        return odd.encoded(container, subtype, rate, channels, n, **more)  # type: ignore[arg-type]

    mp3, vorbis, opus = (made(*kind) for kind in (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")))
    flac = made("FLAC", "PCM_16")
    pcm = odd.pcm(n)
    return {
        "WAV PCM 16": made("WAV", "PCM_16"),
        "WAV PCM U8": made("WAV", "PCM_U8", 1),
        "WAV float": made("WAV", "FLOAT"),
        "WAV A-law": made("WAV", "ALAW"),
        "WAV IMA ADPCM": made("WAV", "IMA_ADPCM"),
        "WAV MS ADPCM": made("WAV", "MS_ADPCM"),
        "WAV GSM 6.10": made("WAV", "GSM610", 1),
        "WAV EXTENSIBLE": made("WAVEX", "PCM_24"),
        "WAV never closed": odd.wav(pcm, size=0, riff=0),
        "RF64": odd.wav(pcm, size=2**32 - 1, before=odd.ds64(len(pcm) + 72, len(pcm), n), magic=b"RF64"),
        "BW64": odd.wav(pcm, size=2**32 - 1, before=odd.ds64(len(pcm) + 72, len(pcm), n), magic=b"BW64"),
        "W64": made("W64", "PCM_16"),
        "AIFF": made("AIFF", "PCM_16"),
        "AIFF-C float": made("AIFF", "FLOAT"),
        "AIFF-C IMA": made("AIFF", "IMA_ADPCM", 1),
        "AU": made("AU", "PCM_16"),
        "CAF": made("CAF", "PCM_16"),
        "CAF ALAC": made("CAF", "ALAC_16"),
        "FLAC": flac,
        "FLAC 24, mono": made("FLAC", "PCM_24", 1),
        "FLAC joined": flac + odd.id3v1() + flac,
        "Ogg FLAC": odd.ogg_flac(flac),
        "Ogg Vorbis": vorbis,
        "Ogg Vorbis chained": vorbis + made("OGG", "VORBIS", 1),
        "Ogg Opus": opus,
        "MP3 VBR": made("MP3", "MPEG_LAYER_III", mode="VARIABLE"),
        "MP3 CBR": made("MP3", "MPEG_LAYER_III", rate=44100, mode="CONSTANT", level=0.5),
        "MP3 joined, tags": odd.id3v2() + mp3 + odd.ape() + odd.without_xing(mp3) + odd.id3v1(),
        "MP3 in RIFF": odd.mpeg_in_riff(odd.without_xing(mp3), sr),
    }


_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutant(number: int, seed: int, names: list[str]) -> tuple[str, bytes]:
    """One to four changes to a seed, the same for the same numbers; half of them near the beginning, where headers are."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    name = names[number % len(names)]
    data = bytearray(seeds()[name])
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 160)))
        size = int(rng.integers(1, 400))
        kind = rng.integers(0, 10)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            value = _NUMBERS[rng.integers(0, len(_NUMBERS))]
            data[at : at + 4] = struct.pack("<I" if rng.random() < 0.5 else ">I", value)
        elif kind == 3:
            del data[at : at + size]
        elif kind == 4:
            data[at:at] = data[at : at + size]
        elif kind == 5:
            del data[max(at, 20) :]
        elif kind == 6:
            data[at:at] = rng.bytes(size)
        elif kind == 7:
            data[at : at + size] = bytes(min(size, len(data) - at))
        elif kind == 8:  # a part of another file
            other = seeds()[names[rng.integers(0, len(names))]]
            start = int(rng.integers(0, len(other)))
            data[at : at + size] = other[start : start + size]
        else:
            data += data[at : at + 20 * size]
    if b"OggS" in data and rng.random() < 0.7:  # checksums that fit, or the decoder sees nothing of the changes
        data = bytearray(_checksums(bytes(data)))
    return name, bytes(data) or b"R"


def _checksums(data: bytes) -> bytes:
    out, at = bytearray(data), data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        n = data[at + 26]
        end = at + 27 + n + sum(data[at + 27 : at + 27 + n])
        if end <= len(data):
            out[at + 22 : at + 26] = bytes(4)
            out[at + 22 : at + 26] = struct.pack("<I", odd.ogg_crc(bytes(out[at:end])))
        at = data.find(b"OggS", at + 4)
    return bytes(out)


def work(folder: str, seed: int, first: int, last: int) -> None:
    """Decode mutants: says which before it begins and what came out after, so that an outsider sees where it stopped."""
    from dissensus.errors import DissensusError
    from dissensus.features import load_audio

    os.environ["PATH"] = ""  # an ffmpeg that is there is not what is tried
    warnings.simplefilter("ignore")
    names = list(seeds())
    path = os.path.join(folder, f"mutant-{os.getpid()}")
    with open(path, "wb") as file:
        file.write(seeds()["WAV PCM 16"])
    load_audio(path, sr=8000)  # libraries are loaded, whichever file comes first
    for number in range(first, last):
        print(json.dumps({"begin": number}), flush=True)
        name, data = mutant(number, seed, names)
        with open(path, "wb") as file:
            file.write(data)
        rng = np.random.default_rng(number)
        more: dict[str, object] = {"truncated": ("nearly", "error", "keep")[rng.integers(0, 3)]}
        if rng.random() < 0.3:
            more |= {"start_s": float(rng.uniform(0, 0.3)), "duration_s": float(rng.uniform(0.01, 0.3))}
        began = time.process_time()
        try:
            samples = load_audio(path, **more)  # type: ignore[arg-type]
            ok = samples.dtype == np.float32 and len(samples) > 0 and bool(np.isfinite(samples).all())
            kind = "fine" if ok else "samples that are empty or not finite"
        except DissensusError as error:
            kind = type(error).__name__ if path in str(error) else f"an error without the file's name: {error}"
        except Exception as error:
            kind = f"not an error of ours: {error!r}"
        mb = peak_mb()
        spent = time.process_time() - began
        print(json.dumps({"end": number, "seed": name, "kind": kind, "cpu_s": spent, "mb": mb}), flush=True)


@dataclass
class Result:
    """Counts of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    by_seed: dict[str, Counter[str]] = field(default_factory=dict)
    slowest_s: float = 0.0
    most_mb: int = 0
    faults: list[str] = field(default_factory=list)
    at_fault: list[int] = field(default_factory=list)
    n_crashes: int = 0
    n_hangs: int = 0
    n_slow: int = 0
    n_large: int = 0

    def blame(self, number: int, words: str) -> None:
        self.faults.append(f"mutant {number}{words}")
        self.at_fault.append(number)


def _limit_cpu() -> None:
    """The kernel ends a worker that spins for ever, should the watchdog itself be starved."""
    resource.setrlimit(resource.RLIMIT_CPU, (7200, 7200))


def _command(folder: Path, seed: int, first: int, total: int) -> list[str]:
    return [sys.executable, __file__, "--work", str(folder), str(seed), str(first), str(total)]


def watch(
    folder: Path,
    total: int,
    *,
    first: int = 0,
    seed: int = 20,
    hang_s: float = HANG_S,
    limit_s: float = LIMIT_S,
    command: Callable[[Path, int, int, int], list[str]] = _command,
    on_progress: Callable[[int, Result], None] | None = None,
) -> Result:
    """Run workers over all mutants; one that dies or hangs is started again behind the file it stopped at."""
    result = Result()
    while first < total and len(result.faults) <= 20:
        errors = open(folder / "stderr.txt", "w+b")  # noqa: SIM115 - closed below
        process = subprocess.Popen(
            command(folder, seed, first, total), stdout=subprocess.PIPE, stderr=errors, preexec_fn=_limit_cpu
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        at, heard, rest, n_said = first - 1, time.monotonic(), b"", 0
        busy = False  # with a file; before the first one it loads its libraries
        while True:
            ended = process.poll() is not None  # asked first: what it said last is still read
            data = process.stdout.read()
            if data:
                heard = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                for text in lines:
                    if not text.startswith(b'{"'):
                        result.blame(at, f": stdout: {text!r}")
                        continue
                    line = json.loads(text)
                    at, busy = line.get("begin", at), "begin" in line
                    if "end" in line:
                        _count(result, line, limit_s)
                        if on_progress is not None:
                            on_progress(at, result)
                if (size := os.fstat(errors.fileno()).st_size) > n_said:  # not a word from the decoders
                    result.blame(at, f" or one before it: stderr: {os.pread(errors.fileno(), 500, n_said)!r}")
                    n_said = size
            elif ended:
                break
            elif time.monotonic() - heard > (hang_s if busy else _STARTING_S):
                result.blame(at, " hangs")
                result.n_hangs += 1
                process.kill()
                process.wait()
                break
            else:
                time.sleep(0.01)
        process.stdout.close()
        errors.seek(n_said)
        said = errors.read().decode(errors="replace").strip()
        errors.close()
        if said:
            result.blame(at, f": stderr: {said[-500:]}")
        if process.returncode == 0:
            break
        if process.returncode not in (0, -9):
            result.blame(at, f": the worker ended with {process.returncode}")
            result.n_crashes += 1
        first = at + 1
    return result


def _count(result: Result, line: dict[str, object], limit_s: float) -> None:
    kind, name, number = str(line["kind"]), str(line["seed"]), int(line["end"])  # type: ignore[call-overload]
    cpu_s, mb = float(line["cpu_s"]), int(line["mb"])  # type: ignore[arg-type, call-overload]
    short = kind.split(":")[0]
    result.outcomes[short] += 1
    result.by_seed.setdefault(name, Counter())[short] += 1
    if not (kind == "fine" or kind.endswith("Error")):
        result.blame(number, f" ({name}): {kind}")
    if cpu_s > limit_s:
        result.n_slow += 1
        result.blame(number, f" ({name}) took {cpu_s:.1f} s of CPU time")
    if mb > LIMIT_MB >= result.most_mb:
        result.n_large += 1
        result.blame(number, f" ({name}) brought the process to {mb} MB")
    result.slowest_s, result.most_mb = max(result.slowest_s, cpu_s), max(result.most_mb, mb)


def report(result: Result) -> str:
    """The counts as text."""
    kinds = [kind for kind, _ in result.outcomes.most_common()]
    lines = [f"{'seed':20}" + "".join(f"{kind.removesuffix('Error'):>18}" for kind in kinds)]
    for name, counts in result.by_seed.items():
        lines.append(f"{name:20}" + "".join(f"{counts[kind]:18}" for kind in kinds))
    lines.append(f"{'all':20}" + "".join(f"{result.outcomes[kind]:18}" for kind in kinds))
    lines.append(
        f"{sum(result.outcomes.values())} mutants of {len(result.by_seed)} seeds: {result.n_crashes} crashes, "
        f"{result.n_hangs} hangs, {result.n_slow} above {LIMIT_S:g} s (slowest {result.slowest_s:.2f} s of CPU time), "
        f"{result.n_large} above {LIMIT_MB} MB (most {result.most_mb} MB), {len(result.faults)} faults in all"
    )
    return "\n".join(lines + result.faults)


def main() -> int:
    """Run from the command line; 1 where anything is at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    chosen = parser.parse_args()
    began = said = time.monotonic()

    def show(number: int, result: Result) -> None:
        nonlocal said
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(f"{number + 1} of {chosen.count}, {said - began:.0f} s, {len(result.faults)} faults", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        total = chosen.first + chosen.count
        result = watch(Path(folder), total, first=chosen.first, seed=chosen.seed, on_progress=show)
    print(report(result))
    chosen.out.mkdir(parents=True, exist_ok=True)
    for number in result.at_fault:
        name, data = mutant(number, chosen.seed, list(seeds()))
        (chosen.out / f"audio-{chosen.seed}-{number}-{name.replace(' ', '_')}").write_bytes(data)
    return bool(result.faults) or sum(result.outcomes.values()) != chosen.count


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
