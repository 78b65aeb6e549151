"""The pool: grouping in memory, the store on disk, its writer killed at any point, its bytes damaged anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissensus import Pool
from dissensus.errors import ParameterError, PoolFormatError, StoreError, UnknownTrackError
from dissensus.features import PoolWriter
from dissensus.features.pool_store import fingerprint_of

PLAN = {"features": "made up", "sr": 16000}


def windows(seed: int, n: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def same(a: Pool, b: Pool) -> None:
    assert (a.n_tracks, a.n_windows, a.n_features, len(a)) == (b.n_tracks, b.n_windows, b.n_features, len(b))
    assert a.track_ids.tolist() == b.track_ids.tolist()
    assert np.array_equal(a.groups, b.groups)
    assert np.array_equal(a.X, b.X)
    assert (a.feature_names, a.fingerprint) == (b.feature_names, b.fingerprint)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.booleans())
def test_a_saved_pool_comes_back_with_its_windows_together(tmp_path_factory, groups: list[int], textual: bool) -> None:
    ids = [f"é{g}" for g in groups] if textual else groups
    X = windows(1, len(ids))
    pool = Pool(X, ids, feature_names=["a", "b", "c"], fingerprint="f:1")
    folder = tmp_path_factory.mktemp("pools") / "pool"
    pool.save(folder)
    back = Pool.open(folder, verify=True)
    order = np.argsort(pool.groups, kind="stable")
    same(back, Pool(X[order], np.array(ids)[order], feature_names=["a", "b", "c"], fingerprint="f:1"))
    wanted = [back.track_ids.tolist()[-1], back.track_ids.tolist()[0]]
    assert np.array_equal(back.index_of(wanted), pool.index_of(wanted))
    for track in wanted:
        assert np.array_equal(back.X[back.rows_of([track])], pool.X[pool.rows_of([track])])
    part = back.subset(wanted)
    assert set(part.track_ids.tolist()) == set(wanted)
    assert part.n_windows == sum(
        groups.count(g) for g in {groups[np.argmin(pool.groups)], groups[int(pool.groups.argmax())]}
    )


def test_memory_pools_check_their_arguments() -> None:
    with pytest.raises(ParameterError):
        Pool(np.zeros(3), [1, 2, 3])
    with pytest.raises(ParameterError):
        Pool(np.zeros((3, 2)), [1, 2])
    with pytest.raises(ParameterError):
        Pool(np.zeros((1, 2)), [1], feature_names=["a"])
    pool = Pool(np.zeros((1, 2)), [1])
    with pytest.raises(UnknownTrackError, match="9"):
        pool.rows_of([9])
    assert 1 in pool
    assert 9 not in pool


def test_the_opened_pool_is_a_read_only_map(tmp_path: Path) -> None:
    Pool(windows(0, 4), [1, 1, 2, 3]).save(tmp_path / "p")
    pool = Pool.open(tmp_path / "p")
    assert isinstance(pool.X.base if not isinstance(pool.X, np.memmap) else pool.X, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pool.X[0, 0] = 1.0
    assert pool.X.dtype == np.float32
    assert pool.groups.dtype == np.int64


def test_append_resume_and_read_while_writing(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with PoolWriter(folder, n_features=3, plan=PLAN) as writer:
        writer.append("a", windows(1, 2))
        writer.commit()
        assert Pool.open(folder).track_ids.tolist() == ["a"]
        writer.append("b", windows(2, 5))
        assert Pool.open(folder).track_ids.tolist() == ["a"]  # not committed yet
    with PoolWriter(folder, n_features=3, plan=PLAN) as writer:
        assert writer.known == {"a", "b"}
        writer.append("c", windows(3, 1))
        with pytest.raises(ParameterError, match="already"):
            writer.append("a", windows(1, 2))
    pool = Pool.open(folder, verify=True)
    assert pool.fingerprint == fingerprint_of(PLAN)
    expected = Pool(
        np.concatenate([windows(1, 2), windows(2, 5), windows(3, 1)]), ["a"] * 2 + ["b"] * 5 + ["c"],
        fingerprint=fingerprint_of(PLAN),
    )  # fmt: skip
    same(pool, expected)


def test_commits_come_by_themselves(tmp_path: Path) -> None:
    with PoolWriter(tmp_path / "p", n_features=3, commit_every=10) as writer:
        for i in range(7):
            writer.append(i, windows(i, 4))
        assert Pool.open(tmp_path / "p").n_tracks == 6
        assert len(json.loads((tmp_path / "p" / "manifest.json").read_text())["segments"]) == 2


def test_an_error_in_the_block_keeps_what_was_complete(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), PoolWriter(tmp_path / "p", n_features=3) as writer:  # noqa: PT012
        writer.append(1, windows(1, 2))
        raise KeyboardInterrupt
    assert Pool.open(tmp_path / "p", verify=True).track_ids.tolist() == [1]


def test_wrong_tracks_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with PoolWriter(tmp_path / "p", n_features=3) as writer:
        writer.append(1, windows(1, 2))
        bad = windows(1, 2)
        bad[1, 1] = np.inf
        for track, rows in ((2, bad), (2, windows(1, 0)), (2, windows(1, 2, 4)), ("x", windows(1, 2)), (True, windows(1, 2)),
                            (2**63, windows(1, 2)), (1.5, windows(1, 2))):  # fmt: skip
            with pytest.raises(ParameterError):
                writer.append(track, rows)
    assert Pool.open(tmp_path / "p", verify=True).n_windows == 2
    with PoolWriter(tmp_path / "q", n_features=3) as writer, pytest.raises(ParameterError, match="Unicode"):
        writer.append("\udc80", windows(1, 2))


def test_a_pool_of_other_features_is_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with PoolWriter(folder, n_features=3, plan=PLAN) as writer:
        writer.append(1, windows(1, 2))
    for other in ({"n_features": 4, "plan": PLAN}, {"n_features": 3, "plan": {**PLAN, "sr": 8000}},
                  {"n_features": 3, "plan": PLAN, "feature_names": list("abc")}):  # fmt: skip
        with pytest.raises(PoolFormatError, match="another folder"):
            PoolWriter(folder, **other)
    with pytest.raises(PoolFormatError, match="already"):
        Pool(windows(0, 1), [5]).save(folder)
    assert Pool.open(folder, verify=True).track_ids.tolist() == [1]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with PoolWriter(tmp_path / "p", n_features=3), pytest.raises(StoreError, match="another process"):
        PoolWriter(tmp_path / "p", n_features=3)
    with PoolWriter(tmp_path / "p", n_features=3):
        pass  # the lock goes with its writer


def test_a_full_disk_leaves_the_committed_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "p"
    writer = PoolWriter(folder, n_features=3)
    writer.append(1, windows(1, 2))
    writer.commit()
    real = os.fsync
    for fail_at in range(6):  # four files, the manifest, the folder
        calls = iter(range(100))

        def refuse(fd: int, calls=calls, fail_at=fail_at) -> None:
            if next(calls) == fail_at:
                raise OSError(28, "No space left on device")
            real(fd)

        writer.append(100 + fail_at, windows(9, 3))
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match="No space"):
            writer.commit()
        monkeypatch.undo()
        with pytest.raises(StoreError, match="open the pool again"):
            writer.commit()
        writer.__exit__(None, None, None)
        there = Pool.open(folder, verify=True).track_ids.tolist()
        assert there[0] == 1
        writer = PoolWriter(folder, n_features=3)
        assert writer.known == set(there)
    writer.__exit__(None, None, None)


KILLED = """
import sys
import numpy as np
from dissensus.features import PoolWriter
rng = np.random.default_rng(0)
with PoolWriter(sys.argv[1], n_features=16, commit_every=40) as writer:
    for i in range(3000):
        rows = np.full((1 + i % 5, 16), i, dtype=np.float32)
        if i not in writer.known:
            writer.append(i, rows)
        print(i, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    seen = 0
    for round_ in range(12):
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(seen + 30 + 17 * round_):
            if not child.stdout.readline():
                break
        child.send_signal(signal.SIGKILL)
        child.communicate()
        pool = Pool.open(folder, verify=True)
        assert pool.n_tracks >= seen
        assert pool.track_ids.tolist() == list(range(pool.n_tracks))
        assert np.array_equal(pool.X, np.repeat(pool.groups, 16).reshape(-1, 16))
        seen = pool.n_tracks
    assert seen > 100


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with PoolWriter(folder, n_features=3, plan=PLAN) as writer:
        for i in range(5):
            writer.append(f"track {i}", windows(i, 2))
            writer.commit()
    rng = np.random.default_rng(5)
    for name in ("manifest.json", "windows.f32", "ends.i64", "ids.i64", "ids.utf8"):
        path = folder / name
        good = path.read_bytes()
        for _ in range(40):
            bad = bytearray(good)
            if rng.random() < 0.3:
                del bad[int(rng.integers(0, len(bad))) :]
            else:
                at = int(rng.integers(0, len(bad)))
                bad[at] ^= 1 << int(rng.integers(0, 8))
            path.write_bytes(bad)
            with pytest.raises(PoolFormatError, match=str(folder)):
                Pool.open(folder, verify=True)
        path.unlink()
        with pytest.raises(PoolFormatError):
            Pool.open(folder)
        path.write_bytes(good)
    Pool.open(folder, verify=True)


def test_what_is_no_pool_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(PoolFormatError, match="dissensus extract"):
        Pool.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(PoolFormatError):
        Pool.open(tmp_path / "file")
    for text, words in (
        ("[]", "not the manifest"),
        ('{"format": "dissensus-pool", "version": 99}', "upgrade"),
        ("{", "JSON"),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(PoolFormatError, match=words):
            Pool.open(tmp_path)


@pytest.mark.slow
def test_a_million_tracks_open_without_being_read(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with PoolWriter(folder, n_features=2, commit_every=200_000) as writer:
        row = np.zeros((1, 2), dtype=np.float32)
        for i in range(1_000_000):
            writer.append(i, row)
    began = time.perf_counter()
    pool = Pool.open(folder)
    print(f"opened {pool} in {1e3 * (time.perf_counter() - began):.1f} ms")
    assert pool.n_tracks == 1_000_000
    assert "track_ids" not in vars(pool)
    assert "groups" not in vars(pool)
    assert pool.index_of([999_999]).tolist() == [999_999]
