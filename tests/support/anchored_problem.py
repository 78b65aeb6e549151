"""Descents of a listener's logistic weights, as the kernel ``anchored_descent`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F, TOL = 32, 3e-11


def panels(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(
        matrix.reshape(len(matrix), matrix.shape[1] // 32, 32).transpose(1, 0, 2), dtype=np.float32
    )


def drawn(rng: np.random.Generator, n: int, rank: int, kind: str) -> np.ndarray:
    """(n, rank): rows that are all alike, three rows over and over, with heavy tails, or normal."""
    if kind == "heavy":
        return np.clip(rng.standard_t(1.5, size=(n, rank)), -50, 50)
    return rng.normal(size=(n, rank))[np.arange(n) % {"constant": 1, "repeated": 3, "normal": max(n, 1)}[kind]]


class Problem:
    """Rows that are known and rows that are told, for some members of ``n_classes`` models each."""

    def __init__(
        self,
        n_known: int,
        n_told: int,
        n_models: int,
        n_classes: int,
        scale: float = 1.0,
        rank: int = 9,
        kind: str = "normal",
    ) -> None:
        rng = np.random.default_rng((n_known, n_told, n_models))
        filled = -(-n_known // 32) * 32
        self.known, self.told = np.zeros((filled, F)), np.zeros((F + n_models, n_told), dtype=np.float32)
        self.known[:n_known, :rank] = drawn(rng, n_known, rank, kind) * scale
        self.told[:rank] = drawn(rng, n_told, rank, kind).T * scale
        self.known[:n_known, rank], self.told[rank] = 1.0, 1.0
        self.start = np.zeros((n_models, filled))
        self.start[:, :n_known] = rng.normal(size=(n_models, n_known)) * 2 * scale
        self.told[F:] = rng.normal(size=(n_models, n_told)) * 2 * scale
        self.label = rng.integers(n_classes, size=n_told)
        self.weight = np.zeros(filled, dtype=np.float32)
        self.weight[:n_known] = rng.uniform(0.1, 1.0, n_known)
        self.share = rng.uniform(0.1, 2.0, n_told).astype(np.float32)
        self.penalty = np.full(F, 3.0, dtype=np.float32)
        self.penalty[rank] = 0.003
        self.n_models, self.n_classes = n_models, n_classes
        odds = 1 / (1 + np.exp(-self.start))
        self.odds = odds.astype(np.float32)
        curved = (odds * (1 - odds)).reshape(n_models // n_classes, n_classes, filled).mean(axis=0) * self.weight
        self.metric = np.stack([(self.known.T * one) @ self.known for one in (curved if filled else curved[:1])])

    def solve(self, kernel: Callable[..., Any], first: int = 0, last: int | None = None) -> tuple[np.ndarray, int]:
        last = self.n_models if last is None else last
        n, t, k = len(self.known), -(-len(self.label) // 32) * 32, last - first
        work = np.full(k * (n + t + 3 * F + F * F) + t * (2 * F + self.n_classes + 7) + 4 * F, np.nan, np.float32)
        move = np.full((k, F), np.nan, dtype=np.float32)
        steps = kernel(
            panels(self.known.T), panels(self.known), self.start[first:last].astype(np.float32), self.odds[first:last],
            self.weight, self.told, self.label, self.share, self.metric, self.penalty, self.n_classes, first, 300, TOL,
            work, np.empty((F, F)), move,
        )  # fmt: skip
        return move, steps

    def probabilities(self, move: np.ndarray) -> np.ndarray:
        """Of the told rows."""
        score = self.told[F:] + move.astype(np.float64) @ self.told[:F].astype(np.float64)
        result: np.ndarray = 1 / (1 + np.exp(-score))
        return result
