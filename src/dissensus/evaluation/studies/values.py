"""Continuous ratings: does knowing how a listener uses the scales beat the crowd's mean?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.splits import Splits, child_seed
from dissensus.evaluation.studies.rows import Row
from dissensus.personalisation.listener.values import ValueModel

__all__ = ["run_values_study", "values_rows"]

Floats = NDArray[np.float64]


def run_values_study(
    dataset: Dataset,
    scales: Sequence[str],
    *,
    middle: float,
    repeats: int = 10,
    test_share: float = 0.3,
    min_tracks: int = 40,
    few: int = 10,
    seed: int = 0,
) -> dict[str, Floats]:
    """Errors on held-out ratings of the crowd's mean, and of the personal model after few and after all ratings.

    Parameters
    ----------
    dataset : Dataset
        ``annotations.extra`` holds the ratings.
    scales : sequence of str
        Their names in ``extra``; NaN = not asked.
    middle : float
        Of the scales: above it counts as high in the share of right sides.
    repeats, test_share, min_tracks, few, seed
        As in :class:`~dissensus.evaluation.studies.listener.ListenerPlan`.

    Returns
    -------
    dict of str to (n_listeners, 2, n_scales) ndarray
        ``crowd``, ``few``, ``all``: root mean square error, and share of ratings on the right side of the middle.
    """
    said = dataset.annotations
    values = np.column_stack([np.asarray(said.extra[name], dtype=np.float64) for name in scales])
    model = ValueModel(dataset.pool, said.listener_id, said.track_id, values)
    rated = np.isfinite(values).all(axis=1)
    splits = Splits(seed, test_share, variant="values")
    out: dict[str, list[Floats]] = {"crowd": [], "few": [], "all": []}
    for who in np.unique(said.listener_id[rated]).tolist():
        own = np.flatnonzero(rated & (said.listener_id == who))
        if len(own) < min_tracks:
            continue
        track = dataset.pool.index_of(said.track_id[own].tolist())
        value = dict(zip(track.tolist(), values[own], strict=True))
        start = model.for_listener(who)
        each: dict[str, list[Floats]] = {name: [] for name in out}
        for repeat in range(repeats):
            split = splits.draw(who, repeat, track)
            order = np.random.default_rng(child_seed(seed, str(who), repeat, "values")).permutation(len(split.pool))
            train = [split.pool[i] for i in order]
            truth = np.array([value[t] for t in split.test])
            for name, told in (("crowd", []), ("few", train[:few]), ("all", train)):
                mean = start.with_ratings({t: tuple(value[t]) for t in told}).mean[list(split.test)]
                error = np.sqrt(((mean - truth) ** 2).mean(axis=0))
                each[name].append(np.stack([error, ((mean > middle) == (truth > middle)).mean(axis=0)]))
        for name, rows in each.items():
            out[name].append(np.mean(rows, axis=0))
    if not out["all"]:
        raise ParameterError(
            f"no listener rated {min_tracks} tracks or more on {', '.join(scales)} in {dataset.name!r}"
        )
    return {name: np.array(rows) for name, rows in out.items()}


def values_rows(scores: dict[str, Floats], scales: Sequence[str]) -> list[Row]:
    """Figures for the report."""
    rows = []
    for i, scale in enumerate(scales):
        crowd = scores["crowd"][:, :, i]
        for name, label in (("few", "few ratings"), ("all", "all ratings")):
            for j, (measure, sign) in enumerate((("RMSE", -1), ("right side", 1))):
                gain = scores[name][:, j, i] - crowd[:, j]
                found = bootstrap_interval(gain)
                better = 100 * (sign * gain > 0).mean()
                rows.append(
                    Row(
                        f"continuous {scale}, {label}, {measure}, {len(gain)} listeners",
                        f"{crowd[:, j].mean():.3f} → {scores[name][:, j, i].mean():.3f}; "
                        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}], better for {better:.0f} %",
                    )
                )
    return rows
