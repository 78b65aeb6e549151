"""Ratings as ordered answers: is the probability of each level better than a normal distribution around the mean?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.splits import Splits, child_seed
from dissensus.evaluation.studies.rows import Row
from dissensus.personalisation.listener import OrdinalModel, ValueModel

__all__ = ["ORDINAL", "ordinal_rows", "run_ordinal_study"]

Floats = NDArray[np.float64]

#: Conditions: a normal distribution around the crowd's mean and around the personal one; ordinal without an answer, after
#: few and after all, and with bounds between levels that everybody shares; the ordinal crowd and model for ratings drawn from
#: that crowd, in which nothing is personal.
ORDINAL: Final = (
    "normal crowd",
    "normal",
    "ordinal crowd",
    "ordinal few",
    "ordinal",
    "shared bounds",
    "drawn crowd",
    "drawn ordinal",
)


def run_ordinal_study(
    dataset: Dataset,
    scales: Sequence[str],
    *,
    levels: ArrayLike,
    middle: float,
    half: int | None = None,
    repeats: int = 5,
    test_share: float = 0.3,
    min_tracks: int = 40,
    few: int = 10,
    seed: int = 0,
) -> dict[str, Floats]:
    """Scores of held-out ratings under each of :data:`ORDINAL`, in the splits of the study of continuous ratings.

    Parameters
    ----------
    dataset : Dataset
        ``annotations.extra`` holds the ratings.
    scales : sequence of str
        Their names in ``extra``; NaN = not asked.
    levels : array_like of float
        Of the scales; evenly spaced.
    middle : float
        Of the scales.
    half : {0, 1}, optional
        Score a random half of the listeners only: settings are chosen on the first and confirmed on the second.
    repeats, test_share, min_tracks, few, seed
        As in :class:`~dissensus.evaluation.studies.listener.ListenerPlan`.

    Returns
    -------
    dict of str to (n_listeners, 3, n_scales) ndarray
        NLL of the rating in nats, root mean square error of its mean, share of ratings on the right side of the middle.
    """
    said = dataset.annotations
    steps = np.asarray(levels, dtype=np.float64)
    values = np.column_stack([np.asarray(said.extra[name], dtype=np.float64) for name in scales])
    data = (dataset.pool, said.listener_id, said.track_id, values)
    normal = ValueModel(*data)
    ordinal = {"own": OrdinalModel(*data, levels=steps), "shared": OrdinalModel(*data, levels=steps, bound_sd=0.01)}
    rated = np.isfinite(values).all(axis=1)
    people, count = np.unique(said.listener_id[rated], return_counts=True)
    able = people[count >= min_tracks].tolist()
    if half is not None:
        place = np.random.default_rng(seed).permutation(len(able))
        able = [who for who, at in zip(able, place.tolist(), strict=True) if (at < len(able) // 2) == (half == 0)]
    if not able:
        raise ParameterError(f"no listener rated {min_tracks} tracks on {', '.join(scales)} in {dataset.name!r}")
    splits = Splits(seed, test_share, variant="values")
    out: dict[str, list[Floats]] = {name: [] for name in ORDINAL}
    for who in able:
        own = np.flatnonzero(rated & (said.listener_id == who))
        track = dataset.pool.index_of(said.track_id[own].tolist())
        value = dict(zip(track.tolist(), (tuple(row) for row in values[own].tolist()), strict=True))
        crowd = normal.for_listener(who)
        start = {name: model.for_listener(who) for name, model in ordinal.items()}
        each: dict[str, list[Floats]] = {name: [] for name in ORDINAL}
        for repeat in range(repeats):
            split = splits.draw(who, repeat, track)
            order = np.random.default_rng(child_seed(seed, str(who), repeat, "values")).permutation(len(split.pool))
            told = {split.pool[i]: value[split.pool[i]] for i in order}
            some = {split.pool[i]: value[split.pool[i]] for i in order[:few]}
            test = list(split.test)
            truth = np.array([value[t] for t in test])
            personal = crowd.with_ratings(told)
            found = {
                "normal crowd": _normal(crowd.mean[test], crowd.sd[test], normal.noise, steps),
                "normal": _normal(personal.mean[test], personal.sd[test], normal.noise, steps),
                "ordinal crowd": start["own"].proba[:, test],
                "ordinal few": start["own"].with_ratings(some).proba[:, test],
                "ordinal": start["own"].with_ratings(told).proba[:, test],
                "shared bounds": start["shared"].with_ratings(told).proba[:, test],
            }
            for name, proba in found.items():
                each[name].append(_scores(proba, truth, steps, middle))
            rng = np.random.default_rng(child_seed(seed, str(who), repeat, "drawn"))
            drawn = _drawn(start["own"].proba, steps, rng)
            taught = start["own"].with_ratings({t: drawn[t] for t in told})
            for name, model in (("drawn crowd", start["own"]), ("drawn ordinal", taught)):
                each[name].append(_scores(model.proba[:, test], drawn[test], steps, middle))
        for name, rows in each.items():
            out[name].append(np.mean(rows, axis=0))
    return {name: np.array(rows) for name, rows in out.items()}


def _normal(mean: Floats, sd: Floats, noise: float, levels: Floats) -> Floats:
    """``(n_scales, n, n_levels)`` share of a normal distribution that is nearest to each level."""
    from scipy.stats import norm

    edges = np.concatenate([[-np.inf], 0.5 * (levels[1:] + levels[:-1]), [np.inf]])
    spread = np.sqrt(noise**2 + sd**2)
    below = norm.cdf((edges[None, :, None] - mean[:, None, :]) / spread[:, None, None])
    return np.asarray(np.diff(below, axis=1).transpose(2, 0, 1))


def _drawn(proba: Floats, levels: Floats, rng: np.random.Generator) -> Floats:
    """``(n_tracks, n_scales)`` a rating of every track from these probabilities."""
    below = proba.cumsum(axis=2)[:, :, :-1]
    return np.asarray(levels[(rng.random(proba.shape[:2])[:, :, None] > below).sum(axis=2)].T)


def _scores(proba: Floats, truth: Floats, levels: Floats, middle: float) -> Floats:
    rows = np.arange(len(truth))
    out = []
    for p, given in zip(proba, truth.T, strict=True):
        likely = np.maximum(p[rows, np.searchsorted(levels, given)], 1e-6)
        error = np.sqrt(((p @ levels - given) ** 2).mean())
        high = p @ ((levels > middle) + 0.5 * (levels == middle)) > 0.5
        out.append([-np.log(likely).mean(), error, (high == (given > middle)).mean()])
    return np.array(out).T


def ordinal_rows(scores: dict[str, Floats], scales: Sequence[str]) -> list[Row]:
    """Figures for the report, mean over the scales: each step of the model less the one before it."""
    rows = []
    pairs = (
        ("ordinal crowd", "normal crowd", "ordinal levels instead of a normal distribution, crowd alone"),
        ("ordinal few", "ordinal crowd", "few own ratings"),
        ("ordinal", "ordinal crowd", "all own ratings"),
        ("ordinal", "normal", "all own ratings, ordinal instead of normal"),
        ("ordinal", "shared bounds", "bounds of one's own instead of shared ones"),
        ("drawn ordinal", "drawn crowd", "all own ratings, nothing personal in them (drawn from the crowd)"),
    )
    for a, b, label in pairs:
        text = []
        for i, name in enumerate(("NLL", "RMSE", "right side")):
            mine, other = scores[a][:, i].mean(axis=1), scores[b][:, i].mean(axis=1)
            found = bootstrap_interval(mine - other)
            text.append(
                f"{name} {other.mean():.3f} → {mine.mean():.3f}, {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            )
        rows.append(Row(f"ratings of {' and '.join(scales)}, {len(mine)} listeners: {label}", "; ".join(text)))
    return rows
