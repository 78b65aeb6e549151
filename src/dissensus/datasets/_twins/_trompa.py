"""A made-up TROMPA-MER."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dissensus.datasets._twins._files import lines, plane, write

__all__ = ["trompa"]


def trompa(folder: str | Path, *, n_tracks: int = 40, n_listeners: int = 6, seed: int = 0) -> Path:
    """Write both snapshots and the track table of a made-up TROMPA-MER.

    Every listener judges half of the tracks; the first listener judges one track twice; the last track's row is in the
    table twice, under two selections; the newer snapshot spells the listener's field ``userid`` as the oldest one did.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    n_tracks, n_listeners, seed : int
        Size and seed.

    Returns
    -------
    Path
        The folder.
    """
    root = Path(folder)
    rng = np.random.default_rng(seed)
    point = plane(n_tracks, rng)
    selections = ("choir", "latam", "africa")
    header = "selection cdr_title_num cdr_track_num composer_name artist_name track_name track_id popularity year_rec"
    header += " danceability energy valence key loudness mode speechiness acousticness instrumentalness liveness tempo"
    header += " norm_energy norm_valence quadrant"
    rows: list[list[Any]] = [["", *header.split()]]
    for i, (a, v) in enumerate(point):
        energy, valence, acoustic = np.round((a + 1) / 2, 3), np.round((v + 1) / 2, 3), np.round(rng.uniform(), 3)
        year = f"{rng.integers(1950, 2020)}" + ("-05-01" if i % 2 else "")
        speech, live = np.round(rng.uniform(0.02, 0.5, 2), 3)
        quadrant = 1 + (0 if a >= 0 and v >= 0 else 1 if a >= 0 else 2 if v < 0 else 3)
        level = [energy, energy, valence, rng.integers(0, 12), np.round(-30 + 25 * energy, 2), rng.integers(0, 2)]
        rest = [speech, acoustic, 0.1, live, np.round(80 + 60 * energy, 2), np.round(2 * a, 4), np.round(2 * v, 4)]
        title, place = f"TW{i // 4:02d}", selections[i % 3]
        names = [i, place, title, f"{title}-{i:04d}", "nobody", "twin", f"tune {i}", f"t{i}"]
        rows.append([*names, rng.integers(0, 70), year, *level, *rest, quadrant])
    rows.append([n_tracks, selections[(n_tracks % 3)], *rows[-1][2:]])
    write(root / "summary_anno.tsv.gz", lines(rows, "\t"))
    ids = [row[3] for row in rows[1 : n_tracks + 1]]
    words = (("joy", "power", "surprise"), ("anger", "fear", "tension"), ("sadness", "bitterness"), ("peace",))
    records: list[dict[str, Any]] = []
    for listener in range(n_listeners):
        shift = rng.normal(0.0, 0.3, 2)
        judged = rng.permutation(n_tracks)[: n_tracks // 2].tolist()
        for step, track in enumerate(judged + judged[:1] * (listener == 0)):
            a, v = np.where(point[track] + shift + rng.normal(0.0, 0.2, 2) >= 0, 1, -1).tolist()
            mood = rng.choice(words[0 if a > 0 < v else 1 if a > 0 else 2 if v < 0 else 3])
            records.append(
                {
                    "internalID": f"x{len(records)}",
                    "externalID": ids[track],
                    "userId": f"listener-{listener}",
                    "timestamp": str(1_600_000_000 + 1000 * listener + 10 * step),
                    "freeMood": None,
                    "valenceValue": str(v),
                    "valenceComment": "Harmony",
                    "arousalValue": str(a),
                    "arousalComment": "Fast_tempo",
                    "moodValue": str(mood),
                    "moodComment": "",
                    "favSong": str(rng.integers(0, 2)),
                    "knownSong": str(rng.integers(0, 2)),
                    "annotationTime": str(rng.integers(5_000, 90_000)),
                }
            )
    document = {"annotations": records, "users": [], "moods": []}
    write(root / "data_07_03_2022.json.gz", json.dumps(document))
    old = [{("userid" if k == "userId" else k): value for k, value in record.items()} for record in records]
    write(root / "data_20_09_2024.json", json.dumps({**document, "annotations": old}))
    return root
