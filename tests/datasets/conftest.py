"""Ways to damage a file."""

from __future__ import annotations

import gzip

import pytest


@pytest.fixture
def replace():
    """``replace(path, old, new)``: the first occurrence of a text in a file, gzipped or not, which must be there."""

    def change(path, old, new):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        assert old in text, f"{old!r} is not in {path.name}"
        raw = text.replace(old, new, 1).encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)

    return change
