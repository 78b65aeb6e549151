"""A listener's logistic weights: pre-trained ones, moved as far as the answers justify.

What only the pre-trained members and their rehearsal buffer decide is worked out once and kept with the buffer: its rows in
the small space where weights may move, laid as the kernel wants them, where each model starts on them, and how the loss
curves there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from dissensus._backend import resolve
from dissensus._threads import run_blocks, thread_budget
from dissensus.committee.rehearsal import Rehearsal

__all__ = ["Anchor", "anchor_of", "moved_weights", "principal_axes", "seen_by"]

#: Rows and weights lie side by side by so many in the kernels.
_LANES = 32

#: A model is done when its loss is this near its minimum, a unit of weight: probabilities are then within 2e-6.
_TOL = 3e-11

#: Rows times models from which more than one thread is worth waking.
_SHARED = 1 << 14

#: Models of a block of work, where threads share it.
_MODELS_A_TASK = 10


class Anchor(NamedTuple):
    """What the members hold on to. K models: a member's classes one after the other; F weights, filled up to lanes."""

    source: tuple[Any, ...]  # the arrays that it was made of
    coef: NDArray[np.float64]  # (K, n_features) those arrays, one above the other
    offset: NDArray[np.float64]  # (K,)
    axes: NDArray[np.float64]  # (n_features, rank) where the weights may move
    basis: NDArray[np.float32]  # (B, n_features, 32) the axes, filled up to F, and the members' weights
    intercept: NDArray[np.float32]  # (K, 1)
    penalty: NDArray[np.float32]  # (F,)
    by_row: NDArray[np.float32]  # (N / 32, F, 32) rehearsal rows
    by_weight: NDArray[np.float32]  # (F / 32, N, 32)
    start: NDArray[np.float32]  # (K, N) log odds
    target: NDArray[np.float32]  # (K, N) odds
    weight: NDArray[np.float64]  # (N,) for a total of 1
    curvature: NDArray[np.float64]  # (C, F, F) for a total of 1, of a class's mean member
    weighed: dict[float, tuple[NDArray[np.float32], NDArray[np.float64]]]  # the last two for the total last asked for


def principal_axes(rehearsal: Rehearsal, rank: int) -> NDArray[np.float64]:
    """Leading eigenvectors of the rehearsal's second moments, ``(n_features, rank)``; all directions where they are few."""

    def leading() -> NDArray[np.float64]:
        rows = rehearsal.X.astype(np.float64)
        if rank >= rows.shape[1]:
            return np.eye(rows.shape[1])
        return np.ascontiguousarray(np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :rank])

    return rehearsal.memo.get(("axes", rank), (), leading)


def anchor_of(members: Sequence[Any], rehearsal: Rehearsal | None) -> Anchor:
    """What these members hold on to; made once for the same members and buffer."""
    source = tuple(part for member in members for part in (member.coef_, member.intercept_))
    if rehearsal is None:
        return _make(members, source, None)
    return rehearsal.memo.get("anchor", source, lambda: _make(members, source, rehearsal))


def _make(members: Sequence[Any], source: tuple[Any, ...], rehearsal: Rehearsal | None) -> Anchor:
    first, n_classes = members[0], len(members[0].classes_)
    coef = np.concatenate([member.coef_ for member in members])
    intercept = np.concatenate([member.intercept_ for member in members])
    n_models, n_features = coef.shape
    if rehearsal is None:
        strength, axes, known = 1.0, np.eye(n_features), np.zeros((0, n_features))
        weight = np.zeros(0)
    else:
        strength, axes = float(first.anchor), principal_axes(rehearsal, first.rank)
        known, weight = rehearsal.X.astype(np.float64), rehearsal.weight(n_classes, 1.0)
    rank, n = axes.shape[1], _filled(len(known))
    F = _filled(rank + 1)
    basis = np.zeros((n_features, F + _filled(n_models)))
    basis[:, :rank], basis[:, F : F + n_models] = axes, coef.T
    penalty = np.ones(F, dtype=np.float32)
    penalty[:rank], penalty[rank] = strength, 1e-3 * strength
    rows = np.zeros((n, F))
    rows[: len(known), :rank], rows[: len(known), rank] = known @ axes, 1.0
    start = np.zeros((n_models, n))
    start[:, : len(known)] = coef @ known.T + intercept[:, None]
    odds = expit(start)
    share = np.append(weight, np.zeros(n - len(weight)))
    spread = (odds * (1.0 - odds)).reshape(len(members), n_classes, n).mean(axis=0) * share
    return Anchor(
        source,
        coef,
        intercept,
        axes,
        _panels(basis),
        intercept[:, None].astype(np.float32),
        penalty,
        _panels(rows.T),
        _panels(rows),
        start.astype(np.float32),
        odds.astype(np.float32),
        share,
        np.stack([(rows.T * one) @ rows for one in (spread if n else spread[:1])]),
        {},
    )


def seen_by(anchor: Anchor, X: NDArray[np.float32], row: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows of ``X`` as the kernel takes them, ``(F + K, n_rows)``: in the small space, and what the models say of them."""
    rank, F = anchor.axes.shape[1], len(anchor.penalty)
    out = np.empty((len(anchor.basis) * _LANES, len(row)), dtype=np.float32)
    resolve("project_rows")(X, row, anchor.basis, out)
    out[rank] = 1.0
    out = out[: F + len(anchor.intercept)]
    out[F:] += anchor.intercept
    return out


def moved_weights(
    anchor: Anchor,
    told: NDArray[np.float32],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    n_classes: int,
    n0: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights ``(K, n_features)`` and intercepts ``(K,)`` after some answers.

    Parameters
    ----------
    anchor : Anchor
        Of the pre-trained members.
    told : (F + K, n_rows) ndarray of float32
        From :func:`seen_by`.
    label, weight : (n_rows,) ndarray
        Class index and weight of each row.
    n_classes : int
        Number of classes.
    n0 : float
        Total weight of the rehearsal.
    """
    n_models, F, rank = len(anchor.start), len(anchor.penalty), anchor.axes.shape[1]
    n_rows, n_told = anchor.start.shape[1] + _filled(len(label)), _filled(len(label))
    told, label = np.ascontiguousarray(told), np.ascontiguousarray(label, dtype=np.int64)
    weighed = anchor.weighed.get(n0)
    if weighed is None:
        anchor.weighed.clear()
        weighed = anchor.weighed[n0] = (n0 * anchor.weight).astype(np.float32), n0 * anchor.curvature
    (known, metric), share = weighed, weight.astype(np.float32)
    move = np.empty((n_models, F), dtype=np.float32)
    kernel = resolve("anchored_descent")

    def task(a: int, b: int) -> None:
        work = np.empty((b - a) * (n_rows + 3 * F + F * F) + n_told * (2 * F + n_classes + 7) + 4 * F, dtype=np.float32)
        kernel(
            anchor.by_row, anchor.by_weight, anchor.start[a:b], anchor.target[a:b], known, told, label, share, metric,
            anchor.penalty, n_classes, a, 200, _TOL, work, np.empty((F, F)), move[a:b],
        )  # fmt: skip

    if thread_budget() > 1 and n_rows * n_models >= _SHARED:
        run_blocks(task, n_models, n_threads=thread_budget(), block_size=_MODELS_A_TASK)
    else:
        task(0, n_models)
    exact = move.astype(np.float64)
    return anchor.coef + exact[:, :rank] @ anchor.axes.T, anchor.offset + exact[:, rank]


def _filled(n: int) -> int:
    """The next multiple of the lanes."""
    return -(-n // _LANES) * _LANES


def _panels(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Its columns 32 by 32, ``(n_columns / 32, n_rows, 32)``."""
    cut = matrix.reshape(len(matrix), matrix.shape[1] // _LANES, _LANES).transpose(1, 0, 2)
    return np.ascontiguousarray(cut, dtype=np.float32)
