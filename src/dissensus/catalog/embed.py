"""From clips to the embeddings and probabilities of a CNN, with decoding and log-mel hidden behind the network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dissensus._chunks import SAMPLE_RATE, all_chunks
from dissensus._threads import resolve_threads
from dissensus.committee.cnn import CnnModel
from dissensus.errors import ModelFormatError, ParameterError
from dissensus.features import Pool, load_audio, log_mel

__all__ = ["Embedded", "embed_clips"]


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


def embed_clips(
    model: CnnModel,
    clips: Iterable[tuple[Any, Any]],
    *,
    batch_size: int = 32,
    n_threads: int | None = 1,
) -> Embedded:
    """Run a CNN over clips: every clip is cut into all its non-overlapping chunks; rows stand in the order of the clips.

    Parameters
    ----------
    model : CnnModel
        Of either form.
    clips : iterable of (track_id, signal or path)
        Mono waveforms at 16 kHz, or files to decode. Consumed as it goes: at most two batches are held.
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
    if int(model.metadata.get("sample_rate", 0)) != SAMPLE_RATE:
        raise ModelFormatError(
            f"the model hears at {model.metadata.get('sample_rate')} Hz, this release at {SAMPLE_RATE}"
        )
    ids: list[Any] = []
    owner: list[int] = []
    embeddings: list[NDArray[np.float32]] = []
    chunk_proba: list[NDArray[np.float32]] = []
    seen: set[Any] = set()
    for track_id, chunks in _ahead(_prepare(model, clips, batch_size), resolve_threads(n_threads)):
        for name in dict.fromkeys(track_id):
            if name in seen and (not ids or ids[-1] != name):
                raise ParameterError(f"track {name!r} appears twice")
            if name not in seen:
                seen.add(name)
                ids.append(name)
        owner.extend(track_id)
        proba, embedding = model.predict(chunks, batch_size=batch_size)
        embeddings.append(embedding)
        chunk_proba.append(proba)
    if not ids:
        raise ParameterError("there are no clips")
    pool = Pool(np.concatenate(embeddings), np.array(owner), fingerprint=f"cnn:{model.sha256[:16]}")
    proba = np.concatenate(chunk_proba)
    total = np.zeros((len(ids), *proba.shape[1:]), dtype=np.float64)
    np.add.at(total, pool.groups, proba)
    total /= np.bincount(pool.groups)[:, None, None]
    return Embedded(pool, np.ascontiguousarray(total.transpose(1, 0, 2), dtype=np.float32))


def _prepare(
    model: CnnModel, clips: Iterable[tuple[Any, Any]], batch_size: int
) -> Iterator[tuple[list[Any], NDArray[np.float32]]]:
    """Batches of chunks as the model takes them, with the track of each."""
    owner: list[Any] = []
    waiting: list[NDArray[np.float32]] = []
    for track_id, source in clips:
        signal = load_audio(source, sr=SAMPLE_RATE) if isinstance(source, (str, os.PathLike)) else source
        try:
            chunks = all_chunks(signal)
        except ParameterError as error:
            raise ParameterError(f"track {track_id!r}: {error}") from None
        for chunk in chunks:
            owner.append(track_id)
            waiting.append(chunk if model.form == "signal" else log_mel(chunk).T[None])
            if len(owner) == batch_size:
                yield owner, np.stack(waiting)
                owner, waiting = [], []
    if owner:
        yield owner, np.stack(waiting)


def _ahead(batches: Iterator[Any], n_threads: int) -> Iterator[Any]:
    """The same batches; with a second thread the next one is made while the caller works on this one."""
    if n_threads < 2:
        yield from batches
        return
    with ThreadPoolExecutor(1, thread_name_prefix="dissensus-decode") as pool:
        coming: Future[Any] = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
