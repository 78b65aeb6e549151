"""Defaults that several parts share: changed here, they change everywhere."""

from __future__ import annotations

from typing import Final

__all__ = ["REPLAY_WEIGHT"]

#: ``n0``: what a replay's memory of everybody weighs, in tracks that the listener answered about.
REPLAY_WEIGHT: Final = 100.0
