"""One, two or three threads give the same bits, ties, NaN and all, in every public call that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissensus.strategies import (
    ConsensusState,
    consensus_entropy,
    margin,
    mean_kl,
    mutual_information,
    query_top,
    query_votes,
    vote_entropy,
)

MEASURES = (consensus_entropy, mean_kl, mutual_information, margin)


def committee(seed: int, n: int, classes: int) -> np.ndarray:
    """Many tracks that say the same, so that ties lie across every cut; some odd ones."""
    rng = np.random.default_rng(seed)
    few = rng.dirichlet(np.full(classes, 0.5), (3, 40)).astype("f4")
    rows = few[:, rng.integers(0, 40, n)]
    rows[:, rng.random(n) < 0.001] = rng.choice([np.nan, 0.0, -1.0, 3.0])
    return rows


def same(call: Callable[[int], Any]) -> None:
    one = call(1)
    for n_threads in (2, 3):
        for ours, expected in zip(call(n_threads), one, strict=True):
            np.testing.assert_array_equal(ours, expected)


def top(found: Any) -> tuple[np.ndarray, np.ndarray]:
    return found.index, found.utility


@pytest.mark.compiled
@pytest.mark.parametrize("backend", ["auto", "numba", "reference"])
@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([70_000, 16_384, 16_385, 140_000]),
    classes=st.sampled_from([4, 2, 7]),
    k=st.sampled_from([10, 1, 500]),
    weighted=st.booleans(),
)
def test_the_same_bits(backend: str, seed: int, n: int, classes: int, k: int, weighted: bool) -> None:
    proba, rng = committee(seed, n, classes), np.random.default_rng(seed)
    weight = rng.random(3) + 0.1 if weighted else None
    options: dict[str, Any] = {"backend": backend, "member_weight": weight}
    exclude = np.flatnonzero(rng.random(n) < 0.3)
    for function in MEASURES:
        same(lambda t, f=function: [f(proba, n_threads=t, **options)])
        same(
            lambda t, f=function: top(query_top(proba, k, measure=f.__name__, exclude=exclude, n_threads=t, **options))
        )
    votes = rng.integers(0, classes, (5, n)).astype(np.uint8)
    voters: dict[str, Any] = {"backend": backend, "n_classes": classes}
    voters["member_weight"] = np.round(rng.random(5) * 3) + 1 if weighted else None
    same(lambda t: [vote_entropy(votes, n_threads=t, **voters)])
    same(lambda t: top(query_votes(votes, k, exclude=exclude, n_threads=t, **voters)))

    def state(n_threads: int) -> list[np.ndarray]:
        kept = ConsensusState(proba, **options)
        kept.update(1, committee(seed + 1, n, classes)[0], n_threads=n_threads)
        asked = [
            kept.query(k, measure=m, exclude=exclude, n_threads=n_threads) for m in ("consensus_entropy", "margin")
        ]
        return [kept.utility(n_threads=n_threads), *top(asked[0]), *top(asked[1])]

    same(state)
