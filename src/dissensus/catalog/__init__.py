"""Scoring many tracks: audio in, pools and probabilities out."""

from dissensus.catalog.embed import Embedded, embed_clips

__all__ = ["Embedded", "embed_clips"]
