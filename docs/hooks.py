"""What the site takes from the code: the navigation from the folders, and the page of the command line from its help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.structure.files import File, Files

#: Folder -> heading, in the order of the site.
SECTIONS = {"tutorials": "Tutorials", "how-to": "How to", "reference": "Reference", "explanation": "Explanation"}


def on_config(config: Any) -> Any:
    """Put every page of a folder under its heading."""
    docs = Path(config["docs_dir"])
    nav: list[dict[str, Any]] = [{"Home": "index.md"}]
    for folder, heading in SECTIONS.items():
        pages = sorted(page.relative_to(docs).as_posix() for page in (docs / folder).glob("*.md"))
        if folder == "reference":
            pages = ["reference/cli.md", *pages]
        if pages:
            nav.append({heading: [*pages]})
    nav += [{"Benchmarks": "benchmarks.md"}, {"Architecture": "architecture.md"}]
    config["nav"] = nav
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the page of the command line."""
    files.append(File.generated(config, "reference/cli.md", content=command_line()))
    return files


def command_line() -> str:
    """Every verb with its help, its arguments and its options."""
    from dissensus.cli.main import app

    root: Any = typer.main.get_command(app)
    lines = ["# The command line", ""]
    _describe(root, "dissensus", lines, 1)
    return "\n".join(lines)


def _describe(command: Any, path: str, lines: list[str], depth: int) -> None:
    if depth > 1:
        lines += [f"{'#' * min(depth, 4)} `{path}`", ""]
    lines += [_help(command.help or ""), ""]
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        lines += ["| option | | default |", "|---|---|---|", *rows, ""]
    for name, inner in getattr(command, "commands", {}).items():
        _describe(inner, f"{path} {name}", lines, depth + 1)


def _help(text: str) -> str:
    text = re.sub(r"\[/?[a-z ]*\]", "", text.replace("\b", ""))
    return "\n".join(line.strip() for line in text.splitlines())


def _row(parameter: Any) -> str:
    if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
        return ""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    what = _help(getattr(parameter, "help", "") or "").replace("\n", " ").replace("|", "\\|")
    default = parameter.default
    shown = "required" if parameter.required else "" if default is None or callable(default) else f"`{default}`"
    return f"| {names} | {what} | {shown} |"
