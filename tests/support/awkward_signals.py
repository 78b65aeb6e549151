"""Signals that front ends get wrong: what recordings hold and made-up music does not."""

from __future__ import annotations

import numpy as np

__all__ = ["patchy"]


def patchy(n: int, seed: int, frame: int = 512) -> np.ndarray:
    """Noise with low-passed and near-silent passages at odd places: frames whose quiet bands need double precision.

    A passage is some frames long, so that the share of such frames and the gaps between them vary with ``seed``.
    """
    rng = np.random.default_rng(seed)
    y = 0.1 * rng.standard_normal(n)
    for _ in range(int(rng.integers(1, 2 + n // (3 * frame)))):
        length = int(rng.integers(frame // 2, 4 * frame))
        at = int(rng.integers(0, max(1, n - length)))
        passage = y[at : at + length]
        if rng.random() < 0.7:
            passage[:] = np.convolve(passage, np.ones(32) / 32, "full")[: len(passage)]
        else:
            passage *= 1e-3
    return y.astype(np.float32)
