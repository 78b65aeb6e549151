"""Every snippet of the documentation runs: Python in order within its page, commands as typed.

A page runs in an empty folder. What a page cannot do here is marked in its source, just above the snippet, by a comment
``<!-- needs: trompa_mer -->`` (a research data set, linked into the folder where it is there), ``<!-- needs: faiss -->`` (a
library), or ``<!-- shown: why -->`` (not run; commands are still checked against the command line).
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from research import data_root

from dissensus.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
SNIPPET = re.compile(r"(?:<!-- (needs|shown): ([^>]*?) -->\s*\n)?```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One block of code of a page."""

    language: str
    code: str
    line: int
    mark: str
    of: str


def snippets(page: Path) -> Iterator[Snippet]:
    """Blocks of Python and of the shell, in order."""
    text = page.read_text(encoding="utf-8")
    for found in SNIPPET.finditer(text):
        mark, of, language, code = found.groups()
        if language in {"python", "sh"}:
            yield Snippet(language, code, text.count("\n", 0, found.start(4)) + 1, mark or "", (of or "").strip())


def missing(snippet: Snippet, data: Path | None) -> str | None:
    """What a snippet needs and is not here."""
    for name in re.findall(r"[\w.-]+", snippet.of) if snippet.mark == "needs" else ():
        if importlib.util.find_spec(name.replace("-", "_")) is None and (data is None or not (data / name).is_dir()):
            return name
    return None


def verbs() -> dict[str, Any]:
    """Every command of the command line by its words."""
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        inner = getattr(command, "commands", None)
        if inner:
            for name, one in inner.items():
                walk(one, f"{path} {name}".strip())
        else:
            found[path] = command

    walk(typer.main.get_command(app), "")
    return found


VERBS = verbs()


def commands(code: str) -> list[str]:
    """Lines of a shell snippet without comments, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", code)
    return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def check_command(words: list[str]) -> None:
    """A command of ours names a verb and options that exist."""
    verb = next((v for n in (2, 1) if (v := " ".join(words[1 : 1 + n])) in VERBS), None)
    known = {"--help", "-h"}
    if verb is None:
        rest = words[1:]
        known |= {"--version", "--debug"}
        assert rest and set(rest) <= known | {v.split()[0] for v in VERBS}, f"no such command: {' '.join(words)}"
        return
    for parameter in VERBS[verb].params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    for word in words[1 + len(verb.split()) :]:
        if word.startswith("-") and not re.fullmatch(r"-?\d.*", word):
            assert word.split("=")[0] in known, f"dissensus {verb} has no option {word}"


def our_commands(snippet: Snippet) -> Iterator[list[str]]:
    for line in commands(snippet.code):
        words = shlex.split(line, comments=True)
        if words and words[0] == "dissensus":
            yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    for snippet in snippets(page):
        if snippet.language == "sh":
            for words in our_commands(snippet):
                check_command(words)
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    known = {verb.split()[0] for verb in VERBS}
    for verb in re.findall(r"`dissensus ([a-z][a-z-]+)", prose):
        assert verb in known, f"{page.name} names a command that does not exist: dissensus {verb}"


RUN = [page for page in PAGES if page.parent.parent == DOCS and any(one.mark != "shown" for one in snippets(page))]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_snippet_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One namespace and one folder for a page; commands run as a user's would."""
    monkeypatch.chdir(tmp_path)
    data = data_root()
    if data is not None:
        for folder in data.iterdir():
            if folder.is_dir():
                (tmp_path / folder.name).symlink_to(folder)
    names: dict[str, Any] = {"__name__": "page"}
    ran = 0
    left_out: list[str] = []
    for snippet in snippets(page):
        lacking = missing(snippet, data)
        if snippet.mark == "shown" or lacking:
            left_out.append(f"line {snippet.line}: {lacking or snippet.of}")
            continue
        if snippet.language == "python":
            with redirect_stdout(io.StringIO()):
                exec(compile("\n" * (snippet.line - 1) + snippet.code, str(page), "exec"), names)
            ran += 1
        else:
            for words in our_commands(snippet):
                done = subprocess.run(
                    [sys.executable, "-c", "from dissensus.cli.main import run; run()", *words[1:]],
                    capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"},
                )  # fmt: skip
                assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
                ran += 1
    if not ran and left_out:
        pytest.skip(f"nothing of {page.name} can run here: {'; '.join(left_out)}")
