"""Scoring many tracks: audio in, pools and probabilities out."""

from dissensus.catalog.embed import Embedded, embed_clips, embed_files
from dissensus.catalog.score import Scored, score_files
from dissensus.catalog.scores_table import score_pool, write_scores

__all__ = ["Embedded", "Scored", "embed_clips", "embed_files", "score_files", "score_pool", "write_scores"]
