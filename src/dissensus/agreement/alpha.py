"""How far listeners agree: Krippendorff's alpha with its intervals, and agreement track by track.

References
----------
.. [1] K. Krippendorff, "Computing Krippendorff's alpha-reliability", University of Pennsylvania, 2011.
.. [2] A. F. Hayes, K. Krippendorff, "Answering the call for a standard reliability measure for coding data",
   Communication Methods and Measures 1, 2007 (bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._backend import resolve
from dissensus._threads import resolve_threads
from dissensus._validate import check_count
from dissensus.agreement._counts import Cells, Counts, count_ratings, distinct
from dissensus.errors import ParameterError

__all__ = ["LEVELS", "AlphaInterval", "alpha_interval", "krippendorff_alpha", "track_agreement"]

LEVELS = ("nominal", "ordinal", "interval", "ratio")

#: Ratio alpha compares every pair of distinct values; more than this many are refused.
MAX_RATIO_VALUES = 8192


def krippendorff_alpha(
    ratings: ArrayLike, *, level: str, degenerate: float = math.nan, backend: str = "auto", n_threads: int = 1
) -> float:
    r"""Krippendorff's alpha, exactly: with missing ratings, any number of raters, and four levels of measurement.

    .. math:: \alpha = 1 - \frac{D_o}{D_e}

    with the mean squared difference of pairable ratings within units, :math:`D_o`, over that of all pairable ratings,
    :math:`D_e`. Nominal and ordinal disagreements are counted in whole numbers (ordinal differences are differences of
    doubled mid-ranks), so no order of summation changes the result. The matrix is read once, as it lies in memory (rater
    by rater or unit by unit), without a copy of its size.

    Parameters
    ----------
    ratings : (n_raters, n_units) array_like of float
        NaN where a rating is missing. Units with fewer than two ratings do not take part.
    level : {"nominal", "ordinal", "interval", "ratio"}
        How far apart two values are: different or not; by the ratings between them; by their difference; by their
        difference over their sum (values must then have one sign).
    degenerate : float
        Returned where nothing can be said: fewer than two values in use, or no pairable rating. Default NaN.
    backend : {"auto", "native", "numba", "reference"}
    n_threads : int
        Threads that read the matrix; the result is the same for any number.

    Returns
    -------
    float
        1 for perfect agreement, 0 for agreement as by chance, negative for less.

    Raises
    ------
    ParameterError
        Another rank or level, infinite ratings, ratio data of both signs or of more than 8192 distinct values.

    References
    ----------
    .. [1] K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.

    Examples
    --------
    >>> ratings = [[1, 2, 3, 3, 2], [1, 2, 3, 3, 2], [float("nan"), 3, 3, 3, 2]]
    >>> round(krippendorff_alpha(ratings, level="nominal"), 3)
    0.78
    """
    if level not in LEVELS:
        raise ParameterError(f"level={level!r}; choose {', '.join(map(repr, LEVELS))}")
    found = count_ratings(ratings, backend=backend, n_threads=resolve_threads(n_threads))
    if isinstance(found, Cells):
        return _alpha_of_cells(found, level, backend)
    frequency = np.zeros(found.table.shape[1], dtype=np.int64)
    largest = int(resolve("count_totals", backend)(found.table, frequency))
    if np.count_nonzero(frequency) < 2:
        return degenerate
    return _alpha_of_counts(found, frequency, largest, level, backend)


def _alpha_of_counts(found: Counts, frequency: NDArray[np.int64], largest: int, level: str, backend: str) -> float:
    """Alpha from a table of counts of few values; ``largest``: ratings of the unit that has most."""
    values, table = found.values, found.table
    if level == "ratio":
        return _ratio(values, _tables(table), frequency)
    if level == "nominal":  # a difference of 1 from every other value: one value against the rest, for each of them
        return _against_chance(
            _within(table, np.eye(len(values), dtype=np.int64), largest, backend), _unlike(frequency)
        )
    x = _doubled_ranks(frequency) if level == "ordinal" else _steps(values, frequency)
    if x.dtype.kind == "i" and (largest * int(np.abs(x).max())) ** 2 < 2**62:
        observed = 2.0 * _within(table, x[None], largest, backend)
    else:
        wide = table.astype(object if x.dtype.kind == "i" else np.float64)
        count, number = table.sum(axis=1, dtype=np.int64), x.astype(wide.dtype)
        observed = 2.0 * _by_size(count * (wide @ (number * number)) - (wide @ number) ** 2, count)
    return _against_chance(observed, _squares(x, frequency))


def _within(table: NDArray[np.int32], scales: NDArray[np.int64], largest: int, backend: str) -> float:
    """Sum over units of their disagreement on each scale by their number of ratings less one, exactly up to the division."""
    low, high = np.zeros(largest + 1, dtype=np.int64), np.zeros(largest + 1, dtype=np.int64)
    for x in scales:
        resolve("count_disagreement", backend)(table, x, low, high)
    return math.fsum(((int(high[m]) << 32) + int(low[m])) / (m - 1) for m in np.flatnonzero(low | high).tolist())


def _alpha_of_cells(cells: Cells, level: str, backend: str) -> float:
    """Alpha from a list of ratings of many values."""
    size = np.bincount(cells.unit, minlength=cells.n_units)
    if level == "ratio":
        return _ratio(cells.values, _tables_of(cells, size), cells.frequency)
    if level == "nominal":
        pair, times = np.unique(cells.unit.astype(np.int64) * len(cells.values) + cells.code, return_counts=True)
        same = np.zeros(cells.n_units, dtype=np.int64)
        np.add.at(same, pair // len(cells.values), times * times)
        return _against_chance(_by_size(size * size - same, size), _unlike(cells.frequency))
    x = _doubled_ranks(cells.frequency) if level == "ordinal" else _steps(cells.values, cells.frequency)
    count = np.zeros(cells.n_units, dtype=np.int64)
    total, square = np.zeros(cells.n_units, dtype=x.dtype), np.zeros(cells.n_units, dtype=x.dtype)
    resolve("pair_moments", backend)(x[cells.code], cells.unit, count, total, square)
    if x.dtype.kind == "i" and (int(count.max()) * int(np.abs(x).max())) ** 2 >= 2**62:
        count, total, square = (a.astype(object) for a in (count, total, square))  # whole numbers of any size, slower
    return _against_chance(2.0 * _by_size(count * square - total * total, count), _squares(x, cells.frequency))


def _against_chance(observed: float, expected: float) -> float:
    return float(1.0 - observed / expected)


def _doubled_ranks(frequency: NDArray[np.int64]) -> NDArray[np.int64]:
    """Twice the mean rank of the ratings of each value, less one: whole numbers."""
    return np.asarray(2 * (np.cumsum(frequency) - frequency) + frequency)


def _steps(values: NDArray[np.float64], frequency: NDArray[np.int64]) -> NDArray[Any]:
    """The values from the first one on, as whole numbers where they are; else from their mean on."""
    whole = values - values[0]
    if (whole == np.round(whole)).all() and whole[-1] < 2**20:
        return np.asarray(whole.astype(np.int64))
    return np.asarray(values - np.average(values, weights=frequency))


def _by_size(within: NDArray[Any], size: NDArray[Any]) -> float:
    """Sum of ``within / (size - 1)`` over units: added up exactly for every size, then over the few sizes."""
    parts = []
    for m in sorted(set(size.tolist()) - {0, 1}):
        part = within[size == m]
        whole = math.fsum(part.tolist()) if part.dtype.kind == "f" else sum(part.tolist())
        parts.append(whole / (m - 1))
    return math.fsum(parts)


def _squares(x: NDArray[Any], frequency: NDArray[np.int64]) -> float:
    """Expected disagreement for a difference that is the squared difference of one number a value."""
    f = frequency.tolist()
    n = sum(f)
    if x.dtype.kind == "f":
        first, second = math.fsum((frequency * x).tolist()), math.fsum((frequency * x * x).tolist())
    else:
        v = x.tolist()
        first = sum(a * b for a, b in zip(f, v, strict=True))
        second = sum(a * b * b for a, b in zip(f, v, strict=True))
    return float(2.0 * (n * second - first * first) / (n - 1))


def _unlike(frequency: NDArray[np.int64]) -> float:
    f = frequency.tolist()
    n = sum(f)
    return float((n * n - sum(k * k for k in f)) / (n - 1))


def _tables(table: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The counts of the units of each size, apart."""
    size = table.sum(axis=1, dtype=np.int64)
    for m in np.unique(size[size >= 2]).tolist():
        yield m, table[size == m].astype(np.float64)


def _tables_of(cells: Cells, size: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for m in np.unique(size[size >= 2]).tolist():
        units = np.flatnonzero(size == m)
        place = np.full(cells.n_units, -1)
        place[units] = np.arange(len(units))
        inside = place[cells.unit] >= 0
        table = np.zeros((len(units), len(cells.values)))
        np.add.at(table, (place[cells.unit[inside]], cells.code[inside]), 1.0)
        yield m, table


def _ratio_delta(values: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = values[:, None] - values[None, :]
    total = values[:, None] + values[None, :]
    out: NDArray[np.float64] = np.divide(difference, total, out=np.zeros_like(difference), where=total != 0) ** 2
    return out


def _ratio(
    values: NDArray[np.float64],
    tables: Iterator[tuple[int, NDArray[np.float64]]],
    frequency: NDArray[np.int64],
) -> float:
    used = values[frequency > 0]
    if used[0] < 0 < used[-1]:
        raise ParameterError("ratio alpha needs values of one sign; these have both, use level='interval'")
    if len(used) > MAX_RATIO_VALUES:
        raise ParameterError(f"ratio alpha compares all pairs of values; {len(used)} are more than {MAX_RATIO_VALUES}")
    delta = _ratio_delta(values)
    coincidence = np.zeros(delta.shape)
    for m, table in tables:
        coincidence += (table.T @ table - np.diag(table.sum(axis=0))) / (m - 1)
    f = frequency.astype(np.float64)
    expected = (np.outer(f, f) - np.diag(f)) / (f.sum() - 1)
    return float(1.0 - (coincidence * delta).sum() / (expected * delta).sum())


@dataclass(frozen=True)
class AlphaInterval:
    """Alpha with a bootstrap interval.

    Attributes
    ----------
    alpha, low, high : float
    over : str
        What was drawn again: ``"units"`` or ``"raters"``.
    n_draws, n_degenerate : int
        Draws, and how many of them showed a single value and were left out.
    """

    alpha: float
    low: float
    high: float
    over: str
    n_draws: int
    n_degenerate: int

    def __str__(self) -> str:
        return f"{self.alpha:.3f} [{self.low:.3f}, {self.high:.3f}]"


def alpha_interval(
    ratings: ArrayLike,
    *,
    level: str,
    over: str = "units",
    n_draws: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> AlphaInterval:
    """Percentile bootstrap of alpha, over units (would other tracks agree as much?) or over raters (would other people?).

    Parameters
    ----------
    ratings, level
        As in :func:`krippendorff_alpha`.
    over : {"units", "raters"}
        A unit or a rater that is drawn twice counts twice; a rater's ratings are never paired with their own copies, which
        would agree by construction.
    n_draws, confidence, random_state
        Number of draws, coverage in (0, 1), seed.

    Raises
    ------
    ParameterError
        As :func:`krippendorff_alpha`; or no draw shows two values.
    """
    if over not in ("units", "raters"):
        raise ParameterError(f"over={over!r}; choose 'units' or 'raters'")
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence={confidence!r} must lie between 0 and 1")
    matrix = np.asarray(ratings, dtype=np.float64)
    point = krippendorff_alpha(matrix, level=level)
    rng = np.random.default_rng(random_state)
    n_raters, n_units = matrix.shape
    draws = np.empty(check_count(n_draws, "n_draws"))
    rater, unit = (index.astype(np.int64) for index in np.nonzero(~np.isnan(matrix)))
    value = matrix[rater, unit].astype(np.float64)
    size = n_units if over == "units" else n_raters
    for i in range(len(draws)):
        times = np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64)
        if over == "units":
            draws[i] = _weighted(value, unit, np.ones(len(value)), times, level)
        else:
            draws[i] = _weighted(value, unit, times[rater], np.ones(n_units), level)
    good = draws[~np.isnan(draws)]
    if len(good) == 0:
        raise ParameterError("no draw of the bootstrap shows two different values; there is no interval")
    low, high = np.quantile(good, [(1 - confidence) / 2, (1 + confidence) / 2])
    return AlphaInterval(point, float(low), float(high), over, len(draws), len(draws) - len(good))


def _weighted(
    value: NDArray[np.float64],
    unit: NDArray[np.int64],
    times: NDArray[np.float64],
    unit_times: NDArray[np.float64],
    level: str,
) -> float:
    """Alpha where every rating counts ``times`` and every unit ``unit_times``; a rating is never paired with its own copy."""
    n_units = len(unit_times)
    present = (times > 0) & (unit_times[unit] > 0)
    value, unit, times = value[present], unit[present], times[present]
    mass = np.bincount(unit, weights=times, minlength=n_units)
    pairs = mass**2 - np.bincount(unit, weights=times**2, minlength=n_units)
    keep = pairs[unit] > 0
    value, unit, times = value[keep], unit[keep], times[keep]
    values, code, _ = distinct(value)
    if len(values) < 2:
        return math.nan
    whole = times * unit_times[unit]
    frequency = np.bincount(code, weights=whole, minlength=len(values))
    share = np.divide(mass * unit_times, pairs, out=np.zeros(n_units), where=pairs > 0)
    n = frequency.sum()
    every = n * n - (times**2 * unit_times[unit]).sum()
    if level in ("nominal", "ratio"):
        table = np.bincount(unit * len(values) + code, weights=times, minlength=n_units * len(values))
        table = table.reshape(n_units, len(values))
        delta = _ratio_delta(values) if level == "ratio" else 1.0 - np.eye(len(values))
        observed = ((table @ delta * table).sum(axis=1) * share).sum()
        expected = n * (frequency @ delta @ frequency) / every
        return float(1.0 - observed / expected)
    x = np.cumsum(frequency) - 0.5 * frequency if level == "ordinal" else values - np.average(values, weights=frequency)
    first = np.bincount(unit, weights=times * x[code], minlength=n_units)
    second = np.bincount(unit, weights=times * x[code] ** 2, minlength=n_units)
    observed = (2.0 * (mass * second - first**2) * share).sum()
    expected = n * 2.0 * (n * (frequency @ x**2) - (frequency @ x) ** 2) / every
    return float(1.0 - observed / expected)


def track_agreement(
    track_index: ArrayLike, class_index: ArrayLike, *, n_tracks: int, n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Entropy and agreement of the annotations of every track.

    Returns
    -------
    entropy : (n_tracks,) ndarray of float64
        Nats, of the distribution over classes; NaN for a track that nobody annotated.
    agreement : (n_tracks,) ndarray of float64
        Share of pairs of annotators who say the same, in [0, 1]; NaN with fewer than two.
    n_raters : (n_tracks,) ndarray of int64

    Examples
    --------
    >>> entropy, agreement, n = track_agreement([0, 0, 1], [2, 3, 1], n_tracks=3, n_classes=4)
    >>> entropy.round(3).tolist(), agreement.tolist(), n.tolist()
    ([0.693, 0.0, nan], [0.0, nan, nan], [2, 1, 0])
    """
    tracks, classes = np.asarray(track_index), np.asarray(class_index)
    if tracks.shape != classes.shape or tracks.ndim != 1:
        raise ParameterError(f"track_index {tracks.shape} and class_index {classes.shape} must be (n,) both")
    for name, index, limit in (("track_index", tracks, n_tracks), ("class_index", classes, n_classes)):
        if len(index) and (index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= limit):
            raise ParameterError(f"{name} must hold whole numbers from 0 to {limit - 1}")
    flat = tracks.astype(np.int64) * n_classes + classes.astype(np.int64)
    votes = np.bincount(flat, minlength=n_tracks * n_classes).reshape(n_tracks, n_classes)
    n = votes.sum(axis=1)
    share = votes / np.maximum(n, 1)[:, None]
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    pairs = (votes * (votes - 1)).sum(axis=1) / np.maximum(n * (n - 1), 1)
    return np.where(n > 0, entropy + 0.0, np.nan), np.where(n > 1, pairs, np.nan), n
