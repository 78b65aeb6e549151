"""Whole data sets: made-up music, or points without sound, with made-up listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._threads import resolve_threads, run_blocks
from dissensus._validate import check_count
from dissensus.datasets._types import Dataset, quadrant
from dissensus.datasets.synthetic.listeners import Panel, People, annotate
from dissensus.datasets.synthetic.music import Clips, Music, draw_latent
from dissensus.datasets.synthetic.synth import resolve_setting
from dissensus.errors import ParameterError
from dissensus.features.pool import Pool
from dissensus.features.summary import SUMMARY_NAMES, summary

__all__ = ["SyntheticDataset", "latent_listeners", "make"]


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticDataset(Dataset):
    """A :class:`~dissensus.datasets.Dataset` whose truth is known.

    Parameters
    ----------
    latent : (n_tracks, 2) ndarray
        Arousal and valence of each track, before anybody hears it.
    people : People
        Shift and turn of every listener.
    clips : Clips, optional
        Where the sound comes from; None without sound.
    """

    latent: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    people: People | None = None
    clips: Clips | None = None

    def clip(self, track_id: str) -> NDArray[np.float32]:
        """Samples of a track, rendered now; mono at ``sr``.

        Raises
        ------
        ParameterError
            A data set without sound.
        UnknownTrackError
            No such track.
        """
        if self.clips is None:
            raise ParameterError(f"{self.name} has no sound: it was made without music")
        return self.clips.render(int(self.pool.index_of([track_id])[0]))

    @property
    def sr(self) -> int:
        """Sampling rate of the clips, Hz; 0 without sound."""
        return 0 if self.clips is None else self.clips.music.sr


def make(
    n_clips: int = 240,
    n_listeners: int = 12,
    *,
    music: Music | None = None,
    panel: Panel | None = None,
    features: Callable[[NDArray[np.float32], int], NDArray[Any]] | None = summary,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[], None] | None = None,
) -> SyntheticDataset:
    """Clips of music, features of them, and listeners who annotate them.

    Parameters
    ----------
    n_clips : int
        Number of clips. The first ``panel.rated(n_clips)`` are annotated; the rest only has the weak label, to
        pre-train on.
    n_listeners : int
        Listeners who annotate ``panel.tracks_per_listener`` clips each; a crowd of others comes on top.
    music : Music, optional
        Length, rate, synthesiser settings.
    panel : Panel, optional
        How much and how personally people annotate. Default: ``Panel()`` with at most 60 % of the clips a listener.
    features : callable, optional
        ``(signal, sr) → (n_windows, n_features)`` for each clip. None: no features, and nothing is rendered yet.
    seed : int
        The same seed gives the same data set, whatever the number of threads.
    n_threads : int
        Clips made at a time.
    progress : callable, optional
        Called after each clip, possibly from another thread.

    Returns
    -------
    SyntheticDataset
        ``weak_label`` is the quadrant of the latent point; ``track_table`` has ``arousal``, ``valence``, ``setting``
        and every cue; ``clip(track_id)`` gives the sound.

    Raises
    ------
    ParameterError
        A number outside its range.

    Examples
    --------
    >>> data = make(12, 2, music=Music(duration_s=2.0), panel=Panel(tracks_per_listener=4), seed=1)
    >>> data.pool.n_tracks, data.pool.n_windows, data.clip("clip-0003").shape
    (12, 36, (32000,))
    >>> data.annotations.of("listener-000").label.shape
    (4,)
    """
    check_count(n_clips, "n_clips")
    check_count(n_listeners, "n_listeners")
    music = music or Music()
    panel = panel or Panel(tracks_per_listener=max(1, min(60, round(0.6 * n_clips))))
    latent = draw_latent(n_clips, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,))))
    ids = np.array([f"clip-{i:04d}" for i in range(n_clips)])
    annotations, people = annotate(latent, ids, n_listeners, panel=panel, seed=seed)
    clips = Clips(latent, music, seed)
    if features is None:
        pool = Pool(np.zeros((n_clips, 0), dtype=np.float32), ids)
    else:
        windows = _extract(clips, features, resolve_threads(n_threads), progress)
        names = SUMMARY_NAMES if features is summary else None
        pool = Pool(np.concatenate(windows), np.repeat(ids, [len(w) for w in windows]), feature_names=names)
    names_of = np.array([resolve_setting(s).name for s in music.settings])
    table = {"arousal": latent[:, 0], "valence": latent[:, 1], "setting": names_of[clips.setting]}
    table |= {f"cue_{name}": values for name, values in clips.cues.items()}
    weak = quadrant(latent[:, 0], latent[:, 1])
    sound = f"Music({music.duration_s!r}, {music.sr}, {tuple(names_of.tolist())}, {music.cue_noise!r})"
    source = f"made by dissensus.datasets.synthetic.make({n_clips}, {n_listeners}, music={sound}, {panel=}, {seed=})"
    return SyntheticDataset("synthetic music", pool, annotations, weak, table, source, latent, people, clips)


def _extract(
    clips: Clips,
    features: Callable[[NDArray[np.float32], int], NDArray[Any]],
    n_threads: int,
    progress: Callable[[], None] | None,
) -> list[NDArray[Any]]:
    windows: list[NDArray[Any]] = [np.zeros((0, 0))] * len(clips)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            windows[i] = features(clips.render(i), clips.music.sr)
            if progress is not None:
                progress()

    run_blocks(work, len(clips), n_threads=n_threads, block_size=1)
    return windows


def latent_listeners(
    n_tracks: int = 700,
    n_listeners: int = 40,
    *,
    panel: Panel | None = None,
    n_features: int = 40,
    noise: float = 1.0,
    seed: int = 0,
) -> SyntheticDataset:
    """The same without sound: features are a random linear map of the latent point plus noise, standardised.

    Parameters
    ----------
    n_tracks, n_listeners : int
        Size; by default 400 of 700 tracks are rated, 100 by each listener and each by 6 others, and 300 are left to
        pre-train on.
    panel : Panel, optional
        Default: ``Panel(tracks_per_listener=100, n_rated=round(4 / 7 * n_tracks))``.
    n_features : int
        Columns.
    noise : float
        Standard deviation added to the mapped features.
    seed : int
        Seed of all that is drawn.

    Returns
    -------
    SyntheticDataset
        One window a track.

    Raises
    ------
    ParameterError
        A number outside its range.

    Examples
    --------
    >>> data = latent_listeners(seed=3)
    >>> data.pool.X.shape, len(data.annotations.listeners(min_tracks=100))
    ((700, 40), 40)
    """
    check_count(n_tracks, "n_tracks")
    check_count(n_listeners, "n_listeners")
    check_count(n_features, "n_features")
    if not noise >= 0:
        raise ParameterError(f"noise={noise!r}: must not be negative")
    panel = panel or Panel(tracks_per_listener=100, n_rated=round(4 / 7 * n_tracks))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    latent = draw_latent(n_tracks, rng)
    X = latent @ rng.standard_normal((2, n_features)) + noise * rng.standard_normal((n_tracks, n_features))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    ids = np.array([f"track-{i:05d}" for i in range(n_tracks)])
    annotations, people = annotate(latent, ids, n_listeners, panel=panel, seed=seed)
    table = {"arousal": latent[:, 0], "valence": latent[:, 1]}
    weak = quadrant(latent[:, 0], latent[:, 1])
    source = f"made by dissensus.datasets.synthetic.latent_listeners(n_tracks={n_tracks}, seed={seed})"
    pool = Pool(X.astype(np.float32), ids)
    return SyntheticDataset("synthetic points", pool, annotations, weak, table, source, latent, people)
