"""What a committee says of every track as a table: one row per track, to CSV or Parquet, a block of tracks at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus._files import replace_file
from dissensus.committee import Committee
from dissensus.errors import ParameterError
from dissensus.strategies import consensus_entropy, machine_consensus, mutual_information

if TYPE_CHECKING:
    from dissensus.features import Pool

__all__ = ["committee_id", "score_pool", "scores_of", "write_scores"]

#: Windows that are scored at a time; memory does not grow with the pool.
_WINDOWS: Final = 65_536


def committee_id(path: str | Path) -> str:
    """Name of a model file in the table: the first 16 characters of its SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def scores_of(
    track_ids: NDArray[Any],
    proba: NDArray[np.float32],
    classes: Iterable[Any],
    *,
    n_windows: NDArray[np.int64] | None = None,
    members: Iterable[str] = (),
    committee: str = "",
    features: str = "",
) -> Any:
    """Rows of the table for some tracks.

    Parameters
    ----------
    track_ids : (n_tracks,) ndarray
    proba : (n_members, n_tracks, n_classes) ndarray of float32
    classes : iterable
        Names of the classes.
    n_windows : (n_tracks,) ndarray of int64, optional
        Windows of each track.
    members : iterable of str
        Names of the members, for a column per member and class; none: no such columns.
    committee, features : str
        Which committee spoke, and what made the features.

    Returns
    -------
    pyarrow.RecordBatch
        ``track_id``, ``p_<class>`` (mean over the members), ``predicted``, ``consensus_entropy`` and
        ``mutual_information`` (nats), ``spread`` (standard deviation over the members of the predicted class's probability),
        ``n_windows``, ``committee``, ``features``, and ``<member>_p_<class>``.
    """
    import pyarrow as pa

    names = [str(name) for name in classes]
    n_tracks = proba.shape[1]
    mean = machine_consensus(proba)
    best = mean.argmax(axis=1) if n_tracks else np.zeros(0, dtype=np.int64)
    leading = proba[:, np.arange(n_tracks), best].astype(np.float64)
    columns: dict[str, Any] = {"track_id": pa.array(track_ids.tolist(), _id_type(track_ids))}
    columns |= {f"p_{name}": pa.array(mean[:, c]) for c, name in enumerate(names)}
    columns["predicted"] = pa.array(np.asarray(names, dtype=object)[best], pa.string())
    columns["consensus_entropy"] = pa.array(np.asarray(consensus_entropy(proba), dtype=np.float32))
    columns["mutual_information"] = pa.array(np.asarray(mutual_information(proba), dtype=np.float32))
    columns["spread"] = pa.array(leading.std(axis=0).astype(np.float32))
    if n_windows is not None:
        columns["n_windows"] = pa.array(n_windows, pa.int64())
    columns["committee"] = pa.array([committee] * n_tracks, pa.string())
    columns["features"] = pa.array([features] * n_tracks, pa.string())
    for m, member in enumerate(members):
        columns |= {f"{member}_p_{name}": pa.array(proba[m, :, c]) for c, name in enumerate(names)}
    return pa.RecordBatch.from_pydict(columns)


def score_pool(
    committee: Committee, pool: Pool, *, members: bool = False, committee_name: str = "", n_threads: int = 1
) -> Iterator[Any]:
    """Rows of the table for every track of a pool, in its order.

    Parameters
    ----------
    committee : Committee
        Trained on the features of the pool; where both have names in different orders the pool's columns are put right.
    pool : Pool
        In memory or on disk.
    members : bool
        Columns for every member too.
    committee_name : str
        For the column ``committee``.
    n_threads : int
        Threads of our own pool.

    Yields
    ------
    pyarrow.RecordBatch
        As of :func:`scores_of`, a block of tracks each; at least one.

    Raises
    ------
    FeatureMismatchError
        The committee was trained on other features.

    Examples
    --------
    >>> from dissensus import Committee, Pool
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> committee = Committee.pretrain(X, np.arange(40) % 2, np.arange(40), kinds=("gnb",), n_folds=2)
    >>> batch = next(score_pool(committee, Pool(X[:4], ["a", "a", "b", "c"])))
    >>> batch.column_names[:4], batch.column("track_id").to_pylist(), batch.column("n_windows").to_pylist()
    (['track_id', 'p_0', 'p_1', 'predicted'], ['a', 'b', 'c'], [2, 1, 1])
    """
    pool = in_order_of(committee, pool)
    committee.check_features(pool.n_features, feature_names=pool.feature_names, fingerprint=pool.fingerprint)
    groups = pool.groups
    order = None if not len(groups) or (np.diff(groups) >= 0).all() else np.argsort(groups, kind="stable")
    count = np.bincount(groups, minlength=pool.n_tracks)
    start = np.concatenate([[0], np.cumsum(count)])
    names = [f"m{m}_{kind}" for m, kind in enumerate(committee.member_kinds)] if members else []
    ids = pool.track_ids
    first = 0
    while True:
        last = max(
            int(np.searchsorted(start, start[first] + _WINDOWS, side="right")) - 1, min(first + 1, pool.n_tracks)
        )
        span = slice(start[first], start[last])
        X = pool.X[span] if order is None else pool.X[order[span]]
        proba = committee.predict_proba(X, np.repeat(np.arange(last - first), count[first:last]), n_threads=n_threads)
        yield scores_of(
            ids[first:last],
            proba,
            committee.classes_.tolist(),
            n_windows=count[first:last].astype(np.int64),
            members=names,
            committee=committee_name,
            features=pool.fingerprint or "",
        )
        first = last
        if first >= pool.n_tracks:
            return


def in_order_of(committee: Committee, pool: Pool) -> Pool:
    """The pool with its columns in the order that the committee was trained on, where the names are the same."""
    known, there = committee.feature_names, pool.feature_names
    if known is None or there is None or tuple(known) == tuple(there) or sorted(known) != sorted(there):
        return pool
    return pool.select(known)


def write_scores(path: str | Path, batches: Iterable[Any]) -> int:
    """Write rows to ``.csv`` or ``.parquet``, a block at a time; the number of rows.

    Raises
    ------
    ParameterError
        The name ends in something else.
    StoreError
        The disk refused; a file that was there is as it was.
    """
    target = Path(path)
    if target.suffix.lower() not in (".csv", ".parquet"):
        raise ParameterError(f"{target}: scores go to a file that ends in .csv or .parquet")
    written, reading = 0, _Reading(batches)

    def write(beside: Path) -> None:
        nonlocal written
        import pyarrow.csv
        import pyarrow.parquet

        writer: Any = None
        try:
            for batch in reading:
                if writer is None and target.suffix.lower() == ".csv":
                    writer = pyarrow.csv.CSVWriter(beside, batch.schema)
                elif writer is None:
                    writer = pyarrow.parquet.ParquetWriter(beside, batch.schema)
                writer.write_batch(batch)
                written += batch.num_rows
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ParameterError(f"{target}: there is nothing to write")

    try:
        replace_file(target, write)
    except _CannotRead as error:
        raise error.cause from None
    return written


class _CannotRead(Exception):
    """What went wrong where the rows come from, so that the file they go to is not blamed."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Reading:
    """The rows, with errors of the system that are not of writing kept apart."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = iter(batches)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._batches)
        except OSError as error:
            raise _CannotRead(error) from None


def _id_type(ids: NDArray[Any]) -> Any:
    import pyarrow as pa

    return pa.int64() if ids.dtype.kind in "iu" else pa.string()
