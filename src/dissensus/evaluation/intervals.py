"""Intervals over listeners: the listeners are the sample, repeats are averaged before anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.errors import ParameterError

__all__ = [
    "Interval",
    "PairedComparison",
    "area_under_curve",
    "bootstrap_interval",
    "compare_paired",
    "holm",
    "paired_differences",
    "signed_rank_p",
]


@dataclass(frozen=True)
class Interval:
    """A mean over listeners and its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @property
    def sign(self) -> int:
        """1 where the whole interval lies above zero, −1 where it lies below, 0 where it holds zero."""
        return int(self.low > 0) - int(self.high < 0)


def _resampled_means(values: NDArray[np.float64], n_boot: int, random_state: int) -> NDArray[np.float64]:
    """Means of ``n_boot`` samples of the rows with replacement; the same rows for every column."""
    rng = np.random.default_rng(random_state)
    counts = rng.multinomial(len(values), np.full(len(values), 1.0 / len(values)), size=n_boot)
    return counts @ values / len(values)


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, n_boot: int = 4000, random_state: int = 0
) -> Interval:
    """Mean of one value per listener, and its percentile bootstrap interval over the listeners.

    Parameters
    ----------
    values : (n_listeners,) array_like of float
        One finite number a listener, averaged over that listener's repeats.
    level : float
        Coverage, in (0, 1).
    n_boot : int
        Resamples.
    random_state : int
        Seed; two calls with as many listeners resample the same ones.

    Returns
    -------
    Interval

    Raises
    ------
    ParameterError
        No listener, a value that is not finite, or a level outside (0, 1).

    Examples
    --------
    >>> print(bootstrap_interval([0.1, 0.2, 0.3, 0.2]))
    +0.200 [+0.125, +0.275]
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) == 0:
        raise ParameterError(f"values must be one number a listener; got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ParameterError(f"listener {int(np.flatnonzero(~np.isfinite(sample))[0])} has a value that is not finite")
    if not 0.0 < level < 1.0:
        raise ParameterError(f"level={level!r}: must lie between 0 and 1")
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(_resampled_means(sample, n_boot, random_state), (tail, 100.0 - tail))
    return Interval(float(sample.mean()), float(low), float(high), len(sample))


def area_under_curve(n_labels: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Mean height of learning curves: trapezoids over the number of answers, divided by the span.

    Parameters
    ----------
    n_labels : (n_rounds,) array_like of float
        Answers given at each point, rising; the first is the start (0).
    scores : (..., n_rounds) array_like of float
        Score at each point.

    Returns
    -------
    (...) ndarray of float64
        In the unit of the score: a flat curve has its own height.

    Examples
    --------
    >>> float(area_under_curve([0, 4, 8], [0.4, 0.5, 0.6]))
    0.5
    """
    x = np.asarray(n_labels, dtype=np.float64)
    y = np.asarray(scores, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or y.shape[-1:] != x.shape or (np.diff(x) <= 0).any():
        raise ParameterError(
            f"n_labels {x.shape} must rise and scores {y.shape} must have a value for each, two or more"
        )
    return np.asarray(np.trapezoid(y, x, axis=-1) / (x[-1] - x[0]))


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """P values adjusted for their number by Holm's step-down rule.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(adjusted, 1.0)
    return out


def signed_rank_p(difference: NDArray[np.float64]) -> float:
    """Two-sided Wilcoxon signed-rank p over the listeners who differ; 1 where nobody does."""
    from scipy.stats import wilcoxon

    moved = difference[np.abs(difference) > 1e-12]
    return float(wilcoxon(moved, method="auto").pvalue) if len(moved) else 1.0


def paired_differences(
    by_treatment: Mapping[str, ArrayLike], against: str | None = None
) -> list[tuple[str, str, NDArray[np.float64]]]:
    """Every pair of treatments, or all against one: names ``a`` and ``b``, and ``a`` minus ``b`` of every listener.

    Raises
    ------
    ParameterError
        Treatments with different numbers of listeners, or ``against`` is none of them.
    """
    values = {name: np.asarray(column, dtype=np.float64) for name, column in by_treatment.items()}
    names = list(values)
    if len({column.shape for column in values.values()}) > 1:
        raise ParameterError("a paired comparison needs the same listeners under every treatment")
    if against is not None and against not in names:
        raise ParameterError(f"against={against!r} is none of {', '.join(names)}")
    if against is None:
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    else:
        pairs = [(a, against) for a in names if a != against]
    return [(a, b, values[a] - values[b]) for a, b in pairs]


@dataclass(frozen=True)
class PairedComparison:
    """Two treatments of the same listeners: ``a`` minus ``b``."""

    a: str
    b: str
    difference: Interval
    p_wilcoxon: float
    p_holm: float
    share_above: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def compare_paired(
    by_treatment: Mapping[str, ArrayLike], *, against: str | None = None, random_state: int = 0
) -> list[PairedComparison]:
    """Compare treatments listener by listener.

    Parameters
    ----------
    by_treatment : mapping of str to (n_listeners,) array_like
        One value per listener under each treatment; the same listeners in the same order.
    against : str, optional
        Compare all with this one; default: every pair.
    random_state : int
        Of the bootstrap.

    Returns
    -------
    list of PairedComparison
        With the two-sided Wilcoxon signed-rank p and Holm's adjustment over the pairs of this call. Where no listener
        differs, p is 1.

    Raises
    ------
    ParameterError
        Treatments with different numbers of listeners, or ``against`` is none of them.
    """
    rows = [(a, b, d, signed_rank_p(d)) for a, b, d in paired_differences(by_treatment, against)]
    adjusted = holm([p for *_, p in rows])
    return [
        PairedComparison(
            a,
            b,
            bootstrap_interval(difference, random_state=random_state),
            p,
            float(q),
            float((difference > 0).mean()),
        )
        for (a, b, difference, p), q in zip(rows, adjusted, strict=True)
    ]
