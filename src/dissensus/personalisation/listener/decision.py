"""From probabilities to labels, the same way for every model: ``argmax p / pi ** a``.

Probabilities are reported as they are. A label is chosen after dividing by a power of the class frequencies: 0 maximises
accuracy where probabilities are right, 1 the mean recall of the classes; 0.5 is between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_float
from dissensus.errors import ParameterError

__all__ = ["EXPONENT", "axis_proba", "choose_exponent", "decide"]

#: The exponent used where none is given.
EXPONENT = 0.5


def decide(proba: ArrayLike, frequency: ArrayLike | None = None, *, exponent: float = EXPONENT) -> NDArray[np.int64]:
    """Class index of each row: the largest ``p / frequency ** exponent``, the first on ties.

    Parameters
    ----------
    proba : (..., n_classes) array_like
        Probabilities.
    frequency : (n_classes,) array_like, optional
        How frequent each class is, above zero: the crowd's shares, or the model's own. Default: the mean of ``proba``, so
        that a listener who uses a class often is not held to the crowd's share of it.
    exponent : float
        0 for plain argmax.

    Raises
    ------
    ParameterError
        A frequency that is not above zero, or shapes that do not fit.

    Examples
    --------
    >>> decide([[0.6, 0.4], [0.8, 0.2]], [0.7, 0.3], exponent=1.0).tolist(), decide([[0.6, 0.4]], exponent=0).tolist()
    ([1, 0], [0])
    """
    p = np.asarray(as_float(proba, "proba"), dtype=np.float64)
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ParameterError(f"proba must be (..., n_classes); got shape {p.shape}")
    if exponent == 0 or p.size == 0:
        return np.asarray(p.argmax(axis=-1), dtype=np.int64)
    share = p.reshape(-1, p.shape[-1]).mean(axis=0) if frequency is None else np.asarray(frequency, dtype=np.float64)
    if share.shape != (p.shape[-1],) or not (share > 0).all():
        raise ParameterError(f"frequency must hold {p.shape[-1]} shares above zero; got {share.tolist()}")
    return np.asarray((p / share**exponent).argmax(axis=-1), dtype=np.int64)


def choose_exponent(
    tables: Sequence[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]],
    *,
    candidates: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> float:
    """The exponent with the best mean macro F1 over other listeners; the smallest on ties.

    Parameters
    ----------
    tables : sequence of (proba, label, frequency)
        One entry a listener: held-out probabilities ``(n, n_classes)``, the listener's labels, class frequencies.
    """
    if not tables:
        raise ParameterError("tables is empty: an exponent is chosen on other listeners, at least one")
    scores = []
    for exponent in candidates:
        each = [_macro_f1(decide(p, f, exponent=exponent), label, p.shape[1]) for p, label, f in tables]
        scores.append(float(np.mean(each)))
    return float(candidates[int(np.argmax(scores))])


def _macro_f1(predicted: NDArray[np.int64], label: NDArray[np.int64], n_classes: int) -> float:
    counts = np.bincount(label * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.divide(2 * np.diag(counts), both, out=np.zeros(n_classes), where=both > 0).mean())


def axis_proba(proba: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of high arousal and of positive valence from quadrants Q1..Q4 (A+V+, A+V−, A−V−, A−V+).

    Examples
    --------
    >>> arousal, valence = axis_proba([[0.4, 0.3, 0.2, 0.1]])
    >>> arousal.round(2).tolist(), valence.round(2).tolist()
    ([0.7], [0.5])
    """
    p = np.asarray(as_float(proba, "proba"), dtype=np.float64)
    if p.ndim == 0 or p.shape[-1] != 4:
        raise ParameterError(f"proba must be (..., 4), one column a quadrant; got shape {p.shape}")
    return p[..., 0] + p[..., 1], p[..., 0] + p[..., 3]
