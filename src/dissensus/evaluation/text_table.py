"""Tables as lines of text, for the terminal and for files."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text, each column as wide as its widest cell, two spaces between columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        As many cells in each row as in the first.

    Returns
    -------
    list of str
        One line per row, without spaces at its end.

    Examples
    --------
    >>> aligned([["member", "F1"], ["gnb", "0.512"], ["日本", "0.498"]])
    ['member  F1', 'gnb     0.512', '日本    0.498']
    """
    if not rows:
        return []
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in rows[0]:
        table.add_column(no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=100_000, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table, soft_wrap=True)
    return [line.rstrip() for line in captured.get().splitlines()]
