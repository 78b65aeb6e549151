"""``dissensus evaluate``: learning curves of personalised committees, on real listeners or made-up ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dissensus.cli._data_sets import (
    COLUMNS_HELP,
    STRATEGIES_HELP,
    DataName,
    Imputation,
    check_embeddings,
    cores,
    listeners_made_up,
    of_tables,
    published,
    split,
)

if TYPE_CHECKING:
    from dissensus.datasets import Dataset
    from dissensus.evaluation.protocol import Protocol
    from dissensus.evaluation.run.grid import Evaluation

_HELP = """Personalise a committee for every listener of a data set, score it on tracks held out, and report.

The listeners are the sample: scores are averaged over a listener's repeats (splits) first, intervals are bootstrapped over
listeners, strategies are compared listener by listener. One split per listener and repeat serves all strategies, members and
updates. Finished work is kept under OUT/parts: a run that was killed continues where it was, and more `--repeats` are added
to those that are there.

Written to OUT: **scores.parquet** (one row per listener, repeat, strategy, update, member and round; round -1 is before any
answer), **summary.json** and **summary.txt** (intervals, the null of permuted answers, paired comparisons),
**learning_curves.png** and **.svg**, **splits.json**, and under **details/** the queries and the runs with permuted answers.

Members: classifiers vote in the committee. **crowd** (what others said of a track, without the listener) and **residual** (the
listener model: the crowd and what is personal on top) are scored beside it, in the same rounds, splits and nulls; **crowd-new**
and **residual-new** are the same where nobody's votes on the held-out tracks may be used, which is what the committee knows.
Without a classifier, as in `--members crowd,residual`, the listener model asks by itself. **cnn** members are heads on a CNN's
embeddings: of **synthetic** made-up clips are then rendered and embedded by the CNN that comes with the package (all classifiers
read the embeddings), a **table** must hold embeddings as its features, and the other data sets come without.

Data sets: **trompa**, **soundtracks**, **amg1608** (`--data` is the folder), **synthetic** (listeners with boundaries of
their own, made on the spot; `--personal` says how far apart they are), **table** (`--features` or a `--pool`, `--annotations`,
and `--columns` where the columns are not called track_id, listener_id and label; CSV of any spreadsheet, TSV, Parquet).

Examples:

- `dissensus evaluate synthetic --listeners 8 --repeats 4 --out results/`

- `dissensus evaluate synthetic --members cnn,sgd --listeners 8 --repeats 4 --out heads/` (made-up music, embedded)

- `dissensus evaluate trompa --data DIR --members gnb,sgd,xgb --strategies mc,hc,mix,rand --rounds 15 --queries 4 --balanced
--repeats 20 --update replay,incremental --out results/`

- `dissensus evaluate trompa --data DIR --members crowd,residual --exponent 0.5 --out listeners/` (minutes)

- `dissensus evaluate table --features tracks.csv --annotations answers.csv --columns listener=user,label=quad --min-tracks 40`

- `dissensus evaluate table --pool pool/ --annotations answers.csv --columns arousal=a,valence=v --middle 5` (ratings on 1 to 9)

- `dissensus evaluate trompa --data DIR --protocol trompa2022 --out paper/` (as published, with its faults, labelled paper)
"""


class ProtocolName(StrEnum):
    """Names of the protocols."""

    sound = "sound"
    ismir2021 = "ismir2021"
    trompa2022 = "trompa2022"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate", help=_HELP)(_evaluate)


def _evaluate(
    data_set: Annotated[
        DataName, typer.Argument(metavar="DATASET", help="trompa, soundtracks, amg1608, synthetic, table.")
    ],
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    features: Annotated[Path | None, typer.Option(help="table: file of features, a row per track or window.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="table: file of annotations, a row per judgement.")] = None,
    pool: Annotated[
        Path | None, typer.Option(help="table: pool of `dissensus extract`, in place of --features.", exists=True)
    ] = None,
    columns: Annotated[str, typer.Option(help=f"table: {COLUMNS_HELP}")] = "",
    impute: Annotated[
        Imputation | None, typer.Option(help="table: fill empty feature cells, or leave out their rows.")
    ] = None,
    middle: Annotated[
        str | None, typer.Option(help="table: middle of the scale of arousal and valence, as 5 or 5,4.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    protocol: Annotated[
        ProtocolName, typer.Option(help="The sound protocol, or a published one with its faults.")
    ] = ProtocolName.sound,
    members: Annotated[
        str | None, typer.Option(help="Kinds: gnb,sgd,xgb,cnn; crowd,residual,crowd-new,residual-new.")
    ] = None,
    strategies: Annotated[str | None, typer.Option(help=STRATEGIES_HELP)] = None,
    update: Annotated[str | None, typer.Option(help="Of replay,incremental.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of questions.")] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Tracks asked in a round.")] = None,
    balanced: Annotated[
        bool | None, typer.Option("--balanced/--plain", help="Balance queries over the predicted classes.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Splits of each listener.")] = None,
    null_repeats: Annotated[int | None, typer.Option(min=0, help="Of these, run again with permuted answers.")] = None,
    test_share: Annotated[float | None, typer.Option(help="Share of a listener's tracks held out.")] = None,
    min_tracks: Annotated[int | None, typer.Option(min=2, help="Listeners with fewer tracks are left out.")] = None,
    n0: Annotated[float | None, typer.Option(help="Weight of the rehearsal buffer, in own answers.")] = None,
    exponent: Annotated[float | None, typer.Option(help="Decide by p / share ** exponent; 0: most probable.")] = None,
    listeners: Annotated[int | None, typer.Option(min=1, help="Evaluate only so many listeners.")] = None,
    snapshot: Annotated[str, typer.Option(help="trompa: which snapshot.")] = "2022-03-07",
    personal: Annotated[float, typer.Option(min=0.0, help="synthetic: spread of the listeners' boundaries.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Master seed.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
) -> None:
    from dataclasses import replace

    from dissensus.evaluation.protocol import PROTOCOLS

    given = {
        "kinds": split(members),
        "strategies": split(strategies),
        "updates": split(update),
        "rounds": rounds,
        "queries": queries,
        "balanced": balanced,
        "repeats": repeats,
        "null_repeats": null_repeats,
        "test_share": test_share,
        "min_tracks": min_tracks,
        "n0": n0,
        "exponent": exponent,
        "seed": seed,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = replace(PROTOCOLS[protocol.value], **changes)
    check_embeddings(data_set, settings.kinds)
    if data_set is DataName.table:
        if pool is not None and features is not None:
            raise typer.BadParameter("give --features FILE or --pool FOLDER, not both", param_hint="--pool")
        dataset = of_tables(pool or features, annotations, columns, impute=impute, middle=middle)
    elif data_set is DataName.synthetic:
        dataset = listeners_made_up(listeners or 40, personal, seed, embedded="cnn" in settings.kinds)
    else:
        dataset = published(data_set.value, data, snapshot=snapshot)
    _run(dataset, settings, out, jobs or cores(), listeners)


def _run(dataset: Dataset, protocol: Protocol, out: Path, jobs: int, limit: int | None) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from dissensus.errors import ParameterError
    from dissensus.evaluation.run.grid import run_evaluation

    able = dataset.annotations.listeners(min_tracks=protocol.min_tracks).tolist()
    if limit is not None and not able:
        raise ParameterError(f"no listener of {dataset.name} has {protocol.min_tracks} tracks; lower --min-tracks")
    chosen = None if limit is None else able[:limit]
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console) as bar:
        units = bar.add_task("listeners x splits", total=None)
        result = run_evaluation(
            dataset,
            protocol,
            out=out,
            jobs=jobs,
            listeners=chosen,
            progress=lambda done, total: bar.update(units, completed=done, total=total),
        )
    typer.echo(str(result))
    _draw(result, protocol, out)


def _draw(result: Evaluation, protocol: Protocol, out: Path) -> None:
    from dissensus.errors import MissingDependencyError
    from dissensus.evaluation.report.learning_curves import learning_curves

    typer.echo(f"\nTable: {out / 'scores.parquet'}   Summary: {out / 'summary.json'}")
    try:
        for path in learning_curves(result.scores, protocol, out / "learning_curves"):
            typer.echo(f"Figure: {path}")
    except MissingDependencyError as error:
        typer.echo(f"No figure: {error}")
