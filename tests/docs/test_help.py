"""The pages that the help of the command line names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dissensus.cli.main import main


def test_the_help_says_where_to_find_what_and_each_page_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    pages = Path(__file__).resolve().parents[2] / "docs" / "how-to"
    main(["--help"])
    out = capsys.readouterr().out
    named = re.findall(r"\(([a-z]+(?:_[a-z]+)*)\)", out)
    assert {"score_a_folder", "evaluate_a_pool", "continue_tomorrow", "own_model", "rank_for_a_listener", "gpu"} <= set(
        named
    )
    assert {"committee_to_onnx", "cnn", "servers_that_fork"} <= set(named)
    assert [page for page in named if not (pages / f"{page}.md").is_file()] == []
