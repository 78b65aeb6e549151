"""``dissensus pretrain``: train members from audio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dissensus.errors import DataFormatError, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee.training.clips import ClipSet

verb = typer.Typer(help="Train members of a committee from audio (needs the `train` extra).", no_args_is_help=True)


@verb.callback()
def _members() -> None:
    """Train members of a committee from audio."""


@verb.command()
def cnn(
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the weights, and for checkpoints while it runs."),
    audio: Path = typer.Option(
        None, "--audio", help="CSV with columns `path`, `label` and, where songs have several clips, `song`."
    ),
    synthetic: int = typer.Option(
        0, "--synthetic", help="Train on this many clips of made-up music instead, and print how well it hears others."
    ),
    width: int = typer.Option(128, help="Channels of the first block; 128 is the published network."),
    folds: int = typer.Option(5, help="Members, each on the training side of one song-level fold."),
    epochs: int = typer.Option(200, help="Epochs in all; a fifth with Adam, a tenth for each of two rates of SGD."),
    batch_size: int = typer.Option(16, help="Chunks a step."),
    learning_rate: float = typer.Option(1e-4, help="Of Adam."),
    augment: bool = typer.Option(False, help="Random gain, noise and masked bands (SpecAugment)."),
    paper: bool = typer.Option(False, "--paper", help="Independent sigmoids and BCE, as published."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    seed: int = typer.Option(0, help="Seed of folds, order and weights."),
) -> None:
    """Train the short-chunk CNN, one member a fold. A run that was stopped goes on where it was.

    **Try it:** `dissensus pretrain cnn --synthetic 400 --width 16 --epochs 40 --learning-rate 0.001 -o models/`
    """
    try:
        from dissensus.committee.training.checkpoint import write_weights
        from dissensus.committee.training.clips import Augmentation
        from dissensus.committee.training.fit import Schedule, train_committee
    except ImportError:
        raise MissingDependencyError("training needs torch: pip install 'dissensus[train]'") from None
    from rich.progress import Progress

    from dissensus.evaluation.cnn_study import study_synthetic
    from dissensus.features.summary import summary

    if (audio is None) == (synthetic == 0):
        raise ParameterError("give either --audio FILE.csv or --synthetic N")
    extra = Augmentation(gain_db=6.0, noise_db=30.0, mask_mels=12, mask_frames=30) if augment else Augmentation()
    schedule = Schedule(
        epochs=epochs, adam_epochs=max(1, epochs // 5), sgd_epochs=max(1, epochs // 10), batch_size=batch_size,
        learning_rate=learning_rate, augmentation=extra,
    )  # fmt: skip
    options: dict[str, Any] = {"width": width, "schedule": schedule, "device": device, "paper": paper}
    out.mkdir(parents=True, exist_ok=True)
    with Progress(transient=True) as bar:
        task = bar.add_task("training", total=folds * epochs)

        def progress(fold: int, epoch: Any) -> None:
            bar.update(
                task, completed=fold * epochs + epoch.number + 1,
                description=f"fold {fold + 1}: loss {epoch.train_loss:.3f}, held-out F1 {epoch.val_f1:.3f}",
            )  # fmt: skip

        if synthetic:
            study = study_synthetic(synthetic, summary, n_folds=folds, seed=seed, out=out, progress=progress, **options)
            members, data_id = study.members, f"dissensus synthetic music, {synthetic} clips, seed {seed}"
        else:
            clips = _read_clips(audio)
            trained = train_committee(clips, n_folds=folds, random_state=seed, out=out, progress=progress, **options)
            members, data_id = [member for member, _ in trained], str(audio.name)
    for i, member in enumerate(members):
        about = {
            "data_id": data_id, "fold": i, "seed": seed, "device": member.device, "precision": member.precision,
            "train_songs": len(member.train_songs), "history": [row.__dict__ for row in member.history],
        }  # fmt: skip
        write_weights(out / f"member{i}.safetensors", member.model, about)
        (out / f"fold{i}.checkpoint").unlink(missing_ok=True)
        best = max((row for row in member.history if row.best), key=lambda row: row.number)
        typer.echo(
            f"member {i}: held-out songs of its training side, macro F1 {best.val_f1:.3f}, "
            f"loss {best.val_loss:.3f} at epoch {best.number}"
        )
    if synthetic:
        typer.echo(str(study))
    typer.echo(f"weights: {out}/member*.safetensors; next: dissensus export {out} -o cnn.onnx")


def _read_clips(path: Path) -> ClipSet:
    """Clips of a CSV, read from their files when they are needed."""
    import csv

    import numpy as np

    from dissensus.committee.training.clips import ClipSet
    from dissensus.datasets import QUADRANTS
    from dissensus.features.audio import load_audio

    class Files:
        def __init__(self, paths: list[Path]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return load_audio(self.paths[index], sr=16_000)

    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        raise DataFormatError(f"{path}: cannot be read ({error.strerror})") from None
    missing = {"path", "label"} - set(rows[0] if rows else ())
    if missing:
        raise DataFormatError(f"{path}: has no column {', '.join(sorted(missing))}; it needs `path` and `label`")
    order = list(QUADRANTS)
    for number, row in enumerate(rows, 2):
        if row["label"] not in order:
            raise DataFormatError(f"{path}, line {number}: label {row['label']!r} is none of {', '.join(order)}")
        if not (path.parent / row["path"]).is_file():
            raise DataFormatError(f"{path}, line {number}: there is no file {row['path']!r}")
    songs = np.array([row.get("song") or row["path"] for row in rows])
    labels = [order.index(row["label"]) for row in rows]
    return ClipSet(Files([path.parent / row["path"] for row in rows]), labels, songs)  # type: ignore[arg-type]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.add_typer(verb, name="pretrain")
