"""``dissensus listener``: listeners of a store: make one, ask, answer, show, export, erase."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dissensus.cli.store import say
from dissensus.errors import ParameterError

if TYPE_CHECKING:
    from dissensus.personalisation.durable import DurableSession
    from dissensus.store.sql import SqlStore

_HELP = """Listeners of a store: make one, ask, take answers, show, export, erase.

Each step is in the store before it is printed, so the next command, here or on another machine, goes on where this one ended.

Examples:

- `dissensus listener add --store listeners.db --consent personalise=2026-12 --consent crowd=2026-12` (prints the id)

- `dissensus listener ask ID --store listeners.db --committee everyone.safetensors --pool pool/ -n 4`

- `dissensus listener tell ID song-1=Q2 song-7=Q1 --store listeners.db --committee everyone.safetensors --pool pool/`

- `dissensus listener export ID --store listeners.db --out ann.jsonl`

- `dissensus listener erase ID --store listeners.db --yes`
"""

Who = Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits, from dissensus listener add.")]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="DISSENSUS_STORE", help="File, or postgresql:// address.", show_default=False)
]
CommitteeOption = Annotated[
    Path, typer.Option("--committee", envvar="DISSENSUS_COMMITTEE", help="The committee that listeners start from.")
]
PoolOption = Annotated[Path, typer.Option("--pool", envvar="DISSENSUS_POOL", help="Pool of dissensus extract.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    listener = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")
    app.add_typer(listener, name="listener")

    @listener.command("add")
    def add(
        store: StoreOption,
        consent: Annotated[
            list[str], typer.Option("--consent", help="PURPOSE=TEXT_VERSION; personalise is needed.", metavar="P=V")
        ],
        seed: Annotated[int, typer.Option(help="Of ties and of random questions.")] = 0,
        strategy: Annotated[str, typer.Option(help="mc, hc, mix, rand.")] = "mc",
        as_json: Json = False,
    ) -> None:
        """Make a listener with consents; prints the id."""
        from dissensus.store import Consent, open_store

        agreed = [Consent(*_pair(one, "--consent", "PURPOSE=TEXT_VERSION")) for one in consent]
        with open_store(store) as opened:
            who = opened.create(agreed, seed=seed, strategy=strategy)
        say({"listener": who}, as_json) if as_json else typer.echo(who)

    @listener.command("ask")
    def ask(
        who: Who,
        store: StoreOption,
        committee: CommitteeOption,
        pool: PoolOption,
        n: Annotated[int, typer.Option("-n", min=1, help="Tracks wanted.")] = 1,
        as_json: Json = False,
    ) -> None:
        """The tracks to play next, and why; those that are open come again until they are answered."""
        with _opened(store) as opened:
            query = _session(opened, who, committee, pool).ask(n)
        rows = [
            {"track": track, "utility": round(float(utility), 4), "reason": reason}
            for track, utility, reason in zip(query.track_ids.tolist(), query.utility, query.reason, strict=True)
        ]
        if as_json:
            say({"listener": who, "query": rows, "stopped": query.stopped}, True)
            return
        for row in rows:
            typer.echo(f"{row['track']}  {row['utility']}  {row['reason']}")
        if query.stopped:
            typer.echo(f"stopped: {query.stopped}", err=True)

    @listener.command("tell")
    def tell(
        who: Who,
        answers: Annotated[list[str], typer.Argument(metavar="TRACK=LABEL...", help="Answers, all or none.")],
        store: StoreOption,
        committee: CommitteeOption,
        pool: PoolOption,
        key: Annotated[str | None, typer.Option(help="Names the request: sent twice it counts once.")] = None,
        as_json: Json = False,
    ) -> None:
        """Take answers."""
        with _opened(store) as opened:
            session = _session(opened, who, committee, pool)
            labels = {str(label): label for label in session.classes_.tolist()}
            said = dict(_pair(one, "an answer", "TRACK=LABEL") for one in answers)
            session.tell({track: labels.get(label, label) for track, label in said.items()}, key=key)
            _report(session, who, as_json)

    @listener.command("skip")
    def skip(
        who: Who,
        track: Annotated[str, typer.Argument(help="A track that is open.")],
        store: StoreOption,
        committee: CommitteeOption,
        pool: PoolOption,
        as_json: Json = False,
    ) -> None:
        """The listener cannot or will not answer about a track."""
        with _opened(store) as opened:
            session = _session(opened, who, committee, pool)
            session.skip(track)
            _report(session, who, as_json)

    @listener.command("undo")
    def undo(
        who: Who,
        track: Annotated[str, typer.Argument(help="An answered track.")],
        store: StoreOption,
        committee: CommitteeOption,
        pool: PoolOption,
        as_json: Json = False,
    ) -> None:
        """Take an answer back: the model is then what it was without it."""
        with _opened(store) as opened:
            session = _session(opened, who, committee, pool)
            session.undo(track)
            _report(session, who, as_json)

    @listener.command("show")
    def show(who: Who, store: StoreOption, as_json: Json = False) -> None:
        """What is kept of a listener, in short."""
        with _opened(store) as opened:
            record, log = opened.listener(who), opened.events(who)
        kinds = {kind: sum(event.kind == kind for event in log) for kind in ("ask", "answer", "skip", "undo")}
        agreed = [f"{one.purpose} ({one.text_version})" for one in record.consents if one.active]
        say({"listener": who, "version": record.version, "consents": agreed, **kinds}, as_json)

    @listener.command("export")
    def export(
        who: Who,
        store: StoreOption,
        out: Annotated[Path | None, typer.Option(help="File; .parquet gives a table of the events.")] = None,
    ) -> None:
        """Everything that is kept of a listener, as lines of JSON."""
        from dissensus._files import replace_by_handle
        from dissensus.store.rights import export_parquet

        with _opened(store) as opened:
            if out is not None and out.suffix == ".parquet":
                export_parquet(opened, who, out)
            elif out is not None:
                lines = opened.export(who)
                replace_by_handle(out, lambda handle: handle.writelines(lines))
            else:
                for line in opened.export(who):
                    sys.stdout.write(line.decode("utf-8"))

    @listener.command("erase")
    def erase(
        who: Who,
        store: StoreOption,
        yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
        as_json: Json = False,
    ) -> None:
        """Remove a listener and every trace, and prove it by reading every file. Exit code 1 where something is left."""
        with _opened(store) as opened:
            opened.listener(who)
            if not yes:
                typer.confirm(f"Remove everything that is kept of {who}?", abort=True)
            receipt = opened.erase(who)
        facts: dict[str, Any] = {
            "erasure": receipt.n, **{f"{name} rows": count for name, count in receipt.counts.items()},
            "files read": receipt.files, "bytes read": receipt.bytes, "traces": sum(receipt.found.values()),
            "pending": list(receipt.pending), "complete": receipt.complete,
        }  # fmt: skip
        say(facts, as_json)
        if not receipt.complete:
            raise typer.Exit(1)


def _opened(where: str) -> SqlStore:
    from dissensus.store import open_store

    return open_store(where, make=False)


def _session(store: SqlStore, who: str, committee: Path, pool: Path) -> DurableSession:
    from dissensus import Committee, Pool, Session

    return Session.open(store, who, Committee.load(committee), Pool.open(pool))


def _pair(text: str, what: str, form: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    if not (name and sign and value):
        raise ParameterError(f"{what} is {text!r}; write {form}")
    return name, value


def _report(session: DurableSession, who: str, as_json: bool) -> None:
    say(
        {
            "listener": who,
            "version": session.version,
            "answers": session.n_answers,
            "finished": session.finished or "no",
        },
        as_json,
    )
