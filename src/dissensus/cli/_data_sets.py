"""The one place where a verb finds its data set: by name and folder, made on the spot, or from a user's tables."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from dissensus.strategies.strategy import registered_strategies

if TYPE_CHECKING:
    from dissensus.datasets import Dataset
    from dissensus.datasets.table import Columns

__all__ = [
    "COLUMNS_HELP",
    "STRATEGIES_HELP",
    "DataName",
    "Imputation",
    "check_embeddings",
    "columns_of",
    "cores",
    "listeners_made_up",
    "of_tables",
    "published",
    "split",
]

STRATEGIES_HELP: Final = "; ".join(f"{known.name}: {known.description}" for known in registered_strategies()) + "."

#: Of ``--columns``, wherever a verb reads tables.
COLUMNS_HELP: Final = (
    "what=name, by commas: track, listener, label, arousal, valence, timestamp, weak_label; features.track=name where the "
    "features call the track otherwise."
)


class DataName(StrEnum):
    """Where the listeners come from."""

    trompa = "trompa"
    soundtracks = "soundtracks"
    amg1608 = "amg1608"
    synthetic = "synthetic"
    table = "table"


class Imputation(StrEnum):
    """What becomes of empty cells among the features."""

    median = "median"
    drop = "drop"


def split(text: str | None) -> tuple[str, ...] | None:
    """Parts between commas; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def published(name: str, data: Path | None, *, snapshot: str | None = None, **options: Any) -> Dataset:
    """A published data set from the folder of its files; options are its loader's.

    ``name`` may be that of a loaded data set, with the snapshot behind ("trompa 2022-03-07").
    """
    from dissensus.datasets import amg1608, ismir2020, soundtracks, trompa
    from dissensus.errors import ParameterError

    kind, _, known = name.partition(" ")
    loaders: dict[str, Any] = {
        "trompa": lambda folder: trompa.load(folder, snapshot or known or "2022-03-07", **options),
        "soundtracks": lambda folder: soundtracks.load(folder, **options),
        "amg1608": lambda folder: amg1608.load(folder, **({"features": True} | options)),
        "ismir2020": lambda folder: ismir2020.load(folder, **options),
    }
    if kind not in loaders:
        raise ParameterError(f"--data: {name} has no folder to load; it is for {', '.join(loaders)}")
    if data is None:
        raise typer.BadParameter(f"{kind} needs the folder of its files", param_hint="--data")
    loaded: Dataset = loaders[kind](data)
    return loaded


def listeners_made_up(listeners: int, personal: float, seed: int, *, embedded: bool) -> Dataset:
    """Listeners made on the spot; ``embedded``: with music, heard by the CNN that comes along."""
    from dissensus.datasets.synthetic import Panel, latent_listeners

    if embedded:
        from dissensus.committee import shipped_cnn
        from dissensus.evaluation.studies.cnn import embedded_music

        model = shipped_cnn()
        return embedded_music(model, 450, listeners, personal=personal, seed=seed, tracks_per_listener=100)
    return latent_listeners(700, listeners, panel=Panel(tracks_per_listener=100, rho=personal, n_rated=400), seed=seed)


def check_embeddings(name: DataName, kinds: tuple[str, ...]) -> None:
    """Heads of a CNN read its embeddings and nothing else."""
    from dissensus.errors import ParameterError

    if "cnn" in kinds and name not in (DataName.synthetic, DataName.table):
        raise ParameterError(
            f"members cnn are heads that read a CNN's embeddings, and {name.value} comes with other features: embed the "
            "audio with dissensus.catalog.embed_clips and give the embeddings as a table, or choose other members"
        )


def columns_of(text: str) -> Columns:
    """What ``--columns`` says."""
    from dissensus.datasets.table import Columns

    fields = {
        "track": "track", "annotations.track": "track", "features.track": "track_in_features", "listener": "listener",
        "label": "label", "arousal": "arousal", "valence": "valence", "timestamp": "timestamp", "weak_label": "weak_label",
    }  # fmt: skip
    named: dict[str, Any] = {}
    for part in split(text) or ():
        what, equals, name = part.partition("=")
        field = fields.get(what.strip()) or fields.get(what.strip().removeprefix("annotations."))
        if not equals or field is None or not name.strip():
            raise typer.BadParameter(f"{part!r}: write what=name, what of {', '.join(fields)}", param_hint="--columns")
        named[field] = name.strip()
    if "arousal" in named and "label" not in named:
        named["label"] = None
    return Columns(**named)


def of_tables(
    features: Path | None,
    annotations: Path | None,
    columns: str = "",
    *,
    impute: Imputation | None = None,
    middle: str | None = None,
) -> Dataset:
    """A user's features (a table, or a pool) and annotations; what was left out or filled in is said on stderr."""
    from dissensus.datasets import table

    if features is None or annotations is None:
        raise typer.BadParameter("table needs --features FILE (or --pool) and --annotations FILE", param_hint="DATASET")
    loaded = table.load(
        features,
        annotations,
        columns_of(columns),
        impute=None if impute is None else impute.value,
        middle=_middle(middle),
        duplicates="newest",
    )
    for note in loaded.notes:
        typer.echo(f"{loaded.name}: {note}", err=True)
    return loaded


def _middle(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise typer.BadParameter(f"{text!r}: write a number, or arousal,valence", param_hint="--middle")
    return values[0] if len(values) == 1 else (values[0], values[1])
