"""The short form of the fuzz of tables."""

from __future__ import annotations

from pathlib import Path

import fuzz_tables as fuzz
import numpy as np
import pytest


@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_tables_are_read_right_or_refused_in_one_line(tmp_path: Path, count: int) -> None:
    result = fuzz.watch(tmp_path, count, seed=21)
    print(fuzz.report(result))
    assert result.faults == []
    assert sum(result.outcomes.values()) == count
    assert result.outcomes["dressed: read"] == count // len(fuzz.KINDS)
    assert min(result.outcomes["spoilt: read"], result.outcomes["spoilt: DataFormatError"]) > count // 20
    assert result.slowest_s < fuzz.LIMIT_S


def test_the_comparison_sees_a_wrong_value_a_lost_row_and_another_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dissensus.datasets import table

    real = table.load

    def wrong(*arguments: object, **options: object) -> object:
        data = real(*arguments, **options)  # type: ignore[arg-type]
        data.pool.X[0, 0] += 1
        return data

    def lost(*arguments: object, **options: object) -> object:
        from dataclasses import replace

        data = real(*arguments, **options)  # type: ignore[arg-type]
        return replace(data, annotations=data.annotations.subset(np.arange(len(data.annotations)) > 0))

    def broken(*_: object, **__: object) -> object:
        raise KeyError("odd")

    assert fuzz.one(0, 20, tmp_path)[:2] == ("dressed", "read")
    for spoilt, what in ((wrong, "read wrong"), (lost, "read wrong"), (broken, "another exception")):
        monkeypatch.setattr(table, "load", spoilt)
        assert fuzz.one(0, 20, tmp_path)[:2] == ("dressed", what)


def test_a_process_that_ends_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = tmp_path / "spoilt.py"
    spoilt.write_text(
        f"import os, sys; sys.path.insert(0, {str(Path(fuzz.__file__).parent)!r})\n"
        "import fuzz_tables as fuzz\nfrom pathlib import Path\nreal = fuzz.one\n"
        "fuzz.one = lambda n, *more: os.abort() if n == 2 else real(n, *more)\n"
        "fuzz.work(Path(sys.argv[2]), *map(int, sys.argv[3:]))\n"
    )
    monkeypatch.setattr(fuzz, "__file__", str(spoilt))
    result = fuzz.watch(tmp_path, 6)
    assert sum(result.outcomes.values()) == 6 and result.outcomes["mutated: crash"] == 1
    assert len(result.faults) == 1 and result.faults[0].startswith("2 ended the process with -6")
