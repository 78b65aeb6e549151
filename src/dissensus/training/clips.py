"""What the CNN is trained on: labelled clips, cut into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._chunks import CHUNK_SAMPLES, reflect_to
from dissensus.errors import ParameterError

__all__ = ["Augmentation", "ClipSet", "random_chunk"]


class ClipSet:
    """Waveforms with a soft label and a song each.

    Parameters
    ----------
    signals : sequence of (n_samples,) arrays
        Mono, 16 kHz, float32; any object with ``len`` and indexing will do, so that clips can be read as they are needed.
    target : (n_clips,) ints or (n_clips, n_classes) array_like
        Class indices, or a distribution over the classes for each clip.
    songs : (n_clips,) array_like
        Clips of one song never stand on two sides of a split.
    n_classes : int
        Number of classes.
    weight : (n_clips,) array_like of float, optional
        How much each clip counts in the loss; default 1.

    Raises
    ------
    ParameterError
        Lengths that differ, a class that does not exist, a row that is not a distribution.
    """

    def __init__(
        self,
        signals: Sequence[Any],
        target: ArrayLike,
        songs: ArrayLike,
        *,
        n_classes: int = 4,
        weight: ArrayLike | None = None,
    ) -> None:
        y = np.asarray(target)
        if y.ndim == 1:
            if y.dtype.kind not in "iu" or (len(y) and (y.min() < 0 or y.max() >= n_classes)):
                raise ParameterError(f"target must hold class indices 0..{n_classes - 1}")
            y = np.eye(n_classes, dtype=np.float32)[y]
        if y.shape != (len(signals), n_classes) or np.asarray(songs).shape != (len(signals),):
            raise ParameterError(
                f"{len(signals)} signals, target {y.shape} and songs {np.asarray(songs).shape} do not fit together"
            )
        if not np.allclose(y.sum(axis=1), 1.0, atol=1e-4) or (y < 0).any():
            raise ParameterError("each row of target must be a distribution: non-negative, summing to 1")
        self.signals = signals
        self.target: NDArray[np.float32] = y.astype(np.float32)
        self.songs = np.asarray(songs)
        self.n_classes = n_classes
        counts = np.ones(len(signals)) if weight is None else np.asarray(weight, dtype=np.float64)
        if counts.shape != (len(signals),) or not (counts >= 0).all():
            raise ParameterError(f"weight must be {len(signals)} non-negative numbers; got shape {counts.shape}")
        self.weight: NDArray[np.float32] = counts.astype(np.float32)

    def __len__(self) -> int:
        return len(self.signals)

    def signal(self, index: int) -> NDArray[np.float32]:
        """One waveform, checked."""
        x = np.asarray(self.signals[index], dtype=np.float32)
        if x.ndim != 1 or len(x) == 0:
            raise ParameterError(f"clip {index} must be a non-empty mono waveform; got shape {x.shape}")
        return x


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training chunk; 0 switches one off.

    Attributes
    ----------
    gain_db : float
        Gain drawn from ±gain_db.
    noise_db : float
        White noise this many dB under the chunk's level, in half of the chunks.
    mask_mels, mask_frames : int
        Widest masked band and span of the log-mel picture (SpecAugment).
    """

    gain_db: float = 0.0
    noise_db: float = 0.0
    mask_mels: int = 0
    mask_frames: int = 0

    def on_signal(self, chunk: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Gain and noise."""
        if self.gain_db:
            chunk = chunk * np.float32(10.0 ** (rng.uniform(-self.gain_db, self.gain_db) / 20.0))
        if self.noise_db and rng.random() < 0.5:
            level = float(np.sqrt(np.mean(np.square(chunk, dtype=np.float64)))) * 10.0 ** (-self.noise_db / 20.0)
            chunk = chunk + rng.standard_normal(len(chunk)).astype(np.float32) * np.float32(level)
        return chunk

    def masks(self, n_mels: int, n_frames: int, rng: np.random.Generator) -> tuple[slice, slice]:
        """A band of mels and a span of frames to blank; empty where masking is off."""
        height = int(rng.integers(0, self.mask_mels + 1)) if self.mask_mels else 0
        width = int(rng.integers(0, self.mask_frames + 1)) if self.mask_frames else 0
        top = int(rng.integers(0, n_mels - height + 1))
        left = int(rng.integers(0, n_frames - width + 1))
        return slice(top, top + height), slice(left, left + width)


def random_chunk(signal: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """One chunk at a uniformly random offset."""
    signal = reflect_to(signal, CHUNK_SAMPLES)
    start = int(rng.integers(0, len(signal) - CHUNK_SAMPLES + 1))
    return signal[start : start + CHUNK_SAMPLES]
