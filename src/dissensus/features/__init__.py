"""From audio files to a pool of feature windows."""

from dissensus.features.pool import Pool

__all__ = ["Pool"]
