from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissensus.errors import DataFormatError
from dissensus.evaluation.curves import COLUMNS, concatenate, curves_of, read_columns, write_columns
from dissensus.evaluation.outcome.summary import format_summary, summarise
from dissensus.evaluation.protocol import Protocol
from dissensus.evaluation.report.learning_curves import learning_curves
from dissensus.strategies import registered_strategies


def made_up(gain: dict[str, float], *, listeners: int = 12, rounds: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """A table in which strategies gain what is said, with noise that all strategies of a listener share."""
    rng = np.random.default_rng(seed)
    rows = []
    for listener in range(listeners):
        level = rng.normal(0.4, 0.1)
        for repeat in range(2):
            wobble = rng.normal(0, 0.003)
            for strategy, total in gain.items():
                for r in range(-1, rounds):
                    value = level + total * (r + 1) / rounds + wobble * (r + 1)
                    key = (f"l{listener}", repeat, strategy, "replay", "sgd", r, 4 * (r + 1))
                    rows.append((*key, value, value, value, 1 - value))
    return {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def shuffled(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = np.random.default_rng(1).permutation(len(table["round"]))
    return {name: column[order] for name, column in table.items()}


SETTINGS = Protocol(kinds=("sgd",), strategies=("mc", "rand"), updates=("replay",))


def test_summary_finds_what_was_put_in_whatever_the_order_of_rows() -> None:
    table = made_up({"mc": 0.1, "rand": 0.05})
    summary = summarise(table, SETTINGS)
    rows = {row["strategy"]: row for row in summary["rows"]}
    assert list(rows) == ["mc", "rand", "all"]
    assert rows["mc"]["gain"]["mean"] - rows["rand"]["gain"]["mean"] == pytest.approx(0.05)
    assert rows["mc"]["start"] == rows["rand"]["start"]
    assert rows["all"]["gain"]["mean"] == pytest.approx((rows["mc"]["gain"]["mean"] + rows["rand"]["gain"]["mean"]) / 2)
    assert rows["mc"]["gain_nll"]["mean"] == pytest.approx(-rows["mc"]["gain"]["mean"])
    assert rows["mc"]["share_above_start"] == 1.0
    (pair,) = summary["comparisons"]
    assert (pair["a"], pair["b"]) == ("mc", "rand")
    assert pair["difference"]["mean"] == pytest.approx(0.025)
    assert summarise(shuffled(table), SETTINGS) == summary


def test_the_published_slope_calls_a_recovery_personalised() -> None:
    table = made_up({"rand": 0.05})
    fall = np.where(table["round"] >= 0, -0.2, 0.0)  # collapse after the first answers, then recovery
    table["f1_weighted"] = table["f1_weighted"] + fall
    (row, _) = summarise(table, SETTINGS)["rows"]
    assert row["share_slope_not_negative"] > 0.9
    assert row["share_above_start"] == 0.0
    assert row["gain"]["high"] < 0


def test_words_tell_gain_null_and_order() -> None:
    gains = {"mc": 0.1, "rand": 0.05}
    text = format_summary(summarise(made_up(gains), SETTINGS, made_up({"mc": -0.02, "rand": -0.02})))
    assert "no kind of member ends below its own start on average; whole interval above the start for sgd" in text
    assert "answers beat the same answers permuted among the tracks for sgd" in text
    assert "replay, sgd: mc above rand by 0.025" in text
    worse = format_summary(summarise(made_up({"mc": -0.1, "rand": -0.1}), SETTINGS))
    assert "sgd end(s) below the own start on average (whole interval below for sgd)" in worse
    assert "No strategy differs from another" in worse


def test_a_paper_protocol_is_labelled() -> None:
    paper = Protocol(name="trompa2022", crowd="evaluated", strategies=("rand",), updates=("replay",), kinds=("sgd",))
    text = format_summary(summarise(made_up({"rand": 0.0}), paper))
    assert "(paper)" in text
    assert "slope >= 0" in text
    assert "known faults: human consensus counts" in text


def test_a_table_with_a_hole_is_refused() -> None:
    table = made_up({"rand": 0.1})
    for lost in (table["round"] != -1, table["round"] != 2):
        with pytest.raises(DataFormatError, match="curve"):
            curves_of({name: column[lost] for name, column in table.items()})
    with pytest.raises(DataFormatError, match="repeat"):
        curves_of(concatenate([table, table]))


def test_tables_are_read_back_as_written(tmp_path: Path) -> None:
    table = made_up({"rand": 0.1})
    write_columns(tmp_path / "t.parquet", table)
    again = read_columns(tmp_path / "t.parquet")
    assert list(again) == list(COLUMNS)
    assert all(np.array_equal(table[name], again[name]) for name in COLUMNS)
    (tmp_path / "no.parquet").write_bytes(b"something else")
    with pytest.raises(DataFormatError, match=r"no\.parquet"):
        read_columns(tmp_path / "no.parquet")
    write_columns(tmp_path / "half.parquet", {"listener": table["listener"]})
    with pytest.raises(DataFormatError, match="'repeat' is missing"):
        read_columns(tmp_path / "half.parquet")


def test_figure_is_written_in_both_formats_and_repeats_to_the_byte(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    table = made_up({"mc": 0.1, "rand": 0.05})
    png, svg = learning_curves(table, SETTINGS, tmp_path / "curves")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "<svg" in svg.read_text()
    assert "machine" in svg.read_text() or "<path" in svg.read_text()
    _, again = learning_curves(table, SETTINGS, tmp_path / "again")
    assert svg.read_bytes() == again.read_bytes()


def test_strategies_differ_in_line_marker_and_grey() -> None:
    known = registered_strategies()
    for part in ("line", "marker", "colour"):
        assert len({str(getattr(strategy.style, part)) for strategy in known}) == len(known)
    assert len({strategy.label for strategy in known}) == len(known)
