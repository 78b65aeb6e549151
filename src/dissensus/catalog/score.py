"""From audio files to a committee's probabilities in one go: results stream, one bad file stops nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._threads import resolve_helpers
from dissensus.catalog.embed import embedding_fingerprint, track_mean
from dissensus.catalog.pipeline import run_clips
from dissensus.committee import Committee
from dissensus.committee.cnn import CnnModel
from dissensus.errors import DissensusError
from dissensus.features.audio import Truncated
from dissensus.features.sources import Excerpt

__all__ = ["Scored", "score_files"]


@dataclass(frozen=True)
class Scored:
    """What a committee says of one file.

    Attributes
    ----------
    track_id : object
        The path as given, or the id of the excerpt.
    proba : (n_members, n_classes) ndarray of float32 or None
        Mean over the chunks; None where there is an ``error``.
    audio_s : float
        Seconds that went through the network.
    error : DissensusError or None
        Why the file cannot be used; its message names it.
    notes : tuple of str
        Remarks on a file that was used: cut off a little early, a header that counts wrongly, decoded by another program.
    """

    track_id: Any
    proba: NDArray[np.float32] | None
    audio_s: float = 0.0
    error: DissensusError | None = None
    notes: tuple[str, ...] = ()


def score_files(
    files: Iterable[str | os.PathLike[str] | Excerpt],
    model: CnnModel,
    *,
    committee: Committee | None = None,
    batch_size: int = 8,
    n_threads: int | None = None,
    truncated: Truncated = "nearly",
) -> Iterator[Scored]:
    """Score audio files with the members of a CNN, or with heads on its embeddings.

    A thread of its own (see ``n_threads``) decodes, resamples and takes log-mels while the network works on earlier chunks, and
    clips share batches: the files cost little more than the network alone. Memory does not grow with the files.

    Parameters
    ----------
    files : iterable of str, path or Excerpt
        Consumed as it goes; a generator may be endless.
    model : CnnModel
        Of either form. Its own members speak, unless ``committee`` is given.
    committee : Committee, optional
        Heads (kind ``"cnn"``) trained or personalised on embeddings of this model.
    batch_size : int
        Chunks that go through the network at a time: few keep the wait for the first of them short and cost nothing on a CPU;
        give 64 or more for a GPU.
    n_threads : int, optional
        With 2 or more, files are decoded while the network runs, by a thread of its own. Default: so, unless ``set_threads``
        was called with 1. The network's own threads are those of ``set_threads``.
    truncated : {"nearly", "error", "keep"}
        As for :func:`~dissensus.features.load_audio`.

    Yields
    ------
    Scored
        One a file, in order, each as soon as its last chunk went through the network.

    Raises
    ------
    ModelFormatError
        The model was made for another front end than this release's.
    FeatureMismatchError
        The committee was trained on other features than this model's embeddings.
    """
    if committee is not None:
        committee.check_features(model.embedding_size, fingerprint=embedding_fingerprint(model))
    clips = ((file.track_id if isinstance(file, Excerpt) else os.fspath(file), file) for file in files)
    return _scored(
        run_clips(model, clips, batch_size=batch_size, n_threads=resolve_helpers(n_threads), truncated=truncated),
        committee,
    )


def _scored(clips: Iterable[Any], committee: Committee | None) -> Iterator[Scored]:
    for clip in clips:
        if clip.error is not None:
            yield Scored(clip.track_id, None, error=clip.error)
        elif committee is None:
            yield Scored(clip.track_id, track_mean(clip.proba), clip.audio_s, notes=clip.notes)
        else:
            one_track = np.zeros(len(clip.embedding), dtype=np.int64)
            yield Scored(
                clip.track_id, committee.predict_proba(clip.embedding, one_track)[:, 0], clip.audio_s, notes=clip.notes
            )
