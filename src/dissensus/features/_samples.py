"""Small operations on blocks of samples, and the check of an excerpt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError

__all__ = ["all_finite", "as_sixteen_bits", "check_span", "downmix"]


def downmix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the channels of (n, n_channels) samples, as a new array."""
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0].copy()
    with np.errstate(all="ignore"):
        mono = block[:, 0] + block[:, 1]
        for channel in range(2, channels):
            mono += block[:, channel]
        mono *= np.float32(1.0 / channels)
    return mono


def all_finite(x: NDArray[np.float32]) -> bool:
    """Whether no sample is NaN or infinite; a dot product tells at the speed of memory in all but rare cases."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(x, x))) or bool(np.isfinite(x).all())


def as_sixteen_bits(samples: NDArray[Any]) -> NDArray[np.float32]:
    """The samples as a 16-bit file holds them: rounded to steps of 2**-15, clipped to [-1, 1 - 2**-15]; always a copy.

    Descriptors that depend on signs and ratios would otherwise describe, in silence, the noise of the decoder.
    """
    steps = np.rint(np.clip(samples, -1.0, 1.0) * 32768.0)
    return np.asarray(np.minimum(steps, 32767.0) / 32768.0, dtype=np.float32)


def check_span(sr: int, start_s: float, duration_s: float | None) -> None:
    """Refuse a rate or an excerpt that makes no sense."""
    if isinstance(sr, bool) or not isinstance(sr, (int, np.integer)) or not 1000 <= sr <= 384_000:
        raise ParameterError(f"sr={sr!r}: the sample rate must be a whole number from 1000 to 384000 Hz")
    if not np.isfinite(start_s) or start_s < 0:
        raise ParameterError(f"start_s={start_s!r}: must be zero or more seconds")
    if duration_s is not None and (not np.isfinite(duration_s) or duration_s <= 0):
        raise ParameterError(f"duration_s={duration_s!r}: must be more than zero seconds, or None for the rest")
