"""A synthetic data set as a folder of FLAC files and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from dissensus._files import replace_folder, write_text
from dissensus._threads import run_blocks
from dissensus.datasets.synthetic.make import SyntheticDataset
from dissensus.errors import ParameterError

__all__ = ["write_folder"]

_MARK: Final = "Music and listeners made by dissensus."

_README: Final = """# {mark}

{n_clips} clips of {duration:g} s at {sr} Hz, mono, and {n_annotations} annotations by {n_people} people. Nothing here was
recorded and nobody was asked: every sample and every answer follows from the seed. To make it again:

`{source}`


- `audio/`: the clips as FLAC.
- `manifest.csv`: one row per clip: its file, the synthesiser's setting, the arousal and valence it was made for, the quadrant
  of that point (`weak_label`), and the cues it was played with (`cue_tempo` in beats a minute, `cue_level` in dB below full
  scale, `cue_mode` from 0 minor to 1 major, …).
- `annotations.csv`: one row per judgement: `listener_id` (`listener-…` annotate many clips, `crowd-…` a few), `track_id`,
  `label` (Q1 A+V+, Q2 A+V-, Q3 A-V-, Q4 A-V+), `timestamp`, and the arousal and valence that this person hears.
"""


def write_folder(
    data: SyntheticDataset,
    folder: str | Path,
    *,
    force: bool = False,
    n_threads: int = 1,
    progress: Callable[[], None] | None = None,
) -> Path:
    """Write the clips, a manifest, the annotations and a README; whole or not at all.

    Parameters
    ----------
    data : SyntheticDataset
        Made with music.
    folder : path
        New or empty. It is written beside and renamed.
    force : bool
        Replace a folder that was written by this function; any other is refused all the same.
    n_threads : int
        Clips rendered at a time; the files are the same for any number.
    progress : callable, optional
        Called after each clip, possibly from another thread.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParameterError
        A data set without sound, or a folder that is not empty.
    StoreError
        The disk refused.
    """
    if data.clips is None:
        raise ParameterError(f"{data.name} has no sound to write: make it with music")
    target = Path(folder).absolute()
    _check_target(target, force=force)

    def fill(beside: Path) -> None:
        (beside / "audio").mkdir()
        _write_clips(data, beside / "audio", n_threads, progress)
        write_text(beside / "manifest.csv", _csv(*_manifest(data)))
        write_text(beside / "annotations.csv", _csv(*_annotations(data)))
        write_text(beside / "README.md", _readme(data))

    replace_folder(target, fill)
    return Path(folder)


def _check_target(target: Path, *, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ParameterError(f"{target}: exists and is not a plain folder; choose another name")
    if not target.exists() or not any(target.iterdir()):
        return
    if not force:
        raise ParameterError(f"{target}: is not empty; choose another folder, or --force (force=True) to replace it")
    readme = target / "README.md"
    if not readme.is_file() or _MARK not in readme.read_text(encoding="utf-8", errors="replace")[:200]:
        raise ParameterError(f"{target}: was not written by dissensus synth, so it is not replaced; empty it yourself")


def _write_clips(data: SyntheticDataset, folder: Path, n_threads: int, progress: Callable[[], None] | None) -> None:
    from dissensus.features.audio import write_audio

    ids = data.pool.track_ids.tolist()

    def work(start: int, stop: int) -> None:
        for track_id in ids[start:stop]:
            write_audio(folder / f"{track_id}.flac", data.clip(track_id), data.sr)
            if progress is not None:
                progress()

    run_blocks(work, len(ids), n_threads=n_threads, block_size=1)


def _csv(header: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def _manifest(data: SyntheticDataset) -> tuple[list[str], Iterable[tuple[Any, ...]]]:
    assert data.weak_label is not None
    ids = data.pool.track_ids.tolist()
    columns = {
        "track_id": ids,
        "file": [f"audio/{i}.flac" for i in ids],
        "weak_label": [data.classes[i] for i in data.weak_label.tolist()],
        **{name: column.tolist() for name, column in data.track_table.items()},
    }
    return list(columns), zip(*columns.values(), strict=True)


def _annotations(data: SyntheticDataset) -> tuple[list[str], Iterable[tuple[Any, ...]]]:
    a = data.annotations
    assert a.timestamp is not None
    columns = {
        "listener_id": a.listener_id.tolist(),
        "track_id": a.track_id.tolist(),
        "label": [a.classes[i] for i in a.label.tolist()],
        "timestamp": a.timestamp.tolist(),
        "arousal": a.extra["arousal"].tolist(),
        "valence": a.extra["valence"].tolist(),
    }
    return list(columns), zip(*columns.values(), strict=True)


def _readme(data: SyntheticDataset) -> str:
    assert data.clips is not None
    return _README.format(
        mark=_MARK,
        n_clips=data.pool.n_tracks,
        duration=data.clips.music.duration_s,
        sr=data.sr,
        n_annotations=len(data.annotations),
        n_people=len(set(data.annotations.listener_id.tolist())),
        source=data.source.removeprefix("made by "),
    )
