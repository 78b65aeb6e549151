"""``dissensus report``: who was personalised, printed, and one page of HTML about the results of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dissensus.cli._data_sets import published

_HELP = """Print who was personalised and write one self-contained page of HTML about the results of `dissensus evaluate`.

Printed, for every update, member and strategy: the share of listeners by the published slope, the share who end above their
start, the share who surely do, each with its interval and with the same share under permuted answers; then the groups of
listeners by how well they personalise.

The page reads without the code: in short, what was asked, what came out with intervals and with the null of permuted answers
beside, whether it matters which tracks are asked about, who was personalised and for whom it helps, every listener's curves,
and what the results do not show. Needs matplotlib (`pip install dissensus[plot]`).

Further folders stand beside the first: results of a published protocol on the same listeners, or of another data set as a
control. With `--data`, the folder of the first one's data set, the page also shows where on the plane of arousal and valence
the queried tracks lie, and how far listeners agree, by group.

Listeners are numbered: no id is written to the page.

Examples:

- `dissensus report results/`

- `dissensus report results/ --out page.html`

- `dissensus report trompa/ soundtracks/ paper/ --data DIR --out page.html`
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("report", help=_HELP)
    def report(
        results: Annotated[
            list[Path], typer.Argument(metavar="RESULTS...", help="Folders that `dissensus evaluate --out` wrote.")
        ],
        out: Annotated[Path | None, typer.Option(help="HTML file; default: report.html in the first folder.")] = None,
        data: Annotated[Path | None, typer.Option(help="Folder of the first one's data set.")] = None,
    ) -> None:
        from dissensus.evaluation.outcome.results import read_results
        from dissensus.evaluation.report.page import write_results_report
        from dissensus.evaluation.report.personalised_table import format_personalised, personalised_rows

        several = [read_results(folder) for folder in results]
        dataset = None if data is None else published(several[0].dataset, data)
        for one in several:
            typer.echo(format_personalised(one, personalised_rows(one)) + "\n")
        typer.echo(f"Report: {write_results_report(results, out, dataset=dataset)}")
