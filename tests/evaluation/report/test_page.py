"""The page about an evaluation: it says what came out, what was permuted, what is a paper's, and nobody's id."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dissensus.datasets.synthetic import Panel, latent_listeners
from dissensus.errors import DataFormatError, MissingDependencyError, ParameterError
from dissensus.evaluation.curves import COLUMNS, write_columns
from dissensus.evaluation.outcome.summary import summarise
from dissensus.evaluation.protocol import PROTOCOLS, Protocol
from dissensus.evaluation.report import figures, rating_sections, sections
from dissensus.evaluation.report.page import write_results_report

SMALL = Protocol(kinds=("sgd",), strategies=("mc", "rand"), updates=("replay",), rounds=4, repeats=4, null_repeats=2)


def scores(rise: float, repeats: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = []
    for who in range(6):
        for repeat in range(repeats):
            for strategy in SMALL.strategies:
                for member in ("sgd", "committee"):
                    for r in range(-1, 4):
                        f1 = 0.4 + 0.01 * who + rise * (r + 1) * (1.5 if strategy == "mc" else 1) + 0.004 * rng.normal()
                        key = (f"secret-{who}", repeat, strategy, "replay", member, r, 4 * (r + 1))
                        rows.append((*key, f1, f1, f1, 1.0))
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def results(folder: Path, protocol: Protocol = SMALL, *, null: bool = True, rise: float = 0.03) -> Path:
    table, permuted = scores(rise, protocol.repeats), scores(-0.02, 2, seed=1) if null else None
    summary = summarise(table, protocol, permuted)
    summary |= {"dataset": "made <up>", "source": "a test", "run": {"dissensus": "0"}}
    write_columns(folder / "scores.parquet", table)
    if permuted is not None:
        write_columns(folder / "details" / "permuted.parquet", permuted)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order; nothing comes from elsewhere; every drawing says what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.drawings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img")
        if tag == "svg":
            assert dict(attrs)["role"] == "img"
            assert len(dict(attrs)["aria-label"] or "") > 20
            self.drawings += 1
        for name, value in attrs:
            if name in ("src", "href", "xlink:href"):
                assert value is not None
                assert value.startswith("#")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words and tables: drawings take most of a page's time."""
    for module in (sections, rating_sections):
        for name in figures.__all__:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda *_, **__: "<svg></svg>")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_results_report(results(tmp_path_factory.mktemp("results"))).read_text()


def test_it_is_one_well_formed_page_with_pictures(page: str) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.headings == [
        "What was asked",
        "What came out",
        "Does it matter which tracks are asked about?",
        "Who was personalised",
        "For whom it helps",
        "Every listener",
        "What this does not show",
        "How it was made",
    ]
    assert parser.drawings == 5
    assert page.count("<figcaption>") == 5


def test_it_follows_the_reader_and_prints(page: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page
    assert 'name="viewport"' in page


def test_it_says_what_came_out_with_interval_and_null(page: str) -> None:
    assert "6 listeners of made &lt;up&gt;" in page
    row = re.search(r"<tr[^>]*><td>replay</td><td>committee</td><td>mc</td>(.*?)</tr>", page)
    assert row is not None
    start, end, gain, null, over, _ = re.findall(r"<td>(.*?)</td>", row.group(1))
    assert float(end) - float(start) == pytest.approx(float(gain.split()[0]), abs=0.002)
    assert gain.startswith("+0.18")
    assert float(null.split()[0]) == pytest.approx(-0.12, abs=0.003)
    assert float(over.split()[0]) == pytest.approx(0.30, abs=0.005)
    assert "mc - rand" in page


def test_the_head_answers_in_plain_words(page: str) -> None:
    short = page[page.index("In short") : page.index("What was asked")]
    assert "the committee is surely better after 16 answers than before the first" in short
    assert "The listener&#x27;s true answers are surely worth more than that" in short
    assert "6 of 6 listeners end above their own start; surely so 6, surely below 0, undecided 0" in short
    assert "these surely gain, and surely more than with the answers shuffled: sgd, +0.1" in short


@pytest.mark.usefixtures("undrawn")
def test_a_loss_is_called_one(tmp_path: Path) -> None:
    page = write_results_report(results(tmp_path, rise=-0.03)).read_text()
    short = page[page.index("In short") : page.index("What was asked")]
    assert "is surely worse after 16 answers" in short
    assert "By replay no member surely gains" in short
    assert "0 of 6 listeners end above their own start; surely so 0, surely below 6" in short


@pytest.mark.usefixtures("undrawn")
def test_another_data_set_and_a_paper_stand_beside(tmp_path: Path) -> None:
    first = results(tmp_path / "first")
    second = results(tmp_path / "second", rise=0.0)
    summary = json.loads((second / "summary.json").read_text())
    (second / "summary.json").write_text(json.dumps(summary | {"dataset": "control"}))
    protocol = replace(PROTOCOLS["trompa2022"], kinds=("sgd",), strategies=("mc", "rand"), updates=("replay",))
    paper = results(tmp_path / "paper", protocol, null=False, rise=-0.01)
    page = write_results_report([first, second, paper]).read_text()
    assert (first / "report.html").exists()
    assert "Beside it: other listeners, other music" in page
    assert "control, 6 listeners: Learning by replay, the committee is not surely better or worse" in page
    assert "As published, and as it holds" in page
    assert "Known faults: human consensus counts" in page
    assert re.search(r"As published, replay, sgd: weighted F1 0\.4\d\d", page)


@pytest.mark.usefixtures("undrawn")
def test_the_listener_model_stands_beside_the_crowd(tmp_path: Path) -> None:
    folder = results(tmp_path)
    gain = {name: {"mean": m, "low": m - 0.01, "high": m + 0.01} for name, m in (("nll", -0.05), ("accuracy", 0.02))}
    row = {"update": "replay", "member": "residual", "against": "crowd", "f1_weighted": gain["accuracy"]}
    row |= {"f1_macro": gain["accuracy"], "share_better_nll": 0.75, "drawn_nll": gain["accuracy"], **gain}
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"against_crowd": [row]}))
    page = write_results_report(folder).read_text()
    assert (
        "listener model&#x27;s probabilities are surely better: negative log-likelihood -0.050 [-0.060, -0.040]" in page
    )
    assert "so for 75% of listeners" in page
    assert "<h2>Beside the crowd</h2>" in page
    assert "without anything personal, by +0.020" in page
    assert "With shuffled answers the log-likelihood" not in page


def test_with_the_data_set_it_shows_the_plane_and_the_agreement(tmp_path: Path) -> None:
    data = latent_listeners(60, 6, panel=Panel(tracks_per_listener=30, n_rated=40), seed=3)
    names = np.unique(data.annotations.listener_id.astype(str))
    folder = tmp_path / "results"
    table, permuted = (
        t | {"listener": names[np.array([int(who[-1]) for who in t["listener"]])]}
        for t in (scores(0.03, 4), scores(0, 2))
    )
    summary = summarise(table, SMALL, permuted) | {"dataset": data.name}
    write_columns(folder / "scores.parquet", table)
    write_columns(folder / "details" / "permuted.parquet", permuted)
    asked = {name: table[name] for name in ("listener", "repeat", "strategy", "update", "round")}
    track = {str(who): data.annotations.of(who).track_id[0] for who in np.unique(data.annotations.listener_id)}
    asked["track_id"] = np.array([str(track[who]) for who in asked["listener"].tolist()])
    write_columns(folder / "details" / "queries.parquet", asked)
    (folder / "summary.json").write_text(json.dumps(summary))
    place = np.where(data.annotations.label % 3 == 0, 1.0, -1.0)
    rated = replace(
        data.annotations, extra={"arousal": np.where(data.annotations.label < 2, 1.0, -1.0), "valence": place}
    )
    page = write_results_report(folder, dataset=replace(data, annotations=rated)).read_text()
    assert "Do the listeners agree?" in page
    assert "everybody" in page
    assert "evaluated here" in page
    assert "agreement with others, lowest third" in page
    assert "first 12 questions" in page
    with pytest.raises(ParameterError, match="is about"):
        write_results_report(results(tmp_path / "other"), dataset=data)


def test_nobody_is_named(page: str) -> None:
    assert "secret" not in page


@pytest.mark.usefixtures("undrawn")
def test_without_a_null_it_says_so(tmp_path: Path) -> None:
    page = write_results_report(results(tmp_path, replace(SMALL, repeats=1, null_repeats=0), null=False)).read_text()
    assert "No run with permuted answers was made" in page
    assert "not run" in page
    assert "nobody can be surely above" in page
    assert "(one split per listener decides nobody)" in page


@pytest.mark.usefixtures("undrawn")
def test_a_papers_protocol_is_marked_with_its_faults(tmp_path: Path, page: str) -> None:
    protocol = replace(PROTOCOLS["trompa2022"], kinds=("sgd",), strategies=("mc", "rand"), updates=("replay",))
    paper = write_results_report(results(tmp_path, protocol, null=False)).read_text()
    assert "labelled paper" in paper
    assert "human consensus counts the listener&#x27;s own hidden answer" in paper
    assert "labelled paper" not in page


def test_the_page_goes_where_it_is_told_and_is_the_same_again(tmp_path: Path, page: str) -> None:
    folder = results(tmp_path / "results")
    first = write_results_report(folder, tmp_path / "page.html")
    assert first == tmp_path / "page.html"
    assert not (folder / "report.html").exists()
    assert first.read_text() == page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "results"]


def test_what_is_no_folder_of_results(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"dissensus evaluate --out"):
        write_results_report(tmp_path)
    results(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(DataFormatError, match="'protocol' is missing"):
        write_results_report(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(DataFormatError, match=r"summary.json: not a summary"):
        write_results_report(tmp_path)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"dissensus\[plot\]"):
        write_results_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
