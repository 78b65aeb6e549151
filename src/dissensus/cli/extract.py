"""``dissensus extract``: audio files to a pool of features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from dissensus.cli._truncated import KeepTruncated, Strict, truncated_of

if TYPE_CHECKING:
    from dissensus.features.extract import ExtractReport, Progress


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("extract")(extract)


def extract(
    audio: list[str] = typer.Argument(
        ..., help="Folders, files, 'patterns/**/*.mp3', or CSV tables with path[, track_id, start_s, duration_s]."
    ),
    output: Path = typer.Option(..., "--output", "-o", help="Folder of the pool; continued where it exists."),
    features: str = typer.Option(
        "is13",
        "--features",
        "-f",
        help="is13, summary, logmel, cnn (embeddings; needs --model), or opensmile (research licence).",
    ),
    model: Optional[Path] = typer.Option(  # noqa: UP045 - typer reads it
        None, "--model", "-m", help="An ONNX file of `dissensus export`, for --features cnn."
    ),
    jobs: int = typer.Option(
        0, "--jobs", "-j", min=0, help="Processes (threads with --features cnn); 0 takes one per core."
    ),
    sr: int = typer.Option(16000, "--sr", help="Sample rate, Hz."),
    window_s: float = typer.Option(1.0, "--window", help="Window length, seconds."),
    overlap: float = typer.Option(0.5, "--overlap", help="Share of a window that the next one repeats."),
    keep_truncated: KeepTruncated = False,
    strict: Strict = False,
) -> None:
    """Compute features of audio files into a pool on disk.

    Run it again to go on where it stopped. Files that cannot be used are listed in errors.csv of the pool, remarks on files that
    were used (cut off a little early, headers that count wrongly, decoded by ffmpeg) in notes.csv.

    - `dissensus extract music/ -o pool/`

    - `dissensus extract 'music/**/*.mp3' --features summary -o pool/`

    - `dissensus extract clips.csv --features cnn --model cnn.onnx -o embeddings/`
    """
    import os

    from dissensus._threads import set_threads
    from dissensus.errors import DecodeError, ParameterError
    from dissensus.features.extract import FEATURE_SETS, FeatureChoice
    from dissensus.features.extract import extract as run
    from dissensus.features.sources import gather_audio

    if (features == "cnn") != (model is not None):
        raise ParameterError("--features cnn and --model FILE.onnx go together: the embeddings are the model's")
    if features == "cnn" and (sr, window_s, overlap) != (16000, 1.0, 0.5):
        raise ParameterError("--sr, --window and --overlap are the model's own with --features cnn: leave them out")
    if features not in (*FEATURE_SETS, "logmel", "cnn"):
        raise ParameterError(f"--features {features}: choose is13, summary, logmel, cnn or opensmile")
    truncated = truncated_of(keep_truncated, strict)
    choice = None if features == "cnn" else FeatureChoice(features, sr, window_s, overlap, truncated)
    excerpts = gather_audio(audio)
    if features == "opensmile":
        from dissensus.features.opensmile_adapter import OPENSMILE_LICENCE

        typer.echo(OPENSMILE_LICENCE, err=True)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = 0

    def show(progress: Progress) -> None:
        nonlocal said
        tenth = 10 * progress.n_done // progress.n_total
        if os.isatty(2):
            typer.echo(f"\r{_line(progress)}\x1b[K", err=True, nl=False)
        elif tenth > said:
            said = tenth
            typer.echo(_line(progress), err=True)

    if model is None:
        report = run(excerpts, output, choice, jobs=jobs or available, on_progress=show)
    else:
        from dissensus.catalog import embed_files
        from dissensus.committee.cnn import CnnModel

        # One thread decodes, the others are the network's.
        n = jobs or available
        set_threads(max(1, n - 1))
        report = embed_files(
            CnnModel.load(model), excerpts, output, n_threads=min(n, 2), truncated=truncated, on_progress=show
        )
    if os.isatty(2):
        typer.echo("", err=True)
    _print_summary(report, output)
    if report.errors and not report.n_added and not report.n_there:
        raise DecodeError(f"none of the {len(report.errors)} files could be used; {output / 'errors.csv'} says why")


def _line(progress: Progress) -> str:
    minutes, seconds = divmod(round(progress.left_s), 60)
    failed = f", {progress.n_failed} bad" if progress.n_failed else ""
    return (
        f"{progress.n_done}/{progress.n_total} files{failed}, {progress.rate:,.0f}x real time, "
        f"{progress.n_done / progress.elapsed_s:.1f} files/s, {minutes}:{seconds:02d} left"
    )


def _print_summary(report: ExtractReport, output: Path) -> None:
    from dissensus.features import Pool

    rate = report.audio_s / report.elapsed_s if report.elapsed_s else 0.0
    typer.echo(
        f"{report.n_added} tracks added ({report.audio_s / 60:.1f} min of audio in {report.elapsed_s:.1f} s, {rate:,.0f}x real "
        f"time), {report.n_there} were there, {len(report.errors)} failed"
    )
    typer.echo(f"{output}: {Pool.open(output)!r}")
    for kind in sorted({kind for _, _, kind, _ in report.errors}):
        these = [message for _, _, k, message in report.errors if k == kind]
        typer.echo(f"  {len(these)} {kind}, the first: {these[0]}")
    if report.errors:
        typer.echo(f"  all in {output / 'errors.csv'}")
    if report.notes:
        n_files = len({track for track, _, _ in report.notes})
        typer.echo(
            f"  remarks on {n_files} of the files used, the first: {report.notes[0][2]}; all in {output / 'notes.csv'}"
        )
