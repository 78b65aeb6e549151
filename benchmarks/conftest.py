"""Ratios of the session, printed at its end."""

from __future__ import annotations

from typing import Any

import table


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    session = getattr(config, "_benchmarksession", None)
    timed = [b for b in session.benchmarks if b.stats.data] if session is not None else []
    if timed:
        rows = [table.row_of(b.group, b.name, b.params, b.stats.min, b.extra_info) for b in timed]
        terminalreporter.write_line("")
        terminalreporter.write_line(table.render(rows))
