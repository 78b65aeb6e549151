"""``dissensus agreement``: how far listeners agree, everybody and by group, with intervals and random groups beside."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_HELP = """How far do listeners agree? Krippendorff's alpha (1 = fully, 0 = as by chance), everybody and by group.

Intervals are bootstrapped over tracks. Beside every group stand random groups of the same size, and p: how often such a
group lies as far off. A group of which random ones agree as much has nothing to do with agreement.

Data sets: **trompa** (quadrant, arousal, valence, mood word; nominal), **soundtracks** (quadrant; nominal),
**ismir2020** ("Joyful for you and tender for us"; one command a published table):

- `--table 1`: thirteen groups, ordinal alpha of eleven emotions. As published, where neutral ratings are in both groups of an
item, and strictly beside.

- `--table 2`: four languages and everybody.

- `--table 3`: do the ratings cluster in the intended quadrants? (`--embedding`)

- `--table 4`: sets of emotions by group; with `--windows FILE` (CSV: track_id and numbers) how well sound predicts them, folds
over windows as published, and over clips.

Examples:

- `dissensus agreement trompa --data DIR`

- `dissensus agreement trompa --data DIR --group "known==True" --group "known==False"`

- `dissensus agreement ismir2020 --data DIR --table 2`

- `dissensus agreement ismir2020 --data DIR --table 3 --embedding mds`
"""


class RatedData(StrEnum):
    """Data sets with several judgements a track."""

    trompa = "trompa"
    soundtracks = "soundtracks"
    ismir2020 = "ismir2020"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("agreement", help=_HELP)(_agreement)


def _agreement(
    data_set: Annotated[RatedData, typer.Argument(metavar="DATASET", help="trompa, soundtracks, ismir2020.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")],
    table: Annotated[int, typer.Option(min=1, max=4, help="ismir2020: which published table.")] = 2,
    group: Annotated[
        list[str] | None, typer.Option(help="trompa, soundtracks: a group such as 'known==True'; can be repeated.")
    ] = None,
    snapshot: Annotated[str, typer.Option(help="trompa: which snapshot.")] = "2022-03-07",
    embedding: Annotated[str, typer.Option(help="--table 3: raw, pca, mds, tsne or umap.")] = "raw",
    windows: Annotated[Path | None, typer.Option(help="--table 4: CSV of features of windows.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of every interval; 0: none.")] = 200,
    random: Annotated[int, typer.Option(min=0, help="Random groups beside every group; 0: none.")] = 100,
    seed: Annotated[int, typer.Option(help="Master seed.")] = 0,
) -> None:
    from dissensus.evaluation.groups import GroupSpec

    specs = [GroupSpec.parse(text) for text in group or []]
    if data_set is RatedData.ismir2020:
        if specs:
            raise typer.BadParameter("the groups of ismir2020 are those of its tables", param_hint="--group")
        _ismir2020(data, table, embedding, windows, draws, random, seed)
        return
    from dissensus.datasets import soundtracks, trompa
    from dissensus.evaluation.agreement_tables import format_agreement, rating_table, trompa_table
    from dissensus.evaluation.groups import group_agreement

    if data_set is RatedData.trompa:
        chosen = specs or [GroupSpec("n_tracks", ">", 80, strict=False)]
        loaded = trompa.load(data, snapshot)
        found = trompa_table(loaded, chosen, n_draws=draws, n_random=random, random_state=seed)
    else:
        loaded = soundtracks.load(data, features=False)
        ratings = rating_table(loaded)
        found = []
        for spec in (
            None,
            *(specs or [GroupSpec("condition", "==", c) for c in sorted(set(ratings.columns["condition"]))]),
        ):
            found += group_agreement(
                ratings, ["quadrant"], spec, level="nominal", n_draws=draws, n_random=random, random_state=seed
            )
    typer.echo(f"{loaded.name}: Krippendorff's alpha, nominal; one judgement a listener and track, the newest\n")
    typer.echo(format_agreement(found))


def _ismir2020(
    data: Path, table: int, embedding: str, windows: Path | None, draws: int, random: int, seed: int
) -> None:
    from dissensus.datasets import ismir2020
    from dissensus.evaluation.agreement_tables import format_agreement, ismir2020_table_1, ismir2020_table_2
    from dissensus.evaluation.group_tables import ismir2020_table_3, ismir2020_table_4

    loaded = ismir2020.load(data)
    typer.echo(f"ISMIR 2020, Table {table}\n")
    if table == 1:
        paper = ismir2020_table_1(loaded, n_draws=draws, n_random=random, random_state=seed)
        strict = ismir2020_table_1(loaded, strict=True, n_random=random, random_state=seed)
        typer.echo(format_agreement(paper, beside=strict))
        typer.echo(
            "\nalpha: as published (paper), the neutral 3 in both groups of preference, familiarity and understanding."
            "\nalpha, strict: the neutral 3 in neither. Ordinal; 20 clips with lyrics."
        )
    elif table == 2:
        typer.echo(format_agreement(ismir2020_table_2(loaded, n_draws=draws, n_random=random, random_state=seed)))
    elif table == 3:
        typer.echo(ismir2020_table_3(loaded, embedding=embedding, n_random=min(random, 20), random_state=seed))
    else:
        typer.echo(ismir2020_table_4(loaded, windows=windows, random_state=seed))
        if windows is None:
            typer.echo(
                "\nWithout --windows FILE there is no classification: the features do not come with the ratings."
            )
