"""From notes to samples: wavetables with vibrato, noise, drums and a room, by the settings of a synthesiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets.synthetic.score import Score
from dissensus.errors import ParameterError

__all__ = ["SETTINGS", "Setting", "play", "resolve_setting"]

_TABLE: Final = 4096
_VOICE_DB: Final = np.array([0.0, -10.0, -6.0])


@dataclass(frozen=True)
class Setting:
    """How the synthesiser sounds, apart from what the cues ask of it.

    Parameters
    ----------
    name : str
        For tables.
    slope_db : float
        Added to the slope of the partials, dB an octave.
    even : float
        Weight of the even partials: 1 as a string, 0 as a clarinet.
    formant_hz, formant_db : float
        Centre and height of a resonance an octave wide.
    decay_s : float
        Time in which a held note falls by 60 dB; infinity sustains.
    attack_scale : float
        Multiplies the attack that the cues ask for.
    breath : float
        Noise added to the notes.
    reverb_s, reverb_mix : float
        Reverberation time (60 dB) and its share.

    Examples
    --------
    >>> sorted(SETTINGS)
    ['bell', 'flute', 'organ', 'piano', 'reed', 'strings']
    """

    name: str
    slope_db: float = 0.0
    even: float = 1.0
    formant_hz: float = 800.0
    formant_db: float = 0.0
    decay_s: float = np.inf
    attack_scale: float = 1.0
    breath: float = 0.0
    reverb_s: float = 0.6
    reverb_mix: float = 0.15


#: The settings that come along; hold some out to see how a model does on a sound it never heard.
SETTINGS: Final[dict[str, Setting]] = {
    s.name: s
    for s in (
        Setting("piano", slope_db=-1.0, decay_s=2.5, attack_scale=0.5, reverb_s=0.5),
        Setting("strings", slope_db=1.0, formant_hz=600, formant_db=4, attack_scale=1.5, reverb_s=0.9, reverb_mix=0.25),
        Setting("flute", slope_db=-5.0, even=0.7, breath=0.03, reverb_s=0.7, reverb_mix=0.2),
        Setting("reed", even=0.15, formant_hz=1100, formant_db=6, breath=0.01, reverb_s=0.4, reverb_mix=0.1),
        Setting("organ", slope_db=2.0, even=1.3, attack_scale=0.8, reverb_s=1.4, reverb_mix=0.3),
        Setting("bell", slope_db=3.0, even=0.4, formant_hz=2400, formant_db=5, decay_s=1.6, attack_scale=0.3),
    )
}


def resolve_setting(setting: str | Setting) -> Setting:
    """A setting by name, or the setting itself.

    Raises
    ------
    ParameterError
        There is none of that name.
    """
    if isinstance(setting, Setting):
        return setting
    if setting not in SETTINGS:
        raise ParameterError(f"setting {setting!r}: must be a Setting or one of {', '.join(SETTINGS)}")
    return SETTINGS[setting]


def play(
    score: Score,
    cues: Mapping[str, float],
    setting: Setting,
    *,
    duration_s: float,
    sr: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Samples of a score.

    Parameters
    ----------
    score : Score
        Notes and hits.
    cues : mapping of str to float
        Brightness, noise, attack, vibrato, level and percussion are read here.
    setting : Setting
        The sound.
    duration_s, sr : float, int
        Length and sampling rate (Hz).
    rng : Generator
        Vibrato, noise.

    Returns
    -------
    (round(duration_s * sr),) ndarray of float32
        In (-1, 1), with the RMS level that the cues ask for, where the limiter allows.
    """
    n = round(duration_s * sr)
    sound = np.zeros(n)
    envelope = np.zeros(n)
    attack = max(2, round(cues["attack"] * setting.attack_scale * sr))
    release = round(0.03 * sr)
    slope = cues["brightness"] + setting.slope_db
    tables: dict[int, NDArray[np.float64]] = {}
    for i in range(len(score.onset_s)):
        voice = int(score.voice[i])
        start = round(score.onset_s[i] * sr)
        length = min(round(score.duration_s[i] * sr) + release, n - start)
        if length < 8:
            continue
        pitch = round(score.midi[i])
        if pitch not in tables:
            tables[pitch] = _table(pitch, slope, setting, sr)
        t = np.arange(length, dtype=np.float64)
        phase = t * (440 * 2 ** ((score.midi[i] - 69) / 12) / sr)
        if voice == 0:
            phase += _vibrato(t, phase[1], cues, sr, rng)
        wave = tables[pitch][(phase * _TABLE).astype(np.int64) & (_TABLE - 1)]
        shape = _shape(length, min(attack, length // 2), release, setting.decay_s * sr)
        shape *= 10 ** ((score.level_db[i] + _VOICE_DB[voice]) / 20)
        sound[start : start + length] += wave * shape
        envelope[start : start + length] += shape
    hiss = cues["noise"] + setting.breath
    sound += hiss * envelope * rng.standard_normal(n)
    _drums(sound, score, cues["percussion"], sr, rng)
    return _finish(sound, cues["level"], setting, sr)


def _table(pitch: int, slope_db: float, setting: Setting, sr: int) -> NDArray[np.float64]:
    """One period with an RMS of 1; partials stay under 0.45 of the sampling rate."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    k = np.arange(1, max(2, min(64, int(0.45 * sr / f0)) + 1))
    level = min(slope_db, -2.0) * np.log2(k)
    level += setting.formant_db * np.exp(-0.5 * (np.log2(k * f0 / setting.formant_hz) / 0.5) ** 2)
    amplitude = 10 ** (level / 20) * np.where(k % 2 == 0, setting.even, 1.0)
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[k] = amplitude * np.exp(1j * np.pi * k**2 / len(k))
    wave = np.fft.irfft(spectrum)
    return np.asarray(wave / np.sqrt(np.mean(wave**2)))


def _vibrato(
    t: NDArray[np.float64], step: float, cues: Mapping[str, float], sr: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Phase to add, in periods; grows in over the first 150 ms of a note."""
    jitter, turn = rng.standard_normal(), rng.random()
    rate = max(1.0, cues["vibrato_rate"] * (1 + cues["vibrato_irregularity"] * jitter)) / sr
    depth = step * (2 ** (cues["vibrato_extent"] / 1200) - 1) / (2 * np.pi * rate)
    return np.asarray(depth * np.minimum(t / (0.15 * sr), 1) * np.sin(2 * np.pi * (rate * t + turn)))


def _shape(length: int, attack: int, release: int, decay: float) -> NDArray[np.float64]:
    """Rise, hold or decay, fall."""
    shape = np.ones(length)
    if np.isfinite(decay):
        shape = np.exp(-6.9 / decay * np.arange(length))
    shape[:attack] *= np.linspace(0, 1, attack, endpoint=False)
    fall = min(release, length)
    shape[-fall:] *= np.linspace(1, 0, fall)
    return shape


@lru_cache(maxsize=16)
def _hits(sr: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A kick, a snare and a hat."""
    rng = np.random.default_rng(sr)
    t = np.arange(round(0.25 * sr)) / sr
    kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t * 30)))) * np.exp(-t * 18)
    snare = (0.7 * rng.standard_normal(len(t)) + 0.5 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t * 28)
    hat = np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-t * 70)
    return kick, snare, hat


def _drums(sound: NDArray[np.float64], score: Score, share: float, sr: int, rng: np.random.Generator) -> None:
    for hit, times, gain in zip(_hits(sr), (score.kick_s, score.snare_s, score.hat_s), (1.6, 0.8, 0.35), strict=True):
        for time in times:
            start = round(time * sr)
            part = sound[start : start + len(hit)]
            part += share * gain * (1 + 0.15 * rng.standard_normal()) * hit[: len(part)]


@lru_cache(maxsize=64)
def _room(reverb_s: float, sr: int) -> NDArray[np.float64]:
    """Impulse response of a room: decaying noise of energy 1."""
    n = max(1, round(min(reverb_s, 1.0) * sr))
    tail = np.random.default_rng(n).standard_normal(n) * np.exp(-6.9 * np.arange(n) / (reverb_s * sr))
    return np.asarray(tail / np.sqrt(np.sum(tail**2)))


def _finish(sound: NDArray[np.float64], level_db: float, setting: Setting, sr: int) -> NDArray[np.float32]:
    from scipy.signal import oaconvolve

    wet = oaconvolve(sound, _room(setting.reverb_s, sr))[: len(sound)]
    sound = (1 - setting.reverb_mix) * sound + setting.reverb_mix * wet
    rms = np.sqrt(np.mean(sound**2))
    if rms > 0:
        sound = sound * (10 ** (level_db / 20) / rms)
    return np.tanh(sound).astype(np.float32)
