"""Clips of music made on the spot, each at a point of the arousal–valence plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets.synthetic.cues import cues_at
from dissensus.datasets.synthetic.score import compose
from dissensus.datasets.synthetic.synth import SETTINGS, Setting, play, resolve_setting
from dissensus.errors import ParameterError

__all__ = ["Clips", "Music", "draw_latent", "render"]


@dataclass(frozen=True)
class Music:
    """What the clips are like.

    Parameters
    ----------
    duration_s : float
        Length of a clip, s, at least 1.
    sr : int
        Sampling rate, Hz, at least 8000.
    settings : tuple of str or Setting
        Sounds of the synthesiser, dealt to the clips in turn.
    cue_noise : float
        How far a clip's cues stray from its point of the plane, see :func:`~dissensus.datasets.synthetic.cues_at`.

    Raises
    ------
    ParameterError
        A number outside its range, no setting or an unknown one.
    """

    duration_s: float = 10.0
    sr: int = 16000
    settings: tuple[str | Setting, ...] = tuple(SETTINGS)
    cue_noise: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.duration_s <= 600:
            raise ParameterError(f"duration_s={self.duration_s!r}: must be 1 to 600 s")
        if not 8000 <= self.sr <= 192000:
            raise ParameterError(f"sr={self.sr!r}: must be 8000 to 192000 Hz")
        if not self.cue_noise >= 0:
            raise ParameterError(f"cue_noise={self.cue_noise!r}: must not be negative")
        if not self.settings:
            raise ParameterError("settings: at least one is needed")
        object.__setattr__(self, "settings", tuple(resolve_setting(s) for s in self.settings))


class Clips:
    """Clips that are rendered when asked for; the same number gives the same samples, always.

    Parameters
    ----------
    latent : (n, 2) ndarray
        Arousal and valence.
    music : Music
        Length, rate, settings.
    seed : int
        Seed of all that is drawn.

    Attributes
    ----------
    cues : dict of str to (n,) ndarray
        What each clip is played with.
    setting : (n,) ndarray of int64
        Index into ``music.settings``.
    """

    def __init__(self, latent: NDArray[np.float64], music: Music, seed: int) -> None:
        self.latent = latent
        self.music = music
        self.seed = seed
        a, v = latent.T
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
        self.cues: dict[str, NDArray[np.float64]] = cues_at(a, v, noise=music.cue_noise, random_state=rng)
        deal = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
        count = len(music.settings)
        deals = [deal.permutation(count) for _ in range(len(latent) // count + 1)]
        self.setting: NDArray[np.int64] = np.concatenate(deals)[: len(latent)]

    def __len__(self) -> int:
        return len(self.latent)

    def render(self, index: int) -> NDArray[np.float32]:
        """Samples of one clip."""
        cues = {name: float(values[index]) for name, values in self.cues.items()}
        setting = resolve_setting(self.music.settings[self.setting[index]])
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(7, index)))
        score = compose(cues, self.music.duration_s, rng)
        return play(score, cues, setting, duration_s=self.music.duration_s, sr=self.music.sr, rng=rng)


def draw_latent(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2) arousal and valence: four Gaussians at ±0.6 with a standard deviation of 0.55, in turn."""
    centre = np.array([[0.6, 0.6], [0.6, -0.6], [-0.6, -0.6], [-0.6, 0.6]])
    return np.asarray(centre[np.arange(n) % 4] + 0.55 * rng.standard_normal((n, 2)))


def render(
    arousal: float,
    valence: float,
    *,
    setting: str | Setting = "piano",
    duration_s: float = 10.0,
    sr: int = 16000,
    cue_noise: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """One clip at a point of the plane.

    Parameters
    ----------
    arousal, valence : float
        About [-1, 1].
    setting : str or Setting
        Sound of the synthesiser.
    duration_s, sr, cue_noise
        As in :class:`Music`.
    seed : int
        Another seed, another tune.

    Returns
    -------
    (round(duration_s * sr),) ndarray of float32
        In (-1, 1), mono.

    Examples
    --------
    >>> angry, tender = render(0.8, -0.5, duration_s=2), render(-0.6, 0.6, duration_s=2)
    >>> angry.shape, bool(angry.std() > 2 * tender.std())
    ((32000,), True)
    """
    music = Music(duration_s, sr, (setting,), cue_noise)
    return Clips(np.array([[arousal, valence]], dtype=np.float64), music, seed).render(0)
