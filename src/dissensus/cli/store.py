"""``dissensus store``: look after the file or database that keeps what listeners told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dissensus.errors import ParameterError, StoreError

if TYPE_CHECKING:
    from dissensus.store.sql import SqlStore

_HELP = """Look after a store: what it runs on, whether it is whole, backups, restores, new versions of its tables.

A store is an SQLite file, or `postgresql://user@host:port/database` (needs the postgres extra).

Examples:

- `dissensus store info listeners.db`

- `dissensus store verify listeners.db --json`

- `dissensus store backup listeners.db backup.db`

- `dissensus store restore backup.db listeners.db` (repeats the erasures that came after the backup)

- `dissensus store migrate postgresql://dissensus@127.0.0.1:5432/listeners` (makes the tables, or brings them up to date)
"""

Where = Annotated[str, typer.Argument(metavar="STORE", help="File, or postgresql:// address.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    store = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")
    app.add_typer(store, name="store")

    @store.command("info")
    def info(where: Where, as_json: Json = False) -> None:
        """What a store runs on, how durable it is, and how much it holds."""
        with _opened(where) as opened:
            say(opened.info(), as_json)

    @store.command("verify")
    def verify(where: Where, as_json: Json = False) -> None:
        """Whether a store is whole: the database's own check, and every listener's log. Exit code 1 where it is not."""
        with _opened(where) as opened:
            faults = opened.verify()
        say({"store": where, "whole": not faults, "faults": faults}, as_json)
        if faults:
            raise typer.Exit(1)

    @store.command("backup")
    def backup(
        where: Where,
        to: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; replaced where it exists.")],
        as_json: Json = False,
    ) -> None:
        """A consistent copy of an SQLite store, while others write."""
        from dissensus.store.sqlite import SQLiteStore

        with _opened(where) as opened:
            if not isinstance(opened, SQLiteStore):
                raise ParameterError(f"{where}: back up a PostgreSQL store with pg_dump")
            say({"store": where, "backup": str(to), "bytes": opened.backup(to)}, as_json)

    @store.command("restore")
    def restore(
        backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="Written by dissensus store backup.")],
        to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the store shall be; replaced where it exists.")],
        force: Annotated[bool, typer.Option("--force", help="Replace a store that is there.")] = False,
        as_json: Json = False,
    ) -> None:
        """Put a backup in place of an SQLite store, and repeat the erasures that came after it."""
        from dissensus.store.rights import restore as put_back

        if to.exists() and not force:
            raise StoreError(f"{to}: there is a store; give --force to replace it (its erasures are honoured)")
        opened, erased = put_back(backup, to)
        with opened:
            say(
                {"store": str(to), "listeners": sum(1 for _ in opened.listeners()), "erased again": len(erased)},
                as_json,
            )

    @store.command("migrate")
    def migrate(where: Where, as_json: Json = False) -> None:
        """Make the tables of a store, or bring them up to date; a step happens whole or not at all."""
        from dissensus.store.opening import connect_store
        from dissensus.store.opening import migrate as bring_up

        with connect_store(where) as opened:
            say({"store": where, "steps": bring_up(opened)}, as_json)


def _opened(where: str) -> SqlStore:
    from dissensus.store import open_store

    return open_store(where, make=False)


def say(what: dict[str, Any], as_json: bool) -> None:
    """One line of JSON, or one line per fact."""
    if as_json:
        typer.echo(json.dumps(what, ensure_ascii=False, default=str))
        return
    width = max(len(name) for name in what)
    for name, value in what.items():
        shown = ("yes" if value else "no") if isinstance(value, bool) else value
        if isinstance(shown, (list, tuple)):
            shown = ", ".join(map(str, shown)) or "none"
        typer.echo(f"{name.replace('_', ' '):{width}}  {shown}")
