"""The whole evaluation: listeners and repeats in parallel, continued where it was stopped, the same for any number of jobs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._files import replace_file, write_text
from dissensus._ids import IdIndex
from dissensus._threads import set_threads
from dissensus._version import __version__
from dissensus._workers import Ended, in_workers
from dissensus.committee import Committee
from dissensus.datasets._types import Annotations, Dataset
from dissensus.errors import DissensusError, ParameterError
from dissensus.evaluation.curves import concatenate, read_columns, write_columns
from dissensus.evaluation.outcome.against_crowd import against_crowd, format_against_crowd
from dissensus.evaluation.outcome.summary import format_summary, summarise
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.run.fingerprint import code_fingerprint
from dissensus.evaluation.run.listener_members import listener_model
from dissensus.evaluation.run.pretraining import pretrain_on_weak
from dissensus.evaluation.run.unit import Task, Workplace, run_unit
from dissensus.evaluation.splits import Splits

__all__ = ["Evaluation", "run_evaluation"]

Progress = Callable[[int, int], None]

#: So many units that fail before any works: something is wrong with all of them.
_HOPELESS = 8


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of :func:`run_evaluation`.

    Attributes
    ----------
    scores : dict of str to ndarray
        The tidy table, one row per listener, repeat, strategy, update, member and round.
    null : dict of str to ndarray
        The same for permuted answers; empty without such runs.
    summary : dict
        See :func:`dissensus.evaluation.outcome.summary.summarise`, and
        :func:`dissensus.evaluation.outcome.against_crowd.against_crowd` where the listener model took part.
    folder : Path
        Where ``scores.parquet``, ``summary.json``, ``summary.txt``, ``splits.json`` and ``details/`` are.
    """

    scores: dict[str, NDArray[Any]]
    null: dict[str, NDArray[Any]]
    summary: dict[str, Any]
    folder: Path

    def __str__(self) -> str:
        return _text(self.summary)


def _text(summary: dict[str, Any]) -> str:
    return "\n\n".join(part for part in (format_summary(summary), format_against_crowd(summary)) if part)


def _fingerprint(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    named = dataset.annotations
    columns = (
        dataset.pool.X,
        dataset.pool.track_ids,
        dataset.pool.groups,
        named.listener_id,
        named.track_id,
        named.label,
    )
    for column in (*columns, dataset.weak_label):
        array = np.ascontiguousarray(np.asarray([] if column is None else column))
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(json.dumps(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return digest.hexdigest()


def _labelled(annotations: Annotations) -> Annotations:
    """One labelled row per listener and track."""
    return annotations.subset(annotations.label >= 0).newest()


def _splits(protocol: Protocol, tracks_of: dict[Any, NDArray[Any]], parts: Path) -> dict[str, Splits]:
    """The splits of every strategy, drawn once and kept: one and the same for all, unless the protocol says otherwise."""
    users = {"": protocol.strategies} if protocol.shared_split else {name: (name,) for name in protocol.strategies}
    out: dict[str, Splits] = {}
    for variant, strategies in users.items():
        path = parts / (f"splits-{variant}.json" if variant else "splits.json")
        splits = Splits.load(path) if path.exists() else Splits(protocol.seed, protocol.test_share, variant)
        for who, tracks in tracks_of.items():
            for repeat in range(protocol.repeats):
                splits.draw(who, repeat, tracks)
        splits.save(path)
        out |= dict.fromkeys(strategies, splits)
    return out


def _committee(
    dataset: Dataset, protocol: Protocol, parts: Path
) -> tuple[Committee | None, NDArray[np.float32] | None]:
    """The committee and its one pass over the pool; None where each split trains its own."""
    path = parts / "committee.safetensors"
    if not path.exists():
        fresh = pretrain_on_weak(dataset, protocol)
        if fresh is None:
            return None, None
        replace_file(path, fresh.save)
    committee = Committee.load(path)
    if protocol.scaling != "pretrained":
        return committee, None
    return committee, committee.predict_proba(dataset.pool.X, dataset.pool.groups)


def _work(place: Workplace, parts: Path, task: Task) -> None:
    result = run_unit(place, task)
    scores, queries = _part(parts, task)
    write_columns(queries, result.queries)
    write_columns(scores, result.scores)  # last: its presence says that the unit is done


def _part(parts: Path, task: Task) -> tuple[Path, Path]:
    who = hashlib.sha256(task.listener.encode()).hexdigest()[:12]
    folder = parts / ("permuted" if task.permuted else "drawn" if task.drawn else "own")
    return folder / f"{who}-{task.repeat}.parquet", folder / f"{who}-{task.repeat}.queries.parquet"


def _in_turn(place: Workplace, parts: Path, tasks: Iterable[Task]) -> Generator[Ended[Task, None], None, None]:
    """The units one after the other, in this process."""
    set_threads(1)
    for task in tasks:
        try:
            _work(place, parts, task)
        except Exception as error:
            yield Ended(task, error=error)
        else:
            yield Ended(task)


def _run_all(place: Workplace, tasks: list[Task], parts: Path, jobs: int, tick: Callable[[], None]) -> None:
    """Run the units. One that fails stops no other, and is named at the end; where none works, the rest is left."""
    jobs = min(jobs, len(tasks))
    ends = (
        _in_turn(place, parts, tasks)
        if jobs <= 1
        else in_workers(_work, tasks, jobs=jobs, shared=(place, parts), ordered=False)
    )
    failed: list[tuple[Task, Exception]] = []
    n_done = 0
    with closing(ends):
        for ended in ends:
            if ended.error is None:
                n_done += 1
                tick()
                continue
            failed.append((ended.item, ended.error))
            if n_done == 0 and len(failed) >= _HOPELESS:
                break
    if failed:
        task, error = min(failed, key=lambda one: one[0])
        others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        text = f"listener {task.listener}, repeat {task.repeat}{others}: {error}"
        note = f"{n_done} of {len(tasks)} units are done and kept; run again to try the others"
        if isinstance(error, DissensusError):
            raise type(error)(f"{text} ({note})") from error
        error.add_note(f"{text} ({note})")
        raise error


def run_evaluation(
    dataset: Dataset,
    protocol: Protocol | None = None,
    *,
    out: str | Path,
    jobs: int = 1,
    listeners: Sequence[Any] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Personalise for every listener, repeat, strategy and update; score, compare, write.

    Parameters
    ----------
    dataset : Dataset
        Features and annotations. Where at least ten tracks a class have a weak label and no annotation, the committee is
        pre-trained on them, once; else, for each listener and split, on the majority of the other listeners without the
        held-out tracks.
    protocol : Protocol, optional
        Default: the sound one.
    out : path
        Folder of the results. Finished units lie in ``out/parts``, named by a hash of protocol, data and code: a run that
        was killed continues, one with more repeats adds them.
    jobs : int
        Processes; 1 works in this one. They import dissensus and nothing of the calling script, which needs no
        ``__main__`` guard, and they end when this process does.
    listeners : sequence, optional
        Evaluate these only; default: all with at least ``protocol.min_tracks`` labelled tracks. The others remain the
        crowd. A listener's numbers do not depend on who else is evaluated (``crowd="evaluated"`` excepted).
    progress : callable, optional
        Called as ``progress(done, total)`` after each unit.

    Returns
    -------
    Evaluation

    Raises
    ------
    ParameterError
        No listener has enough tracks, an unknown listener, or too few tracks to pre-train on.
    """
    protocol = protocol or Protocol()
    if jobs < 1:
        raise ParameterError(f"jobs={jobs!r}: must be at least 1")
    votes = _labelled(dataset.annotations)
    able = votes.listeners(min_tracks=protocol.min_tracks).tolist()
    wanted = None if listeners is None else IdIndex(list(dict.fromkeys(listeners)))
    chosen = able if wanted is None else [who for who in able if wanted.find(who) is not None]
    if not chosen or (wanted is not None and len(chosen) < len(wanted)):
        raise ParameterError(
            f"{len(able)} listeners of {dataset.name} have at least {protocol.min_tracks} labelled tracks"
            + ("" if listeners is None else f", not all of {list(listeners)!r} are among them")
        )
    folder = Path(out)
    crowd = [str(who) for who in chosen] if protocol.crowd == "evaluated" else []
    digest = protocol.digest(_fingerprint(dataset), code_fingerprint(), *crowd)
    parts = folder / "parts" / digest
    began = time.perf_counter()
    splits = _splits(protocol, {who: votes.of(who).track_id for who in chosen}, parts)
    committee, proba = _committee(dataset, protocol, parts)
    model = listener_model(dataset, votes) if protocol.listener_kinds else None
    place = Workplace(protocol, dataset.pool, votes, committee, splits, proba, tuple(chosen), model)
    names = [str(who) for who in chosen]
    tasks = [Task(who, repeat) for who in names for repeat in range(protocol.repeats)]
    nulls = range(min(protocol.null_repeats, protocol.repeats))
    tasks += [Task(who, r, permuted=True) for who in names for r in nulls]
    tasks += [Task(who, r, drawn=True) for who in names for r in nulls if protocol.listener_kinds]
    # every listener's first split before anybody's second: whatever is there when a run is killed is a fair sample
    waiting = sorted(
        (t for t in tasks if not _part(parts, t)[0].exists()), key=lambda t: (t.repeat, t.permuted, t.drawn)
    )
    done = len(tasks) - len(waiting)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(tasks))

    if progress is not None:
        progress(done, len(tasks))
    _run_all(place, waiting, parts, jobs, tick)
    return _gather(dataset, protocol, tasks, parts, folder, {"digest": digest, "seconds": time.perf_counter() - began})


def _gather(
    dataset: Dataset, protocol: Protocol, tasks: list[Task], parts: Path, folder: Path, run: dict[str, Any]
) -> Evaluation:
    """Put the parts together, in the order of the tasks, and write what is kept."""
    own = [task for task in tasks if not (task.permuted or task.drawn)]
    scores = concatenate(read_columns(_part(parts, task)[0]) for task in own)
    null = concatenate(read_columns(_part(parts, task)[0]) for task in tasks if task.permuted)
    drawn = concatenate(read_columns(_part(parts, task)[0]) for task in tasks if task.drawn)
    queries = concatenate(read_columns(_part(parts, task)[1], required=()) for task in own)
    summary = summarise(scores, protocol, null if null else None)
    summary |= against_crowd(protocol, scores, null, drawn)
    summary |= {"dataset": dataset.name, "source": dataset.source, "run": {**run, "dissensus": __version__}}
    write_columns(folder / "scores.parquet", scores)
    write_columns(folder / "details" / "queries.parquet", queries)
    if null:
        write_columns(folder / "details" / "permuted.parquet", null)
    if drawn:
        write_columns(folder / "details" / "drawn.parquet", drawn)
    for path in sorted(parts.glob("splits*.json")):
        write_text(folder / path.name, path.read_text(encoding="utf-8"))
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_text(folder / "summary.txt", _text(summary) + "\n")
    return Evaluation(scores, null, summary, folder)
