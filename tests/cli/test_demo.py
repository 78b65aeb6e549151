"""``dissensus demo`` on a small stage: what it prints, what it writes, and that it does not flatter itself."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dissensus.cli import main as cli
from dissensus.committee import shipped_cnn
from dissensus.errors import ParameterError
from dissensus.evaluation.scores import track_scores
from dissensus.evaluation.showcase.experiment import TEST_SHARE, Showcase, ShowcaseSettings, run_showcase
from dissensus.evaluation.showcase.page import LIMITS, write_report
from dissensus.evaluation.splits import Splits
from dissensus.features import IS13_NAMES

SMALL = ShowcaseSettings(n_listeners=3, rounds=2, queries=4, n_clips=60, duration_s=2.0, seed=3)


@pytest.fixture(scope="module")
def result() -> Showcase:
    return run_showcase(SMALL)


def test_the_result_does_not_depend_on_the_threads(result: Showcase) -> None:
    again = run_showcase(SMALL, n_threads=3)
    for arm in result.f1:
        np.testing.assert_array_equal(result.f1[arm], again.f1[arm])
        np.testing.assert_array_equal(result.cnn_f1[arm], again.cnn_f1[arm])
    assert result.asked == again.asked
    np.testing.assert_array_equal(result.crowd, again.crowd)


def test_strategies_start_from_the_same_score_on_the_same_tracks(result: Showcase) -> None:
    """T1: a strategy is not given an easier test set."""
    np.testing.assert_array_equal(result.f1["mc"][:, 0], result.f1["rand"][:, 0])
    assert result.f1["mc"].shape == (3, 3)
    assert result.n_labels.tolist() == [0, 4, 8]


def test_both_committees_read_the_same_clips_and_start_from_the_same_ones(result: Showcase) -> None:
    classic, cnn = result.teams["classic"], result.teams["cnn"]
    assert classic.pool.track_ids.tolist() == cnn.pool.track_ids.tolist() == result.data.pool.track_ids.tolist()
    assert classic.pool.feature_names == IS13_NAMES
    assert classic.committee.member_kinds == ("gnb",) * 3 + ("sgd",) * 3 + ("xgb",) * 3
    assert cnn.committee.member_kinds == ("cnn",) * 5
    assert cnn.committee.fingerprint == cnn.pool.fingerprint is not None
    np.testing.assert_array_equal(result.cnn_f1["mc"][:, 0], result.cnn_f1["rand"][:, 0])
    spans = result.intervals()
    difference = result.cnn_f1["mc"][:, -1] - result.f1["mc"][:, -1]
    assert spans["cnn end - end"].mean == pytest.approx(difference.mean())


def test_the_seed_of_the_cnns_training_is_refused() -> None:
    seed = shipped_cnn().metadata["training"]["seed"]
    with pytest.raises(ParameterError, match="the CNN was trained on"):
        run_showcase(replace(SMALL, seed=seed))


def test_held_out_and_pre_training_tracks_are_never_asked(result: Showcase) -> None:
    first = result.listeners[0]
    own = result.data.annotations.of(first)
    split = Splits(SMALL.seed, TEST_SHARE).draw(first, 0, own.track_id)
    asked = [a.track_id for a in result.asked]
    assert len(set(asked)) == len(asked) == 8
    assert not set(asked) & set(split.test)
    assert set(asked) <= set(own.track_id.tolist())
    assert len(split.test) == SMALL.held_out


def test_the_start_is_the_pretrained_committee(result: Showcase) -> None:
    first = result.listeners[0]
    own = result.data.annotations.of(first)
    label = dict(zip(own.track_id.tolist(), own.label.tolist(), strict=True))
    test = result.data.pool.subset(Splits(SMALL.seed, TEST_SHARE).draw(first, 0, own.track_id).test)
    proba = result.committee.predict_proba(test.X, test.groups).mean(axis=0)
    truth = [label[t] for t in test.track_ids.tolist()]
    assert result.f1["mc"][0, 0] == pytest.approx(float(track_scores(proba, truth)["f1_weighted"]))


def test_answers_shown_are_the_listeners_own(result: Showcase) -> None:
    own = result.data.annotations.of(result.listeners[0])
    label = dict(zip(own.track_id.tolist(), own.label.tolist(), strict=True))
    for a in result.asked:
        assert a.answer == result.data.classes[label[a.track_id]]
        assert a.reason.startswith("machine consensus")


def test_differences_are_paired(result: Showcase) -> None:
    spans = result.intervals()
    gain = result.f1["mc"][:, -1] - result.f1["mc"][:, 0]
    assert spans["gain"].mean == pytest.approx(gain.mean())
    assert spans["gain"].mean == pytest.approx(spans["end"].mean - spans["start"].mean)
    assert all(span.low <= span.mean <= span.high for span in spans.values())


def test_more_questions_than_tracks_are_refused_at_once() -> None:
    with pytest.raises(ParameterError, match="make more clips"):
        ShowcaseSettings(rounds=20, queries=4, n_clips=100)
    with pytest.raises(ParameterError, match="n_listeners"):
        ShowcaseSettings(n_listeners=1)


class Page(HTMLParser):
    """What a page asks the network for, and what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href") and tag != "use"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_page_that_needs_nothing_else(result: Showcase, tmp_path: Path) -> None:
    page = Page()
    page.feed(write_report(result, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.sources
    assert all(source.startswith("data:audio/wav;base64,") for source in page.sources)
    for a in result.asked:
        assert a.track_id in page.text
        assert a.reason in page.text
    for limit in LIMITS:
        assert limit in page.text
    assert f"{result.intervals()['end'].mean:.3f}" in page.text


def test_the_command_prints_what_it_promises(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, result: Showcase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("dissensus.evaluation.showcase.experiment.run_showcase", lambda *_, **__: result)
    code = cli.main(["demo", "--out", str(tmp_path)])
    out, _ = capsys.readouterr()
    assert code == 0
    first = result.f1["mc"][0]
    assert f"start {first[0]:.3f}   end {first[-1]:.3f}" in out
    assert len(re.findall(r"clip-\d{4}  thought Q\d, heard Q\d", out)) == 8
    assert "What this does not show" in out
    for name in ("learning.png", "learning.svg", "report.html"):
        assert str(tmp_path / name) in out
        assert (tmp_path / name).stat().st_size > 1000
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["learning.png", "learning.svg", "report.html"]


def test_without_matplotlib_the_report_is_written_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, result: Showcase, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("dissensus.evaluation.showcase.experiment.run_showcase", lambda *_, **__: result)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert "No picture" in out
    assert "dissensus[plot]" in out
    assert (tmp_path / "report.html").is_file()


def test_end_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    argv = ["demo", "--clips", "40", "--listeners", "2", "--rounds", "1", "--out", str(tmp_path / "new" / "folder")]
    assert cli.main(argv) == 0
    assert "round 1" in capsys.readouterr().out
