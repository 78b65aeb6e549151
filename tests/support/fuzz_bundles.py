"""Mutated model files: loaded by one process and watched by another. No crash, no hang, no code run, typed errors only.

    python tests/support/fuzz_bundles.py --count 50000

Half of the mutants are forged: parts are changed and the digest is made right again, as a stranger with bad intent would do.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import struct
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_audio import Result, report, watch
from memory import peak_mb

DATA = Path(__file__).resolve().parents[1] / "data"

#: What an audit hook may see while a file is loaded; everything else is code that a file made run.
_WATCHED = {
    "exec",
    "compile",
    "import",
    "os.system",
    "subprocess.Popen",
    "pickle.find_class",
    "marshal.loads",
    "ctypes.dlopen",
}


@cache
def seeds() -> dict[str, bytes]:
    """Files of 0.1.0 and of this release, with every kind of member."""
    from dissensus.committee import BoostedTrees, Committee
    from dissensus.personalisation.update import personalise

    found = {path.stem: path.read_bytes() for path in sorted(DATA.glob("committee-0.1.0*.safetensors"))}
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(24) % 4, 3)
    X, track = rng.normal(size=(72, 4)), np.repeat(np.arange(24), 3)
    X[:, 0] += label
    names = np.array(["Q1", "Q2", "Q3", "Q4"])
    kinds = ("gnb", "sgd", "cnn", BoostedTrees(n_rounds=3, continue_rounds=2))
    committee = Committee.pretrain(X, names[label], track, kinds=kinds, n_folds=2, rehearsal_size=16)
    with tempfile.TemporaryDirectory() as folder:
        for name, one in {
            "pretrained": committee,
            "replay": personalise(committee, X[:30], names[label[:30]], track[:30], update="replay"),
            "incremental": personalise(committee, X[:30], names[label[:30]], track[:30], update="incremental"),
        }.items():
            one.save(f"{folder}/{name}")
            found[name] = Path(folder, name).read_bytes()
    return found


def mutant(number: int, seed: int, names: list[str]) -> tuple[str, bytes]:
    """A damaged file (even numbers) or a forged one (odd numbers), the same for the same numbers."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    name = names[(number // 2) % len(names)]
    raw = seeds()[name]
    return (f"{name}, damaged", _damaged(raw, rng)) if number % 2 == 0 else (f"{name}, forged", _forged(raw, rng))


def _damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(0, len(data) if rng.random() < 0.4 else min(len(data), 3000)))
        size = int(rng.integers(1, 200))
        kind = rng.integers(0, 6)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at : at + size] = rng.bytes(size)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            del data[max(at, 9) :]
        else:
            data[:8] = struct.pack("<Q", int(rng.choice([0, 1, 2, len(data), 2**20, 2**40, 2**63])))
    return bytes(data)


_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    3,
    2**31,
    2**63,
    -(2**70),
    1e308,
    "",
    "x",
    "t0",
    "t1",
    "gnb",
    [],
    [[]],
    {},
    {"a": 1},
]


def _forged(raw: bytes, rng: np.random.Generator) -> bytes:
    from safetensors.numpy import load as from_bytes
    from safetensors.numpy import save as to_bytes

    from dissensus.committee import storage

    length = struct.unpack("<Q", raw[:8])[0]
    body = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["committee"])
    tensors = {name: array.copy() for name, array in from_bytes(raw).items()}
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.7:
            _spoil_array(tensors, rng)
        else:
            _spoil_json(body, rng)
    text = json.dumps(body, sort_keys=True)
    return to_bytes(tensors, metadata={"committee": text, "sha256": storage._digest(text, tensors)})


def _spoil_array(tensors: dict[str, Any], rng: np.random.Generator) -> None:
    names = sorted(tensors)
    name = names[rng.integers(0, len(names))]
    array = tensors[name]
    kind = rng.integers(0, 7)
    if kind <= 3 and array.size:
        flat = array.reshape(-1)
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(0, flat.size))
            if array.dtype.kind == "f":
                flat[at] = rng.choice([np.nan, np.inf, -np.inf, 0, -1, 1e30, 1e-30, float(rng.normal())])
            else:
                info = np.iinfo(array.dtype)
                near = int(flat[at]) + int(rng.integers(-3, 4))
                flat[at] = min(
                    max(int(rng.choice([info.min, info.max, 0, 1, 2, 255 % (info.max + 1), near])), info.min), info.max
                )
    elif kind == 4:
        tensors[name] = np.ascontiguousarray(array[: len(array) // 2] if array.ndim else array)
    elif kind == 5:
        tensors[name] = np.concatenate([array, array]) if array.ndim else np.zeros(3)
    else:
        tensors[name] = array.astype(rng.choice(["f8", "f4", "i8", "i4", "u1"]), casting="unsafe")


def _spoil_json(body: dict[str, Any], rng: np.random.Generator) -> None:
    place: Any = body
    for _ in range(rng.integers(0, 5)):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        inner = [key for key in keys if isinstance(place[key], (dict, list)) and place[key]]
        if not inner:
            break
        place = place[inner[rng.integers(0, len(inner))]]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    if not keys:
        return
    key = keys[rng.integers(0, len(keys))]
    kind = rng.integers(0, 3)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[f"{key}_"] = place.pop(key)
    else:
        place[key] = copy.deepcopy(_VALUES[rng.integers(0, len(_VALUES))])


def work(folder: str, seed: int, first: int, last: int) -> None:
    """Load mutants and ask those that load; says which before it begins and what came of it after."""
    from dissensus.committee import Committee
    from dissensus.errors import DissensusError

    warnings.simplefilter("ignore")
    names = list(seeds())
    X, track = np.random.default_rng(1).normal(size=(12, 4)), np.repeat(np.arange(6), 2)
    path = os.path.join(folder, f"mutant-{os.getpid()}")
    ran: list[str] = []
    watching = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and (event in _WATCHED or (event == "open" and str(arguments[0]) != path)):
            ran.append(f"{event} {arguments[:1]}")

    for name in names:  # libraries are loaded, whichever file comes first
        with open(path, "wb") as file:
            file.write(seeds()[name])
        Committee.load(path).predict_proba(X, track)
    sys.addaudithook(hook)
    np.seterr(all="ignore")
    for number in range(first, last):
        print(json.dumps({"begin": number}), flush=True)
        name, data = mutant(number, seed, names)
        with open(path, "wb") as file:
            file.write(data)
        began = time.process_time()
        ran.clear()
        try:
            watching = True
            committee = Committee.load(path)
            watching = False
            kind = "fine"
            proba = committee.predict_proba(X, track)
            if proba.shape != (len(committee), 6, len(committee.classes_)):
                kind = f"probabilities of shape {proba.shape}"
        except DissensusError as error:
            kind = type(error).__name__ if str(error) else "an error that says nothing"
        except Exception as error:
            kind = f"not an error of ours: {error!r}"
        finally:
            watching = False
        if ran:
            kind = f"code ran or files were opened: {ran[:3]}"
        mb = peak_mb()
        spent = time.process_time() - began
        print(json.dumps({"end": number, "seed": name, "kind": kind, "cpu_s": spent, "mb": mb}), flush=True)


def command(folder: Path, seed: int, first: int, total: int) -> list[str]:
    """The worker's command line, for the watchdog."""
    return [sys.executable, __file__, "--work", str(folder), str(seed), str(first), str(total)]


def run(count: int, seed: int = 20) -> Result:
    """All mutants."""
    with tempfile.TemporaryDirectory() as folder:
        return watch(Path(folder), count, seed=seed, command=command)


def main() -> int:
    """Run from the command line; 1 where anything is at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=20)
    chosen = parser.parse_args()
    result = run(chosen.count, chosen.seed)
    print(report(result))
    return bool(result.faults) or sum(result.outcomes.values()) != chosen.count


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
