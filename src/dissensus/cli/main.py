"""The ``dissensus`` command: gathers the verbs, turns errors into one line and an exit code.

Exit codes: 0 done · 1 an error of ours (one line on stderr) · 2 wrong usage · 3 a bug or an unforeseen error · 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer

from dissensus.errors import DissensusError

app = typer.Typer(
    name="dissensus",
    help="A committee of classifiers that learns to hear emotion in music as one listener does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Modules of this package; each has ``register(app)``, which adds its verb.
VERBS = ("demo", "synth", "evaluate", "pretrain", "export")

DEBUG = {"on": False}


def _version(show: bool) -> None:
    if show:
        from dissensus import __version__

        typer.echo(f"dissensus {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error instead of one line."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    DEBUG["on"] = debug or bool(os.environ.get("DISSENSUS_DEBUG"))


for _verb in VERBS:
    import_module(f"dissensus.cli.{_verb}").register(app)


def run(argv: list[str] | None = None) -> None:
    """Entry point of the ``dissensus`` script."""
    try:
        app(args=argv, standalone_mode=True)
    except DissensusError as error:
        if DEBUG["on"]:
            raise
        typer.echo(f"dissensus: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("dissensus: interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        if DEBUG["on"]:
            raise
        typer.echo(f"dissensus: unforeseen {type(error).__name__}: {error} (run again with --debug)", err=True)
        sys.exit(3)
