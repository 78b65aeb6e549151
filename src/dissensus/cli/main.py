"""The ``dissensus`` command: gathers the verbs, turns errors into one line and an exit code.

Exit codes: 0 done · 1 an error of ours (one line on stderr) · 2 wrong usage · 3 a bug or an unforeseen error · 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from importlib import import_module
from typing import Any

import typer

from dissensus.errors import DissensusError

_HELP = """A committee of classifiers that learns to hear emotion in music as one listener does.

Start with `dissensus demo`: it needs no data, takes about a minute and writes a page that explains itself. Every verb has
`--help` with examples. Errors are one line; `dissensus --debug VERB …` shows where they come from.

Exit codes: 0 done, 1 an error that the line explains, 2 wrong usage, 3 a bug, 130 interrupted.

Where do I find it? Each has a page under docs/how-to.

- score a folder to CSV or Parquet: `dissensus score` (score_a_folder)

- a pool, or tables of any dress, in an evaluation: `dissensus evaluate table --pool` (evaluate_a_pool)

- nine classes in `pretrain cnn`: `--classes`; `CnnModel` is in dissensus.committee (cnn)

- go on with a session tomorrow: `Session(answers=…)` (continue_tomorrow); keep what listeners tell: (store)

- rank tracks for a listener: `Session.predict_proba` (rank_for_a_listener); a candidate list: (candidates)

- my own model in the committee (own_model) · a committee to ONNX (committee_to_onnx) · a GPU (gpu)

- servers that fork: gunicorn, joblib, data loaders (servers_that_fork)
"""

app = typer.Typer(
    name="dissensus",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Modules of this package, called as their verbs; each has ``register(app)``, which adds its verb.
VERBS = (
    "demo",
    "synth",
    "evaluate",
    "compare",
    "pretrain",
    "export",
    "study_listeners",
    "extract",
    "score",
    "agreement",
    "report",
    "store",
    "listener",
)

DEBUG = {"on": False}

#: The class of errors of usage, wherever this version of typer keeps it.
_UsageError: Any = typer.BadParameter.__mro__[1]


def _version(show: bool) -> None:
    if show:
        from dissensus._version import __version__

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


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code comes back."""
    # Verbs run listeners side by side; libraries that start threads of their own on top only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.formatwarning = _one_line  # type: ignore[assignment]
    try:
        code = app(args=argv, prog_name="dissensus", standalone_mode=False)
        if code == 130:  # newer versions of typer return it where older ones raise
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except _UsageError as error:
        return _wrong_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        _say("dissensus: interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `dissensus demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DissensusError, OSError) as error:
        if DEBUG["on"]:
            raise
        _say(f"dissensus: {error}")
        return 1
    except Exception as error:
        if DEBUG["on"]:
            raise
        _say(f"dissensus: unforeseen {type(error).__name__}: {error} (run again with dissensus --debug)")
        return 3


def _wrong_usage(error: Any) -> int:
    """One line and exit code 2; the help where nothing at all was given."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if error.ctx is not None else "dissensus"
        _say(f"{command}: {error.format_message()} (see {command} --help)")
    return int(error.exit_code)


def _say(line: str) -> None:
    typer.echo(" ".join(line.split()), err=True)


def _one_line(message: Warning | str, category: type[Warning], *_: object) -> str:
    return f"dissensus: {category.__name__}: {message}\n"


def run(argv: list[str] | None = None) -> None:
    """Entry point of the ``dissensus`` script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # paths that are not UTF-8 leave as they came
    sys.exit(main(argv))
