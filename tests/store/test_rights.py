"""Backups, retention and tombstones of a SQLite store; what an export as a table holds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dissensus.errors import StoreError, UnknownListenerError
from dissensus.store import Consent, Event, open_store
from dissensus.store.rights import erase_unseen, export_parquet, restore, tombstones
from dissensus.store.sqlite import SQLiteStore, journal_of

AGREED = [Consent("personalise", "1"), Consent("crowd", "1")]


def answered(store: SQLiteStore, n: int = 5) -> str:
    who = store.create(AGREED)
    store.append(
        who, [Event("answer", track=f"t{i}", label="Q1", detail={"word": f"wort-{who[:6]}"}) for i in range(n)]
    )
    return who


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    made = open_store(tmp_path / "s.db")
    assert isinstance(made, SQLiteStore)
    return made


def test_a_backup_holds_everything_and_a_restored_one_repeats_erasures(store: SQLiteStore, tmp_path: Path) -> None:
    ann, bob = answered(store), answered(store)
    assert store.backup(tmp_path / "b.db") > 0
    late = answered(store)
    store.erase(ann)
    store.close()
    again, repeated = restore(tmp_path / "b.db", tmp_path / "s.db")
    with again:
        assert [one.complete for one in repeated] == [True]
        assert list(again.listeners()) == [bob]
        assert len(again.events(bob)) == 5
        with pytest.raises(UnknownListenerError, match="erased"):
            again.events(ann)
        with pytest.raises(UnknownListenerError, match="knows no listener"):
            again.events(late)


def test_tombstones_travel_to_a_machine_that_never_had_the_store(store: SQLiteStore, tmp_path: Path) -> None:
    ann = answered(store)
    store.backup(tmp_path / "b.db")
    store.erase(ann)
    known = tombstones(store)
    with restore(tmp_path / "b.db", tmp_path / "elsewhere" / "s.db", known=known)[0] as again:
        assert list(again.listeners()) == []


@pytest.mark.parametrize("damage", ["none", "text", "cut", "flip"])
def test_what_is_no_backup_is_refused_and_the_store_left_alone(store: SQLiteStore, tmp_path: Path, damage: str) -> None:
    bob = answered(store, 400)
    backup = tmp_path / "b.db"
    if damage == "text":
        backup.write_text("not a database at all " * 100)
    elif damage != "none":
        store.backup(backup)
        raw = bytearray(backup.read_bytes())
        backup.write_bytes(raw[: len(raw) // 2] if damage == "cut" else raw[:4096] + bytes(4096) + raw[8192:])
    store.close()
    with pytest.raises(StoreError):
        restore(backup, tmp_path / "s.db")
    with open_store(tmp_path / "s.db") as same:
        assert len(same.events(bob)) == 400
    assert not list(tmp_path.glob(".*part*"))


def test_who_was_not_seen_for_long_is_erased(store: SQLiteStore) -> None:
    ann, bob = answered(store), answered(store)
    store.append(bob, [Event("answer", track="new", label="Q1")])
    seen = store.listener(bob).last_seen
    receipts = erase_unseen(store, seen)
    assert len(receipts) == 1 and receipts[0].complete
    assert list(store.listeners()) == [bob] and ann not in list(store.listeners())


def test_an_export_as_a_table_holds_each_event(store: SQLiteStore, tmp_path: Path) -> None:
    ann = answered(store)
    assert export_parquet(store, ann, tmp_path / "ann.parquet") == 5
    table = pq.read_table(tmp_path / "ann.parquet").to_pylist()
    assert [row["track"] for row in table] == [f"t{i}" for i in range(5)]
    assert table[0]["label"] == "Q1" and str(table[0]["at"].tzinfo) == "UTC"


def test_only_the_owner_reads_the_file(store: SQLiteStore) -> None:
    answered(store)
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600


def test_a_store_of_a_newer_version_and_a_folder_are_refused(store: SQLiteStore, tmp_path: Path) -> None:
    with store._connected(write=True) as connection:
        connection.exec_driver_sql("update meta set value = '9999' where name = 'schema'")
    store.close()
    with pytest.raises(StoreError, match="newer dissensus"):
        open_store(store.path)
    with pytest.raises(StoreError):
        open_store(tmp_path)
    with pytest.raises(StoreError, match="there is no store"):
        open_store(tmp_path / "none.db", make=False)


def test_a_child_made_by_fork_can_use_the_store(store: SQLiteStore) -> None:
    ann = answered(store)
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                store.append(ann, [Event("answer", track=f"child-{number}", label="Q1")])
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    store.append(ann, [Event("answer", track="parent", label="Q1")])
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert len(store.events(ann)) == 10 and store.verify() == []


@pytest.mark.parametrize(
    ("version", "journal"),
    [((3, 40, 1), "truncate"), ((3, 51, 2), "truncate"), ((3, 44, 6), "wal"), ((3, 50, 7), "wal"), ((3, 51, 3), "wal")],
)
def test_the_journal_follows_the_release(version: tuple[int, ...], journal: str) -> None:
    assert journal_of(version) == journal
