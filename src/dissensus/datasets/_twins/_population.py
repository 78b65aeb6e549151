"""Made-up data sets that give means over raters: DEAM, emoMusic, PMEmo, 4Q, Grekow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._twins._files import lines, plane, write

__all__ = ["deam", "emomusic", "fourq", "grekow", "pmemo"]

_DEAM = "annotations/annotations averaged per song"


def _curves(point: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_songs, n, 2) values that wander around each song's point."""
    walk = np.cumsum(rng.normal(0.0, 0.05, (len(point), n, 2)), axis=1)
    return np.asarray(np.round(np.clip(0.7 * point[:, None, :] + walk, -1, 1), 4), dtype=np.float64)


def _wide(song: list[int], values: NDArray[np.float64], length: NDArray[np.int64]) -> str:
    """``song_id, sample_15000ms, …``; shorter songs have shorter rows."""
    header = ["song_id", *(f"sample_{15000 + 500 * i}ms" for i in range(values.shape[1]))]
    return lines([header, *([s, *row[:n]] for s, row, n in zip(song, values.tolist(), length, strict=True))])


def _static(song: list[int], point: NDArray[np.float64], header: list[str]) -> str:
    rows = [[s, round(5 + 4 * v, 3), 1.0, round(5 + 4 * a, 3), 1.0] for s, (a, v) in zip(song, point, strict=True)]
    return lines([header, *rows])


def deam(folder: str | Path, *, n_songs: int = 8, seed: int = 0) -> Path:
    """Write annotations in the folders of DEAM's release and, in ``features/``, five columns instead of 260.

    The first song is annotated for longer than the others; valence ends one instant before arousal.
    """
    root = Path(folder)
    rng = np.random.default_rng(seed)
    point, song = plane(n_songs, rng), list(range(2, n_songs + 2))
    values = _curves(point, 12, rng)
    length = np.full(n_songs, 10)
    length[0] = 12
    for i, axis in enumerate(("arousal", "valence")):
        text = _wide(song, values[:, : 12 - i, i], length - i)
        write(root / f"{_DEAM}/dynamic (per second annotations)/{axis}.csv", text)
    header = ["song_id", " valence_mean", " valence_std", " arousal_mean", " arousal_std"]
    half = n_songs // 2
    for name, part in (("1_2000", slice(0, half)), ("2000_2058", slice(half, None))):
        path = root / f"{_DEAM}/song_level/static_annotations_averaged_songs_{name}.csv"
        write(path, _static(song[part], point[part], header))
    for i, s in enumerate(song):
        time = np.arange(14.0, 22.0, 0.5)
        X = np.round(point[i].repeat(2)[None, :4] + rng.normal(0.0, 0.3, (len(time), 4)), 5)
        rows = [[t, *x, 1] for t, x in zip(time.tolist(), X.tolist(), strict=True)]
        write(root / "features" / f"{s}.csv", lines([["frameTime", "f1", "f2", "f3", "f4", "f5"], *rows], ";"))
    return root


def emomusic(folder: str | Path, *, n_songs: int = 6, seed: int = 0) -> Path:
    """Write the annotation files of Emotion in Music."""
    root = Path(folder)
    rng = np.random.default_rng(seed)
    point, song = plane(n_songs, rng), list(range(1, n_songs + 1))
    values = _curves(point, 8, rng)
    length = np.full(n_songs, 8)
    for i, axis in enumerate(("arousal", "valence")):
        write(root / f"annotations/{axis}_cont_average.csv", _wide(song, values[:, :, i], length))
    header = ["song_id", "mean_valence", "std_valence", "mean_arousal", "std_arousal"]
    write(root / "annotations/static_annotations.csv", _static(song, point, header))
    return root


def pmemo(folder: str | Path, *, n_songs: int = 6, seed: int = 0) -> Path:
    """Write annotations and features of PMEmo2019, three columns of features; the last song has none."""
    root = Path(folder)
    rng = np.random.default_rng(seed)
    point, song = plane(n_songs, rng), list(range(1, n_songs + 1))
    values = (_curves(point, 6, rng) + 1) / 2
    axes = ["Arousal(mean)", "Valence(mean)"]
    static = [[s, round((a + 1) / 2, 4), round((v + 1) / 2, 4)] for s, (a, v) in zip(song, point, strict=True)]
    write(root / "annotations/static_annotations.csv", lines([["musicId", *axes], *static]))
    dynamic: list[list[Any]] = [["musicId", "frameTime", *axes]]
    features: list[list[Any]] = [["musicId", "frameTime", "f1", "f2", "f3"]]
    whole: list[list[Any]] = [["musicId", "f1", "f2"]]
    for i, s in enumerate(song):
        for k, (a, v) in enumerate(values[i].tolist()):
            dynamic.append([s, 15 + 0.5 * k, round(a, 4), round(v, 4)])
            if i < n_songs - 1:
                features.append([s, 15 + 0.5 * k, *np.round(rng.normal(0.0, 1.0, 3), 4).tolist()])
        if i < n_songs - 1:
            whole.append([s, *np.round(point[i], 4).tolist()])
    write(root / "annotations/dynamic_annotations.csv", lines(dynamic))
    write(root / "features/dynamic_features.csv", lines(features))
    write(root / "features/static_features.csv", lines(whole))
    return root


def fourq(folder: str | Path, *, n_songs: int = 8, seed: int = 0) -> Path:
    """Write the annotations of 4Q, its longer metadata, and a table of two features and the quadrant, ``features.csv``."""
    root = Path(folder)
    rng = np.random.default_rng(seed)
    song = [f"MT{i:010d}" for i in range(n_songs)]
    write(
        root / "panda_dataset_taffc_annotations.csv",
        lines([["Song", "Quadrant"], *([s, f"Q{i % 4 + 1}"] for i, s in enumerate(song))]),
    )
    about = [[s, "Somebody, and others", f"Q{i % 4 + 1}", "Happy; Lively"] for i, s in enumerate(song)]
    write(
        root / "panda_dataset_taffc_metadata.csv",
        lines([["Song", "Artist", "Quadrant", "MoodsStrSplit"], *([f'"{c}"' for c in row] for row in about)]),
    )
    quadrants = {s: f"Q{i % 4 + 1}" for i, s in enumerate(song)}
    rows = [[s, *np.round(rng.normal(0.0, 1.0, 2), 4).tolist(), quadrants[s]] for s in reversed(song)]
    write(root / "features.csv", lines([["Song", "f1", "f2", "Quadrant"], *rows]))
    return root


def grekow(folder: str | Path, *, n_clips: int = 8, seed: int = 0) -> Path:
    """Write Grekow's annotations and three columns of features instead of 260."""
    root = Path(folder)
    rng = np.random.default_rng(seed)
    point = np.round(10 * plane(n_clips, rng), 2)
    category = [1 if a > 0 < v else 2 if a > 0 else 3 if v < 0 else 4 for a, v in point]
    rows = [[i, f"{i:03d}.wav", *p, f"e{c}"] for i, (p, c) in enumerate(zip(point.tolist(), category, strict=True))]
    write(root / "All_annotations.csv", lines([["Id", "Name", "Arousal", "Valence", "EmoCat"], *rows]))
    X = np.round(rng.normal(0.0, 1.0, (n_clips, 3)), 4).tolist()
    table = [
        ["Name", "f1_sma_stddev", "f1_sma_amean", "f2_sma_stddev"],
        *([f"{i:03d}.wav", *x] for i, x in enumerate(X)),
    ]
    write(root / "compare2016_lld_mean_std_260.csv.gz", lines(table))
    return root
