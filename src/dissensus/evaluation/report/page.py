"""One page of HTML about an evaluation that a person can read without the code: what was asked, what came out, what not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dissensus._files import write_text
from dissensus.datasets import Dataset
from dissensus.errors import ParameterError
from dissensus.evaluation.outcome.paired_tests import PairedTests, compare_strategies
from dissensus.evaluation.outcome.results import Results, read_results
from dissensus.evaluation.report import rating_sections as ratings
from dissensus.evaluation.report import sections
from dissensus.evaluation.report.markup import answers, items, page, table
from dissensus.evaluation.report.personalised_table import personalised_rows
from dissensus.evaluation.report.sentences import (
    UPDATE,
    asked,
    control_sentence,
    human_sentence,
    in_short,
    limits,
    member_words,
)
from dissensus.strategies.strategy import registered_strategies

__all__ = ["write_results_report"]

_Folder = str | Path


def _several(folders: _Folder | Sequence[_Folder]) -> list[Results]:
    named = [folders] if isinstance(folders, str | Path) else list(folders)
    if not named:
        raise ParameterError("give the folder of an evaluation")
    return [read_results(folder) for folder in named]


def _tests(results: Results) -> dict[str, Sequence[PairedTests]]:
    if len(results.protocol.strategies) < 2 or len(results.listeners) < 2:
        return {}
    there = [update for update in results.protocol.updates if update in results.curves.update]
    return {update: compare_strategies(results.scores, update=update) for update in there}


def _words(named: dict[str, str], there: Sequence[str]) -> str:
    return "".join(f"<li><b>{escape(name)}</b>: {escape(named.get(name, name))}</li>" for name in there)


def _asked(results: Results) -> str:
    protocol = results.protocol
    asked_by = {known.name: known.description for known in registered_strategies()}
    kinds = [*protocol.kinds, *(["committee"] if "committee" in results.curves.member else [])]
    return f"""<p>{escape(asked(results))}</p>
<p>Scored, each by itself:</p><ul>{_words(member_words(), kinds)}</ul>
<p>Tracks chosen by:</p><ul>{_words(asked_by, protocol.strategies)}</ul>
<p>Learnt by:</p><ul>{_words(UPDATE, protocol.updates)}</ul>
<p class="note">Scores are weighted F1 over tracks: 0 to 1, 1 where every track is given the quadrant that the listener heard. A
listener's splits are averaged first: the listeners are the sample, and 95 % intervals are bootstrapped over them.</p>"""


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}\n" if body else ""


def write_results_report(
    folder: _Folder | Sequence[_Folder], out: _Folder | None = None, *, dataset: Dataset | None = None
) -> Path:
    """Write one self-contained page about the results in one folder, others beside.

    Parameters
    ----------
    folder : path or sequence of path
        What ``dissensus evaluate --out`` wrote. The first is what the page is about; of the others, a published protocol on
        the same listeners is put beside it, and another data set is shown as a control.
    out : path, optional
        HTML file; default: ``report.html`` in the first folder. Replaced in one step.
    dataset : Dataset, optional
        That the first is about: adds where the queried tracks lie, how far listeners agree, and for whom it helps by that.

    Returns
    -------
    Path

    Raises
    ------
    DataFormatError
        A folder holds no results, or damaged ones.
    ParameterError
        ``dataset`` is another one.
    MissingDependencyError
        matplotlib is not installed.
    """
    results, *others = _several(folder)
    if dataset is not None and dataset.name != results.dataset:
        raise ParameterError(f"{results.folder} is about {results.dataset}, the data set given is {dataset.name}")
    papers = [other for other in others if other.is_paper and other.dataset == results.dataset]
    control = [other for other in others if other not in papers]
    target = results.folder / "report.html" if out is None else Path(out)
    rows, tests = personalised_rows(results), _tests(results)
    whom, whom_said = sections.for_whom(results, dataset)
    published, faults_said = sections.paper_beside(results, papers)
    short = in_short(results, rows, whom_said, human_sentence(tests, is_paper=results.is_paper))
    short += [("And with the published protocol?", text) for text in faults_said[:1]]
    short += [("And elsewhere?", control_sentence(other)) for other in control]
    plane, agreed = ("", "") if dataset is None else (f(results, dataset) for f in (ratings.plane, ratings.agreement))
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in results.summary["faults"])
    marked = (
        f'<div class="paper"><b>As published ({escape(results.protocol.name)}), labelled paper.</b> Known faults:'
        f"<ul>{faults}</ul></div>"
        if results.is_paper
        else ""
    )
    version = escape(str(results.summary.get("run", {}).get("dissensus", "unknown")))
    sources = " ".join(dict.fromkeys(str(one.summary.get("source", "")) for one in (results, *others)))
    settings = [[name, json.dumps(value)] for name, value in results.summary["protocol"].items()]
    made = f'<p class="note">dissensus {version}. {escape(sources)}</p>' + table(["setting", "value"], settings)
    body = f"""<h1>Does a committee learn to hear like one listener?</h1>
{marked}
<div class="short"><b>In short</b>{answers(short)}</div>
{_section("What was asked", _asked(results))}
{_section("What came out", sections.came_out(results, control))}
{_section("Beside it: other listeners, other music", sections.beside(control))}
{_section("Beside the crowd", sections.beside_crowd(results))}
{_section("As published, and as it holds", published)}
{_section("Does it matter which tracks are asked about?", sections.compared(results, tests) + plane)}
{_section("Who was personalised", sections.personalised(results, rows))}
{_section("For whom it helps", whom)}
{_section("Do the listeners agree?", agreed)}
{_section("Every listener", sections.every_listener(results))}
{_section("What this does not show", items(limits(results)))}
{_section("How it was made", made)}"""
    write_text(target, page(f"dissensus: {results.dataset}", body))
    return target
