"""``dissensus study-listeners``: the crowd prior and the personal model against each other, with intervals and nulls."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dissensus.cli._data_sets import published

_HELP = """Compare the crowd and the listener model, listener by listener, and print the table.

The opponent is the crowd without the listener, under the same decision rule and the same splits. Nulls stand beside every
gain: answers permuted, and listeners simulated from the crowd, who have nothing personal. Intervals are bootstrapped over
listeners. Written to OUT: **table.md** and **scores.json** (means only, no listener's values).

Examples:

- `dissensus study-listeners trompa --data DIR --out results/` (35 listeners with 80 tracks or more, 30 splits)

- `dissensus study-listeners trompa --data DIR --min-tracks 20 --max-tracks 79 --out confirm/`

- `dissensus study-listeners soundtracks --data DIR --repeats 20 --no-asking --out control/` (also ratings as numbers and as
ordered answers)

- `dissensus study-listeners trompa --data DIR --committee --repeats 3 --out committee/` (a classic committee that has the crowd
as a member, as its prior or as an input, beside the crowd and the listener model)
"""


class StudyData(StrEnum):
    """Data sets of the study."""

    trompa = "trompa"
    soundtracks = "soundtracks"


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("study-listeners", help=_HELP)
    def study_listeners(
        dataset: Annotated[StudyData, typer.Argument(help="Which listeners.")],
        data: Annotated[Path, typer.Option(help="Folder of the data set.")],
        out: Annotated[Path, typer.Option(help="Folder for the report.")],
        repeats: Annotated[int, typer.Option(help="Splits per listener.", min=1)] = 30,
        min_tracks: Annotated[int, typer.Option(help="Listeners with at least so many tracks.", min=4)] = 80,
        max_tracks: Annotated[int, typer.Option(help="Listeners with at most so many tracks.", min=4)] = 10**6,
        asking: Annotated[bool, typer.Option(help="Also the strategies' learning curves.")] = True,
        strategies: Annotated[str, typer.Option(help="Strategies of the learning curves.")] = "mc-bal,hc-bal,rand",
        rounds: Annotated[int, typer.Option(help="Rounds of four questions.", min=1)] = 15,
        past: Annotated[bool, typer.Option(help="Also with only the votes cast before the listener's first.")] = False,
        joint: Annotated[bool, typer.Option(help="Personal weights fitted to both data sets at once.")] = False,
        committee: Annotated[bool, typer.Option(help="Instead: the crowd inside a classic committee.")] = False,
        seed: Annotated[int, typer.Option(help="Master seed.")] = 0,
    ) -> None:
        import time
        from dataclasses import asdict, replace
        from typing import Any

        from dissensus._threads import set_threads
        from dissensus.evaluation.studies.asking import run_asking_study
        from dissensus.evaluation.studies.listener import ListenerPlan, run_listener_study
        from dissensus.evaluation.studies.ordinal import ordinal_rows, run_ordinal_study
        from dissensus.evaluation.studies.rows import asking_rows, calibration_rows, study_rows, write_report
        from dissensus.evaluation.studies.values import run_values_study, values_rows
        from dissensus.personalisation.listener import JOINT_WEIGHTS

        set_threads(1)  # thousands of small matrices: more threads only wait for each other
        began = time.perf_counter()
        if dataset is StudyData.trompa and committee:
            loaded = published("trompa", data)  # the service's quadrant is what the committee is pre-trained on
        elif dataset is StudyData.trompa:
            loaded = published("trompa", data, spotify_quadrant=True, zscore="none")
        else:
            loaded = published("soundtracks", data)
        fresh = dataset is StudyData.trompa
        plan = ListenerPlan(
            repeats,
            min_tracks=min_tracks,
            max_tracks=max_tracks,
            fresh_tracks=fresh,
            past_only=past,
            weights=JOINT_WEIGHTS if joint else None,
            seed=seed,
        )

        def say(text: str) -> None:
            typer.echo(f"\r{text}", nl=False, err=True)

        if committee:
            from dissensus.evaluation.studies.crowd_committee import committee_rows, run_committee_study

            rows = committee_rows(run_committee_study(loaded, plan, say=say))
            about = {"data": loaded.name, **asdict(plan), "seconds": round(time.perf_counter() - began)}
            typer.echo("", err=True)
            typer.echo(write_report(out, f"The crowd in a committee: {loaded.name}", rows, None, None, about))
            return
        scores = run_listener_study(loaded, plan, say=say)
        rows = study_rows(scores) + calibration_rows(scores)
        if dataset is StudyData.soundtracks:
            scales = ("energy", "valence")
            rows += values_rows(run_values_study(loaded, scales, middle=5.0, repeats=repeats, seed=seed), scales)
            given: dict[str, Any] = {"middle": 5.0, "repeats": min(repeats, 5), "seed": seed}
            for half, name in enumerate(("settings chosen on these", "confirmed on these")):
                ordered = run_ordinal_study(loaded, scales, levels=range(1, 10), half=half, **given)
                rows += [replace(row, what=f"{row.what} ({name})") for row in ordinal_rows(ordered, scales)]
        curves = None
        if asking:
            names = tuple(name.strip() for name in strategies.split(",") if name.strip())
            curves = run_asking_study(loaded, plan, strategies=names, rounds=rounds, say=say)
            rows += asking_rows(curves)
        about = {"data": loaded.name, **asdict(plan), "seconds": round(time.perf_counter() - began)}
        typer.echo("", err=True)
        typer.echo(write_report(out, f"Listener study: {loaded.name}", rows, scores, curves, about))
