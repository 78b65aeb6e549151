"""AMG1608: 1608 clips of pop music, rated in arousal and valence by 665 listeners, some by each.

Chen, Yang, Wang & Chen, "The AMG1608 dataset for music emotion recognition", ICASSP 2015. How to obtain it:
``docs/reference/datasets.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.datasets._read import require_folder
from dissensus.datasets._types import QUADRANTS, Annotations, Boundary, Dataset, quadrant
from dissensus.errors import DataFormatError
from dissensus.features.pool import Pool

__all__ = ["load"]

_LABEL_FILES: Final = ("AMG1608.mat", "amg1608.mat", "song_label.mat")
_ID_FILES: Final = ("1608_song_id.mat", "mat_id2song_id.mat")
_N_TURK: Final = 643
_N_LISTENERS: Final = 665
_FRAME_S: Final = 30.0 / 1199
_SOURCE: Final = "AMG1608, Chen et al., ICASSP 2015; amg1608.blogspot.com"


def load(folder: str | Path, *, features: bool = False, boundary: Boundary = "nonneg") -> Dataset:
    """Read the annotations of every listener, with or without the released frame features.

    Parameters
    ----------
    folder : path
        Holds, itself or in ``anno/``, the MAT-file with ``song_label`` (``AMG1608.mat`` of the release, or
        ``song_label.mat``) and, if there is one, ``1608_song_id.mat`` (or ``mat_id2song_id.mat``), whose variable
        ``mat_id2song_id`` maps its rows to the ids of the audio files. Without it songs are called by their row, from 1.
    features : bool
        Read ``feat_cell`` (72 descriptors a frame) and give mean and standard deviation over windows of 1 s, 50 %
        overlap: 144 columns. Without, there are no feature columns and one window a song.
    boundary : str
        What a zero means; ``"amg1608"`` reproduces the published experiments. See
        :func:`~dissensus.datasets.quadrant`.

    Returns
    -------
    Dataset
        Listeners ``user-000``…; ``annotations.extra`` has ``arousal`` and ``valence`` in [-1, 1] and ``campus``, whether
        the listener is of the campus subset (the last 22 of 665). ``song_label`` is songs × listeners × 2, **valence
        first**, NaN = not rated.

    Raises
    ------
    DataFormatError
        A file is missing or not as published: no such variable, another shape, values outside [-1, 1], one axis rated
        without the other.
    """
    root = require_folder(folder, "expected the MAT-file of AMG1608")
    path = _first(root, _LABEL_FILES)
    if path is None:
        raise DataFormatError(
            f"{root}: none of {', '.join(_LABEL_FILES)} is here or in anno/; expected the ratings of AMG1608"
        )
    label = np.asarray(_variable(path, "song_label"))
    if label.ndim != 3 or label.shape[2] != 2 or label.dtype.kind not in "fiu" or 0 in label.shape:
        raise DataFormatError(
            f"{path}: song_label is {label.dtype} {label.shape}, expected numbers (songs, listeners, 2)"
        )
    ids = _song_ids(_first(root, _ID_FILES), len(label))
    valence, arousal = label[:, :, 0].astype(np.float64), label[:, :, 1].astype(np.float64)
    rated = ~np.isnan(valence)
    if (rated != ~np.isnan(arousal)).any():
        song, listener = np.argwhere(rated != ~np.isnan(arousal))[0]
        raise DataFormatError(f"{path}: song_label[{song}, {listener}] has one of valence and arousal only")
    wrong = rated & ~((np.abs(valence) <= 1) & (np.abs(arousal) <= 1))
    if wrong.any():
        song, listener = np.argwhere(wrong)[0]
        point = (float(valence[song, listener]), float(arousal[song, listener]))
        raise DataFormatError(
            f"{path}: song_label[{song}, {listener}] is {point}, expected valence and arousal in [-1, 1]"
        )
    song, listener = np.nonzero(rated)
    a, v = arousal[song, listener], valence[song, listener]
    campus = listener >= _N_TURK if label.shape[1] == _N_LISTENERS else np.zeros(len(listener), dtype=bool)
    names = np.array([f"user-{i:03d}" for i in range(label.shape[1])])
    annotations = Annotations(
        names[listener],
        ids[song],
        quadrant(a, v, boundary=boundary),
        QUADRANTS,
        None,
        {"arousal": a, "valence": v, "campus": campus},
    )
    pool = _features(path, ids) if features else Pool(np.zeros((len(ids), 0), dtype=np.float32), ids)
    return Dataset("amg1608", pool, annotations, None, {}, _SOURCE)


def _variable(path: Path, name: str) -> Any:
    """One variable of a MAT-file of version 4 to 7; nothing in such a file is executed."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=[name])
    except NotImplementedError:
        raise DataFormatError(
            f"{path}: a MAT-file of version 7.3; save it again with -v7 in MATLAB or Octave"
        ) from None
    except Exception as error:
        raise DataFormatError(f"{path}: cannot be read as a MAT-file: {error}") from None
    if name not in content:
        raise DataFormatError(f"{path}: holds no variable {name!r}")
    return content[name]


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the files that is there."""
    return next(
        (folder / name for name in names for folder in (root, root / "anno") if (folder / name).is_file()), None
    )


def _song_ids(path: Path | None, n_songs: int) -> NDArray[np.str_]:
    if path is None:
        return np.array([str(i + 1) for i in range(n_songs)])
    ids = np.asarray(_variable(path, "mat_id2song_id")).reshape(-1)
    if len(ids) != n_songs or ids.dtype.kind not in "iuf" or len(np.unique(ids)) != n_songs:
        raise DataFormatError(f"{path}: mat_id2song_id must give {n_songs} different numbers; it has shape {ids.shape}")
    return np.array([str(int(i)) for i in ids])


def _features(path: Path, ids: NDArray[np.str_]) -> Pool:
    cells = np.asarray(_variable(path, "feat_cell")).reshape(-1)
    if len(cells) != len(ids) or cells.dtype != object:
        raise DataFormatError(f"{path}: feat_cell must be {len(ids)} cells, one a song; it has shape {cells.shape}")
    size = max(1, round(1.0 / _FRAME_S))
    step = max(1, size // 2)
    blocks = []
    for i, cell in enumerate(cells):
        frames = np.asarray(cell)
        if frames.ndim != 2 or frames.dtype.kind not in "fiu" or frames.shape[0] != np.asarray(cells[0]).shape[0]:
            raise DataFormatError(f"{path}: feat_cell[{i}] is {frames.dtype} {frames.shape}, expected (72, n_frames)")
        if not (np.abs(frames) <= 1e18).all():
            raise DataFormatError(f"{path}: feat_cell[{i}] holds NaN, infinity or values beyond 1e18")
        length = min(size, frames.shape[1])
        windows = np.lib.stride_tricks.sliding_window_view(frames.astype(np.float64), length, axis=1)[:, ::step]
        blocks.append(np.concatenate((windows.mean(axis=2), windows.std(axis=2))).T)
    n = blocks[0].shape[1] // 2
    names = [f"frame_{i}_{what}" for what in ("mean", "sd") for i in range(1, n + 1)]
    track = np.repeat(ids, [len(b) for b in blocks])
    return Pool(np.concatenate(blocks).astype(np.float32), track, feature_names=names)
