"""Small made-up copies of the data sets' files, in their formats, for tests and for trying a loader out.

Nothing in them is anybody's judgement: every number is drawn from a seed.
"""

from dissensus.datasets._twins._listeners import amg1608, ch818, ismir2020, soundtracks
from dissensus.datasets._twins._population import deam, emomusic, fourq, grekow, pmemo
from dissensus.datasets._twins._trompa import trompa

__all__ = ["amg1608", "ch818", "deam", "emomusic", "fourq", "grekow", "ismir2020", "pmemo", "soundtracks", "trompa"]
