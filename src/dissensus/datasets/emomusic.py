"""Emotion in Music ("1000 Songs"): 744 clips of 45 s, arousal and valence along time and as a whole.

Soleymani, Caro, Schmidt, Sha & Yang, "1000 songs for emotional analysis of music", ACM CrowdMM 2013. How to obtain it:
``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path

from dissensus.datasets._dynamic import DynamicDataset, SongLabel, assemble, read_curves, read_static
from dissensus.datasets._read import find_file, require_folder
from dissensus.datasets._types import Boundary

__all__ = ["load"]


def load(folder: str | Path, *, song_label: SongLabel = "static", boundary: Boundary = "nonneg") -> DynamicDataset:
    """Read the averaged annotations.

    Parameters
    ----------
    folder : path
        Holds ``arousal_cont_average.csv``, ``valence_cont_average.csv`` and ``static_annotations.csv``, itself or in
        ``annotations/``.
    song_label : {"static", "majority", "mean", "published"}
        A song's quadrant: of the rating of the whole clip (1 to 9, middle 5), or from its windows as in
        :func:`dissensus.datasets.deam.load`.
    boundary : str
        What a zero (or a five) means; see :func:`~dissensus.datasets.quadrant`.

    Returns
    -------
    DynamicDataset
        One window an annotated instant (2 Hz, from 15 s on), without feature columns; ``track_table`` has
        ``static_arousal`` and ``static_valence``, centred.

    Raises
    ------
    DataFormatError
        A file is missing or not as published; the message has file, place and cause.
    """
    root = require_folder(folder, "expected the annotations of Emotion in Music")
    arousal, valence, whole = (
        find_file(root, name, f"annotations/{name}", what="an annotation file of Emotion in Music")
        for name in ("arousal_cont_average.csv", "valence_cont_average.csv", "static_annotations.csv")
    )
    return assemble(
        "emomusic",
        read_curves(arousal, valence),
        None,
        None,
        static=read_static([whole], ("song_id", "mean_arousal", "mean_valence"), 5.0),
        song_label=song_label,
        boundary=boundary,
        source="Emotion in Music (1000 Songs), Soleymani et al., CrowdMM 2013; cvml.unige.ch/databases/emoMusic",
    )
