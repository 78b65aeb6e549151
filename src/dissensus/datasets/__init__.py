"""Data sets: features of tracks with the annotations of listeners, read from disk or made on the spot."""

from dissensus.datasets._types import QUADRANTS, Annotations, Dataset, quadrant

__all__ = ["QUADRANTS", "Annotations", "Dataset", "quadrant"]
