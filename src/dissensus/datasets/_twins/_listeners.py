"""Made-up data sets that give every listener's own ratings: AMG1608, Soundtracks, ISMIR 2020, CH-818."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dissensus.datasets._twins._files import lines, plane, write
from dissensus.datasets.ismir2020 import EMOTIONS, LANGUAGES

__all__ = ["amg1608", "ch818", "ismir2020", "soundtracks"]


def amg1608(folder: str | Path, *, n_songs: int = 6, n_listeners: int = 5, seed: int = 0) -> Path:
    """Write ``AMG1608.mat`` with ratings and frame features (three instead of 72) and ``1608_song_id.mat``.

    Every listener leaves some songs out; the ids of the songs are not the numbers of the rows.
    """
    from scipy.io import savemat

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    point = plane(n_songs, rng)
    label = np.clip(point[:, None, ::-1] + rng.normal(0.0, 0.2, (n_songs, n_listeners, 2)), -1, 1)
    label[rng.random((n_songs, n_listeners)) < 0.3] = np.nan
    label[0] = np.clip(point[0, ::-1], -1, 1)
    cells = np.empty((n_songs, 1), dtype=object)
    for i in range(n_songs):
        cells[i, 0] = rng.normal(0.0, 1.0, (3, 120))
    savemat(root / "AMG1608.mat", {"song_label": label, "feat_cell": cells})
    savemat(root / "1608_song_id.mat", {"mat_id2song_id": np.arange(n_songs)[:, None] * 7 + 3})
    return root


def ch818(folder: str | Path, *, n_songs: int = 6, seed: int = 0) -> Path:
    """Write ``ch818.csv`` with three experts' ratings and their mean, and the two sheets; give back the file.

    ``Arousal.csv`` and ``Valence.csv`` hold the same ratings as the workbook has them, without a name over the first column.
    """
    rng = np.random.default_rng(seed)
    point = 9 * plane(n_songs, rng)
    experts = np.clip(point[:, None, :] + rng.normal(0.0, 1.0, (n_songs, 3, 2)), -10, 10)
    header = ["song_id", "arousal", "valence", *(f"{axis}_{k}" for axis in "av" for k in (1, 2, 3))]
    rows = [
        [f"CH{i:03d}", *np.round(e.mean(axis=0), 5).tolist(), *np.round(e.T.ravel(), 5).tolist()]
        for i, e in enumerate(experts)
    ]
    path = Path(folder) / "ch818.csv"
    write(path, lines([header, *rows]))
    for name, axis in (("Arousal", 0), ("Valence", 1)):
        sheet = [[f"CH{i:03d}", *np.round(e[:, axis], 5).tolist()] for i, e in enumerate(experts)]
        write(path.with_name(f"{name}.csv"), lines([["", "Expert A", "Expert B", "Expert C"], *sheet]))
    return path


def soundtracks(folder: str | Path, *, seed: int = 0) -> Path:
    """Write raw ratings of ten excerpts and two columns of features.

    Six people: two halves of five excerpts; who rates the emotions of one half rates the dimensions of the other, under
    another number. One more person rates dimensions only.
    """
    root = Path(folder)
    rng = np.random.default_rng(seed)
    categories = (
        "Happy",
        "Anger",
        "Fear",
        "Sad",
        "Tender",
        "Pos. Val.",
        "Neg. Val.",
        "Pos. Ene.",
        "Neg. Ene.",
        "Pos. Ten.",
    )
    halves = (range(1, 6), range(6, 11))
    header = "Track Category Level Album id Anger Fear Happy Sad Tender Gender Age Musicianship Emotion Tension Energy Valence"
    people = [
        ("Female", 21, 1.0),
        ("Male", 24, 2.0),
        ("Female", 30, "NA"),
        ("Male", 22, 1.0),
        ("Male", 27, 3.0),
        ("Female", 24, 2.0),
    ]
    rows: list[list[Any]] = [header.split()]
    sittings = [(i + 1, facts, "Discrete", halves[i >= 3]) for i, facts in enumerate(people)]
    order = [*people[3:], *people[:3]]  # the other condition numbers from the other half on
    sittings += [(1, ("Male", 50, 2.0), "Dimensional", halves[0])]
    sittings += [(i + 2, facts, "Dimensional", halves[i >= 3]) for i, facts in enumerate(order)]
    for number, facts, condition, half in sittings:
        for track in half:
            emotions, dimensions = rng.integers(1, 10, 5).tolist(), rng.integers(1, 10, 3).tolist()
            discrete = condition == "Discrete"
            rated = [
                *(emotions if discrete else ["NA"] * 5),
                *facts,
                condition,
                *(["NA"] * 3 if discrete else dimensions),
            ]
            rows.append([track, categories[track - 1], "High", "A film", number, *rated])
    write(root / "raw_ratings.csv.gz", lines(rows))
    X = np.round(rng.normal(0.0, 1.0, (10, 2)), 4).tolist()
    table = [["File", "RMS", "sp_centr", "Track"], *([f"{i + 1:03d}.mp3", *x, i + 1] for i, x in enumerate(X))]
    write(root / "soundtrack_features.csv", lines(table))
    return root


def ismir2020(folder: str | Path, *, n_people: int = 3, seed: int = 0) -> Path:
    """Write the four surveys, one incomplete in each, and the long table of the complete ones."""
    root = Path(folder)
    rng = np.random.default_rng(seed)
    clips = [f"{emotion}_{k}" for emotion in EMOTIONS for k in (1, 2)]
    scores = ["mus_trai:1", "emo:1", "mus_soph:1"]
    header = ["participant", *(f"{clip}:{k}" for clip in clips for k in range(1, 15)), *scores, "country"]
    items = [*EMOTIONS, "preference", "familiarity", "understanding"]
    long: list[list[Any]] = [["user", "language", *items, "excerpt", "mus_train", "emotions", "mus_soph"]]
    for language in LANGUAGES:
        rows: list[list[Any]] = [header]
        for person in range(n_people + 1):
            ratings, gold = rng.integers(1, 6, (len(clips), 14)).tolist(), rng.integers(10, 80, 3).tolist()
            row = [f"p{person}", *(value for clip in ratings for value in clip), *gold, "nowhere"]
            if person == 1:
                row[5] = ""
            else:
                row += [""] * (person == 0)
                long += [
                    [f"{language}{person}", language, *clip, f"{name}", *gold]
                    for name, clip in zip(clips, ratings, strict=True)
                ]
            rows.append(row)
        write(root / f"data_{language}.csv.gz", lines(rows))
    write(root / "data_ratings.all.csv", lines(long))
    return root
