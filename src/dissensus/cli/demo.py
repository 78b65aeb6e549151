"""``dissensus demo``: a committee becomes a listener's, on music and listeners made on the spot."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dissensus.evaluation.showcase.experiment import Progress, Showcase

_HELP = """Watch a committee of classifiers learn to hear like one listener. Needs no data; takes about a minute.

Clips of music are made on the spot and a committee of classifiers on 260 emotion features is pre-trained on those that nobody
rated. Then listeners whom it never met answer a few questions each: which quadrant of arousal and valence do you hear? (Q1
happy, Q2 angry, Q3 sad, Q4 calm.) The committee asks about the clips on which it is least sure, and is scored on clips held
out, beside a committee that asked at random and beside what other listeners say. The first listener is shown in full. The
same is done with five heads of a small CNN that comes with the package (trained on other clips of the same synthesiser).

Written to OUT: **report.html** (one page, with sound), **learning.png** and **learning.svg**.

Examples:

- `dissensus demo`

- `dissensus demo --listeners 30 --seed 1 --out another` (narrower intervals, other music and people)

- `dissensus demo --personal 0` (listeners who all hear the same: there is nothing to learn, and it shows)

- `dissensus demo --n0 100` (the caution that real listeners call for: it learns more slowly)
"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("demo", help=_HELP)(_demo)


def _demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the report and the picture.")] = Path("demo"),
    listeners: Annotated[int, typer.Option(min=2, help="Listeners who are asked; intervals are over them.")] = 12,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of questions.")] = 10,
    queries: Annotated[int, typer.Option(min=1, help="Clips asked in a round.")] = 4,
    clips: Annotated[int, typer.Option(min=20, help="Clips of music.")] = 300,
    personal: Annotated[float, typer.Option(min=0.0, help="How personally listeners hear; 0 = all alike.")] = 0.8,
    n0: Annotated[float, typer.Option(min=0.1, help="What the memory of everybody weighs, in answers.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything; the same seed gives the same result.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Listeners worked on at a time; default: one a core.")] = None,
) -> None:
    from dissensus._threads import set_threads
    from dissensus.evaluation.showcase.experiment import ShowcaseSettings, run_showcase

    settings = ShowcaseSettings(listeners, rounds, queries, clips, rho=personal, n0=n0, seed=seed)
    _check_writable(out)
    set_threads(1)  # listeners run side by side; one thread for each library
    began = time.perf_counter()
    with _bars() as progress:
        result = run_showcase(settings, n_threads=jobs or _cores(), progress=progress)
    _tell(result)
    _write(result, out)
    typer.echo(f"({time.perf_counter() - began:.0f} s, seed {seed})")


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)


def _check_writable(out: Path) -> None:
    """Find out now, not after a minute of work."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise PermissionError(f"cannot write to {out}")


class _bars:
    """One progress bar a stage, on stderr."""

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.bar.start()
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def progress(stage: str, done: int, total: int) -> None:
            with lock:
                if stage not in tasks:
                    tasks[stage] = self.bar.add_task(stage, total=total)
            self.bar.update(tasks[stage], completed=done)

        return progress

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def _tell(result: Showcase) -> None:
    s, who = result.settings, result.listeners[0]
    typer.echo(f"\n{result.committee!r}, pre-trained on clips nobody rated.")
    typer.echo(f"{who}, whom it never met, is asked {s.rounds} times about {s.queries} clips:\n")
    round_ = 0
    for asked in result.asked:
        if asked.round != round_:
            round_ = asked.round
            f1 = result.f1["mc"][0]
            typer.echo(f"round {round_}  (weighted F1 on held-out clips so far: {f1[round_ - 1]:.3f})")
        mark = "=" if asked.thought == asked.answer else "!"
        typer.echo(f"  {asked.track_id}  thought {asked.thought}, heard {asked.answer} {mark}  {asked.reason}")
    _figures(result)


def _figures(result: Showcase) -> None:
    from dissensus.evaluation.showcase.page import LIMITS

    s, spans, n = result.settings, result.intervals(), result.settings.rounds * result.settings.queries
    first = result.f1["mc"][0]
    typer.echo(f"\nWeighted F1 on {s.held_out} held-out clips a listener, the same for every strategy and committee")
    typer.echo(f"  {result.listeners[0]} (shown above)        start {first[0]:.3f}   end {first[-1]:.3f}")
    typer.echo(f"  mean of {len(result.listeners)} listeners, 95 % interval over listeners:")
    verdicts = {1: "above", -1: "below", 0: "not told apart from"}

    def level(label: str, key: str) -> None:
        typer.echo(f"    {label:<42} {spans[key].mean:.3f} [{spans[key].low:.3f}, {spans[key].high:.3f}]")

    def difference(label: str, key: str, other: str) -> None:
        typer.echo(f"    {label:<42} {spans[key]}  {verdicts[spans[key].sign]} {other}")

    level("what other listeners say", "crowd")
    teams = {"classic committee on 260 features": "", "five heads of the CNN": "cnn ", "all as one committee": "both "}
    for title, prefix in teams.items():
        typer.echo(f"  {title}:")
        level("start, before any answer", f"{prefix}start")
        level(f"after {n} answers, asked by the committee", f"{prefix}end")
        level(f"after {n} answers, asked at random", f"{prefix}random end")
        difference("gain from own start", f"{prefix}gain", "the start")
        difference("asked by the committee less at random", f"{prefix}end - random end", "asking at random")
        difference("the committee less other listeners", f"{prefix}end - crowd", "what others say")
    typer.echo("\nWhat this does not show:")
    for limit in LIMITS:
        typer.echo(f"  - {limit}")


def _write(result: Showcase, out: Path) -> None:
    from dissensus.errors import MissingDependencyError
    from dissensus.evaluation.showcase.page import draw_showcase, write_report

    picture = None
    typer.echo("")
    try:
        png, picture = draw_showcase(result, out / "learning")
        typer.echo(f"Picture: {png}  {picture}")
    except MissingDependencyError as error:
        typer.echo(f"No picture: {error}")
    typer.echo(f"Report:  {write_report(result, out / 'report.html', picture=picture)}")
