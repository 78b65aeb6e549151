"""``dissensus export``: trained networks to ONNX."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dissensus.errors import MissingDependencyError, ModelFormatError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee import Committee

#: What the weights say about their training that the exported file repeats.
_KEPT = ("seed", "device", "precision", "shared_trunk", "train_songs", "validation_songs")


class Form(StrEnum):
    """What the exported model takes."""

    log_mel = "log_mel"
    signal = "signal"


def export(
    models: Path = typer.Argument(..., help="A folder with member*.safetensors, one such file, or a committee's file."),
    out: Path = typer.Option(..., "--out", "-o", help="The ONNX file; members with trunks of their own get -0, -1, …"),
    form: Form = typer.Option(
        Form.log_mel, help="log_mel: fed by dissensus.log_mel; signal: waveform in, stands alone."
    ),
    int8: bool = typer.Option(False, "--int8", help="Also write a static int8 form and print what it costs and gains."),
    calibration: int = typer.Option(96, help="Clips of made-up music that int8 is calibrated on."),
    licence: str = typer.Option("unstated", help="Stored in the file."),
) -> None:
    """Write trained members as ONNX files that run without torch, after checking them against torch.

    The file of a committee (`Committee.save`) becomes one ONNX file too, if its members are linear or boosted trees: raw features
    in, probabilities of every member out. It needs `pip install 'dissensus[onnx-export]'` and no torch.

    **Try it:** `dissensus export models/ -o cnn.onnx --int8`
    """
    committee = _committee(models)
    if committee is not None:
        from dissensus.training.committee_onnx import committee_to_onnx

        done = committee_to_onnx(committee, out)
        typer.echo(
            f"{done.path}: {committee.n_members} members, {done.n_bytes / 1e6:.1f} MB, largest difference to the committee "
            f"{done.largest_difference:.1e} in a probability"
        )
        return
    try:
        from dissensus.training.checkpoint import read_weights
        from dissensus.training.export import export_onnx, share_a_trunk
    except ImportError:
        raise MissingDependencyError("export needs torch and onnx: pip install 'dissensus[train]'") from None

    files = sorted(models.glob("member*.safetensors")) if models.is_dir() else [models]
    if not files or not files[0].is_file():
        raise ParameterError(
            f"{models}: no member*.safetensors here; make them with: dissensus pretrain cnn … -o {models}"
        )
    loaded = [read_weights(path) for path in files]
    networks = [model for model, _ in loaded]
    groups = [networks] if share_a_trunk(networks) else [[network] for network in networks]
    for i, members in enumerate(groups):
        path = out if len(groups) == 1 else out.with_name(f"{out.stem}-{i}{out.suffix}")
        told = loaded[i if len(groups) > 1 else 0][1]
        about = {name: told[name] for name in _KEPT if name in told}
        data_id = str(told.get("data_id", "unstated"))
        classes = told.get("classes") or ("Q1", "Q2", "Q3", "Q4")
        model = export_onnx(
            members, path, classes=classes, form=form.value, licence=licence, data_id=data_id, about=about
        )
        typer.echo(
            f"{path}: {len(members)} member(s), {path.stat().st_size / 1e6:.1f} MB, largest difference to torch "
            f"{model.metadata['parity_max_abs']:.1e} in a probability"
        )
        if int8:
            typer.echo(f"{_int8(path, calibration)}")


def _committee(path: Path) -> Committee | None:
    """The committee that a file holds; None for anything else."""
    from dissensus.committee import Committee

    if not path.is_file():
        return None
    try:
        return Committee.load(path)
    except ModelFormatError:
        return None


def _int8(path: Path, n_clips: int) -> str:
    """Quantise one file, calibrated and checked on made-up music of different seeds."""
    import numpy as np

    from dissensus._chunks import all_chunks
    from dissensus.committee.cnn import CnnModel
    from dissensus.datasets.synthetic import SETTINGS
    from dissensus.evaluation.studies.cnn import synthetic_clips
    from dissensus.training.fit import log_mel_chunks
    from dissensus.training.quantise import quantise

    model = CnnModel.load(path)
    train, _ = synthetic_clips(n_clips, settings=tuple(SETTINGS), seed=101, duration_s=5.0)
    check, _ = synthetic_clips(4 * n_clips, settings=tuple(SETTINGS), seed=202, duration_s=5.0)
    tracks = np.repeat(np.arange(len(check)), [len(all_chunks(check.signal(i))) for i in range(len(check))])
    target = path.with_name(f"{path.stem}.int8{path.suffix}")
    cost = quantise(
        model, path.read_bytes(), target, calibration=log_mel_chunks(train), check=log_mel_chunks(check),
        check_tracks=tracks, check_labels=check.target.argmax(axis=1),
    )  # fmt: skip
    return f"{target}: {cost}"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(export)
