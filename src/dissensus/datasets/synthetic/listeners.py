"""Listeners with personal boundaries: each hears the plane turned and shifted, and sometimes answers at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._types import QUADRANTS, Annotations, quadrant
from dissensus.errors import ParameterError

__all__ = ["Panel", "People", "annotate"]


@dataclass(frozen=True)
class Panel:
    """Who listens, to how much, and how personally.

    Parameters
    ----------
    tracks_per_listener : int
        Tracks that each listener annotates.
    rho : float
        How personal: standard deviation of the shift on either axis; 0 = everybody hears the same.
    rotation : float, optional
        Standard deviation of the turn of the plane, radians. Default: ``rho / 2``.
    flip : float
        Probability that an answer is one of the three other quadrants.
    crowd_per_track : int
        Annotations of each rated track by other people, who hear as personally as the listeners do.
    crowd_tracks : int
        Tracks that each of those people annotates.
    n_rated : int, optional
        Tracks that anybody annotates; the others only have the weak label. Default: 60 % of the tracks.

    Raises
    ------
    ParameterError
        A number outside its range.
    """

    tracks_per_listener: int = 60
    rho: float = 0.4
    rotation: float | None = None
    flip: float = 0.05
    crowd_per_track: int = 6
    crowd_tracks: int = 20
    n_rated: int | None = None

    def __post_init__(self) -> None:
        if not self.rho >= 0 or (self.rotation is not None and not self.rotation >= 0):
            raise ParameterError(f"rho={self.rho!r}, rotation={self.rotation!r}: must not be negative")
        if not 0 <= self.flip <= 1:
            raise ParameterError(f"flip={self.flip!r}: must be in [0, 1]")
        if self.tracks_per_listener < 1 or self.crowd_per_track < 0 or self.crowd_tracks < 1:
            raise ParameterError("tracks_per_listener and crowd_tracks must be at least 1, crowd_per_track at least 0")

    def rated(self, n_tracks: int) -> int:
        """How many of ``n_tracks`` anybody annotates.

        Raises
        ------
        ParameterError
            More than there are, or fewer than a listener is to annotate.
        """
        n = round(0.6 * n_tracks) if self.n_rated is None else self.n_rated
        if not self.tracks_per_listener <= n <= n_tracks:
            raise ParameterError(
                f"{n} of {n_tracks} tracks are to be rated, {self.tracks_per_listener} by each listener: give more tracks, "
                "or fewer tracks_per_listener, or another n_rated"
            )
        return n


@dataclass(frozen=True, eq=False)
class People:
    """The truth about the made-up people.

    Parameters
    ----------
    listener_id : (n_people,) ndarray of str
        ``listener-…`` first, then ``crowd-…``.
    shift : (n_people, 2) ndarray
        Added to (arousal, valence) after the turn.
    angle : (n_people,) ndarray
        Turn, radians, anticlockwise with valence to the right and arousal upwards.
    """

    listener_id: NDArray[np.str_]
    shift: NDArray[np.float64]
    angle: NDArray[np.float64]

    def perceive(self, person: int, latent: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) arousal and valence as this person hears them."""
        sin, cos = np.sin(self.angle[person]), np.cos(self.angle[person])
        a, v = latent[:, 0], latent[:, 1]
        heard = np.stack((cos * a + sin * v, cos * v - sin * a), axis=1) + self.shift[person]
        return np.asarray(heard)


def annotate(
    latent: NDArray[np.float64], track_ids: NDArray[np.str_], n_listeners: int, *, panel: Panel, seed: int
) -> tuple[Annotations, People]:
    """Annotations of tracks by made-up people.

    Parameters
    ----------
    latent : (n_tracks, 2) ndarray
        Arousal and valence; the first ``panel.rated(n_tracks)`` rows are annotated.
    track_ids : (n_tracks,) ndarray of str
        Their names.
    n_listeners : int
        Number of listeners who annotate ``panel.tracks_per_listener`` tracks each; the crowd comes on top.
    panel : Panel
        How they hear.
    seed : int
        The first listeners stay the same people when more are added.

    Returns
    -------
    Annotations
        ``extra`` has ``arousal`` and ``valence`` as heard, and ``unflipped``, the label without the random answers.
    People
        The truth.
    """
    n_rated = panel.rated(len(latent))
    groups = -(-n_rated // panel.crowd_tracks)
    n_crowd = panel.crowd_per_track * groups
    names = [f"listener-{i:03d}" for i in range(n_listeners)] + [f"crowd-{i:04d}" for i in range(n_crowd)]
    generators = [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2 + kind, i)))
        for kind, n in enumerate((n_listeners, n_crowd))
        for i in range(n)
    ]
    rotation = panel.rho / 2 if panel.rotation is None else panel.rotation
    drawn = np.array([rng.standard_normal(3) for rng in generators]).reshape(-1, 3)
    people = People(np.array(names), panel.rho * drawn[:, :2], rotation * drawn[:, 2])
    hand = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
    dealt = [part for _ in range(panel.crowd_per_track) for part in np.array_split(hand.permutation(n_rated), groups)]
    own = [rng.permutation(n_rated)[: panel.tracks_per_listener] for rng in generators[:n_listeners]]
    rated = [*own, *dealt]
    person = np.repeat(np.arange(len(names)), [len(r) for r in rated])
    track = np.concatenate(rated) if rated else np.zeros(0, dtype=np.int64)
    heard = [people.perceive(i, latent[r]) for i, r in enumerate(rated)]
    point = np.concatenate(heard) if heard else np.zeros((0, 2))
    unflipped = quadrant(point[:, 0], point[:, 1])
    chance = np.concatenate([rng.random((len(r), 2)) for rng, r in zip(generators, rated, strict=True)] or [point])
    other = (unflipped + 1 + (3 * chance[:, 1]).astype(np.int64)) % 4
    annotations = Annotations(
        people.listener_id[person],
        track_ids[track],
        np.where(chance[:, 0] < panel.flip, other, unflipped),
        QUADRANTS,
        1_700_000_000 + 60 * np.arange(len(track)),
        {"arousal": point[:, 0], "valence": point[:, 1], "unflipped": unflipped},
    )
    return annotations, people
