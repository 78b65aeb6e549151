"""From audio files to a pool on disk: in parallel, resumable, bad files set aside."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus._names import escape_name
from dissensus._validate import check_count
from dissensus._workers import in_workers
from dissensus.errors import (
    DissensusError,
    EmptyAudioError,
    NonFiniteAudioError,
    ParameterError,
    StoreError,
    WorkerDiedError,
)
from dissensus.features._lists import Row, keep_notes, write_errors
from dissensus.features.audio import Truncated, decoder_versions, stream_audio
from dissensus.features.mel import MelPlan, MelStream
from dissensus.features.pool_writer import PoolWriter
from dissensus.features.sources import Excerpt

__all__ = ["FEATURE_SETS", "ExtractReport", "FeatureChoice", "Outcome", "Progress", "collect", "extract", "still_to_do"]

_SPILL_PREFIX: Final = ".spill-"
_SPILL_BYTES: Final = 64 << 20  # windows of one track beyond this wait on disk


@dataclass(frozen=True)
class FeatureSet:
    """A set of features by name.

    Attributes
    ----------
    parts : callable
        Gives the stream, called with ``(sr, window_s=, overlap=)``, and the names of its columns; libraries come late.
    revision : int
        Raised by a change of values; enters the fingerprint.
    """

    parts: Callable[[], tuple[Any, Sequence[str]]]
    revision: int


def _is13() -> tuple[Any, Sequence[str]]:
    from dissensus.features.is13 import IS13_NAMES
    from dissensus.features.is13_stream import IS13Stream

    return IS13Stream, IS13_NAMES


def _summary() -> tuple[Any, Sequence[str]]:
    from dissensus.features.summary import SUMMARY_NAMES, SummaryStream

    return SummaryStream, SUMMARY_NAMES


def _opensmile() -> tuple[Any, Sequence[str]]:
    from dissensus.features.is13 import IS13_NAMES
    from dissensus.features.opensmile_adapter import OpensmileStream

    return OpensmileStream, IS13_NAMES


FEATURE_SETS: Final = {
    "is13": FeatureSet(_is13, 1),
    "summary": FeatureSet(_summary, 2),
    "opensmile": FeatureSet(_opensmile, 1),
}


@dataclass(frozen=True)
class FeatureChoice:
    """Which features to compute, and how the audio is prepared.

    Attributes
    ----------
    name : {"is13", "summary", "logmel", "opensmile"}
        ``"logmel"`` stores the frames of a default :class:`~dissensus.features.MelPlan` as windows; ``"opensmile"`` needs
        the package of that name, whose licence forbids commercial use.
    sr : int
        Sample rate that everything is brought to, Hz.
    window_s, overlap : float
        Length of a window in seconds, and the share that the next one repeats.
    truncated : {"nearly", "error", "keep"}
        A file that ends early is used with a note where 99 % of it, or all but a second, is there; is a bad file; or is used
        as far as it goes.
    """

    name: str = "is13"
    sr: int = 16000
    window_s: float = 1.0
    overlap: float = 0.5
    truncated: Truncated = "nearly"

    def __post_init__(self) -> None:
        if self.name != "logmel" and self.name not in FEATURE_SETS:
            raise ParameterError(f"features={self.name!r}; choose logmel, {', '.join(FEATURE_SETS)}")
        if not 0 < self.window_s < 3600 or not 0 <= self.overlap < 1:
            raise ParameterError(
                f"window_s={self.window_s}, overlap={self.overlap}: need 0 < window_s and 0 <= overlap < 1"
            )
        check_count(self.sr, "sr", minimum=1000)

    @property
    def plan(self) -> dict[str, Any]:
        """What the fingerprint is made of."""
        audio = {"sr": self.sr, "resampler": "soxr HQ", "channels": "mean"}
        if self.name == "logmel":
            return {**MelPlan(sr=self.sr).fingerprint, **audio}
        revision = FEATURE_SETS[self.name].revision
        return {
            "features": self.name,
            "revision": revision,
            "window_s": self.window_s,
            "overlap": self.overlap,
            **audio,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        if self.name == "logmel":
            return tuple(f"mel_{i}" for i in range(MelPlan(sr=self.sr).n_mels))
        return tuple(FEATURE_SETS[self.name].parts()[1])

    def stream(self) -> Any:
        """Takes a signal at ``sr`` in parts: ``push`` and ``finish`` give the windows, (n_windows, n_features)."""
        if self.name == "logmel":
            return MelStream(MelPlan(sr=self.sr))
        return FEATURE_SETS[self.name].parts()[0](self.sr, window_s=self.window_s, overlap=self.overlap)


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    n_done: int
    n_total: int
    n_failed: int
    audio_s: float
    elapsed_s: float

    @property
    def left_s(self) -> float:
        """Estimate of the time left, seconds."""
        return self.elapsed_s / self.n_done * (self.n_total - self.n_done) if self.n_done else float("nan")

    @property
    def rate(self) -> float:
        """Seconds of audio per second."""
        return self.audio_s / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass
class ExtractReport:
    """What a job did.

    Attributes
    ----------
    n_added, n_there : int
        Tracks added now, and those that were in the pool before.
    errors : list of (track_id, path, kind, message)
        Files set aside; also in ``errors.csv`` of the pool, where paths are escaped (``dissensus.features.escape_name``).
    notes : list of (track_id, path, note)
        Remarks on files that were used: cut off a little early, a header that counts wrongly, decoded by another program;
        also in ``notes.csv`` of the pool, with those of earlier runs.
    audio_s, elapsed_s : float
        Seconds of audio that went in, and how long it took.
    """

    n_added: int = 0
    n_there: int = 0
    errors: list[Row] = field(default_factory=list)
    notes: list[tuple[int | str, str, str]] = field(default_factory=list)
    audio_s: float = 0.0
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of one excerpt: its windows (a large array as the name of a file that holds it), or why there are none."""

    windows: NDArray[np.float32] | str | None
    audio_s: float = 0.0
    kind: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()


class _Gathered:
    """Windows of one track as they come: in memory, and from some size on in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.n_rows = folder, 0
        self._parts: list[NDArray[np.float32]] = []
        self._bytes = 0
        self._name: str | None = None

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take more windows; those that are not finite are refused."""
        if not np.isfinite(rows).all():
            raise NonFiniteAudioError("its features are not finite")
        self._parts.append(np.ascontiguousarray(rows, dtype=np.float32))
        self._bytes += rows.nbytes
        self.n_rows += len(rows)
        if self._bytes > _SPILL_BYTES:
            self._spill()

    def _spill(self) -> None:
        try:
            if self._name is None:
                fd, self._name = tempfile.mkstemp(prefix=_SPILL_PREFIX, dir=self.folder)
                os.close(fd)
            with open(self._name, "ab") as file:
                for part in self._parts:
                    file.write(part.data)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror})") from None
        self._parts, self._bytes = [], 0

    def done(self) -> NDArray[np.float32] | str:
        """The windows, or the file they are in."""
        if self._name is None:
            return np.concatenate(self._parts)
        self._spill()
        return self._name

    def forget(self) -> None:
        """Drop what was gathered."""
        if self._name is not None:
            Path(self._name).unlink(missing_ok=True)


def _one(choice: FeatureChoice, folder: Path, excerpt: Excerpt) -> Outcome:
    """Decode and describe one excerpt, block by block; runs in a worker."""
    gathered = _Gathered(folder)
    try:
        stream, n_samples, notes = choice.stream(), 0, list[str]()
        for block in stream_audio(
            excerpt.path,
            sr=choice.sr,
            start_s=excerpt.start_s,
            duration_s=excerpt.duration_s,
            truncated=choice.truncated,
            on_note=notes.append,
        ):
            n_samples += len(block)
            gathered.add(stream.push(block))
        gathered.add(stream.finish())
        if gathered.n_rows == 0:
            raise EmptyAudioError(f"{excerpt.path}: too short for a single window")
        return Outcome(gathered.done(), n_samples / choice.sr, notes=tuple(notes))
    except (ImportError, StoreError):  # not the file's fault
        gathered.forget()
        raise
    except Exception as error:
        gathered.forget()
        return _bad(excerpt, error)


def _bad(excerpt: Excerpt, error: Exception) -> Outcome:
    """Why there is nothing of an excerpt."""
    kind = "WorkerDied" if isinstance(error, WorkerDiedError) else type(error).__name__
    if isinstance(error, DissensusError):
        message = str(error)
    else:
        message = (error.strerror if isinstance(error, OSError) else str(error)) or kind
    message = message if excerpt.path in message else f"{excerpt.path}: {message}"
    return Outcome(None, kind=kind, message=escape_name(message))


def _in_order(
    excerpts: Sequence[Excerpt], choice: FeatureChoice, folder: Path, jobs: int
) -> Generator[tuple[Excerpt, Outcome], None, None]:
    """Outcomes in the order of the excerpts, so that the pool is the same for any number of jobs."""
    if jobs == 1:
        for excerpt in excerpts:
            yield excerpt, _one(choice, folder, excerpt)
        return
    for ended in in_workers(_one, excerpts, jobs=jobs, shared=(choice, folder)):
        if isinstance(ended.error, (ImportError, StoreError)):
            raise ended.error
        if ended.value is None:
            assert ended.error is not None
            yield ended.item, _bad(ended.item, ended.error)
        else:
            yield ended.item, ended.value


def extract(
    excerpts: Sequence[Excerpt],
    pool: str | os.PathLike[str],
    choice: FeatureChoice | None = None,
    *,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractReport:
    """Compute features of audio files into a pool on disk.

    A pool that is there already is continued: tracks in it are not computed again, files that failed are tried again. A bad
    file goes to ``errors.csv`` and the job goes on. The pool is the same for any ``jobs``.

    Parameters
    ----------
    excerpts : sequence of Excerpt
        From :func:`~dissensus.features.sources.gather_audio`.
    pool : str or path
        Folder of the pool.
    choice : FeatureChoice, optional
        Default: IS13 over windows of 1 s that overlap by half.
    jobs : int
        Processes; 1 works in this one. They import dissensus and nothing of the calling script, which needs no
        ``__main__`` guard, and they end when this process does. A file that crashes one is set aside like any other.
    on_progress : callable, optional
        Called after every file.

    Returns
    -------
    ExtractReport

    Raises
    ------
    PoolFormatError
        A pool of other features is there.
    StoreError
        The disk refused; what was committed is safe.
    MissingDependencyError
        ``"opensmile"`` without the package.
    """
    choice = choice or FeatureChoice()
    check_count(jobs, "jobs")
    columns = choice.columns
    choice.stream()  # a choice that no file could meet is refused before any is read
    began = time.monotonic()
    with PoolWriter(
        pool, n_features=len(columns), feature_names=columns, plan=choice.plan, made_by=decoder_versions()
    ) as writer:
        left, refused = still_to_do(writer, excerpts)
        _remove_spilled(writer.folder)
        try:
            with closing(_in_order(left, choice, writer.folder, min(jobs, max(1, len(left))))) as outcomes:
                report = collect(writer, outcomes, len(left), began=began, refused=refused, on_progress=on_progress)
        finally:
            _remove_spilled(writer.folder)
        report.n_there = len(excerpts) - len(left) - len(refused)
    return report


def still_to_do(writer: PoolWriter, excerpts: Sequence[Excerpt]) -> tuple[list[Excerpt], list[tuple[Excerpt, Outcome]]]:
    """Excerpts that the pool lacks, and those whose id it could not hold: they are told before any work is done."""
    left: list[Excerpt] = []
    refused: list[tuple[Excerpt, Outcome]] = []
    seen: dict[int | str, str] = {}
    writer.expect(excerpt.track_id for excerpt in excerpts)
    for excerpt in excerpts:
        try:
            key = writer.key_of(excerpt.track_id)
            if key in writer.known:
                continue
            if key in seen:
                raise ParameterError(f"{excerpt.path}: {seen[key]} has the id {key!r} too")
        except ParameterError as error:
            refused.append((excerpt, _bad(excerpt, error)))
            continue
        seen[key] = excerpt.path
        left.append(excerpt)
    return left, refused


def _remove_spilled(folder: Path) -> None:
    """Windows that a stopped job, or a worker that was killed, left on disk."""
    for stale in folder.glob(f"{_SPILL_PREFIX}*"):
        stale.unlink(missing_ok=True)


def collect(
    writer: PoolWriter,
    outcomes: Iterable[tuple[Excerpt, Outcome]],
    n_total: int,
    *,
    began: float,
    refused: Sequence[tuple[Excerpt, Outcome]] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractReport:
    """Write outcomes into a pool as they come; bad ones go to ``errors.csv`` beside it. ``began`` is a monotonic time."""
    report, committed = ExtractReport(), began
    report.errors = [_row(excerpt, outcome) for excerpt, outcome in refused]
    n_total += len(refused)
    for excerpt, outcome in outcomes:
        if outcome.windows is not None:
            try:
                _append(writer, excerpt, outcome.windows)
            except ParameterError as error:
                outcome = _bad(excerpt, error)
        if outcome.windows is None:
            report.errors.append(_row(excerpt, outcome))
        else:
            report.n_added += 1
            report.audio_s += outcome.audio_s
            report.notes += [(excerpt.track_id, excerpt.path, note) for note in outcome.notes]
        now = time.monotonic()
        if now - committed > 5.0:
            writer.commit()
            write_errors(writer.folder, report.errors)
            keep_notes(writer.folder, report.notes)
            committed = now
        if on_progress is not None:
            done = report.n_added + len(report.errors)
            on_progress(Progress(done, n_total, len(report.errors), report.audio_s, now - began))
    write_errors(writer.folder, report.errors)
    keep_notes(writer.folder, report.notes)
    report.elapsed_s = time.monotonic() - began
    return report


def _row(excerpt: Excerpt, outcome: Outcome) -> Row:
    return excerpt.track_id, excerpt.path, outcome.kind, outcome.message


def _append(writer: PoolWriter, excerpt: Excerpt, windows: NDArray[np.float32] | str) -> None:
    if not isinstance(windows, str):
        writer.append(excerpt.track_id, windows)
        return
    try:
        writer.append(excerpt.track_id, np.memmap(windows, dtype=np.float32, mode="r").reshape(-1, writer.n_features))
        writer.commit()
    finally:
        Path(windows).unlink(missing_ok=True)
