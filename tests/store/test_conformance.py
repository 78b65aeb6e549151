"""What every store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissensus.errors import (
    BiometricInputError,
    ConsentError,
    KeyReusedError,
    ParameterError,
    UnknownListenerError,
    VersionConflictError,
)
from dissensus.store import Consent, Event, open_store
from dissensus.store.records import refuse_biometrics
from dissensus.store.sql import SqlStore


def answer(track: str, label: str = "Q1", **detail: object) -> Event:
    return Event("answer", track=track, label=label, detail=detail)


def test_a_log_is_read_back_as_it_was_written(store: SqlStore, ann: str) -> None:
    ask = Event("ask", detail={"tracks": ["a", "b"], "utility": [0.5, 0.25], "at_random": [False, True]})
    first = store.append(ann, [ask, answer("a", "Q2", word="heimelig", known=True)])
    second = store.append(ann, [Event("skip", track="b", detail={"reason": "no sound"}), Event("undo", track="a")])
    assert (first.first, first.last, second.first, second.last) == (1, 2, 3, 4)
    log = store.events(ann)
    assert [(e.seq, e.kind, e.track, e.label) for e in log] == [
        (1, "ask", None, None), (2, "answer", "a", "Q2"), (3, "skip", "b", None), (4, "undo", "a", None),
    ]  # fmt: skip
    assert log[0].detail == {"tracks": ["a", "b"], "utility": [0.5, 0.25], "at_random": [False, True]}
    assert log[1].detail == {"word": "heimelig", "known": True}
    assert all(event.at > 1_700_000_000_000_000 for event in log)
    assert store.events(ann, after=2) == log[2:]
    assert store.events(ann, after=4) == []
    assert store.version(ann) == 4


@pytest.mark.parametrize("text", ["a'b\"c", "%_\\", "音楽", "🎵", "‮right to left", " padded ", "x" * 512])
def test_texts_survive(store: SqlStore, ann: str, text: str) -> None:
    store.append(ann, [answer(text, text, word=text)], key=text)
    (event,) = store.events(ann)
    assert (event.track, event.label, event.detail["word"]) == (text, text, text)


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_any_text_survives_or_is_refused_by_name(store: SqlStore, ann: str, track: str, word: str) -> None:
    before = store.version(ann)
    assert before is not None
    try:
        receipt = store.append(ann, [answer(track, word=word)])
    except ParameterError:
        assert "\0" in track + word or any(0xD800 <= ord(c) < 0xE000 for c in track + word)
        assert store.version(ann) == before
    else:
        (event,) = store.events(ann, after=receipt.first - 1)
        assert (event.track, event.detail["word"]) == (track, word)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Event("answer", track="a"), "needs a label"),
        (Event("answer", label="Q1"), "needs a track"),
        (Event("ask", track="a"), "has no track"),
        (Event("skip", track="a", label="Q1"), "has no label"),
        (Event("sing", track="a"), "there are ask"),  # type: ignore[arg-type]
        (Event("answer", track="", label="Q1"), "1 to 512"),
        (Event("answer", track="x" * 513, label="Q1"), "513 characters"),
        (Event("answer", track=3, label="Q1"), "give a text"),  # type: ignore[arg-type]
        (Event("answer", track="a\0", label="Q1"), "NUL"),
        (Event("answer", track="a", label="Q1", detail={"x": float("nan")}), "no JSON"),
        (Event("answer", track="a", label="Q1", detail={"x": {1, 2}}), "no JSON"),
        (Event("answer", track="a", label="Q1", detail={"x": "y" * 70_000}), "bytes of JSON"),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused_and_nothing_written(
    store: SqlStore, ann: str, event: Event, says: str
) -> None:
    with pytest.raises(ParameterError, match=says):
        store.append(ann, [answer("fine"), event])
    assert store.version(ann) == 0


def test_no_events_and_too_many_are_refused(store: SqlStore, ann: str) -> None:
    for events in ([], [answer(str(i)) for i in range(1001)]):
        with pytest.raises(ParameterError, match="1 to 1000"):
            store.append(ann, events)


def test_the_same_request_is_written_once(store: SqlStore, ann: str) -> None:
    first = store.append(ann, [answer("a"), answer("b")], key="k")
    again = store.append(ann, [answer("a"), answer("b")], key="k")
    assert not first.repeated and again.repeated
    assert (again.first, again.last, again.at) == (first.first, first.last, first.at)
    assert store.version(ann) == 2
    with pytest.raises(KeyReusedError, match="'k' named another request"):
        store.append(ann, [answer("a", "Q2"), answer("b")], key="k")
    bob = store.create([Consent("personalise", "1")])
    assert not store.append(bob, [answer("z")], key="k").repeated


def test_one_key_from_eight_threads_is_one_event(store: SqlStore, ann: str) -> None:
    barrier = threading.Barrier(8)

    def send(_: int) -> tuple[int, int, int]:
        barrier.wait()
        receipt = store.append(ann, [answer("a")], key="once")
        return receipt.first, receipt.last, receipt.at

    with ThreadPoolExecutor(8) as pool:
        receipts = set(pool.map(send, range(8)))
    assert len(receipts) == 1
    assert len(store.events(ann)) == 1


def test_a_writer_who_missed_something_is_told(store: SqlStore, ann: str) -> None:
    store.append(ann, [answer("a")], expect_version=0)
    with pytest.raises(VersionConflictError, match="version 1, not 0"):
        store.append(ann, [answer("b")], expect_version=0)
    assert store.version(ann) == 1


def test_of_many_who_write_at_once_none_is_lost(store: SqlStore, ann: str) -> None:
    def write(worker: int) -> int:
        written = 0
        for number in range(12):
            while True:
                version = store.version(ann)
                try:
                    store.append(ann, [answer(f"{worker}-{number}")], expect_version=version)
                except VersionConflictError:
                    continue
                written += 1
                break
        return written

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 48
    log = store.events(ann)
    assert [event.seq for event in log] == list(range(1, 49))
    assert len({event.track for event in log}) == 48
    assert store.verify() == []


def test_nobody_is_a_typed_error(store: SqlStore) -> None:
    for listener in ("00" * 16, "ann", "", "zz" * 16):
        for call in (
            lambda who: store.append(who, [answer("a")]),
            store.events, store.listener, store.erase, store.export,
            lambda who: store.give_consent(who, Consent("crowd", "1")),
            lambda who: store.withdraw_consent(who, "crowd"),
        ):  # fmt: skip
            with pytest.raises(UnknownListenerError):
                call(listener)
    assert store.version("00" * 16) is None


def test_nobody_is_kept_without_consent(store: SqlStore) -> None:
    with pytest.raises(ConsentError, match="personalise"):
        store.create([Consent("crowd", "1")])
    with pytest.raises(ParameterError, match="there are personalise, crowd"):
        store.create([Consent("personalise", "1"), Consent("world domination", "1")])
    assert list(store.listeners()) == []


def test_consents_are_given_withdrawn_and_given_again(store: SqlStore, ann: str) -> None:
    assert store.listener(ann).allows("crowd")
    store.append(ann, [answer("a")])
    assert len(store.votes()) == 1
    store.withdraw_consent(ann, "crowd")
    assert not store.listener(ann).allows("crowd")
    assert len(store.votes()) == 0
    store.withdraw_consent(ann, "personalise")
    with pytest.raises(ConsentError, match="withdrawn"):
        store.append(ann, [answer("b")])
    store.give_consent(ann, Consent("personalise", "2"))
    store.give_consent(ann, Consent("personalise", "2"))
    store.append(ann, [answer("b")])
    record = store.listener(ann)
    assert [(c.purpose, c.text_version, c.active) for c in record.consents] == [
        ("personalise", "1", False), ("crowd", "1", False), ("personalise", "2", True),
    ]  # fmt: skip
    assert (record.seed, record.strategy, record.version) == (7, "mc", 2)


def test_the_crowd_gets_the_newest_answer_that_stands(store: SqlStore, ann: str) -> None:
    bob = store.create([Consent("personalise", "1"), Consent("crowd", "1")])
    cy = store.create([Consent("personalise", "1")])
    store.append(ann, [answer("a", "Q1"), answer("b", "Q2"), answer("a", "Q3")])
    store.append(bob, [answer("a", "Q4"), answer("c", "Q1"), Event("undo", track="c"), Event("skip", track="b")])
    store.append(cy, [answer("a", "Q2")])
    votes = store.votes()
    assert sorted(zip(votes.listener, votes.track, votes.label, strict=True)) == sorted(
        [(ann, "a", "Q3"), (ann, "b", "Q2"), (bob, "a", "Q4")]
    )


def test_an_export_holds_everything(store: SqlStore, ann: str) -> None:
    store.append(ann, [answer("a", "Q2", word="heimelig")])
    store.note("service", "POST /answers", "201", listener=ann)
    store.note("admin", "erase", "200")
    lines = [json.loads(line) for line in store.export(ann)]
    assert [line["what"] for line in lines] == ["listener", "consent", "consent", "answer", "audit"]
    assert lines[0]["listener"] == ann and lines[3]["detail"] == {"word": "heimelig"}
    assert lines[4]["action"] == "POST /answers"


def test_tokens_open_what_they_should_until_they_do_not(store: SqlStore, ann: str) -> None:
    secret = store.issue_token("listener", listener=ann)
    found = store.token(secret)
    assert found is not None and (found.role, found.listener) == ("listener", ann)
    assert store.token("guess") is None
    assert store.token(store.issue_token("admin", expires=1)) is None
    assert store.revoke_token(secret) and not store.revoke_token(secret)
    assert store.token(secret) is None
    for role, listener in (("king", None), ("listener", None), ("admin", ann)):
        with pytest.raises(ParameterError, match="roles are"):
            store.issue_token(role, listener=listener)


def test_an_erased_listener_leaves_nothing_but_a_tombstone(store: SqlStore, ann: str) -> None:
    bob = store.create([Consent("personalise", "1"), Consent("crowd", "1")])
    for i in range(40):
        store.append(
            ann, [answer(f"t{i}", "Q2", word=f"quarkschnitte-{i:03}", shared="everybody says this")], key=f"ann{i}"
        )
        store.append(bob, [answer(f"t{i}", "Q1", shared="everybody says this")])
    store.issue_token("listener", listener=ann)
    store.note("service", "asked", "200", listener=ann)
    dropped: list[str] = []
    store.on_erase(lambda who: dropped.append(who) or 3)  # type: ignore[func-returns-value]
    receipt = store.erase(ann)
    assert dict(receipt.counts) == {"event": 40, "consent": 2, "token": 1, "audit": 1, "listener": 1, "votes": 3}
    assert receipt.found == {} and receipt.pending == () and receipt.complete
    assert receipt.files >= 1 and receipt.bytes > 10_000
    assert dropped == [ann]
    assert list(store.listeners()) == [bob] and len(store.events(bob)) == 40
    for call in (store.events, store.listener, store.erase):
        with pytest.raises(UnknownListenerError, match="was erased"):
            call(ann)
    assert store.verify() == []


def test_the_scan_of_an_erasure_can_see(store: SqlStore, ann: str) -> None:
    """The positive control: what is still there is found."""
    from dissensus.store.rights import find_traces

    store.append(ann, [answer("a", word="quarkschnitte")])
    if store._engine.dialect.name == "postgresql":
        with store._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("checkpoint")
    for needle in (bytes.fromhex(ann), b"quarkschnitte"):
        files, _, found = find_traces(store.scanned_files(), [needle])
        assert files >= 1 and found


def test_a_second_opening_finds_the_same(store: SqlStore, ann: str) -> None:
    store.append(ann, [answer("a")])
    where = (
        store.path if hasattr(store, "path") else store._engine.url.set(drivername="postgresql").render_as_string(False)
    )
    with open_store(where, make=False) as other:
        assert [event.track for event in other.events(ann)] == ["a"]
        other.append(ann, [answer("b")])
    assert [event.track for event in store.events(ann)] == ["a", "b"]
    assert store.info()["schema"] == "0001" and store.info()["durable"] is True


@pytest.mark.parametrize(
    "name",
    [
        "voice",
        "face",
        "heart_rate",
        "heartRate",
        "HR",
        "eda",
        "EEG_alpha",
        "keystrokes",
        "pupil",
        "gaze",
        "ecg",
        "respiration",
    ],
)
def test_nobodys_body_is_taken(store: SqlStore, ann: str, name: str) -> None:
    with pytest.raises(BiometricInputError, match="3\\(39\\)"):
        store.append(ann, [answer("a", **{name: 1})])
    with pytest.raises(BiometricInputError):
        store.append(ann, [answer("a", nested=[{name: 1}])])


@pytest.mark.parametrize(
    "name", ["arousal", "surface", "heard", "three", "interface_language", "breadth", "thrill", "word"]
)
def test_ordinary_names_are_taken(name: str) -> None:
    refuse_biometrics([name])
