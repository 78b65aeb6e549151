"""Scores of predicted probabilities against one listener's labels, many members and rounds at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_float
from dissensus.errors import ParameterError

__all__ = ["COMMITTEE", "SCORES", "track_scores"]

#: Name of the whole committee in the ``member`` column of a table of scores; the other names are the kinds of members.
COMMITTEE: Final = "committee"

#: Columns that a table of scores holds, in this order. All but ``nll`` are better when higher.
SCORES: Final = ("f1_weighted", "f1_macro", "accuracy", "nll")


def track_scores(proba: ArrayLike, y: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Weighted and macro F1, accuracy and mean negative log-likelihood, over tracks.

    Parameters
    ----------
    proba : (..., n_tracks, n_classes) array_like of float
        Probabilities a track; leading axes are scored apart. The decision is the most probable class, the lowest index
        on ties. Rows are renormalised for the likelihood.
    y : (n_tracks,) array_like of int
        Class index of each track.

    Returns
    -------
    dict of str to (...) ndarray of float64
        Keyed as :data:`SCORES`. F1 runs over all classes, those without a track included, and counts 0 where a class is
        neither present nor predicted (scikit-learn's ``labels=all, zero_division=0``). ``nll`` in nats, probabilities
        clipped at 1e-12.

    Raises
    ------
    ParameterError
        No track, shapes that do not fit, labels outside the classes, or probabilities that are not finite.

    Examples
    --------
    >>> scores = track_scores([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]], [0, 1])
    >>> {name: round(float(value), 3) for name, value in scores.items()}
    {'f1_weighted': 0.333, 'f1_macro': 0.222, 'accuracy': 0.5, 'nll': 0.636}
    """
    p = as_float(proba, "proba")
    labels = np.asarray(y)
    if p.ndim < 2 or labels.ndim != 1 or p.shape[-2] != len(labels):
        raise ParameterError(f"proba {p.shape} must be (..., n_tracks, n_classes) for y {labels.shape}")
    n_tracks, n_classes = p.shape[-2:]
    if n_tracks == 0:
        raise ParameterError("there is no track to score")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= n_classes:
        raise ParameterError(f"y must hold class indices 0..{n_classes - 1}")
    total = p.sum(axis=-1, dtype=np.float64)
    if not np.isfinite(total).all() or (total <= 0).any():
        raise ParameterError("proba holds a row that is not finite or sums to nothing")
    decided = p.argmax(axis=-1)
    classes = np.arange(n_classes)
    chosen = decided[..., None] == classes
    truth = labels[:, None] == classes
    hit = (chosen & truth).sum(axis=-2)
    support = truth.sum(axis=0)
    f1 = 2.0 * hit / np.maximum(chosen.sum(axis=-2) + support, 1)
    likely = np.take_along_axis(p, np.broadcast_to(labels[:, None], (*p.shape[:-1], 1)), axis=-1)[..., 0] / total
    return {
        "f1_weighted": f1 @ support / n_tracks,
        "f1_macro": f1.mean(axis=-1),
        "accuracy": hit.sum(axis=-1) / n_tracks,
        "nll": -np.log(np.maximum(likely, 1e-12)).mean(axis=-1),
    }
