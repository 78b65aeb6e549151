"""From cues to notes: beats, chords, a melody and drums, as arrays of onsets, durations, pitches and levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Score", "compose"]

_MAJOR: Final = np.array([0, 2, 4, 5, 7, 9, 11])
_MINOR: Final = np.array([0, 2, 3, 5, 7, 8, 10])
#: Chord roots by scale degree, one a bar.
_PROGRESSIONS: Final = {
    True: ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4), (0, 3, 0, 4)),
    False: ((0, 5, 3, 4), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 5, 0)),
}
#: Onsets within two beats: from even and long to sharply dotted and short.
_RHYTHMS: Final = (
    (0.0,),
    (0.0, 1.0),
    (0.0, 1.0, 1.5),
    (0.0, 0.5, 1.0, 1.5),
    (0.0, 0.75, 1.0, 1.75),
    (0.0, 0.75, 1.0, 1.25, 1.5, 1.75),
)
_BEATS_A_BAR: Final = 4


@dataclass(frozen=True)
class Score:
    """Notes by voice (0 melody, 1 chords, 2 bass) and drum hits.

    Parameters
    ----------
    onset_s, duration_s : (n_notes,) ndarray
        Times in seconds.
    midi : (n_notes,) ndarray
        Pitch, fractional where the intonation is off.
    level_db : (n_notes,) ndarray
        Level relative to the voice's own.
    voice : (n_notes,) ndarray of int
        0, 1 or 2.
    kick_s, snare_s, hat_s : ndarray
        Times of the drum hits.
    """

    onset_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    midi: NDArray[np.float64]
    level_db: NDArray[np.float64]
    voice: NDArray[np.int64]
    kick_s: NDArray[np.float64]
    snare_s: NDArray[np.float64]
    hat_s: NDArray[np.float64]


def compose(cues: Mapping[str, float], duration_s: float, rng: np.random.Generator) -> Score:
    """Notes that follow the cues and fill ``duration_s`` seconds.

    Parameters
    ----------
    cues : mapping of str to float
        One value for each name of ``CUES``.
    duration_s : float
        Length of the clip; no note starts after it.
    rng : Generator
        Draws everything.

    Returns
    -------
    Score
    """
    beat = _beats(cues, duration_s, rng)
    tonic = int(rng.integers(0, 12))
    n_bars = len(beat) // _BEATS_A_BAR + 1
    major = rng.random(n_bars) < 1 / (1 + np.exp(-10 * (cues["mode"] - 0.5)))
    progression = np.array([_PROGRESSIONS[bool(major[0])][rng.integers(0, 4)]]).repeat(n_bars // 4 + 1, axis=0).ravel()
    melody = _melody(cues, beat, tonic, major, progression, rng)
    harmony = _harmony(cues, beat, tonic, major, progression)
    onset, length, midi, level, voice = np.concatenate((melody, harmony), axis=1)
    onset_s = np.interp(onset, np.arange(len(beat)), beat)
    end_s = np.interp(onset + length, np.arange(len(beat)), beat)
    n_notes = len(onset)
    own = voice == 0
    gap = np.mean(np.diff(beat)) * cues["timing_variability"]
    onset_s = np.maximum(onset_s + np.where(own, 1.0, 0.3) * gap * rng.standard_normal(n_notes), 0)
    share = cues["articulation"] + cues["articulation_variability"] * rng.standard_normal(n_notes)
    share = np.where(own, share, 0.5 + 0.5 * share)
    duration = np.maximum((end_s - onset_s) * np.clip(share, 0.15, 1.1), 0.05)
    level = level + np.where(own, 1.0, 0.5) * cues["level_variability"] * rng.standard_normal(n_notes)
    midi = midi + (cues["intonation"] / 100) * own
    keep = onset_s < duration_s - 0.02
    hits = (beat[0::2], beat[1::2], np.interp(np.arange(0.5, len(beat) - 1), np.arange(len(beat)), beat))
    kick, snare, hat = (times[times < duration_s - 0.05] for times in hits)
    return Score(onset_s[keep], duration[keep], midi[keep], level[keep], voice[keep].astype(np.int64), kick, snare, hat)


def _beats(cues: Mapping[str, float], duration_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times of the beats, drifting with the tempo's variability, slowing at the end, past ``duration_s``."""
    period = 60 / cues["tempo"]
    n = int(duration_s / period * 1.6) + 2 * _BEATS_A_BAR
    drift = np.convolve(rng.standard_normal(n + 2), [0.5, 0.7, 0.5], mode="valid")
    steps = period * np.exp(cues["tempo_variability"] * drift)
    start = np.concatenate(([0.0], np.cumsum(steps)[:-1]))
    late = np.clip((start / duration_s - 0.75) / 0.25, 0, 1)
    steps = steps * (1 + 1.5 * cues["ritardando"] * late)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _melody(
    cues: Mapping[str, float],
    beat: NDArray[np.float64],
    tonic: int,
    major: NDArray[np.bool_],
    progression: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(5, n) onset and length in beats, MIDI pitch, level and voice of the melody."""
    place = np.clip(cues["duration_contrast"], 0, 1) * (len(_RHYTHMS) - 1)
    spread = np.exp(-0.5 * ((np.arange(len(_RHYTHMS)) - place) / 0.9) ** 2)
    chosen = rng.choice(len(_RHYTHMS), size=(len(beat) - 1) // 2, p=spread / spread.sum())
    onset = np.concatenate([2 * i + np.array(_RHYTHMS[r]) for i, r in enumerate(chosen)])
    length = np.diff(np.append(onset, 2.0 * len(chosen)))
    bar = (onset // _BEATS_A_BAR).astype(np.int64)
    strong = onset % 1 == 0
    centre = 7 * (cues["register"] - tonic) / 12
    step = rng.choice([-2, -1, -1, 0, 1, 1, 2, 3], size=len(onset))
    degree = np.empty(len(onset), dtype=np.int64)
    stable = np.empty(len(onset), dtype=bool)
    now = round(centre)
    lean = cues["accents"]
    off = rng.random(len(onset)) < 0.25 + 0.4 * max(0.0, -lean)
    for i in range(len(onset)):
        now = round(now + step[i] - 0.25 * (now - centre))
        root = progression[bar[i]]
        if strong[i] and not off[i]:
            now += (0, 1, 0, 1, 0, 1, 0)[(now - root) % 7] * (1 if step[i] >= 0 else -1)
        degree[i] = now
        stable[i] = (now - root) % 7 in (0, 2, 4)
    scale = np.where(major[bar, None], _MAJOR, _MINOR)
    midi = tonic + 12 * (degree // 7) + scale[np.arange(len(onset)), degree % 7]
    accent = np.where(strong, 2.0, 0.0) + 5.0 * np.where(stable, max(lean, 0.0), max(-lean, 0.0))
    return np.stack((onset, length, midi.astype(np.float64), accent, np.zeros(len(onset))))


def _harmony(
    cues: Mapping[str, float],
    beat: NDArray[np.float64],
    tonic: int,
    major: NDArray[np.bool_],
    progression: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(5, n) the same for the chords (every beat when staccato, every other or every bar when legato) and the bass."""
    every = 1 if cues["articulation"] < 0.6 else 2 if cues["articulation"] < 0.85 else _BEATS_A_BAR
    onset = np.arange(0, len(beat) - 1, every, dtype=np.float64)
    bar = (onset // _BEATS_A_BAR).astype(np.int64)
    root = progression[bar]
    scale = np.where(major[bar, None], _MAJOR, _MINOR)
    row = np.arange(len(onset))
    base = tonic + 12 * np.round((cues["register"] - 12 - tonic) / 12)
    notes = []
    for voice, third in ((1, 0), (1, 2), (1, 4), (2, 0)):
        degree = root + third
        pitch = base + scale[row, degree % 7] + 12 * (degree // 7) * (voice == 1) - 12 * (voice == 2)
        notes.append(
            np.stack((onset, np.full(len(onset), every), pitch, np.zeros(len(onset)), np.full(len(onset), voice)))
        )
    return np.concatenate(notes, axis=1)
