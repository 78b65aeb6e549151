"""``dissensus agreement``: how far listeners agree, everybody and by group, with intervals and random groups beside."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dissensus.cli._data_sets import published

if TYPE_CHECKING:
    from dissensus.agreement.groups import GroupSpec

_HELP = """How far do listeners agree? Krippendorff's alpha (1 = fully, 0 = as by chance), everybody and by group.

Intervals are bootstrapped over tracks. Beside every group stand random groups of the same size, and p: how often such a
group lies as far off. A group of which random ones agree as much has nothing to do with agreement.

Data sets, one command a published table, printed values and differences beside:

- **trompa** (TROMPA-MER): counts, and nominal alpha of quadrant, arousal, valence and mood word.

- **soundtracks**: nominal alpha of the quadrant, by rating condition.

- **ismir2020** ("Joyful for you and tender for us"):

- `--table 1`: thirteen groups, ordinal alpha of eleven emotions. As published, where neutral ratings are in both groups of an
item, and strictly beside.

- `--table 2`: four languages and everybody.

- `--table 3`: do the ratings cluster in the intended quadrants? Raw, MDS, t-SNE (minutes) and, where umap-learn is installed,
UMAP; `--embedding` takes one of them.

- `--table 4`: sets of emotions by group, and how well windows of sound predict them: folds over windows as published, which put
windows of one clip on both sides, and folds over clips. The published sound does not come with the ratings: by default the
windows are of music made on the spot in each clip's quadrant, which shows what such folds do, not what the paper measured.
`--windows FILE` reads others (CSV: track_id and numbers), `--windows none` leaves them out.

Examples:

- `dissensus agreement trompa --data DIR`

- `dissensus agreement trompa --data DIR --group "known==True" --group "known==False"`

- `dissensus agreement ismir2020 --data DIR --table 2`

- `dissensus agreement ismir2020 --data DIR --table 3 --embedding raw`
"""


class Embedding(StrEnum):
    """What is clustered."""

    all = "all"
    raw = "raw"
    pca = "pca"
    mds = "mds"
    tsne = "tsne"
    umap = "umap"


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
    table: Annotated[
        int | None, typer.Option(min=1, max=4, help="ismir2020: which published table.", show_default="2")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="trompa, soundtracks: a group such as 'known==True'; can be repeated.", show_default=False),
    ] = None,
    snapshot: Annotated[str | None, typer.Option(help="trompa: which snapshot.", show_default="2022-03-07")] = None,
    embedding: Annotated[
        Embedding | None, typer.Option(help="--table 3: what is clustered.", show_default="all")
    ] = None,
    windows: Annotated[
        str | None, typer.Option(help="--table 4: CSV of windows, made-up or none.", show_default="made-up")
    ] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of every interval; 0: none.")] = 200,
    random: Annotated[int, typer.Option(min=0, help="Random groups beside every group (table 3: at most 10).")] = 100,
    seed: Annotated[int, typer.Option(help="Master seed.")] = 0,
) -> None:
    from dissensus.agreement.groups import GroupSpec

    specs = [GroupSpec.parse(text) for text in group or []]
    _only("--snapshot", snapshot, data_set, RatedData.trompa)
    for name, value in (("--table", table), ("--embedding", embedding), ("--windows", windows)):
        _only(name, value, data_set, RatedData.ismir2020)
    if embedding is not None and table != 3:
        raise typer.BadParameter("goes with --table 3", param_hint="--embedding")
    if windows is not None and table != 4:
        raise typer.BadParameter("goes with --table 4", param_hint="--windows")
    if data_set is RatedData.ismir2020:
        if specs:
            raise typer.BadParameter("the groups of ismir2020 are those of its tables", param_hint="--group")
        if table == 3:
            _table_3(data, embedding or Embedding.all, random, seed)
        elif table == 4:
            _table_4(data, windows or "made-up", seed)
        else:
            _alphas(data, table or 2, draws, random, seed)
    elif data_set is RatedData.trompa:
        _trompa(data, specs, snapshot or "2022-03-07", draws, random, seed)
    else:
        _soundtracks(data, specs, draws, random, seed)


def _only(option: str, value: object, data_set: RatedData, meant: RatedData) -> None:
    if value is not None and data_set is not meant:
        raise typer.BadParameter(f"is for {meant.value}, not for {data_set.value}", param_hint=option)


def _trompa(data: Path, specs: list[GroupSpec], snapshot: str, draws: int, random: int, seed: int) -> None:
    from dissensus.agreement.groups import GroupSpec
    from dissensus.evaluation.papers.agreement_tables import format_agreement, trompa_counts, trompa_table
    from dissensus.evaluation.papers.printed import TROMPA_2022

    every = published("trompa", data, snapshot=snapshot, repeats="keep")
    chosen = specs or [GroupSpec("n_tracks", ">", 80, strict=False)]
    found = trompa_table(every, chosen, n_draws=draws, n_random=random, random_state=seed)
    typer.echo(f"TROMPA-MER, snapshot {snapshot}; published: the snapshot of 2022-03-07\n")
    typer.echo(trompa_counts(every.annotations))
    typer.echo("\nKrippendorff's alpha, nominal; one judgement a listener and track, the newest\n")
    typer.echo(format_agreement(found, published=TROMPA_2022 if snapshot == "2022-03-07" else None))


def _soundtracks(data: Path, specs: list[GroupSpec], draws: int, random: int, seed: int) -> None:
    from dissensus.agreement.groups import GroupSpec, group_agreement
    from dissensus.evaluation.papers.agreement_tables import format_agreement, rating_table

    loaded = published("soundtracks", data, features=False)
    ratings = rating_table(loaded)
    chosen = specs or [GroupSpec("condition", "==", c) for c in sorted(set(ratings.columns["condition"].tolist()))]
    found = []
    for spec in (None, *chosen):
        found += group_agreement(
            ratings, ["quadrant"], spec, level="nominal", n_draws=draws, n_random=random, random_state=seed
        )
    typer.echo(f"{loaded.name}: Krippendorff's alpha, nominal; one judgement a listener and track, the newest\n")
    typer.echo(format_agreement(found))


def _alphas(data: Path, table: int, draws: int, random: int, seed: int) -> None:
    from dissensus.evaluation.papers.agreement_tables import format_agreement, ismir2020_table_1, ismir2020_table_2
    from dissensus.evaluation.papers.printed import TABLE_1, TABLE_2

    loaded = published("ismir2020", data)
    typer.echo(f"ISMIR 2020, Table {table}: Krippendorff's alpha, ordinal\n")
    if table == 2:
        found = ismir2020_table_2(loaded, n_draws=draws, n_random=random, random_state=seed)
        typer.echo(format_agreement(found, published=TABLE_2))
        return
    paper = ismir2020_table_1(loaded, n_draws=draws, n_random=random, random_state=seed)
    strict = ismir2020_table_1(loaded, strict=True, n_random=random, random_state=seed)
    typer.echo(format_agreement(paper, beside=strict, published=TABLE_1))
    typer.echo(
        "\nalpha: as published (paper), the neutral 3 in both groups of preference, familiarity and understanding."
        "\nalpha, strict: the neutral 3 in neither. 20 clips with lyrics."
    )


def _table_3(data: Path, embedding: Embedding, random: int, seed: int) -> None:
    from dissensus.evaluation.papers.group_tables import TABLE_3_EMBEDDINGS, ismir2020_table_3

    chosen = TABLE_3_EMBEDDINGS if embedding is Embedding.all else (embedding.value,)
    loaded = published("ismir2020", data)
    found = ismir2020_table_3(
        loaded,
        embeddings=chosen,
        n_random=min(random, 10),
        random_state=seed,
        progress=lambda what: typer.echo(f"{what} …", err=True),
    )
    typer.echo(f"ISMIR 2020, Table 3\n\n{found}")
    typer.echo(
        "\nGroups as published: neutral answers are on both sides of preference, familiarity and understanding. The paper says"
        '\n"2-D/3-D" of its embeddings and names neither seeds nor versions: raw ratings and MDS come back within about .01 on'
        "\naverage, t-SNE within .02, UMAP about .04 lower."
    )


def _table_4(data: Path, windows: str, seed: int) -> None:
    from dissensus.evaluation.papers.group_tables import ismir2020_table_4, made_up_windows

    loaded = published("ismir2020", data)
    typer.echo("ISMIR 2020, Table 4\n")
    if windows == "none":
        typer.echo(ismir2020_table_4(loaded, random_state=seed))
    elif windows == "made-up":
        typer.echo("music for 22 clips, and its features …", err=True)
        typer.echo(ismir2020_table_4(loaded, windows=made_up_windows(loaded, random_state=seed), random_state=seed))
        typer.echo(
            "\nThe windows are of MUSIC MADE ON THE SPOT, one clip for each of the study's in the quadrant it was chosen for;"
            "\nthe labels are the listeners'. The columns of F1 show what folds over windows do, not the paper's values"
            "\n(all - single +.124, understanding+ - all +.056 with folds over windows): its sound is not in the ratings."
        )
    else:
        typer.echo(ismir2020_table_4(loaded, windows=Path(windows), random_state=seed))
