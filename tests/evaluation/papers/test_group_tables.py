"""Tables 3 and 4 on made-up surveys: what is printed, and what is said where something is missing."""

from __future__ import annotations

import builtins
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dissensus.datasets import Dataset, ismir2020, trompa, twins
from dissensus.errors import DataFormatError, ParameterError
from dissensus.evaluation.papers.agreement_tables import signed, trompa_counts
from dissensus.evaluation.papers.group_tables import ismir2020_table_3, ismir2020_table_4, made_up_windows
from dissensus.evaluation.papers.printed import TABLE_1, TABLE_2, TABLE_3, TABLE_4_JACCARD


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return ismir2020.load(twins.ismir2020(tmp_path_factory.mktemp("surveys")))


def test_the_printed_numbers_are_numbers_of_groups_that_exist() -> None:
    assert (len(TABLE_1), len(TABLE_2), len(TABLE_3)) == (13 * 11, 5 * 11, 13 * 8)
    groups = {group for group, _ in TABLE_1}
    assert groups == {group for group, _ in TABLE_3}
    assert {name for pair in TABLE_4_JACCARD for name in pair} <= groups | {"single"}


def test_clusters_beside_the_printed_ones(surveys: Dataset) -> None:
    told: list[str] = []
    text = ismir2020_table_3(surveys, embeddings=("raw", "pca"), n_seeds=2, n_random=1, progress=told.append)
    assert [what.split(",")[0] for what in told] == ["raw standardised ratings", "principal components"]
    lines = [line for line in text.splitlines() if line.startswith("all ")]
    assert len(lines) == 2
    published, ours, low, high, difference = map(float, re.findall(r"[+-]?\d\.\d{3}", lines[0])[:5])
    assert published == 0.221
    assert low <= ours <= high
    assert difference == pytest.approx(ours - published, abs=0.0011)
    assert re.findall(r"\d\.\d{3}", lines[1])  # no printed value for the components: ours alone
    again = ismir2020_table_3(surveys, embeddings=("raw",), n_seeds=2, n_random=1)
    assert lines[0] in again
    with pytest.raises(ParameterError, match="choose of raw"):
        ismir2020_table_3(surveys, embeddings=("tsnee",))


def test_umap_says_that_it_is_not_installed(surveys: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "umap":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    text = ismir2020_table_3(surveys, embeddings=("umap",), n_seeds=1)
    assert "UMAP, 2 dimensions: not installed (pip install umap-learn)" in text


@pytest.mark.compiled
def test_windows_are_made_up_for_every_clip(surveys: Dataset) -> None:
    X, of = made_up_windows(surveys, duration_s=6.0, random_state=1)
    assert X.shape == (len(of), 260)
    assert np.isfinite(X).all()
    assert np.array_equal(np.unique(of), np.unique(surveys.pool.track_ids.astype(str)))
    with pytest.raises(DataFormatError, match="no window of clip"):
        ismir2020_table_4(surveys, windows=(X[:3], of[:3]))


@pytest.mark.slow
def test_the_leak_is_printed(surveys: Dataset) -> None:
    X, of = made_up_windows(surveys, duration_s=12.0, random_state=1)
    text = ismir2020_table_4(surveys, windows=(X, of))
    everybody = next(line for line in text.splitlines() if line.startswith("all "))
    leaking, held_out, _, added = (float(cell) for cell in everybody.split()[-4:])
    assert added == pytest.approx(leaking - held_out, abs=0.0011)
    assert added > 0
    assert f"{len(of)} windows of {len(np.unique(of))} clips" in text


def test_counts_stand_beside_the_published_ones(tmp_path: Path) -> None:
    annotations = trompa.load(twins.trompa(tmp_path), repeats="keep").annotations
    text = trompa_counts(annotations)
    assert re.search(rf"^annotations +{len(annotations)} +4721$", text, re.MULTILINE)
    assert re.search(rf"^listeners +{len(annotations.listeners())} +181$", text, re.MULTILINE)


def test_signs() -> None:
    assert [signed(x) for x in (0.0123, -0.0123, -0.0001, 0.0001, float("nan"))] == [
        "+0.012",
        "-0.012",
        "0.000",
        "0.000",
        "",
    ]
