"""``dissensus synth``: music and listeners made on the spot, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("synth")(synth)


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; must be new or empty.")],
    clips: Annotated[int, typer.Option(help="Number of clips.", min=1)] = 100,
    listeners: Annotated[int, typer.Option(help="Listeners who annotate; a crowd of others comes on top.", min=1)] = 12,
    duration: Annotated[float, typer.Option(help="Length of a clip, seconds.")] = 10.0,
    settings: Annotated[str, typer.Option(help="Sounds of the synthesiser, separated by commas; default: all.")] = "",
    rho: Annotated[float, typer.Option(help="How personal the listeners hear; 0 = all alike.")] = 0.4,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bits.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Clips made at a time.", min=1)] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that this command wrote earlier.")] = False,
) -> None:
    """Write music that follows the cues of five emotions, and what made-up listeners hear in it.

    The folder gets audio/*.flac (16 kHz mono), manifest.csv (each clip's arousal, valence, quadrant, synthesiser setting
    and cues), annotations.csv (listener, track, label) and a README.md. Nothing is downloaded; everything follows from
    the seed.

    Example: dissensus synth --out clips --clips 50 --duration 6 --seed 1
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from dissensus.datasets.synthetic import Music, Panel, make
    from dissensus.datasets.synthetic.files import write_folder
    from dissensus.datasets.synthetic.synth import SETTINGS

    chosen = tuple(s.strip() for s in settings.split(",") if s.strip()) or tuple(SETTINGS)
    music = Music(duration_s=duration, settings=chosen)
    panel = Panel(tracks_per_listener=max(1, min(60, round(0.6 * clips))), rho=rho)
    data = make(clips, listeners, music=music, panel=panel, features=None, seed=seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("clips", total=clips)
        write_folder(data, out, force=force, n_threads=jobs, progress=lambda: bar.advance(task))
    people = len(set(data.annotations.listener_id.tolist()))
    typer.echo(f"{out}: {clips} clips of {duration:g} s, {len(data.annotations)} annotations by {people} people")
