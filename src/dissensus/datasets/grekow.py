"""Grekow's 324 six-second clips with mean arousal and valence of five raters and 260 IS13 descriptors.

Grekow, "From content-based music emotion recognition to emotion maps of musical pieces", Springer, 2018. How to obtain it:
``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dissensus.datasets._dynamic import population
from dissensus.datasets._read import find_file, number, read_numeric_by_id, read_table, require_folder, unique_index
from dissensus.datasets._types import Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError
from dissensus.features.pool import Pool

__all__ = ["load"]

_CATEGORIES = ("e1", "e2", "e3", "e4")


def load(folder: str | Path, *, boundary: Boundary = "nonneg") -> Dataset:
    """Read annotations and features.

    Parameters
    ----------
    folder : path
        Holds ``All_annotations.csv`` (``Id, Name, Arousal, Valence, EmoCat``) and
        ``compare2016_lld_mean_std_260.csv`` (``Name`` and 260 columns in IS13 order), each plain or gzipped.
    boundary : str
        What a zero means; see :func:`~dissensus.datasets.quadrant`. The file's own ``EmoCat`` must agree off the axes.

    Returns
    -------
    Dataset
        One window a clip; ``extra`` of the annotations has ``arousal`` and ``valence``, about [-10, 10].

    Raises
    ------
    DataFormatError
        A file is missing or not as published, or ``EmoCat`` contradicts arousal and valence.
    """
    root = require_folder(folder, "expected Grekow's annotations and features")
    path = find_file(root, "All_annotations.csv", what="Grekow's annotations")
    table = read_table(path, required=("Name", "Arousal", "Valence", "EmoCat"))
    clips = [cell.strip() for cell in table["Name"]]
    unique_index(clips, table, "Name")
    if not clips:
        raise DataFormatError(f"{path}: no clip below the header")
    a, v = number(table, "Arousal"), number(table, "Valence")
    label = quadrant(a, v, boundary=boundary)
    for row, category in enumerate(table["EmoCat"]):
        if category.strip() not in _CATEGORIES:
            raise DataFormatError(f"{table.at(row)}: EmoCat is {category!r}, expected e1, e2, e3 or e4")
        if a[row] != 0 != v[row] and _CATEGORIES.index(category.strip()) != label[row]:
            raise DataFormatError(
                f"{table.at(row)}: EmoCat {category!r} contradicts arousal {a[row]:g}, valence {v[row]:g}"
            )
    features = find_file(root, "compare2016_lld_mean_std_260.csv", what="the 260 IS13 features")
    names, X = read_numeric_by_id(features, clips)
    pool = Pool(X, np.array(clips), feature_names=names)
    annotations = population(clips, label, arousal=a, valence=v)
    return Dataset("grekow", pool, annotations, label, {}, "Grekow 2018; github.com/grekowj/musemodataset")
