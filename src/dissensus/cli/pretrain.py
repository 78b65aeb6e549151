"""``dissensus pretrain``: train members from audio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from dissensus.cli._data_sets import split
from dissensus.errors import DataFormatError, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    from dissensus.training.clips import ClipSet

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
    classes: str = typer.Option(
        None,
        "--classes",
        help="All labels, by commas, in the order wanted; default: Q1..Q4, or all that occur, sorted.",
    ),
    synthetic: int = typer.Option(
        0, "--synthetic", help="Train on this many clips of made-up music instead, and print how well it hears others."
    ),
    width: int = typer.Option(128, help="Channels of the first block; 128 is the published network."),
    folds: int = typer.Option(5, help="Members, each on the training side of one song-level fold."),
    shared_trunk: bool = typer.Option(
        False,
        "--shared-trunk",
        help="One network with --folds heads, asked for the price of one, instead of as many networks.",
    ),
    epochs: int = typer.Option(200, help="Epochs in all; what Adam leaves is SGD, at three rates that fall."),
    adam_epochs: int = typer.Option(None, min=1, help="Of these, with Adam; default a fifth."),
    sgd_epochs: int = typer.Option(
        None, min=1, help="Of these, at each of the first two rates of SGD; default a tenth."
    ),
    batch_size: int = typer.Option(16, help="Chunks a step."),
    learning_rate: float = typer.Option(1e-4, help="Of Adam."),
    augment: bool = typer.Option(False, help="Random gain, noise and masked bands (SpecAugment)."),
    paper: bool = typer.Option(False, "--paper", help="Independent sigmoids and BCE, as published."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    seed: int = typer.Option(0, help="Seed of folds, order and weights, and of made-up music."),
    threads: int = typer.Option(
        None,
        min=1,
        help="Of torch on the CPU; default: one a core. With 1, two runs on a machine agree to the last bit.",
    ),
) -> None:
    """Train the short-chunk CNN, one member a fold. A run that was stopped goes on where it was.

    Members with networks of their own are each tested on the fold they have not heard. With `--shared-trunk` a fifth of the
    songs is put aside first, from the network and from all heads, and they are tested on that.

    Labels are any words: four quadrants, nine emotions. `dissensus export` writes their names into the ONNX file.

    **Try it:** `dissensus pretrain cnn --synthetic 400 --width 16 --epochs 40 --learning-rate 0.001 -o models/`
    """
    try:
        from dissensus.training.checkpoint import write_weights
        from dissensus.training.clips import Augmentation
        from dissensus.training.fit import Schedule, use_threads
    except ImportError:
        raise MissingDependencyError("training needs torch: pip install 'dissensus[train]'") from None
    from rich.progress import Progress

    if (audio is None) == (synthetic == 0):
        raise ParameterError("give either --audio FILE.csv or --synthetic N")
    if synthetic and classes is not None:
        raise ParameterError("--classes is of --audio; made-up music has Q1 to Q4")
    extra = Augmentation(gain_db=6.0, noise_db=30.0, mask_mels=12, mask_frames=30) if augment else Augmentation()
    schedule = Schedule(
        epochs=epochs, adam_epochs=adam_epochs or max(1, epochs // 5), sgd_epochs=sgd_epochs or max(1, epochs // 10),
        batch_size=batch_size, learning_rate=learning_rate, augmentation=extra,
    )  # fmt: skip
    if threads is not None:
        use_threads(threads)
    options: dict[str, Any] = {"width": width, "schedule": schedule, "device": device, "paper": paper}
    out.mkdir(parents=True, exist_ok=True)
    with Progress(transient=True) as bar:
        n_networks = 1 if shared_trunk else folds
        task = bar.add_task("training", total=n_networks * epochs)

        def progress(fold: int, epoch: Any) -> None:
            bar.update(
                task, completed=fold * epochs + epoch.number + 1,
                description=f"network {fold + 1}: loss {epoch.train_loss:.3f}, held-out F1 {epoch.val_f1:.3f}",
            )  # fmt: skip

        options |= {"seed": seed, "out": out, "progress": progress}
        result = _train(audio, synthetic, folds, shared_trunk, options, split(classes))
    for i, member in enumerate(result.members):
        about = {
            "data_id": result.data_id, "fold": i, "seed": seed, "device": member.device, "precision": member.precision,
            "shared_trunk": shared_trunk, "classes": result.classes, "train_songs": len(member.train_songs),
            "validation_songs": len(member.validation_songs), "history": [row.__dict__ for row in member.history],
        }  # fmt: skip
        write_weights(out / f"member{i}.safetensors", member.model, about)
        (out / f"fold{i}.checkpoint").unlink(missing_ok=True)
    for i, member in enumerate(result.members[:n_networks]):
        best = max((row for row in member.history if row.best), key=lambda row: row.number)
        typer.echo(
            f"{'trunk' if shared_trunk else f'member {i}'}: held-out songs of its training side, macro F1 {best.val_f1:.3f}, "
            f"loss {best.val_loss:.3f} at epoch {best.number}"
        )
    typer.echo(result.report)
    typer.echo(f"weights: {out}/member*.safetensors; next: dissensus export {out} -o cnn.onnx")


class _Trained(NamedTuple):
    """Members, what they were trained on, and how they do where they have not been."""

    members: list[Any]
    data_id: str
    report: str
    classes: list[str]


def _train(
    audio: Path,
    synthetic: int,
    n_members: int,
    shared_trunk: bool,
    options: dict[str, Any],
    classes: Sequence[str] | None = None,
) -> _Trained:
    """Train on files or on made-up music."""
    import numpy as np

    from dissensus.datasets import QUADRANTS
    from dissensus.evaluation.studies.cnn import study_synthetic
    from dissensus.features.is13 import is13
    from dissensus.features.summary import summary
    from dissensus.training.fit import macro_f1, predict_clips, train_committee
    from dissensus.training.heads import train_shared_trunk

    if synthetic:
        study = study_synthetic(
            synthetic,
            {"IS13": is13, "plain descriptors": summary},
            n_folds=n_members,
            shared_trunk=shared_trunk,
            **options,
        )
        data_id = f"dissensus synthetic music, {synthetic} clips, seed {options['seed']}"
        return _Trained(study.members, data_id, str(study), list(QUADRANTS))
    clips, names = _read_clips(audio, classes)
    n_songs = len(np.unique(clips.songs))
    if n_songs < max(n_members, 3):
        raise DataFormatError(
            f"{audio}: {n_songs} songs, and {n_members} folds with songs to train on, to stop by and to test on need at least "
            f"{max(n_members, 3)}; add songs, or lower --folds"
        )
    given = {name: value for name, value in options.items() if name != "seed"} | {"random_state": options["seed"]}
    if shared_trunk:
        done = train_shared_trunk(clips, n_members=n_members, **given)
        members, outside, whose = done.members, [done.held_out], "heads together, on songs that no part has heard"
    else:
        trained = train_committee(clips, n_folds=n_members, **given)
        members, outside = [member for member, _ in trained], [rows for _, rows in trained]
        whose = f"members, each on the songs of its fold, mean of {n_members}"
    votes = [members if shared_trunk else [member] for member in members[: len(outside)]]
    scores = [
        macro_f1(clips, rows, np.mean([predict_clips(m.model, clips, rows) for m in voters], axis=0))
        for voters, rows in zip(votes, outside, strict=True)
    ]
    report = f"{whose}: macro F1 {np.mean(scores):.3f}"
    return _Trained(members, audio.name, report, names)


def _read_clips(path: Path, classes: Sequence[str] | None) -> tuple[ClipSet, list[str]]:
    """Clips of a CSV, read from their files when they are needed, and the names of the classes."""
    import numpy as np

    from dissensus.datasets import QUADRANTS
    from dissensus.features.audio import load_audio
    from dissensus.tables import open_table
    from dissensus.training.clips import ClipSet

    class Files:
        def __init__(self, paths: list[Path]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return load_audio(self.paths[index], sr=16_000)

    table = open_table(path, required=("path", "label", "song"))
    files, given = table.texts("path").tolist(), table.texts("label").tolist()
    if not files:
        raise DataFormatError(f"{path}: no rows; a header with `path` and `label` and one row per clip are needed")
    quadrants = all(re.fullmatch("Q[0-9]", label) for label in given)
    order = list(classes or (QUADRANTS if quadrants else sorted(set(given))))
    if len(set(order)) != len(order) or len(order) < 2:
        raise ParameterError(
            f"{path}: classes {', '.join(order)}: at least two different ones are needed (--classes names them all)"
        )
    for row, (name, label) in enumerate(zip(files, given, strict=True)):
        if label not in order:
            raise DataFormatError(
                f"{table.at(row)}: label {label!r} is none of {', '.join(order)}; name all classes with --classes"
            )
        if not (path.parent / name).is_file():
            raise DataFormatError(f"{table.at(row)}: there is no file {name!r} (paths are relative to the table)")
    songs = table.texts("song", empty=True).tolist() if "song" in table else [""] * len(files)
    return ClipSet(
        Files([path.parent / name for name in files]),  # type: ignore[arg-type]
        [order.index(label) for label in given],
        np.array([song or name for song, name in zip(songs, files, strict=True)]),
        n_classes=len(order),
    ), order


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.add_typer(verb, name="pretrain")
