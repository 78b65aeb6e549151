"""From audio to the embeddings of a CNN: clips into memory, files into a pool on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._chunks import CHUNK_SAMPLES, SAMPLE_RATE
from dissensus._names import escape_name
from dissensus._threads import resolve_helpers, resolve_threads
from dissensus.catalog.pipeline import ClipResult, run_clips
from dissensus.committee.cnn import CnnModel
from dissensus.errors import ParameterError
from dissensus.features import Pool, PoolWriter
from dissensus.features.audio import Truncated, decoder_versions
from dissensus.features.extract import ExtractReport, Outcome, Progress, collect, still_to_do
from dissensus.features.sources import Excerpt

__all__ = ["Embedded", "embed_clips", "embed_files", "embedding_fingerprint"]


class Embedded(NamedTuple):
    """What the CNN makes of a catalog.

    Attributes
    ----------
    pool : Pool
        One window a chunk of 3.69 s; ``X`` holds the embeddings that heads read (kind ``"cnn"`` of a committee).
    proba : (n_members, n_tracks, n_classes) ndarray of float32
        Mean over the chunks of a track, in the order of ``pool.track_ids``.
    """

    pool: Pool
    proba: NDArray[np.float32]


def embedding_fingerprint(model: CnnModel) -> str:
    """Name of the features that a model makes: a pool, and a committee trained on it, carry it."""
    return f"cnn:{model.sha256[:16]}"


def track_mean(proba: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_members, n_classes) mean over the chunks, summed in float64."""
    return np.asarray(proba.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _outcome(clip: ClipResult) -> Outcome:
    if clip.error is not None:
        return Outcome(None, kind=type(clip.error).__name__, message=escape_name(str(clip.error)))
    return Outcome(clip.embedding, clip.audio_s, notes=clip.notes)


def embed_clips(
    model: CnnModel,
    clips: Iterable[tuple[Any, Any]],
    *,
    batch_size: int = 32,
    n_threads: int | None = 1,
) -> Embedded:
    """Run a CNN over clips: every clip is cut into all its non-overlapping chunks; rows stand in the order of the clips.

    The embeddings are held in memory; :func:`embed_files` writes them to a pool on disk.

    Parameters
    ----------
    model : CnnModel
        Of either form.
    clips : iterable of (track_id, signal or path)
        Mono waveforms at 16 kHz, or files to decode. Consumed as it goes: a few batches are held.
    batch_size : int
        Chunks that go through the network at a time. Results do not depend on it beyond the last bits.
    n_threads : int or None
        With 2 or more, clips are decoded and turned into log-mel while the network runs; None for the budget of
        ``set_threads``.

    Returns
    -------
    Embedded

    Raises
    ------
    ParameterError
        No clip, a clip that is not a mono waveform, or an id that appears twice.
    DecodeError
        A file cannot be used.
    ModelFormatError
        The model was made for another front end than this release's.
    """
    ids: list[Any] = []
    seen: set[Any] = set()
    owner: list[Any] = []
    embeddings: list[NDArray[np.float32]] = []
    probabilities: list[NDArray[np.float32]] = []
    for result in run_clips(model, clips, batch_size=batch_size, n_threads=resolve_threads(n_threads)):
        if isinstance(result.error, ParameterError):
            raise ParameterError(f"track {result.track_id!r}: {result.error}")
        if result.error is not None:
            raise result.error
        if result.track_id in seen:
            raise ParameterError(f"track {result.track_id!r} appears twice")
        seen.add(result.track_id)
        ids.append(result.track_id)
        owner.extend([result.track_id] * len(result.embedding))
        embeddings.append(result.embedding)
        probabilities.append(track_mean(result.proba))
    if not ids:
        raise ParameterError("there are no clips")
    pool = Pool(np.concatenate(embeddings), np.array(owner), fingerprint=embedding_fingerprint(model))
    return Embedded(pool, np.ascontiguousarray(np.stack(probabilities, axis=1)))


def embed_files(
    model: CnnModel,
    excerpts: Sequence[Excerpt],
    pool: str | os.PathLike[str],
    *,
    batch_size: int = 8,
    n_threads: int | None = None,
    truncated: Truncated = "nearly",
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractReport:
    """Write the embeddings of audio files to a pool on disk: resumable, bad files set aside in its ``errors.csv``.

    ``Pool.open`` maps it, so that a session and its heads read what they need and no more. The pool's fingerprint is made from
    the model's bytes: another model's embeddings are never mixed in.

    Parameters
    ----------
    model : CnnModel
        Of either form.
    excerpts : sequence of Excerpt
        From :func:`~dissensus.features.sources.gather_audio`.
    pool : str or path
        Folder; continued where it exists.
    batch_size : int
        Chunks that go through the network at a time: few keep the wait for the first of them short and cost nothing on a CPU;
        give 64 or more for a GPU.
    n_threads : int, optional
        With 2 or more, files are decoded while the network runs, by a thread of its own. Default: so, unless ``set_threads``
        was called with 1. The network's own threads are those of ``set_threads``.
    truncated : {"nearly", "error", "keep"}
        As for :func:`~dissensus.features.load_audio`.
    on_progress : callable, optional
        Called after every file.

    Returns
    -------
    ExtractReport

    Raises
    ------
    PoolFormatError
        A pool of other features, or of another model, is there.
    StoreError
        The disk refused; what was committed is safe.
    ModelFormatError
        The model was made for another front end than this release's.
    """
    plan = {
        "features": "cnn", "model_sha256": model.sha256, "sr": SAMPLE_RATE, "chunk_samples": CHUNK_SAMPLES,
        "resampler": "soxr HQ", "channels": "mean",
    }  # fmt: skip
    began = time.monotonic()
    with PoolWriter(
        pool,
        n_features=model.embedding_size,
        feature_names=[f"embedding_{i}" for i in range(model.embedding_size)],
        fingerprint=embedding_fingerprint(model),
        plan=plan,
        made_by=decoder_versions(),
    ) as writer:
        left, refused = still_to_do(writer, excerpts)
        by_id = {excerpt.track_id: excerpt for excerpt in left}
        result = run_clips(
            model,
            ((excerpt.track_id, excerpt) for excerpt in left),
            batch_size=batch_size,
            n_threads=resolve_helpers(n_threads),
            truncated=truncated,
        )
        outcomes = ((by_id[clip.track_id], _outcome(clip)) for clip in result)
        report = collect(writer, outcomes, len(left), began=began, refused=refused, on_progress=on_progress)
        report.n_there = len(excerpts) - len(left) - len(refused)
    return report
