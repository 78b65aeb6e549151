"""Do probabilities mean what they say: curves, one number, and recalibration on other listeners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_float, check_count
from dissensus.errors import ParameterError
from dissensus.personalisation.listener.map_logistic import centred_log, fit_map_logistic, map_predict

__all__ = ["CalibrationCurve", "Recalibration", "calibration_curve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Confidence against how often it was right.

    Attributes
    ----------
    confidence, accuracy : (n_bins,) ndarray
        Mean probability of the most probable class, and share of right answers; NaN in an empty bin.
    count : (n_bins,) ndarray of int64
        Predictions in each bin.
    error : float
        Expected calibration error: mean of ``|confidence - accuracy|`` over predictions.
    """

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]
    error: float


def calibration_curve(proba: ArrayLike, label: ArrayLike, *, n_bins: int = 10) -> CalibrationCurve:
    """Calibration of the most probable class, in bins of equal width.

    Parameters
    ----------
    proba : (n, n_classes) array_like
        Probabilities.
    label : (n,) array_like of int
        What it was.

    Raises
    ------
    ParameterError
        Shapes that do not match, or no prediction.

    Examples
    --------
    >>> curve = calibration_curve([[0.9, 0.1]] * 10, [0] * 9 + [1])
    >>> round(curve.error, 6), curve.count.max()
    (0.0, np.int64(10))
    """
    p = np.asarray(as_float(proba, "proba"), dtype=np.float64)
    y = np.asarray(label)
    n_bins = check_count(n_bins, "n_bins")
    if p.ndim != 2 or y.shape != (len(p),) or len(p) == 0:
        raise ParameterError(f"proba {p.shape} must be (n, n_classes) for label {y.shape}, with at least one row")
    sure = p.max(axis=1)
    right = p.argmax(axis=1) == y
    place = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, weights=sure, minlength=n_bins) / count
        accuracy = np.bincount(place, weights=right, minlength=n_bins) / count
    error = float(np.nansum(np.abs(confidence - accuracy) * count) / len(p))
    return CalibrationCurve(confidence, accuracy, count, error)


class Recalibration:
    """A map from probabilities to better calibrated ones, learnt on other listeners.

    Multinomial logistic regression on centred log probabilities, pulled weakly to "leave them as they are".

    Parameters
    ----------
    proba : (n, n_classes) ndarray
        Probabilities that did not see the labels, above zero.
    label : (n,) ndarray of int
        Labels.
    penalty : float
        Pull towards the identity.
    """

    def __init__(self, proba: Floats, label: NDArray[np.int64], *, penalty: float = 1.0) -> None:
        n_classes = proba.shape[1]
        mean = np.vstack([np.eye(n_classes), np.zeros(n_classes)])
        every = np.full(n_classes + 1, penalty)
        ones = np.ones((1, len(label)))
        self.weight: Floats = fit_map_logistic(centred_log(proba), label, ones, prior_mean=mean, penalty=every)[0]

    def __call__(self, proba: Floats) -> Floats:
        """Recalibrated probabilities, rows sum to 1."""
        return map_predict(centred_log(proba), self.weight)
