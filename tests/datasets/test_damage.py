"""Whatever happens to the bytes of a file: a loader reads it or raises an error of ours, never another one."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest

from dissensus.datasets import (
    amg1608,
    ch818,
    deam,
    emomusic,
    fourq,
    grekow,
    ismir2020,
    pmemo,
    soundtracks,
    trompa,
    twins,
)
from dissensus.errors import DissensusError

LOADERS = {
    "amg1608": (lambda d: twins.amg1608(d), lambda d: amg1608.load(d, features=True)),
    "ch818": (lambda d: twins.ch818(d), lambda d: ch818.load(d / "ch818.csv")),
    "deam": (lambda d: twins.deam(d), lambda d: deam.load(d, features=d / "features", song_label="static")),
    "emomusic": (lambda d: twins.emomusic(d), emomusic.load),
    "fourq": (lambda d: twins.fourq(d), lambda d: fourq.load(d, features=d / "features.csv")),
    "grekow": (lambda d: twins.grekow(d), grekow.load),
    "ismir2020": (lambda d: twins.ismir2020(d, n_people=1), ismir2020.load),
    "pmemo": (lambda d: twins.pmemo(d), pmemo.load),
    "soundtracks": (lambda d: twins.soundtracks(d), soundtracks.load),
    "trompa": (lambda d: twins.trompa(d, n_tracks=12, n_listeners=2), trompa.load),
}
INSERTS = (b"", b",", b"\n", b'"', b"\t", b"-", b"nan", b"1e999", b"\x00", b"\xff", b";", b"{", "é".encode())


def damage(raw, rng):
    """Cut, cut out, put in or overwrite."""
    i, j = np.sort(rng.integers(0, len(raw) + 1, 2))
    kind = rng.integers(0, 4)
    if kind == 0:
        return raw[:i]
    if kind == 1:
        return raw[:i] + raw[min(j, i + 40) :]
    if kind == 2:
        return raw[:i] + INSERTS[rng.integers(0, len(INSERTS))] + raw[i:]
    return raw[:i] + rng.bytes(3) + raw[i + 3 :]


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_damaged_bytes_never_raise_an_error_of_another_kind(tmp_path, name):
    write, load = LOADERS[name]
    write(tmp_path / "whole")
    load(tmp_path / "whole")
    files = sorted(p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file())
    rng = np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(60):
        shutil.rmtree(tmp_path / "hurt", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "hurt")
        path = tmp_path / "hurt" / files[rng.integers(0, len(files))]
        raw = path.read_bytes()
        inside = path.suffix == ".gz" and rng.random() < 0.7
        hurt = damage(gzip.decompress(raw) if inside else raw, rng)
        path.write_bytes(gzip.compress(hurt) if inside else hurt)
        try:
            load(tmp_path / "hurt")
        except DissensusError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert [message for message in refused if str(tmp_path / "hurt") not in message and name not in message] == []
