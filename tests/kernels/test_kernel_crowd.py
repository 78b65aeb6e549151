"""Passes over everybody's ratings: every twin against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from dissensus._backend import available, resolve

KERNELS = ("gather_sums", "scatter_sums", "couple_raters", "corated_sums")
CASES = [(name, backend) for name in KERNELS for backend in available(name)]


def ratings(n_tracks: int = 7, n_listeners: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each track's raters begin, who they are (some tracks have none), and the table of both."""
    table = np.random.default_rng(seed).random((n_tracks, n_listeners)) < 0.5
    table[2] = False
    start = np.concatenate([[0], np.cumsum(table.sum(axis=1))])
    return start, np.nonzero(table)[1].astype(np.uint32), table.astype(np.float64)


@pytest.mark.parametrize(("name", "backend"), [case for case in CASES if case[0] != "corated_sums"])
@pytest.mark.parametrize("n_classes", [1, 3, 4, 7])
def test_a_pass_is_a_product_with_the_table(name: str, backend: str, n_classes: int) -> None:
    start, who, table = ratings()
    rng = np.random.default_rng(1)
    by_track, by_listener = rng.normal(size=(7, n_classes)), rng.normal(size=(5, n_classes))
    kernel = resolve(name, backend)
    if name == "gather_sums":
        out = np.full((7, n_classes), np.nan)
        kernel(start, who, by_listener, out)
        np.testing.assert_allclose(out, table @ by_listener, atol=1e-14)
    elif name == "scatter_sums":
        out = np.ones((5, n_classes))
        kernel(start, who, by_track, out)
        np.testing.assert_allclose(out, 1 + table.T @ by_track, atol=1e-14)
    else:
        out, weight = np.ones((5, n_classes)), rng.random(7)
        kernel(start, who, weight, by_listener, np.empty(n_classes), out)
        np.testing.assert_allclose(out, 1 - table.T @ (weight[:, None] * (table @ by_listener)), atol=1e-13)


@pytest.mark.parametrize("backend", available("corated_sums"))
def test_corated_sums_are_products_of_residuals(backend: str) -> None:
    rng = np.random.default_rng(2)
    start, who, table = ratings()
    label = rng.integers(0, 4, table.shape)
    proba = rng.dirichlet(np.ones(4), size=7)
    residual = (np.eye(4)[label] - proba[:, None]) * table[:, :, None]
    asked = np.array([5, 0, 2])
    raters = [np.flatnonzero(table[t]) for t in asked]
    theirs = [np.flatnonzero(table[:, p]) for p in range(5)]
    sums, common = np.zeros((2, 3, 7))
    resolve("corated_sums", backend)(
        np.concatenate([[0], np.cumsum([len(r) for r in raters])]),
        np.concatenate(raters),
        np.concatenate([label[t, r] for t, r in zip(asked, raters, strict=True)]).astype(np.int32),
        np.concatenate([[0], np.cumsum([len(t) for t in theirs])]),
        np.concatenate(theirs).astype(np.int32),
        np.concatenate([label[t, p] for p, t in enumerate(theirs)]).astype(np.int32),
        proba[asked],
        proba,
        sums,
        common,
    )
    np.testing.assert_allclose(sums, np.einsum("kpc,tpc->kt", residual[asked], residual), atol=1e-13)
    np.testing.assert_array_equal(common, table[asked] @ table.T)
