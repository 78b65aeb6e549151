"""``dissensus compare``: a published protocol and the sound one on the same listeners, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dissensus.cli._data_sets import (
    STRATEGIES_HELP,
    DataName,
    check_embeddings,
    cores,
    listeners_made_up,
    published,
    split,
)

if TYPE_CHECKING:
    from dissensus.datasets import Dataset
    from dissensus.evaluation.outcome.results import Results
    from dissensus.evaluation.protocol import Protocol

_HELP = """Run a published protocol, faults included, and the sound one on the same listeners, and print them side by side.

One table a member: weighted F1 before any answer, after the first round and at the end; the gain beside the gain from
permuted answers; whom the published slope calls personalised, who ends above their start, who surely does. Then every strategy
against random under both, and what it comes to in words. The sound protocol takes rounds, queries and listeners from the
published one, so that only the faults differ, and learns by replay as well as incrementally.

Written to OUT: **paper/** and **sound/** as by `dissensus evaluate`, **comparison.txt** (every strategy),
**comparison.json**, and with matplotlib **report.html**. A run that was killed continues where it was. Results that are there
already can be taken: `--sound-results`, `--paper-results` (their own settings stand then).

Examples:

- `dissensus compare trompa --data DIR --out beside/`

- `dissensus compare trompa --data DIR --sound-results results/ --out beside/`

- `dissensus compare amg1608 --data DIR --protocol ismir2021 --repeats 5 --out beside/`

- `dissensus compare synthetic --listeners 6 --rounds 4 --repeats 4 --out beside/`
"""


class PaperName(StrEnum):
    """Published protocols."""

    ismir2021 = "ismir2021"
    trompa2022 = "trompa2022"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("compare", help=_HELP)(_compare)


def _compare(
    data_set: Annotated[DataName, typer.Argument(metavar="DATASET", help="As of `dissensus evaluate`, but for table.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("compared"),
    protocol: Annotated[PaperName, typer.Option(help="Which published protocol.")] = PaperName.trompa2022,
    sound_results: Annotated[Path | None, typer.Option(help="Folder of `evaluate`, instead of running sound.")] = None,
    paper_results: Annotated[Path | None, typer.Option(help="The same of the published protocol.")] = None,
    members: Annotated[str | None, typer.Option(help="Kinds of members, of gnb,sgd,xgb.")] = None,
    strategies: Annotated[str | None, typer.Option(help=STRATEGIES_HELP)] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of questions.")] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Tracks asked in a round.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Splits of each listener, sound (the published have one).")] = 20,
    null_repeats: Annotated[int, typer.Option(min=0, help="Splits run again with permuted answers.")] = 2,
    min_tracks: Annotated[int | None, typer.Option(min=2, help="Listeners with fewer tracks are left out.")] = None,
    listeners: Annotated[int | None, typer.Option(min=1, help="Take only so many listeners.")] = None,
    snapshot: Annotated[str, typer.Option(help="trompa: which snapshot.")] = "2022-03-07",
    personal: Annotated[float, typer.Option(min=0.0, help="synthetic: spread of the listeners' boundaries.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Master seed.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
) -> None:
    from dissensus.evaluation.outcome.results import read_results
    from dissensus.evaluation.report.protocols_compared import compare_protocols, sound_beside, write_comparison

    changes = {"kinds": split(members), "strategies": split(strategies), "rounds": rounds, "queries": queries}
    changes |= {"min_tracks": min_tracks, "seed": seed}
    paper, sound = sound_beside(
        protocol.value, repeats, null_repeats, **{name: value for name, value in changes.items() if value is not None}
    )
    taken = [read_results(folder) for folder in (sound_results, paper_results) if folder is not None]
    if len(taken) < 2:
        dataset = _load(data_set, data, snapshot, paper, listeners, personal)
        chosen = _listeners(dataset, paper, sound, taken, listeners)
    sides = []
    for name, settings, folder in (("paper", paper, paper_results), ("sound", sound, sound_results)):
        if folder is None:
            folder = out / name
            _run(dataset, settings, folder, chosen, jobs or cores())
        sides.append(read_results(folder))
    found = compare_protocols(*sides)
    typer.echo(str(found))
    for path in write_comparison(found, out):
        typer.echo(f"\nWritten: {path}" if path.suffix == ".txt" else f"Written: {path}")
    _report(sides, out)


def _load(
    name: DataName, data: Path | None, snapshot: str, paper: Protocol, listeners: int | None, personal: float
) -> Dataset:
    if name is DataName.table:
        raise typer.BadParameter(
            "evaluate a table twice and give --paper-results and --sound-results", param_hint="DATASET"
        )
    check_embeddings(name, paper.kinds)
    if name is DataName.synthetic:
        return listeners_made_up(listeners or 40, personal, paper.seed, embedded="cnn" in paper.kinds)
    return published(name.value, data, snapshot=snapshot)


def _listeners(
    dataset: Dataset, paper: Protocol, sound: Protocol, taken: Sequence[Results], limit: int | None
) -> list[Any]:
    """Those whom both protocols can evaluate, and who are in the results that are there already."""
    from dissensus.errors import ParameterError
    from dissensus.evaluation.report.protocols_compared import able_listeners

    able = able_listeners(dataset, paper, sound)
    for results in taken:
        if results.dataset != dataset.name:
            raise ParameterError(f"{results.folder} is of {results.dataset}, not of {dataset.name}")
        able = [who for who in able if str(who) in set(results.listeners)]
    if not able:
        raise ParameterError(
            f"no listener of {dataset.name} has {max(paper.min_tracks, sound.min_tracks)} labelled tracks"
            + (" and is in the results given" if taken else "")
            + "; lower --min-tracks"
        )
    return able[:limit]


def _run(dataset: Dataset, protocol: Protocol, folder: Path, listeners: list[Any], jobs: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from dissensus.evaluation.run.grid import run_evaluation

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        units = bar.add_task(f"{protocol.name}: listeners x splits", total=None)
        run_evaluation(
            dataset,
            protocol,
            out=folder,
            jobs=jobs,
            listeners=listeners,
            progress=lambda done, total: bar.update(units, completed=done, total=total),
        )


def _report(sides: Sequence[Results], out: Path) -> None:
    from dissensus.errors import MissingDependencyError
    from dissensus.evaluation.report.page import write_results_report

    try:
        typer.echo(f"Report: {write_results_report([sides[1].folder, sides[0].folder], out / 'report.html')}")
    except MissingDependencyError as error:
        typer.echo(f"No report: {error}")
