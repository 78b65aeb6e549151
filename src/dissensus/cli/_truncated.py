"""The two options that say what becomes of audio that ends early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dissensus.features.audio import Truncated

__all__ = ["KeepTruncated", "Strict", "truncated_of"]

KeepTruncated = Annotated[
    bool, typer.Option("--keep-truncated", help="Use files that end early as far as they go, however much is missing.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse files that end early also where 99 % of them, or all but a second, is there."
    ),
]


def truncated_of(keep_truncated: bool, strict: bool) -> Truncated:
    """The choice that the options make."""
    if keep_truncated and strict:
        raise typer.BadParameter("refuses what --keep-truncated would take: choose one", param_hint="--strict")
    return "keep" if keep_truncated else "error" if strict else "nearly"
