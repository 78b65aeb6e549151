"""What a performer does to sound happy, angry, afraid, sad or tender, as numbers that vary over the plane.

The table is the usual one of research on emotion in music performance (Juslin & Laukka 2003, "Communication of emotions
in vocal expression and music performance", Psychological Bulletin 129; Juslin & Timmers 2010): five emotions placed in
the arousal–valence plane, each with a tempo, a level, an articulation and so on. Between the five places the cues are
mixed smoothly, so every point of the plane has its own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ANCHORS", "CUES", "EMOTIONS", "Cue", "cues_at"]

#: The five emotions and their places, (arousal, valence).
EMOTIONS: Final = {
    "happiness": (0.60, 0.60),
    "anger": (0.80, -0.50),
    "fear": (0.30, -0.90),
    "sadness": (-0.60, -0.60),
    "tenderness": (-0.60, 0.60),
}


class Cue(NamedTuple):
    """One cue: its value for each emotion in the order of ``EMOTIONS``, the range it stays in, its unit."""

    values: tuple[float, float, float, float, float]
    low: float
    high: float
    unit: str


#: The cue table.
CUES: Final[dict[str, Cue]] = {
    "tempo": Cue((138, 146, 116, 62, 70), 40, 200, "beats a minute"),
    "tempo_variability": Cue((0.01, 0.01, 0.10, 0.03, 0.03), 0, 0.2, "relative sd, drifting"),
    "timing_variability": Cue((0.01, 0.02, 0.06, 0.02, 0.045), 0, 0.1, "sd, beats"),
    "ritardando": Cue((0.0, 0.0, 0.05, 0.30, 0.30), 0, 0.5, "slowing over the last quarter, share"),
    "mode": Cue((0.95, 0.12, 0.10, 0.08, 0.88), 0, 1, "0 minor to 1 major"),
    "register": Cue((74, 59, 70, 60, 67), 48, 84, "MIDI note in the middle of the melody"),
    "level": Cue((-17, -13, -31, -28, -27), -45, -10, "RMS, dB below full scale"),
    "level_variability": Cue((1.0, 1.5, 6.0, 2.0, 1.0), 0, 9, "sd between notes, dB"),
    "articulation": Cue((0.55, 0.50, 0.45, 1.0, 0.90), 0.25, 1.05, "sounding share of a note: staccato to legato"),
    "articulation_variability": Cue((0.20, 0.08, 0.12, 0.03, 0.06), 0, 0.3, "sd of that share"),
    "duration_contrast": Cue((0.80, 0.90, 0.50, 0.15, 0.20), 0, 1, "even to sharply dotted rhythms"),
    "brightness": Cue((-7, -4, -15, -16, -13), -24, -2, "slope of the partials, dB an octave"),
    "noise": Cue((0.02, 0.25, 0.06, 0.01, 0.01), 0, 0.4, "share of noise in the sound"),
    "attack": Cue((0.010, 0.004, 0.02, 0.09, 0.07), 0.002, 0.15, "s"),
    "vibrato_rate": Cue((5.8, 6.2, 8.0, 4.2, 5.0), 3, 9, "Hz"),
    "vibrato_extent": Cue((15, 60, 12, 25, 20), 0, 80, "cents"),
    "vibrato_irregularity": Cue((0.05, 0.10, 0.60, 0.10, 0.08), 0, 1, "sd between notes, share of the rate"),
    "intonation": Cue((8, 0, 15, -12, 0), -25, 25, "cents, flat to sharp"),
    "accents": Cue((0.3, -0.9, -0.3, 0.2, 0.9), -1, 1, "on unstable (-1) or stable (+1) notes"),
    "percussion": Cue((0.60, 0.90, 0.15, 0.02, 0.05), 0, 1, "share of drums"),
}

#: (n_emotions, n_cues): the table as an array.
ANCHORS: Final[NDArray[np.float64]] = np.array([cue.values for cue in CUES.values()], dtype=np.float64).T


def cues_at(
    arousal: ArrayLike,
    valence: ArrayLike,
    *,
    noise: float = 0.0,
    width: float = 0.35,
    random_state: int | np.random.Generator = 0,
) -> dict[str, NDArray[np.float64]]:
    """Cues of points of the arousal–valence plane.

    Parameters
    ----------
    arousal, valence : (n,) array_like of float
        About [-1, 1].
    noise : float
        Standard deviation added to each cue, as a share of the cue's own standard deviation over the five emotions.
    width : float
        Reach of an emotion in the plane: the weight of each falls off as a Gaussian of this standard deviation.
    random_state : int or Generator
        For the noise.

    Returns
    -------
    dict of str to (n,) ndarray
        One array a cue, inside the cue's range.

    Examples
    --------
    >>> cues = cues_at([0.6, -0.6], [0.6, -0.6])
    >>> bool(cues["tempo"][0] > 120), bool(cues["mode"][1] < 0.3)
    (True, True)
    """
    point = np.stack(np.broadcast_arrays(np.atleast_1d(arousal), np.atleast_1d(valence)), axis=-1).astype(np.float64)
    distance = ((point[:, None, :] - np.array(list(EMOTIONS.values()))) ** 2).sum(axis=2)
    weight = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / (2 * width**2))
    value = weight / weight.sum(axis=1, keepdims=True) @ ANCHORS
    rng = np.random.default_rng(random_state)
    value += noise * ANCHORS.std(axis=0) * rng.standard_normal(value.shape)
    low, high = (np.array([getattr(cue, side) for cue in CUES.values()]) for side in ("low", "high"))
    value = np.clip(value, low, high)
    return {name: value[:, i] for i, name in enumerate(CUES)}
