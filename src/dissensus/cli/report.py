"""``dissensus report``: one page of HTML about the results of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_HELP = """Write one self-contained page of HTML about the results of `dissensus evaluate`.

It reads without the code: what was asked, what came out with intervals and with the null of permuted answers beside, whether
it matters which tracks are asked about, who was personalised (by the published slope and by a criterion that a collapse cannot
meet), every listener's curves, and what the results do not show. Needs matplotlib (`pip install dissensus[plot]`).

Listeners are numbered: no id is written to the page.

Examples:

- `dissensus report results/`

- `dissensus report results/ --out page.html`
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("report", help=_HELP)
    def report(
        results: Annotated[
            Path, typer.Argument(metavar="RESULTS", help="Folder that `dissensus evaluate --out` wrote.")
        ],
        out: Annotated[Path | None, typer.Option(help="HTML file; default: report.html in the folder.")] = None,
    ) -> None:
        from dissensus.evaluation.report import write_results_report

        typer.echo(f"Report: {write_results_report(results, out)}")
