"""Pieces of a page of HTML: it stands alone, prints, and follows the reader's light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

__all__ = ["answers", "details", "figure", "items", "page", "svg", "table"]

_STYLE: Final = """:root { color-scheme: light dark; --ink: #111; --soft: #555; --line: #ddd; --paper: #fff; --box: #f4f4f4; }
@media (prefers-color-scheme: dark) {
:root { --ink: #e8e8e8; --soft: #aaa; --line: #3a3a3a; --paper: #141414; --box: #202020; }
figure svg { filter: invert(0.92) hue-rotate(180deg); } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
background: var(--paper); }
p, li { max-width: 48rem; }
h1 { font-size: 1.9rem; line-height: 1.2; } h2 { margin-top: 2.6rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
td, th { padding: .15rem .9rem .15rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: bottom;
white-space: nowrap; }
th { white-space: normal; } tr.group td { border-top: 2px solid var(--soft); }
figure { margin: 1.2rem 0; } figure svg { max-width: 100%; height: auto; display: block; }
figcaption, .note { color: var(--soft); font-size: 14px; max-width: 48rem; }
.short { background: var(--box); padding: .6rem 1.4rem; border-radius: 6px; } .short li { margin: .45rem 0; }
.paper { border: 2px solid var(--ink); padding: .5rem 1.2rem; margin: 1rem 0; }
summary { cursor: pointer; color: var(--soft); } pre { font-size: 12px; white-space: pre-wrap; }
@media print { body { max-width: none; font-size: 11pt; margin: 0; } figure, tr { break-inside: avoid; }
h2, h3, summary { break-after: avoid; } details::details-content { content-visibility: visible; block-size: auto; }
.wide { overflow: visible; } table { font-size: 8.5pt; } }"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", group: int | None = None) -> str:
    """A table; ``group``: a line above each row whose cell in that column is new."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines, before = [], None
    for row in rows:
        new = group is not None and before is not None and row[group] != before
        before = None if group is None else row[group]
        opening = '<tr class="group">' if new else "<tr>"
        lines.append(opening + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "\n".join(lines)
    return f'<div class="wide"><table>{said}<thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def items(sentences: Sequence[str]) -> str:
    """A list; an empty string without sentences."""
    return "<ul>" + "".join(f"<li>{escape(s)}</li>" for s in sentences) + "</ul>" if sentences else ""


def answers(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of questions in bold with their answers; an empty question goes on with the one above."""
    return "<ul>" + "".join(f"<li><b>{escape(q)}</b> {escape(a)}</li>" for q, a in pairs) + "</ul>"


def details(summary: str, body: str) -> str:
    """Something folded away; it is unfolded in print."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def figure(drawing: str, alt: str, caption: str) -> str:
    """A drawing with what it shows for those who do not see it, and a caption."""
    opened = drawing.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
    return f"<figure>{opened}<figcaption>{escape(caption)}</figcaption></figure>"


def svg(plt: Any, drawn: Any) -> str:
    """A matplotlib figure as an SVG element: text stays text, names that nothing refers to are dropped."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "dissensus", "svg.fonttype": "none"}):
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(drawn)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", text)


def page(title: str, body: str) -> str:
    """The whole document."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>
{_STYLE}
</style></head><body>
{body}
</body></html>
"""
