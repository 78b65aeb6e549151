"""Audio through a CNN with its preparation hidden: one thread decodes, resamples and takes log-mels while the network runs.

Files are read as streams and cut into chunks as they come, so that neither a long file nor a long list of files is held in
memory: at most ``AHEAD`` batches wait for the network.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._chunks import CHUNK_SAMPLES, SAMPLE_RATE, all_chunks
from dissensus.committee.cnn import CnnModel
from dissensus.errors import DecodeError, DissensusError, ModelFormatError, ParameterError
from dissensus.features import MelPlan, stream_audio
from dissensus.features.audio import Truncated
from dissensus.features.sources import Excerpt

__all__ = ["AHEAD", "ClipResult", "run_clips"]

#: Batches prepared ahead of the network.
AHEAD = 4

_PLAN = MelPlan()


@dataclass
class ClipResult:
    """What the network made of one clip.

    Attributes
    ----------
    track_id : object
        As given.
    proba : (n_chunks, n_members, n_classes) ndarray of float32
    embedding : (n_chunks, embedding_size) ndarray of float32
    audio_s : float
        Seconds of the clip that went through the network; what a short one is repeated by does not count.
    error : DissensusError or None
        Why there is nothing of this clip; the arrays are empty then.
    notes : tuple of str
        Remarks on its file.
    """

    track_id: Any
    proba: NDArray[np.float32]
    embedding: NDArray[np.float32]
    audio_s: float = 0.0
    error: DissensusError | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Batch:
    """Chunks of one or several clips, and the clips that are complete with it."""

    chunks: list[NDArray[np.float32]] = field(default_factory=list)
    #: (clip, chunks of it in this batch, its samples so far where it ends here, its error, remarks on its file)
    runs: list[tuple[Any, int, int | None, DissensusError | None, tuple[str, ...]]] = field(default_factory=list)

    def note(
        self,
        track_id: Any,
        count: int,
        *,
        n_samples: int | None = None,
        error: DissensusError | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self.runs.append((track_id, count, n_samples, error, tuple(notes)))


def _chunks(source: Any, truncated: Truncated, notes: list[str]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Every non-overlapping chunk of a clip, (CHUNK_SAMPLES,) each, and its own samples: a short clip is reflected."""
    if isinstance(source, (str, os.PathLike)):
        source = Excerpt(0, os.fspath(source))
    if not isinstance(source, Excerpt):
        for chunk in all_chunks(source):
            yield chunk, min(len(source), CHUNK_SAMPLES)
        return
    blocks = stream_audio(
        source.path,
        sr=SAMPLE_RATE,
        start_s=source.start_s,
        duration_s=source.duration_s,
        truncated=truncated,
        on_note=notes.append,
    )
    kept, n_chunks = np.zeros(0, dtype=np.float32), 0
    for block in blocks:
        kept = np.concatenate([kept, block])
        while len(kept) >= CHUNK_SAMPLES:
            yield kept[:CHUNK_SAMPLES], CHUNK_SAMPLES
            kept, n_chunks = kept[CHUNK_SAMPLES:], n_chunks + 1
    if n_chunks == 0:
        yield all_chunks(kept)[0], len(kept)


def _batches(form: str, clips: Iterable[tuple[Any, Any]], batch_size: int, truncated: Truncated) -> Iterator[_Batch]:
    """Full batches, whatever the clips; what the network takes is ready in them."""
    batch = _Batch()
    for track_id, source in clips:
        pending, n_samples = 0, 0  # chunks of this clip in the batch at hand; its samples so far
        error: DissensusError | None = None
        notes: list[str] = []
        try:
            for chunk, own in _chunks(source, truncated, notes):
                n_samples += own
                batch.chunks.append(chunk if form == "signal" else _PLAN(chunk).T[None])
                pending += 1
                if len(batch.chunks) == batch_size:
                    batch.note(track_id, pending)
                    yield batch
                    batch, pending = _Batch(), 0
        except DissensusError as bad:
            error = bad
        except (OSError, MemoryError, ValueError, ArithmeticError, RuntimeError) as bad:
            why = (bad.strerror if isinstance(bad, OSError) else str(bad)) or type(bad).__name__
            name = source.path if isinstance(source, Excerpt) else source if isinstance(source, str) else track_id
            error = DecodeError(f"{name}: cannot be used ({why})")
        batch.note(track_id, pending, n_samples=n_samples, error=error, notes=notes)
    if batch.runs:
        yield batch


def _ahead(batches: Iterator[_Batch], n_threads: int) -> Iterator[_Batch]:
    """The same batches; with a second thread they are made while the caller works on earlier ones."""
    if n_threads < 2:
        yield from batches
        return
    ready: queue.Queue[_Batch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def hand_over(item: _Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for batch in batches:
                hand_over(batch)
                if stop.is_set():
                    return
            hand_over(None)
        except BaseException as error:
            hand_over(error)

    thread = threading.Thread(target=work, name="dissensus-decode", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def run_clips(
    model: CnnModel,
    clips: Iterable[tuple[Any, Any]],
    *,
    batch_size: int = 32,
    n_threads: int = 2,
    truncated: Truncated = "nearly",
) -> Iterator[ClipResult]:
    """Run a CNN over clips; results come in their order, each as soon as its last chunk went through.

    Parameters
    ----------
    model : CnnModel
        Of either form.
    clips : iterable of (track_id, source)
        A source is a mono waveform at 16 kHz, a path, or an :class:`~dissensus.features.sources.Excerpt`.
    batch_size : int
        Chunks that go through the network at a time; clips share batches.
    n_threads : int
        With 2 or more, a thread of its own prepares batches.
    truncated : {"nearly", "error", "keep"}
        As for :func:`~dissensus.features.load_audio`.

    Yields
    ------
    ClipResult
        With ``error`` set for a clip that cannot be used; the others are not touched by it.

    Raises
    ------
    ModelFormatError
        The model was made for another front end than this release's.
    """
    if int(model.metadata.get("sample_rate", 0)) != SAMPLE_RATE:
        raise ModelFormatError(
            f"the model hears at {model.metadata.get('sample_rate')} Hz, this release at {SAMPLE_RATE}"
        )
    if batch_size < 1:
        raise ParameterError(f"batch_size={batch_size}: must be at least 1")
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for batch in _ahead(_batches(model.form, clips, batch_size, truncated), n_threads):
        nothing = (
            np.empty((0, model.n_members, len(model.classes)), dtype=np.float32),
            np.empty((0, model.embedding_size), dtype=np.float32),
        )
        proba, embedding = model.predict(np.stack(batch.chunks), batch_size=batch_size) if batch.chunks else nothing
        at = 0
        for track_id, count, n_samples, error, notes in batch.runs:
            parts.append((proba[at : at + count], embedding[at : at + count]))
            at += count
            if n_samples is None:
                continue
            if error is None:
                all_proba, all_embedding = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
                yield ClipResult(track_id, all_proba, all_embedding, n_samples / SAMPLE_RATE, notes=notes)
            else:
                yield ClipResult(track_id, *nothing, error=error)
            parts = []
